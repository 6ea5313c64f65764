"""b_N(Jt) of ideal exchange: closed form, limits, and the engine."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import dawsn
from star_registers import star

from nmrqb.models.exchange import exchange_transfer, first_maximum, shortest_exchange
from nmrqb.sequence.events import Acquire, Crusher, Exchange, PulseSequence
from nmrqb.simulate.simulator import simulate_sequence

J_HZ, TICK_S = 5.0, 1e-9


# printed to these digits beside the derivation of b_N
@pytest.mark.parametrize(
    ("satellites", "b_max", "jt_top", "jt_one"),
    [
        (1, 1.0, 0.5, 0.5),
        (3, 1.0521, 0.30491, 0.25882),
        (9, 1.1750, 0.19935, 0.14160),
        (12, 1.1977, 0.17677, 0.12196),
        (36, 1.2517, 0.10829, 0.06968),
    ],
)
def test_first_maximum_and_complete_transfer_of_each_star(satellites, b_max, jt_top, jt_one):
    found_jt, found_b = first_maximum(satellites)
    assert found_b == pytest.approx(b_max, abs=5.1e-5)
    assert found_jt == pytest.approx(jt_top, abs=5.1e-6)
    assert shortest_exchange(satellites, 1.0) == pytest.approx(jt_one, abs=5.1e-6)


def test_one_satellite_exchanges_as_sine_squared():
    jt = np.linspace(0.0, 2.0, 81)
    assert exchange_transfer(1, jt) == pytest.approx(np.sin(np.pi * jt) ** 2, abs=1e-14)


def test_short_exchange_moves_n_times_the_square_of_pi_j_t():
    # b_N = N (pi J t)^2 + O((pi J t)^4 N^2): second order of the commutator expansion
    jt = 1e-5
    for n in (1, 2, 3, 9, 36, 200):
        expected = n * (math.pi * jt) ** 2
        assert float(exchange_transfer(n, jt)) == pytest.approx(expected, rel=2e-6 * n)


def test_many_satellites_approach_twice_dawsons_integral():
    x = np.linspace(0.05, 3.0, 60)
    gaps = []
    for n in (36, 144, 576):
        jt = x / (np.pi * np.sqrt(n / 2.0))
        gaps.append(np.abs(exchange_transfer(n, jt) - 2.0 * x * dawsn(x)).max())
    # the limit is 2 x D(x), with the ceiling 1.28475; corrections fall as 1/N
    assert gaps[1] < gaps[0] / 3.0
    assert gaps[2] < gaps[1] / 3.0
    fine = np.linspace(0.5, 3.0, 200_001)
    assert (2.0 * fine * dawsn(fine)).max() == pytest.approx(1.28475, abs=5e-6)


def full_space_average(satellites, jt):
    """Return b_N from the full 2^(N+1) Hamiltonian: tr[S_z(t) I_z] / tr[I_1z^2]."""
    sx, sy, sz = (
        np.array(m) / 2.0 for m in ([[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]])
    )

    def on(spin, matrix):
        parts = [np.eye(2)] * (satellites + 1)
        parts[spin] = matrix
        total = parts[0]
        for part in parts[1:]:
            total = np.kron(total, part)
        return total

    hamiltonian = sum(on(0, m) @ on(k, m) for m in (sx, sy) for k in range(1, satellites + 1))
    energies, vectors = np.linalg.eigh(2.0 * np.pi * hamiltonian)
    u = vectors @ np.diag(np.exp(-1j * energies * jt)) @ vectors.conj().T
    iz = sum(on(k, sz) for k in range(1, satellites + 1))
    overlap = np.trace(u @ iz @ u.conj().T @ on(0, sz)).real
    return overlap / np.trace(on(0, sz) @ on(0, sz)).real


@pytest.mark.parametrize("satellites", [1, 2, 3, 4, 5])
def test_closed_form_is_the_trace_over_the_full_space(satellites):
    for jt in (0.07, 0.31, 0.9):
        expected = full_space_average(satellites, jt)
        assert float(exchange_transfer(satellites, jt)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("central", ["battery", "charger"])
@pytest.mark.parametrize("satellites", [1, 3, 9, 36])
def test_engine_moves_what_the_closed_form_says(satellites, central):
    times = ("t1_battery_s", "t2_battery_s", "t1_charger_s", "t2_charger_s")
    forever = dict.fromkeys(times, math.inf)
    register = star(satellites, coupling_hz=J_HZ, central=central, **forever)
    center = register.center.nucleus
    p_center = register.battery_equilibrium if central == "battery" else center.sign
    p_satellite = register.charger_equilibrium if central == "battery" else (
        register.battery_equilibrium
    )  # fmt: skip
    for jt in (0.02, 0.1, 0.30491, 0.77):
        ticks = round(jt / J_HZ / TICK_S)
        sequence = PulseSequence(
            tick_s=TICK_S,
            events=(
                Exchange(ticks=ticks, relaxes=False),
                Crusher(ticks=1),
                Acquire(nucleus=register.center.isotope, points=1, dwell_ticks=1),
            ),
        )
        result = simulate_sequence(sequence, register)
        b = float(exchange_transfer(satellites, ticks * TICK_S * J_HZ))
        p = (1 - b) * p_center + b * p_satellite
        remnant = p_satellite - (p - p_center) / satellites  # total spin is conserved
        found_center, found_satellite = result.battery_z[-1], result.charger_z[-1]
        if central == "charger":
            found_center, found_satellite = found_satellite, found_center
        assert found_center == pytest.approx(p, abs=1e-6)
        assert found_satellite == pytest.approx(remnant, abs=1e-6)


@pytest.mark.parametrize(
    ("satellites", "time_ratio", "power_ratio"),
    [(3, 1.640, 1.725), (9, 2.508, 2.947), (36, 4.617, 5.779)],
)
def test_speed_up_over_one_charger_in_time_and_in_average_power(
    satellites, time_ratio, power_ratio
):
    jt, b = first_maximum(satellites)
    jt_1, b_1 = first_maximum(1)
    assert jt_1 / jt == pytest.approx(time_ratio, abs=5.1e-4)
    assert (b / jt) / (b_1 / jt_1) == pytest.approx(power_ratio, abs=5.1e-4)


@given(satellites=st.integers(1, 60), transfer=st.floats(0.0, 1.0))
def test_shortest_exchange_inverts_the_transfer(satellites, transfer):
    jt = shortest_exchange(satellites, transfer)
    assert 0.0 <= jt <= first_maximum(satellites)[0] + 1e-12
    assert float(exchange_transfer(satellites, jt)) == pytest.approx(transfer, abs=1e-9)


@pytest.mark.parametrize(("satellites", "transfer"), [(1, 1.01), (9, 1.18), (3, -0.1)])
def test_transfers_beyond_the_first_maximum_are_refused(satellites, transfer):
    with pytest.raises(ValueError, match="`transfer` must be 0 to"):
        shortest_exchange(satellites, transfer)
