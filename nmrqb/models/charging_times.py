"""Charging times of a star, in three definitions that agree on trends and not on prefactors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter
from scipy.optimize import brentq, leastsq

from nmrqb.battery.charging_time import Definition
from nmrqb.models.damped import ModeSum
from nmrqb.models.exponentials import ExponentialSum

Array = NDArray[np.float64]
Modes = ModeSum | ExponentialSum

#: what each definition means for a star; printed with every number
MEANINGS: dict[Definition, str] = {
    "threshold": "|E(t) - E(inf)| stays below e^-n |E(0) - E(inf)| for all later t",
    "fit": (
        "E(t) = E(inf) [1 - e^(-t/tau) cos(w t + phi)] fitted to the curve averaged over one "
        "period of its fastest mode, from 0 to five slowest-mode times"
    ),
    "slowest-mode": "1/(slowest decay rate among modes of more than 1e-3 E(inf))",
}
#: share of E(inf) above which a mode counts
SIGNIFICANT = 1e-3
#: rms residual of a fit, in E(inf), beyond which its tau describes nothing
POOR_FIT = 0.1
#: points and length (in slowest-mode times) of the fitted curve
_FIT_POINTS, _FIT_LENGTH = 160, 5.0
#: valleys from which the fit starts
_VALLEYS = 8
#: more starts (log rate, w, phi): the valley of a curve that creeps is flatter than the map's steps
_CREEPING = np.array([[rate, 0.3, phi] for rate in (0.0, 1.1) for phi in (-0.3, 0.3)])
#: points of a chunk of the walk to a threshold, and the largest phase between two of them
_CHUNK, _FINE = 128, 0.15
#: phase (rad) beyond which fast modes count by their envelope
_PHASES = 6e4


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingTime:
    """A charging time with its definition.

    Attributes
    ----------
    value : float
        In the inverse unit of the star's rates.
    definition : {"threshold", "fit", "slowest-mode"}
    n : float
        Of "threshold" (e^-n); the others do not use it.
    dephasing : float
        gamma at which it holds.
    """

    value: float
    definition: Definition
    n: float
    dephasing: float

    @property
    def meaning(self) -> str:
        """The definition in words."""
        return MEANINGS[self.definition]

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        n = f", n = {self.n:g}" if self.definition == "threshold" else ""
        return f"charging time {self.value:.6g} ({self.definition}{n}: {self.meaning})"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimalDephasing:
    """The dephasing at which the charging time of one definition is shortest.

    Attributes
    ----------
    value : float
        gamma*, in the unit of the star's rates.
    charging_time : ChargingTime
        At gamma*.
    definition : {"threshold", "fit", "slowest-mode"}
    n : float
    method : str
        How it was found and how closely.
    """

    value: float
    charging_time: ChargingTime
    definition: Definition
    n: float
    method: str

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"optimal dephasing {self.value:.6g} ({self.method}); {self.charging_time}"


def check_definition(definition: str, n: float) -> None:
    """Raise ValueError for an unknown definition or an n that is no positive number."""
    if definition not in MEANINGS:
        raise ValueError(
            f"`definition` must be one of {', '.join(MEANINGS)}, but is {definition!r}"
        )
    if not (np.isfinite(n) and n > 0.0):
        raise ValueError(f"`n` must be positive, but is {n}")


def charging_time(modes: Modes, definition: Definition, n: float) -> float:
    """Return the charging time of a curve that starts at 0 and ends at `modes.final`."""
    if definition == "slowest-mode":
        return slowest_time(modes)
    if definition == "threshold":
        return threshold_time(modes, n)
    tau, residual = fitted_time(modes)
    if residual > POOR_FIT:
        raise ValueError(
            f"the curve is no single damped cosine: the best fit leaves {residual:.2g} E(inf) rms, "
            f"more than {POOR_FIT:g}; use another definition or more dephasing"
        )
    return tau


def slowest_time(modes: Modes) -> float:
    """Return 1/(slowest rate among the modes of more than 1e-3 of the final value)."""
    return 1.0 / float(np.min(modes.significant(SIGNIFICANT * abs(modes.final)).rates()))


def threshold_time(modes: Modes, n: float) -> float:
    """Return the last time at which |f - final| = e^-n |f(0) - final|.

    From a time at which an envelope of all modes lies below the bound the curve is walked
    backwards.  A chunk is sampled at a fraction of the modes that it resolves; the faster ones
    count with their envelope, and only where that could reach the bound the chunk is cut until it
    resolves them too; beyond 1e4 turns the envelope is the answer, since phases come together
    again and again.
    """
    bound = float(np.exp(-n)) * abs(float(modes(np.zeros(1))[0]) - modes.final)

    def excess(time: float) -> float:
        return abs(float(modes(np.array([time]))[0]) - modes.final) - bound

    def above(time: float) -> float:
        return float(np.sum(modes.envelope(time))) - bound

    late = 1.0 / float(np.max(modes.rates()))
    while above(late) > 0.0:
        late *= 2.0
    late = float(brentq(above, 0.0, late, rtol=1e-3)) * 1.01
    turning = modes.turning()
    length = late / 8.0
    while True:
        length = min(length, late / 2.0)
        times: Array = late - length / _CHUNK * np.arange(_CHUNK + 1.0)[::-1]
        is_fast = turning * length > _FINE * _CHUNK
        ripple = float(np.sum(modes.envelope(float(times[0]))[is_fast]))
        slow = modes.only(~is_fast)
        distance = np.abs(slow(times) - modes.final) - bound
        if np.max(distance) + ripple > 0.0:
            if ripple > 0.0 and np.max(turning) * late < _PHASES:
                length /= 4.0
                continue
            if ripple > 0.0:
                return _enveloped_time(modes.only(is_fast), slow, bound, times)
            last = int(np.flatnonzero(distance > 0.0)[-1])
            return float(brentq(excess, times[last], times[last + 1], xtol=1e-12 * late))
        late = float(times[0])
        length *= 2.0


def _enveloped_time(fast: Modes, slow: Modes, bound: float, times: Array) -> float:
    """Return the last time at which the slow modes and the envelope of the fast reach the bound."""

    def excess(time: float) -> float:
        near = abs(float(slow(np.array([time]))[0]) - slow.final)
        return near + float(np.sum(fast.envelope(time))) - bound

    outside = [k for k, t in enumerate(times) if excess(float(t)) > 0.0]
    if not outside or outside[-1] == len(times) - 1:
        return float(times[-1])
    return float(brentq(excess, times[outside[-1]], times[outside[-1] + 1]))


def fitted_time(modes: Modes) -> tuple[float, float]:
    """Return tau and the rms residual of E(inf) [1 - e^(-t/tau) cos(w t + phi)].

    The curve is divided by E(inf) and averaged over one period of its fastest mode before it is
    fitted.
    """
    slow = slowest_time(modes)
    strong = modes.significant(SIGNIFICANT * abs(modes.final))
    turning = strong.turning()
    fastest = float(np.max(turning, initial=0.0))
    period = 2.0 * np.pi / fastest if fastest > 0.0 else 0.0
    window = min(period, slow)
    nodes, weights = (np.asarray(a, dtype=np.float64) for a in leggauss(8))
    centres = np.linspace(window / 2.0, _FIT_LENGTH * slow + window / 2.0, _FIT_POINTS)
    times = np.asarray(np.add.outer(centres, nodes * window / 2.0).ravel(), dtype=np.float64)
    curve = modes(times).reshape(_FIT_POINTS, -1) @ weights / 2.0 / modes.final
    x = centres / slow

    distance = 1.0 - curve

    # these two are called tens of thousands of times in a scan of dephasing rates
    def residual(p: Array) -> Array:
        return np.asarray(np.exp(-_bounded_rate(p[0]) * x) * np.cos(p[1] * x + p[2]) - distance)

    def slope(p: Array) -> Array:
        """Transposed Jacobian, shape (3, points)."""
        rate = _bounded_rate(p[0])
        angle, decay = p[1] * x + p[2], np.exp(-rate * x)
        result = np.empty((3, len(x)))
        result[0] = -rate * x * decay * np.cos(angle)
        result[2] = -decay * np.sin(angle)
        result[1] = x * result[2]
        return result

    best, smallest = slow, np.inf
    for start in _valleys(x, distance):
        with np.errstate(all="ignore"):  # the unused covariance may overflow
            found = leastsq(
                residual, start, Dfun=slope, col_deriv=True, maxfev=100, full_output=True
            )[0]
        rms = float(np.sqrt(np.mean(residual(found) ** 2)))
        if rms < smallest:
            best, smallest = slow / _bounded_rate(found[0]), rms
    return best, smallest


def _bounded_rate(log: float) -> float:
    return math.exp(min(max(log, -14.0), 14.0))


def _valleys(x: Array, distance: Array) -> Array:
    """Return (log rate, w, phi) of the deepest valleys of the fit's sum of squares.

    The sum has many minima: it is mapped over rates, frequencies and phases.

    Parameters
    ----------
    x, distance : ndarray, shape (points,)
        Times in slowest-mode times, and what e^(-rate x) cos(w x + phi) is fitted to.

    Returns
    -------
    ndarray, shape (starts, 3)
    """
    logs, phases = np.linspace(-1.5, 4.0, 12), np.linspace(-np.pi, np.pi, 24, endpoint=False)
    # what creeps bends by less than a radian; the fastest tones are those the points resolve
    tones = np.concatenate([0.2 * np.arange(4), np.arange(0.8, 0.8 * np.pi / (x[1] - x[0]), 0.8)])
    decay = np.exp(-np.exp(logs)[:, None] * x)
    angle = np.multiply.outer(tones, x)
    turn = np.cos(angle) + 1j * np.sin(angle)
    turned = np.exp(1j * phases)
    # sum (e^(-r x) cos(w x + phi))^2 - 2 sum d e^(-r x) cos(w x + phi), shape (logs, tones, phases)
    cost = (
        np.sum(decay**2, axis=1)[:, None, None] / 2.0
        + np.real((decay**2 @ (turn**2).T)[..., None] * turned**2) / 2.0
        - 2.0 * np.real(((decay * distance) @ turn.T)[..., None] * turned)
    )
    lowest = minimum_filter(cost, size=3, mode=("nearest", "nearest", "wrap"))
    places = np.argwhere(cost <= lowest)
    depth = cost[tuple(places.T)]
    r, w, f = places[np.argsort(depth)[:_VALLEYS]].T
    return np.concatenate([np.stack([logs[r], tones[w], phases[f]], axis=1), _CREEPING])


def scan_dephasing(
    time_at: Callable[[float], float], low: float, high: float
) -> tuple[float, float, float]:
    """Return (gamma*, shortest time, relative width of the last grid).

    The time may jump (a late oscillation crosses a threshold): grids are zoomed, nothing is
    differentiated.
    """
    for points in (65, 25, 25, 25):
        rates = np.geomspace(low, high, points)
        values = np.array([time_at(float(rate)) for rate in rates])
        best = int(np.argmin(values))
        low, high = rates[max(best - 1, 0)], rates[min(best + 1, points - 1)]
    return float(rates[best]), float(values[best]), float(high / low - 1.0)


def slowest_frequency(modes: ModeSum) -> float:
    """Return the lowest w among the significant modes: gamma* = 4 w and tau* = 1/w."""
    return float(np.min(modes.significant(SIGNIFICANT * abs(modes.final)).frequencies))
