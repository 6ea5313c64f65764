"""From one fitted line to what the battery held: calibrated curve, budget, ergotropy, times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.budget import ErrorBudget
from nmrqb.analysis.calibration import ReferenceFactor, polarisation_from_reference
from nmrqb.analysis.curve_fit import CurveFit
from nmrqb.analysis.manifolds import ManifoldFit, fit_manifolds
from nmrqb.analysis.measured_times import MeasuredTimes, measured_times
from nmrqb.analysis.quantities import BatteryQuantities, battery_quantities
from nmrqb.analysis.region_fit import RegionFit
from nmrqb.battery.charging import ChargingCurve
from nmrqb.errors import InputError
from nmrqb.signals.series import Series
from nmrqb.spins.register import SpinRegister
from nmrqb.studies.transverse import TransverseRows, read_transverse

Array = NDArray[np.float64]
EnergyFitter = Callable[[ChargingCurve, Array, float], CurveFit]


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
        The curve that was asked for; None with `reason`.
    taus : MeasuredTimes or None
        The three charging times; None where no curve could be fitted.
    manifolds : ManifoldFit or None
        Of an undecoupled read-out.
    """

    curve: ChargingCurve
    budget: ErrorBudget
    quantities: BatteryQuantities
    fit: CurveFit | None
    taus: MeasuredTimes | None
    reason: str | None = None
    manifolds: ManifoldFit | None = None

    def words(self) -> list[str]:
        """Return what the battery held, one line each."""
        found = self.quantities.words()
        if self.taus is not None:
            others = (n for n in self.taus.tau if n != "fit")
            found += [f"tau [{name}] = {self.taus.tau[name]}" for name in others]
        if self.manifolds is not None:
            found += self.manifolds.words()
        return found

    def to_result(self) -> dict[str, Any]:
        """Return what result.json says beside the fit of the curve."""
        return {
            "curve": self.curve,
            "error_budget": self.budget.to_result(),
            "quantities": self.quantities.to_result(),
            "charging_times": None if self.taus is None else self.taus.to_result(),
            "manifolds": None if self.manifolds is None else self.manifolds.to_result(),
        }


def fit_multiplets(
    file: str,
    series: Series,
    regions_ppm: Sequence[tuple[float, float]],
    register: SpinRegister,
    factor: ReferenceFactor,
) -> tuple[ManifoldFit, ...]:
    """Return the undecoupled multiplet of the battery in each region.

    Raises
    ------
    InputError
        Where the battery is no central spin, no region is said, or nothing can be fitted.
    """
    if register.center.role != "battery":
        raise InputError(
            "needs a battery at the centre of the star: a satellite has only the doublet of its "
            "one charger",
            file=file,
            key="--undecoupled",
        )
    regions = tuple(regions_ppm) or series.regions_ppm
    if not regions:
        raise InputError(
            "is needed for an undecoupled multiplet: lines are not told from one another by size",
            file=file,
            key="--region",
        )
    try:
        return tuple(
            fit_manifolds(
                series,
                region,
                satellites=register.satellites,
                coupling_hz=register.coupling_hz.value,
                gamma_sign=register.battery.nucleus.sign,
                equilibrium=register.equilibrium_ratio * factor.value,
            )
            for region in regions
        )
    except ValueError as error:
        raise InputError(str(error), file=file, key="--undecoupled") from None


def charging_of_line(
    line: RegionFit,
    series: Series,
    register: SpinRegister,
    factor: ReferenceFactor,
    times_s: Array,
    *,
    fit_energies: EnergyFitter,
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
    fit_energies : callable (ChargingCurve, own covariance, scale error) -> CurveFit
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
        fit = fit_energies(curve, own, scale_error)
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
