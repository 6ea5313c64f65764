"""Curves beside the single exponential: planted truths come back, what one exponential says as well
is withheld, and systematic errors of a percent name no curve.
"""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import norm

from nmrqb.analysis.biexponential import (
    decay_of_two,
    fit_decay_of_two,
    fit_recovery_of_two,
    fit_two_exponentials,
    recovery_of_two,
)
from nmrqb.analysis.buildup import build_up
from nmrqb.analysis.curves import decay, decay_to_offset, fit_decay_to_offset, recovery
from nmrqb.analysis.intervals import LINEAR
from nmrqb.analysis.nutation import (
    fit_gaussian_nutation,
    fit_nutation,
    fit_undamped_nutation,
    gaussian_nutation,
    nutation,
    undamped_nutation,
)
from nmrqb.analysis.stretched import (
    fit_gaussian_decay,
    fit_stretched_decay,
    fit_stretched_recovery,
    gaussian_decay,
    stretched_decay,
    stretched_recovery,
)
from nmrqb.simulate.ensemble import b1_nodes
from nmrqb.studies.fit_models import CURVES, compare_curves

DELAYS = np.geomspace(0.05, 15.0, 14)
LONG = np.geomspace(0.05, 40.0, 24)
PULSES = 5e-6 * np.arange(1, 17)
LEVELS = ("M_inf", "M0", "offset")

RECOVERY = {"T1": 3.0, "M_inf": 1.0, "inversion": 0.9}
STRETCHED_T1 = {"T1": 2.0, "M_inf": 1.0, "inversion": 0.9, "beta": 0.6}
TWO_T1 = {"T1_fast": 0.7, "T1_slow": 9.0, "M_inf": 1.0, "inversion": 0.0, "fast_share": 0.4}
TWO_T2 = {"T2_fast": 0.7, "T2_slow": 9.0, "M0": 1.0, "fast_share": 0.4}
SPREAD = {"frequency": 25e3, "variance": 0.1**2, "M0": 1.0}

PLANTED = {
    "stretched recovery": (fit_stretched_recovery, stretched_recovery, DELAYS, STRETCHED_T1),
    "compressed recovery": (
        fit_stretched_recovery, stretched_recovery, DELAYS, STRETCHED_T1 | {"beta": 1.5},
    ),
    "stretched saturation": (
        fit_stretched_recovery, stretched_recovery, DELAYS, STRETCHED_T1 | {"inversion": 0.0},
    ),
    "two T1": (fit_recovery_of_two, recovery_of_two, LONG, TWO_T1),
    "two T1, inverted": (fit_recovery_of_two, recovery_of_two, LONG, TWO_T1 | {"inversion": 0.95}),
    "stretched decay": (
        fit_stretched_decay, stretched_decay, DELAYS, {"T2": 3.0, "M0": 1.0, "beta": 0.6},
    ),
    "Gaussian decay": (fit_gaussian_decay, gaussian_decay, DELAYS, {"T2": 3.0, "M0": 1.0}),
    "two T2": (fit_decay_of_two, decay_of_two, LONG, TWO_T2),
    "offset": (
        fit_decay_to_offset, decay_to_offset, DELAYS, {"T2": 3.0, "M0": 1.0, "offset": 0.2},
    ),
    "negative offset": (
        fit_decay_to_offset, decay_to_offset, DELAYS, {"T2": 3.0, "M0": 1.0, "offset": -0.2},
    ),
    "undamped": (
        fit_undamped_nutation, undamped_nutation, PULSES, {"frequency": 25e3, "M0": 1.0},
    ),
    "Gaussian spread": (fit_gaussian_nutation, gaussian_nutation, PULSES, SPREAD),
}  # fmt: skip


def noise(points, sigma, seed=0):
    return sigma * np.random.default_rng(seed).normal(size=points)


def shown(truth):
    """Return the truth by the names that a fit reports."""
    return {
        "b1_spread" if n == "variance" else n: v**0.5 if n == "variance" else v
        for n, v in truth.items()
    }


