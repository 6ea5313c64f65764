"""The array axis of a Varian or Agilent data set, from ``array`` of procpar or from the clock."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError, one_line
from nmrqb.files.vendors.axis import axis_from_file, row_axis
from nmrqb.files.vendors.varian_procpar import DELAY, PULSE, Procpar
from nmrqb.signals.series import Axis

#: user parameters of subtype "real" whose names say that they are times
_TIME_NAMES = re.compile(
    r"(?:d\d*|tau\w*|mix\w*|bigtau\w*|\w*delay\w*|t\d*|relax\w*|rt\w*|slt\w*)", re.IGNORECASE
)
_SAY = "say which with --axis NAME (the name of a parameter), --axis time, or --axis FILE"


def array_axis(procpar: Procpar, rows: int, axis_source: str | None, notes: list[str]) -> Axis:
    """Return the array axis of the `rows` of a data set.

    ``array`` names what was changed, in any combination: ``d2``; ``d2,pw`` (nested, the first
    slowest); ``(d2,pw)`` (together).  Repeated acquisitions (nothing changes, or only nt or pad)
    are a series in time: each takes nt (at + d1).

    Raises
    ------
    InputError
        Where more than one parameter changes, or the values do not fit the rows.
    """
    if axis_source == "row":
        return row_axis(rows)
    columns = _columns(procpar, rows)
    if axis_source == "time":
        return _clock(procpar, rows, columns, notes)
    if axis_source is not None:
        named = axis_source in procpar.table and not Path(axis_source).is_file()
        if named and axis_source in columns:
            return _axis(procpar, axis_source, columns[axis_source], notes)
        if named:
            raise InputError(
                f"{axis_source} was not arrayed; arrayed is {procpar.text('array') or 'nothing'}",
                file=str(procpar.path),
                key="--axis",
                value=axis_source,
            )
        return axis_from_file(Path(axis_source), rows)
    if rows == 1:
        return Axis(name="row", unit="", values=np.zeros(1), source="a single FID")
    changing = {name: v for name, v in columns.items() if len(np.unique(v)) > 1}
    if set(changing) <= {"nt", "pad"}:
        return _clock(procpar, rows, columns, notes)
    if len(changing) > 1:
        raise InputError(
            f"{', '.join(sorted(changing))} all change from row to row: {_SAY}",
            file=str(procpar.path),
            key="array",
            value=procpar.text("array"),
        )
    name, values = next(iter(changing.items()))
    return _axis(procpar, name, values, notes)


def _columns(procpar: Procpar, rows: int) -> dict[str, NDArray[np.float64]]:
    """Return the value that every arrayed parameter of numbers has in each row."""
    text = procpar.text("array").replace(" ", "")
    if not text:
        return {}
    groups = [g.strip("()").split(",") for g in re.findall(r"\([^()]*\)|[^,()]+", text)]
    sizes = []
    for group in groups:
        lengths = {len(procpar.table[n].values) for n in group if n in procpar.table}
        if len(lengths) != 1:
            raise InputError(
                f"names {','.join(group)}, which are missing or of different lengths",
                file=str(procpar.path),
                key="array",
                value=text[:60],
            )
        sizes.append(lengths.pop())
    total = int(np.prod(np.array(sizes, dtype=np.float64)))
    if "arraydim" in procpar.table:
        stated = int(procpar.number("arraydim", low=1, high=2**20))
        if stated % total:
            raise InputError(
                f"is {stated}, but array = {text[:60]!r} makes {total} rows",
                file=str(procpar.path),
                key="arraydim",
                value=stated,
                limit=str(total),
            )
    if rows > total or total > 2**20:
        raise InputError(
            f"array = {text[:60]!r} makes {total} rows, but fid holds {rows}: {_SAY}",
            file=str(procpar.path),
            key="array",
            value=rows,
            limit=f"{total} rows",
        )
    columns: dict[str, NDArray[np.float64]] = {}
    for group, index in zip(groups, np.unravel_index(np.arange(total), sizes), strict=True):
        for name in group:
            found = procpar.table[name].values
            if all(isinstance(v, float) for v in found):
                columns[name] = np.array(procpar.numbers(name))[index][:rows]
            else:  # texts and flags: only whether they change
                columns[name] = np.unique(np.array(found, dtype=str), return_inverse=True)[1][
                    index
                ][:rows].astype(np.float64)
    return columns


def _axis(procpar: Procpar, name: str, values: NDArray[np.float64], notes: list[str]) -> Axis:
    subtype = procpar.table[name].subtype
    source = f"{one_line(name)} of procpar"
    if not all(isinstance(v, float) for v in procpar.table[name].values):
        raise InputError(
            f"{name} holds texts, which are no axis: {_SAY}", file=str(procpar.path), key="array"
        )
    if subtype == PULSE:
        return Axis(name="pulse length", unit="s", values=values * 1e-6, source=source)
    if subtype == DELAY:
        return Axis(name="delay", unit="s", values=values, source=source)
    if _TIME_NAMES.fullmatch(name):
        notes.append(f"procpar gives no unit of {name}: it is taken as a time in seconds")
        return Axis(name="delay", unit="s", values=values, source=source)
    return Axis(name=name, unit="", values=values, source=source)


def _clock(
    procpar: Procpar, rows: int, columns: dict[str, NDArray[np.float64]], notes: list[str]
) -> Axis:
    """Return the middle of each acquisition, s after the first began: nt (at + d1) each."""
    at = procpar.number("at", low=0.0, high=1e5)
    d1 = procpar.number("d1", 0.0, low=0.0, high=1e5)
    nt = columns.get("nt", np.full(rows, procpar.number("nt", 1.0, low=1.0, high=2**31)))
    pad = columns.get("pad", np.zeros(rows))
    each = nt * (at + d1)
    middle = np.cumsum(pad + each) - 0.5 * each
    total = float((pad + each).sum())
    begin, end = procpar.unix_s("time_run"), procpar.unix_s("time_complete")
    if begin is not None and end is not None and end > begin:
        lasted = end - begin
        if abs(lasted - total) > 0.02 * total:
            notes.append(
                f"the {rows} rows take {total:.6g} s by nt (at + d1), but lasted {lasted:.6g} s by "
                "time_run and time_complete: the latter is taken"
            )
            middle *= lasted / total
    spacing = f"{middle[1] - middle[0]:.6g} s" if rows > 1 else f"{each[0]:.6g} s"
    notes.append(
        f"no parameter changes from row to row: the axis is the time of each acquisition "
        f"(nt (at + d1), {spacing} apart); where that is wrong, say --axis FILE"
    )
    return Axis(name="time", unit="s", values=middle, source="nt (at + d1) of procpar")
