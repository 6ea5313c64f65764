"""Intervals that mean what they say: profiles, resampling, chains, and what stays open."""

import lmfit
import numpy as np
import pytest
from scipy import stats

from nmrqb import fit_curve
from nmrqb.analysis.curves import fit_charging, fit_decay, fit_recovery, recovery
from nmrqb.analysis.intervals import LINEAR, Intervals, Limits
from nmrqb.battery.charging_time import exponential_approach

X = np.linspace(0.0, 10.0, 12)
LINE = 2.0 * X - 1.0 + 0.1 * np.sin(17.0 * X)
STARTS = {"a": 1.0, "b": 0.0}


def line(x, a, b):
    return a * x + b


def test_the_profile_of_a_straight_line_is_the_textbook_interval():
    fit = fit_curve(line, X, LINE, STARTS, sigma=0.1)
    for p in fit.parameters.values():
        low, high = p.ci95
        # the level is met to 3e-3
        assert p.value - low == pytest.approx(1.96 * p.stderr, rel=5e-3)
        assert high - p.value == pytest.approx(1.96 * p.stderr, rel=5e-3)


def test_without_sigma_the_profile_takes_students_quantile_of_the_residuals():
    fit = fit_curve(line, X, LINE, STARTS)
    p = fit.parameters["a"]
    t = stats.t.ppf(0.975, len(X) - 2)
    assert p.ci95[1] - p.value == pytest.approx(t * p.stderr, rel=5e-3)


def test_a_profile_does_not_depend_on_how_a_number_is_written():
    # the same decay by its rate and by its time: 1/interval is the interval of the inverse
    rng = np.random.default_rng(4)
    y = np.exp(-X / 3.0) + 0.1 * rng.normal(size=len(X))
    by_time = fit_curve(lambda x, T, M: M * np.exp(-x / T), X, y, {"T": 3.0, "M": 1.0}, sigma=0.1)
    by_rate = fit_curve(lambda x, R, M: M * np.exp(-R * x), X, y, {"R": 0.3, "M": 1.0}, sigma=0.1)
    low, high = by_time.parameters["T"].ci95
    fast, slow = by_rate.parameters["R"].ci95[::-1]
    assert (low, high) == pytest.approx((1.0 / fast, 1.0 / slow), rel=5e-3)
    # and it is not symmetric: a linear one of either would be
    assert high - by_time.value("T") > 1.2 * (by_time.value("T") - low)


def test_both_ends_of_a_profile_lie_at_the_stated_rise_of_chi_square():
    rng = np.random.default_rng(8)
    times = np.geomspace(0.05, 12.0, 14)
    y = recovery(times, 3.0, 1.0, 0.9) + 0.05 * rng.normal(size=14)
    fit = fit_recovery(times, y, 0.0025 * np.eye(14))
    for end in fit.parameters["T1"].ci95:
        # with T1 held the other two are linear: an independent least squares
        design = np.stack([np.ones(14), -np.exp(-times / end)], axis=1) / 0.05
        rest = np.linalg.lstsq(design, y / 0.05, rcond=None)[1]
        assert rest[0] - fit.chi2 == pytest.approx(1.96**2, rel=0.02)


def test_a_window_half_as_long_as_tau_gives_an_open_interval_and_no_value():
    # tau = 8, 2 % noise, data to 4
    t = np.linspace(0.0, 4.0, 15)
    held, opened = 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        y = exponential_approach(t, 1.0, 0.0, 8.0) + 0.02 * rng.normal(size=15)
        p = fit_charging(t, y, 4e-4 * np.eye(15)).parameters["tau"]
        low, high = p.ci95
        held += (low is None or low <= 8.0) and (high is None or high >= 8.0)
        opened += high is None
        if p.value is None:
            assert "not identifiable" in p.reason
        else:  # what is printed has two ends, which hold the truth or nearly
            assert p.value < 4.0
            assert high is not None
    # 95 % of 40 are 38 +- 1.4; three of those below
    assert held >= 34
    assert opened >= 10