@pytest.mark.parametrize("snr", [60, 1000])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("case", PLANTED)
def test_planted_curves_come_back_within_their_errors(case, sign, snr):
    fit, function, x, truth = PLANTED[case]
    truth = {n: sign * v if n in LEVELS else v for n, v in truth.items()}
    clean = function(x, **truth)
    sigma = float(np.abs(clean).max()) / snr
    found = fit(x, clean + noise(len(x), sigma, 3), sigma**2 * np.eye(len(x)))
    assert found.is_identifiable, found
    assert set(found.parameters) == set(shown(truth))
    for name, value in shown(truth).items():
        p = found.parameters[name]
        # about 150 numbers, of which five standard errors are left once in 1e4 runs
        assert abs(p.value - value) < 5.0 * p.stderr
        assert p.ci95[0] < p.value < p.ci95[1]
    # the deepest minimum lies below the truth
    assert found.chi2 <= float(np.sum(noise(len(x), sigma, 3) ** 2)) / sigma**2


@pytest.mark.parametrize("case", ["stretched decay", "offset", "Gaussian spread"])
def test_95_percent_intervals_hold_the_truth_at_their_rate(case):
    # as in test_fit_models: 89 to 99 of 100 are hardly ever left
    fit, function, x, truth = PLANTED[case]
    hits = dict.fromkeys(shown(truth), 0)
    for seed in range(100):
        found = fit(x, function(x, **truth) + noise(len(x), 0.02, seed), 4e-4 * np.eye(len(x)))
        for name, value in shown(truth).items():
            low, high = found.parameters[name].ci95
            hits[name] += (low is None or low <= value) and (high is None or value <= high)
    for name, count in hits.items():
        assert 89 <= count <= 99, (name, count)


@pytest.mark.parametrize("snr", [30, 1e4])
@pytest.mark.parametrize(
    ("fit", "function", "truth", "new"),
    [
        (fit_stretched_recovery, recovery, RECOVERY, "beta"),
        (fit_recovery_of_two, recovery, RECOVERY, "fast_share"),
        (fit_stretched_decay, decay, {"T2": 3.0, "M0": 1.0}, "beta"),
        (fit_decay_of_two, decay, {"T2": 3.0, "M0": 1.0}, "fast_share"),
        (fit_decay_to_offset, decay, {"T2": 3.0, "M0": 1.0}, "offset"),
        (fit_two_exponentials, build_up, {"T": 3.0, "M_inf": 1.0}, "fast_share"),
    ],
)
def test_what_one_exponential_says_as_well_is_withheld(fit, function, truth, new, snr):
    clean = function(LONG, **truth)
    unneeded = 0
    for seed in range(30):
        y = clean + noise(24, 1.0 / snr, seed)
        found = fit(LONG, y, np.eye(24) / snr**2, intervals=LINEAR)
        unneeded += "describes the points as well" in (found.parameters[new].reason or "")
    # kept wrongly at the 5 % level: seven of 30 once in 2000
    assert unneeded >= 24


def test_intervals_stay_where_values_are_withheld():
    y = decay(DELAYS, 3.0, 1.0) + noise(14, 0.01)
    found = fit_decay_to_offset(DELAYS, y, 1e-4 * np.eye(14))
    assert found.parameters["offset"].value is None
    low, high = found.parameters["offset"].ci95
    assert low < 0.0 < high


@pytest.mark.parametrize(
    ("fit", "clean", "main"),
    [
        (fit_stretched_recovery, stretched_recovery(DELAYS, 60.0, 1.0, 0.9, 0.7), "T1"),
        (fit_stretched_decay, stretched_decay(DELAYS, 60.0, 1.0, 0.7), "T2"),
        (fit_gaussian_decay, gaussian_decay(DELAYS, 60.0, 1.0), "T2"),
        (fit_recovery_of_two, recovery_of_two(DELAYS, 0.7, 60.0, 1.0, 0.9, 0.4), "T1_slow"),
        (fit_decay_of_two, decay_of_two(DELAYS, 0.7, 60.0, 1.0, 0.4), "T2_slow"),
    ],
)
def test_a_window_shorter_than_the_time_withholds_it(fit, clean, main):
    found = fit(DELAYS, clean + noise(14, 1e-4), 1e-8 * np.eye(14))
    assert found.parameters[main].value is None
    assert f"15 s, is shorter than {main}" in found.parameters[main].reason


def test_curves_that_begin_at_zero_refuse_negative_times_and_too_few_points():
    for fit, least in (
        (fit_stretched_recovery, 5), (fit_recovery_of_two, 6), (fit_stretched_decay, 4),
        (fit_gaussian_decay, 3), (fit_decay_of_two, 5),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="at least 0 s"):
            fit(DELAYS - 1.0, np.ones(14), np.eye(14))
        with pytest.raises(ValueError, match=f"at least {least} points are needed"):
            fit(DELAYS[: least - 1], 1.0 + np.arange(least - 1.0), np.eye(least - 1))


