"""Charging time and long-time energy of fitted protocols: closed forms, errors, and when none."""

import math
from dataclasses import replace

import numpy as np
import pytest
from star_registers import StarOfGivenRatio, charging_protocol, fine_spectrometer, nominal, star

from nmrqb.analysis.costly_fit import fit_costly
from nmrqb.analysis.curve_fit import fit_curve
from nmrqb.analysis.derived import Level, ThresholdTime, TimeOfFactor, derive
from nmrqb.analysis.response_surface import Searched
from nmrqb.battery.cycle_modes import CycleModes, threshold_of_levels
from nmrqb.models.exchange import exchange_transfer
from nmrqb.protocol.protocol import Sweep
from nmrqb.protocol.steps import BatterySaturated
from nmrqb.sequence.events import Exchange
from nmrqb.studies import long_time
from nmrqb.studies.long_time import cycle_modes, repeated_cycle
from nmrqb.studies.plan import make_plan, make_simulator, plan_of
from nmrqb.studies.plan_parameters import changed_plan
from nmrqb.studies.protocol_fit import fit_protocol, polarisations

COUNTS = (0, 1, 2, 3, 4, 6, 8, 12)


def cycles(register, *arguments, counts=COUNTS, **options):
    """Return the plan of a charging whose number of cycles is swept."""
    sweep = Sweep(key="cycles", values=tuple(map(float, counts)), unit="")
    protocol = charging_protocol(*arguments, sweep=sweep, **options)
    return plan_of(protocol, register, fine_spectrometer(), "test")


def renewed(satellites, b, delay_s, t1_s):
    """Return tau of chargers that are saturated in every cycle, its plan and its slope in b."""
    register = star(satellites, t1_battery_s=t1_s)
    plan = cycles(register, delay_s, b, recovery="saturated", prepare=BatterySaturated())
    c = repeated_cycle(plan)
    (exchange,) = (e for e in c.body if isinstance(e, Exchange))
    jt = abs(register.coupling_hz.value) * exchange.ticks * c.tick_s
    b = float(exchange_transfer(satellites, jt))
    # the battery relaxes in all of the cycle but its exchange, which is ideal
    q = math.exp(-(c.cycle_s - exchange.ticks * c.tick_s) / t1_s)
    factor = (1.0 - b) * q
    tau = c.cycle_s / -math.log(abs(factor))
    return plan, b, tau, c.cycle_s / (math.log(abs(factor)) ** 2 * abs(1.0 - b))


@pytest.mark.parametrize("b", [0.1, 0.3, 0.8, 1.15])
@pytest.mark.parametrize("engine", ["map", "simulated"])
def test_renewed_chargers_charge_by_the_factor_one_minus_b_times_q(engine, b):
    # after 30 T2 of the chargers no order of an exchange is left, and the map is exact
    plan, _, tau, _ = renewed(9, b, 100.0, 300.0)
    modes, c = cycle_modes(plan, engine), repeated_cycle(plan)
    assert c.cycle_s / -math.log(abs(modes.slowest)) == pytest.approx(tau, rel=1e-6)
    assert (modes.slowest.real < 0.0) == (b > 1.0)  # it then alternates about its limit
    # one mode: the threshold, between the ends of cycles, is the same time
    assert modes.threshold_time(c.cycle_s, c.first_s) == pytest.approx(tau, rel=1e-6)


@pytest.mark.parametrize(
    ("battery", "recovery", "kept"),
    [("29Si", "left", 1.0), ("13C", "left", -1.0), ("13C", "flipped-back", 1.0)],
)
@pytest.mark.parametrize(
    ("satellites", "b", "delay_s"), [(1, 0.4, 2.0), (9, 0.3, 3.0), (9, 1.1, 5.0)]
)
def test_chargers_that_remember_charge_by_the_larger_root(
    battery, recovery, kept, satellites, b, delay_s
):
    b = min(b, 1.0) if satellites == 1 else b
    register = star(satellites, battery=battery, t1_battery_s=60.0)
    plan = cycles(register, delay_s, b, recovery=recovery)
    c = repeated_cycle(plan)
    (exchange,) = (e for e in c.body if isinstance(e, Exchange))
    wait = c.cycle_s - exchange.ticks * c.tick_s
    q, e = math.exp(-wait / 60.0), kept * math.exp(-wait / register.charger.t1_s.value)
    trace = (1.0 - b) * q + (1.0 - b / satellites) * e
    roots = np.roots([1.0, -trace, q * e * (1.0 - b - b / satellites)])
    found = cycle_modes(plan, "map").factors
    assert sorted(found.real) == pytest.approx(sorted(roots.real), abs=1e-4)
    assert sorted(found.imag) == pytest.approx(sorted(roots.imag), abs=1e-4)


