"""Process a measured data set for people: spectra on the reference's phase, integrals, figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmrqb.analysis.processing import (
    Integrals,
    integrate,
    phased,
    referenced,
    transform,
    without_baseline,
)
from nmrqb.analysis.regions import detected_regions
from nmrqb.errors import InputError
from nmrqb.files.results import output_folder, to_json, write_atomically
from nmrqb.files.vendors import read_series
from nmrqb.report import html
from nmrqb.report.spectrum_figure import draw_spectrum
from nmrqb.signals.series import Series
from nmrqb.signals.spectrum import Spectrum
from nmrqb.studies.deliver import versions


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResult:
    """Spectra and integrals of one data set."""

    dataset: str
    series: Series
    spectrum: Spectrum
    integrals: Integrals

    def to_result(self) -> dict[str, Any]:
        """Return the object of result.json."""
        series, integrals = self.series, self.integrals
        return {
            "schema": "nmrqb/process/1",
            "status": "ok",
            "dataset": self.dataset,
            "nucleus": series.nucleus,
            "axis": {
                "name": series.axis.name,
                "unit": series.axis.unit,
                "values": series.axis.values,
                "source": series.axis.source,
            },
            "scans": series.scans,
            "history": list(self.spectrum.history),
            "results": [
                {
                    "region_ppm": list(region),
                    "integrals": integrals.values[:, k],
                    "integrals_stderr": integrals.stderr[:, k],
                }
                for k, region in enumerate(integrals.regions_ppm)
            ],
            "warnings": list(series.warnings),
        }

    def __str__(self) -> str:
        lines = [f"{self.series}", f"{self.spectrum}"]
        for k, (low, high) in enumerate(self.integrals.regions_ppm):
            values, errors = self.integrals.values[:, k], self.integrals.stderr[:, k]
            shown = ", ".join(
                f"{v:.4g}({e:.1g})" for v, e in zip(values[:8], errors[:8], strict=True)
            )
            more = ", ..." if len(values) > 8 else ""
            lines.append(f"  {low:.3f} to {high:.3f} ppm: {shown}{more}")
        return "\n".join(lines)


def process_dataset(
    dataset: str | Path,
    *,
    regions_ppm: Sequence[tuple[float, float]] = (),
    axis: str | None = None,
    rows: str | None = None,
    lorentzian_hz: float = 0.0,
    zero_fill: int = 2,
    phase_row: int | None = None,
    p1_deg: float = 0.0,
    baseline_order: int | None = None,
    reference_ppm: tuple[float, float] | None = None,
) -> ProcessResult:
    """Process a data set.

    Parameters
    ----------
    dataset, axis, rows
        As in ``fit_dataset``.
    regions_ppm : sequence of (low, high)
        Regions of the integrals; without any the vendor's, else detected lines.
    lorentzian_hz : float
    zero_fill : int
    phase_row : int, optional
        The row that sets the phase of all; without it the thermal reference, else the row of the
        longest time, which has recovered.
    p1_deg : float
    baseline_order : int, optional
        Of the polynomial that is taken off; none without it.
    reference_ppm : (found, true), optional

    Raises
    ------
    InputError
        Where the data or an option cannot be used.
    """
    series = read_series(dataset, axis=axis, rows=rows)
    row = phase_row if phase_row is not None else series.reference_row
    try:
        if row is None:
            row = int(np.argmax(series.axis.values)) if series.axis.name != "time" else 0
        spectrum = transform(series, lorentzian_hz=lorentzian_hz, zero_fill=zero_fill)
        spectrum = phased(spectrum, row=row, p1_deg=p1_deg)
        if baseline_order is not None:
            spectrum = without_baseline(spectrum, order=baseline_order)
        regions = tuple(regions_ppm) or series.regions_ppm or detected_regions(series)
        if reference_ppm is not None:
            found, true = reference_ppm
            spectrum = referenced(spectrum, found_ppm=found, true_ppm=true)
            if not regions_ppm:
                regions = tuple((low + true - found, high + true - found) for low, high in regions)
        integrals = integrate(spectrum, regions)
    except ValueError as error:
        raise InputError(str(error), file=str(dataset)) from None
    return ProcessResult(
        dataset=str(dataset), series=series, spectrum=spectrum, integrals=integrals
    )


def deliver_process(result: ProcessResult, folder: Path, *, overwrite: bool) -> None:
    """Write report, result and spectra (``spectra.csv``: ppm, then the real part of each row)."""
    with output_folder(folder, overwrite=overwrite) as out:
        spectrum = result.spectrum
        columns = np.column_stack([spectrum.ppm, spectrum.values.real.T])
        head = "ppm," + ",".join(f"row {k}" for k in range(spectrum.rows))
        np.savetxt(
            out / "spectra.csv", columns, delimiter=",", header=head, comments="", fmt="%.7g"
        )
        write_atomically(out / "versions.json", to_json(versions()))
        write_atomically(out / "report.html", _report(result))
        write_atomically(out / "result.json", to_json(result.to_result()))


def _report(result: ProcessResult) -> str:
    from matplotlib.figure import Figure

    spectrum, integrals = result.spectrum, result.integrals
    body = [html.preformatted(result)]
    picture = Figure(figsize=(9.0, 5.0), layout="constrained")
    draw_spectrum(spectrum, picture.add_subplot())
    body.append(html.figure(picture, "all rows on one scale and one phase"))
    for k, region in enumerate(integrals.regions_ppm[:12]):
        picture = Figure(figsize=(9.0, 3.0), layout="constrained")
        left, right = picture.subplots(1, 2)
        draw_spectrum(spectrum, left, region)
        right.errorbar(
            spectrum.axis.values, integrals.values[:, k], integrals.stderr[:, k], fmt="o", ms=3
        )
        unit = f" ({spectrum.axis.unit})" if spectrum.axis.unit else ""
        right.set_xlabel(f"{spectrum.axis.name}{unit}")
        right.set_ylabel("integral per scan")
        body.append(html.figure(picture, f"{region[0]:.3f} to {region[1]:.3f} ppm"))
    return html.page("processed spectra", body)


def parse_row(text: str) -> int:
    """Return the row of a ``row:K`` option."""
    prefix, _, digits = text.partition(":")
    if prefix != "row" or not (digits.isascii() and digits.isdigit() and len(digits) < 9):
        raise InputError(f"must be row:K, but is {text!r}", key="--phase", value=text)
    return int(digits)


def parse_shift(text: str) -> tuple[float, float]:
    """Return the two shifts of a ``FOUND:TRUE`` option, ppm."""
    found, _, true = text.partition(":")
    try:
        pair = (float(found), float(true))
    except ValueError:
        pair = (np.nan, np.nan)
    if not np.isfinite(pair).all():
        raise InputError(
            f"must be FOUND:TRUE in ppm, such as 2.49:2.50, but is {text!r}",
            key="--reference",
            value=text,
        )
    return pair
