"""Charging that oscillates, alternates, or builds up in two steps; curves beside one another."""

import numpy as np
import pytest

from nmrqb.analysis.alternating import fit_alternating, fit_approach, is_alternating
from nmrqb.analysis.biexponential import fit_two_exponentials, two_exponentials
from nmrqb.analysis.buildup import build_up, fit_build_up
from nmrqb.analysis.curves import fit_charging
from nmrqb.analysis.damped_cosine import fit_damped_cosine
from nmrqb.analysis.intervals import LINEAR
from nmrqb.analysis.model_choice import compare_models
from nmrqb.battery.charging_time import damped_cosine, exponential_approach
from nmrqb.models.closed_map import fixed_point

TIMES = np.linspace(0.0, 15.0, 24)
CYCLES = np.arange(11)


def noise(sigma, points, seed=0):
    return sigma * np.random.default_rng(seed).normal(size=points)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("phi", [0.3, -2.0])
def test_a_damped_cosine_comes_back_with_the_papers_four_numbers(sign, phi):
    y = damped_cosine(TIMES, sign * 0.7, 4.0, 2.1, phi)
    fit = fit_damped_cosine(TIMES, y + noise(1e-5, 24), 1e-10 * np.eye(24))
    found = {n: fit.value(n) for n in ("tau", "E_inf", "omega", "phi")}
    expected = {"tau": 4.0, "E_inf": sign * 0.7, "omega": 2.1, "phi": phi}
    assert found == pytest.approx(expected, rel=1e-3)
    assert {n: p.unit for n, p in fit.parameters.items()} == {
        "tau": "s", "E_inf": "", "omega": "rad/s", "phi": "rad",
    }  # fmt: skip


def test_an_exponential_has_no_frequency():
    for seed in range(10):
        y = exponential_approach(TIMES, 1.0, 0.0, 3.0) + noise(0.05, 24, seed)
        fit = fit_damped_cosine(TIMES, y, 0.0025 * np.eye(24))
        assert fit.parameters["omega"].value is None
        assert "no oscillation is established" in fit.parameters["omega"].reason


def test_points_too_sparse_for_a_frequency_do_not_choose_one_of_its_aliases():
    # equal steps of 3: omega and 2 pi/3 - omega are one curve at the points
    t = 3.0 * np.arange(12)
    y = damped_cosine(t, 1.0, 12.0, 0.4, 0.0)
    fit = fit_damped_cosine(t, y + noise(0.01, 12), 1e-4 * np.eye(12))
    omega = fit.parameters["omega"].value
    assert omega is None or omega == pytest.approx(0.4, abs=0.02)


def test_a_transfer_above_one_alternates_and_is_fitted_with_its_sign():
    # constant chargers: p -> (1 - b)(p q + p_eq (1 - q)) + b C, b = 1.2
    b, q, p_eq, charger = 1.2, 0.95, 0.25, -1.0
    p = [0.0]
    for _ in range(10):
        p.append((1.0 - b) * (p[-1] * q + p_eq * (1.0 - q)) + b * charger)
    energy = -np.array(p)
    times = 7.0 * CYCLES
    y = energy + noise(0.004, 11)
    covariance = 1.6e-5 * np.eye(11)
    assert is_alternating(CYCLES, y, covariance)
    fit = fit_approach(times, y, covariance, cycles=CYCLES)
    low, high = fit.parameters["factor"].ci95
    assert low < (1.0 - b) * q < high
    low, high = fit.parameters["E_inf"].ci95
    assert low < -fixed_point(b, charger, q, p_eq) < high
    low, high = fit.parameters["tau"].ci95
    assert low < -7.0 / np.log(-(1.0 - b) * q) < high
    assert any("alternates" in w for w in fit.warnings)
    np.testing.assert_allclose(fit.curve(times), energy, atol=0.02)


def test_a_monotonic_approach_is_not_called_alternating():
    for seed in range(20):
        y = exponential_approach(7.0 * CYCLES, 0.8, 0.0, 15.0) + noise(0.03, 11, seed)
        assert not is_alternating(CYCLES, y, 9e-4 * np.eye(11))


def test_without_cycles_nobody_sees_an_alternation():
    y = 0.6 - 0.6 * (-0.5) ** CYCLES
    fit = fit_approach(7.0 * CYCLES, y + noise(0.01, 11), 1e-4 * np.eye(11))
    assert "factor" not in fit.parameters
    assert "factor" in fit_alternating(CYCLES, 7.0, y, 1e-4 * np.eye(11)).parameters


