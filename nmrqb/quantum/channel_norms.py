"""How far two channels of one spin are apart: trace norm and diamond norm of their difference.

Both are trace norms of differences of density operators, 0 to 2; half of either is the advantage
over a coin in telling the channels apart by one use, without and with a second spin that is kept
aside.  The difference of two channels is D(rho) = (A r + t) . sigma/2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from nmrqb.errors import ConvergenceError
from nmrqb.quantum import operators as op
from nmrqb.quantum.channels import (
    PAULI,
    BlochChannel,
    choi_of,
    is_phase_covariant,
    matrix_along,
)
from nmrqb.quantum.operators import ComplexMatrix

Array = NDArray[np.float64]

#: what a norm and its upper bound may differ by, relative to the difference's Choi matrix
_CERTIFIED = 1e-6
#: deviation from phase covariance that counts as rounding, relative to the difference
_COVARIANT = 1e-14


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelNorm:
    """A norm of the difference of two channels.

    Attributes
    ----------
    value : float
        What an input reaches.
    upper : float
        What no input can exceed: the dual bound, or `value` where a closed form holds.
    bloch : ndarray, shape (3,)
        Trace norm: the best input.  Diamond norm: the reduced state of the best input, which is
        its purification with a second spin (|r| = 1: none is needed).
    """

    value: float
    upper: float
    bloch: Array


def trace_distance(first: BlochChannel, second: BlochChannel, bloch: ArrayLike) -> Array:
    """Return half the trace norm of the two outputs' difference, |A r + t|/2.

    Parameters
    ----------
    first, second : BlochChannel
    bloch : array_like, shape (..., 3)
        Inputs.

    Returns
    -------
    ndarray, shape (...)
    """
    return np.asarray(np.linalg.norm(first(bloch) - second(bloch), axis=-1) / 2.0)


def population_norm(first: BlochChannel, second: BlochChannel) -> float:
    """Return the largest trace norm of the outputs' difference over inputs along z."""
    poles = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    return float(2.0 * trace_distance(first, second, poles).max())


def trace_norm(first: BlochChannel, second: BlochChannel) -> ChannelNorm:
    """Return the largest trace norm of the outputs' difference over all states, max |A r + t|.

    A quadratic form on a sphere: r = (mu - A^T A)^-1 A^T t with mu at least the largest eigenvalue
    of A^T A is the maximum, and mu + (A^T t)^T (mu - A^T A)^-1 A^T t + t^2 bounds the square of
    every |A r + t| from above, whatever mu.

    References
    ----------
    J. J. More and D. C. Sorensen, SIAM J. Sci. Stat. Comput. 4, 553 (1983).
    """
    a, t = first.matrix - second.matrix, first.shift - second.shift
    scale = max(float(np.abs(a).max()), float(np.abs(t).max()))
    if scale == 0.0:
        return ChannelNorm(value=0.0, upper=0.0, bloch=np.array([0.0, 0.0, 1.0]))
    a, t = a / scale, t / scale
    eigenvalues, axes = np.linalg.eigh(a.T @ a)
    b = axes.T @ (a.T @ t)
    gap = eigenvalues[-1] - eigenvalues
    top = gap <= 1e-14 * eigenvalues[-1]
    along_top, whole = float(np.linalg.norm(b[top])), float(np.linalg.norm(b))

    def excess(above: float) -> float:
        return float(np.sum((b / (above + gap)) ** 2)) - 1.0

    r = np.zeros(3)
    rest = float(np.linalg.norm(b[~top] / gap[~top]))
    if along_top <= 1e-16 * eigenvalues[-1] and rest <= 1.0:
        # the source has no part along the largest axis: either sense of it is as good
        above, inside = 0.0, rest
        r[~top] = b[~top] / gap[~top]
        r[np.flatnonzero(top)[-1]] = math.sqrt(max(0.0, 1.0 - inside**2))
        bound = float(np.sum(b[~top] ** 2 / gap[~top]))
    else:
        low = max(along_top, 1e-300)
        above = (
            low
            if excess(low) <= 0.0
            else float(brentq(excess, low, whole * (1.0 + 1e-12), xtol=1e-300, rtol=1e-14))
        )
        r = b / (above + gap)
        bound = float(np.sum(b**2 / (above + gap)))
    best = axes @ (r / np.linalg.norm(r))
    value = float(np.linalg.norm(a @ best + t))
    upper = math.sqrt(eigenvalues[-1] + above + bound + float(t @ t))
    return _certified(value, upper, best, scale, "trace norm")


