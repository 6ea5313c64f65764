"""Prediction against measurement: chi-square with both uncertainties, and what reconciles them."""

from dataclasses import replace

import numpy as np
import pytest
from planted import changed, measured_curves, plan_with_errors, registered_truth
from scipy.optimize import minimize

from nmrqb import compare
from nmrqb.analysis.compare import measured_energies
from nmrqb.analysis.reconcile import (
    AGREEMENT,
    MeasuredEnergies,
    RegisteredParameter,
    chi_square,
    linear_price,
    prediction_covariance,
    pulls,
    reconcile,
)
from nmrqb.battery.charging import ChargingCurve
from nmrqb.errors import InputError
from nmrqb.studies.changed_prediction import ChangedPrediction
from nmrqb.studies.plan import make_simulator, plan_of, predict, simulate_plan
from nmrqb.studies.plan_parameters import plan_parameters

EFFICIENCY = "efficiency of the charger's hard inversion"


@pytest.fixture(scope="module")
def chloroform():
    return plan_with_errors("asymptotic_chloroform")


def noisy(curve, rng, own=0.01, scale_error=0.01):
    """Return a predicted curve as a measured one with noise and a common factor."""
    factor = 1.0 + scale_error * rng.standard_normal()
    r_z = factor * (curve.magnetisation + own * rng.standard_normal(len(curve.times)))
    covariance = own**2 * np.eye(len(r_z)) + scale_error**2 * np.outer(r_z, r_z)
    measured = ChargingCurve.from_magnetisation(
        times=curve.times,
        r_z=r_z,
        cycles=curve.cycles,
        covariance=covariance,
        start="thermal",
        provenance="test",
    )
    return replace(measured, scale_error=scale_error)


def straight_lines():
    """Return a linear prediction with three parameters, one of them without registered error."""
    rng = np.random.default_rng(4)
    points = 8
    slopes = rng.standard_normal((points, 3))
    parameters = [
        RegisteredParameter(
            name=f"a{k}", value=v, stderr=s, unit="", low=-50.0, high=50.0, source="test"
        )
        for k, (v, s) in enumerate([(1.0, 0.3), (2.0, 0.5), (3.0, None)])
    ]
    own = np.diag(rng.uniform(0.5, 1.5, points)) + 0.1
    y = slopes @ [2.0, 1.0, 3.0] + rng.standard_normal(points)
    measured = MeasuredEnergies(energy=y, own_covariance=own, scale_error=0.0)
    return slopes, parameters, measured


def test_chi_square_with_both_uncertainties_is_the_least_one_over_the_parameters():
    # Woodbury: r^T (C + G S G^T)^-1 r = min over d of (r - G d)^T C^-1 (r - G d) + d^T S^-1 d
    slopes, parameters, measured = straight_lines()
    registered = np.array([p.value for p in parameters])
    r = measured.energy - slopes @ registered
    total = measured.own_covariance + prediction_covariance(parameters, slopes)
    sigma = np.array([0.3, 0.5])

    def held(d):
        rest = r - slopes[:, :2] @ d
        return rest @ np.linalg.solve(measured.own_covariance, rest) + ((d / sigma) ** 2).sum()

    least = minimize(held, np.zeros(2), method="BFGS", options={"gtol": 1e-9})
    assert chi_square(r, total).chi2 == pytest.approx(least.fun, rel=1e-9)
    moved = pulls(measured, slopes @ registered, parameters, slopes)
    np.testing.assert_allclose(moved[:2], least.x / sigma, rtol=1e-5)
    assert moved[2] == 0.0


@pytest.mark.parametrize("free", [[0], [2], [0, 2]])
def test_freed_parameters_of_a_linear_prediction_are_those_of_linear_least_squares(free):
    slopes, parameters, measured = straight_lines()
    found = reconcile(free, parameters, lambda v: slopes @ v, slopes, measured)
    others = [k for k in range(3) if k not in free]
    held = prediction_covariance([parameters[k] for k in others], slopes[:, others])
    weight = np.linalg.inv(measured.own_covariance + held)
    g = slopes[:, free]
    registered = np.array([p.value for p in parameters])
    normal = np.linalg.inv(g.T @ weight @ g)
    step = normal @ g.T @ weight @ (measured.energy - slopes @ registered)
    np.testing.assert_allclose(found.values, registered[free] + step, rtol=1e-4)
    np.testing.assert_allclose(found.stderrs, np.sqrt(np.diag(normal)), rtol=1e-3)
    linear = linear_price(free, parameters, slopes @ registered, slopes, measured)
    assert found.price == pytest.approx(linear, rel=1e-4)
    assert found.after.dof == len(measured.energy) - len(free)


def test_the_predictions_own_error_is_that_of_many_simulations(chloroform):
    rng = np.random.default_rng(5)
    draws = []
    for _ in range(60):
        truth = registered_truth(chloroform, rng)
        draws.append(simulate_plan(truth, make_simulator(truth))[2].energy)
    measured = noisy(predict(chloroform).exact, np.random.default_rng(1))
    found = compare(chloroform, measured)
    # a standard deviation of 60 draws has 9.2 %; three points stand for all, four sigma
    stated = found.predicted_stderr[[1, 4, 8]]
    np.testing.assert_allclose(np.std(draws, axis=0)[[1, 4, 8]], stated, rtol=0.37)


