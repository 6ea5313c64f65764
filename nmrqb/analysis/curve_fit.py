"""Least-squares fits of curves through lmfit; errors are withheld where they mean nothing.

What lmfit does that is set differently here: ``scale_covar`` is off (errors are those of the
stated sigma), correlated errors are whitened, and errors at bounds or of a singular problem are
not printed but replaced by the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar
from warnings import catch_warnings, simplefilter

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import stats

if TYPE_CHECKING:
    import lmfit

Array = NDArray[np.float64]

#: stands for a residual outside the function's domain
_FAR = 1e30


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedParameter:
    """A fitted number.

    Attributes
    ----------
    value, stderr : float or None
        None where withheld; then `reason` says why.
    ci95 : tuple of float or None
        95 % interval: a limit that is not known is None.
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
    curve: Callable[[Array], Array] = field(repr=False, compare=False)

    @property
    def is_identifiable(self) -> bool:
        """True where every parameter has a value."""
        return all(p.value is not None for p in self.parameters.values())

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
    function: Callable[..., Array],
    x: Array,
    y: Array,
    parameters: lmfit.Parameters | Mapping[str, float],
    *,
    sigma: Array | float | None = None,
    covariance: Array | None = None,
    units: Mapping[str, str] | None = None,
) -> CurveFit:
    """Fit ``function(x, **parameters)`` to points.

    Parameters
    ----------
    function : callable
    x, y : ndarray, shape (points,)
    parameters : lmfit.Parameters or mapping of start values
    sigma : array_like, optional
        Standard errors of `y`, absolute.
    covariance : ndarray, shape (points, points), optional
        Instead of `sigma` where errors are correlated.  Without either, sigma is taken from the
        residuals of the fit.
    units : mapping, optional
        Units of the parameters.

    Raises
    ------
    ValueError
        Where there are not more points than free parameters, or the errors are not positive.
    """
    import lmfit

    x, y = np.asarray(x, float), np.asarray(y, float)
    start = _parameters(parameters)
    names = tuple(n for n, p in start.items() if p.vary)
    if len(y) <= len(names):
        raise ValueError(
            f"{len(y)} points cannot determine {len(names)} parameters: at least "
            f"{len(names) + 1} points are needed"
        )
    whiten = _whitener(len(y), sigma, covariance)

    def residual(values: Any) -> Array:
        with np.errstate(all="ignore"):  # a far step may leave the function's domain
            rest = whiten(y - np.asarray(function(x, **values.valuesdict()), float))
        return np.clip(np.where(np.isfinite(rest), rest, _FAR), -_FAR, _FAR)

    def room_of(result: Any) -> dict[str, float]:
        found = result.params.valuesdict()
        return {n: min(found[n] - start[n].min, start[n].max - found[n]) for n in names}

    def holds(result: Any) -> bool:
        if not (result.success and np.isfinite(result.chisqr) and result.chisqr < _FAR):
            return False
        table = result.params.valuesdict()
        return _covariance(function, x, table, room_of(result), whiten)[0] is not None

    minimiser = lmfit.Minimizer(residual, start, scale_covar=False)
    tight: dict[str, Any] = {"ftol": 1e-14, "xtol": 1e-14, "gtol": 1e-14, "max_nfev": 20000}
    # lmfit takes square roots of covariances that are not positive; ours is computed below
    with catch_warnings():
        simplefilter("ignore", RuntimeWarning)
        found = minimiser.minimize(method="leastsq", **tight)
        if not holds(found):
            # from far away, steps within a trust region first
            near = minimiser.minimize(method="least_squares", max_nfev=2000)
            again = minimiser.minimize(method="leastsq", params=near.params, **tight)
            if again.chisqr < found.chisqr:
                found = again
    values: dict[str, float] = found.params.valuesdict()
    best = np.asarray(function(x, **values), float)
    residuals = whiten(y - best)
    chi2 = float(residuals @ residuals)
    dof = len(y) - len(names)
    absolute = sigma is not None or covariance is not None
    p_value = float(stats.chi2.sf(chi2, dof)) if absolute else 1.0
    warnings: list[str] = []
    scale = 1.0
    quantile = float(stats.norm.ppf(0.975))
    if not absolute or p_value < 1e-3:
        scale = float(np.sqrt(chi2 / dof))
        quantile = float(stats.t.ppf(0.975, dof))
        if absolute:
            warnings.append(
                f"residuals exceed the stated errors {scale:.3g} times: standard errors are "
                "scaled by this factor"
            )
    matrix, reason = _covariance(function, x, values, room_of(found), whiten)
    if not (found.success and np.isfinite(best).all()):
        reason = "the fit did not converge"
    table: dict[str, FittedParameter] = {}
    for name, value in values.items():
        unit = (units or {}).get(name, "")
        if name not in names:
            table[name] = FittedParameter(
                value=value, stderr=None, ci95=(None, None), unit=unit, reason="held fixed"
            )
            continue
        why = reason or _at_bound(start[name], value)
        if why is not None or matrix is None:
            table[name] = FittedParameter(
                value=None, stderr=None, ci95=(None, None), unit=unit, reason=why
            )
            continue
        k = names.index(name)
        stderr = float(np.sqrt(matrix[k, k])) * scale
        table[name] = FittedParameter(
            value=float(value),
            stderr=stderr,
            ci95=(float(value) - quantile * stderr, float(value) + quantile * stderr),
            unit=unit,
        )
    return CurveFit(
        parameters=table,
        best_fit=best,
        residuals=residuals,
        chi2=chi2,
        reduced_chi2=chi2 / dof,
        dof=dof,
        p_value=p_value,
        covariance=None if matrix is None else matrix * scale**2,
        names=names,
        error_scale=scale,
        warnings=tuple(warnings),
        curve=lambda at: np.asarray(function(np.asarray(at, float), **values), float),
    )


