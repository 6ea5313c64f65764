"""Array axes from list files: one value a line, any of the syntaxes that consoles accept."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError
from nmrqb.signals.series import Axis

_SUFFIXES = {"": 1.0, "s": 1.0, "m": 1e-3, "ms": 1e-3, "u": 1e-6, "us": 1e-6, "n": 1e-9, "ns": 1e-9}
_ENTRY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*([a-zA-Z]*)")
_MAX_LIST_BYTES = 2**22


def parse_list(path: Path, *, time_list: bool) -> NDArray[np.float64]:
    """Return the values of a list file, times in seconds.

    Blank lines and comments (``#``, ``;``) are skipped.  In a time list a bare number is seconds
    and the endings s, m or ms, u or us, n or ns are understood; a count list holds whole numbers.

    Raises
    ------
    InputError
        Naming the line that is not a value.
    """
    try:
        if path.stat().st_size > _MAX_LIST_BYTES:
            raise InputError("is too large for a list", file=str(path), limit="4 MiB")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=str(path)) from None
    values = []
    for number, raw in enumerate(lines, start=1):
        line = re.split(r"[#;]", raw)[0].strip()
        if not line:
            continue
        match = _ENTRY.fullmatch(line)
        unit = match.group(2) if match else ""
        value = float(match.group(1)) * _SUFFIXES.get(unit, np.nan) if match else np.nan
        legal = np.isfinite(value) and value >= 0.0
        if not time_list:
            legal = legal and unit == "" and value == int(value)
        if not legal:
            wanted = "a time such as 10, 0.5s or 250ms" if time_list else "a whole number"
            raise InputError(
                f"must be {wanted}, but is {line!r}",
                file=str(path),
                key=f"line {number}",
                value=line,
            )
        values.append(value)
    if not values:
        raise InputError("holds no values", file=str(path))
    return np.array(values)


def axis_from_file(path: Path, rows: int) -> Axis:
    """Return the axis of times (s) that a user's file gives, one value for each row."""
    if not path.is_file():
        raise InputError("there is no such file", file=str(path), key="--axis")
    values = parse_list(path, time_list=True)
    if len(values) != rows:
        raise InputError(
            f"has {len(values)} values for {rows} rows",
            file=str(path),
            key="--axis",
            value=len(values),
            limit=f"{rows} values",
        )
    return Axis(name="delay", unit="s", values=values, source=str(path.name))
