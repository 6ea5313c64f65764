"""Parameters of a protocol from its rows: the truth comes back, what is blind is said."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from nmrqb.analysis.costly_fit import fit_costly
from nmrqb.analysis.curve_fit import fit_curve
from nmrqb.analysis.intervals import Intervals
from nmrqb.analysis.response_surface import Searched
from nmrqb.errors import InputError
from nmrqb.models.exchange import exchange_transfer
from nmrqb.protocol.steps import Invert
from nmrqb.spectrometer.spectrometer import InversionPulse
from nmrqb.spins.register import Measured
from nmrqb.studies.plan import make_plan, plan_of
from nmrqb.studies.plan_parameters import changed_plan, plan_parameters
from nmrqb.studies.protocol_fit import fit_protocol, polarisations

X = np.linspace(0.1, 9.0, 12)


def decay(x, T, M):
    return M * np.exp(-x / T)


@pytest.fixture(scope="module")
def chloroform():
    return make_plan("asymptotic_chloroform")


def test_a_response_surface_gives_the_fit_and_the_profile_of_the_curve_itself():
    y = decay(X, 3.0, 0.8) + 0.05 * np.random.default_rng(2).normal(size=12)
    matrix = 0.0025 * np.eye(12)
    plain = fit_curve(decay, X, y, {"T": 3.0, "M": 0.8}, covariance=matrix)
    searched = [
        Searched(name="T", start=2.0, low=0.0, high=np.inf),
        Searched(name="M", start=0.5, low=-2.0, high=2.0),
    ]
    costly = fit_costly(lambda v: decay(X, **v), X, y, searched, covariance=matrix)
    for name, p in plain.parameters.items():
        found = costly.fit.parameters[name]
        # the surface is checked to 0.05 standard errors of all points at the ends
        assert found.value == pytest.approx(p.value, abs=0.005 * p.stderr)
        assert found.ci95 == pytest.approx(p.ci95, abs=0.02 * p.stderr)
    assert costly.curves < 50  # 18 of the search, 25 of the surface, and the ends
    assert not costly.fit.warnings


def test_a_common_factor_of_known_size_is_a_measured_point():
    # y = s M with s = 1 +- 10 %: the variance of M is that of the mean plus (0.1 M)^2
    y = np.full(16, 2.0)
    searched = [Searched(name="M", start=1.0, low=-10.0, high=10.0)]
    fit = fit_costly(
        lambda v: np.full(16, v["M"]), np.arange(16.0), y, searched,
        covariance=0.04 * np.eye(16), scale_error=0.1,
    ).fit  # fmt: skip
    assert list(fit.parameters) == ["M"]
    assert fit.parameters["M"].stderr == pytest.approx(np.hypot(0.05, 0.2), rel=0.01)


def test_unchanged_parameters_leave_the_prediction_alone(chloroform):
    register = chloroform.register
    same = {"J": abs(register.coupling_hz.value), "T1_charger": register.charger.t1_s.value}
    for engine in ("map", "simulated"):
        np.testing.assert_allclose(
            polarisations(changed_plan(chloroform, same), engine),
            polarisations(chloroform, engine),
            atol=1e-12,
        )


def test_b_of_the_map_is_the_transfer_of_j(chloroform):
    (length,) = {e.ticks for e in chloroform.compiled.cycle if type(e).__name__ == "Exchange"}
    jt = chloroform.register.coupling_hz.value * length * chloroform.spectrometer.tick_s
    b = float(exchange_transfer(1, jt))
    np.testing.assert_allclose(
        polarisations(chloroform, "map", transfer=b), polarisations(chloroform, "map"), atol=1e-12
    )


@pytest.mark.parametrize(
    ("engine", "truth"),
    [
        ("map", {"b": 0.35}),
        ("map", {"b": 1.0, "T1_charger": 8.0}),
        ("simulated", {"J": 200.0, "T1_charger": 12.0}),
        ("simulated", {"inversion": 0.85}),
    ],
    ids=["b", "b and T1", "J and T1", "inversion"],
)
def test_parameters_come_back_within_their_errors(chloroform, engine, truth):
    y = polarisations(changed_plan(chloroform, truth), engine, truth.get("b"))
    y = y + 0.005 * np.random.default_rng(3).normal(size=len(y))
    found = fit_protocol(
        chloroform, y, 2.5e-5 * np.eye(len(y)), 0.002, free=tuple(truth), engine=engine
    )
    for name, value in truth.items():
        p = found.fit.parameters[name]
        assert p.value == pytest.approx(value, abs=4.0 * p.stderr)
        assert p.stderr < 0.2 * value
    assert found.fit.p_value > 1e-4
    assert not set(found.held) & set(truth)


@pytest.mark.parametrize(
    ("name", "free", "true"),
    [
        ("noe_tms", "dipolar_share", 0.45),
        ("inversion_recovery", "inversion_battery", 0.85),
    ],
)
def test_the_dipolar_share_and_the_battery_s_inversion_come_back(name, free, true):
    plan = make_plan(name)
    y = polarisations(changed_plan(plan, {free: true}), "simulated")
    sigma = 0.01 * np.abs(y).max()
    y = y + sigma * np.random.default_rng(3).normal(size=len(y))
    p = fit_protocol(plan, y, sigma**2 * np.eye(len(y)), free=(free,)).fit.parameters[free]
    assert p.value == pytest.approx(true, abs=4.0 * p.stderr)
    assert p.stderr < 0.2 * true


@pytest.mark.parametrize("name", ["trimethyl_phosphate", "chloroform_13c"])
def test_no_value_within_the_bounds_of_a_parameter_contradicts_the_register(name):
    (plan,) = (
        make_plan(n)
        for n in ("single_shot_spin_lock_trimethyl_phosphate", "asymptotic_chloroform")
        if make_plan(n).register.name == name
    )
    alone = plan_parameters(plan)
    for p in alone:
        assert p.low <= p.range[0] <= p.registered.value <= p.range[1] <= p.high
        for value in p.range:
            p.change(plan, value)  # the register checks T2 <= 2 T1, T2 <= T1rho <= T1
    together = {p.key: p for p in plan_parameters(plan, freed=("T1_charger", "T2_charger"))}
    short = changed_plan(plan, {"T1_charger": together["T1_charger"].range[0], "T2_charger": 1e3})
    charger = short.register.charger
    assert charger.t2_s.value == pytest.approx(2.0 * charger.t1_s.value)


def test_a_number_keeps_its_sign_and_its_error(chloroform):
    j = replace(chloroform.register.coupling_hz, value=-209.0)
    mirrored = replace(chloroform, register=replace(chloroform.register, coupling_hz=j))
    (parameter,) = (p for p in plan_parameters(mirrored) if p.key == "J")
    assert (parameter.low, parameter.high) == (-np.inf, 0.0)
    assert parameter.change(mirrored, 100.0).register.coupling_hz == replace(j, value=-100.0)


def test_a_t2_that_ends_at_twice_its_free_t1_is_withheld(chloroform):
    y = polarisations(changed_plan(chloroform, {"T1_charger": 6.0}), "simulated")
    y = y + 1e-3 * np.random.default_rng(8).normal(size=len(y))
    free = ("T1_charger", "T2_charger")
    found = fit_protocol(chloroform, y, 1e-6 * np.eye(len(y)), free=free).fit
    assert found.parameters["T2_charger"].value is None
    assert "the fit ends at 2 T1" in found.parameters["T2_charger"].reason


@pytest.mark.parametrize(
    "values",
    [{"inversion": 0.7}, {"inversion_battery": 0.6}, {"inversion": 0.7, "inversion_battery": 0.6}],
)
@pytest.mark.parametrize("is_measured", [True, False], ids=["registered", "by pulses"])
def test_another_efficiency_is_what_the_compiler_makes_of_it(chloroform, values, is_measured):
    protocol = chloroform.protocol
    prepare = (*protocol.prepare, Invert(target="battery", pulse="composite"))
    protocol = replace(protocol, prepare=prepare)

    def with_inversions(known):
        console, register = chloroform.spectrometer, chloroform.register
        for role, kind, quarters in (("charger", "hard", 2.0), ("battery", "composite", 4.0)):
            isotope = getattr(register, role).isotope
            channel = console.channel(isotope)
            if role in known:
                pulse = InversionPulse(
                    kind=kind, efficiency=Measured(value=known[role], nominal=True),
                    length_s=quarters * channel.pulse_90_s, power_watt=channel.pulse_power_watt,
                )  # fmt: skip
                channels = tuple(
                    replace(c, inversions=(pulse,)) if c is channel else c for c in console.channels
                )
                console = replace(console, channels=channels)
        return plan_of(protocol, register, console, "made up")

    start = with_inversions({"charger": 0.95, "battery": 0.9} if is_measured else {})
    named = {"inversion": "charger", "inversion_battery": "battery"}
    efficiencies = {named[k]: v for k, v in values.items()}
    if is_measured:
        efficiencies = {"charger": 0.95, "battery": 0.9} | efficiencies
    changed = changed_plan(changed_plan(start, dict.fromkeys(values, 0.8)), values).compiled
    wanted = with_inversions(efficiencies).compiled
    for part in ("sequences", "reference", "stages", "cycle"):
        assert getattr(changed, part) == getattr(wanted, part)


def test_what_a_protocol_does_not_depend_on_is_withheld():
    # 36 chargers are hardly drained by one battery: their T1 leaves no trace in ten seconds
    plan = make_plan("asymptotic_ttss")
    y = polarisations(plan, "map") + 0.02 * np.random.default_rng(1).normal(size=15)
    found = fit_protocol(plan, y, 4e-4 * np.eye(15), 0.01, free=("b", "T1_charger"), engine="map")
    assert found.fit.parameters["T1_charger"].value is None
    # from half its T2 to nine times as far
    assert "every T1_charger from 1.5 to 13.5 s, as far as was looked" in (
        found.fit.parameters["T1_charger"].reason
    )
    assert found.fit.value("b") == pytest.approx(0.3, abs=4 * found.fit.parameters["b"].stderr)


@pytest.mark.parametrize(
    ("name", "engine", "free", "words"),
    [
        ("asymptotic_chloroform", "simulated", ("b",), "closed map"),
        ("asymptotic_chloroform", "map", ("b", "J"), "both set the transfer"),
        ("asymptotic_chloroform", "map", ("colour",), "must be one of b, J"),
        ("asymptotic_ttss", "map", ("inversion",), "inverts no charger"),
        ("asymptotic_ttss", "map", ("inversion_battery",), "inverts no battery"),
        ("asymptotic_ttss", "map", ("dipolar_share",), "no dipolar share"),
        ("driven_thermal_trimethyl_phosphate", "map", ("J",), "no closed map"),
    ],
)
def test_parameters_without_a_meaning_are_refused(name, engine, free, words):
    plan = make_plan(name)
    with pytest.raises(InputError, match=words):
        fit_protocol(plan, np.zeros(3), np.eye(3), free=free, engine=engine)


def test_rows_with_more_scatter_than_noise_keep_their_scaled_errors(chloroform):
    # scatter of four times the stated noise: the surface has to be four times as wide
    y = polarisations(chloroform, "map", 0.35)
    y = y + 0.02 * np.random.default_rng(6).normal(size=len(y))
    fit = fit_protocol(chloroform, y, 2.5e-5 * np.eye(len(y)), engine="map").fit
    assert fit.error_scale > 2.0
    p = fit.parameters["b"]
    assert p.value == pytest.approx(0.35, abs=4.0 * p.stderr)
    assert p.ci95[0] < p.value < p.ci95[1]
    assert None not in fit.parameters["E_inf"].ci95


def test_a_search_that_steps_far_along_a_time_overflows_nothing():
    # one step of it went to a T1 of e^800 s, and numpy said so on the way
    plan = make_plan("asymptotic_ttss")
    y = polarisations(plan, "map") + 1e-3 * np.random.default_rng(0).normal(size=15)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit_protocol(
            plan, y, 1e-6 * np.eye(15), 0.005, free=("T1_charger", "b"), engine="map"
        )
    low, high = found.fit.parameters["T1_charger"].ci95
    assert low is None or low < plan.register.charger.t1_s.value
    assert high is None or high > plan.register.charger.t1_s.value


def test_an_efficiency_at_its_bound_has_a_limit_and_the_reference_is_no_outlier(chloroform):
    # the registered inversion is complete: J and efficiency of its own simulated rows
    y = polarisations(chloroform, "simulated")
    y = y + 0.01 * np.random.default_rng(1).normal(size=len(y))
    found = fit_protocol(
        chloroform, y, 1e-4 * np.eye(len(y)), 0.02, free=("J", "inversion"), engine="simulated"
    ).fit
    p = found.parameters["inversion"]
    assert p.value == pytest.approx(1.0, abs=1e-5)
    assert p.stderr is None
    assert 0.8 < p.ci95[0] < p.ci95[1] == 1.0
    assert f"inversion is best at its end 1: {p.ci95[0]:.3g} to 1 at 95 %" in " ".join(
        found.warnings
    )
    # refits pile up at the bound: the profile's interval holds there too
    refits = fit_protocol(
        chloroform, y, 1e-4 * np.eye(len(y)), 0.02, free=("J", "inversion"), engine="simulated",
        intervals=Intervals(method="bootstrap", seed=1, samples=100),
    ).fit  # fmt: skip
    assert refits.parameters["inversion"].ci95 == pytest.approx(p.ci95, abs=1e-3)
    # nothing that follows from it is lost
    assert found.parameters["E_inf"].value is not None
    # the reference is a point of the fit without a place: it had been named "at nan"
    assert not [w for w in found.warnings if "outlier" in w]
    # J three times as large has the same transfer; what lies beyond the range is not named
    named = [w for w in found.warnings if "describes the points" in w]
    assert len(named) == 1
    assert named[0].startswith("J = 62")
