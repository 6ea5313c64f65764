"""The definitions of the charging time, and what a battery's Bloch vector gives as work."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmrqb.battery.charging_time import damped_cosine, slowest_mode_time, threshold_time
from nmrqb.battery.energy import (
    ergotropy,
    ergotropy_upper_limit,
    incoherent_ergotropy,
    stored_energy,
)

TIMES = np.linspace(0.0, 40.0, 401)


@given(tau=st.floats(0.5, 12.0), n=st.sampled_from([1.0, 2.0, 3.0]), e_inf=st.floats(-2.0, 2.0))
def test_threshold_time_of_one_exponential_is_n_tau(tau, n, e_inf):
    energy = e_inf + 1.5 * np.exp(-TIMES / tau)
    found = threshold_time(TIMES, energy, e_inf, n=n)
    assert found == pytest.approx(n * tau, rel=1e-9)


def test_threshold_counts_the_last_crossing_of_an_oscillation():
    # E/E_inf - 1 = -e^{-t/8} cos t: the last |..| = e^-1 lies near the last maximum above it
    energy = damped_cosine(TIMES, 1.0, 8.0, 1.0, 0.0)
    found = threshold_time(TIMES, energy, 1.0)
    late = TIMES[np.abs(energy - 1.0) > math.exp(-1)].max()
    assert late <= found <= late + 0.1
    assert found > math.pi / 2  # the first crossing is earlier


def test_threshold_is_withheld_where_the_window_is_too_short():
    short = TIMES[TIMES < 3.0]
    assert threshold_time(short, 1.0 - np.exp(-short / 8.0), 1.0) is None


@given(tau=st.floats(0.5, 3.5), fast=st.floats(0.05, 0.3))
def test_slowest_mode_is_the_slow_one_of_two(tau, fast):
    energy = 1.0 - 0.6 * np.exp(-TIMES / tau) - 0.4 * np.exp(-TIMES / (fast * tau))
    assert slowest_mode_time(TIMES, energy, 1.0) == pytest.approx(tau, rel=0.01)


def test_slowest_mode_of_an_alternating_approach_is_read_from_the_magnitude():
    k = np.arange(60.0)
    energy = 1.0 - (-0.7) ** k
    # rounding: 1e-16 of distances down to 1e-7
    assert slowest_mode_time(k, energy, 1.0) == pytest.approx(-1 / math.log(0.7), rel=1e-7)


def test_slowest_mode_is_withheld_for_an_oscillation():
    energy = damped_cosine(TIMES, 1.0, 3.0, 2.0, 0.0)
    assert slowest_mode_time(TIMES, energy, 1.0) is None


@given(st.tuples(*[st.floats(-0.57, 0.57)] * 3))
def test_ergotropy_is_energy_minus_that_of_the_passive_state(r):
    # levels -1 (ground) and +1: H = -sigma_z in the energy label where r_z > 0 is the ground state
    sigma = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    rho = (np.eye(2) + np.tensordot(r, sigma, axes=1)) / 2
    hamiltonian = -sigma[2]
    energy = np.trace(rho @ hamiltonian).real
    passive = np.sort(np.linalg.eigvalsh(rho))[::-1] @ np.sort(np.diag(hamiltonian).real)
    assert stored_energy(np.array(r[2])) == pytest.approx(energy, abs=1e-12)
    assert ergotropy(np.array(r)) == pytest.approx(energy - passive, abs=1e-12)
    # the incoherent part is what the populations alone give, never more than all of it
    assert incoherent_ergotropy(np.array(r[2])) <= ergotropy(np.array(r)) + 1e-12


def test_upper_limit_of_the_ergotropy_holds_for_95_percent_of_measurements():
    rng = np.random.default_rng(7)
    for truth in (0.3, 0.0, -0.02, -0.3):  # r_z; stderr 0.1
        measured = truth + 0.1 * rng.standard_normal(20_000)
        limit = ergotropy_upper_limit(measured, np.full(20_000, 0.1))
        held = np.mean(limit >= incoherent_ergotropy(np.array(truth)))
        # a passive truth is covered always; 4 sigma of the binomial is 0.006
        assert held == 1.0 if truth >= 0.0 else held == pytest.approx(0.95, abs=0.006)