@pytest.mark.parametrize(
    ("satellites", "b", "delay_s", "exact", "closed"),
    [
        (3, 0.3, 3.0, 0.92314, 0.92615),
        (3, 1.0, 3.0, 0.99125, 0.99312),
        (9, 0.3, 3.0, 0.92671, 0.93023),
        (9, 1.0, 3.0, 0.99621, 0.99770),
    ],
)
def test_long_time_energies_are_the_printed_ones(satellites, b, delay_s, exact, closed):
    plan = cycles(star(satellites, kind=StarOfGivenRatio), delay_s, b)
    assert cycle_modes(plan, "simulated").limit == pytest.approx(exact, abs=1e-5)
    assert cycle_modes(plan, "map").limit == pytest.approx(closed, abs=1e-5)


@pytest.mark.parametrize("name", ["asymptotic_chloroform", "asymptotic_trimethyl_phosphate_left"])
def test_modes_are_the_levels_of_the_simulated_sequence(name):
    plan = make_plan(name)
    modes, simulator = cycle_modes(plan, "simulated"), make_simulator(plan)
    counts = [plan.protocol.at(row).cycles for row in range(plan.protocol.rows)]
    # the read-out stage follows: crusher, pulse and dead time
    after = len(plan.compiled.stages[0][-1].events)
    for row, count in enumerate(counts):
        simulated = simulator.simulate(plan.compiled.sequences[row]).battery_z[-after]
        # a loop stops where a cycle changes less than 1e-15, GMRES at 1e-10
        assert modes.levels(count + 1)[-1] == pytest.approx(simulated, abs=1e-8)


def test_modes_of_a_sample_are_those_of_all_its_places():
    base = make_plan("asymptotic_chloroform")
    protocol = base.protocol
    protocol = replace(protocol, simulation=replace(protocol.simulation, b1_points=3))
    plan = plan_of(protocol, base.register, base.spectrometer, "sample")
    simulator = make_simulator(plan)
    modes = cycle_modes(plan, "simulated")
    assert modes.limit == pytest.approx(
        simulator.fixed_point(plan.compiled.cycle, plan.spectrometer.tick_s), abs=1e-9
    )
    after = len(plan.compiled.stages[0][-1].events)
    simulated = simulator.simulate(plan.compiled.sequences[3]).battery_z[-after]
    assert plan.protocol.at(3).cycles == 3
    assert modes.levels(4)[3] == pytest.approx(simulated, abs=1e-8)


def test_a_slow_mode_without_weight_is_not_the_charging_time():
    one = CycleModes(
        limit=1.0, before=(), factors=np.array([0.9, 0.5 + 0j]), weights=np.array([-1e-5, -1.0])
    )
    assert one.slowest == 0.5
    assert replace(one, weights=np.array([-1e-2, -1.0])).slowest == 0.9
    assert replace(one, weights=np.zeros(2)).slowest is None


