"""Intervals of fitted parameters: by curvature, profile likelihood, resampling or sampling.

The profile of a parameter is the smallest chi-square with the parameter held.  Its 95 % interval
holds all values whose profile exceeds the minimum by less than 1.96^2 (Student's quantile squared
times the residual variance where sigma comes from the residuals).  It follows any curvature that a
change of parameter could take away, is invariant under such changes, and is open on a side where
the profile never reaches the level: the points then give no limit there.

Which intervals are open is decided by the noise, and noise that opens one end has often carried the
other past the truth: at the level of two-sided intervals the open ones would hold less often than
they say.  The one end of an open interval therefore is a limit at three standard errors (99.87 %).

Where nature sets a bound (a share, an efficiency) an interval ends there instead of being open, and
the level near the bound is the one that keeps 95 % (Feldman and Cousins): 1.64 at the bound itself,
1.96 from 1.96 standard errors on.

References
----------
D. M. Bates and D. G. Watts, Nonlinear Regression Analysis and Its Applications (Wiley, 1988),
section 6.1; A. Raue et al., Bioinformatics 25, 1923 (2009), on identifiability; G. J. Feldman and
R. D. Cousins, Phys. Rev. D 57, 3873 (1998), on bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

from nmrqb.analysis.least_squares import Minimum, Problem

if TYPE_CHECKING:
    import lmfit

Array = NDArray[np.float64]
Ends = tuple[float | None, float | None]
Method = Literal["linear", "profile", "monte-carlo", "bootstrap", "emcee"]

#: methods that draw random numbers
RANDOM: tuple[Method, ...] = ("monte-carlo", "bootstrap", "emcee")
#: relative accuracy of the level that an end of a profile is brought to
_LEVEL_ACCURACY = 3e-3
_MAX_STEPS = 40
#: levels of a two-sided interval, and of the one end of an open one, in standard errors
TWO_SIDED, OPEN = float(stats.norm.ppf(0.975)), 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """How the 95 % intervals of a fit are made.

    Attributes
    ----------
    method : {"linear", "profile", "monte-carlo", "bootstrap", "emcee"}
        "linear": value +- 1.96 standard errors from the curvature at the minimum.  "profile": see
        above.  "monte-carlo": refits of synthetic points with the errors of the points.
        "bootstrap": the same with resampled residuals.  "emcee": Markov chains of the posterior,
        flat within the bounds.
    seed : int or None
        Of the random methods, which need one.
    samples : int
        Synthetic sets of points, or samples kept of the chains.
    """

    method: Method = "profile"
    seed: int | None = None
    samples: int = 1000

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(
                f"`method` must be one of {', '.join(get_args(Method))}, but is {self.method!r}"
            )
        if self.method in RANDOM and self.seed is None:
            raise ValueError(f"`seed` must be given for {self.method}")
        if self.samples < 100:
            raise ValueError(f"`samples` must be at least 100, but is {self.samples}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What lies beyond a parameter's values; kept as ``user_data`` of an lmfit parameter.

    Attributes
    ----------
    low, high : float or None
        Bounds that nature sets: intervals end there.  They are also bounds of the parameter.
    open_below : float or None
        A lower end at or below this value says nothing: the interval counts as open there.
    level : float
        Factor on the level, where likelihood ratios are known to be larger than their limit of many
        points.
    """

    low: float | None = None
    high: float | None = None
    open_below: float | None = None
    level: float = 1.0


NO_LIMITS = Limits()


def limits_of(parameter: lmfit.Parameter) -> Limits:
    """Return what an lmfit parameter carries as `user_data`."""
    return parameter.user_data if isinstance(parameter.user_data, Limits) else NO_LIMITS


