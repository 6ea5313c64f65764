"""Ergotropy of a qubit battery from a noisy Bloch vector.

In the NMR unit W = |r| - r_z.  A measured r has Gaussian errors: |r| is then too large by about
the noise (Rice), and W, which cannot be negative, is one-sided near the passive states.  States of
ergotropy W lie on the paraboloid rho^2 = W^2 + 2 W r_z (rho the transverse length), whose focus is
the origin; states of coherent ergotropy |r| - |r_z| on the parts of two such paraboloids that meet
in the transverse plane.

Limits come from the test "the true state has ergotropy W": its statistic is the signed distance of
the measured r from that surface in standard errors, and its probability is that under the nearest
point of the surface, because near W = 0 the surface is curved on the scale of the noise and the
distance is no Gaussian.

References
----------
S. O. Rice, Bell Syst. Tech. J. 24, 46 (1945).
C.-S. Chuang and T. L. Lai, Statistica Sinica 10, 1 (2000), on tests with resampled nuisances.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

from nmrqb.battery.energy import incoherent_ergotropy

Array = NDArray[np.float64]
Part = Literal["total", "coherent"]

#: 2^11 points of a net: probabilities to about 0.4 %
_NET_POWER = 11
_HALVINGS = 17
#: a state this close to W = 0 stands for it
_NEXT_TO_NOTHING = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class ErgotropyEstimate:
    """Ergotropy of one Bloch vector with its limits, in the NMR energy unit.

    Attributes
    ----------
    value : float
        Without the first-order bias of |r|.
    stderr : float or None
        To first order; None where the ergotropy is not significantly above zero (5 %).
    ci95 : tuple (low, high)
        Two-sided 95 % interval; low is 0 where zero belongs to it.
    lower95, upper95 : float
        One-sided 95 % limits.
    """

    value: float
    stderr: float | None
    ci95: tuple[float, float]
    lower95: float
    upper95: float


def estimated_ergotropy(
    r: Array,
    transverse_stderr: float,
    z_stderr: float,
    *,
    part: Part = "total",
    scale_error: float = 0.0,
) -> ErgotropyEstimate:
    """Estimate the ergotropy |r| - r_z, or its coherent part |r| - |r_z|, of one battery.

    Parameters
    ----------
    r : ndarray, shape (3,)
        Measured Bloch vector in units of eps, energy label.
    transverse_stderr, z_stderr : float
        Standard errors of r_x and r_y (each) and of r_z, positive; errors are independent.
    part : {"total", "coherent"}
    scale_error : float
        Relative standard error of a factor common to all three (the reference).
    """
    r = np.asarray(r, dtype=np.float64)
    rho, z = float(np.hypot(r[0], r[1])), float(r[2])
    value = corrected_ergotropy(rho, z, (transverse_stderr, z_stderr), part)
    errors = (transverse_stderr, z_stderr)
    limits = {
        (side, level): _limit(rho, z, errors, part, side, level)
        for side, level in (("low", 0.025), ("high", 0.025), ("low", 0.05), ("high", 0.05))
    }
    quantile = {0.025: 1.959963984540054, 0.05: 1.6448536269514722}

    def with_scale(side: str, level: float) -> float:
        # independent errors of a factor and of what it multiplies: their distances add in squares
        own = limits[side, level] - value
        common = quantile[level] * scale_error * value
        if side == "low":
            return max(0.0, value - float(np.hypot(min(own, 0.0), common)))
        return value + float(np.hypot(max(own, 0.0), common))

    lower = 0.0 if limits["low", 0.05] == 0.0 else with_scale("low", 0.05)
    low = 0.0 if limits["low", 0.025] == 0.0 else with_scale("low", 0.025)
    stderr = None
    if lower > 0.0:
        length = float(np.hypot(rho, z))
        sign = 1.0 if part == "total" or z >= 0.0 else -1.0
        slope = rho / length, z / length - sign
        stderr = float(
            np.sqrt(
                (slope[0] * transverse_stderr) ** 2
                + (slope[1] * z_stderr) ** 2
                + (scale_error * value) ** 2
            )
        )
    return ErgotropyEstimate(
        value=value,
        stderr=stderr,
        ci95=(low, with_scale("high", 0.025)),
        lower95=lower,
        upper95=with_scale("high", 0.05),
    )


def corrected_ergotropy(rho: float, z: float, errors: tuple[float, float], part: Part) -> float:
    """Return |r| - r_z or its coherent part without the bias of |r| of first order.

    E|r_measured| = |r| + (tr S - u^T S u)/(2 |r|) + ..., u = r/|r|, S the covariance.

    Parameters
    ----------
    rho, z : float
        Transverse length and z component as measured.
    errors : tuple (transverse, z)
        Standard errors, the first of each of r_x and r_y.
    part : {"total", "coherent"}
    """
    s_t, s_z = errors
    square = rho**2 + z**2
    if square == 0.0:
        return 0.0
    along = (rho**2 * s_t**2 + z**2 * s_z**2) / square
    length = np.sqrt(max(0.0, square - (2.0 * s_t**2 + s_z**2 - along)))
    coherent = max(0.0, float(length) - abs(z))
    return coherent if part == "coherent" else coherent + float(incoherent_ergotropy(np.array(z)))


def _limit(
    rho: float, z: float, errors: tuple[float, float], part: Part, side: str, level: float
) -> float:
    """Return the least or largest ergotropy that a test of this level does not reject."""
    observed = np.hypot(rho, z) - (z if part == "total" else abs(z))
    size = max(errors)

    def rejected(w: float) -> bool:
        return _probability(rho, z, w, errors, part, side) < level

    if side == "low":
        inner, outer = float(observed), _NEXT_TO_NOTHING * size
        if inner <= outer or not rejected(outer):
            return 0.0
    else:
        # W changes by at most twice the length of a change of r
        inner = max(float(observed), _NEXT_TO_NOTHING * size)
        outer = inner + 12.0 * size
    for _ in range(_HALVINGS):
        middle = 0.5 * (inner + outer)
        if rejected(middle):
            outer = middle
        else:
            inner = middle
    return inner


def _probability(
    rho: float, z: float, w: float, errors: tuple[float, float], part: Part, side: str
) -> float:
    """Return the probability of a distance from the surface W = w beyond the measured one."""
    distance, at_rho, at_z = _distance(np.array(rho), np.array(z), w, errors, part)
    net = _net()
    x = at_rho + errors[0] * net[:, 0]
    there = np.hypot(x, errors[0] * net[:, 1]), at_z + errors[1] * net[:, 2]
    simulated, _, _ = _distance(there[0], there[1], w, errors, part)
    beyond = simulated >= distance if side == "low" else simulated <= distance
    return float(np.mean(beyond))


def _distance(
    rho: Array, z: Array, w: float, errors: tuple[float, float], part: Part
) -> tuple[Array, Array, Array]:
    """Return the signed distance from the surface of ergotropy w, and the nearest point on it.

    In standard errors, positive outside (larger ergotropy).  The nearest x >= 0 on
    z(x) = (x^2 - w^2)/(2w) is the one positive root of a cubic.
    """
    s_t, s_z = errors
    height = z if part == "total" else np.abs(z)
    a = 1.0 / (2.0 * w**2 * s_z**2)
    p = (1.0 / s_t**2 - (0.5 * w + height) / (w * s_z**2)) / a
    x = _positive_root(p, rho / (s_t**2 * a))
    if part == "coherent":
        x = np.maximum(x, w)
    surface = (x**2 - w**2) / (2.0 * w)
    distance = np.hypot((x - rho) / s_t, (surface - height) / s_z)
    sign = np.where(np.hypot(rho, z) - height < w, -1.0, 1.0)
    return sign * distance, x, surface


def _positive_root(p: Array, q: Array) -> Array:
    """Return the largest root of x^3 + p x = q for q >= 0."""
    half = 0.5 * q
    discriminant = half**2 + (p / 3.0) ** 3
    one = discriminant >= 0.0
    u = np.cbrt(half + np.sqrt(np.where(one, discriminant, 0.0)))
    single = u - p / (3.0 * np.where(u == 0.0, 1.0, u))
    third = np.sqrt(np.where(one, 1.0, -p / 3.0))
    angle = np.arccos(np.clip(half / third**3, -1.0, 1.0))
    x = np.where(one, single, 2.0 * third * np.cos(angle / 3.0))
    for _ in range(2):  # one root cancels where p is large: two steps of Newton bring it back
        slope = 3.0 * x**2 + p
        x = x - np.where(slope > 0.0, (x**3 + p * x - q) / np.where(slope > 0.0, slope, 1.0), 0.0)
    return np.maximum(x, 0.0)


@cache
def _net() -> Array:
    """Return a fixed net of three standard normal numbers, shape (2048, 3)."""
    uniform = qmc.Sobol(3, scramble=False).random_base2(_NET_POWER)
    net = np.asarray(ndtri(uniform + 0.5 / 2**_NET_POWER))
    net.setflags(write=False)
    return net
