"""Least squares of curves that cost seconds each, such as simulations.

Gauss-Newton steps find the minimum.  Around it the curve of every point becomes a polynomial of
fourth degree along each parameter with products of pairs, through curves at 0, +-1.5 and +-3
standard errors, and the fit, its intervals included, is that of this response surface.  Times and
couplings enter as logarithms.  How far the surface is from the curve is checked where it matters,
at the ends of the intervals.

References
----------
G. E. P. Box and K. B. Wilson, J. R. Stat. Soc. B 13, 1 (1951), on response surfaces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from nmrqb.analysis.curve_fit import CurveFit, fit_curve, withhold_value
from nmrqb.analysis.curves import open_interval
from nmrqb.analysis.intervals import NO_LIMITS, PROFILE, Intervals, Limits
from nmrqb.analysis.least_squares import Errors

Array = NDArray[np.float64]
Curve = Callable[[Mapping[str, float]], Array]

#: widest reach of the surface to either side: a factor of three, or one
_REACH_OF_LOGARITHM, _REACH = float(np.log(3.0)), 1.0
#: error of the surface at the ends of the intervals, in standard errors of the points together,
#: that is worth a word
_WORTH_A_WORD = 0.2
#: name of the factor that all points have in common
_SCALE = "reference_scale"


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
class CostlyFit:
    """A fit with what it cost.

    Attributes
    ----------
    fit : CurveFit
    curves : int
        Curves that were computed.
    surface : callable
        The response surface: parameters to points.
    """

    fit: CurveFit
    curves: int
    surface: Curve


def fit_costly(
    curve: Curve,
    x: Array,
    y: Array,
    parameters: Sequence[Searched],
    *,
    covariance: Array,
    scale_error: float = 0.0,
    units: Mapping[str, str] | None = None,
    intervals: Intervals = PROFILE,
) -> CostlyFit:
    """Fit parameters of a curve that is expensive to compute.

    Parameters
    ----------
    curve : callable
        Mapping of the free parameters to the points, shape (points,).
    x, y : ndarray, shape (points,)
    parameters : sequence of Searched
    covariance : ndarray, shape (points, points)
        From each point's own noise.
    scale_error : float
        Relative standard error of a factor common to all points (the thermal reference): a
        parameter of its own with a measured value of 1.
    units : mapping, optional
    intervals : Intervals

    Raises
    ------
    ValueError
        Where there are not more points than free parameters.
    """
    import lmfit

    axes = [_Axis.of(p) for p in parameters]
    if len(y) <= len(axes):
        raise ValueError(
            f"{len(y)} points cannot determine {len(axes)} parameters: at least "
            f"{len(axes) + 1} points are needed"
        )
    known = _Known(curve, axes)
    centre, steps = _gauss_newton(known, y, Errors.of(len(y), None, covariance), scale_error)
    surface = _Surface(known, centre, steps)
    values = lmfit.Parameters()
    for k, axis in enumerate(axes):
        ends = [axis.outer(centre[k] + end) for end in surface.ends[k]]
        # of the bounds that nature sets those count that the surface reaches
        nature = (parameters[k].limits.low, parameters[k].limits.high)
        reached = [
            b if b is not None and np.isclose(b, end, rtol=1e-12, atol=0.0) else None
            for b, end in zip(nature, ends, strict=True)
        ]
        low, high = (e if b is None else b for e, b in zip(ends, reached, strict=True))
        values.add(axis.name, value=axis.outer(centre[k]), min=low, max=high)
        values[axis.name].user_data = Limits(low=reached[0], high=reached[1])

    def points(table: Mapping[str, float]) -> Array:
        return surface(np.array([axis.inner(table[axis.name]) for axis in axes]) - centre)

    if scale_error == 0.0:
        fit = fit_curve(
            lambda _, **table: points(table), x, y, values, covariance=covariance, units=units,
            intervals=intervals,
        )  # fmt: skip
    else:
        # the reference is one more measured point: the factor, which is 1 within its error
        values.add(_SCALE, value=1.0, min=0.0)
        wide = np.zeros((len(y) + 1, len(y) + 1))
        wide[:-1, :-1], wide[-1, -1] = covariance, scale_error**2
        fit = fit_curve(
            lambda _, **table: np.append(table[_SCALE] * points(table), table[_SCALE]),
            np.append(x, np.nan), np.append(y, 1.0), values, covariance=wide, units=units,
            intervals=intervals,
        )  # fmt: skip
        fit = _without_scale(fit)
    off = _error_at_ends(fit, axes, known, points, Errors.of(len(y), None, covariance))
    if off > _WORTH_A_WORD:
        words = (
            f"the response surface is off by {off:.2g} standard errors at the ends of the "
            "intervals, which are approximate"
        )
        fit = replace(fit, warnings=(*fit.warnings, words))
    for k, axis in enumerate(axes):
        p = fit.parameters[axis.name]
        if p.value is None or None not in p.ci95:
            continue
        why = open_interval(axis.name, *p.ci95, unit=p.unit)
        if p.ci95 == (None, None):
            low, high = (axis.outer(centre[k] + end) for end in surface.ends[k])
            looked = f"{axis.name} from {low:.3g} to {high:.3g} {p.unit}".rstrip()
            why = f"not identifiable: every {looked}, as far as was looked, describes the points"
        fit = withhold_value(fit, why, (axis.name,))
    return CostlyFit(fit=fit, curves=known.computed, surface=points)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """One parameter as the search sees it: as it is, or its logarithm."""

    name: str
    start: float
    is_logarithm: bool
    low: float
    high: float

    @classmethod
    def of(cls, p: Searched) -> _Axis:
        if p.low < 0.0 or p.high <= 1.0:
            return cls(name=p.name, start=p.start, is_logarithm=False, low=p.low, high=p.high)
        low = float(np.log(p.low)) if p.low > 0.0 else -np.inf
        start, high = float(np.log(p.start)), float(np.log(p.high))
        return cls(name=p.name, start=start, is_logarithm=True, low=low, high=high)

    @property
    def reach(self) -> float:
        return _REACH_OF_LOGARITHM if self.is_logarithm else _REACH

    def inner(self, value: float) -> float:
        return float(np.log(value)) if self.is_logarithm else value

    def outer(self, value: float) -> float:
        return float(np.exp(value) if self.is_logarithm else value)


class _Known:
    """Curves that were computed, by their parameters."""

    def __init__(self, curve: Curve, axes: list[_Axis]) -> None:
        self.curve, self.axes = curve, axes
        self.kept: dict[tuple[float, ...], Array] = {}

    def __call__(self, u: Array) -> Array:
        key = tuple(float(v) for v in u)
        if key not in self.kept:
            table = {a.name: a.outer(v) for a, v in zip(self.axes, key, strict=True)}
            self.kept[key] = np.asarray(self.curve(table), float)
        return self.kept[key]

    @property
    def computed(self) -> int:
        return len(self.kept)


def _gauss_newton(
    known: _Known, y: Array, errors: Errors, scale_error: float
) -> tuple[Array, Array]:
    """Return the minimum and the standard errors there, within the surface's reach."""
    axes = known.axes
    count = len(axes)

    def residual(u: Array) -> Array:
        if scale_error == 0.0:
            return np.asarray(errors.whiten(y - known(u)), float)
        return np.append(errors.whiten(y - u[-1] * known(u[:-1])), (1.0 - u[-1]) / scale_error)

    start, low, high = ([getattr(a, end) for a in axes] for end in ("start", "low", "high"))
    if scale_error > 0.0:
        start, low, high = [*start, 1.0], [*low, 0.0], [*high, np.inf]
    found = least_squares(
        residual, start, bounds=(low, high), x_scale="jac", diff_step=[1e-3] * len(start),
        ftol=1e-6, xtol=1e-5, max_nfev=25,
    )  # fmt: skip
    jacobian = np.asarray(found.jac, float)
    spread = np.sqrt(np.diag(np.linalg.pinv(jacobian.T @ jacobian)))[:count]
    blind = np.linalg.norm(jacobian[:, :count], axis=0) == 0.0
    reach = np.array([a.reach for a in axes])
    steps = np.where(blind, reach, np.minimum(np.maximum(spread, 1e-6), reach / 3.0))
    return np.asarray(found.x[:count], float), steps


