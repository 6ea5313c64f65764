"""Fit a measured data set: read, shared line shapes, a curve for each region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from nmrqb.analysis.calibration import polarisation_from_reference
from nmrqb.analysis.curve_fit import CurveFit
from nmrqb.analysis.curves import fit_charging, fit_recovery, recovery
from nmrqb.analysis.series_fit import RegionFit, fit_series
from nmrqb.battery.charging import ChargingCurve
from nmrqb.battery.charging_time import DEFINITIONS, exponential_approach
from nmrqb.errors import InputError
from nmrqb.files.toml import read_register
from nmrqb.files.vendors import read_series
from nmrqb.report import figures, html
from nmrqb.signals.series import Series

Model = Literal["recovery", "charging"]
MODELS: tuple[Model, ...] = ("recovery", "charging")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionResult:
    """One region: its line shape, its curve fit, and for charging its calibrated curve."""

    line: RegionFit
    curve: CurveFit | None
    reason: str | None
    charging: ChargingCurve | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """What a data set says.

    Attributes
    ----------
    dataset : str
    model : str
    series : Series
    regions : tuple of RegionResult
    """

    dataset: str
    model: Model
    series: Series
    regions: tuple[RegionResult, ...]

    @property
    def status(self) -> str:
        """Return "no" where no region's curve is identifiable."""
        some = any(r.curve is not None and r.curve.is_identifiable for r in self.regions)
        return "ok" if some else "no"

    def to_result(self) -> dict[str, Any]:
        """Return the object of result.json."""
        series = self.series
        return {
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
            "results": [self._region(r) for r in self.regions],
            "warnings": list(series.warnings),
        }

    def _region(self, result: RegionResult) -> dict[str, Any]:
        line, curve = result.line, result.curve
        warnings = list(curve.warnings) if curve else []
        if line.reduced_chi2 > 2.0:
            warnings.append(
                f"the line shape leaves residuals {np.sqrt(line.reduced_chi2):.3g} times the "
                "noise (shape common to all rows: amplitudes stay proportional)"
            )
        parameters: dict[str, Any] = {}
        if curve is not None:
            for name, p in curve.parameters.items():
                parameters[name] = {
                    "value": p.value,
                    "stderr": p.stderr,
                    "ci95": list(p.ci95),
                    "unit": p.unit,
                    "reason": p.reason,
                }
        table: dict[str, Any] = {
            "region_ppm": list(line.region_ppm),
            "model": self.model,
            "parameters": parameters,
            "reduced_chi2": curve.reduced_chi2 if curve else None,
            "identifiable": curve is not None and curve.is_identifiable,
            "warnings": warnings,
            "reason": result.reason,
            "lines": len(line.shift_ppm),
            "shift_ppm": line.shift_ppm[0],
            "line_reduced_chi2": line.reduced_chi2,
            "amplitudes": line.amplitudes,
            "amplitudes_stderr": line.stderr,
        }
        if self.model == "charging":
            table["definition"] = "fit"
            table["definition_text"] = DEFINITIONS["fit"]
            table["curve"] = result.charging
        return table

    def __str__(self) -> str:
        lines = [f"fit of {self.dataset} ({self.model})", f"{self.series}"]
        main = "T1" if self.model == "recovery" else "tau"
        for k, result in enumerate(self.regions, start=1):
            low, high = result.line.region_ppm
            place = f"  {k:2d}  {low:8.3f} to {high:8.3f} ppm  "
            if result.curve is None:
                lines.append(f"{place}{main} withheld: {result.reason}")
                continue
            p = result.curve.parameters[main]
            interval = ""
            if p.ci95[0] is not None and p.ci95[1] is not None:
                interval = f"  95 %: {p.ci95[0]:.4g} to {p.ci95[1]:.4g}"
            lines.append(f"{place}{main} = {p}{interval}")
        return "\n".join(lines)


