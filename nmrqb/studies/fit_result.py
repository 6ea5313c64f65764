"""What a fit of a data set says, in words and in result.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.buildup import BuildUpFit
from nmrqb.analysis.curve_fit import CurveFit
from nmrqb.analysis.intervals import RANDOM, Intervals
from nmrqb.analysis.model_choice import ModelComparison
from nmrqb.analysis.series_fit import RegionFit
from nmrqb.battery.charging import ChargingCurve
from nmrqb.battery.charging_time import DEFINITIONS
from nmrqb.errors import one_line
from nmrqb.signals.series import Series
from nmrqb.studies.fit_models import FitModel, Model
from nmrqb.studies.into_register import RegisterUpdate
from nmrqb.studies.protocol_fit import ProtocolFit


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionResult:
    """One region: its line shape, its curve fit, and for charging its calibrated curve.

    Attributes
    ----------
    line : RegionFit
    curve : CurveFit or None
        None with `reason`.
    charging : ChargingCurve or None
    alternatives : ModelComparison or None
        The model's other curves beside one another, where it has any.
    protocol : ProtocolFit or None
        Where the curve is a protocol.
    reference_row : int or None
        The row that the others were calibrated on.
    """

    line: RegionFit
    curve: CurveFit | None
    reason: str | None
    charging: ChargingCurve | None = None
    alternatives: ModelComparison | None = None
    protocol: ProtocolFit | None = None
    reference_row: int | None = None

    def is_identifiable(self, kind: FitModel) -> bool:
        """Return whether the number that the model is about has a value."""
        curve = self.curve
        return curve is not None and curve.parameters[kind.main].value is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """What a data set says.

    Attributes
    ----------
    dataset : str
    model : str
    kind : FitModel
    curve : str or None
        The curve that was asked for.
    intervals : Intervals
    series : Series
    regions : tuple of RegionResult
    into : RegisterUpdate or None
        What goes into a register, where that was asked for.
    """

    dataset: str
    model: Model
    kind: FitModel
    curve: str | None
    intervals: Intervals
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
        return "ok" if any(r.is_identifiable(self.kind) for r in self.regions) else "no"

    def to_result(self) -> dict[str, Any]:
        """Return the object of result.json."""
        series = self.series
        table: dict[str, Any] = {
            "schema": "nmrqb/fit/1",
            "status": self.status,
            "dataset": self.dataset,
            "model": self.model,
            "curve": self.curve,
            "intervals": {
                "method": self.intervals.method,
                "seed": self.intervals.seed,
                "samples": self.intervals.samples if self.intervals.method in RANDOM else None,
            },
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
            "aic": curve.aic if curve and np.isfinite(curve.aic) else None,
            "bic": curve.bic if curve else None,
            "outliers": self._outliers(result),
            "identifiable": result.is_identifiable(self.kind),
            "warnings": warnings,
            "reason": result.reason,
            "lines": len(line.shift_ppm),
            "shift_ppm": line.shift_ppm[0],
            "line_reduced_chi2": line.reduced_chi2,
            "amplitudes": line.amplitudes,
            "amplitudes_stderr": line.stderr,
        }
        if isinstance(curve, BuildUpFit):
            table["comparison"] = curve.comparison
        if result.alternatives is not None:
            table["model_comparison"] = result.alternatives
        if self.model == "charging":
            table["definition"] = "fit"
            table["definition_text"] = DEFINITIONS["fit"]
            table["curve"] = result.charging
        if result.protocol is not None:
            table["definition_text"] = f"energies of the protocol ({result.protocol.engine})"
            table["held"] = result.protocol.held
            table["simulations"] = result.protocol.simulations
        return table

    def _outliers(self, result: RegionResult) -> list[dict[str, Any]]:
        """Return the points that the others contradict, with the row of each."""
        if result.curve is None:
            return []
        if result.charging is not None:
            values = result.charging.energy
            rows = np.flatnonzero(np.arange(self.series.rows) != result.reference_row)
        else:
            values, rows = result.line.amplitudes, np.arange(self.series.rows)
        found = []
        for outlier in result.curve.outliers:
            row = int(rows[np.argmin(np.abs(values - outlier.y))])
            found.append({"row": row, "x": outlier.x, "standard_errors": outlier.deviation})
        return found

    def __str__(self) -> str:
        lines = [f"fit of {one_line(self.dataset)} ({self.model})", f"{self.series}"]
        main = self.kind.main
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
            also = [
                f"; {name} = {result.curve.parameters[name]}"
                for name in self.kind.also
                if name in result.curve.parameters and p.value is not None
            ]
            lines.append(f"{place}{main} = {p}{interval}{''.join(also)}")
            lines += [f"      warning: {w}" for w in result.curve.warnings]
            if result.alternatives is not None:
                lines.append(f"      curves: {result.alternatives.words}")
        if self.into is not None:
            lines.append(f"  {self.into}")
        return "\n".join(lines)