class _Surface:
    """Every point as a polynomial of the distance from a centre."""

    def __init__(self, known: _Known, centre: Array, steps: Array) -> None:
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
        v = distance / self.steps
        total = self.middle.copy()
        for k, table in enumerate(self.along):
            total = total + v[k] ** np.arange(1, len(table) + 1) @ table
        for (j, k), table in self.across.items():
            total = total + v[j] * v[k] * table
        return total


def _without_scale(fit: CurveFit) -> CurveFit:
    """Return the fit without the common factor among its parameters."""
    keep = [k for k, n in enumerate(fit.names) if n != _SCALE]
    warnings = fit.warnings
    scale = fit.parameters[_SCALE]
    if scale.value is not None and scale.stderr and abs(fit.residuals[-1]) > 3.0:
        said = (
            f"the curve wants the thermal reference {scale.value:.4g} times as large, "
            f"{abs(fit.residuals[-1]):.2g} standard errors of it"
        )
        warnings = (*warnings, said)
    return replace(
        fit,
        parameters={n: p for n, p in fit.parameters.items() if n != _SCALE},
        estimates={n: v for n, v in fit.estimates.items() if n != _SCALE},
        names=tuple(n for n in fit.names if n != _SCALE),
        covariance=None if fit.covariance is None else fit.covariance[np.ix_(keep, keep)],
        best_fit=fit.best_fit[:-1] / fit.estimates[_SCALE],
        residuals=fit.residuals[:-1],
        warnings=warnings,
    )


def _error_at_ends(
    fit: CurveFit, axes: list[_Axis], known: _Known, points: Curve, errors: Errors
) -> float:
    """Return how far surface and curve are apart at the ends of the intervals, in sigma."""
    off = 0.0
    for axis in axes:
        for end in fit.parameters[axis.name].ci95:
            if end is None:
                continue
            table = fit.estimates | {axis.name: end}
            exact = known(np.array([a.inner(table[a.name]) for a in axes]))
            off = max(off, float(np.linalg.norm(errors.whiten(points(table) - exact))))
    return off