def test_a_first_cycle_of_its_own_counts_with_its_own_length():
    # p = 0, then half of the way a cycle: 1/e is left between the ends of cycles 1 and 2
    modes = CycleModes(
        limit=1.0, before=(0.0,), factors=np.array([0.5 + 0j]), weights=np.array([-0.5])
    )
    share = (1.0 - math.log(2.0)) / math.log(2.0)
    assert modes.threshold_time(3.0, 2.0) == pytest.approx(2.0 + 3.0 * share, rel=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_thresholds_of_levels_are_those_of_their_modes(seed):
    rng = np.random.default_rng(seed)
    first_s, before = (2.0, (rng.uniform(-1.0, 0.0),)) if seed % 2 else (3.0, ())
    # the fourth mode is slow: its threshold lies far beyond the levels
    factors = np.array([rng.uniform(0.3, 0.7), -0.2, 0.05, 0.97 if seed > 5 else 0.4])
    weights = -np.array([0.4, rng.uniform(-0.3, 0.3), 0.1, 0.5])
    modes = CycleModes(limit=0.3, before=before, factors=factors + 0j, weights=weights + 0j)
    levels = modes.levels(12)
    slowest = abs(modes.slowest)
    found = [
        threshold_of_levels(levels - shift, 0.3 - shift, slowest, 3.0, first_s)
        for shift in (0.0, 1.0)
    ]
    wanted = modes.threshold_time(3.0, first_s)
    assert (wanted > 33.0) == (seed > 5)
    # at the last level 0.7^11 = 2 % of another mode are left, which the slowest one takes over
    assert found == pytest.approx([wanted] * 2, rel=1e-9 if seed <= 5 else 0.03)


@pytest.mark.parametrize(
    ("levels", "limit", "factor", "time"),
    [
        ([1.0, 1.0, 1.0], 1.0, 0.5, 0.0),  # at the limit from the start
        ([0.0, 0.0, 0.0], 1.0, 1.0, math.inf),  # never closer
        ([0.0, 1.0, 1.0], 1.0, 0.0, 2.0),  # on the limit after one cycle
        ([0.0, 0.1, 0.2], 1.0, -1e-9, 4.0),  # a surface beside a factor of 0: gone at once
        ([math.nan] * 3, math.nan, math.nan, math.nan),  # no limit at all
        ([0.0, 0.5, 0.8], 1.0, math.nan, math.nan),
    ],
)
def test_thresholds_of_levels_at_the_ends_of_what_is_possible(levels, limit, factor, time):
    found = threshold_of_levels(np.array(levels), limit, factor, 2.0, 2.0)
    assert found == pytest.approx(time, nan_ok=True)
    tau = ThresholdTime(name="t", cycle_s=2.0, first_s=2.0)
    inner = tau.inner(np.array([factor, limit, *levels]))
    if math.isfinite(time):
        assert tau.value(inner) == pytest.approx(time)
    elif math.isinf(time):
        assert tau.value(inner) is None
    else:
        assert math.isnan(inner)


def test_the_interval_of_a_threshold_with_a_kink_is_the_image_of_that_of_b():
    # tau is about one cycle: the threshold comes within the first cycle at one end of the interval
    # of b, and after it at the other
    plan = make_plan("asymptotic_chloroform")
    y = polarisations(plan, "map", 0.19)
    y = y + 0.03 * np.random.default_rng(0).normal(size=len(y))
    found = fit_protocol(plan, y, 9e-4 * np.eye(len(y)), engine="map").fit
    c, ends = repeated_cycle(plan), found.parameters["b"].ci95
    exact = [cycle_modes(plan, "map", b).threshold_time(c.cycle_s, c.first_s) for b in ends]
    threshold = found.parameters["tau_threshold"]
    assert exact[1] < c.first_s < exact[0]
    assert threshold.ci95 == pytest.approx(sorted(exact), rel=1e-3)
    assert threshold.stderr is not None
    assert not [w for w in found.warnings if "tau_threshold" in w]


def test_a_threshold_of_many_cycles_is_the_exact_one_and_of_too_many_withheld(monkeypatch):
    plan, b, _, _ = renewed(3, 0.02, 0.005, 300.0)
    y = polarisations(plan, "map", b)
    arguments = plan, y, 1e-14 * np.eye(len(y))
    c = repeated_cycle(plan)
    exact = cycle_modes(plan, "map", b).threshold_time(c.cycle_s, c.first_s)
    assert exact > 40.0 * c.cycle_s
    found = fit_protocol(*arguments, engine="map").fit
    assert found.parameters["tau_threshold"].value == pytest.approx(exact, rel=1e-4)
    monkeypatch.setattr(long_time, "_MOST_LEVELS", 64)
    less = fit_protocol(*arguments, engine="map").fit.parameters
    assert less["tau_threshold"].value is None
    assert "none was found" in less["tau_threshold"].reason
    assert less["tau"].value == found.parameters["tau"].value


def test_a_number_that_no_free_parameter_moves_is_exact():
    # chargers that are saturated in every cycle need no inversion
    plan = make_plan("asymptotic_trimethyl_phosphate_saturated")
    y = polarisations(plan, "map") + 0.01 * np.random.default_rng(1).normal(size=plan.protocol.rows)
    found = fit_protocol(plan, y, 1e-4 * np.eye(len(y)), free=("inversion",), engine="map").fit
    tau, c = found.parameters["tau"], repeated_cycle(plan)
    exact = c.cycle_s / -math.log(abs(cycle_modes(plan, "map").slowest))
    assert tau.ci95 == pytest.approx((exact, exact), rel=1e-9)


def test_errors_of_tau_are_those_of_b_carried_over():
    plan, b, tau, slope = renewed(3, 0.3, 20.0, 100.0)
    y = polarisations(plan, "map", b)
    sigma = 2e-3
    found = fit_protocol(plan, y, sigma**2 * np.eye(len(y)), engine="map").fit
    p, q = found.parameters["b"], found.parameters["tau"]
    assert q.value == pytest.approx(tau, rel=1e-5)
    # surfaces are checked to a few tenths of a per cent at so small an error
    assert q.stderr == pytest.approx(slope * p.stderr, rel=0.01)
    c = repeated_cycle(plan)
    ends = [c.cycle_s / -math.log((1.0 - e) / (1.0 - b) * math.exp(-c.cycle_s / tau))
            for e in p.ci95]  # fmt: skip
    # tau falls with b: its interval is the image of that of b, without a linearisation
    assert q.ci95 == pytest.approx(sorted(ends), abs=0.01 * q.stderr)


def test_a_derived_number_has_the_profile_of_a_fit_that_has_it_for_a_parameter():
    x = np.linspace(0.2, 6.0, 12)
    y = 0.8 * np.exp(-x / 3.0) + 0.03 * np.random.default_rng(2).normal(size=12)
    matrix = 9e-4 * np.eye(12)
    searched = [
        Searched(name="T", start=2.0, low=0.0, high=np.inf),
        Searched(name="M", start=0.5, low=-2.0, high=2.0),
    ]
    found = fit_costly(lambda v: v["M"] * np.exp(-x / v["T"]), x, y, searched, covariance=matrix)
    area = Level(name="area", unit="s")
    table, words = derive(found, lambda v: np.array([v["M"] * v["T"]]), [area])
    plain = fit_curve(
        lambda t, area, T: area / T * np.exp(-t / T), x, y, {"area": 2.4, "T": 3.0},
        covariance=matrix,
    )  # fmt: skip
    wanted, given = plain.parameters["area"], table["area"]
    assert given.value == pytest.approx(wanted.value, abs=0.02 * wanted.stderr)
    assert given.stderr == pytest.approx(wanted.stderr, rel=0.02)
    assert given.ci95 == pytest.approx(wanted.ci95, abs=0.1 * wanted.stderr)
    assert not words


def test_the_least_of_a_number_that_turns_within_its_errors_is_found():
    # |x| of x = 0.03 +- 0.1: the number turns at 0, between the points of every surface
    x = np.arange(4.0)
    searched = [Searched(name="x", start=0.02, low=-9.0, high=9.0)]
    found = fit_costly(
        lambda v: np.full(4, v["x"]), x, np.full(4, 0.03), searched, covariance=0.04 * np.eye(4)
    )
    table, words = derive(found, lambda v: np.abs([v["x"]]), [Level(name="size", unit="")])
    low, high = table["size"].ci95
    assert low == pytest.approx(0.0, abs=0.002)
    assert high == pytest.approx(0.03 + 0.196, abs=0.002)
    assert table["size"].value == pytest.approx(0.03, abs=1e-6)
    assert table["size"].stderr is None
    assert "it turns" in words[0]


def test_a_time_of_no_decay_and_of_none_left():
    tau = TimeOfFactor(name="tau", cycle_s=2.0)
    assert tau.value(0.0) == 0.0
    assert tau.value(1.0) is None
    assert tau.value(math.exp(-0.5)) == pytest.approx(4.0)
    assert tau.stderr(0.1, 0.1) is None  # it may be 0, where tau has no slope
    assert tau.stderr(0.5, 1e-6) == pytest.approx(tau.value(0.5 + 1e-6) - tau.value(0.5), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "free", "words"),
    [
        ("single_shot_chloroform", "J", "chargers are not re-energised"),
        ("asymptotic_ttss_delta", "b", "every row has a limit of its own"),
        ("inversion_recovery", "T1_battery", "chargers are not re-energised"),
    ],
)
def test_protocols_without_a_limit_say_so(name, free, words):
    plan = make_plan(name)
    y = polarisations(plan, "map")
    y = y + 0.01 * np.random.default_rng(1).normal(size=len(y))
    found = fit_protocol(plan, y, 1e-4 * np.eye(len(y)), free=(free,), engine="map").fit
    for p in ("tau", "tau_threshold", "E_inf"):
        assert found.parameters[p].value is None
        assert words in found.parameters[p].reason