def test_the_interval_of_a_withheld_time_stays():
    t = np.linspace(0.0, 4.0, 15)
    y = exponential_approach(t, 1.0, 0.0, 8.0)
    fit = fit_charging(t, y + 0.002 * np.sin(40.0 * t), 4e-6 * np.eye(15))
    p = fit.parameters["tau"]
    assert p.value is None
    assert "the window, 4 s, is shorter than tau" in p.reason
    assert p.ci95[0] < 8.0 < p.ci95[1]


@pytest.mark.parametrize("method", ["monte-carlo", "bootstrap", "emcee"])
def test_random_methods_agree_with_the_linear_model_where_it_is_exact(method):
    # residuals of 0.1 rms, as stated, so that the bootstrap has the same errors
    rng = np.random.default_rng(1)
    noise = rng.normal(size=len(X))
    design = np.stack([X, np.ones(len(X))], axis=1)
    noise -= design @ np.linalg.lstsq(design, noise, rcond=None)[0]
    y = line(X, 2.0, -1.0) + 0.1 * noise * np.sqrt((len(X) - 2) / (noise @ noise))
    how = Intervals(method=method, seed=5, samples=600)
    fit = fit_curve(line, X, y, STARTS, sigma=0.1, intervals=how)
    exact = fit_curve(line, X, y, STARTS, sigma=0.1, intervals=LINEAR)
    for name, p in fit.parameters.items():
        true = exact.parameters[name]
        # 600 samples know a standard deviation to 4 % and a 97.5 % point to 5 % of 1.96
        assert p.stderr == pytest.approx(true.stderr, rel=0.2)
        assert p.ci95[0] == pytest.approx(true.ci95[0], abs=0.5 * true.stderr)
        assert p.ci95[1] == pytest.approx(true.ci95[1], abs=0.5 * true.stderr)
    assert fit.intervals == how


def test_a_seed_gives_the_same_interval_and_another_seed_another():
    def ends(seed):
        how = Intervals(method="bootstrap", seed=seed, samples=100)
        return fit_curve(line, X, LINE, STARTS, intervals=how).parameters["a"].ci95

    assert ends(1) == ends(1)
    assert ends(1) != ends(2)


def test_random_methods_need_a_seed():
    with pytest.raises(ValueError, match="seed"):
        Intervals(method="emcee")
    with pytest.raises(ValueError, match="method"):
        Intervals(method="guess")


def test_a_profile_ends_at_a_bound_as_open_and_the_other_end_stands_at_three_standard_errors():
    parameters = lmfit.Parameters()
    parameters.add("a", value=0.05, min=0.0)
    y = 0.05 * X + 0.5 * np.cos(9.0 * X)
    p = fit_curve(lambda x, a: a * x, X, y, parameters, sigma=1.0).parameters["a"]
    assert p.ci95[0] is None
    # one linear parameter: chi-square is a parabola
    assert p.ci95[1] == pytest.approx(X @ y / (X @ X) + 3.0 / np.linalg.norm(X), rel=0.01)


def test_constrained_parameters_follow_in_profiles_and_refits():
    parameters = lmfit.Parameters()
    parameters.add("a", value=1.0)
    parameters.add("b", expr="-0.5 * a")
    y = line(X, 2.0, -1.0) + 0.1 * np.sin(13.0 * X)
    for how in (Intervals(), Intervals(method="monte-carlo", seed=2, samples=200)):
        fit = fit_curve(line, X, y, parameters, sigma=0.1, intervals=how)
        slope = X - 0.5
        stderr = 0.1 / np.linalg.norm(slope)
        assert fit.value("a") == pytest.approx(slope @ y / (slope @ slope), rel=1e-6)
        half = fit.parameters["a"].ci95[1] - fit.value("a")
        # 200 refits know their 97.5 % point to 9 %; four of those
        assert half == pytest.approx(1.96 * stderr, rel=0.36 if how.seed else 5e-3)


# --- outliers -----------------------------------------------------------------------------------


