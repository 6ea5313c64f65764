"""Least-squares fits of curves through lmfit; errors are withheld where they mean nothing.

What lmfit does that is set differently here: ``scale_covar`` is off (errors are those of the
stated sigma), correlated errors are whitened, intervals are those of the profile likelihood, and
errors at bounds or of a singular problem are not printed but replaced by the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nmrqb.analysis.intervals import PROFILE, RANDOM, Ends, Intervals, profile_interval
from nmrqb.analysis.least_squares import Errors, Minimum, Problem
from nmrqb.analysis.outliers import Outlier, find_outliers
from nmrqb.analysis.resampling import draw_samples, sampled_interval

if TYPE_CHECKING:
    import lmfit

Array = NDArray[np.float64]

#: probability of residuals this large below which the stated errors are no longer believed
DISBELIEF = 1e-3
#: fits that start again at a lower point that a profile came across
_RESTARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedParameter:
    """A fitted number.

    Attributes
    ----------
    value, stderr : float or None
        None where withheld; then `reason` says why.
    ci95 : tuple of float or None
        95 % interval: a limit that is not known is None.  It may be there, two-sided or open on
        one side, where the value is withheld.
    unit : str
    reason : str or None
    """

    value: float | None
    stderr: float | None
    ci95: tuple[float | None, float | None]
    unit: str = ""
    reason: str | None = None

    def __str__(self) -> str:
        if self.value is None:
            return f"withheld: {self.reason}"
        spread = "" if self.stderr is None else f" +- {self.stderr:.2g}"
        note = "" if self.reason is None else f" ({self.reason})"
        return f"{self.value:.6g}{spread} {self.unit}".rstrip() + note


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveFit:
    """A fitted curve.

    Attributes
    ----------
    parameters : dict of str to FittedParameter
    best_fit, residuals : ndarray, shape (points,)
        The model at x; (y - model) in units of sigma, whitened where errors are correlated.
    chi2, reduced_chi2 : float
    dof : int
    p_value : float
        Probability of a chi-square at least as large.
    covariance : ndarray or None
        Of the free parameters, in the order of `names`, scaled where `error_scale` is not 1.
    names : tuple of str
    error_scale : float
        Factor on the standard errors: sqrt(reduced chi-square) where the residuals exceed the
        stated sigma (p < 0.001), else 1.
    warnings : tuple of str
    estimates : dict of str to float
        The point of least squares, also of what is withheld.
    intervals : Intervals
        How `ci95` was made.
    outliers : tuple of Outlier
        Points that the others contradict; they are fitted all the same.
    curve : callable
        The fitted curve at any x: for pictures, also where a parameter is withheld.
    """

    parameters: dict[str, FittedParameter]
    best_fit: Array
    residuals: Array
    chi2: float
    reduced_chi2: float
    dof: int
    p_value: float
    covariance: Array | None
    names: tuple[str, ...]
    error_scale: float
    warnings: tuple[str, ...]
    estimates: dict[str, float]
    intervals: Intervals
    outliers: tuple[Outlier, ...] = ()
    curve: Callable[[Array], Array] = field(repr=False, compare=False)

    @property
    def is_identifiable(self) -> bool:
        """True where every free parameter has a value."""
        return all(self.parameters[n].value is not None for n in self.names)

    @property
    def bic(self) -> float:
        """Bayesian information criterion of the stated errors, up to a constant."""
        return self.chi2 + len(self.names) * float(np.log(len(self.residuals)))

    @property
    def aic(self) -> float:
        """Akaike's information criterion for few points, up to a constant (infinite at the limit).

        chi2 + 2 k + 2 k (k + 1)/(n - k - 1), n points and k parameters (Hurvich and Tsai 1989).
        """
        k, rest = len(self.names), self.dof - 1
        return self.chi2 + 2.0 * k + (2.0 * k * (k + 1) / rest if rest > 0 else float("inf"))

    def value(self, name: str) -> float:
        """Return a fitted value.

        Raises
        ------
        ValueError
            Where it was withheld.
        """
        found = self.parameters[name]
        if found.value is None:
            raise ValueError(f"{name} was withheld: {found.reason}")
        return found.value

    def __str__(self) -> str:
        lines = [f"  {name} = {p}" for name, p in self.parameters.items()]
        lines.append(f"  reduced chi-square {self.reduced_chi2:.4g} ({self.dof} degrees)")
        return "\n".join(["curve fit", *lines, *(f"  warning: {w}" for w in self.warnings)])


Fit = TypeVar("Fit", bound=CurveFit)


def fit_curve(
    function: Callable[..., Array] | lmfit.Model,
    x: Array,
    y: Array,
    parameters: lmfit.Parameters | Mapping[str, float],
    *,
    sigma: Array | float | None = None,
    covariance: Array | None = None,
    units: Mapping[str, str] | None = None,
    intervals: Intervals = PROFILE,
) -> CurveFit:
    """Fit ``function(x, **parameters)`` to points.

    Parameters
    ----------
    function : callable or lmfit.Model
        Start values given as a mapping take the parameter hints of a model (bounds, expressions).
    x, y : ndarray, shape (points,)
    parameters : lmfit.Parameters or mapping of start values
    sigma : array_like, optional
        Standard errors of `y`, absolute.
    covariance : ndarray, shape (points, points), optional
        Instead of `sigma` where errors are correlated.  Without either, sigma is taken from the
        residuals of the fit.
    units : mapping, optional
        Units of the parameters.
    intervals : Intervals
        How the 95 % intervals are made; standard errors are those of the curvature, or of the
        samples of a random method.

    Raises
    ------
    ValueError
        Where there are not more points than free parameters, or the errors are not positive.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    function, starts = _curve_and_parameters(function, parameters)
    problem = Problem(
        function=function,
        x=x,
        y=y,
        errors=Errors.of(len(y), sigma, covariance),
        parameters=starts,
    )
    names = problem.names
    if len(y) <= len(names):
        raise ValueError(
            f"{len(y)} points cannot determine {len(names)} parameters: at least "
            f"{len(names) + 1} points are needed"
        )
    absolute = sigma is not None or covariance is not None
    minimum = problem.minimise()
    for _ in range(_RESTARTS):
        found = _with_errors(problem, minimum, absolute, intervals)
        if found.better is None:
            break
        minimum = problem.minimise(found.better.values)
    values, reason = minimum.values, found.reason
    if found.better is not None:
        reason = "the fit did not converge: its profiles came across lower points again and again"
    table: dict[str, FittedParameter] = {}
    for name, value in values.items():
        unit = (units or {}).get(name, "")
        if name not in names:
            table[name] = FittedParameter(
                value=value, stderr=None, ci95=(None, None), unit=unit, reason="held fixed"
            )
            continue
        why = reason or problem.at_bound(name, value)
        ends = found.ends.get(name, (None, None))
        table[name] = FittedParameter(
            value=None if why else float(value),
            stderr=None if why else found.stderr[name],
            ci95=ends,
            unit=unit,
            reason=why,
        )
    residuals = problem.errors.whiten(y - problem.curve(values))
    dof = len(y) - len(names)
    outliers = find_outliers(problem, minimum, float(absolute)) if reason is None else ()
    return CurveFit(
        parameters=table,
        best_fit=problem.curve(values),
        residuals=residuals,
        chi2=minimum.chi2,
        reduced_chi2=minimum.chi2 / dof,
        dof=dof,
        p_value=found.p_value,
        covariance=found.covariance,
        names=names,
        error_scale=found.scale,
        warnings=(*found.warnings, *(str(o) for o in outliers)),
        estimates=values,
        intervals=intervals,
        outliers=outliers,
        curve=lambda at: np.asarray(function(np.asarray(at, float), **values), float),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _WithErrors:
    """Errors and intervals at a minimum, or a point below it where the fit has to start again."""

    covariance: Array | None
    reason: str | None
    scale: float
    p_value: float
    stderr: dict[str, float]
    ends: dict[str, Ends]
    warnings: tuple[str, ...]
    better: Minimum | None = None


def _with_errors(
    problem: Problem, minimum: Minimum, absolute: bool, intervals: Intervals
) -> _WithErrors:
    names, dof = problem.names, len(problem.y) - len(problem.names)
    p_value = float(stats.chi2.sf(minimum.chi2, dof)) if absolute else 1.0
    warnings: list[str] = []
    scale, quantile = 1.0, float(stats.norm.ppf(0.975))
    if not absolute or p_value < DISBELIEF:
        scale = float(np.sqrt(minimum.chi2 / dof))
        quantile = float(stats.t.ppf(0.975, dof))
        if absolute:
            warnings.append(
                f"residuals exceed the stated errors {scale:.3g} times: standard errors are "
                "scaled by this factor"
            )
    matrix, reason = problem.covariance(minimum.values)
    if not minimum.is_converged:
        reason = "the fit did not converge"
    stderr: dict[str, float] = {}
    ends: dict[str, Ends] = {}
    better: Minimum | None = None
    if matrix is not None and reason is None:
        spread = np.sqrt(np.diag(matrix)) * scale
        stderr = dict(zip(names, map(float, spread), strict=True))
        if intervals.method in RANDOM:
            samples = draw_samples(problem, minimum, matrix, scale, intervals)
            warnings += samples.warnings
            stderr = {n: samples.stderr(k) for k, n in enumerate(names)}
            ends = {n: sampled_interval(problem, minimum, samples, n, intervals) for n in names}
            for n in names if intervals.method != "emcee" else ():
                # refits pile up at a bound where the estimate is: their quantiles say nothing
                # (Andrews, Econometrica 68, 399 (2000))
                if problem.at_bound(n, minimum.values[n]):
                    ends[n] = profile_interval(problem, minimum, matrix, n, quantile * scale).ends
        elif intervals.method == "profile" and scale > 0.0 and minimum.chi2 > 0.0:
            starts: tuple[dict[str, float], ...] = ()
            for name in names:
                profile = profile_interval(problem, minimum, matrix, name, quantile * scale, starts)
                starts += profile.furthest
                if profile.better is not None:
                    better = profile.better
                    break
                ends[name] = profile.ends
        else:  # without noise a profile has no width
            for n, error in stderr.items():
                value = minimum.values[n]
                ends[n] = (value - quantile * error, value + quantile * error)
    return _WithErrors(
        covariance=None if matrix is None else matrix * scale**2,
        reason=reason,
        scale=scale,
        p_value=p_value,
        stderr=stderr,
        ends=ends,
        warnings=tuple(warnings),
        better=better,
    )


def withhold(fit: Fit, reason: str, names: tuple[str, ...] | None = None) -> Fit:
    """Return the fit with values and intervals of `names` (all by default) withheld."""
    return _withheld(fit, reason, names, lambda _: (None, None))


def withhold_value(fit: Fit, reason: str, names: tuple[str, ...] | None = None) -> Fit:
    """Return the fit with the values of `names` (all by default) withheld for `reason`.

    Their intervals stay: what the points exclude they exclude, whether or not one value can be
    named.
    """
    return _withheld(fit, reason, names, lambda p: p.ci95)


def _withheld(
    fit: Fit,
    reason: str,
    names: tuple[str, ...] | None,
    interval: Callable[[FittedParameter], Ends],
) -> Fit:
    table = {
        name: (
            FittedParameter(value=None, stderr=None, ci95=interval(p), unit=p.unit, reason=reason)
            if names is None or name in names
            else p
        )
        for name, p in fit.parameters.items()
    }
    return replace(fit, parameters=table)


def with_scale_error(fit: Fit, names: tuple[str, ...], relative: float) -> Fit:
    """Return the fit with the error of a common factor of all points added.

    A factor with relative standard error `relative` multiplies the parameters `names` and leaves
    the others alone.  It is added after the fit, because a covariance that holds it, built from
    the measured points, biases the fit towards points that are low by chance.

    References
    ----------
    G. D'Agostini, Nucl. Instrum. Methods A 346, 306 (1994).
    """
    if relative == 0.0 or fit.covariance is None:
        return fit
    shift = np.array([fit.estimates[n] if n in names else 0.0 for n in fit.names], dtype=float)
    covariance = fit.covariance + relative**2 * np.outer(shift, shift)
    table = dict(fit.parameters)
    for name, level in zip(fit.names, shift, strict=True):
        old = table[name]
        half = float(stats.norm.ppf(0.975)) * relative * abs(level)
        low, high = old.ci95
        middle = fit.estimates[name]
        table[name] = replace(
            old,
            stderr=None if old.stderr is None else float(np.hypot(old.stderr, relative * level)),
            ci95=(
                None if low is None else middle - float(np.hypot(middle - low, half)),
                None if high is None else middle + float(np.hypot(high - middle, half)),
            ),
        )
    return replace(fit, parameters=table, covariance=covariance)


def _curve_and_parameters(
    function: Callable[..., Array] | lmfit.Model,
    given: lmfit.Parameters | Mapping[str, float],
) -> tuple[Callable[..., Array], lmfit.Parameters]:
    """Return ``function(x, **values)`` and lmfit parameters."""
    import lmfit

    built = given.copy() if isinstance(given, lmfit.Parameters) else None
    if isinstance(function, lmfit.Model):
        model, variable = function, str(function.independent_vars[0])
        if built is None:
            built = model.make_params(**{n: float(v) for n, v in given.items()})
        missing = [n for n in model.param_names if n not in built]
        if missing:
            raise ValueError(f"parameters must hold {', '.join(missing)} of the model")

        def curve(x: Array, **values: float) -> Array:
            return np.asarray(model.eval(**{variable: x}, **values), float)

        return curve, built
    if built is None:
        built = lmfit.Parameters()
        for name, value in given.items():
            built.add(name, value=float(value))
    return function, built
