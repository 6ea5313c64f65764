"""Which registered numbers would bring a prediction to a measurement, and at what cost.

Residuals r = measured - predicted have the covariance C + G S G^T: C of the measurement, S the
registered variances of the prediction's parameters, G the prediction's slopes in them.  To first
order r^T (C + G S G^T)^-1 r is the least chi-square over all parameters, each held by its
registered error (the Woodbury identity).  A parameter is freed by taking its error out of S.

The common factor of the reference multiplies the prediction and not the noisy points: built from
the points it would favour curves that are low by chance.

References
----------
G. D'Agostini, Nucl. Instrum. Methods A 346, 306 (1994).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import least_squares

Array = NDArray[np.float64]

#: below it prediction and measurement contradict each other
CONTRADICTION = 0.001
#: above it they agree: 95 % of agreeing pairs do
AGREEMENT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredParameter:
    """A number that a prediction was made with.

    Attributes
    ----------
    name : str
    value : float
    stderr : float or None
        None where no standard error is registered; then `source` says why.
    unit : str
    low, high : float
        What is physically possible with all others as they are.
    source : str
    """

    name: str
    value: float
    stderr: float | None
    unit: str
    low: float
    high: float
    source: str

    def distance(self, value: float) -> float | None:
        """Return (value - registered)/registered standard error, if there is one."""
        return (value - self.value) / self.stderr if self.stderr else None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredEnergies:
    """Energies of one curve with their errors in two parts.

    Attributes
    ----------
    energy : ndarray, shape (points,)
    own_covariance : ndarray, shape (points, points)
        Without the common factor.
    scale_error : float
        Relative standard error of the common factor.
    offset : float
        Energy of zero polarisation: the factor multiplies energy - offset.
    """

    energy: Array
    own_covariance: Array
    scale_error: float
    offset: float = 0.0

    def covariance(self, predicted: Array) -> Array:
        """Return the covariance of the energies where `predicted` is true."""
        scaled = predicted - self.offset
        return self.own_covariance + self.scale_error**2 * np.outer(scaled, scaled)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChiSquare:
    """A chi-square and the probability of one at least as large."""

    chi2: float
    dof: int

    @property
    def p_value(self) -> float:
        """Probability where prediction and errors are right."""
        return float(stats.chi2.sf(self.chi2, self.dof)) if self.dof > 0 else 1.0


def chi_square(residuals: Array, covariance: Array, free: int = 0) -> ChiSquare:
    """Return r^T C^-1 r; `free` parameters were fitted.

    Raises
    ------
    ValueError
        Where the covariance is not positive definite.
    """
    white = whitened(residuals, covariance)
    return ChiSquare(chi2=float(white @ white), dof=len(residuals) - free)


def whitened(residuals: Array, covariance: Array) -> Array:
    """Return L^-1 r with L L^T = C: independent and of unit variance."""
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise ValueError("the covariance must be positive definite") from None
    return np.asarray(scipy.linalg.solve_triangular(factor, residuals, lower=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What some freed parameters can do.

    Attributes
    ----------
    names : tuple of str
    values, stderrs : ndarray, shape (parameters,)
        Where chi-square is least, and their standard errors from the measurement (the registered
        errors of all other parameters included); NaN at the end of a possible range.
    costs : tuple of float or None
        Distances from the registered values in registered standard errors; None where none is
        registered.
    after : ChiSquare
        What is left.
    energy : ndarray, shape (points,)
        The prediction there.
    reason : str or None
        Why this is no answer although chi-square may be small.
    """

    names: tuple[str, ...]
    values: Array
    stderrs: Array
    costs: tuple[float | None, ...]
    after: ChiSquare
    energy: Array
    reason: str | None = None

    @property
    def succeeds(self) -> bool:
        """True where what is left agrees."""
        return self.reason is None and self.after.p_value >= AGREEMENT

    @property
    def price(self) -> float:
        """Chi-square that is left plus the squares of the known costs: the smaller the likelier."""
        return self.after.chi2 + sum(c**2 for c in self.costs if c is not None)


def prediction_covariance(parameters: Sequence[RegisteredParameter], slopes: Array) -> Array:
    """Return G S G^T of the parameters whose errors are registered.

    Parameters
    ----------
    parameters : sequence
    slopes : ndarray, shape (points, parameters)
        G.
    """
    spread = slopes * np.array([p.stderr or 0.0 for p in parameters])
    result: Array = spread @ spread.T
    return result