def test_what_follows_from_a_withheld_parameter_is_withheld_and_keeps_its_interval():
    plan = make_plan("asymptotic_ttss")
    y = polarisations(plan, "map") + 0.02 * np.random.default_rng(1).normal(size=15)
    found = fit_protocol(plan, y, 4e-4 * np.eye(15), 0.01, free=("b", "T1_charger"), engine="map")
    e = found.fit.parameters["E_inf"]
    assert e.value is None
    assert "T1_charger" in e.reason
    low, high = e.ci95
    assert low < cycle_modes(plan, "map").limit < high


def test_both_engines_agree_on_the_long_time_numbers_of_one_measurement():
    plan = make_plan("asymptotic_chloroform")
    y = polarisations(changed_plan(plan, {"J": 195.0}), "simulated")
    y = y + 0.01 * np.random.default_rng(4).normal(size=len(y))
    fits = [
        fit_protocol(plan, y, 1e-4 * np.eye(len(y)), 0.005, free=(free,), engine=engine).fit
        for engine, free in (("simulated", "J"), ("map", "b"))
    ]
    for name in ("tau", "E_inf"):
        exact, closed = (f.parameters[name] for f in fits)
        # the map is off by 1e-3 here (relaxation of pulses and exchange), the noise by more
        assert closed.value == pytest.approx(exact.value, abs=0.3 * exact.stderr)
        assert closed.stderr == pytest.approx(exact.stderr, rel=0.05)