def withhold(fit: Fit, reason: str, names: tuple[str, ...] | None = None) -> Fit:
    """Return the fit with the values of `names` (all by default) withheld for `reason`."""
    table = {
        name: (
            FittedParameter(value=None, stderr=None, ci95=(None, None), unit=p.unit, reason=reason)
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
    shift = np.array(
        [(fit.parameters[n].value or 0.0) if n in names else 0.0 for n in fit.names],
        dtype=float,
    )
    covariance = fit.covariance + relative**2 * np.outer(shift, shift)
    table = dict(fit.parameters)
    for k, name in enumerate(fit.names):
        old = table[name]
        if old.value is None or old.stderr is None or old.ci95[1] is None:
            continue
        quantile = (old.ci95[1] - old.value) / old.stderr
        stderr = float(np.sqrt(covariance[k, k]))
        table[name] = replace(
            old,
            stderr=stderr,
            ci95=(old.value - quantile * stderr, old.value + quantile * stderr),
        )
    return replace(fit, parameters=table, covariance=covariance)


def _parameters(given: lmfit.Parameters | Mapping[str, float]) -> lmfit.Parameters:
    import lmfit

    if isinstance(given, lmfit.Parameters):
        return given.copy()
    built = lmfit.Parameters()
    for name, value in given.items():
        built.add(name, value=float(value))
    return built


def _whitener(
    points: int, sigma: Array | float | None, covariance: Array | None
) -> Callable[[Array], Array]:
    if covariance is not None:
        if sigma is not None:
            raise ValueError("give either sigma or covariance, not both")
        try:
            factor = np.linalg.cholesky(np.asarray(covariance, float))
        except np.linalg.LinAlgError:
            raise ValueError("covariance must be positive definite") from None
        return lambda r: scipy.linalg.solve_triangular(factor, r, lower=True)
    errors = np.broadcast_to(np.asarray(1.0 if sigma is None else sigma, float), (points,))
    if not (np.isfinite(errors).all() and (errors > 0.0).all()):
        raise ValueError("sigma must be finite and positive")
    return lambda r: r / errors


def _covariance(
    function: Callable[..., Array],
    x: Array,
    values: dict[str, float],
    room: dict[str, float],
    whiten: Callable[[Array], Array],
) -> tuple[Array | None, str | None]:
    """Return (J^T J)^-1 from central differences, or the reason why there is none.

    `room` holds each free parameter's distance to its nearer bound: no step leaves the bounds,
    beyond which the function may mean something else (a negative time constant).
    """
    columns = []
    least = 1e-7 * (1.0 + float(np.linalg.norm(whiten(np.asarray(function(x, **values), float)))))

    def change(name: str, step: float) -> Array:
        with np.errstate(all="ignore"):  # a wide step may leave the function's domain
            up = np.asarray(function(x, **(values | {name: values[name] + step})), float)
            down = np.asarray(function(x, **(values | {name: values[name] - step})), float)
        difference = up - down
        return whiten(difference) if np.isfinite(difference).all() else np.full_like(x, np.nan)

    for name, furthest in room.items():
        step = 1e-5 * max(abs(values[name]), 1e-8)
        moved = change(name, step)
        # a parameter near 0 has no scale of its own: widen the step until the curve moves
        while np.linalg.norm(moved) < least and 10.0 * step < min(furthest, 1e10):
            wider = change(name, 10.0 * step)
            if not np.isfinite(wider).all():
                break
            step, moved = 10.0 * step, wider
        if np.linalg.norm(moved) < least:
            return None, f"not identifiable: the points do not depend on {name}"
        columns.append(moved / (2.0 * step))
    jacobian = np.array(columns).T
    if not np.isfinite(jacobian).all():
        return None, "the fit did not converge"
    norms = np.linalg.norm(jacobian, axis=0)
    singular = np.linalg.svd(jacobian / norms, compute_uv=False)
    if singular[-1] < 1e-7 * singular[0]:
        return None, "not identifiable: the parameters cannot be told apart by these points"
    unit = np.linalg.inv((jacobian / norms).T @ (jacobian / norms))
    return unit / np.outer(norms, norms), None


def _at_bound(parameter: lmfit.Parameter, value: float) -> str | None:
    for bound, word in ((parameter.min, "lower"), (parameter.max, "upper")):
        if np.isfinite(bound) and abs(value - bound) <= 1e-6 * max(1.0, abs(bound)):
            return f"not identifiable: the fit ends at its {word} bound {bound:g}"
    return None
