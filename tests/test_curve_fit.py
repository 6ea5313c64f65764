"""Curve fits: known answers, intervals that hold, and numbers withheld where they mean nothing."""

import lmfit
import numpy as np
import pytest
from nist_datasets import CERTIFIED

from nmrqb import fit_curve
from nmrqb.analysis.curve_fit import with_scale_error
from nmrqb.analysis.curves import fit_charging, fit_recovery, recovery
from nmrqb.battery.charging_time import exponential_approach

TIMES = np.array([0.0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 10, 13, 17])


def test_a_straight_line_has_the_textbook_errors():
    x = np.arange(10.0)
    y = 2.0 * x - 1.0 + 0.1 * np.sin(17 * x)
    fit = fit_curve(lambda x, a, b: a * x + b, x, y, {"a": 1.0, "b": 0.0}, sigma=0.1)
    design = np.stack([x, np.ones(10)], axis=1)
    covariance = 0.01 * np.linalg.inv(design.T @ design)
    solution = np.linalg.lstsq(design, y, rcond=None)[0]
    for k, name in enumerate(("a", "b")):
        assert fit.value(name) == pytest.approx(solution[k], abs=1e-9)
        assert fit.parameters[name].stderr == pytest.approx(np.sqrt(covariance[k, k]), rel=1e-6)
        assert fit.error_scale == 1.0


def test_correlated_errors_are_whitened():
    # two readings of one number with a common error: generalised least squares in closed form
    covariance = np.array([[2.0, 1.0, 1.0], [1.0, 3.0, 1.0], [1.0, 1.0, 5.0]])
    y = np.array([1.0, 2.0, 4.0])
    weights = np.linalg.inv(covariance)
    best = np.ones(3) @ weights @ y / weights.sum()
    fit = fit_curve(lambda x, m: m + 0 * x, np.arange(3), y, {"m": 0.0}, covariance=covariance)
    assert fit.value("m") == pytest.approx(best, rel=1e-8)
    assert fit.parameters["m"].stderr == pytest.approx(weights.sum() ** -0.5, rel=1e-6)


def test_errors_are_scaled_and_said_to_be_where_the_residuals_exceed_them():
    rng = np.random.default_rng(1)
    y = 5.0 + 30.0 * rng.normal(size=50)
    fit = fit_curve(lambda x, m: m + 0 * x, np.arange(50), y, {"m": 0.0}, sigma=1.0)
    assert fit.error_scale == pytest.approx(30.0, rel=0.3)
    assert "scaled" in fit.warnings[0]
    assert fit.parameters["m"].stderr == pytest.approx(30.0 / np.sqrt(50), rel=0.3)


def test_a_parameter_without_influence_is_withheld_with_the_reason():
    fit = fit_curve(
        lambda x, a, b: a * x + 0 * b, TIMES, TIMES.copy(), {"a": 1.0, "b": 3.0}, sigma=1.0
    )
    assert fit.parameters["b"].value is None
    assert "do not depend on b" in fit.parameters["b"].reason


def test_two_parameters_that_act_as_one_are_withheld():
    fit = fit_curve(lambda x, a, b: (a + b) * x, TIMES, 2 * TIMES, {"a": 1.0, "b": 0.5}, sigma=1.0)
    assert not fit.is_identifiable
    assert "cannot be told apart" in fit.parameters["a"].reason


def test_a_parameter_at_its_bound_is_withheld():
    parameters = lmfit.Parameters()
    parameters.add("a", value=0.5, min=0.0, max=1.0)
    fit = fit_curve(lambda x, a: a * x, TIMES, 3.0 * TIMES, parameters, sigma=1.0)
    assert "upper bound" in fit.parameters["a"].reason


def test_a_parameter_that_is_truly_zero_keeps_its_error():
    y = exponential_approach(TIMES, 1.0, 0.0, 3.0)
    fit = fit_charging(TIMES, y, 1e-4 * np.eye(len(TIMES)))
    assert fit.value("E_0") == pytest.approx(0.0, abs=1e-6)
    assert fit.parameters["E_0"].stderr == pytest.approx(0.009, rel=0.2)


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="at least 3 points"):
        fit_curve(lambda x, a, b: a * x + b, [0.0, 1.0], [0.0, 1.0], {"a": 1.0, "b": 1.0})


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_recovery_is_found_for_either_sign_and_any_order(sign):
    y = recovery(TIMES, 2.5, sign * 3.0, 0.9)
    order = np.random.default_rng(0).permutation(len(TIMES))
    fit = fit_recovery(TIMES[order], y[order], 1e-6 * np.eye(len(TIMES)))
    assert fit.value("T1") == pytest.approx(2.5, rel=1e-6)
    assert fit.value("M_inf") == pytest.approx(sign * 3.0, rel=1e-6)
    assert fit.value("inversion") == pytest.approx(0.9, rel=1e-6)


def test_intervals_of_tau_hold_at_their_rate():
    rng = np.random.default_rng(7)
    truth = exponential_approach(TIMES, 0.8, -0.2, 3.0)
    sigma = 0.02
    hits, count = 0, 400
    for _ in range(count):
        y = truth + sigma * rng.normal(size=len(TIMES))
        low, high = fit_charging(TIMES, y, sigma**2 * np.eye(len(TIMES))).parameters["tau"].ci95
        hits += low <= 3.0 <= high
    # 95 % of 400 is 380 +- 4.4; four sigma below
    assert hits >= 380 - 18


