"""Measured against predicted: residuals, chi-square and its probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy import stats

from nmrqb.battery.charging import ChargingCurve

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How far a measured curve lies from a predicted one.

    Attributes
    ----------
    prediction : str
        What it was compared with.
    residuals : ndarray, shape (points,)
        (measured - predicted)/standard error, point by point.
    chi2 : float
        With the full covariance of the measurement; the prediction is taken as exact.
    points : int
    p_value : float
    """

    prediction: str
    residuals: Array
    chi2: float
    points: int
    p_value: float

    def __str__(self) -> str:
        return (
            f"against {self.prediction}: chi-square {self.chi2:.4g} for {self.points} points, "
            f"p = {self.p_value:.3g}"
        )


def compare_curves(
    measured: ChargingCurve, predicted: ChargingCurve, prediction: str
) -> Comparison:
    """Compare the energies of two curves at the same times.

    Raises
    ------
    ValueError
        Where the times differ or the measurement carries no covariance.
    """
    if measured.covariance is None or measured.energy_stderr is None:
        raise ValueError("the measured curve must carry a covariance")
    if not np.allclose(measured.times, predicted.times, rtol=1e-9, atol=1e-12):
        raise ValueError("measured and predicted curve must have the same times")
    difference = measured.energy - predicted.energy
    factor = np.linalg.cholesky(measured.covariance)
    white = scipy.linalg.solve_triangular(factor, difference, lower=True)
    chi2 = float(white @ white)
    return Comparison(
        prediction=prediction,
        residuals=difference / measured.energy_stderr,
        chi2=chi2,
        points=len(difference),
        p_value=float(stats.chi2.sf(chi2, len(difference))),
    )
