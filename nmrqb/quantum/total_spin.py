"""Blocks of total spin J of a permutation-symmetric operator on N spins-1/2.

A symmetric operator is sum_n xi_n S_n over the occupations n = (n_u, n_d, n_+, n_-) of |up><up|,
|down><down|, sigma_+, sigma_-, with S_n the sum of its distinct permutations.  S_n is the
coefficient of x^n in M^(x N), M = [[x_u, x_+], [x_-, x_d]], and on k singlets times the symmetric
states of the other 2J = N - 2k spins M^(x N) is det(M)^k times the symmetric power of M.  Every
block is a polynomial coefficient of that: no space of dimension 2^N is ever seen.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import gammaln

from nmrqb.quantum import operators as op
from nmrqb.quantum.star import StarSpace

ComplexMatrix = NDArray[np.complex128]

#: alternating sums of binomials up to C(N/2, N/4) cost digits: 1e-16 x C(20, 10) is 2e-11 at N = 40
MOST_SPINS = 40


@lru_cache(maxsize=64)
def _half_turn(level: int) -> NDArray[np.float64]:
    """Return <n_u, n_d | n_1, n_z> for n_u + n_d = n_1 + n_z = level; rows n_u, columns n_1."""
    # a_1 = (a_u + a_d)/sqrt2, a_z = (a_u - a_d)/sqrt2: the 45-degree mixing of two modes, which is
    # exp(theta (a_u^+ a_d - a_d^+ a_u)) with theta = pi/4, up to the sign of the second mode
    n = np.arange(level)
    off = np.sqrt((n + 1.0) * (level - n))
    turn = scipy.linalg.expm(np.pi / 4.0 * (np.diag(off, -1) - np.diag(off, 1)))
    # columns come out as (a_u - a_d)^(n_u) (a_u + a_d)^(n_d): those of n_z = n_u, n_1 = n_d
    return np.asarray(turn[:, ::-1], dtype=np.float64)


@lru_cache(maxsize=8)
def _block_map(satellites: int) -> tuple[sp.csr_array, tuple[int, ...]]:
    """Return the map from coefficients to all blocks, row by row, and 2J of each block."""
    space = StarSpace(satellites)
    n_spins = satellites
    index = {tuple(o): i for i, o in enumerate(space.occupations.tolist())}
    # occupations (1, z, +, -) to (u, d, +, -): same listing, n_u in the place of n_1
    turn_rows: list[int] = []
    turn_cols: list[int] = []
    turn_data: list[float] = []
    for plus in range(n_spins + 1):
        for minus in range(n_spins + 1 - plus):
            level = n_spins - plus - minus
            place = [index[u, level - u, plus, minus] for u in range(level + 1)]
            matrix = _half_turn(level)
            turn_rows += np.repeat(place, level + 1).tolist()
            turn_cols += place * (level + 1)
            turn_data += matrix.ravel().tolist()
    size = space.symmetric_dimension
    turn = sp.csr_array((turn_data, (turn_rows, turn_cols)), shape=(size, size))
    o = space.occupations
    log_permutations = gammaln(n_spins + 1.0) - gammaln(o + 1.0).sum(axis=1)
    scale = np.exp(-(log_permutations + n_spins * np.log(2.0)) / 2.0)
    rows: list[NDArray[np.int64]] = []
    cols: list[NDArray[np.int64]] = []
    data: list[NDArray[np.float64]] = []
    lookup = np.full((n_spins + 1,) * 3, -1, dtype=np.int64)  # (n_u, n_+, n_-)
    lookup[o[:, 0], o[:, 2], o[:, 3]] = np.arange(size)
    spins = tuple(range(n_spins, -1, -2))
    offset = 0
    for twice_j in spins:
        k = (n_spins - twice_j) // 2
        p, q, j = np.meshgrid(*(np.arange(twice_j + 1),) * 3, indexing="ij")
        keep = (j <= p) & (j <= q) & (p + q - j <= twice_j)
        p, q, j = p[keep], q[keep], j[keep]
        parts = np.stack([j, p - j, q - j, twice_j - p - q + j])
        log_binomials = sum(
            gammaln(twice_j + 1.0) - gammaln(a + 1.0) - gammaln(twice_j - a + 1.0) for a in (p, q)
        )
        log_weight = gammaln(twice_j + 1.0) - gammaln(parts + 1.0).sum(axis=0) - log_binomials / 2
        for i in range(k + 1):
            # det^k: C(k, i) (x_u x_d)^(k - i) (-x_+ x_-)^i
            column = lookup[parts[0] + k - i, parts[1] + i, parts[2] + i]
            rows.append(offset + p * (twice_j + 1) + q)
            cols.append(column)
            data.append((-1.0) ** i * comb(k, i) * np.exp(log_weight) * scale[column])
        offset += (twice_j + 1) ** 2
    entries = (np.concatenate(data), (np.concatenate(rows), np.concatenate(cols)))
    blocks = sp.csr_array(sp.coo_array(entries, shape=(offset, size)))
    return sp.csr_array(blocks @ turn), spins


def total_spin_blocks(
    space: StarSpace, state: NDArray[np.complex128]
) -> list[tuple[int, ComplexMatrix]]:
    """Return the satellites' state in every sector of total spin J.

    Parameters
    ----------
    space : StarSpace
    state : ndarray, shape (dimension,)
        State of the whole star; the centre is traced out.

    Returns
    -------
    list of (2J, ndarray of shape (2J + 1, 2J + 1))
        One representative block of each J, states by rising number of spins up beyond the
        N/2 - J that every state of the sector has.

    Raises
    ------
    ValueError
        Beyond 40 spins, where the alternating sums lose too many digits.
    """
    if space.satellites > MOST_SPINS:
        raise ValueError(
            f"sectors of total spin are resolved up to {MOST_SPINS} spins, not {space.satellites}"
        )
    matrix, spins = _block_map(space.satellites)
    start = op.ONE * space.symmetric_dimension
    values = np.asarray(matrix @ state[start : start + space.symmetric_dimension])
    result, offset = [], 0
    for twice_j in spins:
        d = twice_j + 1
        result.append((twice_j, values[offset : offset + d * d].reshape(d, d)))
        offset += d * d
    return result