@pytest.mark.parametrize(
    ("name", "true"), [("J", 240.0), (EFFICIENCY, 0.85), ("T1 of the battery", 26.0)]
)
def test_a_wrong_number_of_the_register_is_named_and_found(chloroform, name, true):
    truth = changed(chloroform, **{name: true})
    (curve,) = measured_curves(chloroform, truth, [3])
    found = compare(chloroform, curve)
    assert found.verdict != "agree"
    best = found.answers[0]
    assert best.names == (name,)
    # how often within two: benchmarks/inference.md
    assert abs(best.values[0] - true) < 3.0 * best.stderrs[0]
    assert name in " ".join(found.words())
    registered = next(p for p in found.parameters if p.name == name)
    if registered.stderr:
        cost = (best.values[0] - registered.value) / registered.stderr
        assert best.costs == (pytest.approx(cost),)
    else:
        assert best.costs == (None,)


def test_agreeing_pairs_agree_in_95_percent(chloroform):
    rng = np.random.default_rng(6)
    exact = predict(chloroform).exact
    simulated = ChangedPrediction(chloroform, plan_parameters(chloroform), exact.energy)
    own = prediction_covariance(simulated.registered, simulated.slopes())
    agree = 0
    for _ in range(100):
        truth = registered_truth(chloroform, rng)
        curve = simulate_plan(truth, make_simulator(truth))[2]
        energies = measured_energies(noisy(curve, rng))
        total = energies.covariance(exact.energy) + own
        agree += chi_square(energies.energy - exact.energy, total).p_value >= AGREEMENT
    # 100 with probability 0.95 each: 88 to 99 have probability 0.99
    assert 88 <= agree <= 99


def test_none_of_them_is_an_answer(chloroform):
    exact = predict(chloroform).exact
    odd = 0.1 * (-1.0) ** np.arange(len(exact.times))
    measured = noisy(replace(exact, magnetisation=exact.magnetisation + odd),
                     np.random.default_rng(3))  # fmt: skip
    found = compare(chloroform, measured)
    assert found.verdict == "contradict"
    assert found.status == "no"
    assert not found.answers
    assert "None of" in " ".join(found.words())


def test_two_wrong_numbers_are_found_as_a_pair(chloroform):
    truth = changed(chloroform, **{EFFICIENCY: 0.75, "T1 of the battery": 9.0})
    curve = simulate_plan(truth, make_simulator(truth))[2]
    measured = noisy(curve, np.random.default_rng(4), own=0.002, scale_error=0.002)
    found = compare(chloroform, measured)
    best = found.answers[0]
    assert len(best.names) == 2
    assert "together reconcile" in " ".join(found.words())


def test_the_common_factor_belongs_to_the_prediction(chloroform):
    # a covariance built from the noisy points would prefer low curves; without it chi-square of
    # agreeing pairs has its mean: 9 points, 400 pairs, four sigma = 0.85
    rng = np.random.default_rng(9)
    exact = predict(chloroform).exact
    chi2 = []
    for _ in range(400):
        energies = measured_energies(noisy(exact, rng, own=0.02, scale_error=0.1))
        chi2.append(
            chi_square(energies.energy - exact.energy, energies.covariance(exact.energy)).chi2
        )
    assert np.mean(chi2) == pytest.approx(len(exact.times), abs=0.85)


def test_other_times_of_a_protocol_are_simulated(chloroform):
    protocol = chloroform.protocol
    other = replace(protocol, sweep=replace(protocol.sweep, values=(7.0, 0.0, 14.0)))
    plan = plan_of(other, chloroform.register, chloroform.spectrometer, "test")
    exact = predict(plan).exact
    measured = noisy(exact, np.random.default_rng(1))
    for cycles in (measured.cycles, None):
        found = compare(chloroform, replace(measured, cycles=cycles))
        np.testing.assert_allclose(found.predicted.curve.energy, exact.energy, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start": "pure"}, "start"),
        ({"energy_unit": "joule"}, "energy_unit"),
        ({"ergotropy_kind": "local"}, "ergotropy_kind"),
        ({"time_unit": "model"}, "time_unit"),
        ({"covariance": None}, "covariance"),
    ],
    ids=["start", "energy-unit", "ergotropy-kind", "time-unit", "no-errors"],
)
def test_curves_that_mean_other_things_are_refused_with_the_reason(chloroform, change, words):
    measured = noisy(predict(chloroform).exact, np.random.default_rng(1))
    with pytest.raises(InputError, match=words):
        compare(chloroform, replace(measured, **change))


def test_times_that_a_curve_does_not_hold_are_named(chloroform):
    exact = predict(chloroform).exact
    measured = noisy(exact, np.random.default_rng(1))
    moved = replace(measured, times=measured.times + np.where(np.arange(9) == 4, 0.5, 0.0))
    with pytest.raises(InputError, match=f"{moved.times[4]:.6g}"):
        compare(exact, moved)
    with pytest.raises(InputError, match="no row at"):
        compare(chloroform, moved)
    with pytest.raises(InputError, match="measures nothing"):
        compare(exact, chloroform)
