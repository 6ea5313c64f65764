"""The deepest minimum of chi-square, not the nearest one: a coarse scan, then refinement.

A coupling acts through periodic transfers, so that several values of it may describe the same
points.  The scan lays a grid over the range of every parameter, on a cheaper curve where there is
one, and refines its lowest points; what is separated by no barrier counts as one valley.  The
curve itself then starts from each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.ndimage import minimum_filter
from scipy.optimize import least_squares

from nmrqb.analysis.curve_fit import DISBELIEF
from nmrqb.analysis.least_squares import Errors
from nmrqb.analysis.response_surface import Axis, Curve, KnownCurves

Array = NDArray[np.float64]

#: rise of chi-square within which two minima cannot be told apart (95 %), and that is worth a
#: word (99.9 %)
ALIKE, NEARLY_ALIKE = (float(stats.chi2.ppf(p, 1)) for p in (0.95, 0.999))
#: minima of a grid that are refined on a cheap curve, and those that are handed on
_REFINED, _MOST_STARTS = 6, 3
#: those that are handed on where the grid is of the costly curve
_MOST_COSTLY_STARTS = 2
#: a minimum this far beyond a range, inner value, still counts as within it
_SLACK = 0.1
#: points of the grid along one axis
_MOST_ALONG = 41


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """Chi-square of a curve at some points, with a common factor of the points.

    Attributes
    ----------
    known : KnownCurves
    y : ndarray, shape (points,)
    errors : Errors
    scale_error : float
        Standard error of the factor, which is 1: chi-square is the least over it.
    """

    known: KnownCurves
    y: Array
    errors: Errors
    scale_error: float

    @property
    def axes(self) -> list[Axis]:
        """The parameters."""
        return self.known.axes

    def residual(self, curve: Array) -> Array:
        """Return what chi-square of a curve is the sum of squares of."""
        wanted, given = self.errors.whiten(self.y), self.errors.whiten(curve)
        if self.scale_error == 0.0:
            return np.asarray(wanted - given, float)
        weight = self.scale_error**-2
        factor = (wanted @ given + weight) / (given @ given + weight)
        return np.append(wanted - factor * given, (1.0 - factor) / self.scale_error)

    def of_curve(self, curve: Array) -> float:
        """Return chi-square of a curve."""
        return float(np.sum(self.residual(curve) ** 2))

    def __call__(self, u: Array) -> float:
        """Return chi-square at inner values of the parameters."""
        return self.of_curve(self.known(u))


@dataclass(frozen=True, slots=True, kw_only=True)
class Valley:
    """A minimum of chi-square.

    Attributes
    ----------
    centre, steps : ndarray, shape (parameters,)
        Inner values, and standard errors there within the reach of a surface.
    chi2 : float
    """

    centre: Array
    steps: Array
    chi2: float


def descend(misfit: Misfit, start: Array, curves: int = 25) -> Valley:
    """Return the minimum that Gauss-Newton steps lead to in about `curves` steps."""
    axes, y, errors = misfit.axes, misfit.y, misfit.errors
    count, scale_error = len(axes), misfit.scale_error

    def residual(u: Array) -> Array:
        if scale_error == 0.0:
            return np.asarray(errors.whiten(y - misfit.known(u)), float)
        curve = u[-1] * misfit.known(u[:-1])
        return np.append(errors.whiten(y - curve), (1.0 - u[-1]) / scale_error)

    low, high = ([getattr(a, end) for a in axes] for end in ("low", "high"))
    first = np.clip(start, low, high).tolist()
    if scale_error > 0.0:
        first, low, high = [*first, 1.0], [*low, 0.0], [*high, np.inf]
    found = least_squares(
        residual, first, bounds=(low, high), x_scale="jac", diff_step=[1e-3] * len(first),
        ftol=1e-6, xtol=1e-5, max_nfev=curves,
    )  # fmt: skip
    jacobian = np.asarray(found.jac, float)
    spread = np.sqrt(np.diag(np.linalg.pinv(jacobian.T @ jacobian)))[:count]
    blind = np.linalg.norm(jacobian[:, :count], axis=0) == 0.0
    reach = np.array([a.reach for a in axes])
    steps = np.where(blind, reach, np.minimum(np.maximum(spread, 1e-6), reach / 3.0))
    centre = np.asarray(found.x[:count], float)
    return Valley(centre=centre, steps=steps, chi2=misfit(centre))


def is_one_valley(misfit: Misfit, a: Valley, b: Valley, between: Sequence[float]) -> bool:
    """Return whether no barrier separates two minima at these shares of the way between them."""
    apart = np.abs(a.centre - b.centre)
    if (apart < 3.0 * np.minimum(a.steps, b.steps)).all():
        return True
    barrier = max(misfit(a.centre + s * (b.centre - a.centre)) for s in between)
    return barrier < max(a.chi2, b.chi2) + ALIKE


def deepest(
    misfit: Misfit, units: Mapping[str, str], scan: Scan | None = None
) -> tuple[Valley, tuple[str, ...]]:
    """Return the deepest minimum, and a warning for each other one almost as deep.

    Of minima that the points cannot tell apart (chi-square within 3.84, times the reduced
    chi-square where that exceeds 1) the one nearest to where the parameters start counts.

    Parameters
    ----------
    misfit : Misfit
    units : mapping
    scan : Scan, optional
        Without one the search finds the minimum nearest to the start.
    """
    axes = misfit.axes
    own = np.array([a.start for a in axes])
    starts = [own] if scan is None else coarse_starts(scan, misfit)
    valleys = sorted((descend(misfit, u) for u in starts), key=lambda v: v.chi2)
    lowest = valleys[0].chi2
    size = max(1.0, lowest / max(1, len(misfit.y) - len(axes)))
    distinct: list[Valley] = []
    for valley in valleys:
        near = valley.chi2 - lowest < NEARLY_ALIKE * size
        if near and not any(is_one_valley(misfit, valley, d, (0.5,)) for d in distinct):
            distinct.append(valley)
    alike = [v for v in distinct if v.chi2 - lowest < ALIKE * size]
    chosen = min(alike, key=lambda v: float(np.linalg.norm(v.centre - own)))
    words = []
    for valley in distinct:
        # what a descent met outside of the range that is looked through is no rival
        if valley is chosen or (scan is not None and not scan.holds(axes, valley.centre)):
            continue
        tie = valley.chi2 - lowest < ALIKE * size
        words.append(
            f"{_named(axes, valley, units)} describes the points "
            f"{'as well as' if tie else 'nearly as well as'} {_named(axes, chosen, units)} "
            f"(chi-square {valley.chi2:.4g} and {chosen.chi2:.4g})"
            + ("; given is the one nearer to where the search started" if tie else "")
        )
    return _widened(misfit, chosen), tuple(words)


def _widened(misfit: Misfit, valley: Valley) -> Valley:
    """Return a valley with steps as wide as its errors will be where residuals exceed the noise."""
    dof = len(misfit.y) - len(misfit.axes)
    if dof < 1 or stats.chi2.sf(valley.chi2, dof) > DISBELIEF:
        return valley
    quantiles = float(stats.t.ppf(0.975, dof) / stats.norm.ppf(0.975))
    wide = valley.steps * quantiles * float(np.sqrt(valley.chi2 / dof))
    reach = np.array([a.reach for a in misfit.axes])
    return replace(valley, steps=np.minimum(wide, np.maximum(reach / 3.0, valley.steps)))


def _named(axes: Sequence[Axis], valley: Valley, units: Mapping[str, str]) -> str:
    values = zip(axes, valley.centre, strict=True)
    return ", ".join(
        f"{a.name} = {a.outer(float(u)):.4g} {units.get(a.name, '')}".rstrip() for a, u in values
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Where a search looks before it descends.

    Attributes
    ----------
    ranges : mapping of str to (low, high)
        Of the parameters that are scanned; the others stay where they start.
    most : int
        Points of the grid: along each axis in turn where a whole grid would take more.
    cheap : callable or None
        A curve close to the costly one, on which minima of the grid are refined, which takes
        hundreds of curves; None: the grid is of the costly curve itself.
    """

    ranges: Mapping[str, tuple[float, float]]
    most: int
    cheap: Curve | None = None

    def holds(self, axes: Sequence[Axis], centre: Array) -> bool:
        """Return whether inner values are within the ranges, or close to them."""
        for axis, u in zip(axes, centre.tolist(), strict=True):
            if axis.name in self.ranges:
                low, high = (axis.inner(end) for end in self.ranges[axis.name])
                if not low - _SLACK <= u <= high + _SLACK:
                    return False
        return True


