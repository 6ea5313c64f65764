"""A costly curve around one point: every value as a polynomial of the parameters.

Of one or two parameters, and of three where it has to be, all products of Chebyshev polynomials up
to a degree, through curves at their nodes over a box.  Of more the fourth degree along each
parameter with products of pairs.  Times and couplings enter as logarithms.

References
----------
G. E. P. Box and K. B. Wilson, J. R. Stat. Soc. B 13, 1 (1951), on response surfaces;
L. N. Trefethen, Approximation Theory and Approximation Practice (SIAM, 2013).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import NDArray

from nmrqb.analysis.intervals import NO_LIMITS, Limits

Array = NDArray[np.float64]
Curve = Callable[[Mapping[str, float]], Array]

#: a step of a search may go anywhere along a logarithm: 1e-100 and 1e100 say as much as 0 and inf
_FURTHEST = float(np.log(1e100))
#: widest reach of a first box to either side: a factor of three, or one
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
        """Widest reach of a first box to either side, inner value."""
        return _REACH_OF_LOGARITHM if self.is_logarithm else _REACH

    def inner(self, value: float) -> float:
        """Return what is searched: the value, or its logarithm."""
        return float(np.log(value)) if self.is_logarithm else value

    def outer(self, value: float) -> float:
        """Return the value of the parameter."""
        if not self.is_logarithm:
            return value
        return float(np.exp(min(max(value, -_FURTHEST), _FURTHEST)))


class KnownCurves:
    """Curves that were computed, by their parameters."""

    def __init__(self, curve: Curve, axes: list[Axis]) -> None:
        self.curve, self.axes = curve, axes
        self.kept: dict[tuple[float, ...], Array] = {}

    def __call__(self, u: Array) -> Array:
        """Return the curve at inner values of all parameters."""
        # rounding may carry a node past its bound
        key = tuple(min(max(float(v), a.low), a.high) for v, a in zip(u, self.axes, strict=True))
        if key not in self.kept:
            table = {a.name: a.outer(v) for a, v in zip(self.axes, key, strict=True)}
            self.kept[key] = np.asarray(self.curve(table), float)
        return self.kept[key]

    @property
    def computed(self) -> int:
        """Number of different curves so far."""
        return len(self.kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Where a surface describes a curve, in inner values.

    Attributes
    ----------
    centre, steps : ndarray, shape (parameters,)
        A minimum and standard errors there.
    ends : tuple of (low, high)
        Reach to either side of the centre along each parameter, low <= 0 <= high.
    """

    centre: Array
    steps: Array
    ends: tuple[tuple[float, float], ...]

    @classmethod
    def around(cls, axes: Sequence[Axis], centre: Array, steps: Array) -> Box:
        """Return three steps to every side, or up to a bound that is less than four away.

        A minimum within a hundredth of a step of a bound counts as there: the side would be so
        narrow that it tells rounding errors.
        """
        moved, ends = [], []
        for axis, u, step in zip(axes, centre.tolist(), steps.tolist(), strict=True):
            near = [bound for bound in (axis.low, axis.high) if abs(bound - u) < 0.01 * step]
            moved.append(near[0] if near else u)
            down, up = (
                room if room < 4.0 * step else 3.0 * step
                for room in (moved[-1] - axis.low, axis.high - moved[-1])
            )
            ends.append((-down, up))
        return cls(centre=np.array(moved), steps=steps, ends=tuple(ends))

    def widened(self, axes: Sequence[Axis], which: Collection[tuple[int, int]]) -> Box:
        """Return the box with some sides, (parameter, 0 or 1), twice as far where they may be.

        No side goes beyond a bound, or twice the reach of a first box.
        """
        ends = [list(pair) for pair in self.ends]
        for k, side in which:
            now, axis = ends[k][side], axes[k]
            bound = (axis.low, axis.high)[side] - self.centre[k]
            most = min(abs(bound), max(abs(now), 2.0 * axis.reach))
            ends[k][side] = float(np.copysign(min(2.0 * abs(now), most), now))
        return replace(self, ends=tuple((low, high) for low, high in ends))


def degrees(parameters: int) -> tuple[int, ...]:
    """Return the degrees of surfaces of so many parameters, the cheapest first; 0: pairs only."""
    return {1: (4, 8, 16), 2: (4, 8), 3: (0, 4)}.get(parameters, (0,))


def response_surface(known: KnownCurves, box: Box, degree: int) -> Callable[[Array], Array]:
    """Return the curve as a function of the distance from the centre of a box, inner values.

    Parameters
    ----------
    known : KnownCurves
    box : Box
    degree : int
        Of ``degrees``.
    """
    return ChebyshevSurface(known, box, degree) if degree else PairSurface(known, box)


class ChebyshevSurface:
    """Every point as products of Chebyshev polynomials over a box, through (degree + 1)^p curves.

    The nodes of a degree are among those of twice the degree.
    """

    def __init__(self, known: KnownCurves, box: Box, degree: int) -> None:
        at = np.cos(np.pi * np.arange(degree + 1) / degree)
        low, high = np.array(box.ends).T
        # a parameter between bounds at one point has a box without a width
        self.middle, self.half = (low + high) / 2.0, np.maximum((high - low) / 2.0, 1e-12)
        nodes = [box.centre[k] + self.middle[k] + self.half[k] * at for k in range(len(box.centre))]
        values = np.array([known(np.array(u)) for u in product(*nodes)])
        shape = (degree + 1,) * len(nodes)
        table = values.reshape(*shape, -1)
        inverse = np.linalg.inv(chebvander(at, degree))
        for k in range(len(nodes)):
            table = np.moveaxis(np.tensordot(inverse, table, axes=(1, k)), 0, k)
        self.table, self.degree = table, degree

    def __call__(self, distance: Array) -> Array:
        """Return the curve at a distance from the centre of the box, inner values."""
        total = self.table
        for terms in chebvander((distance - self.middle) / self.half, self.degree):
            total = terms @ total.reshape(self.degree + 1, -1)
        return np.asarray(total, float)


class PairSurface:
    """Every point as powers of each parameter, up to four, and products of pairs."""

    def __init__(self, known: KnownCurves, box: Box) -> None:
        centre, steps = box.centre, box.steps
        self.steps, self.middle = steps, known(centre)
        self.along: list[Array] = []
        self.across: dict[tuple[int, int], Array] = {}
        nodes: list[Array] = []
        for k, ends in enumerate(box.ends):
            at = np.array([f * e for e in ends for f in (1.0, 0.5) if e != 0.0])
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
        """Return the curve at a distance from the centre of the box, inner values."""
        v = distance / self.steps
        total = self.middle.copy()
        for k, table in enumerate(self.along):
            total = total + v[k] ** np.arange(1, len(table) + 1) @ table
        for (j, k), table in self.across.items():
            total = total + v[j] * v[k] * table
        return total
