"""Report and result folder of an optimisation."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from nmrqb.files.protocol_text import protocol_text
from nmrqb.files.results import output_folder, to_json, write_atomically
from nmrqb.report import figures, html
from nmrqb.studies.deliver import copy_inputs, versions
from nmrqb.studies.optimise import Candidate, Optimum
from nmrqb.studies.strategies import Strategy


def deliver_optimum(optimum: Optimum, folder: Path, *, overwrite: bool) -> None:
    """Write report.html and result.json of an optimisation into `folder`."""
    with output_folder(folder, overwrite=overwrite) as out:
        write_atomically(out / "versions.json", to_json(versions()))
        write_atomically(out / "report.html", optimum_report(optimum))
        copy_inputs(optimum.plan, out)
        best = replace(optimum.best_protocol, target=None)
        own = {
            kind: f"inputs/{kind}.toml"
            for kind in ("register", "spectrometer")
            if Path(getattr(best, kind)).is_absolute()
        }
        write_atomically(out / "best.toml", protocol_text(best, **own))
        write_atomically(out / "result.json", to_json(optimum.to_result()))


def optimum_report(optimum: Optimum) -> str:
    """Return report.html of an optimisation."""
    target = optimum.target
    goal = (
        f"The largest stored {target.goal} within {target.within_s:g} s of charging."
        if target.goal != "charging-time"
        else (
            f"The shortest charging time (slowest mode) with at least {100 * target.at_least:g} % "
            f"of the largest E(inf), all within {target.within_s:g} s."
        )
    )
    head = [
        "recovery",
        "b",
        "&Delta; (s)",
        "cycles",
        "time (s)",
        "E exact",
        "E closed map",
        "&tau; slowest mode (s)",
    ]
    sections = [
        html.paragraph(goal),
        "<h2>The best</h2>\n",
        html.table(head, [_cells(c) for c in optimum.best]),
        html.listing(_remarks(optimum)),
        "<h2>On the console</h2>\n",
        html.paragraph(
            "The best by what the console can run, pulses and relaxation simulated. best.toml is "
            "the protocol of the first: plan, run or compile it."
        ),
        html.table(
            ["strategy", "E", "W", "cycles (s)", "RF a scan (J)", ""],
            [_strategy_cells(s) for s in optimum.strategies],
        ),
        "<h2>The map</h2>\n",
        html.figure(_map(optimum), "Every candidate by the closed map; the crosses are the best."),
        "<h2>Plan</h2>\n",
        html.preformatted(f"{optimum.plan.register}\n{optimum.plan.spectrometer}"),
    ]
    return html.page(f"nmrqb optimise: {optimum.plan.protocol.name}", sections)


def _remarks(optimum: Optimum) -> list[str]:
    judged = (
        f"{optimum.screened} candidates were judged by the closed map; the best were simulated "
        "exactly, with the exchange, pulses and relaxation of the protocol. The largest difference "
        f"between the two is {optimum.largest_error:.2g}."
    )
    inept = (
        f"One refocused INEPT from full chargers gives {optimum.inept_energy:.4g} in one shot, "
        "relaxation apart; it cannot be added up by repetition."
    )
    unit = "Energies in hbar |omega_B| eps/2 from the identity level; thermal start."
    return [optimum.reason, judged, inept, unit]


def _cells(c: Candidate) -> list[str]:
    numbers = (c.transfer, c.delay_s, c.cycles, c.charging_s, c.energy_exact, c.energy_closed)
    return [html.text(c.recovery), *(html.number(v) for v in (*numbers, c.tau_s))]


def _strategy_cells(s: Strategy) -> list[str]:
    work = None if s.energy is None else 2.0 * max(0.0, s.energy)
    numbers = (s.energy, work, s.duration_s, s.rf_energy_joule)
    return [html.text(s.name), *(html.number(v) for v in numbers), html.text(s.reason or "")]


def _map(optimum: Optimum) -> Figure:
    count = len(optimum.grids)
    picture = Figure(figsize=(4.2 * count + 1.0, 3.6), layout="constrained")
    panels = picture.subplots(1, count, squeeze=False, sharey=True)[0]
    energy = optimum.target.goal != "charging-time"
    tables = [merit if energy else -merit for *_, merit in optimum.grids]
    finite = np.concatenate([t[np.isfinite(t)] for t in tables])
    low, high = np.quantile(finite, [0.02, 1.0]) if energy else np.quantile(finite, [0.0, 0.9])
    for ax, (recovery, transfers, delays, _), table in zip(
        panels, optimum.grids, tables, strict=True
    ):
        shown = ax.pcolormesh(
            delays,
            transfers,
            table,
            cmap="viridis" if energy else "viridis_r",
            vmin=low,
            vmax=high if math.isfinite(high) else None,
            rasterized=True,
        )
        mine = [c for c in optimum.best if c.recovery == recovery]
        ax.plot(
            [c.delay_s for c in mine],
            [c.transfer for c in mine],
            "x",
            color=figures.VERMILION,
            markersize=7,
        )
        ax.set_title(f"recovery: {recovery}", fontsize=9)
        ax.set_xlabel("$\\Delta$ (s)")
    panels[0].set_ylabel("transfer b of one exchange")
    what = "energy (hbar |omega_B| eps/2)" if energy else "$\\tau$, slowest mode (s)"
    picture.colorbar(shown, ax=list(panels), label=what)
    return picture
