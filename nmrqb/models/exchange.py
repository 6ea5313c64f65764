"""XY exchange of a star in closed form, for thermal (high-temperature) chargers."""

from __future__ import annotations

from functools import cache, lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar

Array = NDArray[np.float64]


def exchange_transfer(satellites: int, jt: Array | float) -> Array:
    """Return b_N(Jt), the share of the satellites' polarisation that ideal exchange moves.

    One exchange takes the polarisation p of the centre to (1 - b) p + b z for satellites at z
    (both to first order in eps):

        b_N = 2^-(N-1) sum_K mult(N, K) sum_m sin^2(pi J t sqrt(K(K+1) - m(m+1))).

    Parameters
    ----------
    satellites : int
        N >= 1.
    jt : ndarray or float
        J t, dimensionless, any shape.

    Returns
    -------
    ndarray
        Shape of `jt`.
    """
    weights, roots = _oscillations(satellites)
    phase = np.pi * np.asarray(jt, dtype=np.float64)[..., None] * roots
    result: Array = np.sin(phase) ** 2 @ weights
    return result


def mean_exchange_transfer(satellites: int, jt: Array | float) -> Array:
    """Return the mean of b_N over an exchange, (1/Jt) times its integral from 0 to Jt.

    Parameters and shape as in `exchange_transfer`.
    """
    weights, roots = _oscillations(satellites)
    phase = np.pi * np.asarray(jt, dtype=np.float64)[..., None] * roots
    # mean of sin^2: (1 - sin(2 phase)/(2 phase))/2, and np.sinc(x) = sin(pi x)/(pi x)
    result: Array = (1.0 - np.sinc(2.0 * phase / np.pi)) / 2.0 @ weights
    return result


@cache
def _oscillations(satellites: int) -> tuple[Array, Array]:
    """Return weights and frequencies (in units of pi J) of the sin^2 terms of b_N."""
    if satellites < 1:
        raise ValueError(f"satellites must be at least 1, but is {satellites}")
    weights: list[float] = []
    roots: list[float] = []
    for k in range(satellites // 2 + 1):
        spin = satellites / 2.0 - k
        multiplicity = comb(satellites, k) - (comb(satellites, k - 1) if k else 0)
        for m in np.arange(-spin, spin):
            weights.append(multiplicity / 2 ** (satellites - 1))
            roots.append(float(np.sqrt(spin * (spin + 1) - m * (m + 1))))
    result = np.array(weights), np.array(roots)
    for kept in result:  # shared by all calls
        kept.flags.writeable = False
    return result


@cache
def first_maximum(satellites: int) -> tuple[float, float]:
    """Return (Jt, b) at the first maximum of b_N: the best single exchange."""
    # the maximum of N -> infinity is at x = 0.924 = pi J t sqrt(N/2); that of N = 1 at J t = 1/2
    grid = np.linspace(0.0, 0.55 * min(1.0, 1.6 / np.sqrt(satellites)), 400)[1:]
    values = exchange_transfer(satellites, grid)
    top = int(np.flatnonzero(np.diff(values) < 0.0)[0])
    found = minimize_scalar(
        lambda x: -float(exchange_transfer(satellites, x)),
        bounds=(grid[top - 1], grid[top + 1]),
        method="bounded",
        options={"xatol": 1e-12},
    )
    return float(found.x), float(-found.fun)


@lru_cache(maxsize=256)
def shortest_exchange(satellites: int, transfer: float) -> float:
    """Return the smallest J t with b_N(Jt) = `transfer`.

    Raises
    ------
    ValueError
        Where the star's first maximum does not reach `transfer`.
    """
    jt_top, top = first_maximum(satellites)
    if not 0.0 <= transfer <= top * (1.0 + 1e-12):
        raise ValueError(
            f"`transfer` must be 0 to {top:.4f} for {satellites} satellites, but is {transfer}"
        )
    if transfer == 0.0:
        return 0.0
    if transfer >= top * (1.0 - 1e-12):
        return jt_top
    return float(
        brentq(
            lambda x: float(exchange_transfer(satellites, x)) - transfer, 0.0, jt_top, xtol=1e-15
        )
    )


def inept_transfer(satellites: int, *, to_center: bool) -> float:
    """Return the largest transfer of refocused INEPT, in units of one source spin's polarisation.

    sqrt(N) (1 - 1/N)^((N-1)/2) to the centre, and a N-th of it to each satellite.

    Parameters
    ----------
    satellites : int
        N.
    to_center : bool
        From the satellites to the centre, or from the centre to each satellite.

    References
    ----------
    D. P. Burum and R. R. Ernst, J. Magn. Reson. 39, 163 (1980).
    """
    n = satellites
    best = float(np.sqrt(n) * (1.0 - 1.0 / n) ** ((n - 1) / 2.0))
    return best if to_center else best / n


def unitary_bound(satellites: int) -> float:
    """Return the largest transfer to the centre that any unitary can make.

    N C(N-1, floor((N-1)/2))/2^(N-1), for satellites polarised to first order.

    References
    ----------
    O. W. Sorensen, Prog. NMR Spectrosc. 21, 503 (1989).
    """
    n = satellites
    return float(n * comb(n - 1, (n - 1) // 2) / 2 ** (n - 1))