def coarse_starts(scan: Scan, misfit: Misfit) -> list[Array]:
    """Return where the search of `misfit` should start, deepest first: one to three points."""
    axes = misfit.axes
    own = np.array([a.start for a in axes])
    if scan.cheap is None:
        lowest = [own, *(u for u in _grid_minima(misfit, own, scan) if not np.allclose(u, own))]
        return sorted(lowest, key=misfit)[:_MOST_COSTLY_STARTS]
    cheap = replace(misfit, known=KnownCurves(scan.cheap, axes))
    found = [descend(cheap, u, 15) for u in (own, *_grid_minima(cheap, own, scan))]
    found.sort(key=lambda v: v.chi2)
    best = found[0]
    apart = misfit.known(best.centre) - cheap.known(best.centre)
    # by the triangle inequality; the two curves may be twice as far apart elsewhere
    mismatch = 4.0 * float(np.linalg.norm(misfit.errors.whiten(apart)))
    highest = float(np.sqrt(best.chi2) + np.sqrt(NEARLY_ALIKE)) + mismatch
    kept: list[Valley] = []
    for valley in found:
        if len(kept) == _MOST_STARTS or np.sqrt(valley.chi2) > highest:
            break
        if not any(is_one_valley(cheap, valley, k, (0.25, 0.5, 0.75)) for k in kept):
            kept.append(valley)
    return [v.centre for v in kept]


def _grid_minima(misfit: Misfit, own: Array, scan: Scan) -> list[Array]:
    """Return the lowest points of a grid that are lower than all their neighbours."""
    axes, ranges, most = misfit.axes, scan.ranges, scan.most
    scanned = [k for k, a in enumerate(axes) if a.name in ranges]
    if not scanned:
        return []
    count = min(int(round(most ** (1.0 / len(scanned)), 6)), _MOST_ALONG)
    whole = count >= 3
    count = count if whole else max(3, most // len(scanned))
    lines = []
    for k in scanned:
        low, high = (axes[k].inner(end) for end in ranges[axes[k].name])
        lines.append(np.linspace(low, high, count))
    # each axis in turn is a grid of its own
    grids = (
        [(scanned, lines)] if whole else [([k], [v]) for k, v in zip(scanned, lines, strict=True)]
    )
    minima: list[tuple[float, Array]] = []
    for which, along in grids:
        points = []
        for values in product(*along):
            u = own.copy()
            u[which] = values
            points.append(u)
        shape = [count] * len(which)
        height = np.array([misfit(u) for u in points]).reshape(shape)
        low = (height == minimum_filter(height, size=3, mode="nearest")).ravel()
        minima += [(float(height.ravel()[k]), points[k]) for k in np.flatnonzero(low)]
    minima.sort(key=lambda m: m[0])
    return [u for _, u in minima[:_REFINED]]
