"""Errors by resampling: Monte Carlo, residual bootstrap, Markov chains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nmrqb.analysis.intervals import OPEN, TWO_SIDED, Ends, Intervals, limits_of
from nmrqb.analysis.least_squares import Minimum, Problem

Array = NDArray[np.float64]

#: a share of refits that fail above this is worth a word
_MANY_FAIL = 0.02
#: a chain is long enough at this many autocorrelation times (the advice of emcee)
_CHAIN_LENGTHS = 50
_LONGEST_CHAIN = 20000


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Values of the free parameters, drawn or refitted.

    Attributes
    ----------
    values : ndarray, shape (samples, free)
    warnings : tuple of str
    """

    values: Array
    warnings: tuple[str, ...] = ()

    def stderr(self, k: int) -> float:
        """Half the distance of the 15.87 and 84.13 % points: a standard deviation without tails."""
        ends = np.quantile(self.values[:, k], np.asarray(stats.norm.cdf([-1.0, 1.0])))
        return float(ends[1] - ends[0]) / 2.0


def draw_samples(
    problem: Problem, minimum: Minimum, covariance: Array, scale: float, how: Intervals
) -> Samples:
    """Return samples of the free parameters by the method that `how` says.

    Parameters
    ----------
    problem : Problem
    minimum : Minimum
    covariance : ndarray, shape (free, free)
        At the minimum, in units of the stated errors.
    scale : float
        Factor of the errors of the points (1 where they are trusted).
    how : Intervals
        "monte-carlo", "bootstrap" or "emcee".
    """
    rng = np.random.default_rng(how.seed)
    if how.method == "emcee":
        return _chains(problem, minimum, covariance, scale, how.samples, rng)
    best = problem.curve(minimum.values)
    points, free = len(problem.y), len(problem.names)
    if how.method == "bootstrap":
        rest = problem.errors.whiten(problem.y - best)
        # residuals of a fit are smaller than errors: n points share n - p degrees of freedom
        pool = (rest - rest.mean()) * np.sqrt(points / (points - free))
        noise = rng.choice(pool, size=(how.samples, points))
    else:
        noise = scale * rng.standard_normal((how.samples, points))
    found = [problem.refit(minimum.values, y=best + problem.errors.colour(row)) for row in noise]
    kept = [m for m in found if m.is_converged]
    lost = 1.0 - len(kept) / len(found)
    words = (
        (f"{100.0 * lost:.0f} % of the refits did not converge and are left out",)
        if lost > _MANY_FAIL
        else ()
    )
    values = np.array([[m.values[n] for n in problem.names] for m in kept]).reshape(-1, free)
    return Samples(values=values, warnings=words)


def bias_corrected(
    samples: Array, estimate: float, level: float = TWO_SIDED
) -> tuple[float, float]:
    """Return the interval of a bootstrap distribution, corrected for its median bias.

    Parameters
    ----------
    samples : ndarray, shape (samples,)
    estimate : float
    level : float
        Of either end, in standard errors of a normal distribution.

    References
    ----------
    B. Efron, Can. J. Stat. 9, 139 (1981).
    """
    count = len(samples)
    below = float(np.mean(samples < estimate) + 0.5 * np.mean(samples == estimate))
    shift = float(stats.norm.ppf(np.clip(below, 0.5 / count, 1.0 - 0.5 / count)))
    at = np.asarray(stats.norm.cdf(2.0 * shift + np.array([-level, level])))
    ends = np.quantile(samples, at)
    return float(ends[0]), float(ends[1])


def sampled_interval(
    problem: Problem, minimum: Minimum, samples: Samples, name: str, how: Intervals
) -> Ends:
    """Return the 95 % interval of one parameter.

    Refits give bias-corrected percentiles, Markov chains the posterior's percentiles.  An end at a
    bound is open, unless nature sets the bound; the other end then is that of an open interval.
    """
    values = samples.values[:, problem.names.index(name)]
    limits = limits_of(problem.parameters[name])

    def ends(level: float) -> tuple[float, float]:
        if how.method == "emcee":
            low, high = np.quantile(values, np.asarray(stats.norm.cdf([-level, level])))
            return float(low), float(high)
        return bias_corrected(values, minimum.values[name], level)

    def known(level: float) -> Ends:
        low, high = (
            None if problem.at_bound(name, end) and bound is None else end
            for end, bound in zip(ends(level), (limits.low, limits.high), strict=True)
        )
        return low, high

    low, high = known(TWO_SIDED)
    if (low is None) == (high is None):
        return low, high
    further_low, further_high = known(OPEN)
    return (None if low is None else further_low, None if high is None else further_high)


def _chains(
    problem: Problem,
    minimum: Minimum,
    covariance: Array,
    scale: float,
    count: int,
    rng: np.random.Generator,
) -> Samples:
    """Return samples of the posterior, flat within the bounds of the parameters."""
    import emcee

    names = problem.names
    best = np.array([minimum.values[n] for n in names])
    low = np.array([problem.parameters[n].min for n in names])
    high = np.array([problem.parameters[n].max for n in names])

    def log_posterior(point: Array) -> float:
        if (point <= low).any() or (point >= high).any():
            return -np.inf
        changes = dict(zip(names, map(float, point), strict=True))
        rest = problem.residual(problem.with_changes(minimum.values, changes))
        return -0.5 * float(rest @ rest) / scale**2

    walkers = max(32, 4 * len(names))
    spread = np.linalg.cholesky(covariance) * scale
    start = best + rng.standard_normal((walkers, len(names))) @ spread.T
    inside = ((start > low) & (start < high)).all(axis=1)
    # walkers that start outside the bounds start next to the minimum instead
    start[~inside] = best + 1e-4 * (start[~inside] - best)
    start = np.clip(start, np.nextafter(low, np.inf), np.nextafter(high, -np.inf))
    sampler = emcee.EnsembleSampler(walkers, len(names), log_posterior)
    sampler.random_state = np.random.RandomState(  # what emcee keeps
        int(rng.integers(2**32))
    ).get_state()
    state, length, needed = start, 0, np.inf
    while length < min(_CHAIN_LENGTHS * needed, _LONGEST_CHAIN):
        state = sampler.run_mcmc(state, 1000, skip_initial_state_check=True)
        length += 1000
        needed = float(np.max(sampler.get_autocorr_time(tol=0)))
        if not np.isfinite(needed):
            needed = _LONGEST_CHAIN
    words: tuple[str, ...] = ()
    if length < _CHAIN_LENGTHS * needed:
        said = (
            f"the chains of {length} steps are shorter than {_CHAIN_LENGTHS} autocorrelation times "
            f"({needed:.3g} steps): their intervals are rough"
        )
        words = (said,)
    chain = sampler.get_chain(discard=int(min(5 * needed, length // 2)), flat=True)
    thin = max(1, len(chain) // count)
    return Samples(values=np.asarray(chain[::thin], float), warnings=words)