def pulls(
    measured: MeasuredEnergies,
    predicted: Array,
    parameters: Sequence[RegisteredParameter],
    slopes: Array,
) -> Array:
    """Return how far each parameter is moved, in registered errors, where all may move.

    S G^T (C + G S G^T)^-1 r over the registered errors, shape (parameters,); 0 without one.
    """
    spread = slopes * np.array([p.stderr or 0.0 for p in parameters])
    total = measured.covariance(predicted) + spread @ spread.T
    return np.asarray(spread.T @ np.linalg.solve(total, measured.energy - predicted))


def linear_price(
    free: Sequence[int],
    parameters: Sequence[RegisteredParameter],
    predicted: Array,
    slopes: Array,
    measured: MeasuredEnergies,
) -> float:
    """Return the price of freeing some parameters to first order, without a simulation."""
    which = list(free)
    others = [k for k in range(len(parameters)) if k not in which]
    held = prediction_covariance([parameters[k] for k in others], slopes[:, others])
    factor = np.linalg.cholesky(measured.covariance(predicted) + held)
    columns = scipy.linalg.solve_triangular(factor, slopes[:, which], lower=True)
    rest = scipy.linalg.solve_triangular(factor, measured.energy - predicted, lower=True)
    steps, *_ = np.linalg.lstsq(columns, rest, rcond=None)
    left = rest - columns @ steps
    costs = [
        parameters[k].distance(parameters[k].value + float(step))
        for k, step in zip(which, steps, strict=True)
    ]
    return float(left @ left) + sum(c**2 for c in costs if c is not None)


def reconcile(
    free: Sequence[int],
    parameters: Sequence[RegisteredParameter],
    energy: Callable[[Array], Array],
    slopes: Array,
    measured: MeasuredEnergies,
) -> Reconciliation:
    """Free some parameters and simulate until chi-square is least.

    Parameters
    ----------
    free : sequence of int
        Indices of the parameters that are freed.
    parameters : sequence of RegisteredParameter
    energy : callable
        Values of all parameters to energies, shape (points,).
    slopes : ndarray, shape (points, parameters)
        Of the energies at the registered values.
    measured : MeasuredEnergies
    """
    which = list(free)
    registered = np.array([p.value for p in parameters])
    others = [k for k in range(len(parameters)) if k not in which]
    held = prediction_covariance([parameters[k] for k in others], slopes[:, others])
    # in units of their registered values
    scale = np.array([abs(registered[k]) or 1.0 for k in which])
    low = np.array([parameters[k].low for k in which])
    high = np.array([parameters[k].high for k in which])

    def at(step: Array) -> Array:
        values = registered.copy()
        values[which] = scale * step
        return energy(values)

    def whitener(predicted: Array) -> Array:
        return np.asarray(np.linalg.cholesky(measured.covariance(predicted) + held))

    def minimised(first: Array, factor: Array) -> tuple[Array, Array]:
        def residual(step: Array) -> Array:
            rest = measured.energy - at(step)
            return np.asarray(scipy.linalg.solve_triangular(factor, rest, lower=True))

        room = 1e-3 * (high - low) / scale
        inside = np.clip(first, low / scale + room, high / scale - room)
        found = least_squares(
            residual,
            inside,
            bounds=(low / scale, high / scale),
            diff_step=np.full(len(which), 1e-3),
            xtol=1e-5,
            ftol=1e-6,
            max_nfev=25,
        )
        return np.asarray(found.x), np.asarray(found.jac)

    nominal = energy(registered)
    factor = whitener(nominal)
    white = scipy.linalg.solve_triangular(factor, slopes[:, which] * scale, lower=True)
    rest = scipy.linalg.solve_triangular(factor, measured.energy - nominal, lower=True)
    linear, *_ = np.linalg.lstsq(white, rest, rcond=None)
    step, _ = minimised(registered[which] / scale + np.asarray(linear), factor)
    # once more with the common factor of the curve that was found
    step, jacobian = minimised(step, whitener(at(step)))
    curve = at(step)
    values = scale * step
    after = chi_square(measured.energy - curve, measured.covariance(curve) + held, len(which))
    normal = jacobian.T @ jacobian
    reason = None
    stderrs = np.full(len(which), np.nan)
    if np.linalg.cond(normal) > 1e12:
        reason = "the curve does not tell these parameters apart, or does not depend on them"
    else:
        # at the end of a possible range a standard error would be too small: none is given
        inner = np.minimum(values - low, high - values) > 2e-3 * (high - low)
        errors = scale * np.sqrt(np.diag(np.linalg.inv(normal)))
        stderrs = np.where(inner, errors, np.nan)
    return Reconciliation(
        names=tuple(parameters[k].name for k in which),
        values=values,
        stderrs=stderrs,
        costs=tuple(parameters[k].distance(float(v)) for k, v in zip(which, values, strict=True)),
        after=after,
        energy=curve,
        reason=reason,
    )