def test_a_wild_point_is_named_with_its_place_and_size():
    times = np.geomspace(0.1, 12.0, 14)
    y = np.exp(-times / 3.0) + 0.01 * np.random.default_rng(0).normal(size=14)
    y[5] += 0.12
    fit = fit_decay(times, y, 1e-4 * np.eye(14))
    (outlier,) = fit.outliers
    assert outlier.x == times[5]
    assert outlier.y == y[5]
    # the curve through the other 13, and the error of the distance to it
    rest = np.delete(np.arange(14), 5)
    others = fit_decay(times[rest], y[rest], 1e-4 * np.eye(13))
    t2, m0 = others.value("T2"), others.value("M0")
    shape = np.exp(-times[5] / t2)
    slope = np.array([m0 * shape * times[5] / t2**2, shape])
    sigma = np.sqrt(1e-4 + slope @ others.covariance @ slope / others.error_scale**2)
    distance = (y[5] - m0 * shape) / sigma / max(others.error_scale, 1.0)
    assert outlier.deviation == pytest.approx(distance, rel=0.05)
    assert any(f"the point at {times[5]:.6g} is an outlier" in w for w in fit.warnings)


def test_series_without_an_outlier_name_one_in_a_hundred():
    times = np.geomspace(0.1, 12.0, 14)
    named = 0
    for seed in range(200):
        y = np.exp(-times / 3.0) + 0.02 * np.random.default_rng(seed).normal(size=14)
        named += bool(fit_decay(times, y, 4e-4 * np.eye(14), intervals=LINEAR).outliers)
    assert named <= 8  # 2 +- 1.4, and scatter that is judged by itself; four of those


def test_scattered_points_are_not_all_outliers():
    # stated errors a tenth of the scatter: no point contradicts the others
    times = np.geomspace(0.1, 12.0, 14)
    y = np.exp(-times / 3.0) + 0.05 * np.random.default_rng(3).normal(size=14)
    fit = fit_decay(times, y, 2.5e-5 * np.eye(14))
    assert fit.error_scale > 5.0
    assert not fit.outliers


def constant(t, m):
    return m + 0.0 * t


def mean_below_a_bound(x):
    """Return the interval of a mean that is at most 0, from one number with the error 1."""
    parameters = lmfit.Parameters()
    parameters.add("m", value=-0.5, max=0.0)
    parameters["m"].user_data = Limits(high=0.0)
    points = x + np.array([-1.0, 1.0])  # a fit needs two points: their mean has the error 1
    fit = fit_curve(constant, np.zeros(2), points, parameters, sigma=np.sqrt(2.0))
    return fit.parameters["m"].ci95


@pytest.mark.parametrize(("x", "low"), [(0.0, -1.96), (1.0, -1.10), (3.0, -0.42)])
def test_next_to_a_bound_of_nature_limits_are_those_of_feldman_and_cousins(x, low):
    # their Table X at 95 %, mirrored: x = 0.0, -1.0, -3.0 give 1.96, 1.10 and 0.42
    assert mean_below_a_bound(x) == (pytest.approx(low, abs=0.011), 0.0)


@pytest.mark.parametrize("distance", [0.0, 0.3, 1.0, 1.7, 3.0])
def test_intervals_that_end_at_a_bound_of_nature_hold_95_percent(distance):
    x = np.linspace(-5.0, 3.0, 161) - distance  # 3 errors away the stated ones are still believed
    held = [low <= -distance <= high for low, high in map(mean_below_a_bound, x)]
    weight = stats.norm.pdf(x + distance) * (x[1] - x[0])
    # the ends are met to 3e-3 of 1.96 (7e-4 of the probability) and to half a step (3e-3)
    assert np.sum(weight * held) == pytest.approx(0.95, abs=4e-3)


def test_refits_open_and_close_intervals_as_profiles_do():
    error = 1.0 / np.linalg.norm(X)

    def ends(**limits):
        parameters = lmfit.Parameters()
        parameters.add("a", value=0.05, min=0.0)
        parameters["a"].user_data = Limits(**limits)
        how = Intervals(method="monte-carlo", seed=2, samples=2000)
        fit = fit_curve(
            lambda x, a: a * x, X, 0.5 * error * X, parameters, sigma=1.0, intervals=how
        )
        return fit.parameters["a"].ci95

    low, high = ends()
    assert low is None
    # the third largest of 2000 scatters by a tenth of its distance
    assert high == pytest.approx(3.5 * error, rel=0.2)
    low, high = ends(low=0.0)
    assert low == pytest.approx(0.0, abs=1e-6)
    assert high == pytest.approx((0.5 + 1.96) * error, rel=0.1)