def diamond_norm(first: BlochChannel, second: BlochChannel) -> ChannelNorm:
    """Return the diamond norm of the difference of two channels.

    In closed form where the difference is phase-covariant, else by a concave optimisation.

    Raises
    ------
    ConvergenceError
        Where the optimisation and its dual bound do not meet within 1e-6 (relative).
    """
    a, t = first.matrix - second.matrix, first.shift - second.shift
    scale = max(float(np.abs(a).max()), float(np.abs(t).max()))
    if scale and not is_phase_covariant(a / scale, t / scale, _COVARIANT):
        return _general_diamond_norm(choi_of(a, t), trace_norm(first, second))
    up, down = (a[2, 2] + t[2]) / 2.0, (a[2, 2] - t[2]) / 2.0
    transverse = abs(complex(a[0, 0] + a[1, 1], a[1, 0] - a[0, 1])) / 2.0
    value, share = phase_covariant_diamond_norm(float(up), float(down), transverse)
    return ChannelNorm(value=value, upper=value, bloch=np.array([0.0, 0.0, 2.0 * share - 1.0]))


def phase_covariant_diamond_norm(a: float, c: float, m: float) -> tuple[float, float]:
    """Return the diamond norm of a phase-covariant difference, and the best input's share of |0>.

    D(|0><0|) = diag(a, -a), D(|1><1|) = diag(-c, c), D(|0><1|) = m |0><1|.  What an input reaches
    is concave in its reduced state and, by covariance, the same for all rotations of that about z.
    Their mean is diagonal and no worse: sqrt(l) |00> + sqrt(1 - l) |11> is the best input, and

        ||D|| = max_l  l |a| + (1 - l) |c| + ||[[l a, q m], [q m, (1 - l) c]]||_1, q^2 = l (1 - l).

    With R = |m| for a c >= 0 and R^2 = m^2 - a c else, x = R - |a| and y = R - |c|: the maximum is
    2 R - 2 x y/(x + y), at l = y/(x + y), for x, y > 0; else it is at an end, 2 max(|a|, |c|).

    Parameters
    ----------
    a, c, m : float

    Returns
    -------
    tuple of float
        Norm, l.
    """
    a_size, c_size = abs(a), abs(c)
    root = abs(m) if a * c >= 0.0 else math.sqrt(m * m - a * c)
    x, y = root - a_size, root - c_size
    if x <= 0.0 or y <= 0.0:
        return (2.0 * a_size, 1.0) if a_size >= c_size else (2.0 * c_size, 0.0)
    return 2.0 * root - 2.0 * x * y / (x + y), y / (x + y)


def _general_diamond_norm(choi: ComplexMatrix, alone: ChannelNorm) -> ChannelNorm:
    """Return the diamond norm of a difference with Choi matrix J, certified by its dual.

    `alone` is the trace norm: the best input without a second spin, which the path may end at.

    F(rho) = ||K||_1, K = sqrt(rho) J sqrt(rho) with rho on the second spin, is what the
    purification of rho reaches.  It is concave, and Z = rho^-1/2 K_+ rho^-1/2 (K_+ the positive
    part) is feasible for

        ||D|| = 2 min { largest eigenvalue of tr_1 Z : Z >= 0, Z >= J }

    with F = 2 tr(rho tr_1 Z): it is the gradient of F as well as an upper bound.  Newton's method
    on F + mu log det rho ends within 2 mu of the maximum.

    References
    ----------
    J. Watrous, Theory Comput. 5, 217 (2009); Chicago J. Theor. Comput. Sci. 2013, 8.
    """
    scale = float(np.abs(np.linalg.eigvalsh(choi)).sum())
    choi = choi / scale
    r = np.zeros(3)
    value, upper, best = 0.0, math.inf, r
    for weight in 10.0 ** -np.arange(1.0, 10.5):
        for _ in range(12):
            reached, gradient, bound = _purified(choi, r)
            if reached > value:
                value, best = reached, r
            upper = min(upper, bound)
            if upper - value <= 4.0 * weight:
                break
            moved = _newton(choi, r, reached, gradient, float(weight))
            if moved is None:
                break
            r = moved
    if alone.value > scale * value:
        value, best = alone.value / scale, alone.bloch
    return _certified(value, upper, best, scale, "diamond norm")


