"""The array axis of one Bruker data set: list files, annotations, or the user's own file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from nmrqb.errors import InputError
from nmrqb.files.axis import axis_from_file, parse_list
from nmrqb.files.bruker_parameters import Parameters
from nmrqb.signals.series import Axis

#: list commands of pulse programs -> (list file of the data set, acqus key, folder, axis name)
LISTS = {
    "vd": ("vdlist", "VDLIST", "vd", "delay"),
    "vc": ("vclist", "VCLIST", "vc", "cycles"),
    "vp": ("vplist", "VPLIST", "vp", "pulse length"),
}


#: longer ones are microseconds without their unit
_LONGEST_PULSE_S = 0.1


def annotations_of(program: Path) -> dict[str, str]:
    """Return the ``;@ key: value`` lines of a pulse program."""
    if not program.is_file():
        return {}
    text = program.read_text(encoding="utf-8", errors="replace")
    return {k: v.strip() for k, v in re.findall(r"^;@\s*(\w+)\s*:\s*(.*)$", text, re.MULTILINE)}


def commands_of(program: Path) -> str:
    """Return a pulse program without comments and preprocessor lines."""
    if not program.is_file():
        return ""
    text = program.read_text(encoding="utf-8", errors="replace")
    lines = (re.sub(r";.*", "", line) for line in text.splitlines())
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def array_axis(
    folder: Path,
    acqus: Parameters,
    annotations: dict[str, str],
    rows: int,
    axis_source: str | None,
    notes: list[str],
) -> Axis:
    """Return the array axis of the `rows` of one data set.

    Raises
    ------
    InputError
        Where no axis is found, or two that disagree, or one that does not fit the rows.
    """
    if axis_source is not None:
        return axis_from_file(Path(axis_source), rows)
    if rows == 1 and not annotations:
        return Axis(name="row", unit="", values=np.zeros(1), source="a single FID")
    if "axis_values" in annotations:
        return _annotated_axis(folder, acqus, annotations, rows)
    wanted = annotations.get("list")
    used = [wanted] if wanted in LISTS else _used_lists(commands_of(folder / "pulseprogram"))
    found: list[tuple[str, Path, str]] = []
    for kind in used:
        name = LISTS[kind][3]
        found += [(name, place, kind) for place in _list_files(folder, acqus, kind)]
    say = "say which with --axis FILE (one value a line)"
    if not found:
        seen = f"the pulse program uses {', '.join(used)}" if used else "no list is used"
        raise InputError(
            f"{rows} rows, but no array axis found ({seen} and its list file is not there): {say}",
            file=str(folder),
            key="axis",
        )
    axes = []
    for name, place, kind in found:
        values = parse_list(place, time_list=kind != "vc")
        if len(values) != rows:
            raise InputError(
                f"has {len(values)} entries for {rows} rows: {say}",
                file=str(place),
                key="axis",
                value=len(values),
                limit=f"{rows} entries",
            )
        if kind == "vp" and values.max() > _LONGEST_PULSE_S:
            raise InputError(
                f"holds pulse lengths up to {values.max():g} s: write their unit (10u)",
                file=str(place),
                key="axis",
                value=values.max(),
                limit=f"{_LONGEST_PULSE_S:g} s",
            )
        unit = "" if kind == "vc" else "s"
        source = f"{place.relative_to(folder)} (pulse program: {kind})"
        axes.append(
            Axis(name=annotations.get("axis", name), unit=unit, values=values, source=source)
        )
    first = axes[0]
    for other in axes[1:]:
        if not np.array_equal(first.values, other.values):
            raise InputError(
                f"{first.source} and {other.source} disagree: {say}", file=str(folder), key="axis"
            )
    if len(np.unique(first.values)) == 1 and rows > 1:
        notes.append(f"all {rows} values of the axis are equal")
    return first


def _list_files(folder: Path, acqus: Parameters, kind: str) -> list[Path]:
    """Return the list files of one kind that a data set holds."""
    file, key, subfolder, _ = LISTS[kind]
    listed = acqus.text(key)
    places = [folder / file]
    if listed and "/" not in listed and "\\" not in listed:
        places.append(folder / "lists" / subfolder / listed)
    return [place for place in places if place.is_file()]


def _annotated_axis(
    folder: Path, acqus: Parameters, annotations: dict[str, str], rows: int
) -> Axis:
    """Return the axis that an exported program states; a list that holds it must not disagree."""
    program = folder / "pulseprogram"
    text = annotations["axis_values"]
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        values = np.empty(0)
    if values.shape != (rows,) or not np.isfinite(values).all():
        raise InputError(
            f"must hold {rows} values, but is {text[:60]!r}", file=str(program), key="axis_values"
        )
    kind = annotations.get("list", "")
    for place in _list_files(folder, acqus, kind) if kind in LISTS else []:
        listed = parse_list(place, time_list=kind != "vc")
        measured = np.array([str(k) != annotations.get("reference_row") for k in range(rows)])
        # lists are rounded to the clock
        if listed.shape != values.shape or not np.allclose(
            listed[measured], values[measured], rtol=1e-4, atol=1e-6
        ):
            raise InputError(
                "disagrees with `axis_values` of the pulse program: say which with --axis FILE",
                file=str(place),
                key="axis",
            )
    unit = annotations.get("axis_unit", "")
    return Axis(
        name=annotations.get("axis", "row"),
        unit=unit,
        values=values,
        source="annotation of the pulse program",
    )


def _used_lists(commands: str) -> list[str]:
    """Return the list kinds that a pulse program uses: vd, vp, or vc (``lo to ... times c``)."""
    used = []
    if re.search(r"\bi?vd\b", commands):
        used.append("vd")
    if re.search(r"\b(ivc|vc)\b|times\s+c\b", commands):
        used.append("vc")
    if re.search(r"\bi?vp\b", commands):
        used.append("vp")
    return used
