"""Core Scientific Dataset files (CSDM, ``.csdf``) of FIDs as a Series.

References
----------
D. J. Srivastava et al., PLoS ONE 15, e0225953 (2020).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError, one_line
from nmrqb.files.vendors.axis import axis_from_file, note_order, row_axis
from nmrqb.files.vendors.isotopes import observed_nucleus
from nmrqb.files.vendors.raw import checked, checked_points, read_text
from nmrqb.signals.series import Axis, Series

#: the key of what the model has no place for
APPLICATION = "org.nmrqb"
_MAX_BYTES = 2**30
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_HERTZ = {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9, "1/s": 1.0}
_NUMBERS = {
    f"{kind}{8 * size}": f"<{code}{size}"
    for kind, code, sizes in (("complex", "c", (8, 16)), ("float", "f", (4, 8)))
    for size in sizes
}


def read_csdm(path: Path, axis_source: str | None = None) -> Series:
    """Read one CSDM file whose first dimension is time and whose second, if any, is the array.

    Raises
    ------
    InputError
        Where it is no such file, or states no frequency or nucleus.
    """
    try:
        model = json.loads(read_text(path, _MAX_BYTES))["csdm"]
        dimensions = model["dimensions"]
        variable = model["dependent_variables"][0]
        extra = dict((model.get("application") or {}).get(APPLICATION) or {})
        time, counts = dimensions[0], [_count(path, d) for d in dimensions]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise InputError("is not a data set of the CSDM model", file=str(path)) from None
    if not 1 <= len(dimensions) <= 2 or time.get("type") != "linear":
        raise InputError(
            "must have a linear dimension of time and at most one more", file=str(path),
            key="dimensions",
        )  # fmt: skip
    points, rows = counts[0], counts[1] if len(counts) > 1 else 1
    fids = checked_points(path, _points(path, variable, rows, points))
    dwell = _quantity(path, "increment", time.get("increment"), _SECONDS, 1e-9, 10.0)
    offset = _quantity(path, "coordinates_offset", time.get("coordinates_offset", "0 s"), _SECONDS,
                       -1e3, 0.0)  # fmt: skip
    if -offset > (points - 16) * dwell:
        raise InputError("starts after the FID ends", file=str(path), key="coordinates_offset")
    reciprocal = time.get("reciprocal") or {}
    reference = _quantity(
        path, "origin_offset", reciprocal.get("origin_offset") or time.get("origin_offset"),
        _HERTZ, 1e5, 3e9,
    )  # fmt: skip
    shift = _quantity(
        path, "carrier", reciprocal.get("coordinates_offset", "0 Hz"), _HERTZ, -1e8, 1e8
    )
    notes: list[str] = []
    axis = _axis(path, dimensions[1] if len(dimensions) > 1 else None, rows, axis_source)
    note_order(axis, notes)
    scans = extra.get("scans", 1)
    listed = scans if isinstance(scans, list) else [scans] * rows
    if len(listed) != rows:
        raise InputError(f"has {len(listed)} entries for {rows} rows", file=str(path), key="scans")
    label = str(extra.get("nucleus", "")) or _channel(variable)
    return Series(
        fids=fids,
        dwell_s=dwell,
        time_origin_s=-offset,
        dead_time_s=checked(path, "dead_time", extra.get("dead_time", 0.0), 0.0, 1.0),
        carrier_hz=reference + shift,
        carrier_ppm=shift / reference * 1e6,
        nucleus=observed_nucleus(path, "nucleus", label, reference, None, notes),
        axis=axis,
        scans=np.array([int(checked(path, "scans", s, 1, 2**31, integer=True)) for s in listed]),
        gain=checked(path, "gain", extra.get("gain", 1.0), 0.0, 1e9),
        provenance=one_line(f"CSDM {path.name}"),
        warnings=tuple(one_line(note) for note in notes),
    )


def _count(path: Path, dimension: dict[str, Any]) -> int:
    listed = dimension.get("coordinates", dimension.get("labels"))
    count = dimension.get("count", len(listed) if isinstance(listed, list) else None)
    return int(checked(path, "count", count, 1, 2**28, integer=True))


def _points(path: Path, variable: dict[str, Any], rows: int, points: int) -> NDArray[np.complex128]:
    kind, encoding = variable.get("numeric_type"), variable.get("encoding", "base64")
    if variable.get("type", "internal") != "internal" or kind not in _NUMBERS:
        raise InputError(
            f"holds values of type {str(kind)[:20]!r} ({str(variable.get('type'))[:20]}): only "
            "internal complex or float values are read",
            file=str(path),
            key="dependent_variables",
        )
    try:
        component = variable["components"][0]
        if encoding == "base64":
            values = np.frombuffer(base64.b64decode(component, validate=True), _NUMBERS[kind])
        else:
            values = np.array(component, dtype=np.float64)
            if kind.startswith("complex"):
                values = values[0::2] + 1j * values[1::2]
    except (KeyError, IndexError, TypeError, ValueError, binascii.Error):
        raise InputError(
            "holds values that cannot be decoded", file=str(path), key="components"
        ) from None
    if values.size != rows * points or not kind.startswith("complex"):
        raise InputError(
            f"holds {values.size} values of type {kind} for {rows} rows of {points} complex points",
            file=str(path),
            key="components",
            value=int(values.size),
            limit=f"{rows * points} complex values",
        )
    return values.astype(np.complex128).reshape(rows, points)


def _quantity(
    path: Path, key: str, text: object, units: dict[str, float], low: float, high: float
) -> float:
    match = re.fullmatch(r"\s*([-+0-9.eE]{1,40})\s*([A-Za-zµ/1]{0,6})\s*", str(text))
    if match is None or match.group(2) not in units:
        raise InputError(
            f"must be a number with a unit ({', '.join(units)}), but is {str(text)[:40]!r}",
            file=str(path),
            key=key,
            value=str(text)[:40],
        )
    number = checked(path, key, match.group(1), -1e18, 1e18) * units[match.group(2)]
    return checked(path, key, number, low, high)


def _channel(variable: dict[str, Any]) -> str:
    return str(variable.get("name", ""))


def _axis(path: Path, dimension: dict[str, Any] | None, rows: int, axis_source: str | None) -> Axis:
    if axis_source == "row":
        return row_axis(rows)
    if axis_source is not None:
        return axis_from_file(Path(axis_source), rows)
    if dimension is None:
        return Axis(name="row", unit="", values=np.zeros(rows), source="a single FID")
    name = one_line(str(dimension.get("label") or "delay"))[:80]
    if dimension.get("type") == "linear":
        texts = [dimension.get("coordinates_offset", "0 s"), dimension.get("increment")]
        start, step = (_with_unit(path, t) for t in texts)
        values = np.array([start[0] + k * step[0] for k in range(rows)])
        is_time = step[1]
    else:
        listed = dimension.get("coordinates") or dimension.get("labels") or []
        found = [_with_unit(path, text) for text in listed]
        values = np.array([value for value, _ in found])
        is_time = all(flag for _, flag in found)
    return Axis(
        name=name,
        unit="s" if is_time else "",
        values=values,
        source="second dimension of the file",
    )


def _with_unit(path: Path, text: object) -> tuple[float, bool]:
    """Return a coordinate and whether it is a time."""
    number, _, unit = str(text).strip().partition(" ")
    if unit.strip() in _SECONDS:
        return checked(path, "coordinates", number, -1e15, 1e15) * _SECONDS[unit.strip()], True
    if unit.strip():
        raise InputError(
            f"must be a time or a plain number, but is {str(text)[:40]!r}",
            file=str(path),
            key="coordinates",
            value=str(text)[:40],
        )
    return checked(path, "coordinates", number, -1e15, 1e15), False