def with_coupling(plan, j_hz):
    """Return the plan compiled as it was, with another J registered."""
    return replace(plan, register=replace(plan.register, coupling_hz=nominal(j_hz)))


def test_the_deepest_minimum_is_found_where_the_nearest_is_another():
    # rows two and a half turns of the transfer past its maximum: minima lie 20 % of J apart
    base = make_plan("single_shot_chloroform")
    durations = tuple(float(f"{t:.6f}") for t in np.linspace(2.3, 3.1, 8) / 209.0)
    sweep = replace(base.protocol.sweep, values=durations)
    plan = plan_of(replace(base.protocol, sweep=sweep), base.register, base.spectrometer, "test")
    y = polarisations(plan, "simulated") + 0.01 * np.random.default_rng(3).normal(size=8)
    for wrong in (0.7 * 209.0, 1.3 * 209.0):
        found = fit_protocol(with_coupling(plan, wrong), y, 1e-4 * np.eye(8), free=("J",)).fit
        assert found.value("J") == pytest.approx(209.0, abs=4.0 * found.parameters["J"].stderr)
        assert found.p_value > 1e-3
        assert not [w for w in found.warnings if "describes the points" in w]


def test_two_couplings_that_describe_the_same_points_are_both_named():
    # one exchange of J t = 0.65, past the maximum at 0.5: sin^2(pi J t) is that of J t = 0.35
    base = make_plan("asymptotic_chloroform")
    (exchange,) = {e for e in base.compiled.cycle if isinstance(e, Exchange)}
    seconds = exchange.ticks * base.spectrometer.tick_s
    true = 0.65 / seconds
    plan = with_coupling(base, 0.7 * true)
    y = polarisations(changed_plan(plan, {"J": true}), "map")
    y = y + 0.01 * np.random.default_rng(3).normal(size=len(y))
    found = fit_protocol(plan, y, 1e-4 * np.eye(len(y)), free=("J",), engine="map").fit
    said = [w for w in found.warnings if "describes the points as well as" in w]
    named = {part.split()[0] for w in said for part in w.split("J = ")[1:]}
    error = found.parameters["J"].stderr
    # that of J t = 1.35 lies within three times the registered value, too
    wanted = [0.35 / seconds, true, 1.35 / seconds]
    assert sorted(map(float, named)) == pytest.approx(wanted, abs=4.0 * error)
    # the points cannot choose: the one nearer to the registered value is given
    assert found.value("J") == pytest.approx(0.35 / seconds, abs=4.0 * error)
