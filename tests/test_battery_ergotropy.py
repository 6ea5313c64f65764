"""Ergotropy over all sectors of total spin, its parts and its bounds."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import comb

from nmrqb import DephasedStar
from nmrqb.battery.ergotropy import (
    Sector,
    collective_ergotropy,
    incoherent_excitations,
    local_ergotropy,
    mean_excitations,
    oscillator_degeneracies,
    passive_excitations,
    passive_state,
    purity,
    qubit_degeneracies,
    spin_multiplicity,
)
from nmrqb.quantum import operators as op
from nmrqb.quantum.star import StarSpace
from nmrqb.quantum.total_spin import total_spin_blocks


def sectors_of(space, vector):
    n = space.satellites
    return [
        Sector(
            matrix=block,
            excitations=(n - twice) // 2 + np.arange(twice + 1),
            multiplicity=spin_multiplicity(n, twice),
        )
        for twice, block in total_spin_blocks(space, vector)
    ]


def symmetric_mixture(n, seed, parts=3):
    """A mixture of products of equal one-spin states: symmetric vector and full matrix."""
    rng = np.random.default_rng(seed)
    space = StarSpace(n)
    vector = np.zeros(space.dimension, dtype=complex)
    full = np.zeros((2**n, 2**n), dtype=complex)
    o = space.occupations
    permutations = np.array([np.prod(comb(np.cumsum(k), k)) for k in o])
    for weight in rng.dirichlet(np.ones(parts)):
        a = rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2))
        single = a @ a.conj().T
        single /= np.trace(single)
        c = np.array([np.vdot(b, single) for b in op.BASIS])
        vector[: space.symmetric_dimension] += (
            weight * 2 ** (n / 2) * np.sqrt(permutations) * np.prod(c**o, axis=1)
        )
        product = np.eye(1)
        for _ in range(n):
            product = np.kron(product, single)
        full += weight * product
    return space, vector, full


def full_levels(n):
    # |up> first: a factor's first basis state is the excited one
    return np.array([sum(b) for b in itertools.product((1, 0), repeat=n)])


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_sectors_hold_the_spectrum_and_the_work_of_the_full_space(n, seed):
    space, vector, full = symmetric_mixture(n, seed)
    sectors = sectors_of(space, vector)
    spectrum = np.concatenate(
        [np.repeat(np.linalg.eigvalsh(s.matrix), s.multiplicity) for s in sectors]
    )
    assert np.sort(spectrum) == pytest.approx(np.linalg.eigvalsh(full), abs=1e-12)
    levels = full_levels(n)
    energy = np.diag(full).real @ levels
    passive = np.linalg.eigvalsh(full)[::-1] @ np.sort(levels)
    assert mean_excitations(sectors) == pytest.approx(energy, abs=1e-11)
    assert passive_excitations(sectors, qubit_degeneracies(n)) == pytest.approx(passive, abs=1e-11)
    assert purity(sectors) == pytest.approx(np.vdot(full, full).real, abs=1e-12)
    erased = np.where(np.equal.outer(levels, levels), full, 0.0)
    incoherent = energy - np.linalg.eigvalsh(erased)[::-1] @ np.sort(levels)
    found = incoherent_excitations(sectors, qubit_degeneracies(n))
    assert found == pytest.approx(incoherent, abs=1e-11)
    assert -1e-11 <= found <= collective_ergotropy(sectors, qubit_degeneracies(n)) + 1e-11


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 12, 25, 36, 40])
def test_maximally_mixed_states_hold_no_work(n):
    space = StarSpace(n)
    sectors = sectors_of(space, space.state(0.0, 0.0, "exact"))
    # energies of N/2 = 20 from sums of 2^40 equal weights: some 1e-15 x N
    assert collective_ergotropy(sectors, qubit_degeneracies(n)) == pytest.approx(0.0, abs=1e-12)
    assert mean_excitations(sectors) == pytest.approx(n / 2, abs=1e-12)


def test_one_sector_alone_would_give_the_mixed_state_of_three_a_work_of_a_quarter():
    # the known trap: one block of each J as if it were the whole spectrum
    j32, j12 = np.arange(4), 1 + np.arange(2)
    levels = np.sort(np.concatenate([j32, j12]))
    weights = np.array([1] * 4 + [2] * 2) / 8.0
    energy = weights[:4] @ j32 + weights[4:] @ j12
    wrong = energy - np.sort(weights)[::-1] @ levels
    assert wrong == pytest.approx(0.25)


@pytest.mark.parametrize("n", [1, 2, 5, 20])
@pytest.mark.parametrize("p", [-0.6, 0.0, 0.4])
def test_inverted_products_are_worth_their_inversion_and_thermal_ones_nothing(n, p):
    # diagonal product: flipping every spin is the best unitary, W = N p for p > 0
    space = StarSpace(n)
    sectors = sectors_of(space, space.state(0.0, p, "exact"))
    work = collective_ergotropy(sectors, qubit_degeneracies(n))
    assert work == pytest.approx(n * max(0.0, p), abs=1e-10)


def test_work_of_a_deviation_matrix_does_not_see_the_identity():
    space, vector, full = symmetric_mixture(3, 5)
    identity = space.position(op.ONE)
    levels = full_levels(3)
    deviation = vector.copy()
    deviation[identity] = 0.0
    work = collective_ergotropy(sectors_of(space, deviation), qubit_degeneracies(3))
    exact = np.diag(full).real @ levels - np.linalg.eigvalsh(full)[::-1] @ np.sort(levels)
    assert work == pytest.approx(exact, abs=1e-12)
    with pytest.raises(ValueError, match="in all its sectors"):
        collective_ergotropy(sectors_of(space, deviation)[:1], qubit_degeneracies(3))


def test_passive_state_has_the_same_spectrum_and_no_work():
    rng = np.random.default_rng(2)
    a = rng.normal(size=(5, 5)) + 1j * rng.normal(size=(5, 5))
    rho = a @ a.conj().T / np.trace(a @ a.conj().T)
    energies = np.array([3.0, 0.0, 1.0, 1.0, 2.0])
    passive = passive_state(rho, energies)
    assert np.linalg.eigvalsh(passive) == pytest.approx(np.linalg.eigvalsh(rho), abs=1e-14)
    populations = np.diag(passive).real[np.argsort(energies, kind="stable")]
    assert (np.diff(populations) <= 1e-15).all()


@settings(max_examples=25, deadline=None)
@given(
    batteries=st.integers(1, 12),
    drive=st.floats(0.05, 5.0),
    gamma=st.floats(0.0, 4.0),
    time=st.floats(0.0, 50.0),
)
def test_bounds_of_a_symmetric_battery(batteries, drive, gamma, time):
    star = DephasedStar(batteries=batteries, drive=drive, dephasing=gamma)
    state = star.states([time])[0]
    top = np.linalg.eigvalsh(state.matrix)[-1]
    # W = E - omega (1 - r_1): all N + 1 eigenvalues fit into ground and first level
    assert state.ergotropy == pytest.approx(state.energy - (1 - top), abs=1e-9)
    assert state.ergotropy <= state.energy + 1e-12
    assert state.passive_energy <= batteries / (batteries + 1) + 1e-9
    assert state.local_ergotropy <= state.ergotropy + 1e-9
    assert state.incoherent_ergotropy <= state.ergotropy + 1e-9
    assert 1 / (batteries + 1) - 1e-9 <= state.purity <= 1 + 1e-9
    if batteries == 1:
        assert state.local_ergotropy == pytest.approx(state.ergotropy, abs=1e-9)


def test_local_work_misses_what_only_joint_operations_extract():
    state = DephasedStar(batteries=8, drive=10.0).steady_state()
    # populations symmetric, r_z = 0: separate spins see only the transverse part
    assert state.bloch[2] == pytest.approx(0.0, abs=1e-12)
    assert state.ergotropy - state.local_ergotropy > 2.0
    assert local_ergotropy(np.array([0.0, 0.0, 1.0]), 5) == 0.0
    assert local_ergotropy(np.array([0.0, 0.0, -1.0]), 5) == 5.0


# oscillators -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("drive", "energy"), [(0.5, 0.38940), (1.0, 1.68394), (3.0, 17.5001)])
def test_steady_energy_of_an_oscillator_charged_by_a_qubit(drive, energy):
    star = DephasedStar(batteries=1, battery="oscillator", drive=drive)
    state = star.steady_state()
    digit = 0.51e-5 if energy < 10 else 0.51e-4
    assert state.energy == pytest.approx(energy, abs=digit)
    b = drive**2
    assert state.energy == pytest.approx(2 * b - (1 - np.exp(-b)) / 2, abs=1e-12)
    if b < 2:
        assert state.ergotropy == pytest.approx(b, abs=1e-10)
    else:
        assert state.ergotropy == pytest.approx(13.1724, abs=0.51e-4)


def test_two_oscillators_follow_their_closed_form():
    star = DephasedStar(
        batteries=1, battery="oscillator", charger="oscillator", drive=0.7, coupling=1.1, omega=2.0
    )
    state = star.steady_state()
    b = (0.7 / 1.1) ** 2
    assert state.energy == pytest.approx(3.0 * b, abs=1e-12)
    assert state.ergotropy == pytest.approx(2.0 * b, abs=1e-10)
    late = star.states([300.0])[0]
    assert late.ergotropy == pytest.approx(state.ergotropy, abs=1e-9)
    assert late.purity == pytest.approx(state.purity, abs=1e-9)


def test_oscillators_without_dephasing_hold_coherent_states():
    # linear and undamped: pure, all energy is work, E = 4 (F/g)^2 sin^4(g t/2)
    star = DephasedStar(
        batteries=1, battery="oscillator", charger="oscillator", drive=0.6, dephasing=0.0
    )
    times = np.linspace(0, 6, 7)
    o = star.observables(times)
    assert o.energy == pytest.approx(4 * 0.36 * np.sin(times / 2) ** 4, abs=1e-12)
    assert o.ergotropy == pytest.approx(o.energy, abs=1e-9)
    assert o.purity == pytest.approx(np.ones(7), abs=1e-9)


def test_several_oscillators_share_one_bright_mode_but_more_levels():
    one = DephasedStar(batteries=1, battery="oscillator", drive=1.5).steady_state()
    many = DephasedStar(batteries=4, battery="oscillator", drive=1.5).steady_state()
    assert many.energy == pytest.approx(one.energy, abs=1e-12)
    # the same spectrum lies on 1, 4, 10, ... fold levels
    assert many.ergotropy > one.ergotropy + 0.1
    assert oscillator_degeneracies(4, 4) == [1, 4, 10, 20]


def test_many_qubits_become_an_oscillator_at_weak_drive():
    # one well of the star: E to first order is that of the lower well until the slow mode moves
    times = np.linspace(0, 40, 9)
    oscillator = DephasedStar(batteries=1, battery="oscillator", drive=0.2).energy(times)
    star = DephasedStar(batteries=4000, drive=0.2).energy(times)
    # corrections are of order n/N
    assert star == pytest.approx(oscillator, abs=2e-3)


def test_the_largest_eigenvalue_of_many_batteries_is_that_of_the_whole_spectrum():
    for drive in (0.5, 10.0):
        state = DephasedStar(batteries=320, drive=drive).steady_state()
        top = np.linalg.eigvalsh(state.matrix)[-1]
        assert state.ergotropy == pytest.approx(state.energy - (1.0 - top), abs=1e-11)
