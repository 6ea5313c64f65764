"""Ergotropy of a battery of N units: the most work that any unitary on the whole battery extracts.

W = tr(rho H) - tr(pi H), where the passive state pi has the eigenvalues of rho, largest first, on
the levels of H, lowest first.  Both spectra count with their multiplicities over the whole space:
level m of N qubits is C(N, m)-fold, a sector of total spin J appears
C(N, N/2 - J) - C(N, N/2 - J - 1) times.  One representative sector is not enough: it gives the
maximally mixed state of three qubits a work of 0.25 omega.

The identity drops out, so the work of a deviation matrix (rho minus a multiple of the identity) is
well defined when all sectors are given.

References
----------
Allahverdyan, Balian, Nieuwenhuizen, EPL 67, 565 (2004); Francica et al., Phys. Rev. Lett. 125,
180603 (2020), on the coherent part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

Array = NDArray[np.float64]

#: negative weight that a state from a numerical solver may carry; a deviation matrix has far more
_NEGATIVE = 1e-6
#: size from which the largest eigenvalue is found by Lanczos iteration
_LANCZOS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Sector:
    """One block of a battery's state in a space that no term of the state leaves.

    Attributes
    ----------
    matrix : ndarray, shape (d, d)
        Hermitian block of the state in the energy basis.
    excitations : ndarray of int, shape (d,)
        Number of excitations of each basis state, so that H = omega diag(excitations).
    multiplicity : int
        How often the same block appears in the whole space.
    """

    matrix: NDArray[np.complex128] | Array
    excitations: NDArray[np.int64]
    multiplicity: int = 1

    def __post_init__(self) -> None:
        d = len(self.excitations)
        if self.matrix.shape != (d, d):
            raise ValueError(f"matrix must have shape ({d}, {d}), but has {self.matrix.shape}")
        if self.multiplicity < 1:
            raise ValueError(f"multiplicity must be at least 1, but is {self.multiplicity}")
        scale = float(np.abs(self.matrix).max(initial=0.0))
        if np.abs(self.matrix - self.matrix.conj().T).max(initial=0.0) > 1e-9 * scale:
            raise ValueError("the matrix of a sector must be hermitian")

    @property
    def populations(self) -> Array:
        """Diagonal of the block, shape (d,)."""
        return np.asarray(np.diag(self.matrix).real, dtype=np.float64)


def spin_multiplicity(batteries: int, twice_spin: int) -> int:
    """Return how often total spin J = `twice_spin`/2 appears among N spins-1/2."""
    k, odd = divmod(batteries - twice_spin, 2)
    if odd or k < 0 or twice_spin < 0:
        raise ValueError(f"{batteries} spins-1/2 have no total spin {twice_spin}/2")
    return comb(batteries, k) - (comb(batteries, k - 1) if k else 0)


def qubit_degeneracies(batteries: int) -> list[int]:
    """Return C(N, m), the degeneracy of the level of m excitations of N qubits, m = 0..N."""
    return [comb(batteries, m) for m in range(batteries + 1)]


def oscillator_degeneracies(batteries: int, levels: int) -> list[int]:
    """Return C(N - 1 + m, m), the degeneracy of m quanta in N oscillators, m = 0..levels - 1."""
    return [comb(batteries - 1 + m, m) for m in range(levels)]


def mean_excitations(sectors: Sequence[Sector]) -> float:
    """Return tr(rho H)/omega."""
    return float(sum(s.multiplicity * (s.populations @ s.excitations) for s in sectors))


def passive_excitations(sectors: Sequence[Sector], degeneracies: Sequence[int]) -> float:
    """Return tr(pi H)/omega for the passive state pi of a state or a deviation matrix.

    Parameters
    ----------
    sectors : sequence of Sector
        All sectors; those left out of a state hold nothing (eigenvalue 0).
    degeneracies : sequence of int
        Degeneracy of the level of m excitations, m = 0, 1, ...

    Raises
    ------
    ValueError
        Where a deviation matrix does not cover the whole space: the eigenvalue 0 of what is
        left out would rank above its negative ones.
    """
    if _fits_below(sectors, degeneracies):
        # one eigenvalue on the ground level, all others on the first: only the largest is needed
        return float(np.sum(sectors[0].populations)) - _largest(sectors[0].matrix)
    spectrum = [(float(r), s.multiplicity) for s in sectors for r in _eigenvalues(s.matrix)]
    return _fill(spectrum, degeneracies)


def _fits_below(sectors: Sequence[Sector], degeneracies: Sequence[int]) -> bool:
    """Whether this is one state whose eigenvalues fit into the ground and the first level."""
    if len(sectors) != 1 or sectors[0].multiplicity != 1 or len(degeneracies) < 2:
        return False
    populations = sectors[0].populations
    is_state = abs(populations.sum() - 1.0) < _NEGATIVE and populations.min() > -_NEGATIVE
    return bool(is_state and degeneracies[0] == 1 and len(populations) <= 1 + degeneracies[1])


def _eigenvalues(matrix: NDArray[np.complex128] | Array) -> Array:
    diagonal = np.diag(matrix)
    if np.count_nonzero(matrix) == np.count_nonzero(diagonal):
        return np.asarray(diagonal.real, dtype=np.float64)
    return np.asarray(np.linalg.eigvalsh(matrix), dtype=np.float64)


def _largest(matrix: NDArray[np.complex128] | Array) -> float:
    d = len(matrix)
    if d < _LANCZOS or np.count_nonzero(matrix) == np.count_nonzero(np.diag(matrix)):
        return float(_eigenvalues(matrix).max())
    # neither even nor odd under reversal: states that are symmetric there hide nothing from it
    start = 1.0 + np.arange(d) / d
    return float(eigsh(matrix, k=1, which="LA", v0=start, return_eigenvectors=False)[0])


def _fill(spectrum: list[tuple[float, int]], degeneracies: Sequence[int]) -> float:
    spectrum = sorted(spectrum, reverse=True)
    rank = sum(count for _, count in spectrum)
    room = sum(degeneracies)
    if rank > room:
        raise ValueError(f"the sectors hold {rank} states, but the levels only {room}")
    weight = sum(abs(r) * float(count) for r, count in spectrum)
    if rank < room and spectrum and spectrum[-1][0] < -_NEGATIVE * weight:
        raise ValueError(
            f"a deviation matrix must be given in all its sectors ({room} states), but {rank} are"
        )
    total, level, left = 0.0, 0, degeneracies[0]
    for eigenvalue, count in spectrum:
        remaining = count
        while remaining:
            if left == 0:
                level += 1
                left = degeneracies[level]
            taken = min(remaining, left)
            total += eigenvalue * float(taken) * level
            remaining -= taken
            left -= taken
    return total


def collective_ergotropy(sectors: Sequence[Sector], degeneracies: Sequence[int]) -> float:
    """Return W/omega, the work of the best unitary on all units together."""
    return mean_excitations(sectors) - passive_excitations(sectors, degeneracies)


def incoherent_excitations(sectors: Sequence[Sector], degeneracies: Sequence[int]) -> float:
    """Return the part of W/omega that the state keeps when its energy coherences are erased.

    Coherence between different numbers of excitations is erased; what lies between states of one
    number (inside one level) stays, for it costs no energy.  The coherent part is W minus this.
    """
    erased = []
    for s in sectors:
        same = np.equal.outer(s.excitations, s.excitations)
        erased.append(
            Sector(
                matrix=np.where(same, s.matrix, 0.0),
                excitations=s.excitations,
                multiplicity=s.multiplicity,
            )
        )
    return collective_ergotropy(erased, degeneracies)


def purity(sectors: Sequence[Sector]) -> float:
    """Return tr(rho^2)."""
    return float(sum(s.multiplicity * np.vdot(s.matrix, s.matrix).real for s in sectors))


def excitation_variance(sectors: Sequence[Sector]) -> float:
    """Return the variance of H/omega."""
    mean = mean_excitations(sectors)
    # about the mean: no difference of large squares
    return float(
        sum(s.multiplicity * (s.populations @ (s.excitations - mean) ** 2) for s in sectors)
    )


def passive_state(matrix: NDArray[np.complex128], energies: Array) -> NDArray[np.complex128]:
    """Return the passive state of `matrix` for H = diag(`energies`), shape (d, d)."""
    values = np.sort(np.linalg.eigvalsh(matrix))[::-1]
    result = np.zeros((len(energies),) * 2, dtype=np.complex128)
    order = np.argsort(energies, kind="stable")
    result[order, order] = values
    return result


def local_ergotropy(bloch: Array, batteries: int = 1) -> float:
    """Return W/omega of N separate unitaries on equal qubits: N (|r| - r_z)/2.

    Never more than the collective ergotropy; collective magnetisation measures this one.

    Parameters
    ----------
    bloch : ndarray, shape (3,)
        Bloch vector of one qubit, energy label: r_z > 0 is the ground state.
    """
    x, y, z = (float(c) for c in bloch)
    length = float(np.hypot(np.hypot(x, y), z))
    # |r| - z = (x^2 + y^2)/(|r| + z) for z > 0: no difference of nearly equal numbers
    work = (x * x + y * y) / (length + z) if z > 0.0 else length - z
    return batteries * work / 2.0
