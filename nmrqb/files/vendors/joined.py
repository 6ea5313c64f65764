"""Single FIDs of one folder, of any vendor, as one series: the axis is said by the user."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nmrqb.errors import InputError, one_line
from nmrqb.files.vendors.axis import axis_from_file, date_axis, row_axis
from nmrqb.files.vendors.find import DataSet
from nmrqb.signals.series import Series

_SAME: tuple[tuple[str, Callable[[Series], object]], ...] = (
    ("nucleus", lambda s: s.nucleus),
    ("spectral width", lambda s: f"{s.spectral_width_hz:.6g} Hz"),
    ("points", lambda s: s.points),
    ("group delay", lambda s: f"{s.time_origin_s / s.dwell_s:.4g} points"),
    ("carrier", lambda s: f"{s.carrier_hz / 1e6:.7f} MHz"),
    ("receiver gain", lambda s: f"{s.gain:.6g}"),
)


def read_joined(path: Path, found: Sequence[DataSet], axis_source: str | None) -> Series:
    """Read single FIDs as one Series, in the order of their names (numbers by value).

    Parameters
    ----------
    path : Path
        For messages.
    found : sequence of DataSet
    axis_source : str or None
        A file with one value for each data set, ``date`` or ``row``.

    Raises
    ------
    InputError
        Where no axis is said, a data set is damaged or holds several rows, or they differ in what
        cannot be divided out.
    """
    some = ", ".join(one_line(_name(path, d)) for d in found[:5])
    count = f"holds {len(found)} data sets ({some}{', ...' if len(found) > 5 else ''})"
    if axis_source is None:
        raise InputError(
            f"{count}: name one, or say what makes them one series: --axis FILE (one value for "
            "each, in the order of their names), --axis date (when they were recorded) or "
            "--axis row",
            file=str(path),
        )
    ordered = sorted(found, key=lambda d: _natural(_name(path, d)))
    series = [d.vendor.read(d.path, None) for d in ordered]
    for one, data_set in zip(series, ordered, strict=True):
        if one.rows != 1:
            raise InputError(
                f"holds {one.rows} rows: only single FIDs are joined", file=str(data_set.path)
            )
    for words, value in _SAME:
        values = [value(s) for s in series]
        usual = Counter(values).most_common(1)[0][0]
        for own, data_set in zip(values, ordered, strict=True):
            if own != usual:
                raise InputError(
                    f"differs from the other data sets in {words}: {own} instead of {usual}; they "
                    "form no series",
                    file=str(data_set.path),
                    key=words,
                    value=own,
                    limit=str(usual),
                )
    if axis_source == "date":
        axis = date_axis(
            path,
            [(_name(path, d), s.recorded_unix_s) for d, s in zip(ordered, series, strict=True)],
        )
    elif axis_source == "row":
        axis = row_axis(len(series))
    else:
        axis = axis_from_file(Path(axis_source), len(series))
    first = series[0]
    return Series(
        fids=np.concatenate([s.fids for s in series]),
        dwell_s=first.dwell_s,
        time_origin_s=first.time_origin_s,
        carrier_hz=first.carrier_hz,
        carrier_ppm=first.carrier_ppm,
        nucleus=first.nucleus,
        axis=axis,
        scans=np.concatenate([s.scans for s in series]),
        gain=first.gain,
        regions_ppm=first.regions_ppm,
        recorded_unix_s=first.recorded_unix_s,
        provenance=one_line(f"{ordered[0].vendor.name} {path.name}, {len(series)} data sets"),
        warnings=tuple(dict.fromkeys(w for s in series for w in s.warnings)),
    )


def _name(path: Path, data_set: DataSet) -> str:
    return str(data_set.path.relative_to(path)) if data_set.path != path else path.name


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts numbers by value: 9 before 10."""
    words = re.findall(r"[0-9]{1,18}|[^0-9]+", name)
    return [(0, int(w), "") if w.isascii() and w.isdigit() else (1, 0, w) for w in words]
