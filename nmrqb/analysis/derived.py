"""Numbers that follow from fitted parameters, with their errors.

The 95 % interval of a derived number is that of its profile likelihood: all values that it takes
where chi-square exceeds its minimum by less than 1.96^2.  Its standard error comes from the
covariance of the parameters.  Where the number is expensive it follows from quantities that are
response surfaces as the curve is, and the ends of the interval are computed once more exactly.

References
----------
A. Raue et al., Bioinformatics 25, 1923 (2009), on profiles of predictions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize, minimize_scalar

from nmrqb.analysis.costly_fit import CostlyFit, Neighbourhood
from nmrqb.analysis.curve_fit import FittedParameter
from nmrqb.analysis.intervals import OPEN, TWO_SIDED, Ends
from nmrqb.analysis.response_surface import KnownCurves, response_surface
from nmrqb.battery.cycle_modes import threshold_of_levels

Array = NDArray[np.float64]

#: its published types do not know lambdas without a shape
_minimise: Any = minimize
_minimise_scalar: Any = minimize_scalar

#: where exact number and surface differ by more standard errors, the surface is no guide
_WORTH_A_WORD = 0.3
#: share of the allowed rise of chi-square from which on a point is at the border
_BORDER = 0.97
#: exact numbers on the way between the ends where it is not
_ALONG = 15
#: a gain beyond the reach of the surface, in standard errors a step, that leaves an end open
_GAIN = 0.02


class Derived(Protocol):
    """One derived number, and a smoother one that it is a rising function of.

    The smoother one follows from quantities that surfaces describe well.
    """

    @property
    def name(self) -> str:
        """Name of the parameter."""

    @property
    def unit(self) -> str:
        """Unit."""

    def inner(self, quantities: Array) -> float:
        """Return the smoother number of quantities, shape (quantities,)."""

    def value(self, inner: float) -> float | None:
        """Return the number; None where it has no value."""

    def stderr(self, inner: float, spread: float, /) -> float | None:
        """Return its standard error to first order; None where that means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A number that is a quantity itself.

    Attributes
    ----------
    name, unit : str
    at : int
        Its place among the quantities.
    """

    name: str
    unit: str
    at: int = 0

    def inner(self, quantities: Array) -> float:
        """Return the quantity."""
        return float(quantities[self.at])

    def value(self, inner: float) -> float | None:
        """Return the number."""
        return inner

    def stderr(self, _: float, spread: float) -> float | None:
        """Return its standard error."""
        return spread


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOfFactor:
    """tau = cycle/(-ln f) of the size f of a factor per cycle.

    Attributes
    ----------
    name : str
    cycle_s : float
    at : int
        Place of f among the quantities.
    unit : str
    """

    name: str
    cycle_s: float
    at: int = 0
    unit: str = "s"

    def inner(self, quantities: Array) -> float:
        """Return f."""
        return float(quantities[self.at])

    def value(self, inner: float) -> float | None:
        """Return tau; 0 for a factor of 0, None where nothing decays."""
        if inner >= 1.0:
            return None
        return self.cycle_s / -math.log(inner) if inner > 0.0 else 0.0

    def stderr(self, inner: float, spread: float, /) -> float | None:
        """Return cycle/(f ln^2 f) times that of f; None where f may be 0."""
        if not TWO_SIDED * spread < inner < 1.0:
            return None
        return self.cycle_s * spread / (inner * math.log(inner) ** 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdTime(TimeOfFactor):
    """Time until |p - limit| stays below 1/e of its start, as a factor e^(-cycle/time).

    The quantities are the size of the slowest factor of a cycle, the limit, and the levels p after
    0, 1, 2, ... cycles.  These are smooth where the time has a kink: at the ends of cycles.

    Attributes
    ----------
    first_s : float
        Length of the first cycle.
    """

    first_s: float

    def inner(self, quantities: Array) -> float:
        """Return e^(-cycle/time)."""
        factor, limit = (float(q) for q in quantities[:2])
        time = threshold_of_levels(quantities[2:], limit, factor, self.cycle_s, self.first_s)
        return math.exp(-self.cycle_s / time) if time != 0.0 else 0.0


def derive(
    found: CostlyFit,
    quantities: Callable[[Mapping[str, float]], Array],
    wanted: Sequence[Derived],
) -> tuple[dict[str, FittedParameter], tuple[str, ...]]:
    """Return derived numbers of a fit and what has to be said of them.

    Parameters
    ----------
    found : CostlyFit
    quantities : callable
        Parameters to what the numbers follow from, NaN where there is none, shape (quantities,).
    wanted : sequence of Derived
    """
    fit, here = found.fit, found.neighbourhood
    known = KnownCurves(quantities, list(here.axes))
    at_best = known(np.array([a.inner(fit.estimates[a.name]) for a in here.axes]))
    withheld = [n for n in fit.names if fit.parameters[n].value is None]
    surface = response_surface(known, here.box, here.degree)
    table: dict[str, FittedParameter] = {}
    words: list[str] = []
    for what in wanted:
        best, reason = what.inner(at_best), None
        value = what.value(best) if math.isfinite(best) else None
        error: float | None = None
        ends: Ends = (None, None)
        if value is None:
            reason = (
                "the fitted curve has no such number: it starts at its limit, or none was found"
            )
        elif fit.covariance is None:
            reason = "the fit has no covariance: " + (fit.parameters[fit.names[0]].reason or "")
        else:
            one = _DerivedProfile(
                fit.estimates, fit.covariance, fit.names, here, known, surface, what
            )
            if not math.isfinite(one.spread):
                reason = "there is no such number everywhere within the errors of the parameters"
                table[what.name] = _withheld(what, reason)
                continue
            level = TWO_SIDED
            if fit.error_scale != 1.0:
                level = float(stats.t.ppf(0.975, fit.dof)) * fit.error_scale
            low, high = one.ends(level)
            if math.isinf(low) != math.isinf(high):
                low, high = one.ends(OPEN / TWO_SIDED * level)
            ends = (
                what.value(low) if math.isfinite(low) else None,
                what.value(high) if math.isfinite(high) else None,
            )
            if one.off <= _WORTH_A_WORD:
                error = what.stderr(best, one.spread)
            else:
                words.append(
                    f"{what.name} has no standard error, and its interval is approximate: within "
                    "the errors of the parameters it turns, or bends too much for a surface"
                )
            if withheld:
                reason = f"it follows from {' and '.join(withheld)}, which the points do not tell"
        table[what.name] = FittedParameter(
            value=None if reason else value,
            stderr=None if reason else error,
            ci95=ends,
            unit=what.unit,
            reason=reason,
        )
    return table, tuple(words)


def _withheld(what: Derived, reason: str) -> FittedParameter:
    return FittedParameter(
        value=None, stderr=None, ci95=(None, None), unit=what.unit, reason=reason
    )


class _DerivedProfile:
    """One smooth number around the minimum, in steps of the parameters."""

    def __init__(
        self,
        estimates: Mapping[str, float],
        covariance: Array,
        names: Sequence[str],
        here: Neighbourhood,
        known: KnownCurves,
        surface: Callable[[Array], Array],
        what: Derived,
    ) -> None:
        self.here, self.known, self.surface, self.what = here, known, surface, what
        # covariances belong to the parameters, steps to what is searched
        per_inner = np.array([estimates[a.name] if a.is_logarithm else 1.0 for a in here.axes])
        order = [list(names).index(a.name) for a in here.axes]
        scale = per_inner * here.box.steps
        self.covariance = covariance[np.ix_(order, order)] / np.outer(scale, scale)
        best = np.array([a.inner(estimates[a.name]) for a in here.axes])
        self.best = (best - here.box.centre) / here.box.steps
        slope = self._slope(self._number, self.best)
        self.spread = float(np.sqrt(slope @ self.covariance @ slope))
        self.slope = slope
        self.bounds = [
            (low / s, high / s)
            for (low, high), s in zip(here.box.ends, here.box.steps, strict=True)
        ]
        #: largest difference of an end from its surface, in standard errors
        self.off = 0.0

    def _number(self, v: Array) -> float:
        return self.what.inner(self.surface(v * self.here.box.steps))

    def _chi2(self, v: Array) -> float:
        return self.here.chi2(v * self.here.box.steps)

    @staticmethod
    def _slope(function: Callable[[Array], float], v: Array) -> Array:
        unit = 1e-4 * np.eye(len(v))
        return np.array([(function(v + u) - function(v - u)) / 2e-4 for u in unit])

    def ends(self, level: float) -> tuple[float, float]:
        """Return the least and the largest number where chi-square rises by at most level^2.

        Infinite where it goes on rising beyond the reach of the surface.
        """
        known, centre, steps = self.known, self.here.box.centre, self.here.box.steps
        if self.spread == 0.0:  # nothing that was fitted matters to it
            exact = self.what.inner(known(centre + self.best * steps))
            return exact, exact
        furthest = [self._end(sign, level) for sign in (-1.0, 1.0)]
        for v in furthest:
            # one more on the way: a number that is not smooth may turn there
            for share in (0.5, 1.0):
                u = self.best + share * (v - self.best)
                gap = self.what.inner(known(centre + u * steps)) - self._number(u)
                self.off = max(self.off, abs(gap) / self.spread)
        first = self._chi2(self.best)
        if any(self._turns(v, first, level) for v in furthest):
            self.off = math.inf
        if self.off > _WORTH_A_WORD:
            for v in furthest:
                self._look_along(v, first, level)
        # every exact number that is allowed counts
        computed = ((u, self.what.inner(q)) for u, q in known.kept.items())
        values = [
            number
            for u, number in computed
            if math.isfinite(number)
            and self._rise((np.array(u) - centre) / steps, first, level) <= 1.002
        ]
        low, high = (
            sign * math.inf if self._goes_on(v, sign, level) else end
            for v, sign, end in zip(furthest, (-1.0, 1.0), (min(values), max(values)), strict=True)
        )
        return low, high

    def _look_along(self, v: Array, first: float, level: float) -> None:
        """Compute the exact number on the allowed chord through best and `v`, its turns too."""
        if np.linalg.norm(v - self.best) < 1e-9:
            return
        ends = [
            self._allowed(self._at_bounds(sign * (v - self.best)), first, level)
            for sign in (-1.0, 1.0)
        ]

        def number(x: float, sign: float) -> float:
            u = self.best + abs(x) * (ends[0 if x < 0.0 else 1] - self.best)
            inner = self.here.box.centre + u * self.here.box.steps
            return sign * self.what.inner(self.known(inner))

        at = np.linspace(-1.0, 1.0, _ALONG)
        for sign in (-1.0, 1.0):
            k = int(np.argmin([number(float(x), sign) for x in at]))
            _minimise_scalar(
                number, bounds=(at[max(k - 1, 0)], at[min(k + 1, _ALONG - 1)]), args=(sign,),
                method="bounded", options={"maxiter": _ALONG},
            )  # fmt: skip

    def _turns(self, v: Array, first: float, level: float) -> bool:
        """Return whether the surface is furthest at `v` within the region, not at its border."""
        if self._rise(v, first, level) > _BORDER:
            return False
        return not any(
            abs(x - bound) < 1e-6 * (1.0 + abs(bound))
            for x, ends in zip(v, self.bounds, strict=True)
            for bound in ends
        )

    def _at_bounds(self, direction: Array) -> Array:
        """Return where the way from the best point in a direction meets the surface's end."""
        room = [
            ((high if d > 0.0 else low) - x) / d
            for d, x, (low, high) in zip(direction, self.best, self.bounds, strict=True)
            if d != 0.0
        ]
        return np.asarray(self.best + max(min(room), 0.0) * direction)

    def _end(self, sign: float, level: float) -> Array:
        """Return where the surface is furthest within the allowed rise."""
        first, number = self._chi2(self.best), self._number(self.best)
        low, high = (np.array(end) for end in zip(*self.bounds, strict=True))
        towards = sign * level * (self.covariance @ self.slope) / self.spread
        found = self.best
        for share in (1.0, 0.5):
            result = _minimise(
                lambda v: -sign * (self._number(v) - number) / self.spread,
                np.clip(self.best + share * towards, low, high),
                method="SLSQP",
                bounds=self.bounds,
                constraints={"type": "ineq", "fun": lambda v: 1.0 - self._rise(v, first, level)},
                options={"ftol": 1e-6, "maxiter": 100},
            )
            reached = self._allowed(np.clip(result.x, low, high), first, level)
            if sign * (self._number(reached) - self._number(found)) > 0.0:
                found = reached
        return found

    def _rise(self, v: Array, first: float, level: float) -> float:
        return (self._chi2(v) - first) / level**2

    def _allowed(self, v: Array, first: float, level: float) -> Array:
        """Return `v`, or the last allowed point on the straight way to it."""
        inside, share = 0.0, 1.0
        if self._rise(v, first, level) <= 1.001:
            return v
        for _ in range(30):
            middle = 0.5 * (inside + share)
            allowed = self._rise(self.best + middle * (v - self.best), first, level) <= 1.0
            inside, share = (middle, share) if allowed else (inside, middle)
        return np.asarray(self.best + inside * (v - self.best))

    def _goes_on(self, v: Array, sign: float, level: float) -> bool:
        """Return whether the number would rise beyond a bound that nature does not set."""
        gain = sign * self._slope(self._number, v) / self.spread
        first = self._chi2(self.best)
        at = [
            [abs(x - bound) < 1e-6 * (1.0 + abs(bound)) for bound in ends]
            for x, ends in zip(v, self.bounds, strict=True)
        ]
        free = np.array([not any(a) for a in at])
        if self._rise(v, first, level) > _BORDER and free.any():
            # along the bound the allowed rise is used up: only what remains beyond it counts
            climb = self._slope(self._chi2, v)
            gain = gain - climb * (gain[free] @ climb[free]) / max(
                climb[free] @ climb[free], 1e-300
            )
        elif self._rise(v, first, level) > _BORDER:
            return False
        return any(
            here and not closed and side * g > _GAIN
            for ends, nature, g in zip(at, self.here.closed, gain, strict=True)
            for here, closed, side in zip(ends, nature, (-1.0, 1.0), strict=True)
        )
