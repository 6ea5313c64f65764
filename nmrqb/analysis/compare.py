"""Measured against predicted: residuals, chi-square and its probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.reconcile import MeasuredEnergies, chi_square
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


def measured_energies(curve: ChargingCurve) -> MeasuredEnergies:
    """Return the energies of a measured curve with the common factor's error apart.

    Raises
    ------
    ValueError
        Where the curve carries no covariance.
    """
    if curve.covariance is None:
        raise ValueError("the measured curve must carry a covariance")
    scaled = curve.scaled_energy
    return MeasuredEnergies(
        energy=curve.energy,
        own_covariance=curve.covariance - curve.scale_error**2 * np.outer(scaled, scaled),
        scale_error=curve.scale_error,
        offset=float(np.mean(curve.energy - scaled)),
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
    if not np.allclose(measured.times, predicted.times, rtol=1e-9, atol=1e-12):
        raise ValueError("measured and predicted curve must have the same times")
    energies = measured_energies(measured)
    covariance = energies.covariance(predicted.energy)
    difference = measured.energy - predicted.energy
    found = chi_square(difference, covariance)
    return Comparison(
        prediction=prediction,
        residuals=difference / np.sqrt(np.diag(covariance)),
        chi2=found.chi2,
        points=found.dof,
        p_value=found.p_value,
    )
