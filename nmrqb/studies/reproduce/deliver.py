"""Tables, figures and the result folder of ``nmrqb reproduce``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nmrqb.errors import InputError, one_line
from nmrqb.files.results import output_folder, to_json, write_atomically
from nmrqb.files.shipped import find_file, shipped_names
from nmrqb.report import html
from nmrqb.report.panels import DrawnPanel, draw_panels, save_figure
from nmrqb.studies.deliver import versions
from nmrqb.studies.reproduce.compute import (
    ComputedEntry,
    ComputedRow,
    compute_entry,
    compute_rows,
)
from nmrqb.studies.reproduce.entry import Entry, read_entry

_HEAD = ("quantity", "published", "computed", "definition and window", "agrees?")


def read_entries(names: Sequence[str | Path]) -> list[Entry]:
    """Read the named entries, or all shipped ones.

    Raises
    ------
    InputError
        Also where two entries have one name: their figures would be one file.
    """
    entries = [read_entry(name) for name in names or shipped_names("reproduction")]
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            raise InputError("is asked for twice", key="NAME", value=entry.name)
        seen.add(entry.name)
    return entries


def reproduce(
    names: Sequence[str | Path],
    folder: Path | None,
    *,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Compute entries and return the result; with a folder, write figures and tables into it.

    Parameters
    ----------
    names : sequence of str or Path
        Shipped names or paths; empty: all shipped.
    folder : Path or None
        Without one only the rows are computed.
    overwrite : bool
    progress : callable

    Returns
    -------
    dict
        Status "no" where a published number differs without an explanation.
    """
    entries = read_entries(names)
    if folder is None:
        return result_of([(entry, compute_rows(entry, progress)) for entry in entries])
    with output_folder(folder, overwrite=overwrite) as out:
        for part in ("figures", "numbers", "inputs"):
            (out / part).mkdir()
        computed = []
        files = [find_file("reproduction", n) for n in names or shipped_names("reproduction")]
        for k, (entry, file) in enumerate(zip(entries, files, strict=True)):
            progress(f"[{k + 1}/{len(entries)}] {entry.title}")
            made = compute_entry(entry, progress)
            _write_entry(made, out)
            shutil.copyfile(file, out / "inputs" / f"{entry.name}.toml")
            computed.append(made)
        result = result_of([(c.entry, c.rows) for c in computed])
        write_atomically(out / "rows.md", markdown(computed))
        write_atomically(out / "index.html", index(computed))
        write_atomically(out / "versions.json", to_json(versions()))
        write_atomically(out / "result.json", to_json(result))
    return result


def result_of(computed: Sequence[tuple[Entry, tuple[ComputedRow, ...]]]) -> dict[str, Any]:
    """Return the object of result.json."""
    rows = [(entry, row) for entry, listed in computed for row in listed]
    return {
        "schema": "nmrqb/reproduce/1",
        "status": "ok" if all(row.is_explained for _, row in rows) else "no",
        "entries": [
            {
                "name": entry.name,
                "title": entry.title,
                "source": entry.source,
                "units": entry.units,
                "notes": entry.notes,
            }
            for entry, _ in computed
        ],
        "results": [row.to_result(entry.name) for entry, row in rows],
    }


def _write_entry(made: ComputedEntry, out: Path) -> None:
    name = made.entry.name
    try:
        save_figure(draw_panels(made.panels, made.entry.columns), out / "figures" / name)
    except ValueError as error:
        # a label with a stray dollar sign, mostly
        raise InputError(f"cannot be drawn: {one_line(str(error))}", file=f"{name}.toml") from None
    numbers = {
        "schema": "nmrqb/reproduce-numbers/1",
        "entry": name,
        "panels": [_panel_numbers(panel) for panel in made.panels],
        "withheld": made.gaps,
    }
    write_atomically(out / "numbers" / f"{name}.json", to_json(numbers))


def _panel_numbers(panel: DrawnPanel) -> dict[str, Any]:
    frame, shown = panel.frame, panel.map
    return {
        "title": frame.title,
        "x_label": frame.x_label,
        "y_label": frame.y_label,
        "curves": [{"label": c.label, "x": c.x, "y": c.y} for c in panel.curves],
        "map": None if shown is None
        else {"label": shown.label, "x": shown.x, "y": shown.y, "z": shown.z},
    }  # fmt: skip


