"""The thermal reference: what its recording does to the scale, and the error budget."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from planted import registered

from nmrqb import read_register
from nmrqb.analysis.calibration import (
    ReferenceConditions,
    polarisation_from_reference,
    reference_factor,
)

DEGREE = math.pi / 180.0


def line(amplitudes, noise, reduced_chi2=1.0):
    """Return amplitudes of one line as a fit of a region gives them."""
    amplitudes = np.asarray(amplitudes, float)
    covariance = noise**2 * np.eye(len(amplitudes))
    return SimpleNamespace(
        amplitudes=amplitudes,
        covariance=covariance,
        stderr=np.sqrt(np.diag(covariance)),
        noise=noise,
        reduced_chi2=reduced_chi2,
    )


def tms(share=None, stderr=None, t1_stderr=1.0):
    register = read_register("tms_dipolar")
    center = replace(register.center, t1_s=registered(register.center.t1_s.value, t1_stderr))
    share = None if share is None else registered(share, stderr)
    return replace(register, center=center, dipolar_share=share)


def test_sources_of_the_budget_add_up_to_the_total_variance():
    conditions = ReferenceConditions(
        flip_angle_rad=30 * DEGREE,
        pulse_error=0.03,
        gain_ratio=2.0,
        gain_ratio_stderr=0.02,
        repetition_s=30.0,
        decoupling="continuous",
    )
    factor = reference_factor(conditions, tms(0.1, 0.02))
    rows = polarisation_from_reference(line([50.0, 30.0, -20.0], 1.0, 1.3), 0, 0.2, factor)
    table = {s["source"]: s["stderr"] for s in rows.budget.to_result()}
    total = table.pop("total")
    assert set(table) == {
        "noise", "line shape", "reference", "pulse", "T1", "Overhauser effect", "receiver gain",
    }  # fmt: skip
    assert all((error > 0.0).all() for error in table.values())
    np.testing.assert_allclose(sum(e**2 for e in table.values()), total**2, rtol=1e-12)
    np.testing.assert_allclose(np.diag(rows.covariance), total**2, rtol=1e-12)
    # what is common moves rows of opposite sign against each other
    common = sum(table[n][0] ** 2 for n in table if n not in ("noise", "line shape"))
    assert rows.covariance[0, 1] == pytest.approx(-common * 20.0 / 30.0, rel=1e-12)


def test_the_budget_is_the_scatter_of_polarisations_with_all_their_causes():
    # Monte Carlo: pulse, T1, dipolar share, gain and noise are drawn; the analysis knows their
    # registered values only.  2 % of the standard deviation is 2.8 sigma of 10,000 draws, and
    # terms of second order are below 1 % here
    rng = np.random.default_rng(5)
    draws, p_eq, noise = 10_000, 0.2, 0.5
    true = np.array([0.15, -0.4])
    angle, repetition, gamma_ratio = 40 * DEGREE, 25.0, None
    register = tms(0.1, 0.01, 0.6)
    gammas = [s.nucleus.relative_gamma for s in (register.charger, register.battery)]
    gamma_ratio = gammas[0] / gammas[1]
    conditions = ReferenceConditions(
        flip_angle_rad=angle,
        pulse_error=0.01,
        gain_ratio=2.0,
        gain_ratio_stderr=0.02,
        repetition_s=repetition,
        decoupling="continuous",
    )
    factor = reference_factor(conditions, register)
    pulse = 1.0 + 0.01 * rng.standard_normal(draws)
    e = np.exp(-repetition / (20.0 + 0.6 * rng.standard_normal(draws)))
    share = 0.1 + 0.01 * rng.standard_normal(draws)
    gain = 2.0 + 0.02 * rng.standard_normal(draws)
    reference = (
        100.0 * p_eq * gain * np.sin(angle * pulse) * (1 - e) / (1 - e * np.cos(angle * pulse))
    ) * (1.0 + 0.5 * share * gamma_ratio)
    signals = np.vstack([reference, *(100.0 * r * np.sin(math.pi / 2 * pulse) for r in true)]).T
    found = np.array(
        [
            polarisation_from_reference(line(s + noise * n, noise), 0, p_eq, factor).r_z
            for s, n in zip(signals, rng.standard_normal(signals.shape), strict=True)
        ]
    )
    ideal = signals[0] * 0 + [p_eq * 200.0, *(100.0 * true)]
    ideal[0] = 100.0 * p_eq * factor.value
    stated = polarisation_from_reference(line(ideal, noise), 0, p_eq, factor)
    np.testing.assert_allclose(found.std(axis=0), np.sqrt(np.diag(stated.covariance)), rtol=0.03)
    np.testing.assert_allclose(stated.r_z, true, rtol=1e-12)


def test_steady_state_of_a_repeated_pulse_is_that_of_blochs_equations():
    # the z magnetisation before the 2000th pulse of 30 degrees, pulse by pulse
    angle, t1, repetition = 30 * DEGREE, 20.0, 7.0
    z = 1.0
    for _ in range(2000):
        z = 1.0 + (z * math.cos(angle) - 1.0) * math.exp(-repetition / t1)
    conditions = ReferenceConditions(flip_angle_rad=angle, repetition_s=repetition)
    assert reference_factor(conditions, tms()).value == pytest.approx(
        z * math.sin(angle), rel=1e-12
    )


def test_a_pulse_error_cancels_where_reference_and_rows_have_the_same_pulse():
    same = reference_factor(ReferenceConditions(pulse_error=0.05), None)
    assert (same.value, same.errors["pulse"]) == (1.0, pytest.approx(0.0, abs=1e-9))
    # d ln [sin(a s)/sin(b s)]/ds at s = 1 is a cot a - b cot b
    a, b = 30 * DEGREE, 60 * DEGREE
    other = reference_factor(
        ReferenceConditions(flip_angle_rad=a, row_flip_angle_rad=b, pulse_error=0.05), None
    )
    slope = a / math.tan(a) - b / math.tan(b)
    assert other.errors["pulse"] == pytest.approx(0.05 * abs(slope), rel=1e-6)


def test_overhauser_factor_of_29si_is_one_minus_2_52_f():
    # Levitt; gamma(1H)/(2 gamma(29Si)) = -2.517
    continuous = ReferenceConditions(decoupling="continuous")
    assert reference_factor(continuous, tms(0.1, 0.01)).value == pytest.approx(
        1.0 - 0.2517, abs=2e-4
    )


@pytest.mark.parametrize(
    ("share", "stderr", "words"),
    [
        (None, None, "dipolar_share"),
        (0.3, None, "stderr"),
        (0.4, 0.001, "null"),
        (0.2, 0.05, "null"),
    ],
    ids=["unknown-share", "share-without-error", "at-the-null", "error-as-large-as-the-distance"],
)
def test_a_reference_changed_by_an_unknown_overhauser_effect_is_refused(share, stderr, words):
    with pytest.raises(ValueError, match=words):
        reference_factor(ReferenceConditions(decoupling="continuous"), tms(share, stderr))


def test_a_line_shape_that_misses_leaves_larger_errors():
    good = polarisation_from_reference(line([50.0, 30.0], 1.0), 0, 0.2)
    poor = polarisation_from_reference(line([50.0, 30.0], 1.0, reduced_chi2=4.0), 0, 0.2)
    assert poor.own_covariance[0, 0] == pytest.approx(4.0 * good.own_covariance[0, 0])
    assert poor.scale_error == good.scale_error
