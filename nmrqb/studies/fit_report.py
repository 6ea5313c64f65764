"""The report of a fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmrqb.analysis.buildup import BuildUpFit
from nmrqb.analysis.curve_fit import FittedParameter
from nmrqb.report import figures, html
from nmrqb.report.budget_table import budget_table
from nmrqb.report.line_figure import draw_lines
from nmrqb.studies.fit import FitResult
from nmrqb.studies.numbers import in_words

_CAPTION = (
    "Signed amplitudes of the shared line shape (over the largest) with 95 % errors, and the fit "
    "where it is identifiable; grey points are not fitted."
)
_METHODS = {
    "linear": "from the curvature",
    "profile": "profile likelihood",
    "monte-carlo": "Monte Carlo",
    "bootstrap": "bootstrap of the residuals",
    "emcee": "Markov chains, flat within the bounds",
}
_OTHER = " Dashed: the model that was not selected (one exponential, or a stretched one)."
_LINES = (
    "The strongest row of every region without its baseline (points), the line shape common to all "
    "rows (green) and the residual (red)."
)


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
    chosen = [
        f"{rows_cell[0]} ppm: {r['model_comparison'].words}"
        for rows_cell, r in zip(rows, table, strict=True)
        if "model_comparison" in r
    ]
    units = {n: p["unit"] for r in table for n, p in r["parameters"].items()}
    heads = [f"{n} ({units[n]})" if units[n] else n for n in names]
    curves: list[str] = []
    if result.model != "lines":
        caption = _CAPTION + (_OTHER if result.model == "buildup" else "")
        curves = ["<h2>Curves</h2>\n", html.figure(_curves(result), caption)]
    sections = [
        html.preformatted(result.series),
        "<h2>Numbers</h2>\n",
        html.paragraph(
            "Each number with its standard error and its 95 % interval "
            f"({_METHODS[result.intervals.method]})."
        ),
        html.table(["region (ppm)", *(html.text(h) for h in heads), "note"], rows),
        *([html.paragraph("Curves compared:"), html.listing(chosen)] if chosen else []),
        *(html.listing(r.charging.words()) for r in result.regions if r.charging is not None),
        *(budget_table(r.charging.budget) for r in result.regions if r.charging is not None),
        *curves,
        "<h2>Lines</h2>\n",
        html.figure(_lines(result), _LINES),
        "<h2>Spectra</h2>\n",
        html.figure(_spectra(result), "All rows with one common phase."),
    ]
    return html.page(f"nmrqb fit: {Path(result.dataset).name}", sections)


def _cell(p: dict[str, Any] | None) -> str:
    if p is None:
        return ""
    low, high = p["ci95"]
    if p["value"] is None or low is None or high is None:
        ends = "" if low is None and high is None else f"<br>{_open_interval(low, high)}"
        shown = "withheld" if p["value"] is None else html.text(in_words(FittedParameter(**p)))
        return shown.replace("+-", "&plusmn;") + ends
    number, _, interval = in_words(FittedParameter(**p), interval=True).partition("  95 %: ")
    return html.text(number).replace("+-", "&plusmn;") + f"<br>{interval}"


def _open_interval(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low:.4g} to {high:.4g}"
    return f"below {high:.4g}" if low is None else f"above {low:.4g}"


def _panels(result: FitResult, width: float) -> tuple[Figure, list[Axes]]:
    """Return a picture with a panel for each region, at most three a line."""
    count = len(result.regions)
    columns = min(3, count)
    lines = -(-count // columns)
    picture = Figure(figsize=(width * columns, 2.3 * lines), layout="constrained")
    panels = list(picture.subplots(lines, columns, squeeze=False).ravel())
    for ax in panels[count:]:
        ax.axis("off")
    for ax, region in zip(panels, result.regions, strict=False):
        low, high = region.line.region_ppm
        ax.set_title(f"{low:.4g} to {high:.4g} ppm", fontsize=8)
    return picture, panels


def _lines(result: FitResult) -> Figure:
    picture, panels = _panels(result, 3.1 if len(result.regions) > 1 else 7.0)
    for ax, region in zip(panels, result.regions, strict=False):
        draw_lines(region.line.picture, ax)
    return picture


def _curves(result: FitResult) -> Figure:
    picture, panels = _panels(result, 3.1)
    for ax, region in zip(panels, result.regions, strict=False):
        ax.axhline(0.0, color=figures.GREY, linewidth=0.5)
        ax.tick_params(labelsize=7)
        shown = 1.0
        if region.energies is not None:
            charging = region.energies
            x, y, error = charging.times, charging.energy, charging.energy_stderr
            scale, label = 1.0, "time (s)"
            fitted = np.ones(len(x), bool)
        else:
            axis = result.series.axis
            x, y, error = axis.values, region.line.amplitudes, region.line.stderr
            scale, label = float(np.abs(y).max()), f"{axis.name} ({axis.unit})"
            fitted = result.fitted_rows
            if x.max() < 1e-3:
                shown, label = 1e6, f"{axis.name} (us)"
        for rows, colour in ((fitted, figures.BLACK), (~fitted, figures.GREY)):
            bars = None if error is None else 1.96 * error[rows] / scale
            ax.errorbar(
                shown * x[rows], y[rows] / scale, yerr=bars, fmt="o", color=colour, markersize=3
            )
        fit = region.curve
        if fit is not None and region.is_identifiable(result.model, result.kind):
            t = np.linspace(float(np.min(x)), float(np.max(x)), 400)
            ax.plot(shown * t, fit.curve(t) / scale, color=figures.GREEN, linewidth=1.0)
            if isinstance(fit, BuildUpFit) and fit.other_curve is not None:
                ax.plot(
                    shown * t,
                    fit.other_curve(t) / scale,
                    color=figures.ORANGE,
                    linewidth=0.8,
                    dashes=(4, 2),
                )
        elif fit is not None:
            ax.annotate(
                "not identifiable",
                (0.5, 0.1),
                xycoords="axes fraction",
                fontsize=8,
                ha="center",
                color=figures.VERMILION,
            )
        ax.set_xlabel(label, fontsize=7)
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
