"""From signed amplitudes to polarisation: the thermal reference sets the scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.series_fit import RegionFit

Array = NDArray[np.float64]


def polarisation_from_reference(
    fit: RegionFit, reference_row: int, equilibrium: float
) -> tuple[Array, Array]:
    """Return r_z = p_eq S/S_ref of the other rows and its covariance.

    Parameters
    ----------
    fit : RegionFit
        Rows and reference with the same receiver gain and read-out, amplitudes for each scan.
    reference_row : int
    equilibrium : float
        |p_eq| of the battery in units of eps: r_z is in those units and positive in the ground
        state for either sign of gamma.

    Returns
    -------
    r_z, covariance : ndarrays, shapes (rows - 1,), (rows - 1, rows - 1)
        First-order propagation of the joint covariance, the reference's noise and the shared
        shape included (they correlate all rows).

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
            f"the thermal reference (row {reference_row}) must stand at least 5 standard errors "
            f"above the noise, but is {s_ref / e_ref:.2g}: no polarisation can be given"
        )
    jacobian = np.zeros((len(rows), len(a)))
    jacobian[np.arange(len(rows)), rows] = 1.0 / s_ref
    jacobian[:, reference_row] = -a[rows] / s_ref**2
    covariance = equilibrium**2 * jacobian @ fit.covariance @ jacobian.T
    return equilibrium * a[rows] / s_ref, (covariance + covariance.T) / 2.0
