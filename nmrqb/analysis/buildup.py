"""Build-ups from zero, with one exponential where it is enough, else with a stretched one.

Two nested models, M_inf [1 - exp(-t/T)] and M_inf [1 - exp(-(t/T)^beta)].  The mono-exponential is
given up where the points refute it by more than what systematic errors usually are: the rule is
that of ``model_choice``.  A smaller difference is told and not acted on.

References
----------
R. Kohlrausch, Ann. Phys. 167, 179 (1854), on the stretched exponential; K. P. Burnham and
D. R. Anderson, Sociol. Methods Res. 33, 261 (2004), on the information criterion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.curve_fit import CurveFit, withhold, withhold_value
from nmrqb.analysis.curves import (
    best_time,
    fit_saturation,
    fit_time,
    in_order_from_zero,
    why_withheld,
)
from nmrqb.analysis.intervals import LINEAR, PROFILE, Intervals
from nmrqb.analysis.model_choice import (
    MATERIAL_DIFFERENCE,
    SIGNIFICANCE,
    is_given_up,
    is_refuted,
    largest_difference,
    largest_residual,
    likelihood_ratio,
)
from nmrqb.analysis.stretched import free_stretch, why_no_stretch

Array = NDArray[np.float64]
Shape = Literal["mono", "stretched"]
Verdict = Literal["mono-exponential", "nearly mono-exponential", "not mono-exponential"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildUpModel:
    """What one of the two models says, for comparison.

    Attributes
    ----------
    model : str
    T, T_stderr, beta, beta_stderr : float or None
        As fitted, not withheld; None where there is none.
    chi2 : float
    dof : int
    p_value : float
        Probability of a chi-square at least as large from the noise alone.
    bic : float
        Bayesian information criterion, up to a constant; chi-square scaled as in the test.
    """

    model: str
    T: float | None
    T_stderr: float | None
    beta: float | None
    beta_stderr: float | None
    chi2: float
    dof: int
    p_value: float
    bic: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Mono-exponential against stretched exponential.

    Attributes
    ----------
    verdict : str
    selected : str
        The model whose parameters are reported.
    F, p_value : float or None
        Likelihood ratio over its error scale, and the probability of one as large where the
        build-up is mono-exponential; None where there are too few points to compare.
    largest_difference : float or None
        Of the two curves at the points, over the largest amplitude.
    models : tuple of BuildUpModel
    """

    verdict: Verdict
    selected: str
    F: float | None
    p_value: float | None
    largest_difference: float | None
    models: tuple[BuildUpModel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildUpFit(CurveFit):
    """The fit of the selected model, with the comparison that selected it.

    Attributes
    ----------
    comparison : Comparison
    other_curve : callable or None
        The curve of the model that was not selected.
    """

    comparison: Comparison
    other_curve: Callable[[Array], Array] | None = field(repr=False, compare=False, default=None)

    @property
    def is_mono_exponential(self) -> bool:
        """True where one exponential describes the points to what systematic errors allow."""
        return self.comparison.selected == _MONO


_MONO, _STRETCHED = "mono-exponential", "stretched exponential"


def build_up(t: Array, T: float, M_inf: float, beta: float = 1.0) -> Array:  # noqa: N803
    """Return M(t) = M_inf [1 - exp(-(t/T)^beta)]."""
    return M_inf * (1.0 - np.exp(-((np.asarray(t) / T) ** beta)))


def fit_build_up(
    times_s: Array,
    amplitudes: Array,
    covariance: Array,
    *,
    curve: Shape | None = None,
    intervals: Intervals = PROFILE,
) -> BuildUpFit:
    """Fit a build-up from zero by the simpler of two models that the points allow.

    Parameters are T and M_inf, and beta where the stretched model is selected.  T is withheld
    where the longest build-up is shorter than T, or where it is known to no better than a factor
    of two.

    Parameters
    ----------
    times_s : ndarray, shape (points,)
        At least 0, in any order.
    amplitudes : ndarray, shape (points,)
    covariance : ndarray, shape (points, points)
    curve : {"mono", "stretched"}, optional
        Reported whatever the comparison selects.
    intervals : Intervals

    Raises
    ------
    ValueError
        Where there are fewer than 3 points (5 for "stretched"), or the times do not differ or are
        negative.
    """
    t, y, matrix = in_order_from_zero(times_s, amplitudes, covariance)
    tau, (level,) = best_time(t, y, matrix, lambda x, tau: -np.expm1(-x / tau)[:, None])
    start = {"T": tau, "M_inf": level}
    mono = fit_time(_mono, "T", start, t, y, matrix, LINEAR)
    if len(t) < 5:  # the ratio of the two needs at least two degrees of freedom
        if curve == "stretched":
            raise ValueError(f"{len(t)} points cannot tell a stretch: at least 5 are needed")
        mono = fit_time(_mono, "T", start, t, y, matrix, intervals)
        comparison = Comparison(
            verdict="mono-exponential", selected=_MONO, F=None, p_value=None,
            largest_difference=None, models=(_model(_MONO, mono, 1.0),),
        )  # fmt: skip
        return _with(mono, comparison, t)
    start_stretched = start | {"beta": free_stretch()}
    stretched = fit_time(build_up, "T", start_stretched, t, y, matrix, LINEAR)
    scale2 = stretched.error_scale**2
    ratio, p_value = likelihood_ratio(mono, stretched)
    difference = largest_difference(mono, stretched, t, y)
    leave = is_given_up(mono, stretched, t, y)
    chosen = curve or ("stretched" if leave else "mono")
    comparison = Comparison(
        verdict=(
            "not mono-exponential"
            if leave
            else "nearly mono-exponential"
            if p_value < SIGNIFICANCE
            else "mono-exponential"
        ),
        selected=_STRETCHED if chosen == "stretched" else _MONO,
        F=ratio,
        p_value=p_value,
        largest_difference=difference,
        models=(_model(_MONO, mono, scale2), _model(_STRETCHED, stretched, scale2)),
    )
    if chosen == "stretched":
        selected = fit_time(build_up, "T", start_stretched, t, y, matrix, intervals)
    else:
        selected = fit_time(_mono, "T", start, t, y, matrix, intervals)
    fit = _with(selected, comparison, t)
    other = (mono if chosen == "stretched" else stretched).curve
    words = _words(comparison)
    if leave:
        words += _offset(t, y, matrix, stretched)
    if is_refuted(fit, t, y):
        largest = 100.0 * largest_residual(fit, t, y)
        words += (f"the points are off this curve by up to {largest:.2g} % of the largest",)
    return replace(fit, warnings=(*fit.warnings, *words), other_curve=other)


def _mono(t: Array, T: float, M_inf: float) -> Array:  # noqa: N803
    return build_up(t, T, M_inf)


def _model(name: str, fit: CurveFit, scale2: float) -> BuildUpModel:
    def both(parameter: str) -> tuple[float | None, float | None]:
        found = fit.parameters.get(parameter)
        return (None, None) if found is None else (found.value, found.stderr)

    tau, beta = both("T"), both("beta")
    return BuildUpModel(
        model=name,
        T=tau[0],
        T_stderr=tau[1],
        beta=beta[0],
        beta_stderr=beta[1],
        chi2=fit.chi2,
        dof=fit.dof,
        p_value=fit.p_value,
        bic=fit.chi2 / scale2 + len(fit.names) * float(np.log(len(fit.residuals))),
    )


def _with(fit: CurveFit, comparison: Comparison, t: Array) -> BuildUpFit:
    inherited: dict[str, Any] = {f.name: getattr(fit, f.name) for f in fields(CurveFit)}
    joined = BuildUpFit(**inherited, comparison=comparison)
    why = why_no_stretch(fit) if "beta" in fit.parameters else None
    if why is not None:
        # the range of beta that is searched would close the interval of T, not the points
        return withhold(withhold_value(joined, why), why, ("T",))
    reason = why_withheld(
        fit, "T", float(t[-1]), "the longest build-up", "the amplitudes do not build up to a limit"
    )
    return withhold_value(joined, reason) if reason else joined


def _words(comparison: Comparison) -> tuple[str, ...]:
    if comparison.verdict == "mono-exponential":
        return ()
    mono, stretched = comparison.models
    test = f"F = {comparison.F:.3g}, p = {comparison.p_value:.2g}"
    percent = f"{100.0 * (comparison.largest_difference or 0.0):.2g} % of the largest amplitude"
    one, other = _pair(mono.T, mono.T_stderr), _pair(stretched.T, stretched.T_stderr)
    if comparison.verdict == "not mono-exponential":
        said = (
            f"the build-up is NOT mono-exponential ({test}; the curves differ by {percent}): "
            + (
                "T and beta are those of a stretched exponential; one exponential would say T = "
                f"{one} s"
                if comparison.selected == _STRETCHED
                else f"T is that of one exponential all the same, as asked; a stretched one says "
                f"T = {other} s"
            )
        )
    else:
        said = (
            f"the build-up is not quite mono-exponential ({test}): beta = "
            f"{_pair(stretched.beta, stretched.beta_stderr)} with T = {other} s fits better, but "
            f"differs by only {percent}, within usual systematic errors of amplitudes "
            f"({100.0 * MATERIAL_DIFFERENCE:g} %)"
        )
        if comparison.selected == _MONO:
            said += ": T is that of one exponential"
    return (said,)


def _offset(t: Array, y: Array, matrix: Array, stretched: CurveFit) -> tuple[str, ...]:
    """Return a warning where an imperfect saturation explains the points as well as a stretch."""
    free = fit_saturation(t, y, matrix)
    left = free.parameters["inversion"]
    if left.value is None or free.chi2 > stretched.chi2 + 9.0 * stretched.error_scale**2:
        return ()
    tau = free.parameters["T1"]
    said = (
        f"one exponential that starts at {-100.0 * left.value:.2g} % of M_inf fits as well "
        f"(T = {_pair(tau.value, tau.stderr)} s): if the build-up did not start from zero, the "
        "model is saturation"
    )
    return (said,)


def _pair(value: float | None, stderr: float | None) -> str:
    return "(withheld)" if value is None or stderr is None else f"{value:.4g} +- {stderr:.2g}"
