"""Fit charging: amplitudes on the scale of the thermal reference, then a curve or a protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.calibration import CalibratedRows, polarisation_from_reference
from nmrqb.analysis.curve_fit import CurveFit
from nmrqb.analysis.intervals import LINEAR, Intervals
from nmrqb.analysis.model_choice import ModelComparison, compare_models
from nmrqb.analysis.series_fit import RegionFit
from nmrqb.battery.charging import ChargingCurve
from nmrqb.errors import InputError
from nmrqb.files.toml import read_register
from nmrqb.signals.series import Series
from nmrqb.studies.fit_models import CURVES, NESTED, FitModel
from nmrqb.studies.fit_result import RegionResult
from nmrqb.studies.plan import Plan, curve_of, row_times
from nmrqb.studies.protocol_fit import Engine, ProtocolFit, fit_protocol, free_parameters

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fitted:
    curve: CurveFit
    alternatives: ModelComparison | None = None
    protocol: ProtocolFit | None = None


def fit_energies(
    file: str,
    series: Series,
    lines: Sequence[RegionFit],
    kind: FitModel,
    register_name: str,
    reference: str | None,
    intervals: Intervals,
) -> tuple[RegionResult, ...]:
    """Fit a curve to the energies of each region.

    Parameters
    ----------
    file : str
        For messages.
    series : Series
    lines : sequence of RegionFit
    kind : FitModel
    register_name : str
        The register whose equilibrium sets the scale.
    reference : str or None
        ``row:K``, the row of the thermal reference, where the data set does not say.
    intervals : Intervals

    Raises
    ------
    InputError
        Where register, reference or times cannot be used.
    """
    is_path = register_name.endswith(".toml")
    register = read_register(Path(register_name) if is_path else register_name)
    _check_nucleus(file, series, register.battery.isotope, register.name, "--register")
    times = series.row_times_s
    if times is None and series.axis.unit == "s":
        times = series.axis.values
    if times is None:
        raise InputError(
            f"the axis is {series.axis.name} and the data set does not state the charging times",
            file=file,
            key="row_times_s",
        )
    counts = series.axis.values.round().astype(int) if series.axis.name == "cycles" else None

    def curve(calibrated: CalibratedRows, rows: Rows) -> ChargingCurve:
        return ChargingCurve.from_magnetisation(
            times=times[rows],
            r_z=calibrated.r_z,
            covariance=calibrated.covariance,
            cycles=None if counts is None else counts[rows],
            start="thermal",
            provenance=f"fit of {series.provenance}",
        )

    def fit(measured: ChargingCurve, calibrated: CalibratedRows, rows: Rows) -> _Fitted:
        del rows
        assert kind.energy_fit is not None
        points = (measured.times, measured.energy, calibrated.own_covariance)
        cycles = {"cycles": measured.cycles} if kind.knows_cycles else {}
        found = kind.energy_fit(*points, calibrated.scale_error, intervals=intervals, **cycles)
        levels = {
            n: replace(p, unit=measured.energy_unit)
            for n, p in found.parameters.items()
            if n in {"E_inf", "E_0"}
        }
        found = replace(found, parameters=found.parameters | levels)
        return _Fitted(curve=found, alternatives=_alternatives(*points))

    row = reference_row(file, series, reference)
    return _by_region(series, lines, row, register.equilibrium_ratio, curve, fit)


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
    row = reference_row(file, series, reference)
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
    return FitModel(main=names[0], also=names[1:], engine=engine)


def reference_row(file: str, series: Series, reference: str | None) -> int:
    """Return the row of the thermal reference.

    Raises
    ------
    InputError
        Where neither the data set nor ``row:K`` says it.
    """
    if reference is None:
        if series.reference_row is None:
            raise InputError(
                "the data set does not say which row is the thermal reference: say row:K",
                file=file,
                key="--reference",
            )
        return series.reference_row
    prefix, _, digits = reference.partition(":")
    is_number = digits.isascii() and digits.isdigit()
    if prefix != "row" or not is_number or int(digits) >= series.rows:
        raise InputError(
            f"must be row:K with K from 0 to {series.rows - 1}, but is {reference!r}",
            file=file,
            key="--reference",
            value=reference,
        )
    return int(digits)


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
                charging=measured,
                alternatives=found.alternatives,
                protocol=found.protocol,
                reference_row=row,
            )
        )
    return tuple(results)


def _alternatives(times: Array, energy: Array, covariance: Array) -> ModelComparison | None:
    """Compare the curves that need no protocol, where there are enough points for all."""
    fits = {}
    for name, kind in CURVES["charging"].items():
        if kind.energy_fit is None:
            continue
        try:
            fits[name] = kind.energy_fit(times, energy, covariance, intervals=LINEAR)
        except ValueError:
            continue
    return compare_models(fits, NESTED) if len(fits) > 1 else None


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
