"""Variable projection of one region: shared shape, one real amplitude and one baseline a row.

For rows y_r and a shape s(x), both with the baseline projected out, a_r = <s, y_r>/<s, s> (real
inner products) and the residual is r_r = y_r - a_r s.  Its Jacobian is exact (Golub and Pereyra):

    dr_r/dx_k = -a_r d_k - (da_r/dx_k) s,   d_k = ds/dx_k,
    da_r/dx_k = (<d_k, r_r> - a_r <s, d_k>)/<s, s>.

All that least squares needs of it, J^T J and J^T r, follows from inner products of s, d_k and the
rows: the (rows x bins) x parameters Jacobian is never formed.

References
----------
G. H. Golub and V. Pereyra, Inverse Problems 19, R1 (2003).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from nmrqb.analysis.line_parameters import names_of_lines, spectrum_of_lines
from nmrqb.analysis.lines import Bins
from nmrqb.analysis.shapes import LineShape
from nmrqb.signals.series import Series

if TYPE_CHECKING:
    import lmfit

Array = NDArray[np.float64]
Spectra = NDArray[np.complex128]
Baseline = Literal["none", "linear"]


def inner(a: Spectra, b: Spectra) -> Array:
    """Return the real inner products of rows, Re a^* b, shape (rows of a, rows of b)."""
    return np.ascontiguousarray(a).view(np.float64) @ np.ascontiguousarray(b).view(np.float64).T


@dataclass(frozen=True, slots=True)
class NormalEquations:
    """J^T J, shape (names, names), J^T r, shape (names,), and r^T r at one point."""

    hessian: Array
    gradient: Array
    squares: float

    def compressed(self, chain: Array) -> tuple[Array, Array]:
        """Return a short residual and its Jacobian with the same J^T J, J^T r and r^T r.

        Least squares from them takes the same steps as from the whole residual.

        Parameters
        ----------
        chain : ndarray, shape (names, free)
            Derivatives of all parameters by the free ones.
        """
        hessian = chain.T @ self.hessian @ chain
        gradient = chain.T @ self.gradient
        value, vector = np.linalg.eigh(hessian)
        root = np.sqrt(np.maximum(value, 0.0))
        felt = root > 1e-10 * root.max(initial=1e-300)
        along = np.where(felt, (vector.T @ gradient) / np.where(felt, root, 1.0), 0.0)
        across = np.sqrt(max(self.squares - float(along @ along), 0.0))
        jacobian = np.vstack([root[:, None] * vector.T, np.zeros(len(value))])
        return np.append(along, across), jacobian


@dataclass(frozen=True, slots=True)
class Minimum:
    """Parameters of least squares, their sum of squares, and whether the search came to an end."""

    parameters: lmfit.Parameters
    squares: float
    converged: bool


class Projection:
    """The rows of a region without their baselines, and what a shape makes of them."""

    def __init__(
        self, series: Series, bins: Bins, shapes: Sequence[LineShape], baseline: Baseline
    ) -> None:
        self.series = series
        self.shapes = tuple(shapes)
        self.baseline = baseline
        self.names = names_of_lines(self.shapes)
        size = len(bins.frequency_hz)
        if baseline == "linear":
            ramp = np.vander(np.linspace(-1.0, 1.0, size), 2)
            self.nuisance, _ = np.linalg.qr(ramp)
        else:
            self.nuisance = np.zeros((size, 0))
        self.bins = replace(bins, spectra=self.without_baseline(bins.spectra))

    @property
    def spectra(self) -> Spectra:
        """The rows without their baselines, shape (rows, bins)."""
        return self.bins.spectra

    def without_baseline(self, rows: Spectra) -> Spectra:
        """Return rows with the baseline projected out."""
        return np.asarray(rows - (rows @ self.nuisance) @ self.nuisance.T)

    def shape(self, values: Mapping[str, float]) -> tuple[Spectra, Spectra]:
        """Return the projected shape, shape (bins,), and its slopes, shape (names, bins)."""
        line, slopes = spectrum_of_lines(self.bins, self.series, self.shapes, values)
        return self.without_baseline(line[None])[0], self.without_baseline(slopes)

    def amplitudes(self, shape: Spectra) -> Array:
        """Return the best amplitudes of the rows, in units of the shape, shape (rows,)."""
        return inner(self.spectra, shape[None])[:, 0] / np.vdot(shape, shape).real

    def degrees_of_freedom(self, free: int) -> int:
        """Return real numbers in the rows less `free` parameters, amplitudes and baselines."""
        taken = len(self.spectra) * (1 + 2 * self.nuisance.shape[1])
        return int(2 * self.spectra.size - free - taken)

    def residual(self, values: Mapping[str, float]) -> tuple[Spectra, Array]:
        """Return rows minus fit, shape (rows, bins), and the amplitudes."""
        shape, _ = self.shape(values)
        a = self.amplitudes(shape)
        return self.spectra - a[:, None] * shape, a

    def normal_equations(self, values: Mapping[str, float]) -> NormalEquations:
        """Return the normal equations of the projected residual."""
        shape, slopes = self.shape(values)
        norm2 = np.vdot(shape, shape).real
        a = self.amplitudes(shape)
        rest = self.spectra - a[:, None] * shape
        overlap = inner(slopes, shape[None])[:, 0]
        by_row = inner(rest, slopes)
        da = (by_row - np.outer(a, overlap)) / norm2
        cross = np.outer(overlap, a @ da)
        hessian = (a @ a) * inner(slopes, slopes) + cross + cross.T + norm2 * (da.T @ da)
        return NormalEquations(hessian, -(a @ by_row), float(np.vdot(rest, rest).real))

    def minimise(self, parameters: lmfit.Parameters, *, tolerance: float = 1e-12) -> Minimum:
        """Bring `parameters` from a start to least squares, and return them.

        Their fixed values, bounds and expressions hold; the search ends where the sum of squares
        changes by less than `tolerance` of itself.
        """
        free = [n for n, p in parameters.items() if p.vary and not p.expr]
        if not free:
            squares = self.normal_equations(parameters.valuesdict()).squares
            return Minimum(parameters, squares, converged=True)
        last: tuple[bytes, tuple[Array, Array]] | None = None

        def at(x: Array) -> tuple[Array, Array]:
            nonlocal last
            if last is None or last[0] != x.tobytes():
                values = with_values(parameters, free, x)
                chain = chain_rule(parameters, free, self.names)
                last = (x.tobytes(), self.normal_equations(values).compressed(chain))
            return last[1]

        start = np.array([parameters[n].value for n in free])

        def residual(x: Array) -> Array:
            return at(x)[0]

        def jacobian(x: Array) -> Array:
            return at(x)[1]

        fit = least_squares(
            residual,
            start,
            jac=jacobian,
            bounds=(
                np.array([parameters[n].min for n in free]),
                np.array([parameters[n].max for n in free]),
            ),
            x_scale="jac",
            ftol=tolerance,
            xtol=1e-10,
            gtol=1e-10,
            max_nfev=100,
        )
        with_values(parameters, free, fit.x)
        return Minimum(parameters, 2.0 * float(fit.cost), converged=bool(fit.status > 0))


def with_values(table: lmfit.Parameters, names: Sequence[str], x: Array) -> dict[str, float]:
    """Set the values of some parameters; return those of all, expressions evaluated."""
    for name, value in zip(names, x, strict=True):
        table[name].value = value
    table.update_constraints()
    return dict(table.valuesdict())


def chain_rule(table: lmfit.Parameters, free: Sequence[str], names: Sequence[str]) -> Array:
    """Return the derivatives of all parameters by the free ones, shape (names, free).

    Those of expressions by central differences of the expressions alone.
    """
    result = np.array([[float(n == f) for f in free] for n in names])
    tied = [k for k, n in enumerate(names) if table[n].expr]
    if tied:
        x = np.array([table[f].value for f in free])
        for j in range(len(free)):
            step = np.zeros(len(free))
            step[j] = 1e-6 * max(abs(x[j]), 1e-3)
            up, down = (with_values(table, free, x + s) for s in (step, -step))
            for k in tied:
                result[k, j] = (up[names[k]] - down[names[k]]) / (2.0 * step[j])
        with_values(table, free, x)
    return result