def fit_dataset(
    dataset: str | Path,
    model: Model,
    *,
    regions_ppm: Sequence[tuple[float, float]] = (),
    axis: str | None = None,
    register: str | None = None,
    reference: str | None = None,
) -> FitResult:
    """Fit a data set region by region.

    Parameters
    ----------
    dataset : str or Path
    model : {"recovery", "charging"}
    regions_ppm : sequence of (low, high)
        Without any, the vendor's integral regions, else detected lines.
    axis : str, optional
        File with one axis value for each row.
    register : str, optional
        Needed for "charging": the register whose equilibrium sets the scale.
    reference : str, optional
        ``row:K``, the row of the thermal reference, where the data set does not say.

    Raises
    ------
    InputError
        Where data, axis, regions or reference cannot be used.
    """
    if model != "charging":
        for key, given in (("--register", register), ("--reference", reference)):
            if given is not None:
                raise InputError("belongs to --model charging", key=key, value=given)
    series = read_series(dataset, axis=axis)
    file = str(dataset)
    if model == "charging":
        if register is None:
            raise InputError("is needed by --model charging", key="--register")
        return _fit_charging(file, series, regions_ppm, register, reference)
    if series.axis.unit != "s":
        raise InputError(
            f"the array axis must be a time for this model, but is {series.axis.name} "
            f"(from {series.axis.source})",
            file=file,
            key="axis",
        )
    if series.reference_row is not None:
        keep = np.arange(series.rows) != series.reference_row
    else:
        keep = np.ones(series.rows, bool)
    results = []
    for line in _lines(file, series, regions_ppm):
        try:
            curve = fit_recovery(
                series.axis.values[keep],
                line.amplitudes[keep],
                line.covariance[np.ix_(keep, keep)],
            )
            results.append(RegionResult(line=line, curve=curve, reason=None))
        except ValueError as error:
            results.append(RegionResult(line=line, curve=None, reason=str(error)))
    return FitResult(dataset=file, model="recovery", series=series, regions=tuple(results))


def _fit_charging(
    file: str,
    series: Series,
    regions_ppm: Sequence[tuple[float, float]],
    register_name: str,
    reference: str | None,
) -> FitResult:
    is_path = register_name.endswith(".toml")
    register = read_register(Path(register_name) if is_path else register_name)
    row = _reference_row(file, series, reference)
    if register.battery.isotope != series.nucleus:
        raise InputError(
            f"the data show {series.nucleus}, but the battery of register {register.name} is "
            f"{register.battery.isotope}",
            file=file,
            key="--register",
            value=register_name,
        )
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
    results = []
    for line in _lines(file, series, regions_ppm):
        try:
            calibrated = polarisation_from_reference(line, row, register.equilibrium_ratio)
            curve = ChargingCurve.from_magnetisation(
                times=times[keep],
                r_z=calibrated.r_z,
                covariance=calibrated.covariance,
                cycles=counted,
                start="thermal",
                provenance=f"fit of {series.provenance}",
            )
            fit = fit_charging(
                curve.times, curve.energy, calibrated.own_covariance, calibrated.scale_error
            )
            results.append(RegionResult(line=line, curve=fit, reason=None, charging=curve))
        except ValueError as error:
            results.append(RegionResult(line=line, curve=None, reason=str(error)))
    return FitResult(dataset=file, model="charging", series=series, regions=tuple(results))


def _reference_row(file: str, series: Series, reference: str | None) -> int:
    if reference is None:
        if series.reference_row is None:
            raise InputError(
                "the data set does not say which row is the thermal reference: say row:K",
                file=file,
                key="--reference",
            )
        return series.reference_row
    prefix, _, digits = reference.partition(":")
    if (
        prefix != "row"
        or not digits.isascii()
        or not digits.isdigit()
        or (int(digits) >= series.rows)
    ):
        raise InputError(
            f"must be row:K with K from 0 to {series.rows - 1}, but is {reference!r}",
            file=file,
            key="--reference",
            value=reference,
        )
    return int(digits)


def _lines(
    file: str, series: Series, regions_ppm: Sequence[tuple[float, float]]
) -> tuple[RegionFit, ...]:
    try:
        return fit_series(series, regions_ppm or None).regions
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


