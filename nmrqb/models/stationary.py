"""Long-time limits and modes of a constant generator."""

from __future__ import annotations

import warnings

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from nmrqb.models.exponentials import ExponentialSum

ComplexVector = NDArray[np.complex128]

#: sizes up to which a block is diagonalised, and factorised
DENSE, SPARSE = 720, 8000
#: eigenvalues closer to zero (imaginary axis) than this share of the largest do not decay
_STILL = 1e-11


def occupied(matrix: sp.csr_array, start: ComplexVector) -> NDArray[np.int64]:
    """Return the indices of all elements connected with `start`."""
    _, label = connected_components(
        sp.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape),
        directed=False,
    )
    return np.flatnonzero(np.isin(label, np.unique(label[np.flatnonzero(start)])))


def steady_state(matrix: sp.csr_array, start: ComplexVector, trace: ComplexVector) -> ComplexVector:
    """Return the limit of exp(L t) start for t -> infinity.

    A unique steady state comes from one sparse factorisation; where conserved quantities make it
    depend on the start, `start` is projected on the kernel.

    Parameters
    ----------
    matrix : sparse array, shape (D, D)
        L.
    start : ndarray, shape (D,)
        State of trace 1.
    trace : ndarray, shape (D,)
        Row of tr.

    Raises
    ------
    ValueError
        Where the state oscillates for ever, or where the block is too large.
    """
    index = occupied(matrix, start)
    block = sp.csr_array(matrix[index][:, index])
    result = np.zeros_like(start)
    found = None
    if len(index) <= SPARSE:
        found = _unique(block, start[index], trace[index])
    if found is None and len(index) <= DENSE:
        found = _projected(block.toarray(), start[index])
    if found is None:
        raise ValueError(
            f"the steady state needs a block of {len(index)} elements: up to {SPARSE} if it is "
            f"unique and {DENSE} if it depends on the start are computed"
        )
    result[index] = found
    return result


def _unique(
    block: sp.csr_array, start: ComplexVector, trace: ComplexVector
) -> ComplexVector | None:
    # L rho = 0 and tr rho = 1 in one: (L + |start><tr|) rho = start
    size = float(np.abs(block.data).max(initial=0.0))
    if size == 0.0:
        return None
    rows, cols = np.flatnonzero(start), np.flatnonzero(trace)
    values = size * np.outer(start[rows], trace[cols])
    rank_one = sp.coo_array(
        (values.ravel(), (np.repeat(rows, len(cols)), np.tile(cols, len(rows)))), shape=block.shape
    )
    bordered = sp.csc_array(block + rank_one)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            factors = splu(bordered)
            found = factors.solve(size * start)
            # a second element of the kernel shows as an answer out of all proportion
            probe = factors.solve(size * np.ones(len(start), dtype=np.complex128))
        except (RuntimeError, Warning):
            return None
    if not np.isfinite(probe).all() or np.abs(probe).max() > 1e10:
        return None
    found = np.asarray(found)
    residual = np.abs(np.asarray(block @ found)).max() / size
    return found if residual < 1e-10 else None


def _projected(block: NDArray[np.complex128], start: ComplexVector) -> ComplexVector:
    values, right = np.linalg.eig(block)
    left = np.linalg.inv(right).conj().T
    still = np.abs(values.real) < _STILL * np.abs(values).max()
    share = np.abs(left.conj().T @ start)
    if np.any(still & (np.abs(values) >= _STILL * np.abs(values).max()) & (share > 1e-9)):
        raise ValueError(
            "there is no steady state: without a loss that sees it, part of it turns on"
        )
    r, w = right[:, still], left[:, still]
    return np.asarray(r @ np.linalg.solve(w.conj().T @ r, w.conj().T @ start))


def modes_of(
    matrix: sp.csr_array, start: ComplexVector, functional: ComplexVector
) -> ExponentialSum:
    """Return functional . exp(L t) start as a sum of exponentials.

    Raises
    ------
    ValueError
        Beyond 720 coupled elements, at an exceptional point, or where a mode does not decay.
    """
    index = occupied(matrix, start)
    if len(index) > DENSE:
        raise ValueError(
            f"charging times off resonance need all modes of {len(index)} coupled elements, but "
            f"up to {DENSE} are computed: fewer batteries, or the resonant star"
        )
    block = matrix[index][:, index].toarray()
    values, right = np.linalg.eig(block)
    amplitudes = (functional[index] @ right) * np.linalg.solve(right, start[index])
    scale = np.abs(values).max()
    still = np.abs(values.real) < _STILL * scale
    if np.any(still & (np.abs(values) >= _STILL * scale) & (np.abs(amplitudes) > 1e-9)):
        raise ValueError("there is no charging time: a mode of this star turns without decay")
    result = ExponentialSum(
        final=float(np.sum(amplitudes[still]).real),
        amplitudes=amplitudes[~still],
        exponents=values[~still],
    )
    # an exceptional point (modes that merge) makes the decomposition lose digits: compare once
    time = 3.0 / scale
    exact = (functional[index] @ scipy.linalg.expm(block * time) @ start[index]).real
    if abs(float(result(np.array([time]))[0]) - exact) > 1e-6 * (1.0 + abs(exact)):
        raise ValueError(
            "two modes merge here (exceptional point): change dephasing by one part in 1e6"
        )
    return result