def test_two_exponentials_come_back_named_by_their_speed():
    t = np.geomspace(0.05, 60.0, 24)
    y = two_exponentials(t, 0.7, 12.0, -2.0, 0.35)
    fit = fit_two_exponentials(t, y + noise(1e-4, 24), 1e-8 * np.eye(24))
    found = {n: p.value for n, p in fit.parameters.items()}
    expected = {"T_fast": 0.7, "T_slow": 12.0, "M_inf": -2.0, "fast_share": 0.35}
    assert found == pytest.approx(expected, rel=5e-3)


def test_one_exponential_is_not_split_in_two():
    t = np.geomspace(0.05, 20.0, 20)
    for seed in range(5):
        y = build_up(t, 3.0, 1.0) + noise(0.02, 20, seed)
        fit = fit_two_exponentials(t, y, 4e-4 * np.eye(20), intervals=LINEAR)
        split = [n for n in ("T_fast", "T_slow", "fast_share") if fit.parameters[n].value is None]
        assert split, fit
    assert "one exponential" in fit.parameters["T_slow"].reason


def test_a_slow_part_beyond_the_window_is_withheld():
    t = np.geomspace(0.05, 10.0, 24)
    y = two_exponentials(t, 0.5, 40.0, 1.0, 0.3)
    fit = fit_two_exponentials(t, y + noise(1e-4, 24), 1e-8 * np.eye(24))
    assert fit.parameters["T_slow"].value is None
    assert "10 s, is shorter than T_slow" in fit.parameters["T_slow"].reason
    assert fit.value("T_fast") == pytest.approx(0.5, rel=0.02)


def test_a_build_up_curve_that_is_asked_for_is_reported():
    t = np.geomspace(0.05, 12.0, 14)
    y = build_up(t, 4.0, 1.0, 0.63) + noise(0.005, 14)
    covariance = 2.5e-5 * np.eye(14)
    mono = fit_build_up(t, y, covariance, curve="mono")
    assert list(mono.parameters) == ["T", "M_inf"]
    assert any("NOT mono-exponential" in w and "as asked" in w for w in mono.warnings)
    stretched = fit_build_up(t, build_up(t, 4.0, 1.0) + noise(0.005, 14), covariance,
                             curve="stretched")  # fmt: skip
    low, high = stretched.parameters["beta"].ci95
    assert low < 1.0 < high


# --- comparison ---------------------------------------------------------------------------------


def test_criteria_and_f_test_are_those_of_the_textbook():
    y = damped_cosine(TIMES, 0.7, 4.0, 2.1, 0.3) + noise(0.05, 24)
    matrix = 0.0025 * np.eye(24)
    fits = {
        "exponential": fit_charging(TIMES, y, matrix, intervals=LINEAR),
        "damped-cosine": fit_damped_cosine(TIMES, y, matrix, intervals=LINEAR),
    }
    found = compare_models(fits, ["damped-cosine"], TIMES, y)
    assert found.preferred == "damped-cosine"
    plain, cosine = found.candidates
    assert cosine.bic == pytest.approx(cosine.chi2 + 4 * np.log(24))
    assert cosine.aic == pytest.approx(cosine.chi2 + 2 * 4 + 2 * 4 * 5 / (24 - 4 - 1))
    assert plain.F is None
    # errors are stated and hold: the ratio is a chi-square of one degree
    assert pytest.approx(plain.chi2 - cosine.chi2) == cosine.F
    assert cosine.F_p_value < 1e-6
    assert "damped-cosine is clearly preferred" in found.words


def test_the_simplest_curve_is_kept_where_nothing_speaks_for_another():
    preferred = []
    for seed in range(20):
        y = exponential_approach(TIMES, 1.0, 0.0, 3.0) + noise(0.05, 24, seed)
        matrix = 0.0025 * np.eye(24)
        fits = {
            "exponential": fit_charging(TIMES, y, matrix, intervals=LINEAR),
            "damped-cosine": fit_damped_cosine(TIMES, y, matrix, intervals=LINEAR),
        }
        preferred.append(compare_models(fits, ["damped-cosine"], TIMES, y).preferred)
    # a search over a dozen frequencies gains ln(24) now and then
    assert preferred.count("exponential") >= 14