# --- what the curves stand for -----------------------------------------------------------------


def test_a_gaussian_spread_of_the_field_damps_like_a_gaussian():
    # the sample as the simulator has it: Gauss-Hermite nodes of the channel's `b1_spread`
    field, weight = b1_nodes(0.08, 41)
    y = 2.0 * (weight @ np.sin(2.0 * np.pi * 25e3 * np.outer(field, PULSES)))
    np.testing.assert_allclose(y, gaussian_nutation(PULSES, 25e3, 0.08**2, 2.0), atol=1e-12)
    found = fit_gaussian_nutation(PULSES, y + noise(16, 1e-5), 1e-10 * np.eye(16))
    assert found.value("b1_spread") == pytest.approx(0.08, rel=1e-3)
    assert found.value("frequency") == pytest.approx(25e3, rel=1e-4)


def test_a_lorentzian_spread_of_the_field_damps_exponentially():
    # the middles of equal shares of a Lorentzian of half width 2 %
    share = (np.arange(200_000) + 0.5) / 200_000
    field = 1.0 + 0.02 * np.tan(np.pi * (share - 0.5))
    y = np.array([np.mean(np.sin(2.0 * np.pi * 25e3 * field * t)) for t in PULSES])
    found = fit_nutation(PULSES, y, 1e-6 * np.eye(16))
    assert found.value("decay") == pytest.approx(1.0 / (2.0 * np.pi * 25e3 * 0.02), rel=1e-3)


def test_a_spread_that_is_not_seen_has_an_upper_limit():
    y = undamped_nutation(PULSES, 25e3, 1.0) + noise(16, 0.02)
    spread = fit_gaussian_nutation(PULSES, y, 4e-4 * np.eye(16)).parameters["b1_spread"]
    assert spread.value is None
    assert "no damping is seen" in spread.reason
    assert "spread below" in spread.reason
    # 5 % would take 18 % off the last of 16 points with 2 % noise
    assert spread.ci95[0] is None
    assert 0.0 < spread.ci95[1] < 0.05


def test_two_t1_of_cross_relaxation_are_those_of_solomons_equations():
    # two like spins, one of them inverted: rates rho +- sigma with equal shares
    rho, sigma = 0.5, -0.3
    rates = -np.array([[rho, sigma], [sigma, rho]])
    y = np.array([1.0 + (expm(rates * t) @ [-2.0, 0.0])[0] for t in LONG])
    found = fit_recovery_of_two(LONG, y + noise(24, 1e-5), 1e-10 * np.eye(24))
    expected = {
        "T1_fast": 1.0 / 0.8, "T1_slow": 1.0 / 0.2, "M_inf": 1.0, "inversion": 1.0,
        "fast_share": 0.5,
    }  # fmt: skip
    estimates = {n: p.value for n, p in found.parameters.items()}
    assert estimates == pytest.approx(expected, rel=2e-3)


def test_a_stretch_of_one_half_is_a_levy_distribution_of_rates():
    # exp(-sqrt(t/T)) is the mean of exp(-r t/T) over r = 1/(2 z^2), z normal
    z = norm.ppf(0.5 + 0.5 * (np.arange(100_000) + 0.5) / 100_000)
    y = np.array([np.mean(np.exp(-t / 3.0 / (2.0 * z**2))) for t in DELAYS])
    found = fit_stretched_decay(DELAYS, y, 1e-6 * np.eye(14))
    assert found.value("beta") == pytest.approx(0.5, abs=1e-3)
    assert found.value("T2") == pytest.approx(3.0, rel=2e-3)


