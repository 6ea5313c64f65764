"""Intervals of fitted parameters: by curvature, profile likelihood, resampling or sampling.

The profile of a parameter is the smallest chi-square with the parameter held.  Its 95 % interval
holds all values whose profile exceeds the minimum by less than 1.96^2 (Student's quantile squared
times the residual variance where sigma comes from the residuals).  It follows any curvature that a
change of parameter could take away, is invariant under such changes, and is open on a side where
the profile never reaches the level: the points then give no limit there.

References
----------
D. M. Bates and D. G. Watts, Nonlinear Regression Analysis and Its Applications (Wiley, 1988),
section 6.1; A. Raue et al., Bioinformatics 25, 1923 (2009), on identifiability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.least_squares import Minimum, Problem

Array = NDArray[np.float64]
Ends = tuple[float | None, float | None]
Method = Literal["linear", "profile", "monte-carlo", "bootstrap", "emcee"]

#: methods that draw random numbers
RANDOM: tuple[Method, ...] = ("monte-carlo", "bootstrap", "emcee")
#: relative accuracy of the level that an end of a profile is brought to
_LEVEL_ACCURACY = 3e-3
_MAX_STEPS = 40


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
    ends: list[float | None] = []
    furthest: list[dict[str, float]] = []
    for sign, bound in ((-1.0, parameter.min), (1.0, parameter.max)):
        room = abs(bound - minimum.values[name])
        side = _Side(problem, minimum, name, sign, slope, room, level, starts)
        found = side.crossing(level * stderr)
        if side.better is not None:
            return Profile(ends=(None, None), better=side.better)
        ends.append(None if found is None else minimum.values[name] + sign * found)
        furthest.append(dict(side.known[-1][2]))
    low, high = (None if end is None else abs(end - minimum.values[name]) for end in ends)
    if low is not None and high is not None and 0.5 < low / max(high, 1e-300) < 2.0:
        furthest = []
    return Profile(ends=(ends[0], ends[1]), furthest=tuple(furthest))


class _Side:
    """One side of a profile: distance from the minimum to sqrt(rise of chi-square)."""

    def __init__(
        self,
        problem: Problem,
        minimum: Minimum,
        name: str,
        sign: float,
        slope: dict[str, float],
        room: float,
        level: float,
        starts: tuple[dict[str, float], ...],
    ) -> None:
        self.problem, self.minimum, self.name = problem, minimum, name
        self.sign, self.slope, self.room = sign, slope, room
        self.level, self.starts = level, starts
        #: (distance, height, values) in rising distance
        self.known = [(0.0, 0.0, minimum.values)]
        self.better: Minimum | None = None

    def height(self, distance: float) -> float:
        """Return sqrt(chi-square - minimum) with the parameter held at a distance."""
        near = min(self.known, key=lambda k: abs(k[0] - distance))
        guess = dict(near[2])
        step = self.sign * (distance - near[0])
        if near[0] == 0.0:
            for other, value in self.slope.items():
                bounds = self.problem.parameters[other]
                guess[other] = float(np.clip(guess[other] + value * step, bounds.min, bounds.max))
        held = {self.name: self.minimum.values[self.name] + self.sign * distance}
        found = self.problem.refit(guess, held)
        if any(self.problem.at_bound(n, v) for n, v in found.values.items() if n in self.slope):
            # at a bound the rest may hang: once more from the minimum itself
            again = self.problem.refit(self.minimum.values, held)
            found = min(found, again, key=lambda m: m.chi2)
        if found.chi2 - self.minimum.chi2 >= self.level**2:
            # perhaps there is a second valley: where the profiles of others ended
            others = [self.problem.refit(start, held) for start in self.starts]
            found = min(found, *others, key=lambda m: m.chi2) if others else found
        rise = found.chi2 - self.minimum.chi2
        if rise < -1e-3 * max(1.0, self.minimum.chi2 / len(self.problem.y)):
            self.better = found
        height = float(np.sqrt(max(rise, 0.0)))
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