def fit_report(result: FitResult) -> str:
    """Return report.html of a fit."""
    table = result.to_result()["results"]
    names = list(dict.fromkeys(name for r in table for name in r["parameters"]))
    rows = []
    for r in table:
        cells = [f"{r['region_ppm'][0]:.4g} to {r['region_ppm'][1]:.4g}"]
        cells += [_cell(r["parameters"].get(name)) for name in names]
        reasons = [p["reason"] for p in r["parameters"].values() if p["value"] is None]
        notes = dict.fromkeys([*filter(None, [r["reason"]]), *reasons, *r["warnings"]])
        rows.append([*cells, html.text("; ".join(notes))])
    units = {n: p["unit"] for r in table for n, p in r["parameters"].items()}
    heads = [f"{n} ({units[n]})" if units[n] else n for n in names]
    sections = [
        html.preformatted(result.series),
        "<h2>Numbers</h2>\n",
        html.paragraph("Each number with its standard error and its 95 % interval."),
        html.table(["region (ppm)", *(html.text(h) for h in heads), "note"], rows),
        "<h2>Curves</h2>\n",
        html.figure(
            _curves(result),
            "Signed amplitudes of the shared line shape (over the largest), with the fit where "
            "its parameters are identifiable.",
        ),
        "<h2>Spectra</h2>\n",
        html.figure(_spectra(result), "All rows with one common phase."),
    ]
    return html.page(f"nmrqb fit: {Path(result.dataset).name}", sections)


def _cell(p: dict[str, Any] | None) -> str:
    if p is None or p["value"] is None:
        return "withheld"
    spread = "" if p["stderr"] is None else f" &plusmn; {p['stderr']:.2g}"
    low, high = p["ci95"]
    interval = "" if low is None else f"<br>{low:.4g} to {high:.4g}"
    return f"{p['value']:.5g}{spread}{interval}"


def _curves(result: FitResult) -> Figure:
    count = len(result.regions)
    columns = min(3, count)
    lines = -(-count // columns)
    picture = Figure(figsize=(3.1 * columns, 2.3 * lines), layout="constrained")
    panels = picture.subplots(lines, columns, squeeze=False).ravel()
    for ax in panels[count:]:
        ax.axis("off")
    for ax, region in zip(panels, result.regions, strict=False):
        low, high = region.line.region_ppm
        ax.set_title(f"{low:.3g} to {high:.3g} ppm", fontsize=8)
        ax.axhline(0.0, color=figures.GREY, linewidth=0.5)
        ax.tick_params(labelsize=7)
        if region.charging is not None:
            x, y = region.charging.times, region.charging.energy
            error = region.charging.energy_stderr
            scale = 1.0
        else:
            x, y, error = result.series.axis.values, region.line.amplitudes, region.line.stderr
            scale = float(np.abs(y).max())
        bars = None if error is None else 1.96 * error / scale
        ax.errorbar(x, y / scale, yerr=bars, fmt="o", color=figures.BLACK, markersize=3)
        fit = region.curve
        if fit is not None and fit.is_identifiable:
            t = np.linspace(float(np.min(x)), float(np.max(x)), 200)
            values = {name: fit.value(name) for name in fit.parameters}
            fitted = (
                exponential_approach(t, values["E_inf"], values["E_0"], values["tau"])
                if "tau" in values
                else recovery(t, **values)
            )
            ax.plot(t, fitted / scale, color=figures.GREEN, linewidth=1.0)
        elif fit is not None:
            ax.annotate(
                "not identifiable",
                (0.5, 0.1),
                xycoords="axes fraction",
                fontsize=8,
                ha="center",
                color=figures.VERMILION,
            )
        ax.set_xlabel("time (s)", fontsize=7)
    return picture


def _spectra(result: FitResult) -> Figure:
    picture = Figure(figsize=(8.0, 6.0), layout="constrained")
    strongest = max(
        result.regions, key=lambda r: float(np.abs(r.line.amplitudes).max() / r.line.noise)
    )
    figures.draw_spectra(
        result.series,
        picture.add_subplot(),
        phase_rad=float(np.angle(strongest.line.intensity.sum())),
    )
    return picture
