"""Which of several curves the points ask for: information criteria and the nested F test.

AIC (for few points) and BIC are chi-square plus a price for each parameter; smaller is better, and
a difference of 10 is decisive.  Where even the closest curve leaves more than the noise, chi-square
counts in units of what it leaves, for the systematic error then is the noise.

Criteria alone do not name a curve, for at high signal-to-noise any of them finds the systematic
errors of the amplitudes (drift, tuning, line shape, a delay that starts late), of which a percent
or two are usual.  The simplest curve is given up for one that contains it

- where the likelihood ratio rejects it at p < 0.001 and the two differ by more than 2 % of the
  largest amplitude; or
- where its own residuals exceed both the noise (p < 0.001) and 2 %, and the ratio prefers the other
  at p < 0.05: with few points and no curve right the F test is weak, and so is the preference;

and for one that does not contain it where BIC gains 10 and the two differ by more than 2 %.

References
----------
K. P. Burnham and D. R. Anderson, Sociol. Methods Res. 33, 261 (2004); C. M. Hurvich and C.-L. Tsai,
Biometrika 76, 297 (1989).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nmrqb.analysis.curve_fit import CurveFit

Array = NDArray[np.float64]

#: levels of the ratio alone, and where the residuals refute the simplest curve already
SIGNIFICANCE, PREFERENCE = 1e-3, 0.05
#: differences and residuals over the largest amplitude up to this are usual
MATERIAL_DIFFERENCE = 0.02
#: difference of BIC that counts as evidence, and as a strong one
_EVIDENCE, _STRONG = 2.0, 10.0


def likelihood_ratio(simple: CurveFit, wider: CurveFit) -> tuple[float, float]:
    """Return F and its p-value for two fits to the same points, the second containing the first.

    F is the gain of chi-square for each further parameter over the error; p is the probability of
    one as large if the simpler is right.  The error is the noise (p of a chi-square), or the
    residuals of the wider curve where these exceed the noise (p of an F).
    """
    more, scale2 = len(wider.names) - len(simple.names), wider.error_scale**2
    ratio = max(simple.chi2 - wider.chi2, 0.0) / more / scale2
    chance = (
        stats.chi2.sf(more * ratio, more) if scale2 == 1.0 else stats.f.sf(ratio, more, wider.dof)
    )
    return ratio, float(chance)


def largest_difference(one: CurveFit, other: CurveFit, x: Array, y: Array) -> float:
    """Return the largest difference of two curves at the points, over the largest of these."""
    return float(np.abs(other.curve(x) - one.curve(x)).max() / _largest(y))


def largest_residual(fit: CurveFit, x: Array, y: Array) -> float:
    """Return the largest distance of a point from the curve, over the largest of the points."""
    return float(np.abs(y - fit.curve(x)).max() / _largest(y))


def _largest(y: Array) -> float:
    """Return the largest amplitude, above 0 also where nothing was seen."""
    return max(float(np.abs(y).max()), float(np.finfo(float).tiny))


def is_refuted(fit: CurveFit, x: Array, y: Array) -> bool:
    """Return whether residuals exceed the noise, and what systematic errors usually are."""
    return fit.p_value < SIGNIFICANCE and largest_residual(fit, x, y) > MATERIAL_DIFFERENCE


def is_given_up(simple: CurveFit, wider: CurveFit, x: Array, y: Array) -> bool:
    """Return whether the points ask for the wider curve in place of the one that it contains."""
    _, chance = likelihood_ratio(simple, wider)
    if chance < SIGNIFICANCE and largest_difference(simple, wider, x, y) > MATERIAL_DIFFERENCE:
        return True
    return chance < PREFERENCE and is_refuted(simple, x, y)


def why_unneeded(simple: CurveFit, wider: CurveFit, what: str) -> str | None:
    """Return why the numbers of the wider curve mean nothing where `what`, the simpler, does.

    That is where chi-square rises by less than its 95 % point for the parameters left out, in units
    of the error.
    """
    scale2 = wider.error_scale**2
    rise = max(simple.chi2 - wider.chi2, 0.0) / scale2
    if rise >= float(stats.chi2.isf(0.05, len(wider.names) - len(simple.names))):
        return None
    unit = "" if scale2 == 1.0 else " in units of what is left"
    return (
        f"not identifiable: {what} describes the points as well (chi-square rises by "
        f"{rise:.2g}{unit})"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One curve of a comparison.

    Attributes
    ----------
    curve : str
    parameters : dict of str to float
        As fitted, whether or not they are identifiable.
    chi2 : float
    dof : int
    p_value : float
        Probability of a chi-square at least as large from the noise alone.
    aic, bic : float or None
        Up to a common constant; AIC is None where there are too few points for it.
    F, F_p_value : float or None
        Against the simplest curve, which this one contains: gain of chi-square for each further
        parameter over the error, and the probability of one as large if the simplest is right.
        None where the curves are not nested.
    largest_difference : float
        From the simplest curve, at the points, over the largest amplitude.
    """

    curve: str
    parameters: dict[str, float]
    chi2: float
    dof: int
    p_value: float
    aic: float | None
    bic: float
    F: float | None
    F_p_value: float | None
    largest_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelComparison:
    """Curves that were fitted to the same points.

    Attributes
    ----------
    preferred : str
        The simplest one unless it has to be given up; then that of the others with the smallest
        BIC.
    is_weak : bool
        True where the simplest is given up for its residuals, but the ratio alone does not ask for
        the preferred one.
    alike : tuple of str
        Other curves that cannot be told from a preferred one that is not the simplest: BIC differs
        by less than 10, or the curves by less than 2 % of the largest amplitude.
    words : str
    candidates : tuple of Candidate
        The simplest first.
    """

    preferred: str
    is_weak: bool
    alike: tuple[str, ...]
    words: str
    candidates: tuple[Candidate, ...]

    @property
    def gives_up_simplest(self) -> bool:
        """True where another curve than the simplest is established."""
        return self.preferred != self.candidates[0].curve and not self.is_weak


