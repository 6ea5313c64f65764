"""Fit a measured data set: read, shared line shapes, a curve for each region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.buildup import BuildUpFit
from nmrqb.analysis.curve_fit import CurveFit, FittedParameter
from nmrqb.analysis.manifolds import ManifoldFit
from nmrqb.analysis.region_fit import RegionFit
from nmrqb.analysis.series_fit import fit_series
from nmrqb.battery.charging_time import DEFINITIONS
from nmrqb.errors import InputError, one_line
from nmrqb.files.toml import read_register
from nmrqb.files.vendors import read_series
from nmrqb.signals.series import Series
from nmrqb.studies.charging import ChargingResult, charging_of_line, fit_multiplets
from nmrqb.studies.fit_models import MODELS, FitModel, Model
from nmrqb.studies.into_register import RegisterUpdate
from nmrqb.studies.line_options import LineOptions
from nmrqb.studies.numbers import in_words
from nmrqb.studies.reference import factor_of, read_conditions, with_reference


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionResult:
    """One region: its line shape, its curve fit, and for charging what the battery holds."""

    line: RegionFit
    curve: CurveFit | None
    reason: str | None
    charging: ChargingResult | None = None

    def parameters(self, model: Model) -> dict[str, FittedParameter]:
        """Return the fitted numbers: those of the lines, or of the curve."""
        if model == "lines":
            return self.line.numbers
        return self.curve.parameters if self.curve is not None else {}

    def main(self, model: Model) -> str:
        """Return the parameter that the model is about: of the lines J where there is one."""
        return "J" if model == "lines" and "J" in self.line.numbers else MODELS[model].main

    def is_identifiable(self, model: Model) -> bool:
        """Return whether the number that the model is about has a value."""
        if self.reason is not None:
            return False
        found = self.parameters(model).get(self.main(model))
        return found is not None and found.value is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """What a data set says.

    Attributes
    ----------
    dataset : str
    model : str
    series : Series
    regions : tuple of RegionResult
    into : RegisterUpdate or None
        What goes into a register, where that was asked for.
    """

    dataset: str
    model: Model
    series: Series
    regions: tuple[RegionResult, ...]
    into: RegisterUpdate | None = None

    @property
    def fitted_rows(self) -> NDArray[np.bool_]:
        """True for the rows that a curve is fitted to, shape (rows,)."""
        rows = np.ones(self.series.rows, bool)
        rows[list(self.series.unphased_rows)] = False
        if self.series.reference_row is not None:
            rows[self.series.reference_row] = False
        return rows

    @property
    def status(self) -> str:
        """Return "no" where no region is identifiable, or nothing could go into the register."""
        if self.into is not None and self.into.reason is not None:
            return "no"
        return "ok" if any(r.is_identifiable(self.model) for r in self.regions) else "no"

    def to_result(self) -> dict[str, Any]:
        """Return the object of result.json."""
        series = self.series
        table: dict[str, Any] = {
            "schema": "nmrqb/fit/1",
            "status": self.status,
            "dataset": self.dataset,
            "model": self.model,
            "nucleus": series.nucleus,
            "axis": {
                "name": series.axis.name,
                "unit": series.axis.unit,
                "values": series.axis.values,
                "source": series.axis.source,
            },
            "scans": series.scans,
            "results": [self._region(r) for r in self.regions],
            "warnings": list(series.warnings),
        }
        if series.unphased_rows:
            table["rows_not_fitted"] = list(series.unphased_rows)
        if self.into is not None:
            table["into"] = self.into.to_result()
        return table

    def _region(self, result: RegionResult) -> dict[str, Any]:
        line, curve = result.line, result.curve
        warnings = [*(curve.warnings if curve else ()), *line.warnings]
        parameters = _table(result.parameters(self.model))
        chi2 = curve.reduced_chi2 if curve else None
        table: dict[str, Any] = {
            "region_ppm": list(line.region_ppm),
            "model": self.model,
            "parameters": parameters,
            "reduced_chi2": line.reduced_chi2 if self.model == "lines" else chi2,
            "identifiable": result.is_identifiable(self.model),
            "warnings": warnings,
            "reason": result.reason,
            "lines": len(line.shapes),
            "shapes": [str(s) for s in line.shapes],
            "line_parameters": _table(line.numbers),
            "shift_ppm": line.shift_ppm[line.strongest],
            "line_reduced_chi2": line.reduced_chi2,
            "residuals_white_p_value": line.whiteness_p_value,
            "drift": [asdict(d) for d in line.drift],
            "amplitudes": line.amplitudes,
            "amplitudes_stderr": line.stderr,
        }
        if line.rows is not None:
            table["row_shift_hz"] = line.rows.shift_hz
            table["row_phase_deg"] = np.degrees(line.rows.phase_rad)
            table["row_broadening_hz"] = line.rows.broadening_per_s / np.pi
        if line.alternatives:
            table["alternatives"] = line.alternatives
        if isinstance(curve, BuildUpFit):
            table["comparison"] = curve.comparison
        if self.model == "charging":
            table["definition"] = "fit"
            table["definition_text"] = DEFINITIONS["fit"]
            if result.charging is not None:
                table |= result.charging.to_result()
        return table

    def __str__(self) -> str:
        lines = [f"fit of {one_line(self.dataset)} ({self.model})", f"{self.series}"]
        for k, result in enumerate(self.regions, start=1):
            low, high = result.line.region_ppm
            place = f"  {k:2d}  {low:8.3f} to {high:8.3f} ppm  "
            main, numbers = result.main(self.model), result.parameters(self.model)
            if main not in numbers or result.reason is not None:
                lines.append(f"{place}{main} withheld: {result.reason}")
                if result.charging is not None:
                    lines += [f"      {w}" for w in result.charging.words()]
                continue
            p = numbers[main]
            also = [
                f"; {name} = {in_words(numbers[name])}"
                for name in MODELS[self.model].also
                if name in numbers and name != main and p.value is not None
            ]
            lines.append(f"{place}{main} = {in_words(p, interval=True)}{''.join(also)}")
            told = [*(result.curve.warnings if result.curve else ()), *result.line.warnings]
            lines += [f"      warning: {w}" for w in told]
            if result.charging is not None:
                lines += [f"      {w}" for w in result.charging.words()]
        if self.into is not None:
            lines.append(f"  {self.into}")
        return "\n".join(lines)


def fit_dataset(
    dataset: str | Path,
    model: Model,
    *,
    regions_ppm: Sequence[tuple[float, float]] = (),
    axis: str | None = None,
    rows: str | None = None,
    register: str | None = None,
    reference: str | None = None,
    conditions: str | None = None,
    transverse: str | None = None,
    undecoupled: bool = False,
    lines: LineOptions | None = None,
) -> FitResult:
    """Fit a data set region by region.

    Parameters
    ----------
    dataset : str or Path
    model : str
        A key of ``MODELS``.
    regions_ppm : sequence of (low, high)
        Without any, the vendor's integral regions, else detected lines.
    axis : str, optional
        File with one axis value for each row, or a rule such as ``L[20]*D[20]`` for numbered
        experiments.
    rows : str, optional
        ``K`` or ``K-L``: the row of each of several numbered experiments.
    register : str, optional
        Needed for "charging": the register whose equilibrium sets the scale.
    reference : str, optional
        Thermal reference where the data set does not say: ``row:K``, or a data set of its own.
    conditions : str, optional
        File that says how the reference was recorded, where that differs from the rows.
    transverse : str, optional
        Data set of the same rows without read-out pulse, for r_x and r_y.
    undecoupled : bool
        The chargers were not decoupled: one line for each of their manifolds.
    lines : LineOptions, optional
        Profile, multiplet and drift of the lines.

    Raises
    ------
    InputError
        Where data, axis, regions or reference cannot be used.
    """
    if model != "charging":
        for key, given in (
            ("--register", register),
            ("--reference", reference),
            ("--reference-conditions", conditions),
            ("--transverse", transverse),
            ("--undecoupled", "yes" if undecoupled else None),
        ):
            if given is not None:
                raise InputError("belongs to --model charging", key=key, value=given)
    series = read_series(dataset, axis=axis, rows=rows)
    file = str(dataset)
    shown = lines or LineOptions()
    if model == "charging":
        if register is None:
            raise InputError("is needed by --model charging", key="--register")
        return _fit_charging(
            file,
            series,
            regions_ppm,
            register,
            reference,
            conditions,
            transverse,
            undecoupled,
            shown,
        )
    if model == "lines":
        found = tuple(_only_lines(line) for line in _lines(file, series, regions_ppm, shown))
        return FitResult(dataset=file, model=model, series=series, regions=found)
    if series.axis.unit != "s":
        raise InputError(
            f"the array axis must be a time for this model, but is {series.axis.name} "
            f"(from {series.axis.source})",
            file=file,
            key="axis",
        )
    result = FitResult(dataset=file, model=model, series=series, regions=())
    fitted = tuple(
        _fit_line(MODELS[model], series, line, result.fitted_rows)
        for line in _lines(file, series, regions_ppm, shown)
    )
    return replace(result, regions=fitted)


def _only_lines(line: RegionFit) -> RegionResult:
    reason = None if line.is_visible else "no line stands out of the noise"
    return RegionResult(line=line, curve=None, reason=reason)


def _table(numbers: dict[str, FittedParameter]) -> dict[str, Any]:
    return {name: asdict(p) for name, p in numbers.items()}


def _fit_line(
    model: FitModel, series: Series, line: RegionFit, keep: NDArray[np.bool_]
) -> RegionResult:
    assert model.fit is not None
    matrix = line.covariance[np.ix_(keep, keep)]
    try:
        curve = model.fit(series.axis.values[keep], line.amplitudes[keep], matrix)
        if model.positive is not None and series.reference_row is None:
            level = curve.parameters[model.positive].value
            if level is not None and level < 0.0:
                # the phase is known up to pi, and here the curve and not a row knows the sign
                line = replace(line, amplitudes=-line.amplitudes, intensity=-line.intensity)
                curve = model.fit(series.axis.values[keep], line.amplitudes[keep], matrix)
    except ValueError as error:
        return RegionResult(line=line, curve=None, reason=str(error))
    return RegionResult(line=line, curve=curve, reason=None)


def _fit_charging(
    file: str,
    series: Series,
    regions_ppm: Sequence[tuple[float, float]],
    register_name: str,
    reference: str | None,
    conditions_file: str | None,
    transverse: str | None,
    undecoupled: bool,
    shown: LineOptions,
) -> FitResult:
    if series.unphased_rows:
        raise InputError(
            "the experiments were not all recorded at one carrier: against a reference their "
            "phases must be known",
            file=file,
            key="SFO1",
        )
    is_path = register_name.endswith(".toml")
    register = read_register(Path(register_name) if is_path else register_name)
    if register.battery.isotope != series.nucleus:
        raise InputError(
            f"the data show {series.nucleus}, but the battery of register {register.name} is "
            f"{register.battery.isotope}",
            file=file,
            key="--register",
            value=register_name,
        )
    conditions = read_conditions(conditions_file)
    factor = factor_of(conditions, register, conditions_file)
    series = with_reference(file, series, reference, conditions)
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
    if undecoupled and transverse is not None:
        raise InputError("is not read from an undecoupled multiplet", key="--transverse")
    across = None if transverse is None else (transverse, read_series(transverse))
    results = []
    multiplets: Sequence[ManifoldFit | None]
    if undecoupled:
        multiplets = fit_multiplets(file, series, regions_ppm, register, factor)
        lines = tuple(m.line for m in multiplets)
    else:
        lines = _lines(file, series, regions_ppm, shown)
        multiplets = [None] * len(lines)
    for line, multiplet in zip(lines, multiplets, strict=True):
        try:
            found = charging_of_line(
                line, series, register, factor, times[keep], cycles=counted, transverse=across
            )
        except ValueError as error:
            results.append(RegionResult(line=line, curve=None, reason=str(error)))
            continue
        found = replace(found, manifolds=multiplet)
        results.append(
            RegionResult(line=line, curve=found.fit, reason=found.reason, charging=found)
        )
    return FitResult(dataset=file, model="charging", series=series, regions=tuple(results))


def _lines(
    file: str, series: Series, regions_ppm: Sequence[tuple[float, float]], shown: LineOptions
) -> tuple[RegionFit, ...]:
    try:
        return fit_series(
            series,
            regions_ppm or None,
            shape=shown.profile,
            multiplet=shown.multiplet,
            drift=shown.drift,
        ).regions
    except ValueError as error:
        raise InputError(str(error), file=file) from None


def parse_region(text: str) -> tuple[float, float]:
    """Return the region of a ``LOW:HIGH`` option, ppm."""
    low, _, high = text.partition(":")
    try:
        ends = (float(low), float(high))
    except ValueError:
        ends = (np.nan, np.nan)
    if not (np.isfinite(ends).all() and ends[0] < ends[1]):
        raise InputError(
            "must be LOW:HIGH in ppm with LOW below HIGH, such as --region=-63.1:-62.4, "
            f"but is {text!r}",
            key="--region",
            value=text,
        )
    return ends
