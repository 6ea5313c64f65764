"""Magritek Spinsolve data (``acqu.par`` with ``data.1d``, ``fid.1d`` or ``data.2d``) as a Series.

What nmrglue 0.12 does that we do not rely on: it takes the first third of every ``.1d`` file as
its abscissa (true of kind 504 only), reads no ``.2d``, and returns the FIDs as stored: a
Spinsolve receiver turns the other way round, and the FIDs are conjugated here.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError, one_line
from nmrqb.files.vendors.axis import axis_from_file, note_order, row_axis
from nmrqb.files.vendors.isotopes import observed_nucleus
from nmrqb.files.vendors.raw import (
    checked,
    checked_points,
    read_bytes,
    read_text,
    refuse_contradiction,
    refuse_links,
    unpack,
)
from nmrqb.signals.series import Axis, Series

#: files of FIDs in order of preference
FID_FILES = ("data.2d", "data.1d", "fid.1d")
_COMPLEX, _TIME_AND_COMPLEX = 501, 504
#: parameters of the ends of an array in ms, and the model's name of it
_RANGES = (("minDelay", "maxDelay"), ("tauMin", "tauMax"), ("minTau", "maxTau"))
_LISTS = ("delayList", "delays", "tauList")


def is_magritek(folder: Path) -> bool:
    """Return whether a folder holds ``acqu.par`` with a file of FIDs."""
    return (folder / "acqu.par").is_file() and any((folder / n).is_file() for n in FID_FILES)


class AcquPar:
    """``acqu.par``: one ``name = value`` a line, with checked look-ups."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.table: dict[str, str] = {}
        for line in read_text(path).splitlines():
            name, equals, value = line.partition("=")
            if equals:
                self.table[name.strip()] = value.strip().strip('"')
        if not self.table:
            raise InputError("is damaged: it holds no parameter", file=str(path))

    def number(
        self, key: str, default: float | None = None, *, low: float = -1e15, high: float = 1e15
    ) -> float:
        """Return a number from `low` to `high`; a trailing ``d`` (double) is understood."""
        value = self.table.get(key)
        if value is None:
            if default is None:
                raise InputError("is missing", file=str(self.path), key=key)
            return default
        return checked(self.path, key, value.rstrip("dD"), low, high)


def read_magritek(folder: Path, axis_source: str | None = None) -> Series:
    """Read one Spinsolve experiment.

    Parameters
    ----------
    folder : Path
    axis_source : str or None
        A file with one axis value for each row, or ``row``.

    Raises
    ------
    InputError
        Where files are missing, truncated or contradict each other, or the axis is ambiguous.
    """
    refuse_links(folder)
    acqu = AcquPar(folder / "acqu.par")
    notes: list[str] = []
    path = next(folder / name for name in FID_FILES if (folder / name).is_file())
    fids, abscissa = _read_points(path)
    rows, points = fids.shape
    width = 1e3 * acqu.number("bandwidth", low=1e-3, high=1e5)
    dwell_us = acqu.number("dwellTime", 1e6 / width, low=1e-3, high=1e6)
    refuse_contradiction(
        acqu.path, "bandwidth", "bandwidth (Hz)", width, "1/dwellTime", 1e6 / dwell_us, 5e-3 * width
    )
    if "nrPnts" in acqu.table:
        stated = acqu.number("nrPnts", low=1, high=2**28)
        if acqu.number("nrEchoes", 0.0, low=0, high=2**28) == points != stated:
            raise InputError(
                f"holds the heights of a train of {points} echoes, no FIDs", file=str(path)
            )
        refuse_contradiction(acqu.path, "nrPnts", "nrPnts", stated, path.name, points, 0.0)
    if abscissa is not None:
        step = float(np.mean(np.diff(abscissa.astype(np.float64))))
        refuse_contradiction(
            path, "dwellTime", "its time axis (ms)", step, "dwellTime", dwell_us / 1e3, 5e-3 * step
        )
    reference = 1e6 * acqu.number("b1Freq", low=0.1, high=3000.0)
    if "lowestFrequency" in acqu.table:
        offset = acqu.number("lowestFrequency", low=-1e8, high=1e8) + 0.5 * width
    else:
        offset = 0.0
        notes.append("acqu.par holds no lowestFrequency: 0 ppm is taken at the carrier")
    proton = 1e6 * acqu.number("b1Freq1H", 0.0, low=0.0, high=3000.0) or None
    label = acqu.table.get("nucleus") or acqu.table.get("rxChannel", "")
    axis = _axis(acqu, rows, axis_source, notes)
    note_order(axis, notes)
    return Series(
        fids=fids,
        dwell_s=1.0 / width,
        time_origin_s=0.0,
        carrier_hz=reference + offset,
        carrier_ppm=offset / reference * 1e6,
        nucleus=observed_nucleus(acqu.path, "nucleus", label, reference, proton, notes),
        axis=axis,
        scans=np.full(rows, int(acqu.number("nrScans", 1.0, low=1, high=2**31))),
        gain=acqu.number("rxGain", 1.0, low=0.0, high=1e9),
        recorded_unix_s=_recorded(acqu.table.get("expName", folder.name)),
        provenance=one_line(f"Magritek {folder.name}/{path.name}"),
        warnings=tuple(one_line(note) for note in notes),
    )


