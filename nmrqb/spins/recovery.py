"""Longitudinal recovery of chargers that is not one exponential: two T1s, or a measured table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy.interpolate import PchipInterpolator

from nmrqb.units import FILE_CONFIG, Unit, format_quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The share c(Delta) of the equilibrium polarisation that saturated chargers regain.

    Either two exponentials (`t1_fast_s`, `t1_slow_s`, `fast_share`), or a measured table
    (`times_s`, `recovered`), interpolated monotonically in ln(1 - c) from c(0) = 0.

    Attributes
    ----------
    t1_fast_s, t1_slow_s : float or None
    fast_share : float or None
        Weight of the fast exponential, 0 to 1.
    times_s, recovered : tuple of float or None
        Rising, both; `recovered` above 0 and below 1.
    source : str or None
        Where it was measured; None where `nominal`.
    nominal : bool
    """

    __pydantic_config__ = FILE_CONFIG

    t1_fast_s: Annotated[float, Unit("time", above=0.0, at_most=1e7)] | None = None
    t1_slow_s: Annotated[float, Unit("time", above=0.0, at_most=1e7)] | None = None
    fast_share: Annotated[float, Unit("share", at_least=0.0, at_most=1.0)] | None = None
    times_s: tuple[Annotated[float, Unit("time", above=0.0, at_most=1e7)], ...] | None = None
    recovered: tuple[float, ...] | None = None
    source: str | None = None
    nominal: bool = False

    def __post_init__(self) -> None:
        if self.nominal == (self.source is not None):
            raise ValueError("must have either a `source` or `nominal = true`, and not both")
        two = (self.t1_fast_s, self.t1_slow_s, self.fast_share)
        table = (self.times_s, self.recovered)
        has_two = all(value is not None for value in two)
        has_table = all(value is not None for value in table)
        if has_two == has_table or any(v is not None for v in (table if has_two else two)):
            raise ValueError(
                "must have either `t1_fast`, `t1_slow` and `fast_share`, or `times` and `recovered`"
            )
        if self.times_s is not None and self.recovered is not None:
            times, levels = np.array(self.times_s), np.array(self.recovered)
            if len(times) != len(levels) or len(times) < 3:
                raise ValueError(
                    "`times` and `recovered` must be of one length of at least 3, but have "
                    f"{len(times)} and {len(levels)} entries"
                )
            if not (levels.min() > 0.0 and levels.max() < 1.0):
                raise ValueError("`recovered` must lie within 0 to 1 (ends excluded)")
            for name, values in (("times", times), ("recovered", levels)):
                falls = np.flatnonzero(np.diff(values) <= 0.0)
                if len(falls):
                    k = int(falls[0]) + 1
                    raise ValueError(
                        f"`{name}` must rise, but entry {k} is {values[k]:g} after "
                        f"{values[k - 1]:g}"
                    )
        fast, slow = self.t1_fast_s, self.t1_slow_s
        if fast is not None and slow is not None and fast > slow:
            raise ValueError(
                f"`t1_fast` must be at most t1_slow = {format_quantity(slow, 'time')}, but is "
                f"{format_quantity(fast, 'time')}"
            )

    @property
    def longest_s(self) -> float:
        """Longest delay that the curve covers."""
        return math.inf if self.times_s is None else self.times_s[-1]

    def left_over(self, delay_s: float) -> float:
        """Return 1 - c(delay): what is left of a deviation from equilibrium.

        Beyond the end of a table the last slope of ln(1 - c) is continued.
        """
        if self.times_s is None or self.recovered is None:
            assert self.t1_fast_s is not None
            assert self.t1_slow_s is not None
            assert self.fast_share is not None
            fast = self.fast_share * math.exp(-delay_s / self.t1_fast_s)
            return fast + (1.0 - self.fast_share) * math.exp(-delay_s / self.t1_slow_s)
        times = np.concatenate([[0.0], self.times_s])
        logarithms = np.concatenate([[0.0], np.log1p(-np.array(self.recovered))])
        if delay_s < times[1]:  # nothing is known of the curve there but its first point
            return math.exp(logarithms[1] * delay_s / times[1])
        if delay_s > times[-1]:
            slope = (logarithms[-1] - logarithms[-2]) / (times[-1] - times[-2])
            return math.exp(logarithms[-1] + slope * (delay_s - times[-1]))
        return math.exp(float(PchipInterpolator(times, logarithms)(delay_s)))

    @property
    def t1_range_s(self) -> tuple[float, float]:
        """The shortest and the longest effective T1 of any delay."""
        if self.t1_fast_s is not None and self.t1_slow_s is not None:
            return self.effective_t1_s(0.0), self.t1_slow_s
        assert self.times_s is not None
        delays = np.linspace(0.0, self.times_s[-1], 400)
        found = [self.effective_t1_s(float(t)) for t in delays]
        return min(found), max(found)

    def effective_t1_s(self, delay_s: float) -> float:
        """Return the T1 of the one exponential that recovers the same share in `delay_s`."""
        delay_s = max(delay_s, 1e-6 * min(self.longest_s, self.t1_fast_s or math.inf))
        return -delay_s / math.log(self.left_over(delay_s))
