"""Transverse polarisation from FIDs without a read-out pulse, on the phase of their reference."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.calibration import ReferenceFactor, polarisation_from_reference
from nmrqb.analysis.region_fit import RegionFit
from nmrqb.analysis.series_fit import fit_series
from nmrqb.errors import InputError
from nmrqb.signals.series import Axis, Series

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransverseRows:
    """r_x + i r_y of rows, shape (rows,), units of eps, energy label, and each part's error.

    x is the direction that the reference's read-out pulse turns its z to: the receiver's phase is
    that of the reference.
    """

    r: NDArray[np.complex128]
    stderr: Array


def read_transverse(
    file: str,
    series: Series,
    z_line: RegionFit,
    rows: Axis,
    equilibrium: float,
    factor: ReferenceFactor,
) -> TransverseRows:
    """Return the transverse polarisation of a series recorded without read-out pulses.

    Every row enters twice, as it is and with the receiver turned by -90 degrees, so that one fit
    with real amplitudes gives both quadratures; its shape is then that of complex amplitudes, and
    its phase that of the reference.

    Parameters
    ----------
    file : str
        For messages.
    series : Series
        With its own thermal reference, read with the usual pulse and the same dead time.
    z_line : RegionFit
        The line of the z read-out: region and quality of the shape.
    rows : Axis
        Of the z read-out, without its reference.
    equilibrium : float
        |p_eq| of the battery.
    factor : ReferenceFactor
        How the reference was recorded.

    Raises
    ------
    InputError
        Where it has no reference or other rows than the z read-out.
    """
    reference = series.reference_row
    if reference is None:
        raise InputError(
            "must hold a thermal reference of its own: it ties the receiver's phase to x",
            file=file,
            key="--transverse",
        )
    keep = np.arange(series.rows) != reference
    values = series.axis.values[keep]
    if len(values) != len(rows.values) or not np.allclose(values, rows.values, rtol=1e-6):
        raise InputError(
            f"must have the rows of the z read-out ({rows.name}: {len(rows.values)} values), but "
            f"has {series.axis.name} with {len(values)} values or others",
            file=file,
            key="--transverse",
        )
    order = np.concatenate([[reference], np.flatnonzero(keep), np.flatnonzero(keep)])
    turn = np.where(np.arange(len(order)) > len(values), -1j, 1.0)
    doubled = replace(
        series,
        fids=series.fids[order] * turn[:, None],
        scans=series.scans[order],
        axis=replace(series.axis, values=series.axis.values[order]),
        row_times_s=None,
        unphased_rows=(),
        reference_row=0,
    )
    try:
        line = fit_series(doubled, [z_line.region_ppm]).regions[0]
        # the other quadrature of each row is no misfit of the shape
        line = replace(line, reduced_chi2=z_line.reduced_chi2)
        found = polarisation_from_reference(line, 0, equilibrium, factor)
    except ValueError as error:
        raise InputError(str(error), file=file, key="--transverse") from None
    x, y = np.split(found.r_z, 2)
    r = x + 1j * y
    own = np.sqrt(np.diag(found.own_covariance))[: len(values)]
    # the noise of this reference scales r and turns its phase by as much
    return TransverseRows(r=r, stderr=np.hypot(own, found.scale_error * np.abs(r)))
