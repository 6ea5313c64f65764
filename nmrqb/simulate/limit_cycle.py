"""The state that a cycle reproduces, and the modes in which other states approach it.

A cycle is an affine map v -> M v + s of the state.  Its limit solves (1 - M) v = s.  What a level
does on the way follows from the Krylov space of the first deviation: on it M is a small matrix,
whose eigenvalues are the factors per cycle.

References
----------
W. E. Arnoldi, Q. Appl. Math. 9, 17 (1951); Y. Saad and M. H. Schultz, SIAM J. Sci. Stat. Comput.
7, 856 (1986).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, gmres

from nmrqb.battery.cycle_modes import NEGLIGIBLE
from nmrqb.errors import ConvergenceError
from nmrqb.quantum.propagation import Vector

Complex = NDArray[np.complex128]
Cycle = Callable[[Vector], Vector]

#: cycles after which the set of elements that a cycle fills must have stopped growing
_MAX_GROWTH = 8
#: cycles of the Krylov space, and the error of a factor that ends it
_MAX_CYCLES, _ACCURACY = 120, 1e-9


def limit_state(cycle: Cycle, start: Vector, identity: int) -> Vector:
    """Return the state that a cycle reproduces, by GMRES from the state after three cycles.

    Parameters
    ----------
    cycle : callable
        The state after one cycle; affine in the state with unit weight of the identity.
    start : ndarray of complex
        Any state.
    identity : int
        Position of the identity element.

    Raises
    ------
    ConvergenceError
        Where the residual does not fall below 1e-10.
    """
    for _ in range(3):
        start = cycle(start)
    unit = np.zeros_like(start)
    unit[identity] = 1.0
    source = cycle(unit) - unit
    # the elements that a cycle ever fills: a few hundred of the 36,556 of 37 spins
    support = np.abs(start) + np.abs(source) > 0.0
    for _ in range(_MAX_GROWTH):
        probe = support.astype(np.complex128)
        grown = support | (np.abs(cycle(probe)) > 0.0)
        if (grown == support).all():
            break
        support = grown
    where = np.flatnonzero(support)

    def residual(x: Vector) -> Vector:
        full = np.zeros_like(start)
        full[where] = np.asarray(x, dtype=np.complex128).ravel()
        return np.asarray((full - cycle(full))[where], dtype=np.complex128)

    guess, wanted = (start - unit)[where], source[where]
    size = len(where)
    operator = LinearOperator((size, size), matvec=residual, dtype=np.complex128)
    found, _ = gmres(operator, wanted, x0=guess, rtol=1e-12, atol=1e-13, restart=80, maxiter=20)
    solution = np.zeros_like(start)
    solution[where] = found
    # on all elements: it also tells where the support was found too small
    error = float(np.abs(solution - cycle(solution) - source).max())
    if not error <= 1e-10:
        raise ConvergenceError(
            "the fixed point of the cycle was not found", value=f"{error:.1e}", limit="1e-10"
        )
    return np.asarray(solution + unit)


def modes_of(
    cycle: Cycle, deviation: Vector, read: Callable[[Vector], float]
) -> tuple[Complex, Complex]:
    """Return factors and weights of a level's deviation: sum_k weights_k factors_k^n.

    Parameters
    ----------
    cycle : callable
        Linear on deviations, which have no identity element.
    deviation : ndarray of complex
        Of the first state from the limit.
    read : callable
        The level of a state: a linear function with real values.

    Raises
    ------
    ConvergenceError
        Where the factors of modes that count do not settle.
    """
    size = float(np.linalg.norm(deviation))
    none = np.zeros(0, np.complex128)
    if size == 0.0:
        return none, none
    # over the real numbers: states are hermitian, and so is every combination
    basis, matrix = [deviation / size], np.zeros((_MAX_CYCLES + 1, _MAX_CYCLES))
    levels = [read(basis[0])]
    for m in range(1, _MAX_CYCLES + 1):
        following = cycle(basis[-1])
        for _ in range(2):  # once more: orthogonal to rounding
            for k, vector in enumerate(basis):
                overlap = float(np.vdot(vector, following).real)
                matrix[k, m - 1] += overlap
                following = following - overlap * vector
        rest = float(np.linalg.norm(following))
        factors, vectors = np.linalg.eig(matrix[:m, :m])
        first = np.zeros(m)
        first[0] = size
        shares = np.linalg.lstsq(vectors, first.astype(np.complex128), rcond=None)[0]
        weights = np.asarray(levels) @ vectors * shares
        strong = np.abs(weights) > 0.1 * NEGLIGIBLE * max(abs(weights.sum()), 1e-12)
        off = rest * np.abs(vectors[-1])
        if rest < 1e-14 or (m > 2 and (off[strong] < _ACCURACY).all()):
            return factors, weights
        matrix[m, m - 1] = rest
        basis.append(following / rest)
        levels.append(read(basis[-1]))
    worst = float(off[strong].max(initial=0.0))
    raise ConvergenceError(
        "the modes of the cycle were not found", value=f"{worst:.1e}", limit=f"{_ACCURACY:.0e}"
    )
