"""How a level approaches its limit where one cycle is repeated: a sum of powers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.charging_time import threshold_time

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

#: modes whose weight is a smaller share of the way from start to limit do not count as slowest
NEGLIGIBLE = 1e-3
#: a smaller part of the way left after every cycle counts as none: the limit is reached at once
_AT_ONCE = 1e-12
#: weights that rounding errors leave, as shares of the way
_ROUNDING = 1e-9
_MOST_CYCLES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleModes:
    """Levels p_n after n cycles: limit + sum_k weights_k factors_k^(n - m) from n = m on.

    Attributes
    ----------
    limit : float
    before : tuple of float
        The m levels before the modes hold, p_0 first: m is 1 where the first cycle is not like the
        others, else 0.
    factors, weights : ndarray of complex, shape (modes,)
        Complex ones come in conjugate pairs.
    """

    limit: float
    before: tuple[float, ...]
    factors: Complex
    weights: Complex

    def levels(self, count: int) -> Array:
        """Return p_0 ... of `count` levels, shape (count,)."""
        powers = self.factors[:, None] ** np.arange(max(count - len(self.before), 0))
        later = self.limit + (self.weights @ powers).real
        return np.concatenate([self.before, later])[:count]

    @property
    def way(self) -> float:
        """|p_0 - limit|."""
        return float(abs(self.levels(1)[0] - self.limit))

    @property
    def slowest(self) -> complex | None:
        """The factor of largest size among the modes whose weight is not negligible.

        None where the level starts at its limit.
        """
        strong = self.factors[np.abs(self.weights) > NEGLIGIBLE * self.way]
        if self.way < _AT_ONCE * (1.0 + abs(self.limit)):
            return None
        return complex(strong[np.argmax(np.abs(strong))]) if len(strong) else 0j

    def threshold_time(self, cycle_s: float, first_s: float, n: float = 1.0) -> float | None:
        """Return the time after which |p - limit| stays below e^-n of its start.

        As ``threshold_time`` between the ends of the cycles.

        Parameters
        ----------
        cycle_s, first_s : float
            Length of a cycle, and of the first one where that differs.
        n : float

        Returns
        -------
        float or None
            None where the level starts at its limit or does not come closer.
        """
        slowest = self.slowest
        if slowest is None or not abs(slowest) < 1.0:
            return None
        # from here on all modes together are below the threshold; rounding is no mode
        sizes = np.abs(self.weights)
        real = sizes > _ROUNDING * self.way
        bound = 0.5 * math.exp(-n) * self.way / float(sizes[real].sum())
        largest = float(np.abs(self.factors[real]).max(initial=0.0))
        count: float = 3 + len(self.before)
        if largest > 0.0 and bound < 1.0:
            count += math.ceil(math.log(bound) / math.log(largest)) if largest < 1.0 else np.inf
        if count > _MOST_CYCLES:
            return None
        times = _ends_of_cycles(int(count), cycle_s, first_s if self.before else cycle_s)
        return threshold_time(times, self.levels(int(count)), self.limit, n)


def threshold_of_levels(
    levels: Array, limit: float, factor: float, cycle_s: float, first_s: float, n: float = 1.0
) -> float:
    """Return the time after which |p - limit| stays below e^-n of its start.

    As ``threshold_time``; after the last level the slowest factor alone goes on.

    Parameters
    ----------
    levels : ndarray, shape (levels,)
        p_0 to p_K after 0 to K cycles.
    limit : float
    factor : float
        Size of the slowest factor of a cycle.
    cycle_s, first_s : float
        Length of a cycle, and of the first one where that differs.
    n : float

    Returns
    -------
    float
        Infinite where the level does not come closer; NaN without levels, limit or factor.
    """
    if not (np.isfinite(levels).all() and math.isfinite(limit) and math.isfinite(factor)):
        return math.nan
    times = _ends_of_cycles(len(levels), cycle_s, first_s)
    within = threshold_time(times, levels, limit, n)
    if within is not None:
        return within
    if not 0.0 < factor < 1.0:  # a surface may give less than nothing
        return math.inf if factor > 0.0 else float(times[-1])
    left = math.log(abs(levels[-1] - limit) / abs(levels[0] - limit)) + n
    return float(times[-1]) + cycle_s * left / -math.log(factor)


def _ends_of_cycles(count: int, cycle_s: float, first_s: float) -> Array:
    """Return 0 and the times at which cycles end, the first of a length of its own."""
    times = cycle_s * np.arange(count, dtype=float)
    times[1:] += first_s - cycle_s
    return times
