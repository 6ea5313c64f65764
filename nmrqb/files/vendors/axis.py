"""Array axes from list files: one value a line, any of the syntaxes that consoles accept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError
from nmrqb.files.vendors.raw import read_text
from nmrqb.signals.series import Axis

#: what a list holds, and with it what a bare number means: seconds, microseconds, a count, a number
ListKind = Literal["delay", "pulse", "count", "number"]
_SUFFIXES = {"s": 1.0, "m": 1e-3, "ms": 1e-3, "u": 1e-6, "us": 1e-6, "n": 1e-9, "ns": 1e-9}
_ENTRY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*([a-zA-Z]*)")
_MAX_LIST_BYTES = 2**22
_WANTED: dict[ListKind, str] = {
    "delay": "a time such as 10, 0.5s or 250ms",
    "pulse": "a pulse length such as 10u or 0.5ms",
    "count": "a whole number",
    "number": "a number",
}
#: pulses longer than this are microseconds without their unit
_LONGEST_BARE_PULSE_S = 0.1


def parse_value(text: str, kind: ListKind) -> float | None:
    """Return one entry of a list (times in seconds), or None where it is none."""
    match = _ENTRY.fullmatch(text.strip())
    if match is None:
        return None
    unit = match.group(2).lower()
    if unit and (kind in ("count", "number") or unit not in _SUFFIXES):
        return None
    value = float(match.group(1)) * _SUFFIXES.get(unit, 1.0)
    if not np.isfinite(value) or (value < 0.0 and kind != "number"):
        return None
    return None if kind == "count" and value != int(value) else value


def parse_list(path: Path, kind: ListKind = "delay") -> NDArray[np.float64]:
    """Return the values of a list file, times in seconds.

    Blank lines and comments (``#``, ``;``) are skipped, several entries may share a line.  A bare
    number is seconds in a list of times; s, m or ms, u or us, n or ns are understood.

    Raises
    ------
    InputError
        Naming the line that is not a value.
    """
    values = []
    for number, raw in enumerate(read_text(path, _MAX_LIST_BYTES).splitlines(), start=1):
        line = re.split(r"[#;]|//", raw)[0].strip().lstrip("\ufeff")
        if not line:
            continue
        if re.fullmatch(r"[A-Za-z]+", line) and number == 1 and kind == "number":
            continue  # valist: "Watt" or "dB" as the first line
        found = parse_value(line, kind)
        if found is None:
            raise InputError(
                f"must be {_WANTED[kind]}, but is {line[:60]!r}",
                file=str(path),
                key=f"line {number}",
                value=line[:60],
            )
        if kind == "pulse" and found > _LONGEST_BARE_PULSE_S and re.fullmatch(r"[\d.]+", line):
            raise InputError(
                f"holds a pulse length of {found:g} s: write its unit (10u)",
                file=str(path),
                key=f"line {number}",
                value=line[:60],
                limit=f"{_LONGEST_BARE_PULSE_S:g} s without a unit",
            )
        values.append(found)
    if not values:
        raise InputError("holds no values", file=str(path))
    return np.array(values)


def axis_from_file(path: Path, rows: int) -> Axis:
    """Return the axis of times (s) that a user's file gives, one value for each row."""
    try:
        is_there = path.is_file()
    except OSError:
        is_there = False
    if not is_there:
        raise InputError("there is no such file", file=str(path)[:300], key="--axis")
    values = parse_list(path)
    if len(values) != rows:
        raise InputError(
            f"has {len(values)} values for {rows} rows",
            file=str(path),
            key="--axis",
            value=len(values),
            limit=f"{rows} values",
        )
    return Axis(name="delay", unit="s", values=values, source=str(path.name))


def row_axis(rows: int) -> Axis:
    """Return the axis that only counts the rows."""
    return Axis(name="row", unit="", values=np.arange(rows, dtype=np.float64), source="row numbers")


def date_axis(folder: Path, recorded: Sequence[tuple[str, float | None]]) -> Axis:
    """Return the axis of acquisition dates, seconds after the first of the data sets.

    Raises
    ------
    InputError
        Where a date is missing or all are equal.
    """
    for name, date in recorded:
        if date is None:
            raise InputError(
                "does not state when it was recorded: give --axis FILE",
                file=str(folder / name),
                key="--axis",
                value="date",
            )
    dates = np.array([date for _, date in recorded], dtype=np.float64)
    if len(np.unique(dates)) < len(dates):
        raise InputError(
            "two data sets state the same date: give --axis FILE",
            file=str(folder),
            key="--axis",
            value="date",
        )
    return Axis(
        name="time", unit="s", values=dates - dates.min(), source="dates of acquisition (--axis)"
    )


def note_order(axis: Axis, notes: list[str]) -> None:
    """Add a warning where the values of an axis are all equal or hold a repeated one."""
    count, distinct = len(axis.values), len(np.unique(axis.values))
    if count > 1 and distinct == 1:
        notes.append(f"all {count} values of the axis are equal")
    elif distinct < count:
        notes.append(f"the axis holds {count - distinct} repeated value(s)")
