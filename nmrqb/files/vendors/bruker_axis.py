"""The array axis of one Bruker data set: lists, annotations, rules, or the user's own file.

A pulse program says which list it steps through (``vd``, ``ivp``, ``lo to 2 times c``, ``define
list<delay> ...``); the list lies as ``vdlist`` in the data set or as ``lists/vd/NAME``, NAME in
``acqus``.  Neither place is believed alone where they disagree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError, one_line
from nmrqb.files.vendors.axis import (
    ListKind,
    axis_from_file,
    note_order,
    parse_list,
    parse_value,
    row_axis,
)
from nmrqb.files.vendors.axis_rule import is_rule, parse_rule
from nmrqb.files.vendors.bruker_parameters import Parameters
from nmrqb.files.vendors.raw import read_text
from nmrqb.signals.series import Axis


@dataclass(frozen=True, slots=True, kw_only=True)
class ListType:
    """A kind of list: its file, its key in acqus, its folder, what its values are."""

    file: str
    key: str
    folder: str
    axis: str
    kind: ListKind
    unit: str


#: by the letters of pulse programs
LISTS = {
    "vd": ListType(file="vdlist", key="VDLIST", folder="vd", axis="delay", kind="delay", unit="s"),
    "vc": ListType(file="vclist", key="VCLIST", folder="vc", axis="cycles", kind="count", unit=""),
    "vp": ListType(
        file="vplist", key="VPLIST", folder="vp", axis="pulse length", kind="pulse", unit="s"
    ),
    "va": ListType(file="valist", key="VALIST", folder="va", axis="power", kind="number", unit=""),
}
_USES = {
    "vd": r"\bi?vd(?:\.inc|\.idx)?\b",
    "vc": r"\b(?:ivc|vc)\b|times\s+c\b",
    "vp": r"\bi?vp\b",
    "va": r"\bi?va\b",
}
_DEFINED = {"delay": "vd", "loopcounter": "vc", "pulse": "vp", "power": "va", "amplitude": "va"}
_SAY = (
    "say which with --axis: a file with one value a line, a list of the data set (--axis vdlist), "
    "a rule such as VC*D[20], or time (of repeated acquisitions)"
)


def annotations_of(program: Path) -> dict[str, str]:
    """Return the ``;@ key: value`` lines of a pulse program."""
    if not program.is_file():
        return {}
    text = read_text(program)
    return {k: v.strip() for k, v in re.findall(r"^;@\s*(\w+)\s*:\s*(.*)$", text, re.MULTILINE)}


def commands_of(program: Path) -> str:
    """Return a pulse program without comments and preprocessor lines."""
    if not program.is_file():
        return ""
    lines = (re.sub(r";.*", "", line) for line in read_text(program).splitlines())
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def array_axis(
    folder: Path,
    acqus: Parameters,
    annotations: dict[str, str],
    fids: NDArray[np.complex128],
    planned: int,
    axis_source: str | None,
    notes: list[str],
) -> Axis:
    """Return the array axis of one data set.

    Parameters
    ----------
    folder, acqus, annotations
        The data set.
    fids : ndarray, shape (rows, points)
    planned : int
        Rows that the experiment was set up for: a partial one has fewer.
    axis_source : str or None
        What the user said.
    notes : list of str
        Warnings are added here.

    Raises
    ------
    InputError
        Where no axis is found, or two that disagree, or one that does not fit the rows.
    """
    rows = len(fids)
    if axis_source is not None:
        axis = _said(folder, acqus, axis_source, rows)
        if axis is not None:
            note_order(axis, notes)
            return axis
    if "axis_values" in annotations:
        return _annotated_axis(folder, acqus, annotations, rows)
    if rows == 1 and planned == 1 and "list" not in annotations:
        return Axis(name="row", unit="", values=np.zeros(1), source="a single FID")
    rule = annotations.get("axis_rule")
    if rule is not None:
        return _by_rule(folder, acqus, rule, rows, "pulse program: axis_rule")
    commands = commands_of(folder / "pulseprogram")
    used = _annotated(annotations) or used_lists(commands)
    found = [(kind, place) for kind in used for place in places(folder, acqus, kind)]
    candidates = [(kind, _listed(folder, kind, place, annotations)) for kind, place in found]
    if not candidates:
        inline = _inline_list(commands)
        if inline is None:
            raise _none_found(folder, rows, used)
        candidates = [("", inline)]
    fitted = [_fit_rows(folder, fids, planned, *one, notes) for one in candidates]
    first = fitted[0]
    for other in fitted[1:]:
        if not np.array_equal(first.values, other.values):
            raise InputError(
                f"{first.source} and {other.source} disagree: {_SAY}", file=str(folder), key="axis"
            )
    note_order(first, notes)
    return first


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
    for place in places(folder, acqus, kind) if kind in LISTS else []:
        listed = parse_list(place, LISTS[kind].kind)
        measured = np.array([str(k) != annotations.get("reference_row") for k in range(rows)])
        # lists are rounded to the clock
        if listed.shape != values.shape or not np.allclose(
            listed[measured], values[measured], rtol=1e-4, atol=1e-6
        ):
            raise InputError(
                f"disagrees with `axis_values` of the pulse program: {_SAY}",
                file=str(place),
                key="axis",
            )
    return Axis(
        name=annotations.get("axis", "row"),
        unit=annotations.get("axis_unit", ""),
        values=values,
        source="annotation of the pulse program",
    )


def places(folder: Path, acqus: Parameters, kind: str) -> list[Path]:
    """Return the files of a list kind that a data set holds."""
    listed, name = LISTS[kind], acqus.text(LISTS[kind].key)
    found = [folder / listed.file]
    if name and not re.search(r"[/\\\x00]|^\.+$", name) and len(name) < 256:
        found.append(folder / "lists" / listed.folder / name)
    return [place for place in found if place.is_file()]


def used_lists(commands: str) -> list[str]:
    """Return the list kinds that a pulse program steps through."""
    defined = [
        _DEFINED[kind]
        for kind in re.findall(r"define\s+list\s*<\s*(\w+)\s*>\s*\w+\s*=\s*<", commands)
        if kind in _DEFINED
    ]
    body = re.sub(r"define\s+list[^\n]*", "", commands)
    used = [kind for kind, pattern in _USES.items() if re.search(pattern, body)]
    return list(dict.fromkeys([*used, *defined]))


def _annotated(annotations: dict[str, str]) -> list[str]:
    """Return the list kind that annotations name: ``list: vd`` or ``dimensions`` with its list."""
    if annotations.get("list") in LISTS:
        return [annotations["list"]]
    first = re.match(r"\[?\s*(\w+)\.(\w+)", annotations.get("dimensions", ""))
    if first is None:
        return []
    block = annotations.get(first.group(1), "")
    value = re.search(rf"\b{first.group(2)}\s*:\s*<?\$?(\w+)", block)
    if value is None:
        return []
    return [kind for kind, t in LISTS.items() if t.key == value.group(1).upper()]


def _listed(folder: Path, kind: str, place: Path, annotations: dict[str, str]) -> Axis:
    listed = LISTS[kind]
    return Axis(
        name=one_line(annotations.get("axis", listed.axis))[:80],
        unit=listed.unit,
        values=parse_list(place, listed.kind),
        source=f"{place.relative_to(folder)} (pulse program: {kind})",
    )


def _inline_list(commands: str) -> Axis | None:
    """Return the one list that a pulse program writes out, ``define list<delay> D = {1 2 s}``."""
    found = re.findall(r"define\s+list\s*<\s*(\w+)\s*>\s*(\w+)\s*=\s*\{([^}]{1,65536})\}", commands)
    found = [f for f in found if f[0] in _DEFINED]
    if len(found) != 1:
        return None
    kind, name, words = found[0]
    listed = LISTS[_DEFINED[kind]]
    values = [parse_value(word, listed.kind) for word in re.split(r"[\s,]+", words.strip())]
    if not values or None in values:
        return None
    return Axis(
        name=listed.axis,
        unit=listed.unit,
        values=np.array(values, dtype=np.float64),
        source=f"list {one_line(name)[:40]} of the pulse program",
    )


def _fit_rows(
    folder: Path,
    fids: NDArray[np.complex128],
    planned: int,
    kind: str,
    axis: Axis,
    notes: list[str],
) -> Axis:
    """Return the axis for the rows that are there, refusing a list of another length."""
    count, rows = len(axis.values), len(fids)
    if count == rows:
        return axis
    file = str(folder / axis.source.split(" (")[0])
    if rows < planned <= count or (rows < count == planned):
        notes.append(
            f"{rows} of {planned} rows were recorded: the first {rows} entries of {axis.source} "
            "are their axis"
        )
        return Axis(name=axis.name, unit=axis.unit, values=axis.values[:rows], source=axis.source)
    words = f"has {count} entries for {rows} rows"
    if count < rows:
        like = 100.0 * _likeness(fids[count], fids[0])
        again = f"{axis.values[0]:g} {axis.unit}".strip()
        named = f"say --axis {LISTS[kind].file}; else give" if kind else "give"
        words += (
            f". A console that reaches the end of a list starts over: row {count} would then be "
            f"{again} again, as row 0 (the two FIDs agree to {like:.1f} %). If it did, {named} "
            f"--axis FILE with {rows} values, one a line"
        )
    else:
        words += f": {_SAY}"
    raise InputError(words, file=file, key="axis", value=count, limit=f"{rows} entries")


def _likeness(a: NDArray[np.complex128], b: NDArray[np.complex128]) -> float:
    """Return |<a|b>| / (|a| |b|), or 0 where one vanishes."""
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(abs(np.vdot(a, b))) / norms if norms > 0.0 else 0.0


def _said(folder: Path, acqus: Parameters, axis_source: str, rows: int) -> Axis | None:
    """Return the axis that the user said, or None where the name only chooses a list kind."""
    if axis_source == "row":
        return row_axis(rows)
    if axis_source == "time":
        return _clock(acqus, rows)
    for kind, listed in LISTS.items():
        if axis_source.lower() in (listed.file, kind):
            found = places(folder, acqus, kind)
            if not found:
                raise InputError(
                    f"there is no {listed.file} in this data set",
                    file=str(folder),
                    key="--axis",
                    value=axis_source,
                )
            values = parse_list(found[0], listed.kind)
            if len(values) > rows:
                raise InputError(
                    f"has {len(values)} entries for {rows} rows: give --axis FILE",
                    file=str(found[0]),
                    key="--axis",
                    value=len(values),
                    limit=f"{rows} entries",
                )
            source = f"{found[0].relative_to(folder)} (--axis)"
            if len(values) < rows:
                source += f", started over after {len(values)} entries"
            return Axis(
                name=listed.axis, unit=listed.unit, values=np.resize(values, rows), source=source
            )
    if is_rule(axis_source):
        return _by_rule(folder, acqus, axis_source, rows, "--axis")
    return axis_from_file(Path(axis_source), rows)


def _clock(acqus: Parameters, rows: int) -> Axis:
    """Return the middle of each acquisition, s after the first began: NS (AQ + D[1]) each."""
    delays = acqus.numbers("D")
    seconds = acqus.number("TD", low=2) / 2.0 / acqus.number("SW_h", low=1.0)
    each = acqus.number("NS", low=1) * (seconds + (delays[1] if len(delays) > 1 else 0.0))
    return Axis(
        name="time",
        unit="s",
        values=each * (np.arange(rows, dtype=np.float64) + 0.5),
        source="NS (AQ + D[1]) of acqus (--axis)",
    )


def _by_rule(folder: Path, acqus: Parameters, text: str, rows: int, said: str) -> Axis:
    rule = parse_rule(text, lists=True)
    listed = rule.lists
    if not listed:
        raise InputError(
            f"a rule without a list gives one value for each experiment, but this is one of {rows} "
            "rows: name a folder of numbered experiments, multiply a list (VC*D[20]), or give a "
            "file with one value a line",
            file=str(folder),
            key="--axis",
            value=str(rule),
        )
    values = np.full(rows, rule.value(acqus))
    for kind in listed:
        found = places(folder, acqus, kind.lower())
        if not found:
            raise InputError(
                f"there is no {LISTS[kind.lower()].file} in this data set for {rule}",
                file=str(folder),
                key="--axis",
                value=str(rule),
            )
        entries = parse_list(found[0], LISTS[kind.lower()].kind)
        if len(entries) != rows:
            raise InputError(
                f"has {len(entries)} entries for {rows} rows",
                file=str(found[0]),
                key="--axis",
                value=len(entries),
                limit=f"{rows} entries",
            )
        values = values * entries
    return Axis(
        name=rule.name,
        unit="s" if rule.is_time else "",
        values=values,
        source=f"{rule} of the data set ({said})",
    )


def _none_found(folder: Path, rows: int, used: list[str]) -> InputError:
    if used:
        files = ", ".join(LISTS[kind].file for kind in used)
        seen = f"the pulse program uses {', '.join(used)} and its list file is not there ({files})"
    else:
        seen = "the pulse program steps through no list"
    second = folder / "acqu2s"
    mode = Parameters(second).integer("FnMODE", 0, low=0) if second.is_file() else 0
    if mode > 1:
        seen += f"; FnMODE = {mode} is that of a two-dimensional spectrum, which is no series"
    there = [t.file for t in LISTS.values() if (folder / t.file).is_file()]
    if there:
        seen += f"; the data set holds {', '.join(there)}, which may be stale"
    return InputError(
        f"{rows} rows, but no array axis found ({seen}): {_SAY}", file=str(folder), key="axis"
    )
