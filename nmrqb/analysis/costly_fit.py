"""Least squares of curves that cost seconds each, such as simulations.

A search finds the minimum.  Around it the curve of every point becomes a response surface over a
box of three standard errors to every side, and the fit, its intervals included, is that of the
surface.  How far the surface is from the curve is checked where it matters, at the minimum and
where the profiles end: where it is too far the surface gets a higher degree.  The box grows where
an interval has no end in it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from nmrqb.analysis.curve_fit import CurveFit, fit_curve, withhold_value
from nmrqb.analysis.curves import only_limit, open_interval
from nmrqb.analysis.global_search import Misfit, Scan, deepest
from nmrqb.analysis.intervals import OPEN, PROFILE, TWO_SIDED, Intervals, Limits
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

#: error of the surface at the ends of the intervals, in standard errors of the points together,
#: that is worth a word
_WORTH_A_WORD = 0.2
#: and that is small enough: the ends of a profile move by a few hundredths of a standard error
_ACCURATE = 0.05
#: wider boxes that are tried, each twice as far where an interval has no end in the one before
_MOST_BOXES = 4
#: steps in which a profile is followed to its end
_ON_THE_WAY = 6
#: fall of chi-square over another box for which a profile would go on
_WORTH_GOING = 2.0
#: name of the factor that all points have in common
_SCALE = "reference_scale"

#: a parameter by its place, and 0 for its low side or 1 for its high one
_Side = tuple[int, int]


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
    found = measured.fitted(parameters, misfit, Box.around(axes, valley.centre, valley.steps))
    for _ in range(_MOST_BOXES):
        wider = _wider(found, measured)
        if wider is None:
            break
        found = wider
    around = found.surface
    fit = measured.with_open(found)
    fit = replace(fit, warnings=(*others, *fit.warnings))
    if found.off > _WORTH_A_WORD:
        words = (
            f"the response surface is off by {found.off:.2g} standard errors at the ends of the "
            "intervals, which are approximate"
        )
        fit = replace(fit, warnings=(*fit.warnings, words))
    for k, axis in enumerate(axes):
        p = fit.parameters[axis.name]
        if fit.covariance is None:
            continue
        if p.value is None and None not in p.ci95:
            fit = _at_natural_bound(fit, axis.name)
        elif p.ci95 == (None, None):
            low, high = (around.outer_end(k, side) for side in (0, 1))
            looked = f"{axis.name} from {low:.3g} to {high:.3g} {p.unit}".rstrip()
            why = f"not identifiable: every {looked}, as far as was looked, describes the points"
            fit = withhold_value(fit, why, (axis.name,))
        elif p.value is None:
            why = f"{p.reason} ({only_limit(*p.ci95, p.unit)})"
            fit = withhold_value(fit, why, (axis.name,))
        elif None in p.ci95:
            fit = withhold_value(fit, open_interval(axis.name, *p.ci95, unit=p.unit), (axis.name,))
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
            reach = (self.outer_end(k, side) for side in (0, 1))
            natural = (p.limits.low, p.limits.high)
            low, high = (
                b is not None and bool(np.isclose(b, end, rtol=1e-12, atol=0.0))
                for b, end in zip(natural, reach, strict=True)
            )
            found.append((low, high))
        return tuple(found)

    def outer_end(self, k: int, side: int) -> float:
        """Return the value of a parameter at a border of the box."""
        return self.axes[k].outer(float(self.box.centre[k]) + self.box.ends[k][side])

    def points(self, table: Mapping[str, float]) -> Array:
        """Return the points of the curve at values of the parameters."""
        return self.curve(self._inner(table) - self.box.centre)

    def _inner(self, table: Mapping[str, float]) -> Array:
        return np.array([axis.inner(table[axis.name]) for axis in self.axes])

    def chi2(self, distance: Array) -> float:
        """Return chi-square at a distance from the centre, the least over the common factor."""
        return self.misfit.of_curve(self.curve(distance))

    def profile_ends(self, fit: CurveFit) -> dict[_Side, Array]:
        """Return where the profile of every parameter ends on both sides, inner values of all.

        Where an interval has no end, the point at the border of the box.
        """
        best, found = self._inner(fit.estimates), {}
        for k, axis in enumerate(self.axes):
            for side, end in enumerate(fit.parameters[axis.name].ci95):
                low, high = (float(self.box.centre[k]) + border for border in self.box.ends[k])
                inner = (low, high)[side] if end is None else axis.inner(end)
                # intervals of other methods than profiles may reach out of the box
                found[k, side] = self._on_profile(k, min(max(inner, low), high), best)
        return found

    def error(self, fit: CurveFit, ends: Mapping[_Side, Array]) -> float:
        """Return how far surface and curve are apart at the minimum and `ends`, in sigma."""
        off = 0.0
        for u in (self._inner(fit.estimates), *ends.values()):
            gap = self.curve(u - self.box.centre) - self.misfit.known(u)
            off = max(off, float(np.linalg.norm(self.misfit.errors.whiten(gap))))
        return off

    def crossed(self, fit: CurveFit, ends: Mapping[_Side, Array]) -> dict[_Side, set[_Side]]:
        """Return the borders of the box that hold up a profile, for each end that they do.

        A border that is a bound of the parameter holds nothing up.
        """
        if fit.covariance is None:
            return {}
        found: dict[_Side, set[_Side]] = {}
        for (k, side), u in ends.items():
            own = {(k, side)} if fit.parameters[self.axes[k].name].ci95[side] is None else set()
            others = {(j, s) for j in range(len(u)) if j != k for s in (0, 1) if self._at(u, j, s)}
            found[k, side] = {(j, s) for j, s in own | others if not self._is_bound(j, s)}
        return {which: borders for which, borders in found.items() if borders}

    def _at(self, u: Array, j: int, side: int) -> bool:
        """Return whether a point is at a border beyond which chi-square would go on falling."""
        low, high = self.box.ends[j]
        here = u - self.box.centre
        if abs(here[j] - (low, high)[side]) > 1e-3 * (high - low):
            return False
        inside = here.copy()
        inside[j] -= (-0.05, 0.05)[side] * (high - low)
        # over another box
        return self.chi2(inside) - self.chi2(here) > 0.05 * _WORTH_GOING

    def _is_bound(self, j: int, side: int) -> bool:
        bound = (self.axes[j].low, self.axes[j].high)[side]
        return bool(np.isclose(self.box.centre[j] + self.box.ends[j][side], bound, atol=1e-12))

    def _on_profile(self, k: int, inner: float, best: Array) -> Array:
        """Return where chi-square is least with one parameter held, in the valley of `best`."""
        others = [j for j in range(len(best)) if j != k]
        if not others:
            return np.array([inner])
        steps, centre = self.box.steps[others], self.box.centre
        u = best.copy()

        def point(v: Array) -> Array:
            moved = u.copy()
            moved[others] = v * steps + centre[others]
            return moved

        def residual(v: Array) -> Array:
            return self.misfit.residual(self.curve(point(v) - centre))

        # on the way there: straight away the search may fall into another valley
        low, high = np.array([self.box.ends[j] for j in others]).T / steps
        for held in np.linspace(best[k], inner, _ON_THE_WAY + 1)[1:]:
            u[k] = held
            found = least_squares(
                residual,
                np.clip((u - centre)[others] / steps, low, high),
                bounds=(low, high), ftol=1e-6, xtol=1e-6, max_nfev=20,
            )  # fmt: skip
            u = point(np.asarray(found.x, float))
        return u


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fitted:
    """The fit of a surface, where its profiles end, and how far off the surface is, in sigma."""

    surface: _Surface
    fit: CurveFit
    ends: dict[_Side, Array]
    off: float

    @property
    def crossed(self) -> dict[_Side, set[_Side]]:
        """Borders of the box that hold up profiles."""
        return self.surface.crossed(self.fit, self.ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """The points that a surface is fitted to."""

    x: Array
    y: Array
    covariance: Array
    scale_error: float
    units: Mapping[str, str] | None
    intervals: Intervals

    def fitted(
        self, parameters: Sequence[Searched], misfit: Misfit, box: Box, least: int = 0
    ) -> _Fitted:
        """Return the fit of the cheapest surface that is good enough, from a degree on."""
        for degree in (d for d in degrees(len(parameters)) if d >= least):
            around = _Surface(
                parameters=parameters, misfit=misfit, box=box, degree=degree,
                curve=response_surface(misfit.known, box, degree),
            )  # fmt: skip
            fit = self.fit(around)
            ends = around.profile_ends(fit)
            found = _Fitted(surface=around, fit=fit, ends=ends, off=around.error(fit, ends))
            if found.off <= _ACCURATE:
                break
        return found

    def with_open(self, found: _Fitted) -> CurveFit:
        """Return the fit, its intervals open on the sides where another parameter is held up.

        A profile that meets the border of the box in another parameter would go on beyond it: its
        end there says nothing.
        """
        surface, fit = found.surface, found.fit
        sides = {
            (k, side)
            for k, side in found.crossed
            if fit.parameters[surface.axes[k].name].ci95[side] is not None
        }
        if not sides:
            return fit
        fit = self.fit(surface, {k for k, _ in sides})
        sides |= set(surface.crossed(fit, surface.profile_ends(fit)))
        table = dict(fit.parameters)
        for k in {k for k, _ in sides}:
            p = table[surface.axes[k].name]
            low, high = (None if (k, s) in sides else p.ci95[s] for s in (0, 1))
            table[surface.axes[k].name] = replace(p, ci95=(low, high))
        return replace(fit, parameters=table)

    def fit(self, surface: _Surface, opened: Collection[int] = ()) -> CurveFit:
        """Return the fit of a surface within its box, intervals of `opened` as of one end."""
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
            level = OPEN / TWO_SIDED if k in opened else 1.0
            values[axis.name].user_data = Limits(low=reached[0], high=reached[1], level=level)
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


def _wider(found: _Fitted, measured: _Measured) -> _Fitted | None:
    """Return the fit over a wider box; None where no side may go further or be followed."""
    surface = found.surface
    sides = sorted(set().union(*found.crossed.values()))
    # all together, and each by itself where that is too far for a polynomial
    for which in (sides, *([side] for side in sides if len(sides) > 1)):
        box = surface.box.widened(surface.axes, which)
        if box.ends == surface.box.ends:
            continue
        # what was not enough in a box is not enough in a wider one
        wider = measured.fitted(surface.parameters, surface.misfit, box, surface.degree)
        if wider.off <= max(found.off, _ACCURATE):
            return wider
    return None


def _at_natural_bound(fit: CurveFit, name: str) -> CurveFit:
    """Return the fit with the value of a parameter where nature ends it, without standard error."""
    p = fit.parameters[name]
    low, high = p.ci95
    value = fit.estimates[name]
    words = (
        f"{name} is best at its end {value:.4g}: {low:.3g} to {high:.3g} {p.unit}".rstrip()
        + " at 95 %, no standard error"
    )
    return replace(
        fit,
        parameters=fit.parameters | {name: replace(p, value=value, stderr=None, reason=None)},
        warnings=(*fit.warnings, words),
    )


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