def listing() -> dict[str, Any]:
    """Return the shipped entries as one object."""
    entries = read_entries(())
    return {
        "schema": "nmrqb/reproduce/1",
        "status": "ok",
        "results": [
            {"name": e.name, "title": e.title, "source": e.source, "rows": len(e.row)}
            for e in entries
        ],
    }


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "withheld"
    return f"{value:.5g}" if unit == "1" else f"{value:.5g} {unit}"


def _cells(row: ComputedRow) -> tuple[str, ...]:
    """Return the cells of a row, as plain text."""
    asked = row.row
    if asked.published is None:
        published = f"none: {asked.unpublished}"
    else:
        published = f"{asked.printed or f'{asked.published:g}'} ({asked.source})"
    computed = _number(row.value, row.quantity.unit)
    if row.reason:
        computed += f": {row.reason}"
    words = "; ".join(part for part in (row.definition.rstrip("."), asked.window) if part)
    verdict = row.verdict
    if row.agrees is not None:
        verdict += f" (to {asked.tolerance:.3g}: {asked.tolerance_reason})"
    if asked.explanation:
        verdict += f". {asked.explanation}"
    return asked.name, published, computed, words, verdict


def words_of(result: dict[str, Any]) -> str:
    """Return the rows for a terminal."""
    lines, entry = [], None
    for row in result["results"]:
        if row["entry"] != entry:
            entry = row["entry"]
            title = next(e["title"] for e in result["entries"] if e["name"] == entry)
            lines.append(f"{entry}: {title}")
        published = "-" if row["published"] is None else f"{row['published']:g}"
        computed = _number(row["computed"], row["unit"])
        lines.append(
            f"  {row['name']}: published {published}, computed {computed}: {row['verdict']}"
        )
        if row["agrees"] is False:
            lines.append(f"    {row['explanation'] or row['reason'] or ''}".rstrip())
    return "\n".join(lines)


def markdown(computed: Sequence[ComputedEntry]) -> str:
    """Return one table of all rows as Markdown, an entry a section."""
    lines = ["# Published against computed", ""]
    for made in computed:
        entry = made.entry
        lines += [f"## {entry.title}", "", f"{entry.source}. {entry.units}", ""]
        lines += [f"![{entry.title}](figures/{entry.name}.png)", "", entry.caption, ""]
        lines += ["| " + " | ".join(_HEAD) + " |", "|---" * len(_HEAD) + "|"]
        for row in made.rows:
            cells = (cell.replace("|", "\\|").replace("\n", " ") for cell in _cells(row))
            lines.append("| " + " | ".join(cells) + " |")
        lines += ["", *(f"- {words}" for words in (*entry.notes, *_withheld(made))), ""]
    return "\n".join(lines)


def index(computed: Sequence[ComputedEntry]) -> str:
    """Return index.html: one table of all rows, then every figure."""
    rows = []
    for made in computed:
        anchor = html.text(made.entry.name)
        for row in made.rows:
            cells = [html.text(cell) for cell in _cells(row)]
            colour = "ok" if row.agrees else "no" if row.agrees is False else ""
            cells[4] = f'<span class="{colour}">{cells[4]}</span>'
            rows.append([f'<a href="#{anchor}">{anchor}</a>', *cells])
    body = [html.table(["entry", *_HEAD], rows)]
    for made in computed:
        entry = made.entry
        name = html.text(entry.name)
        body.append(f'<h2 id="{name}">{html.text(entry.title)}</h2>\n')
        body.append(html.paragraph(f"{entry.source}. {entry.units}"))
        body.append(html.figure(draw_panels(made.panels, entry.columns), entry.caption))
        links = (f'<a href="figures/{name}.{kind}">{kind.upper()}</a>' for kind in ("pdf", "svg"))
        body.append(f"<p>{', '.join(links)}, "
                    f'<a href="numbers/{name}.json">numbers</a></p>\n')  # fmt: skip
        body.append(html.listing([*entry.notes, *_withheld(made)]))
    return html.page("Published against computed", body)


def _withheld(made: ComputedEntry) -> list[str]:
    return [f"Withheld: {gap}" for gap in made.gaps]
