"""What a fit of a data set says, in words and in result.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.buildup import BuildUpFit
from nmrqb.analysis.curve_fit import CurveFit, FittedParameter
from nmrqb.analysis.intervals import RANDOM, Intervals
from nmrqb.analysis.model_choice import ModelComparison
from nmrqb.analysis.region_fit import RegionFit
from nmrqb.battery.charging import ChargingCurve
from nmrqb.battery.charging_time import DEFINITIONS
from nmrqb.errors import one_line
from nmrqb.signals.series import Series
from nmrqb.studies.charging import ChargingResult
from nmrqb.studies.fit_models import FitModel, Model
from nmrqb.studies.into_register import RegisterUpdate
from nmrqb.studies.long_time import TAUS
from nmrqb.studies.numbers import in_words
from nmrqb.studies.protocol_fit import ProtocolFit


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionResult:
    """One region: its line shape, its curve fit, and for charging its calibrated curve.

    Attributes
    ----------
    line : RegionFit
    curve : CurveFit or None
        None with `reason`.
    charging : ChargingResult or None
        What the battery held, where a register set the scale.
    energies : ChargingCurve or None
        What the curve was fitted to, where that is on the scale of a reference.
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
    charging: ChargingResult | None = None
    energies: ChargingCurve | None = None
    alternatives: ModelComparison | None = None
    protocol: ProtocolFit | None = None
    reference_row: int | None = None

    def parameters(self, model: Model) -> dict[str, FittedParameter]:
        """Return the fitted numbers: those of the lines, or of the curve."""
        if model == "lines":
            return self.line.numbers
        return self.curve.parameters if self.curve is not None else {}

    def main(self, model: Model, kind: FitModel) -> str:
        """Return the parameter that the model is about: of the lines J where there is one."""
        return "J" if model == "lines" and "J" in self.line.numbers else kind.main

    def is_identifiable(self, model: Model, kind: FitModel) -> bool:
        """Return whether the number that the model is about has a value."""
        if self.reason is not None:
            return False
        found = self.parameters(model).get(self.main(model, kind))
        return found is not None and found.value is not None


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
        return "ok" if any(r.is_identifiable(self.model, self.kind) for r in self.regions) else "no"

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
        warnings = [*(curve.warnings if curve else ()), *line.warnings]
        chi2 = curve.reduced_chi2 if curve else None
        table: dict[str, Any] = {
            "region_ppm": list(line.region_ppm),
            "model": self.model,
            "parameters": _table(result.parameters(self.model)),
            "reduced_chi2": line.reduced_chi2 if self.model == "lines" else chi2,
            "aic": curve.aic if curve and np.isfinite(curve.aic) else None,
            "bic": curve.bic if curve else None,
            "outliers": self._outliers(result),
            "identifiable": result.is_identifiable(self.model, self.kind),
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
        if result.alternatives is not None:
            table["model_comparison"] = result.alternatives
        if self.model == "charging":
            table["definition"] = "fit"
            table["definition_text"] = DEFINITIONS["fit"]
            table["curve"] = result.energies
            if result.charging is not None:
                table |= result.charging.to_result()
        if result.protocol is not None:
            table["definition"] = TAUS["tau"]
            table["definition_text"] = DEFINITIONS[TAUS["tau"]]
            table["definitions"] = TAUS
            table["curve_text"] = f"energies of the protocol ({result.protocol.engine})"
            table["held"] = result.protocol.held
            table["simulations"] = result.protocol.simulations
        return table

    def _outliers(self, result: RegionResult) -> list[dict[str, Any]]:
        """Return the points that the others contradict, with the row of each."""
        if result.curve is None:
            return []
        if result.energies is not None:
            values = result.energies.energy
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
        for k, result in enumerate(self.regions, start=1):
            low, high = result.line.region_ppm
            place = f"  {k:2d}  {low:8.3f} to {high:8.3f} ppm  "
            main, numbers = result.main(self.model, self.kind), result.parameters(self.model)
            held = result.charging.words() if result.charging is not None else []
            if main not in numbers or result.reason is not None:
                lines.append(f"{place}{main} withheld: {result.reason}")
                lines += [f"      {w}" for w in held]
                continue
            p = numbers[main]
            also = [
                f"; {name} = {in_words(numbers[name])}"
                for name in self.kind.also
                if name in numbers and name != main and p.value is not None
            ]
            lines.append(f"{place}{main} = {in_words(p, interval=True)}{''.join(also)}")
            told = [*(result.curve.warnings if result.curve else ()), *result.line.warnings]
            lines += [f"      warning: {w}" for w in told]
            if result.alternatives is not None:
                lines.append(f"      curves: {result.alternatives.words}")
            lines += [f"      {w}" for w in held]
        if self.into is not None:
            lines.append(f"  {self.into}")
        return "\n".join(lines)


def _table(numbers: dict[str, FittedParameter]) -> dict[str, Any]:
    return {name: asdict(p) for name, p in numbers.items()}
