"""A costly curve around one point: every value as a polynomial of the parameters.

Fourth degree along each parameter with products of pairs, through curves at 0, +-1.5 and +-3
steps.  Times and couplings enter as logarithms.

References
----------
G. E. P. Box and K. B. Wilson, J. R. Stat. Soc. B 13, 1 (1951), on response surfaces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.intervals import NO_LIMITS, Limits

Array = NDArray[np.float64]
Curve = Callable[[Mapping[str, float]], Array]

#: widest reach of the surface to either side: a factor of three, or one
_REACH_OF_LOGARITHM, _REACH = float(np.log(3.0)), 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """A parameter that is searched.

    Attributes
    ----------
    name : str
    start, low, high : float
        Where the search starts, and its bounds: positive without a bound of 1 or less it is a time
        or a coupling and searched as a logarithm.
    limits : Limits
        Those of the bounds that nature sets.
    """

    name: str
    start: float
    low: float
    high: float
    limits: Limits = NO_LIMITS

    def __post_init__(self) -> None:
        if not self.low < self.start < self.high:
            raise ValueError(
                f"`{self.name}` must start between {self.low:g} and {self.high:g}, but starts at "
                f"{self.start:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One parameter as the search sees it: as it is, or its logarithm."""

    name: str
    start: float
    is_logarithm: bool
    low: float
    high: float

    @classmethod
    def of(cls, p: Searched) -> Axis:
        """Return the axis of a searched parameter."""
        if p.low < 0.0 or p.high <= 1.0:
            return cls(name=p.name, start=p.start, is_logarithm=False, low=p.low, high=p.high)
        low = float(np.log(p.low)) if p.low > 0.0 else -np.inf
        start, high = float(np.log(p.start)), float(np.log(p.high))
        return cls(name=p.name, start=start, is_logarithm=True, low=low, high=high)

    @property
    def reach(self) -> float:
        """Widest reach of a surface to either side, inner value."""
        return _REACH_OF_LOGARITHM if self.is_logarithm else _REACH

    def inner(self, value: float) -> float:
        """Return what is searched: the value, or its logarithm."""
        return float(np.log(value)) if self.is_logarithm else value

    def outer(self, value: float) -> float:
        """Return the value of the parameter."""
        return float(np.exp(value) if self.is_logarithm else value)


class KnownCurves:
    """Curves that were computed, by their parameters."""

    def __init__(self, curve: Curve, axes: list[Axis]) -> None:
        self.curve, self.axes = curve, axes
        self.kept: dict[tuple[float, ...], Array] = {}

    def __call__(self, u: Array) -> Array:
        """Return the curve at inner values of all parameters."""
        key = tuple(float(v) for v in u)
        if key not in self.kept:
            table = {a.name: a.outer(v) for a, v in zip(self.axes, key, strict=True)}
            self.kept[key] = np.asarray(self.curve(table), float)
        return self.kept[key]

    @property
    def computed(self) -> int:
        """Number of different curves so far."""
        return len(self.kept)


class ResponseSurface:
    """Every point as a polynomial of the distance from a centre.

    Attributes
    ----------
    ends : list of (low, high)
        How far the surface reaches along each parameter: three steps, or to its bounds.
    """

    def __init__(self, known: KnownCurves, centre: Array, steps: Array) -> None:
        self.steps, self.middle = steps, known(centre)
        self.ends: list[tuple[float, float]] = []
        self.along: list[Array] = []
        self.across: dict[tuple[int, int], Array] = {}
        nodes: list[Array] = []
        for k, axis in enumerate(known.axes):
            down = min(3.0 * steps[k], centre[k] - axis.low)
            up = min(3.0 * steps[k], axis.high - centre[k])
            # nodes next to each other at a bound would tell rounding errors
            down, up = (0.0 if end < 0.01 * steps[k] else float(end) for end in (down, up))
            self.ends.append((-down, up))
            at = np.array([f * e for e in (-down, up) for f in (1.0, 0.5) if e != 0.0])
            rise = np.array([known(self._off(centre, {k: d})) - self.middle for d in at])
            powers = (at / steps[k])[:, None] ** np.arange(1, len(at) + 1)
            self.along.append(np.linalg.solve(powers, rise))
            nodes.append(at[1::2])
        for j, k in combinations(range(len(steps)), 2):
            corners = list(product(nodes[j], nodes[k]))
            rest = [
                known(self._off(centre, {j: a, k: b})) - self(self._off(0.0 * centre, {j: a, k: b}))
                for a, b in corners
            ]
            weight = np.array([a * b / (steps[j] * steps[k]) for a, b in corners])
            self.across[j, k] = weight @ np.array(rest) / (weight @ weight)

    @staticmethod
    def _off(centre: Array, moves: Mapping[int, float]) -> Array:
        moved = centre.copy()
        for k, step in moves.items():
            moved[k] += step
        return moved

    def __call__(self, distance: Array) -> Array:
        """Return the curve at a distance from the centre, inner values."""
        v = distance / self.steps
        total = self.middle.copy()
        for k, table in enumerate(self.along):
            total = total + v[k] ** np.arange(1, len(table) + 1) @ table
        for (j, k), table in self.across.items():
            total = total + v[j] * v[k] * table
        return total