def _purified(choi: ComplexMatrix, r: Array) -> tuple[float, Array, float]:
    """Return F, its gradient in the Bloch vector, and the dual bound of one reduced state."""
    weights, states = np.linalg.eigh(0.5 * (op.IDENTITY + matrix_along(r)))
    root = np.kron(op.IDENTITY, (states * np.sqrt(weights)) @ states.conj().T)
    inverse = np.kron(op.IDENTITY, (states / np.sqrt(weights)) @ states.conj().T)
    values, vectors = np.linalg.eigh(root @ choi @ root)
    positive = (vectors * np.maximum(values, 0.0)) @ vectors.conj().T
    dual = inverse @ positive @ inverse
    dual = (dual + dual.conj().T) / 2.0
    # what rounding took from Z >= 0 and Z >= J is given back by a multiple of the identity
    short = max(
        0.0, -float(np.linalg.eigvalsh(dual)[0]), -float(np.linalg.eigvalsh(dual - choi)[0])
    )
    traced = np.einsum("ijik->jk", dual.reshape(2, 2, 2, 2))
    bound = 2.0 * (float(np.linalg.eigvalsh(traced)[-1]) + 2.0 * short)
    gradient = np.array([np.trace(sigma @ traced).real for sigma in PAULI])
    return float(np.abs(values).sum()), gradient, bound


def _newton(
    choi: ComplexMatrix, r: Array, reached: float, gradient: Array, weight: float
) -> Array | None:
    """Return the next point of Newton's method on F + weight log(1 - r^2); None at its end."""
    room = 1.0 - float(r @ r)
    step = 1e-4 * room
    curvature = np.array(
        [
            (_purified(choi, r + step * e)[1] - _purified(choi, r - step * e)[1]) / (2.0 * step)
            for e in np.eye(3)
        ]
    )
    values, axes = np.linalg.eigh((curvature + curvature.T) / 2.0)
    concave = (axes * np.minimum(values, 0.0)) @ axes.T
    concave -= weight * (2.0 * np.eye(3) / room + 4.0 * np.outer(r, r) / room**2)
    uphill = gradient - 2.0 * weight * r / room
    whole = -np.linalg.solve(concave, uphill)
    gain = float(uphill @ whole)
    here = reached + weight * math.log(room)
    part = 1.0
    while part > 1e-10:
        there = r + part * whole
        left = 1.0 - float(there @ there)
        if left > 0.0:
            level = _purified(choi, there)[0] + weight * math.log(left)
            # at the end of the path a gain drowns in rounding, but the gradient still falls
            if level >= here + 0.1 * part * gain - 1e-15:
                return np.asarray(there)
        part /= 2.0
    return None


def _certified(value: float, upper: float, bloch: Array, scale: float, what: str) -> ChannelNorm:
    if not upper - value <= _CERTIFIED:
        raise ConvergenceError(
            f"the {what} of the channels' difference was not found: what was reached and its upper "
            "bound differ",
            value=f"{scale * value:.12g} and {scale * upper:.12g}",
            limit=f"{scale * _CERTIFIED:.1e} apart",
        )
    return ChannelNorm(value=scale * value, upper=max(scale * upper, scale * value), bloch=bloch)