# --- comparison ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "curve", "x", "clean"),
    [
        ("recovery", "stretched", DELAYS, stretched_recovery(DELAYS, **STRETCHED_T1)),
        ("recovery", "bi-exponential", LONG, recovery_of_two(LONG, 0.3, 12.0, -1.0, 1.0, 0.5)),
        ("saturation", "stretched", DELAYS, stretched_recovery(DELAYS, 2.0, -1.0, 0.0, 0.5)),
        ("decay", "gaussian", DELAYS, gaussian_decay(DELAYS, 3.0, 1.0)),
        ("decay", "stretched", DELAYS, stretched_decay(DELAYS, 3.0, 1.0, 1.5)),
        ("decay", "bi-exponential", LONG, decay_of_two(LONG, 0.3, 12.0, 1.0, 0.5)),
        ("decay", "offset", DELAYS, decay_to_offset(DELAYS, 2.0, 1.0, 0.3)),
        ("nutation", "damped", PULSES, nutation(PULSES, 25e3, 2e4, 1.0)),
        ("nutation", "gaussian", PULSES, gaussian_nutation(PULSES, **SPREAD)),
    ],
)
def test_the_planted_curve_is_the_one_that_is_named(model, curve, x, clean):
    found = compare_curves(model, x, clean + noise(len(x), 0.005, 1), 2.5e-5 * np.eye(len(x)))
    assert [c.curve for c in found.candidates] == list(CURVES[model])
    assert found.gives_up_simplest
    assert found.preferred == curve or curve in found.alike
    right = next(c for c in found.candidates if c.curve == curve)
    assert right.p_value > 1e-3
    assert right.largest_difference > 0.02
    # the order in which rows were recorded says nothing
    again = compare_curves(
        model, x[::-1], (clean + noise(len(x), 0.005, 1))[::-1], 2.5e-5 * np.eye(len(x))
    )
    assert again.preferred == found.preferred
    assert again.alike == found.alike


@pytest.mark.parametrize("snr", [10, 100, 1e4])
@pytest.mark.parametrize(
    ("model", "x", "clean"),
    [
        ("recovery", DELAYS, recovery(DELAYS, **RECOVERY)),
        ("saturation", DELAYS, recovery(DELAYS, 3.0, -1.0, -0.05)),
        ("decay", DELAYS, decay(DELAYS, 3.0, -1.0)),
        ("nutation", PULSES, undamped_nutation(PULSES, 25e3, 1.0)),
    ],
)
def test_a_percent_of_systematic_error_names_no_other_curve(model, x, clean, snr):
    # compressed by a percent where it is large, and falling by a percent along the rows
    bent = clean * (1.0 - 0.01 * np.abs(clean)) * (1.0 - 0.01 * np.arange(len(x)) / len(x))
    for seed in range(4):
        y = bent + noise(len(x), 1.0 / snr, seed)
        found = compare_curves(model, x, y, np.eye(len(x)) / snr**2)
        assert found.preferred == next(iter(CURVES[model]))
        assert not found.gives_up_simplest
    if snr == 1e4:  # a difference that any test finds is told as what it is
        assert "within usual systematic errors (2 %)" in found.words


def test_scatter_that_no_curve_describes_establishes_none():
    # 5 % where 0.5 % are stated
    for seed in range(10):
        y = recovery(DELAYS, **RECOVERY) + noise(14, 0.05, seed)
        found = compare_curves("recovery", DELAYS, y, 2.5e-5 * np.eye(14))
        assert not found.gives_up_simplest
        assert "clearly" not in found.words
        assert f"even {found.preferred} is off the points by up to" in found.words


def test_a_gaussian_decay_is_no_special_case_of_the_simple_one():
    y = gaussian_decay(DELAYS, 3.0, 1.0) + noise(14, 0.01)
    found = compare_curves("decay", DELAYS, y, 1e-4 * np.eye(14))
    gaussian = next(c for c in found.candidates if c.curve == "gaussian")
    assert gaussian.F is None
    # it is nested in the stretched one, so that this cannot be told from it
    assert found.preferred == "gaussian"
    assert found.alike == ("stretched",)
    assert "cannot be told from stretched" in found.words


def test_few_points_compare_what_they_can():
    t = np.array([0.3, 1.0, 3.0, 9.0])
    found = compare_curves("decay", t, decay(t, 3.0, 1.0), 1e-4 * np.eye(4))
    assert [c.curve for c in found.candidates] == ["mono", "gaussian", "stretched", "offset"]


def test_an_inversion_fitted_as_a_stretched_saturation_is_warned_about():
    y = stretched_recovery(DELAYS, **STRETCHED_T1) + noise(14, 0.001)
    fit = CURVES["saturation"]["stretched"].fit
    found = fit(DELAYS, y, 1e-6 * np.eye(14), intervals=LINEAR)
    assert any("inverted" in w for w in found.warnings)
