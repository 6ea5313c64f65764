"""From signed amplitudes to polarisation: the thermal reference sets the scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.region_fit import RegionFit

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedRows:
    """Polarisations of the rows of a series.

    Attributes
    ----------
    r_z : ndarray, shape (rows - 1,)
        Units of eps, energy label.
    own_covariance : ndarray, shape (rows - 1, rows - 1)
        From the rows' own noise.
    scale_error : float
        Relative standard error of the reference: a factor common to all rows.
    """

    r_z: Array
    own_covariance: Array
    scale_error: float

    @property
    def covariance(self) -> Array:
        """Covariance of r_z, the common factor included."""
        return self.own_covariance + self.scale_error**2 * np.outer(self.r_z, self.r_z)


def polarisation_from_reference(
    fit: RegionFit, reference_row: int, equilibrium: float
) -> CalibratedRows:
    """Return r_z = p_eq S/S_ref of the rows that are not the reference.

    Parameters
    ----------
    fit : RegionFit
        Rows and reference with the same receiver gain and read-out, amplitudes for each scan.
    reference_row : int
    equilibrium : float
        |p_eq| of the battery in units of eps: r_z is in those units and positive in the ground
        state for either sign of gamma.

    Raises
    ------
    ValueError
        Where the reference is not at least five standard errors above zero.
    """
    a = fit.amplitudes
    rows = np.array([k for k in range(len(a)) if k != reference_row])
    s_ref, e_ref = float(a[reference_row]), float(fit.stderr[reference_row])
    if abs(s_ref) < 5.0 * e_ref:
        raise ValueError(
            f"the reference (row {reference_row}) must stand at least 5 standard errors "
            f"above the noise, but is {s_ref / e_ref:.2g}: no polarisation can be given"
        )
    scale = equilibrium / s_ref
    return CalibratedRows(
        r_z=scale * a[rows],
        own_covariance=scale**2 * fit.covariance[np.ix_(rows, rows)],
        scale_error=e_ref / abs(s_ref),
    )
