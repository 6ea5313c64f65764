"""NMRPipe files of FIDs (1D or a plane of rows) as a Series.

The header is 512 numbers of four bytes; each row follows as its real points, then its imaginary
ones.  nmrglue 0.12 is not used to read: it believes the sizes and ignores the group delay.

References
----------
F. Delaglio et al., J. Biomol. NMR 6, 277 (1995); ``fdatap.h`` of NMRPipe.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nmrqb.errors import InputError, one_line
from nmrqb.files.vendors.axis import axis_from_file, note_order, parse_list, row_axis
from nmrqb.files.vendors.isotopes import observed_nucleus
from nmrqb.files.vendors.raw import (
    checked,
    checked_points,
    read_bytes,
    read_text,
    refuse_contradiction,
    unpack,
)
from nmrqb.signals.series import Axis, Series

HEADER_BYTES = 2048
#: positions in the header, in numbers of four bytes
POSITIONS = {
    "FDMAGIC": 0, "FDFLTFORMAT": 1, "FDFLTORDER": 2, "FDDIMCOUNT": 9, "FDDIMORDER1": 24,
    "FDDIMORDER2": 25, "FDDIMORDER3": 26, "FDDIMORDER4": 27, "FDDMXVAL": 40, "FDDMXFLAG": 41,
    "FDF1QUADFLAG": 55, "FDF2QUADFLAG": 56, "FDPIPEFLAG": 57, "FDF2CAR": 66, "FDF2CENTER": 79,
    "FDF2APOD": 95, "FDSIZE": 99, "FDF2SW": 100, "FDF2ORIG": 101, "FDQUADFLAG": 106,
    "FDF2OBS": 119, "FDF1OBS": 218, "FDSPECNUM": 219, "FDF2FTFLAG": 220, "FDTRANSPOSED": 221,
    "FDF1SW": 229, "FDF2TDSIZE": 386, "FDFILECOUNT": 442,
}  # fmt: skip
LABEL_BYTES = 16 * 4
#: the first bytes of the number 2.345 that tells the byte order
ORDER = 2.345


def is_nmrpipe(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of NMRPipe, in either byte order."""
    return len(head) >= 12 and any(_order(head, code) for code in "<>")


def _order(head: bytes, code: str) -> bool:
    magic, order = np.frombuffer(head, code + "f4", 3)[[0, 2]]
    return bool(magic == 0.0 and abs(float(order) - ORDER) < 1e-5)


