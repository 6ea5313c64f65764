"""From one fitted line to what the battery held: calibrated curve, budget, ergotropy, times."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.budget import ErrorBudget
from nmrqb.analysis.calibration import ReferenceFactor, polarisation_from_reference
from nmrqb.analysis.curve_fit import CurveFit
from nmrqb.analysis.curves import fit_charging
from nmrqb.analysis.measured_times import MeasuredTimes, measured_times
from nmrqb.analysis.quantities import BatteryQuantities, battery_quantities
from nmrqb.analysis.series_fit import RegionFit
from nmrqb.battery.charging import ChargingCurve
from nmrqb.signals.series import Series
from nmrqb.spins.register import SpinRegister
from nmrqb.studies.transverse import TransverseRows, read_transverse

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingResult:
    """A calibrated charging measurement.

    Attributes
    ----------
    curve : ChargingCurve
    budget : ErrorBudget
        Of its polarisations, source by source.
    quantities : BatteryQuantities
        Energy, ergotropy and its parts, row by row.
    fit : CurveFit or None
        One exponential; None with `reason`.
    taus : MeasuredTimes or None
        The three charging times; None where no curve could be fitted.
    """

    curve: ChargingCurve
    budget: ErrorBudget
    quantities: BatteryQuantities
    fit: CurveFit | None
    taus: MeasuredTimes | None
    reason: str | None = None


def charging_of_line(
    line: RegionFit,
    series: Series,
    register: SpinRegister,
    factor: ReferenceFactor,
    times_s: Array,
    *,
    cycles: NDArray[np.int64] | None = None,
    transverse: tuple[str, Series] | None = None,
) -> ChargingResult:
    """Return what one line of a series with a reference row says of the battery.

    Parameters
    ----------
    line : RegionFit
    series : Series
    register : SpinRegister
    factor : ReferenceFactor
        How the reference was recorded.
    times_s : ndarray, shape (rows - 1,)
    cycles : ndarray of int, shape (rows - 1,), optional
    transverse : tuple (name, Series), optional
        The same rows without a read-out pulse.

    Raises
    ------
    ValueError
        Where the reference does not stand above the noise.
    """
    row = series.reference_row
    assert row is not None
    calibrated = polarisation_from_reference(line, row, register.equilibrium_ratio, factor)
    own, scale_error = calibrated.own_covariance, calibrated.scale_error
    across: TransverseRows | None = None
    if transverse is not None:
        name, other = transverse
        keep = np.arange(series.rows) != row
        rows = replace(series.axis, values=series.axis.values[keep])
        across = read_transverse(name, other, line, rows, register.equilibrium_ratio, factor)
    quantities = battery_quantities(
        times_s,
        calibrated.r_z,
        np.sqrt(np.diag(own)),
        scale_error,
        batteries=register.batteries,
        transverse=None if across is None else across.r,
        transverse_stderr=None if across is None else across.stderr,
    )
    curve = ChargingCurve.from_magnetisation(
        times=times_s,
        r_z=calibrated.r_z,
        covariance=calibrated.covariance,
        cycles=cycles,
        start="thermal",
        provenance=f"fit of {series.provenance}",
    )
    curve = quantities.with_ergotropy(replace(curve, scale_error=scale_error))
    fit, taus, reason = None, None, None
    try:
        fit = fit_charging(curve.times, curve.energy, own, scale_error)
        # a fixed seed: the same data give the same errors
        taus = measured_times(curve.times, curve.energy, own, fit, np.random.default_rng(0))
    except ValueError as error:
        reason = str(error)
    return ChargingResult(
        curve=curve,
        budget=calibrated.budget,
        quantities=quantities,
        fit=fit,
        taus=taus,
        reason=reason,
    )