LINEAR, PROFILE = Intervals(method="linear"), Intervals(method="profile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The profile interval of one parameter.

    Attributes
    ----------
    ends : tuple of (low, high)
        None where the profile stays below the level up to the bound.
    better : Minimum or None
        A point below the minimum that the profile came across: the fit has to start again there.
    furthest : tuple of dict
        Where the other parameters are at the ends, if the profile is far from a parabola: starts
        for the profiles of the others, which may have a second valley there.
    """

    ends: Ends
    better: Minimum | None = None
    furthest: tuple[dict[str, float], ...] = ()


def profile_interval(
    problem: Problem,
    minimum: Minimum,
    covariance: Array,
    name: str,
    level: float,
    starts: tuple[dict[str, float], ...] = (),
) -> Profile:
    """Return the interval in which the profile exceeds the minimum by less than level^2.

    Parameters
    ----------
    problem : Problem
    minimum : Minimum
    covariance : ndarray, shape (free, free)
        At the minimum, for the first steps.
    name : str
        A free parameter.
    level : float
        Square root of the allowed rise of chi-square.
    starts : tuple of dict
        Where else the other parameters may be at the ends (``furthest`` of other profiles).
    """
    k = problem.names.index(name)
    stderr = float(np.sqrt(covariance[k, k]))
    slope = {
        other: float(covariance[j, k] / covariance[k, k])
        for j, other in enumerate(problem.names)
        if j != k
    }
    parameter = problem.parameters[name]
    limits = limits_of(parameter)
    level *= limits.level
    sides: list[_Side] = []
    found: list[float | None] = []
    for sign, bound, natural in (
        (-1.0, parameter.min, limits.low),
        (1.0, parameter.max, limits.high),
    ):
        side = _Side(
            problem=problem, minimum=minimum, name=name, sign=sign, slope=slope,
            room=abs(bound - minimum.values[name]), stderr=stderr, level=level, starts=starts,
            limits=limits,
        )  # fmt: skip
        end = side.crossing(level * stderr)
        if side.better is not None:
            return Profile(ends=(None, None), better=side.better)
        if end is None and natural is not None and natural == bound:
            end = side.room
        sides.append(side)
        found.append(end)
    ends = [None if d is None else s.at(d) for s, d in zip(sides, found, strict=True)]
    says = list(ends)
    if limits.open_below is not None and ends[0] is not None and ends[0] <= limits.open_below:
        says[0] = None
    if says.count(None) == 1:
        k = says.index(None) ^ 1
        sides[k].level = level * OPEN / TWO_SIDED
        wider = sides[k].crossing(sides[k].level * stderr)
        if sides[k].better is not None:
            return Profile(ends=(None, None), better=sides[k].better)
        ends[k] = None if wider is None else sides[k].at(wider)
    elif all(s.is_at_limit(d) for s, d in zip(sides, found, strict=True)):
        ends = [None, None]  # everything that is possible is no limit
    furthest = [dict(side.known[-1][2]) for side in sides]
    low, high = found
    if low is not None and high is not None and 0.5 < low / max(high, 1e-300) < 2.0:
        furthest = []
    return Profile(ends=(ends[0], ends[1]), furthest=tuple(furthest))


@cache
def _levels_near_a_bound() -> tuple[Array, Array]:
    """Return distances from a bound, in standard errors, and the level that keeps 95 % there.

    x is normal about a value d below the bound.  The likelihood ratio of that value is x^2 below
    the bound, and 2 x d - d^2 above it, where the bound itself is the likeliest.
    """

    def excess(level: float, d: float) -> float:
        above = level if level < d else (level**2 + d**2) / (2.0 * d) if d > 0.0 else np.inf
        return float(stats.norm.sf(level) + stats.norm.sf(above)) - 0.05

    distances = np.linspace(0.0, 2.0, 81)
    levels = [brentq(excess, 1.5, 2.0, args=(d,), xtol=1e-6) for d in distances]
    return distances, np.array(levels)


def level_near_a_bound(distance: float) -> float:
    """Return the level of a value this many standard errors from a bound, over 1.96."""
    return float(np.interp(distance, *_levels_near_a_bound()) / TWO_SIDED)


class _Side:
    """One side of a profile: distance from the minimum to sqrt(rise of chi-square)."""

    def __init__(
        self,
        *,
        problem: Problem,
        minimum: Minimum,
        name: str,
        sign: float,
        slope: dict[str, float],
        room: float,
        stderr: float,
        level: float,
        starts: tuple[dict[str, float], ...],
        limits: Limits,
    ) -> None:
        self.problem, self.minimum, self.name = problem, minimum, name
        self.sign, self.slope, self.room = sign, slope, room
        self.stderr, self.level, self.starts, self.limits = stderr, level, starts, limits
        #: (distance, height, values), height in units of what the level is near a bound
        self.known = [(0.0, 0.0, minimum.values)]
        self.better: Minimum | None = None

    def at(self, distance: float) -> float:
        """Return the parameter at a distance."""
        return self.minimum.values[self.name] + self.sign * distance

    def is_at_limit(self, distance: float | None) -> bool:
        """Return whether a distance is that of a bound, where there is one that nature sets."""
        natural = self.limits.low if self.sign < 0.0 else self.limits.high
        return natural is not None and distance == self.room

    def _relative_level(self, value: float) -> float:
        """Return the level at a value of the parameter over the one far from natural bounds."""
        bounds = [b for b in (self.limits.low, self.limits.high) if b is not None]
        if not bounds or self.stderr == 0.0:
            return 1.0
        return min(level_near_a_bound(abs(value - b) / self.stderr) for b in bounds)

    def height(self, distance: float) -> float:
        """Return sqrt(chi-square - minimum) with the parameter held at a distance.

        Near a bound of nature it is taken relative to the level there.
        """
        near = min(self.known, key=lambda k: abs(k[0] - distance))
        guess = dict(near[2])
        step = self.sign * (distance - near[0])
        if near[0] == 0.0:
            for other, value in self.slope.items():
                bounds = self.problem.parameters[other]
                guess[other] = float(np.clip(guess[other] + value * step, bounds.min, bounds.max))
        held = {self.name: self.at(distance)}
        relative = self._relative_level(held[self.name])
        found = self.problem.refit(guess, held)
        if any(self.problem.at_bound(n, v) for n, v in found.values.items() if n in self.slope):
            # at a bound the rest may hang: once more from the minimum itself
            again = self.problem.refit(self.minimum.values, held)
            found = min(found, again, key=lambda m: m.chi2)
        if found.chi2 - self.minimum.chi2 >= (relative * self.level) ** 2:
            # perhaps there is a second valley: where the profiles of others ended
            others = [self.problem.refit(start, held) for start in self.starts]
            found = min(found, *others, key=lambda m: m.chi2) if others else found
        rise = found.chi2 - self.minimum.chi2
        if rise < -1e-3 * max(1.0, self.minimum.chi2 / len(self.problem.y)):
            self.better = found
        height = float(np.sqrt(max(rise, 0.0))) / relative
        self.known.append((distance, height, found.values))
        return height

    def crossing(self, first: float) -> float | None:
        """Return the distance at which the height is the level; None where it stays below."""
        level = self.level
        low, low_height = 0.0, 0.0
        high = min(first, self.room)
        for _ in range(_MAX_STEPS):
            if not (high > 0.0 and np.isfinite(high)):
                return None
            high_height = self.height(high)
            if self.better is not None:
                return None
            if high_height >= level:
                break
            if high >= self.room:
                return None
            low, low_height = high, high_height
            wider = 1.05 * high * level / high_height if high_height > 0.0 else 4.0 * high
            high = min(float(np.clip(wider, 1.3 * high, 4.0 * high)), self.room)
        else:
            return None
        for _ in range(_MAX_STEPS):
            if abs(high_height - level) < _LEVEL_ACCURACY * level or high - low < 1e-6 * high:
                break
            # the height is almost a straight line of the distance: false position, kept off the
            # ends so that it cannot stall
            share = (level - low_height) / (high_height - low_height)
            middle = low + float(np.clip(share, 0.02, 0.98)) * (high - low)
            middle_height = self.height(middle)
            if self.better is not None:
                return None
            if middle_height >= level:
                high, high_height = middle, middle_height
            elif level - middle_height < _LEVEL_ACCURACY * level:
                return middle
            else:
                low, low_height = middle, middle_height
        return high
