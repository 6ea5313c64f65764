"""Which of several curves the points ask for: information criteria and the nested F test.

AIC (for few points) and BIC are chi-square plus a price for each parameter; smaller is better, and
a difference of 10 is decisive.  Where even the closest curve leaves more than the noise, chi-square
counts in units of what it leaves, for the systematic error then is the noise.

References
----------
K. P. Burnham and D. R. Anderson, Sociol. Methods Res. 33, 261 (2004); C. M. Hurvich and C.-L. Tsai,
Biometrika 76, 297 (1989).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from nmrqb.analysis.curve_fit import CurveFit

#: difference of BIC that counts as evidence, and as a strong one
_EVIDENCE, _STRONG = 2.0, 10.0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelComparison:
    """Curves that were fitted to the same points.

    Attributes
    ----------
    preferred : str
        By BIC; the simplest one where the difference is below 2.
    words : str
    candidates : tuple of Candidate
        The simplest first.
    """

    preferred: str
    words: str
    candidates: tuple[Candidate, ...]


def compare_models(fits: Mapping[str, CurveFit], nested: Collection[str]) -> ModelComparison:
    """Compare curves that were fitted to the same points with the same errors.

    Parameters
    ----------
    fits : mapping of name to CurveFit
        The simplest first.
    nested : collection of str
        Those that contain the simplest as a special case.

    Raises
    ------
    ValueError
        Where there are fewer than two curves.
    """
    if len(fits) < 2:
        raise ValueError(f"at least two curves can be compared, but there are {len(fits)}")
    names = list(fits)
    simplest = fits[names[0]]
    closest = min(fits.values(), key=lambda f: f.reduced_chi2)
    scale2 = closest.error_scale**2
    candidates = []
    for name, fit in fits.items():
        count, points = len(fit.names), len(fit.residuals)
        bic = fit.chi2 / scale2 + count * float(np.log(points))
        rest = points - count - 1
        aic = fit.chi2 / scale2 + 2 * count + 2 * count * (count + 1) / rest if rest > 0 else None
        ratio = chance = None
        more = count - len(simplest.names)
        if name in nested and more > 0:
            own2 = fit.error_scale**2
            ratio = max(simplest.chi2 - fit.chi2, 0.0) / more / own2
            chance = float(
                stats.chi2.sf(more * ratio, more)
                if own2 == 1.0
                else stats.f.sf(ratio, more, fit.dof)
            )
        candidates.append(
            Candidate(
                curve=name, parameters=dict(fit.estimates), chi2=fit.chi2, dof=fit.dof,
                p_value=fit.p_value, aic=aic, bic=bic, F=ratio, F_p_value=chance,
            )
        )  # fmt: skip
    best = min(candidates, key=lambda c: c.bic)
    if candidates[0].bic - best.bic < _EVIDENCE:
        best = candidates[0]
    return ModelComparison(
        preferred=best.curve, words=_words(candidates, best), candidates=tuple(candidates)
    )


def _words(candidates: list[Candidate], best: Candidate) -> str:
    first = candidates[0]
    others = [c for c in candidates if c is not best]
    nearest = min(others, key=lambda c: c.bic)
    margin = nearest.bic - best.bic
    if best is first and margin < _EVIDENCE:
        how = "is as good as any and the simplest"
    else:
        how = "is clearly preferred" if margin >= _STRONG else "is preferred"
    text = f"{best.curve} {how}: BIC {best.bic:.4g} against " + ", ".join(
        f"{c.bic:.4g} ({c.curve})" for c in others
    )
    tests = [c for c in candidates if c.F is not None]
    if tests:
        text += "; F against " + first.curve + ": "
        text += ", ".join(f"{c.F:.3g}, p = {c.F_p_value:.2g} ({c.curve})" for c in tests)
    return text
