"""Least squares of curves that cost seconds each, such as simulations.

A search finds the minimum.  Around it the curve of every point becomes a response surface through
curves at up to three standard errors, and the fit, its intervals included, is that of the surface.
How far the surface is from the curve is checked where it matters, at the ends of the intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.curve_fit import CurveFit, fit_curve, withhold_value
from nmrqb.analysis.curves import open_interval
from nmrqb.analysis.global_search import Misfit, Scan, deepest
from nmrqb.analysis.intervals import PROFILE, Intervals, Limits
from nmrqb.analysis.least_squares import Errors
from nmrqb.analysis.response_surface import (
    Axis,
    Curve,
    KnownCurves,
    ResponseSurface,
    Searched,
)

Array = NDArray[np.float64]

#: error of the surface at the ends of the intervals, in standard errors of the points together,
#: that is worth a word
_WORTH_A_WORD = 0.2
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
    centre, steps : ndarray, shape (parameters,)
    ends : tuple of (low, high)
        How far the response surface reaches from the centre.
    closed : tuple of (bool, bool)
        True where nature ends a parameter there.
    chi2 : callable
        Distance from the centre to chi-square, the least over the common factor.
    """

    axes: tuple[Axis, ...]
    centre: Array
    steps: Array
    ends: tuple[tuple[float, float], ...]
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
    import lmfit

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
    centre = valley.centre
    surface = ResponseSurface(known, centre, valley.steps)
    values = lmfit.Parameters()
    closed = []
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
        closed.append((reached[0] is not None, reached[1] is not None))
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
    fit = replace(fit, warnings=(*others, *fit.warnings))
    off = _error_at_ends(fit, axes, known, points, errors)
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
    around = Neighbourhood(
        axes=tuple(axes),
        centre=centre,
        steps=valley.steps,
        ends=tuple(surface.ends),
        closed=tuple(closed),
        chi2=lambda distance: misfit.of_curve(surface(distance)),
    )
    return CostlyFit(fit=fit, curves=known.computed, surface=points, neighbourhood=around)


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
    fit: CurveFit, axes: list[Axis], known: KnownCurves, points: Curve, errors: Errors
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
