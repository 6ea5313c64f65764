"""Tables of JCAMP-DX: AFFN and the packed, squeezed, difference and duplicate forms of ASDF.

References
----------
R. S. McDonald and P. A. Wilks, Appl. Spectrosc. 42, 151 (1988).
A. N. Davies and P. Lampen, Appl. Spectrosc. 47, 1093 (1993), on NMR.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError

#: first digits: squeezed @A..I a..i are 0..9 and -1..-9, differences %J..R j..r, duplicates S..Z s
_SQUEEZED = {c: str(k) for k, c in enumerate("@ABCDEFGHI")} | {
    c: f"-{k}" for k, c in enumerate("abcdefghi", start=1)
}
_DIFFERENCE = {c: str(k) for k, c in enumerate("%JKLMNOPQR")} | {
    c: f"-{k}" for k, c in enumerate("jklmnopqr", start=1)
}
_DUPLICATE = {c: str(k) for k, c in enumerate("STUVWXYZs", start=1)}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
# (no exponents here: E is a first digit)
_TOKEN = re.compile(r"[@A-Ia-i%J-Rj-rS-Zs]\d*(?:\.\d*)?|[+-]?(?:\d+\.?\d*|\.\d+)")
_IS_PACKED = re.compile(r"[@A-DF-Ia-df-i%J-Rj-rS-Zs]")
_MAX_POINTS = 2**28


def read_table(path: Path, key: str, text: str, count: int, x_factor: float) -> NDArray[np.float64]:
    """Return the ordinates of a table of the form (X++(Y..Y)), before their factor.

    Where a line begins with the number of its first point, it is checked against the points read
    so far; a line of differences repeats the last ordinate of the line before it as a check.

    Parameters
    ----------
    path, key
        For messages.
    text : str
        The lines of the table.
    count : int
        Points that the file states.
    x_factor : float
        What the abscissae of the lines are multiplied by to be numbers of points; 0 where they
        are not checked.

    Raises
    ------
    InputError
        Where a line is no table, fails its check, or the number of points is another.
    """
    values: list[float] = []
    last_was_difference = False
    pattern = _TOKEN if _IS_PACKED.search(re.sub(r"\$\$.*", "", text)) else _NUMBER
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.split("$$")[0].strip()
        if not line:
            continue
        where = f"{key}, line {number}"
        tokens = pattern.findall(line)
        leftover = pattern.sub("", line)
        if not tokens or leftover.strip(" \t,;?") != "":
            raise InputError(
                f"is no line of numbers: {line[:40]!r}", file=str(path), key=where, value=line[:40]
            )
        start = len(values) - (1 if last_was_difference else 0)
        _check_abscissa(path, where, tokens[0], x_factor, start)
        line_values, last = _line(path, where, tokens[1:])
        if last_was_difference and line_values:
            if line_values[0] != values[-1]:
                raise InputError(
                    f"fails its check: it begins with {line_values[0]:g}, but the line before "
                    f"ended with {values[-1]:g}",
                    file=str(path),
                    key=where,
                )
            line_values = line_values[1:]
        values += line_values
        last_was_difference = last
        if len(values) > min(count, _MAX_POINTS) + 1:
            break
    if len(values) == count + 1 and last_was_difference:
        values.pop()
    if len(values) != count:
        raise InputError(
            f"holds {len(values)} points, but {count} are stated",
            file=str(path),
            key=key,
            value=len(values),
            limit=f"{count} points",
        )
    return np.array(values)


def _check_abscissa(path: Path, where: str, token: str, x_factor: float, start: int) -> None:
    if _NUMBER.fullmatch(token) is None:
        raise InputError("does not begin with its abscissa", file=str(path), key=where)
    places = (abs(float(token) * x_factor), abs(float(token)))  # some writers count points
    if x_factor and min(abs(p - start) for p in places) > 0.51 + 1e-4 * start:
        raise InputError(
            f"begins at {token}, which is point {float(token) * x_factor:.6g}, but {start} points "
            "stand before it",
            file=str(path),
            key=where,
            value=token,
            limit=f"point {start}",
        )


def _line(path: Path, where: str, tokens: list[str]) -> tuple[list[float], bool]:
    """Return the ordinates of one line and whether it ends with a difference."""
    values: list[float] = []
    difference: float | None = None
    for token in tokens:
        first = token[0]
        if first in _DUPLICATE:
            times = int(_DUPLICATE[first] + token[1:].split(".")[0])
            if not values or not 1 <= times <= _MAX_POINTS - len(values):
                raise InputError(f"repeats nothing: {token!r}", file=str(path), key=where)
            if times > 10**7:
                raise InputError(f"repeats {times} times", file=str(path), key=where)
            for _ in range(times - 1):
                values.append(values[-1] + (difference or 0.0))
        elif first in _DIFFERENCE:
            if not values:
                raise InputError("begins with a difference", file=str(path), key=where)
            difference = float(_DIFFERENCE[first] + token[1:])
            values.append(values[-1] + difference)
        elif first in _SQUEEZED:
            difference = None
            values.append(float(_SQUEEZED[first] + token[1:]))
        else:
            difference = None
            values.append(float(token))
    return values, difference is not None