def test_a_window_shorter_than_tau_is_not_identifiable():
    t = np.linspace(0, 4, 15)
    rng = np.random.default_rng(3)
    for _ in range(20):
        y = exponential_approach(t, 1.0, 0.0, 8.0) + 0.02 * rng.normal(size=15)
        fit = fit_charging(t, y, 4e-4 * np.eye(15))
        if fit.parameters["tau"].value is None:
            assert "not identifiable" in fit.parameters["tau"].reason
        else:  # whatever is still printed must hold the truth within its wide interval
            low, high = fit.parameters["tau"].ci95
            assert low < 8.0 < high or fit.parameters["tau"].stderr > 0.2 * fit.value("tau")


def test_a_constant_has_no_charging_time():
    rng = np.random.default_rng(5)
    for _ in range(20):
        fit = fit_charging(TIMES, 0.5 + 0.01 * rng.normal(size=12), 1e-4 * np.eye(12))
        tau = fit.parameters["tau"]
        assert tau.value is None or tau.stderr > 0.2 * tau.value or fit.p_value < 1.0
        level = fit.parameters["E_inf"].value
        assert level is None or level == pytest.approx(0.5, abs=0.2)


def test_a_common_factor_adds_to_levels_and_not_to_times():
    y = exponential_approach(TIMES, 0.8, 0.1, 3.0)
    own = 1e-6 * np.eye(len(TIMES))
    plain, scaled = fit_charging(TIMES, y, own), fit_charging(TIMES, y, own, scale_error=0.05)
    assert scaled.parameters["tau"].stderr == pytest.approx(plain.parameters["tau"].stderr)
    assert scaled.parameters["E_inf"].stderr == pytest.approx(0.04, rel=0.01)
    assert scaled.parameters["E_0"].stderr == pytest.approx(0.005, rel=0.05)
    assert with_scale_error(plain, ("E_inf",), 0.0) is plain


def test_a_tau_far_below_the_first_step_is_not_identifiable():
    # every point but the first has arrived: tau could be anything below 0.2 s
    times = np.array([0.0, 20.0, 40.0, 60.0, 80.0, 120.0])
    energy = np.array([0.015, -2.31, -2.28, -2.35, -2.29, -2.27])
    fit = fit_charging(times, energy, 0.05**2 * np.eye(6))
    assert fit.parameters["tau"].value is None
    assert "not identifiable" in fit.parameters["tau"].reason


MODELS = {
    "Misra1a": lambda x, b1, b2: b1 * (1 - np.exp(-b2 * x)),
    "BoxBOD": lambda x, b1, b2: b1 * (1 - np.exp(-b2 * x)),
    "Lanczos3": lambda x, b1, b2, b3, b4, b5, b6: (
        b1 * np.exp(-b2 * x) + b3 * np.exp(-b4 * x) + b5 * np.exp(-b6 * x)
    ),
    "MGH17": lambda x, b1, b2, b3, b4, b5: b1 + b2 * np.exp(-x * b4) + b3 * np.exp(-x * b5),
}


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("name", list(MODELS))
def test_certified_regressions_are_met_to_six_digits_from_both_starts(name, start):
    table = CERTIFIED[name]
    names = [f"b{k}" for k in range(1, len(table["parameters"]) + 1)]
    fit = fit_curve(
        MODELS[name],
        np.array(table["x"]),
        np.array(table["y"]),
        dict(zip(names, table["starts"][start], strict=True)),
    )
    values = [fit.value(k) for k in names]
    assert values == pytest.approx(table["parameters"], rel=5e-6)
    # no sigma was given: it comes from the residuals, as in the certificate
    errors = [fit.parameters[k].stderr for k in names]
    assert errors == pytest.approx(table["stderr"], rel=2e-5)


def test_an_lmfit_model_is_fitted_like_its_function_with_its_hints():
    from lmfit.models import ConstantModel, ExponentialModel

    x = np.linspace(0.0, 10.0, 15)
    y = 2.0 * np.exp(-x / 3.0) + 0.5 + 0.01 * np.sin(29.0 * x)
    model = ExponentialModel(prefix="fall_") + ConstantModel(prefix="rest_")
    model.set_param_hint("rest_c", min=0.0)
    start = {"fall_amplitude": 1.0, "fall_decay": 1.0, "rest_c": 0.1}
    of_model = fit_curve(model, x, y, start, sigma=0.01)
    alone = fit_curve(
        lambda x, a, T, c: a * np.exp(-x / T) + c, x, y, {"a": 1.0, "T": 1.0, "c": 0.1}, sigma=0.01
    )
    for name, other in (("fall_amplitude", "a"), ("fall_decay", "T"), ("rest_c", "c")):
        assert of_model.value(name) == pytest.approx(alone.value(other), rel=1e-6)
        assert of_model.parameters[name].ci95 == pytest.approx(
            alone.parameters[other].ci95, rel=1e-4
        )
    # a hint is a bound: below it nothing is looked for
    low = fit_curve(model, x, y - 0.6, start, sigma=0.01)
    assert "lower bound 0" in low.parameters["rest_c"].reason


def test_a_model_without_all_its_parameters_is_refused_by_name():
    from lmfit.models import ExponentialModel

    with pytest.raises(ValueError, match="decay"):
        fit_curve(ExponentialModel(), TIMES, TIMES, lmfit.create_params(amplitude=1.0), sigma=1.0)
