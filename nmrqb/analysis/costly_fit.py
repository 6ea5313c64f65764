"""Least squares of curves that cost seconds each, such as simulations.

A search finds the minimum.  Around it the curve of every point becomes a response surface over a
box of three standard errors to every side, and the fit, its intervals included, is that of the
surface.  How far the surface is from the curve is checked where it matters, at the minimum and
where the profiles end: where it is too far the surface gets a higher degree.  The box grows where
an interval has no end in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from nmrqb.analysis.curve_fit import CurveFit, fit_curve, withhold_value
from nmrqb.analysis.curves import open_interval
from nmrqb.analysis.global_search import Misfit, Scan, deepest
from nmrqb.analysis.intervals import PROFILE, Intervals, Limits
from nmrqb.analysis.least_squares import Errors
from nmrqb.analysis.response_surface import (
    Axis,
    Box,
    Curve,
    KnownCurves,
    Searched,
    degrees,
    response_surface,
)

Array = NDArray[np.float64]

#: its published types do not know lambdas without a shape
_minimise: Any = minimize

#: error of the surface at the ends of the intervals, in standard errors of the points together,
#: that is worth a word
_WORTH_A_WORD = 0.2
#: and that is small enough: the ends of a profile move by a few hundredths of a standard error
_ACCURATE = 0.05
#: wider boxes that are tried, each twice as far where an interval has no end in the one before
_MOST_BOXES = 4
#: name of the factor that all points have in common
_SCALE = "reference_scale"


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
    neighbourhood : Neighbourhood
        What numbers that follow from the parameters need for their errors.
    """

    fit: CurveFit
    curves: int
    surface: Curve
    neighbourhood: Neighbourhood


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """Chi-square around a minimum, in inner values of the parameters from its centre.

    Attributes
    ----------
    axes : tuple of Axis
    box : Box
        Where the response surface holds.
    degree : int
        Of the surface that describes the curve.
    closed : tuple of (bool, bool)
        True where nature ends a parameter there.
    chi2 : callable
        Distance from the centre to chi-square, the least over the common factor.
    """

    axes: tuple[Axis, ...]
    box: Box
    degree: int
    closed: tuple[tuple[bool, bool], ...]
    chi2: Callable[[Array], float]


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
    scan: Scan | None = None,
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
    scan : Scan, optional
        Where to look for the deepest minimum; without it the nearest one is found.

    Raises
    ------
    ValueError
        Where there are not more points than free parameters.
    """
    axes = [Axis.of(p) for p in parameters]
    if len(y) <= len(axes):
        raise ValueError(
            f"{len(y)} points cannot determine {len(axes)} parameters: at least "
            f"{len(axes) + 1} points are needed"
        )
    known = KnownCurves(curve, axes)
    errors = Errors.of(len(y), None, covariance)
    misfit = Misfit(known=known, y=y, errors=errors, scale_error=scale_error)
    valley, others = deepest(misfit, units or {}, scan)
    measured = _Measured(
        x=x, y=y, covariance=covariance, scale_error=scale_error, units=units, intervals=intervals
    )
    box = Box.around(axes, valley.centre, valley.steps)
    around, fit, off = measured.surface(parameters, misfit, box)
    for _ in range(_MOST_BOXES):
        wider = around.box.widened(axes, around.open_sides(fit))
        if wider.ends == around.box.ends:
            break
        # what was not enough in a box is not enough in a wider one
        found = measured.surface(parameters, misfit, wider, around.degree)
        if found[2] > max(off, _ACCURATE):
            break  # too far for a polynomial
        around, fit, off = found
    fit = replace(fit, warnings=(*others, *fit.warnings))
    if off > _WORTH_A_WORD:
        words = (
            f"the response surface is off by {off:.2g} standard errors at the ends of the "
            "intervals, which are approximate"
        )
        fit = replace(fit, warnings=(*fit.warnings, words))
    for k, axis in enumerate(axes):
        p = fit.parameters[axis.name]
        blind = p.ci95 == (None, None) and fit.covariance is not None
        if None not in p.ci95 or (p.value is None and not blind):
            continue
        why = open_interval(axis.name, *p.ci95, unit=p.unit)
        if blind:
            low, high = (axis.outer(box.centre[k] + end) for end in box.ends[k])
            looked = f"{axis.name} from {low:.3g} to {high:.3g} {p.unit}".rstrip()
            why = f"not identifiable: every {looked}, as far as was looked, describes the points"
        fit = withhold_value(fit, why, (axis.name,))
    here = Neighbourhood(
        axes=tuple(axes), box=around.box, degree=around.degree, closed=around.closed,
        chi2=around.chi2,
    )  # fmt: skip
    return CostlyFit(fit=fit, curves=known.computed, surface=around.points, neighbourhood=here)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surface:
    """A response surface in the place of the curve."""

    parameters: Sequence[Searched]
    misfit: Misfit
    box: Box
    degree: int
    curve: Callable[[Array], Array]

    @property
    def axes(self) -> list[Axis]:
        return self.misfit.axes

    @property
    def closed(self) -> tuple[tuple[bool, bool], ...]:
        """Where nature ends a parameter within the box."""
        found = []
        for k, p in enumerate(self.parameters):
            reach = (self._outer_end(k, side) for side in (0, 1))
            natural = (p.limits.low, p.limits.high)
            low, high = (
                b is not None and bool(np.isclose(b, end, rtol=1e-12, atol=0.0))
                for b, end in zip(natural, reach, strict=True)
            )
            found.append((low, high))
        return tuple(found)

    def _outer_end(self, k: int, side: int) -> float:
        return self.axes[k].outer(float(self.box.centre[k]) + self.box.ends[k][side])

    def points(self, table: Mapping[str, float]) -> Array:
        """Return the points of the curve at values of the parameters."""
        return self.curve(self._inner(table) - self.box.centre)

    def _inner(self, table: Mapping[str, float]) -> Array:
        return np.array([axis.inner(table[axis.name]) for axis in self.axes])

    def chi2(self, distance: Array) -> float:
        """Return chi-square at a distance from the centre, the least over the common factor."""
        return self.misfit.of_curve(self.curve(distance))

    def open_sides(self, fit: CurveFit) -> list[tuple[int, int]]:
        """Return (parameter, side) wherever an interval has no end within the box."""
        if fit.covariance is None:
            return []
        ends = [fit.parameters[axis.name].ci95 for axis in self.axes]
        return [(k, side) for k in range(len(ends)) for side in (0, 1) if ends[k][side] is None]

    def error_at_ends(self, fit: CurveFit) -> float:
        """Return how far surface and curve are apart where the profiles end, in sigma.

        At the minimum too; the other parameters are where the profile has them.
        """
        best = self._inner(fit.estimates)
        at = [best]
        for k, axis in enumerate(self.axes):
            for side, end in enumerate(fit.parameters[axis.name].ci95):
                within = float(self.box.centre[k]) + self.box.ends[k][side]
                inner = within if end is None else axis.inner(end)
                at.append(self._on_profile(k, inner, best))
        off = 0.0
        for u in at:
            gap = self.curve(u - self.box.centre) - self.misfit.known(u)
            off = max(off, float(np.linalg.norm(self.misfit.errors.whiten(gap))))
        return off

    def _on_profile(self, k: int, inner: float, best: Array) -> Array:
        """Return where chi-square is least with one parameter held."""
        others = [j for j in range(len(best)) if j != k]
        if not others:
            return np.array([inner])
        steps, centre = self.box.steps[others], self.box.centre

        def point(v: Array) -> Array:
            u = np.full(len(best), inner)
            u[others] = v * steps + centre[others]
            return u

        found = _minimise(
            lambda v: self.chi2(point(v) - centre),
            (best - centre)[others] / steps,
            method="L-BFGS-B",
            bounds=[tuple(e / self.box.steps[j] for e in self.box.ends[j]) for j in others],
        )
        return point(np.asarray(found.x, float))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """The points that a surface is fitted to."""

    x: Array
    y: Array
    covariance: Array
    scale_error: float
    units: Mapping[str, str] | None
    intervals: Intervals

    def surface(
        self, parameters: Sequence[Searched], misfit: Misfit, box: Box, least: int = 0
    ) -> tuple[_Surface, CurveFit, float]:
        """Return the cheapest surface that is good enough, its fit and its error in sigma."""
        for degree in (d for d in degrees(len(parameters)) if d >= least):
            around = _Surface(
                parameters=parameters, misfit=misfit, box=box, degree=degree,
                curve=response_surface(misfit.known, box, degree),
            )  # fmt: skip
            fit = self.fit(around)
            off = around.error_at_ends(fit)
            if off <= _ACCURATE:
                break
        return around, fit, off

    def fit(self, surface: _Surface) -> CurveFit:
        """Return the fit of a surface within its box."""
        import lmfit

        values = lmfit.Parameters()
        for k, (axis, closed) in enumerate(zip(surface.axes, surface.closed, strict=True)):
            p, centre = surface.parameters[k], surface.box.centre[k]
            natural = (p.limits.low, p.limits.high)
            reached = [b if c else None for b, c in zip(natural, closed, strict=True)]
            low, high = (
                axis.outer(float(centre) + end) if b is None else b
                for b, end in zip(reached, surface.box.ends[k], strict=True)
            )
            values.add(axis.name, value=axis.outer(float(centre)), min=low, max=high)
            values[axis.name].user_data = Limits(low=reached[0], high=reached[1])
        if self.scale_error == 0.0:
            return fit_curve(
                lambda _, **table: surface.points(table), self.x, self.y, values,
                covariance=self.covariance, units=self.units, intervals=self.intervals,
            )  # fmt: skip
        # the reference is one more measured point: the factor, which is 1 within its error
        values.add(_SCALE, value=1.0, min=0.0)
        count = len(self.y)
        wide = np.zeros((count + 1, count + 1))
        wide[:-1, :-1], wide[-1, -1] = self.covariance, self.scale_error**2
        fit = fit_curve(
            lambda _, **table: np.append(table[_SCALE] * surface.points(table), table[_SCALE]),
            np.append(self.x, np.nan), np.append(self.y, 1.0), values, covariance=wide,
            units=self.units, intervals=self.intervals,
        )  # fmt: skip
        return _without_scale(fit)


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
