"""Ergotropy of noisy Bloch vectors: bias, limits, and the surfaces of equal ergotropy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from nmrqb.battery.bloch_estimate import corrected_ergotropy, estimated_ergotropy
from nmrqb.battery.energy import ergotropy, incoherent_bias, incoherent_ergotropy

components = st.floats(-30.0, 30.0)
errors = st.floats(0.2, 3.0)


def mean_length(distance):
    """Return the mean length of a 3-vector of unit noise (non-central chi, three degrees)."""
    a = distance
    if a == 0.0:
        return math.sqrt(8.0 / math.pi)
    return math.sqrt(2.0 / math.pi) * math.exp(-0.5 * a * a) + (a + 1.0 / a) * (
        1.0 - 2.0 * ndtr(-a)
    )


@pytest.mark.parametrize("distance", [4.0, 6.0, 10.0])
def test_the_first_order_bias_of_a_measured_length_is_gone(distance):
    # transverse r: the plain estimate |r| - |r_z| has the bias of the length, 1/distance, and of
    # |r_z|, sqrt(2/pi); the latter is the coherent part's own and stays
    rng = np.random.default_rng(7)
    m = rng.standard_normal((20_000, 3)) + np.array([distance, 0.0, 0.0])
    plain = np.linalg.norm(m, axis=1)
    expected = mean_length(distance)
    assert plain.mean() == pytest.approx(expected, abs=4.0 / math.sqrt(len(m)))
    found = np.array(
        [corrected_ergotropy(math.hypot(x, y), z, (1.0, 1.0), "coherent") for x, y, z in m]
    ) + abs(m[:, 2])
    # what is left is of third order: below 2/distance^3, beside the noise of the mean
    assert abs(found.mean() - distance) < 2.0 / distance**3 + 4.0 / math.sqrt(len(m))
    assert expected - distance > 3.0 * abs(found.mean() - distance)


@pytest.mark.parametrize("r_z", [0.0, 0.4, -0.4, 2.0, -2.0])
def test_bias_of_the_incoherent_ergotropy_is_the_closed_form(r_z):
    noise = np.random.default_rng(1).standard_normal(400_000)
    found = incoherent_ergotropy(r_z + noise)
    bias = found.mean() - float(incoherent_ergotropy(np.array(r_z)))
    assert float(incoherent_bias(r_z, 1.0)) == pytest.approx(
        bias, abs=4.0 * found.std() / math.sqrt(len(noise))
    )


def test_bias_at_the_passive_boundary_is_0_80_standard_errors():
    assert float(incoherent_bias(0.0, 0.03)) == pytest.approx(0.03 * math.sqrt(2.0 / math.pi))


@settings(deadline=None, max_examples=15)
@given(components, components, components, errors, errors)
def test_limits_enclose_the_measured_ergotropy_and_two_sided_ones_are_wider(x, y, z, s_t, s_z):
    r = np.array([x, y, z])
    for part in ("total", "coherent"):
        found = estimated_ergotropy(r, s_t, s_z, part=part)
        measured = float(ergotropy(r)) if part == "total" else np.linalg.norm(r) - abs(z)
        size = 1e-3 * max(s_t, s_z)
        assert found.ci95[0] <= found.lower95 + size
        assert found.lower95 <= measured + size
        assert measured <= found.upper95 + size
        assert found.upper95 <= found.ci95[1] + size
        assert (found.stderr is None) == (found.lower95 == 0.0)


@pytest.mark.parametrize(
    ("vector", "part"),
    [
        ((0.0, 0.0, 3.0), "total"),
        ((0.5, 0.0, 2.0), "total"),
        ((1.0, 0.0, 0.0), "coherent"),
        ((2.0, 0.0, -2.0), "total"),
        ((3.0, 0.0, 20.0), "total"),
    ],
)
def test_one_sided_limits_hold_where_error_propagation_fails(vector, part):
    # 95 % limits of 60 draws: 52 or more hold with probability 0.99 (the seed is fixed)
    rng = np.random.default_rng(11)
    r = np.array(vector)
    true = float(np.linalg.norm(r)) - (r[2] if part == "total" else abs(r[2]))
    upper = lower = 0
    for _ in range(60):
        found = estimated_ergotropy(r + rng.standard_normal(3), 1.0, 1.0, part=part)
        upper += found.upper95 >= true
        lower += found.lower95 <= true
    assert upper >= 52
    assert lower >= 52


def test_far_from_the_axis_the_limits_are_those_of_error_propagation():
    r, s_t, s_z, scale = np.array([120.0, 50.0, -80.0]), 1.0, 0.6, 0.01
    length = np.linalg.norm(r)
    u = r / length
    own = math.hypot(math.hypot(u[0], u[1]) * s_t, (u[2] - 1.0) * s_z)
    value = float(ergotropy(r))
    found = estimated_ergotropy(r, s_t, s_z, scale_error=scale)
    stderr = math.hypot(own, scale * value)
    assert found.stderr == pytest.approx(stderr, rel=1e-3)
    # curvature: relative corrections of the order of the noise over the length
    assert found.ci95[1] - value == pytest.approx(1.96 * stderr, rel=0.02)
    assert value - found.ci95[0] == pytest.approx(1.96 * stderr, rel=0.02)
