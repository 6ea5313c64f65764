"""What replaces a dephased charger: crushers, phase flips, resets, in closed form.

One battery and one charger, exchange g = pi J.  The difference of their polarisations obeys

    D'' + Gamma D' + 4 g^2 D = 0,     Gamma = gamma_C/2 the decay of a charger coherence,

underdamped below Gamma = 4 g and Zeno-slow above.  A sequence can kill coherence (and
repolarise the charger) at discrete times only; this module says which continuous Gamma that
stands for.  Arguments broadcast; rates and g are in one unit, durations in its inverse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize_scalar

Array = NDArray[np.float64]


def crusher_decay_rate(g: ArrayLike, interval: ArrayLike) -> Array:
    """Return l = -ln|cos 2 g d|/d, the decay of D under full crushers every `interval` d."""
    g, d = np.asarray(g, float), np.asarray(interval, float)
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log(np.abs(np.cos(2.0 * g * d))) / d)


def crusher_dephasing(g: ArrayLike, interval: ArrayLike) -> Array:
    """Return the Gamma whose slow mode decays as fast as under full crushers every d.

    Gamma = l + 4 g^2/l, about 2/d; never below 4 g: weaker dephasing has no full-crusher
    equivalent.
    """
    rate = crusher_decay_rate(g, interval)
    return np.asarray(rate + 4.0 * np.asarray(g, float) ** 2 / rate)


def crusher_interval(g: float, dephasing_per_s: float) -> float:
    """Return the interval d of full crushers that stand for Gamma = `dephasing_per_s`.

    Raises
    ------
    ValueError
        Below Gamma = 4 g: partial phase flips or Poisson crushers are needed there.
    """
    if not g > 0.0:
        raise ValueError(f"g must be positive, but is {g}")
    longest = longest_crusher_interval(g)
    if dephasing_per_s < 4.0 * g * (1.0 - 1e-12):
        raise ValueError(
            f"dephasing_per_s must be at least 4 g = {4.0 * g:.6g} /s for full crushers, but is "
            f"{dephasing_per_s:.6g} /s: use phase flips or Poisson crushers"
        )
    if crusher_dephasing(g, longest) >= dephasing_per_s:
        return longest
    shortest = 1e-3 / dephasing_per_s
    return float(
        brentq(
            lambda d: float(crusher_dephasing(g, d)) - dephasing_per_s,
            shortest,
            longest,
            xtol=1e-15 / g,
            rtol=1e-14,
        )
    )


def longest_crusher_interval(g: float) -> float:
    """Return the interval d with Gamma = 4 g, where -ln cos(2 g d) = 2 g d: g d = 0.646348."""
    x = brentq(lambda x: -np.log(np.cos(x)) - x, 0.5, np.pi / 2.0 - 1e-6, xtol=1e-15)
    return float(x / (2.0 * g))


def flip_dephasing(probability: ArrayLike, interval: ArrayLike) -> Array:
    """Return Gamma = -ln(1 - 2 q)/d of 180 degree z-rotations with probability q every d << 1/g."""
    q, d = np.asarray(probability, float), np.asarray(interval, float)
    return np.asarray(-np.log1p(-2.0 * q) / d)


def flip_probability(dephasing_per_s: ArrayLike, interval: ArrayLike) -> Array:
    """Return q = (1 - e^{-Gamma d})/2 of the z-flips that stand for Gamma; at most 1/2."""
    rate, d = np.asarray(dephasing_per_s, float), np.asarray(interval, float)
    return np.asarray(-0.5 * np.expm1(-rate * d))


def reset_rates(g: ArrayLike, coherence_rate: ArrayLike, repolarisation_rate: ArrayLike) -> Array:
    """Return the three decay rates of a battery whose charger dephases and repolarises.

    a' = -2 g y, c' = 2 g y - R1 (c - 1), y' = g (a - c) - Gamma y for the polarisations a of the
    battery and c of the charger: charging ends at a = 1, not at D = 0.

    Parameters
    ----------
    g : array_like
    coherence_rate : array_like
        Gamma.
    repolarisation_rate : array_like
        R1.

    Returns
    -------
    ndarray of complex, shape (..., 3)
        Real parts are decay rates.
    """
    g, gamma, r1 = np.broadcast_arrays(
        np.asarray(g, float),
        np.asarray(coherence_rate, float),
        np.asarray(repolarisation_rate, float),
    )
    matrix = np.zeros((*g.shape, 3, 3))
    matrix[..., 0, 2] = 2.0 * g
    matrix[..., 1, 1], matrix[..., 1, 2] = r1, -2.0 * g
    matrix[..., 2, 0], matrix[..., 2, 1], matrix[..., 2, 2] = -g, g, gamma
    return np.asarray(np.linalg.eigvals(matrix))


def integrated_charging_time(
    g: ArrayLike, coherence_rate: ArrayLike, repolarisation_rate: ArrayLike
) -> Array:
    """Return 1/k = Gamma/(2 g^2) + 1/R1, the integral of 1 - p_B(t) from p_B = 0, p_C = 1."""
    g = np.asarray(g, float)
    return np.asarray(
        np.asarray(coherence_rate, float) / (2.0 * g**2)
        + 1.0 / np.asarray(repolarisation_rate, float)
    )


def best_poisson_reset(g: float) -> tuple[float, float]:
    """Return the Poisson reset rate whose slowest mode is fastest, and that mode's rate.

    A reset kills coherence and repolarises at one rate r = Gamma = R1.  Found numerically; the
    closed form is r = 3 g/sqrt2 with g/sqrt2.
    """

    def slowest(r: float) -> float:
        return float(reset_rates(g, r, r).real.min())

    grid = np.linspace(0.05, 12.0, 400) * g
    best = int(np.argmax([slowest(r) for r in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(
        lambda r: -slowest(r), bounds=(low, high), method="bounded", options={"xatol": 1e-12 * g}
    )
    return float(found.x), float(-found.fun)


def incoherent_rate(g: ArrayLike, dephasing_per_s: ArrayLike, chargers: int = 1) -> Array:
    """Return k_N = 2 N g^2/Gamma, the incoherent charging rate by N strongly dephased chargers."""
    g, rate = np.asarray(g, float), np.asarray(dephasing_per_s, float)
    return np.asarray(2.0 * chargers * g**2 / rate)
