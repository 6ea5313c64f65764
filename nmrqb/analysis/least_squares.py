"""The least-squares problem behind a curve: whitened residuals, minimum, curvature.

lmfit finds the minimum.  Refits with one parameter held (profiles) and of many synthetic sets of
points start close to it and go straight to MINPACK, with lmfit's own transformation of bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.optimize import leastsq

if TYPE_CHECKING:
    import lmfit

Array = NDArray[np.float64]

#: its published types do not know bound methods and full output together
_minpack: Any = leastsq
#: stands for a residual outside the function's domain
_FAR = 1e30


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Standard errors of points, or their covariance, as a linear map.

    Attributes
    ----------
    whiten, colour : callable
        From residuals, shape (points,), to residuals with the unit matrix as covariance, and back.
    is_diagonal : bool
        True where the points are uncorrelated.
    """

    whiten: Callable[[Array], Array]
    colour: Callable[[Array], Array]
    is_diagonal: bool

    @classmethod
    def of(cls, points: int, sigma: Array | float | None, covariance: Array | None) -> Errors:
        """Return the map of `sigma` or of `covariance`; sigma 1 without either.

        Raises
        ------
        ValueError
            Where both are given, or they are not positive.
        """
        if covariance is None:
            errors = np.broadcast_to(np.asarray(1.0 if sigma is None else sigma, float), (points,))
            if not (np.isfinite(errors).all() and (errors > 0.0).all()):
                raise ValueError("sigma must be finite and positive")
            return cls(whiten=lambda r: r / errors, colour=lambda r: r * errors, is_diagonal=True)
        if sigma is not None:
            raise ValueError("give either sigma or covariance, not both")
        matrix = np.asarray(covariance, float)
        try:
            factor = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            raise ValueError("covariance must be positive definite") from None
        if np.count_nonzero(matrix - np.diag(np.diag(matrix))) == 0:
            return cls.of(points, np.sqrt(np.diag(matrix)), None)
        return cls(
            whiten=lambda r: scipy.linalg.solve_triangular(factor, r, lower=True),
            colour=lambda r: factor @ r,
            is_diagonal=False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimum:
    """A point of least squares.

    Attributes
    ----------
    values : dict of str to float
        All parameters, those held or constrained included.
    chi2 : float
    is_converged : bool
    """

    values: dict[str, float]
    chi2: float
    is_converged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Points, their errors and the curve with its parameters.

    Attributes
    ----------
    function : callable
        ``function(x, **values)``, shape (points,).
    x, y : ndarray, shape (points,)
    errors : Errors
    parameters : lmfit.Parameters
        Start values, bounds, what is held and what is constrained.
    """

    function: Callable[..., Array]
    x: Array
    y: Array
    errors: Errors
    parameters: lmfit.Parameters

    @property
    def names(self) -> tuple[str, ...]:
        """The free parameters."""
        return tuple(n for n, p in self.parameters.items() if p.vary)

    def curve(self, values: Mapping[str, float]) -> Array:
        """Return the curve at the points."""
        return np.asarray(self.function(self.x, **values), float)

    def residual(self, values: Mapping[str, float]) -> Array:
        """Return the whitened residuals, finite also outside the function's domain."""
        with np.errstate(all="ignore"):  # a far step may leave the function's domain
            return self.finite_residual(values)

    def finite_residual(self, values: Mapping[str, float]) -> Array:
        """Return the whitened residuals without hiding numpy's warnings."""
        rest = self.errors.whiten(self.y - self.curve(values))
        if abs(rest @ rest) < _FAR:  # the usual case costs a product
            return rest
        return np.clip(np.where(np.isfinite(rest), rest, _FAR), -_FAR, _FAR)

    def minimise(self, start: Mapping[str, float] | None = None) -> Minimum:
        """Return the minimum that lmfit finds from `start`, else from the start values."""
        import lmfit

        parameters = self.parameters.copy()
        for name in self.names:
            if start is not None:
                parameters[name].set(value=start[name])
        minimiser = lmfit.Minimizer(
            lambda p: self.residual(p.valuesdict()), parameters, scale_covar=False
        )
        # what takes more is stuck where lmfit's map of a bound has no slope
        tight: dict[str, Any] = {"ftol": 1e-14, "xtol": 1e-14, "gtol": 1e-14, "max_nfev": 4000}
        # lmfit takes square roots of covariances that are not positive; ours is computed apart
        with catch_warnings():
            simplefilter("ignore", RuntimeWarning)
            found = minimiser.minimize(method="leastsq", **tight)
            if not self._holds(found):
                # from far away, steps within a trust region first
                near = minimiser.minimize(method="least_squares", max_nfev=2000)
                again = minimiser.minimize(method="leastsq", params=near.params, **tight)
                if again.chisqr < found.chisqr:
                    found = again
        values: dict[str, float] = found.params.valuesdict()
        rest = self.errors.whiten(self.y - self.curve(values))
        finite = bool(np.isfinite(rest).all())
        return Minimum(
            values=dict(values),
            chi2=float(rest @ rest),
            is_converged=bool(found.success) and finite,
        )

    def _holds(self, found: Any) -> bool:
        if not (found.success and np.isfinite(found.chisqr) and found.chisqr < _FAR):
            return False
        return self.covariance(dict(found.params.valuesdict()))[0] is not None

    def refit(
        self,
        near: Mapping[str, float],
        held: Mapping[str, float] | None = None,
        y: Array | None = None,
    ) -> Minimum:
        """Return the minimum close to `near`, with the parameters of `held` at those values.

        Parameters
        ----------
        near, held : mapping
        y : ndarray, shape (points,), optional
            Other points at the same x with the same errors.
        """
        import lmfit

        here = self if y is None else replace(self, y=y)
        held = held or {}
        free = []
        for name in self.names:
            if name in held:
                continue
            like = self.parameters[name]
            free.append(lmfit.Parameter(name, value=near[name], min=like.min, max=like.max))
        # MINPACK cannot leave a bound where its transformation has no slope
        start = np.array([_inside(p) for p in free])

        names = [p.name for p in free]
        maps = [p.from_internal for p in free]
        base = dict(near) | dict(held)
        follows = any(p.expr for p in self.parameters.values())

        def values_of(internal: Array) -> dict[str, float]:
            found = {n: float(m(v)) for n, m, v in zip(names, maps, internal, strict=True)}
            return self.with_changes(near, found | dict(held)) if follows else base | found

        if not free:
            values = values_of(start)
            rest = here.residual(values)
            return Minimum(values=values, chi2=float(rest @ rest), is_converged=True)
        with catch_warnings(), np.errstate(all="ignore"):
            simplefilter("ignore", RuntimeWarning)
            found, _, information, _, flag = _minpack(
                lambda v: here.finite_residual(values_of(v)),
                start,
                ftol=1e-8,
                xtol=1e-8,
                maxfev=200 * (len(free) + 1),
                full_output=True,
            )
        rest = information["fvec"]
        return Minimum(
            values=values_of(np.atleast_1d(found)),
            chi2=float(rest @ rest),
            is_converged=flag in (1, 2, 3, 4),
        )

    def jacobian(self, values: Mapping[str, float]) -> tuple[Array | None, str | None]:
        """Return the whitened slopes of the curve, (points, free), or why there are none.

        Central differences, at a bound one-sided ones: no step leaves the bounds, beyond which the
        function may mean something else (a negative time constant).
        """
        whiten = self.errors.whiten
        columns = []
        least = 1e-7 * (1.0 + float(np.linalg.norm(whiten(self.curve(values)))))

        def slope(name: str, step: float) -> tuple[Array, float]:
            bounds, value = self.parameters[name], values[name]
            low, high = max(value - step, bounds.min), min(value + step, bounds.max)
            with np.errstate(all="ignore"):  # a wide step may leave the function's domain
                up = self.curve(self.with_changes(values, {name: high}))
                down = self.curve(self.with_changes(values, {name: low}))
            difference = up - down
            if not np.isfinite(difference).all():
                return np.full(len(self.y), np.nan), high - low
            return whiten(difference), high - low

        for name in self.names:
            bounds = self.parameters[name]
            furthest = max(values[name] - bounds.min, bounds.max - values[name])
            step = 1e-5 * max(abs(values[name]), 1e-8)
            moved, width = slope(name, step)
            # a parameter near 0 has no scale of its own: widen the step until the curve moves
            while np.linalg.norm(moved) < least and 10.0 * step < min(furthest, 1e10):
                wider, its_width = slope(name, 10.0 * step)
                if not np.isfinite(wider).all():
                    break
                step, moved, width = 10.0 * step, wider, its_width
            if np.linalg.norm(moved) < least:
                return None, f"not identifiable: the points do not depend on {name}"
            columns.append(moved / width)
        jacobian = np.array(columns).T
        if not np.isfinite(jacobian).all():
            return None, "the fit did not converge"
        return jacobian, None

    def with_changes(
        self, values: Mapping[str, float], changes: Mapping[str, float]
    ) -> dict[str, float]:
        """Return `values` with some free parameters changed, constrained ones following them."""
        table = dict(values) | dict(changes)
        if not any(p.expr for p in self.parameters.values()):
            return table
        shared = self.parameters.copy()
        for name in self.names:
            shared[name].value = table[name]
        return dict(shared.valuesdict())

    def covariance(self, values: Mapping[str, float]) -> tuple[Array | None, str | None]:
        """Return (J^T J)^-1 of the free parameters, or the reason why there is none."""
        jacobian, reason = self.jacobian(values)
        if jacobian is None:
            return None, reason
        norms = np.linalg.norm(jacobian, axis=0)
        singular = np.linalg.svd(jacobian / norms, compute_uv=False)
        if singular[-1] < 1e-7 * singular[0]:
            return None, "not identifiable: the parameters cannot be told apart by these points"
        unit = np.linalg.inv((jacobian / norms).T @ (jacobian / norms))
        return unit / np.outer(norms, norms), None

    def at_bound(self, name: str, value: float) -> str | None:
        """Return why a value at a bound of its parameter means nothing, or None."""
        parameter = self.parameters[name]
        for bound, word in ((parameter.min, "lower"), (parameter.max, "upper")):
            if np.isfinite(bound) and abs(value - bound) <= 1e-6 * max(1.0, abs(bound)):
                return f"not identifiable: the fit ends at its {word} bound {bound:g}"
        return None


def _inside(parameter: Any) -> float:
    """Return the internal start value, a little off the bounds."""
    low, high, value = parameter.min, parameter.max, parameter.value
    for bound, inwards in ((low, 1.0), (high, -1.0)):
        size = max(1.0, abs(bound))
        if np.isfinite(bound) and abs(value - bound) < 1e-6 * size:
            value = bound + inwards * 1e-3 * min(size, high - low)
    parameter.value = value
    return float(parameter.setup_bounds())