def read_nmrpipe(path: Path, axis_source: str | None = None) -> Series:
    """Read one NMRPipe file of FIDs.

    The axis of several rows is that of a file beside it (``NAME.axis``, one value a line), else
    it is asked for.

    Raises
    ------
    InputError
        Where the file is truncated, contradicts itself, holds a spectrum or placeholders.
    """
    data = read_bytes(path)
    unpack(path, data, f"{HEADER_BYTES}s", 0)
    order = "<" if _order(data, "<") else ">"
    numbers = np.frombuffer(data, order + "f4", HEADER_BYTES // 4)
    header = {name: float(numbers[k]) for name, k in POSITIONS.items()}

    def stated(key: str, low: float, high: float, *, integer: bool = False) -> float:
        return checked(path, key, header[key], low, high, integer=integer)

    if stated("FDDIMCOUNT", 1, 4, integer=True) > 2 or stated("FDFILECOUNT", 0, 1e6) > 1:
        raise InputError("holds more than two dimensions", file=str(path), key="FDDIMCOUNT")
    if header["FDF2FTFLAG"] != 0.0:
        raise InputError(
            "holds a spectrum, no FIDs: convert the raw data", file=str(path), key="FDF2FTFLAG"
        )
    if header["FDTRANSPOSED"] != 0.0 or header["FDF2QUADFLAG"] != 0.0:
        raise InputError(
            "is transposed, or its points are not complex", file=str(path), key="FDF2QUADFLAG"
        )
    points = int(stated("FDSIZE", 16, 2**28, integer=True))
    rows = int(stated("FDSPECNUM", 0, 2**20, integer=True)) or 1
    if header["FDDIMCOUNT"] == 1.0:
        rows = 1
    need = HEADER_BYTES + 8 * points * rows
    if len(data) != need:
        raise InputError(
            f"is truncated or too long: {rows} rows of {points} points need {need} bytes, but it "
            f"has {len(data)}",
            file=str(path),
            value=len(data),
            limit=f"{need} bytes",
        )
    notes: list[str] = []
    planes = np.frombuffer(data, order + "f4", offset=HEADER_BYTES).reshape(rows, 2, points)
    with np.errstate(all="ignore"):
        fids = planes[:, 0].astype(np.float64) + 1j * planes[:, 1].astype(np.float64)
    checked_points(path, fids)
    width = stated("FDF2SW", 1.0, 1e8)
    observed = 1e6 * stated("FDF2OBS", 0.1, 3000.0)
    carrier_ppm = stated("FDF2CAR", -1e5, 1e5)
    # the frequency of the last point of the spectrum, Hz from 0 ppm
    origin = carrier_ppm * observed * 1e-6 - width * (0.5 * points - 1.0) / points
    if header["FDF2ORIG"] != 0.0:
        edge = stated("FDF2ORIG", -1e10, 1e10)
        refuse_contradiction(
            path,
            "FDF2ORIG",
            "FDF2ORIG",
            edge,
            "that of FDF2CAR",
            origin,
            2.0 * width / points + 1.0,
        )
    delay = stated("FDDMXVAL", -1.0, 1e4) if header["FDDMXFLAG"] != 1.0 else 0.0
    label = data[LABEL_BYTES : LABEL_BYTES + 8].split(b"\0")[0].decode("latin-1")
    axis = _axis(path, rows, axis_source)
    note_order(axis, notes)
    return Series(
        fids=fids,
        dwell_s=1.0 / width,
        time_origin_s=checked(path, "FDDMXVAL", max(delay, 0.0), 0.0, points - 16.0) / width,
        carrier_hz=observed * (1.0 + carrier_ppm * 1e-6),
        carrier_ppm=carrier_ppm,
        nucleus=observed_nucleus(path, "FDF2LABEL", label, observed, None, notes),
        axis=axis,
        scans=np.ones(rows, dtype=np.int64),
        provenance=one_line(f"NMRPipe {path.name}"),
        warnings=tuple(one_line(note) for note in notes),
    )


def _axis(path: Path, rows: int, axis_source: str | None) -> Axis:
    if axis_source == "row":
        return row_axis(rows)
    if axis_source is not None:
        return axis_from_file(Path(axis_source), rows)
    beside = path.with_suffix(".axis")
    if beside.is_file() and not beside.is_symlink():
        return _axis_beside(beside, rows)
    if rows == 1:
        return Axis(name="row", unit="", values=np.zeros(1), source="a single FID")
    raise InputError(
        f"{rows} rows, but NMRPipe files state no array axis: say it with --axis FILE (one value "
        f"a line), or put it beside the file as {one_line(beside.name)}",
        file=str(path),
        key="axis",
    )


def _axis_beside(beside: Path, rows: int) -> Axis:
    """Return the axis of a file whose first line may say ``# name, unit``."""
    first = read_text(beside).split("\n", 1)[0]
    name, _, unit = first.lstrip("# ").partition(",") if first.startswith("#") else ("", "", "s")
    is_time = unit.strip() != "1"
    values = parse_list(beside, "delay" if is_time else "number")
    if len(values) != rows:
        raise InputError(
            f"has {len(values)} values for {rows} rows",
            file=str(beside),
            key="axis",
            value=len(values),
            limit=f"{rows} values",
        )
    return Axis(
        name=one_line(name)[:80] or "delay",
        unit="s" if is_time else "",
        values=values,
        source=one_line(beside.name),
    )
