"""Phases of slowly damped oscillators at times that double precision cannot follow.

A root of relative error 1e-16 has lost its phase after 1e12 turns, and so has one whose coupling
g/sqrt(N) was rounded.  Here the roots of the tridiagonal drive matrix are refined by Newton's
method in decimal arithmetic from their double-precision values, with the exact squares of the
couplings, and phases are reduced to one turn before they become doubles.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_DIGITS = 60
_TWO_PI = Decimal("6.2831853071795864769252867665590057683943387987502116419498891846")


def refined_roots(
    guesses: Sequence[float], drive: float, coupling: float, shared_by: int, batteries: int
) -> list[Decimal]:
    """Return eigenvalues of the folded drive matrix to 45 digits or more.

    Parameters
    ----------
    guesses : sequence of float
        The same eigenvalues in double precision.
    drive, coupling : float
        F and g; lambda^2 = g^2/shared_by exactly.
    shared_by, batteries : int
    """
    with localcontext() as context:
        context.prec = _DIGITS
        f, square = Decimal(drive), Decimal(coupling) ** 2 / shared_by
        n = batteries
        off_squared = [
            f * f if i % 2 == 0 else square * (i // 2 + 1) * (n - i // 2) for i in range(n)
        ]
        last = f if n % 2 == 0 else square.sqrt() * (n // 2 + 1)
        return [_newton(Decimal(float(g)), off_squared, last) for g in guesses]


def _newton(x: Decimal, off_squared: list[Decimal], last: Decimal) -> Decimal:
    tiny = Decimal(10) ** -_DIGITS
    for _ in range(6):
        # pivots of T - x; d/dx log det = sum of (pivot derivative)/pivot
        pivot, slope = -x if off_squared else last - x, Decimal(-1)
        total = Decimal(0)
        for i, square in enumerate(off_squared):
            pivot = pivot or tiny
            ratio = slope / pivot
            total += ratio
            end = last if i == len(off_squared) - 1 else Decimal(0)
            pivot, slope = end - x - square / pivot, -1 + square * ratio / pivot
        pivot = pivot or tiny
        total += slope / pivot
        step = 1 / total
        x -= step
        if abs(step) < Decimal(10) ** (-_DIGITS + 12) * (abs(x) + 1):
            break
    return x


def long_oscillators(
    amplitudes: Array, frequencies: Sequence[Decimal], dephasing: float, times: Array
) -> Array:
    """Return sum_j amplitude_j D(w_j; t) for underdamped modes (4 w > gamma), shape of `times`."""
    result = np.zeros(len(times))
    with localcontext() as context:
        context.prec = _DIGITS
        d = Decimal(dephasing) / 4
        exact_times = [Decimal(float(t)) for t in times]
        for amplitude, w in zip(amplitudes, frequencies, strict=True):
            q = ((w - d) * (w + d)).sqrt()
            phase = np.array([float(q * t % _TWO_PI) for t in exact_times])
            result += amplitude * (np.cos(phase) + float(d / q) * np.sin(phase))
    return np.asarray(result * np.exp(-dephasing / 4.0 * times), dtype=np.float64)