def compare_models(
    fits: Mapping[str, CurveFit], nested: Collection[str], x: Array, y: Array
) -> ModelComparison:
    """Compare curves that were fitted to the same points with the same errors.

    Parameters
    ----------
    fits : mapping of name to CurveFit
        The simplest first.
    nested : collection of str
        Those that contain the simplest as a special case.
    x, y : ndarray, shape (points,)
        The points that were fitted.

    Raises
    ------
    ValueError
        Where there are fewer than two curves.
    """
    if len(fits) < 2:
        raise ValueError(f"at least two curves can be compared, but there are {len(fits)}")
    first, simplest = next(iter(fits.items()))
    closest = min(fits.values(), key=lambda f: f.reduced_chi2)
    scale2 = closest.error_scale**2
    candidates: dict[str, Candidate] = {}
    able = [first]
    for name, fit in fits.items():
        count, points = len(fit.names), len(fit.residuals)
        bic = fit.chi2 / scale2 + count * float(np.log(points))
        rest = points - count - 1
        aic = fit.chi2 / scale2 + 2 * count + 2 * count * (count + 1) / rest if rest > 0 else None
        ratio = chance = None
        difference = largest_difference(simplest, fit, x, y)
        if name in nested:
            ratio, chance = likelihood_ratio(simplest, fit)
            asked = is_given_up(simplest, fit, x, y)
        else:
            gain = candidates[first].bic - bic if candidates else 0.0
            asked = gain >= _STRONG and difference > MATERIAL_DIFFERENCE
        candidates[name] = Candidate(
            curve=name, parameters=dict(fit.estimates), chi2=fit.chi2, dof=fit.dof,
            p_value=fit.p_value, aic=aic, bic=bic, F=ratio, F_p_value=chance,
            largest_difference=difference,
        )  # fmt: skip
        if asked:
            able.append(name)
    best = min(able, key=lambda n: candidates[n].bic)
    alike = tuple(
        n
        for n, c in candidates.items()
        if best != first
        and n not in (best, first)
        and (
            c.bic - candidates[best].bic < _STRONG
            or largest_difference(fits[best], fits[n], x, y) < MATERIAL_DIFFERENCE
        )
    )
    chance = candidates[best].F_p_value
    weak = best != first and chance is not None and chance >= SIGNIFICANCE
    words = _words(candidates, best, weak, alike)
    if is_refuted(fits[best], x, y):
        words += f"; even {best} is off the points by up to "
        words += f"{100.0 * largest_residual(fits[best], x, y):.2g} % of the largest"
    return ModelComparison(
        preferred=best,
        is_weak=weak,
        alike=alike,
        words=words,
        candidates=tuple(candidates.values()),
    )


def _words(
    candidates: Mapping[str, Candidate], best: str, weak: bool, alike: tuple[str, ...]
) -> str:
    chosen, first = candidates[best], next(iter(candidates.values()))
    others = [c for c in candidates.values() if c is not chosen]
    nearest = min(others, key=lambda c: c.bic)
    margin = nearest.bic - chosen.bic
    percent = f"{100.0 * nearest.largest_difference:.2g} % of the largest amplitude"
    if chosen is first and margin < -_EVIDENCE:
        how = f"is kept, although {nearest.curve} is better by BIC: "
        if nearest.largest_difference <= MATERIAL_DIFFERENCE:
            usual = f"({100.0 * MATERIAL_DIFFERENCE:g} %)"
            how += f"they differ by only {percent}, within usual systematic errors {usual}"
        else:
            how += f"a difference of {percent} that is not established"
    elif chosen is first and margin < _EVIDENCE:
        how = "is as good as any and the simplest"
    elif weak:
        how = f"is preferred weakly: {first.curve} does not describe the points, but {best} is not "
        how += "established either"
    elif alike:
        close = [n for n in alike if candidates[n].bic - chosen.bic < _STRONG]
        small = [n for n in alike if n not in close]
        how = f"is preferred to {first.curve}, but "
        if close:
            how += f"cannot be told from {' or '.join(close)}" + (" and " if small else "")
        if small:
            how += (
                f"differs by less than {100.0 * MATERIAL_DIFFERENCE:g} % of the largest amplitude, "
                f"as systematic errors usually do, from {' and '.join(small)}"
            )
    else:
        how = "is clearly preferred" if margin >= _STRONG else "is preferred"
    text = f"{best} {how}: BIC {chosen.bic:.4g} against " + ", ".join(
        f"{c.bic:.4g} ({c.curve})" for c in others
    )
    tests = [c for c in candidates.values() if c.F is not None]
    if tests:
        text += f"; F against {first.curve}: "
        text += ", ".join(
            f"{round(c.F or 0.0, 3):.3g}, p = {c.F_p_value:.2g} ({c.curve})" for c in tests
        )
    return text