def _read_points(path: Path) -> tuple[NDArray[np.complex128], NDArray[np.float32] | None]:
    """Return the conjugated FIDs, shape (rows, points), and the abscissa where there is one."""
    data = read_bytes(path)
    words = unpack(path, data, "<4s4s4s5i", 0)
    magic, kind = words[:2], int(words[3])
    if magic != (b"SORP", b"ATAD"):
        raise InputError("is not a Prospa data file", file=str(path))
    sizes = [int(w) for w in words[4:]]
    if not 16 <= sizes[0] <= 2**28 or any(not 0 <= s <= 2**20 for s in sizes[1:]):
        raise InputError(f"states sizes {sizes}", file=str(path), key="header")
    points, rows = sizes[0], math.prod(max(1, s) for s in sizes[1:])
    if kind not in (_COMPLEX, _TIME_AND_COMPLEX) or (kind == _TIME_AND_COMPLEX and rows > 1):
        raise InputError(
            f"holds data of kind {kind}: only complex FIDs (501, or 504 of one row) are read",
            file=str(path),
            key="header",
            value=kind,
        )
    need = 32 + 4 * points * (2 * rows + (kind == _TIME_AND_COMPLEX))
    if len(data) != need:
        raise InputError(
            f"is truncated or too long: {rows} rows of {points} points need {need} bytes, but it "
            f"has {len(data)}",
            file=str(path),
            value=len(data),
            limit=f"{need} bytes",
        )
    numbers = np.frombuffer(data, "<f4", offset=32)
    abscissa = None
    if kind == _TIME_AND_COMPLEX:
        abscissa, numbers = numbers[:points], numbers[points:]
        if not np.isfinite(abscissa).all():
            raise InputError("holds NaN or infinity in its time axis", file=str(path))
    with np.errstate(all="ignore"):
        fids = numbers.astype(np.float64).reshape(rows, 2 * points).view(np.complex128).conj()
    return checked_points(path, fids), abscissa


def _axis(acqu: AcquPar, rows: int, axis_source: str | None, notes: list[str]) -> Axis:
    """Return the axis: said, a list of delays, or from the smallest to the largest in steps."""
    if axis_source == "row":
        return row_axis(rows)
    if axis_source is not None:
        return axis_from_file(Path(axis_source), rows)
    if rows == 1:
        return Axis(name="row", unit="", values=np.zeros(1), source="a single FID")
    if "nrSteps" in acqu.table:
        steps = acqu.number("nrSteps", low=1, high=2**20)
        if steps != rows:
            raise InputError(
                f"is {steps:g}, but there are {rows} rows: say --axis FILE (one value a line)",
                file=str(acqu.path),
                key="nrSteps",
                value=steps,
                limit=f"{rows}",
            )
    for key in _LISTS:
        if acqu.table.get(key, "").startswith("["):
            words = acqu.table[key].strip("[]").split(",")
            values = [checked(acqu.path, key, word, 0.0, 1e9) for word in words]
            if len(values) != rows:
                raise InputError(
                    f"has {len(values)} entries for {rows} rows: say --axis FILE",
                    file=str(acqu.path),
                    key=key,
                    value=len(values),
                    limit=f"{rows} entries",
                )
            return Axis(
                name="delay", unit="s", values=np.array(values) * 1e-3, source=f"{key} of acqu.par"
            )
    for low_key, high_key in _RANGES:
        if low_key in acqu.table and high_key in acqu.table:
            return _range(acqu, low_key, high_key, rows, notes)
    if "echoesperstep" in acqu.table and "techo" in acqu.table:
        echoes = acqu.number("echoesperstep", low=1, high=1e9)
        spacing = 1e-6 * acqu.number("techo", low=1e-3, high=1e9)
        notes.append(
            f"row k is taken after k times {echoes:g} echoes of {spacing:g} s: a decay does not "
            "depend on where the first row is"
        )
        return Axis(
            name="delay",
            unit="s",
            values=np.array([k * echoes * spacing for k in range(rows)]),
            source="echoesperstep * techo of acqu.par",
        )
    raise InputError(
        f"{rows} rows, but acqu.par states no delays (minDelay, maxDelay, nrSteps): say which "
        "with --axis FILE (one value a line)",
        file=str(acqu.path),
        key="axis",
    )


def _range(acqu: AcquPar, low_key: str, high_key: str, rows: int, notes: list[str]) -> Axis:
    low, high = (1e-3 * acqu.number(key, low=0.0, high=1e9) for key in (low_key, high_key))
    spacing = acqu.table.get("delaySpacing", "").lower()
    if low >= high:
        raise InputError(
            f"is {low:g} s, but {high_key} is {high:g} s: say --axis FILE",
            file=str(acqu.path),
            key=low_key,
            value=low,
        )
    if spacing.startswith("log"):
        if low <= 0.0:
            raise InputError(
                "must be positive for logarithmic steps", file=str(acqu.path), key=low_key
            )
        values = np.geomspace(low, high, rows)
    else:
        values = np.linspace(low, high, rows)
        if not spacing.startswith("lin"):
            notes.append(
                "acqu.par does not say how the delays are spaced: linear steps are taken; where "
                "that is wrong, say --axis FILE"
            )
    return Axis(
        name="delay",
        unit="s",
        values=values,
        source=f"{low_key}, {high_key}, nrSteps of acqu.par ({spacing or 'linear'})",
    )


def _recorded(name: str) -> float | None:
    """Return the moment that a folder's name states (``yymmdd-hhmmss``), taken as UTC."""
    match = re.match(r"(\d{6})-(\d{6})", name)
    if match is None:
        return None
    try:
        moment = dt.datetime.strptime(match.group(0), "%y%m%d-%H%M%S")  # noqa: DTZ007
    except ValueError:
        return None
    return moment.replace(tzinfo=dt.UTC).timestamp()
