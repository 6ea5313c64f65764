"""Charging times of a star, in three definitions that agree on trends and not on prefactors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from scipy.optimize import brentq, least_squares

from nmrqb.battery.charging_time import Definition, damped_cosine
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
#: points and length (in slowest-mode times) of the fitted curve
_FIT_POINTS, _FIT_LENGTH = 160, 5.0


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
    return fitted_time(modes)


def slowest_time(modes: Modes) -> float:
    """Return 1/(slowest rate among the modes of more than 1e-3 of the final value)."""
    return 1.0 / float(np.min(modes.significant(SIGNIFICANT * abs(modes.final)).rates()))


def threshold_time(modes: Modes, n: float) -> float:
    """Return the last time at which |f - final| = e^-n |f(0) - final|.

    From a time at which an envelope of all modes lies below the bound the curve is walked
    backwards, in steps of a fraction of the fastest mode alive, up to the last crossing.
    """
    bound = float(np.exp(-n)) * abs(float(modes(np.zeros(1))[0]) - modes.final)

    def above(time: float) -> float:
        return float(np.sum(modes.envelope(time))) - bound

    late = 1.0 / float(np.max(modes.rates()))
    while above(late) > 0.0:
        late *= 2.0
    late = float(brentq(above, 0.0, late, rtol=1e-3)) * 1.01
    turning = modes.turning()
    while True:
        alive = turning[modes.envelope(late / 2.0) > 1e-3 * bound / max(1, len(turning))]
        step = late / 256.0
        fastest = float(np.max(alive, initial=0.0))
        if fastest > 0.0:
            step = min(step, 0.15 / fastest)
        times = late - step * np.arange(129)[::-1]
        distance = np.abs(modes(times) - modes.final) - bound
        outside = np.flatnonzero(distance > 0.0)
        if len(outside) and outside[-1] < 128:
            last = int(outside[-1])
            return float(
                brentq(
                    lambda t: abs(float(modes(np.array([t]))[0]) - modes.final) - bound,
                    times[last],
                    times[last + 1],
                    xtol=1e-12 * late,
                )
            )
        late = float(times[0])


def fitted_time(modes: Modes) -> float:
    """Return tau of E(inf) [1 - e^(-t/tau) cos(w t + phi)] fitted to the averaged curve."""
    slow = slowest_time(modes)
    strong = modes.significant(SIGNIFICANT * abs(modes.final))
    fastest = float(np.max(strong.turning(), initial=0.0))
    period = 2.0 * np.pi / fastest if fastest > 0.0 else 0.0
    window = min(period, slow)
    nodes, weights = (np.asarray(a, dtype=np.float64) for a in leggauss(8))
    centres = np.linspace(window / 2.0, _FIT_LENGTH * slow + window / 2.0, _FIT_POINTS)
    shown = strong if isinstance(strong, ModeSum) else modes
    times = np.asarray(np.add.outer(centres, nodes * window / 2.0).ravel(), dtype=np.float64)
    samples = shown(times)
    curve = samples.reshape(_FIT_POINTS, -1) @ weights / 2.0 / modes.final

    def residual(p: Array) -> Array:
        return damped_cosine(centres, 1.0, np.exp(p[0]), p[1], p[2]) - curve

    starts = [(np.log(slow), 0.0, 0.0)]
    starts += [
        (np.log(slow), float(q), 0.0)
        for q in np.unique(strong.turning().round(12))[:2]
        if q > 0.0 and q * slow < _FIT_POINTS
    ]
    fits = [least_squares(residual, start, method="lm", max_nfev=200) for start in starts]
    return float(np.exp(min(fits, key=lambda fit: fit.cost).x[0]))


def scan_dephasing(
    time_at: Callable[[float], float], low: float, high: float
) -> tuple[float, float, float]:
    """Return (gamma*, shortest time, relative width of the last grid).

    The time may jump (a late oscillation crosses a threshold): grids are zoomed, nothing is
    differentiated.
    """
    for _ in range(4):
        rates = np.geomspace(low, high, 33)
        values = np.array([time_at(float(rate)) for rate in rates])
        best = int(np.argmin(values))
        low, high = rates[max(best - 1, 0)], rates[min(best + 1, 32)]
    return float(rates[best]), float(values[best]), float(high / low - 1.0)


def slowest_frequency(modes: ModeSum) -> float:
    """Return the lowest w among the significant modes: gamma* = 4 w and tau* = 1/w."""
    return float(np.min(modes.significant(SIGNIFICANT * abs(modes.final)).frequencies))
