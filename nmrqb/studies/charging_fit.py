"""Fit charging: amplitudes on the scale of the thermal reference, then a curve or a protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.calibration import CalibratedRows, polarisation_from_reference
from nmrqb.analysis.curve_fit import CurveFit
from nmrqb.analysis.intervals import Intervals
from nmrqb.analysis.manifolds import ManifoldFit
from nmrqb.analysis.model_choice import ModelComparison
from nmrqb.analysis.region_fit import RegionFit
from nmrqb.battery.charging import ChargingCurve
from nmrqb.errors import InputError
from nmrqb.files.toml import read_register
from nmrqb.files.vendors import read_series
from nmrqb.signals.series import Series
from nmrqb.studies.charging import charging_of_line, fit_multiplets
from nmrqb.studies.fit_models import FitModel, compare_curves
from nmrqb.studies.fit_result import RegionResult
from nmrqb.studies.long_time import TAUS, Engine
from nmrqb.studies.plan import Plan, curve_of, row_times
from nmrqb.studies.protocol_fit import ProtocolFit, fit_protocol, free_parameters
from nmrqb.studies.reference import factor_of, read_conditions, with_reference

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fitted:
    curve: CurveFit
    alternatives: ModelComparison | None = None
    protocol: ProtocolFit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingOptions:
    """How a charging measurement is put on the scale of its reference.

    Attributes
    ----------
    reference : str or None
        ``row:K`` or a data set, where the data set does not say which row is the reference.
    conditions : str or None
        File that says how the reference was recorded, where that differs from the rows.
    transverse : str or None
        Data set of the same rows without read-out pulse.
    undecoupled : bool
        The chargers were not decoupled.
    """

    reference: str | None = None
    conditions: str | None = None
    transverse: str | None = None
    undecoupled: bool = False


def fit_energies(
    file: str,
    series: Series,
    kind: FitModel,
    register_name: str,
    options: ChargingOptions,
    intervals: Intervals,
    *,
    regions_ppm: Sequence[tuple[float, float]],
    lines_of: Callable[[Series], Sequence[RegionFit]],
) -> tuple[Series, tuple[RegionResult, ...]]:
    """Fit a curve to the energies of each region; return them with the series and its reference.

    Parameters
    ----------
    file : str
        For messages.
    series : Series
    kind : FitModel
    register_name : str
        The register whose equilibrium sets the scale.
    options : ChargingOptions
    intervals : Intervals
    regions_ppm : sequence of (low, high)
        Of undecoupled multiplets.
    lines_of : callable (series with its reference) -> lines

    Raises
    ------
    InputError
        Where register, reference or times cannot be used.
    """
    is_path = register_name.endswith(".toml")
    register = read_register(Path(register_name) if is_path else register_name)
    _check_nucleus(file, series, register.battery.isotope, register.name, "--register")
    conditions = read_conditions(options.conditions)
    factor = factor_of(conditions, register, options.conditions)
    series = with_reference(file, series, options.reference, conditions)
    row = series.reference_row
    assert row is not None
    times = series.row_times_s
    if times is None and series.axis.unit == "s":
        times = series.axis.values
    if times is None:
        raise InputError(
            f"the axis is {series.axis.name} and the data set does not state the charging times",
            file=file,
            key="row_times_s",
        )
    keep = np.arange(series.rows) != row
    counted = series.axis.values[keep].round().astype(int) if series.axis.name == "cycles" else None
    if options.undecoupled and options.transverse is not None:
        raise InputError("is not read from an undecoupled multiplet", key="--transverse")
    across = None
    if options.transverse is not None:
        across = (options.transverse, read_series(options.transverse))

    def fit(measured: ChargingCurve, own: Array, scale_error: float) -> CurveFit:
        assert kind.energy_fit is not None
        cycles = {"cycles": measured.cycles} if kind.knows_cycles else {}
        found = kind.energy_fit(
            measured.times, measured.energy, own, scale_error, intervals=intervals, **cycles
        )
        levels = {
            n: replace(p, unit=measured.energy_unit)
            for n, p in found.parameters.items()
            if n in {"E_inf", "E_0"}
        }
        return replace(found, parameters=found.parameters | levels)

    multiplets: Sequence[ManifoldFit | None]
    if options.undecoupled:
        fitted = fit_multiplets(file, series, regions_ppm, register, factor)
        multiplets, lines = fitted, tuple(m.line for m in fitted)
    else:
        lines = tuple(lines_of(series))
        multiplets = [None] * len(lines)
    results = []
    for line, multiplet in zip(lines, multiplets, strict=True):
        try:
            found = charging_of_line(
                line,
                series,
                register,
                factor,
                times[keep],
                fit_energies=fit,
                cycles=counted,
                transverse=across,
            )
        except ValueError as error:
            results.append(RegionResult(line=line, curve=None, reason=str(error)))
            continue
        curve = found.curve
        own = (curve.covariance if curve.covariance is not None else np.zeros((1, 1))) - (
            (curve.scale_error or 0.0) ** 2 * np.outer(curve.energy, curve.energy)
        )
        results.append(
            RegionResult(
                line=line,
                curve=found.fit,
                reason=found.reason,
                charging=replace(found, manifolds=multiplet),
                energies=curve,
                alternatives=None
                if found.fit is None
                else compare_curves("charging", curve.times, curve.energy, own),
                reference_row=row,
            )
        )
    return series, tuple(results)


def fit_plan(
    file: str,
    series: Series,
    lines: Sequence[RegionFit],
    plan: Plan,
    engine: Engine,
    free: Sequence[str],
    reference: str | None,
    intervals: Intervals,
) -> tuple[RegionResult, ...]:
    """Fit parameters of a protocol to the energies of each region.

    The rows of the series find their rows of the plan by the value of the axis.

    Parameters
    ----------
    file, series, lines, reference, intervals
        As in ``fit_energies``.
    plan : Plan
    engine : {"map", "simulated"}
    free : sequence of str
        Parameters, see ``fit_protocol``.

    Raises
    ------
    InputError
        Where the series is not one of the plan, or a parameter has no meaning for it.
    """
    _check_nucleus(file, series, plan.observed.isotope, plan.register.name, "--protocol")
    series = with_reference(file, series, reference, read_conditions(None))
    row = series.reference_row
    assert row is not None
    measured = np.flatnonzero(np.arange(series.rows) != row)
    order = measured[_order_of_plan(file, series, plan, measured)]
    times = row_times(plan)

    def curve(calibrated: CalibratedRows, rows: Rows) -> ChargingCurve:
        at = [int(np.flatnonzero(rows == k)[0]) for k in order]
        return curve_of(
            plan,
            calibrated.r_z[at],
            times,
            f"fit of {series.provenance}",
            calibrated.covariance[np.ix_(at, at)],
        )

    def fit(found: ChargingCurve, calibrated: CalibratedRows, rows: Rows) -> _Fitted:
        at = [int(np.flatnonzero(rows == k)[0]) for k in order]
        result = fit_protocol(
            plan,
            calibrated.r_z[at],
            calibrated.own_covariance[np.ix_(at, at)],
            calibrated.scale_error,
            free=free,
            engine=engine,
            intervals=intervals,
        )
        by_time = np.argsort(found.times, kind="stable")
        x, y = found.times[by_time], curve_of(plan, result.r_z, times, "fit").energy[by_time]
        shown = replace(result.fit, curve=lambda t: np.interp(t, x, y))
        return _Fitted(curve=shown, protocol=result)

    return _by_region(series, lines, row, plan.reference_polarisation, curve, fit)


def protocol_model(engine: Engine, free: Sequence[str]) -> FitModel:
    """Return how parameters of a protocol are shown: the first is the main one."""
    names = free_parameters(engine, free)
    return FitModel(main=names[0], also=(*names[1:], *TAUS, "E_inf"), engine=engine)


def _by_region(
    series: Series,
    lines: Sequence[RegionFit],
    row: int,
    equilibrium: float,
    curve: Callable[[CalibratedRows, Rows], ChargingCurve],
    fit: Callable[[ChargingCurve, CalibratedRows, Rows], _Fitted],
) -> tuple[RegionResult, ...]:
    """Calibrate and fit each region; what cannot be is a reason of that region alone."""
    rows = np.flatnonzero(np.arange(series.rows) != row)
    results = []
    for line in lines:
        try:
            calibrated = polarisation_from_reference(line, row, equilibrium)
            measured = curve(calibrated, rows)
            found = fit(measured, calibrated, rows)
        except ValueError as error:
            results.append(RegionResult(line=line, curve=None, reason=str(error)))
            continue
        results.append(
            RegionResult(
                line=line,
                curve=found.curve,
                reason=None,
                energies=measured,
                alternatives=found.alternatives,
                protocol=found.protocol,
                reference_row=row,
            )
        )
    return tuple(results)


def _check_nucleus(file: str, series: Series, isotope: str, register: str, key: str) -> None:
    if isotope != series.nucleus:
        raise InputError(
            f"the data show {series.nucleus}, but the battery of register {register} is {isotope}"
            if key == "--register"
            else f"the data show {series.nucleus}, but this protocol reads {isotope}",
            file=file,
            key=key,
            value=register,
        )


def _order_of_plan(file: str, series: Series, plan: Plan, measured: Rows) -> Rows:
    """Return which of the measured rows is each row of the plan, by the value of the axis."""
    sweep = plan.protocol.sweep
    wanted = np.array(sweep.values if sweep is not None else [plan.protocol.cycles], float)
    values = series.axis.values[measured]
    order = np.argsort(values, kind="stable")
    if len(values) == len(wanted):
        order = order[np.argsort(np.argsort(wanted, kind="stable"))]
    if len(values) != len(wanted) or not np.allclose(values[order], wanted, rtol=1e-6, atol=1e-12):
        listed, planned = (", ".join(f"{v:.6g}" for v in list(x)[:12]) for x in (values, wanted))
        raise InputError(
            f"the rows ({series.axis.name}: {listed}) are not those of the protocol ({planned})",
            file=file,
            key="--protocol",
            value=plan.protocol.name,
        )
    return np.asarray(order, np.int64)
