"""Rows whose field drifts: a shift and a broadening of its own for each row of a shared shape.

In a series that follows the clock for an hour the field and its homogeneity change; a shape common
to all rows then takes the drift for a change of amplitude (a broader line overlaps less with it).
Each row is fitted with a s(nu - shift, R + broadening); shift and broadening are the same for all
lines of the region.  The price is the honest one: with R free the variance of ln a doubles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from nmrqb.analysis.lines import Bins, lorentzian
from nmrqb.signals.series import Series

#: rows weaker than this many standard errors do not show where they are
_VISIBLE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFits:
    """What the rows of one region are, each with its own shift and broadening.

    Attributes
    ----------
    amplitudes : ndarray, shape (rows,)
        At time 0, times the norm of the shared shape; per scan.
    stderr : ndarray, shape (rows,)
    shift_hz, broadening_per_s : ndarray, shape (rows,)
    reduced_chi2 : float
    """

    amplitudes: NDArray[np.float64]
    stderr: NDArray[np.float64]
    shift_hz: NDArray[np.float64]
    broadening_per_s: NDArray[np.float64]
    reduced_chi2: float


def fit_rows(
    bins: Bins,
    nuisance: NDArray[np.float64],
    shape: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.complex128]],
    amplitudes: NDArray[np.float64],
    noise: float,
) -> RowFits:
    """Fit amplitude, shift and broadening of every row.

    Parameters
    ----------
    bins : Bins
        The region.
    nuisance : ndarray, shape (bins, columns)
        Orthonormal columns that are projected out.
    shape : (offsets in Hz, rates in 1/s, complex intensities)
        The shared shape.
    amplitudes : ndarray, shape (rows,)
        Starting values, in units of the shape.
    noise : float
        Sigma of one channel of one bin.
    """
    offset, rate, intensity = shape
    slowest = float(rate.min())

    def project(rows: NDArray[np.complex128]) -> NDArray[np.complex128]:
        return np.asarray(rows - (rows @ nuisance) @ nuisance.T)

    def model(x: NDArray[np.float64]) -> NDArray[np.complex128]:
        lines, _ = lorentzian(bins, offset + x[1], rate + slowest * np.expm1(x[2]))
        return np.asarray(x[0] * project((intensity @ lines)[None])[0])

    reference = model(np.array([1.0, 0.0, 0.0]))
    norm = float(np.linalg.norm(reference))
    found, errors, cost = [], [], 0.0
    for row, start in zip(project(bins.spectra), amplitudes, strict=True):

        def residual(
            x: NDArray[np.float64], row: NDArray[np.complex128] = row
        ) -> NDArray[np.float64]:
            return np.ascontiguousarray(model(x) - row).view(np.float64) / noise

        if abs(start) * norm < _VISIBLE * noise:
            found.append(np.array([start, 0.0, 0.0]))
            errors.append(noise / norm)
            cost += float(np.sum(residual(found[-1]) ** 2))
            continue
        scale = [abs(start), slowest / (2.0 * np.pi), 1.0]
        fit = least_squares(residual, [start, 0.0, 0.0], x_scale=scale, max_nfev=50)
        jacobian = np.asarray(fit.jac, dtype=np.float64)
        covariance = np.linalg.pinv(jacobian.T @ jacobian)
        found.append(fit.x)
        errors.append(float(np.sqrt(covariance[0, 0])))
        cost += 2.0 * float(fit.cost)
    x = np.array(found)
    free = 2 * bins.spectra.size - len(x) * (3 + 2 * nuisance.shape[1])
    return RowFits(
        amplitudes=x[:, 0] * norm,
        stderr=np.array(errors) * norm,
        shift_hz=x[:, 1],
        broadening_per_s=slowest * np.expm1(x[:, 2]),
        reduced_chi2=cost / max(free, 1),
    )


def without_drift(series: Series, shift_hz: NDArray[np.float64]) -> Series:
    """Return a series whose rows are shifted back by `shift_hz`, shape (rows,)."""
    turn = np.exp(-2j * np.pi * shift_hz[:, None] * series.times_s)
    return replace(series, fids=series.fids * turn)
