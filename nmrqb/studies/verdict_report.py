"""Report and result folder of a verdict on a translation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmrqb.files.results import output_folder, to_json, write_atomically, write_curve
from nmrqb.report import figures, html
from nmrqb.studies.deliver import copy_inputs, versions
from nmrqb.studies.verdict import Verdict

_COLOURS = (figures.BLUE, figures.ORANGE, figures.GREEN, figures.PURPLE, figures.GREY)


def deliver_verdict(verdict: Verdict, folder: Path, *, overwrite: bool) -> None:
    """Write report.html, result.json and both curves of a verdict into `folder`."""
    with output_folder(folder, overwrite=overwrite) as out:
        copy_inputs(verdict.plan, out)
        (out / "curves").mkdir()
        write_curve(out / "curves" / "target.json", verdict.target)
        write_curve(out / "curves" / "compiled.json", verdict.compiled)
        write_atomically(out / "versions.json", to_json(versions()))
        write_atomically(out / "report.html", verdict_report(verdict))
        write_atomically(out / "result.json", to_json(verdict.to_result()))


def verdict_report(verdict: Verdict) -> str:
    """Return report.html of a verdict."""
    plan = verdict.plan
    bound = [None] * plan.protocol.rows if verdict.bound is None else verdict.bound.rows.tolist()
    head = ["time (s)", "E target", "E compiled", "W target", "W compiled"]
    head += [html.text(cause) for cause in verdict.by_cause] + ["bound"]
    rows = []
    for k in range(plan.protocol.rows):
        numbers = [
            verdict.compiled.times[k],
            verdict.target.energy[k],
            verdict.compiled.energy[k],
            verdict.target.ergotropy[k],
            verdict.compiled.ergotropy[k],
        ]
        cells = [html.number(float(v)) for v in numbers]
        cells += [f"{float(part[k]):+.2e}" for part in verdict.by_cause.values()]
        rows.append([*cells, html.number(bound[k], 2)])
    sections = [
        html.listing(verdict.words()),
        html.figure(
            verdict_figure(verdict),
            "Above: target and compiled sequences, both simulated exactly. Below: what each cause "
            "changes in the energy; the bars of a row add up to its whole deviation.",
        ),
        "<h2>Rows</h2>\n",
        html.paragraph(f"Energies and ergotropies: {verdict.compiled.energy_unit}."),
        html.table(head, rows),
        "<h2>Plan</h2>\n",
        html.preformatted(plan),
    ]
    return html.page(f"nmrqb verdict: {plan.protocol.name}", sections)


def verdict_figure(verdict: Verdict) -> Figure:
    """Return target and compiled curve, and the deviation by cause below them."""
    picture = Figure(figsize=(7.0, 5.6), layout="constrained")
    above, below = picture.subplots(2, 1, height_ratios=[1.6, 1.0])
    x, label = _axis(verdict)
    order = np.argsort(x)
    above.plot(
        x[order], verdict.target.energy[order], "-", color=figures.BLACK, label="ideal target"
    )
    above.plot(x, verdict.compiled.energy, "o", color=figures.VERMILION, label="compiled")
    if verdict.bound is not None:
        reach = verdict.bound.rows
        above.fill_between(
            x[order],
            (verdict.target.energy - reach)[order],
            (verdict.target.energy + reach)[order],
            color=figures.GREY,
            alpha=0.25,
            linewidth=0.0,
            label="bound known beforehand",
        )
    above.set_ylabel("stored energy")
    above.legend(frameon=False, fontsize=8)
    _bars(verdict, below)
    below.set_xlabel(f"row ({label} {x[0]:g} to {x[-1]:g})")
    above.set_xlabel(label)
    return picture


def _axis(verdict: Verdict) -> tuple[np.ndarray, str]:
    sweep = verdict.plan.protocol.sweep
    if sweep is None:
        return verdict.compiled.times, "charging time (s)"
    unit = f" ({sweep.unit})" if sweep.unit else ""
    return np.asarray(sweep.values), f"{verdict.plan.protocol.axis_name()}{unit}"


def _bars(verdict: Verdict, ax: Axes) -> None:
    rows = np.arange(verdict.plan.protocol.rows)
    up, down = np.zeros(len(rows)), np.zeros(len(rows))
    for colour, (cause, part) in zip(_COLOURS, verdict.by_cause.items(), strict=True):
        base = np.where(part >= 0.0, up, down)
        ax.bar(rows, part, bottom=base, color=colour, label=cause, width=0.8)
        up, down = up + np.maximum(part, 0.0), down + np.minimum(part, 0.0)
    whole = verdict.compiled.energy - verdict.target.energy
    ax.plot(rows, whole, "_", color=figures.BLACK, markersize=12, label="whole deviation")
    ax.axhline(0.0, color=figures.GREY, linewidth=0.8)
    ax.set_ylabel("change of the energy")
    ax.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
