"""Varian and Agilent data (``fid`` with ``procpar``) as a Series.

What nmrglue 0.12 does that we do not rely on: it believes a header of any content and returns the
FIDs as stored, which makes a mirrored spectrum: a Varian receiver turns the other way round, and
the FIDs are conjugated here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError, one_line
from nmrqb.files.vendors.axis import note_order
from nmrqb.files.vendors.isotopes import FREQUENCY_RATIOS, isotope_of, observed_nucleus
from nmrqb.files.vendors.raw import (
    checked_points,
    read_bytes,
    refuse_contradiction,
    refuse_links,
    unpack,
)
from nmrqb.files.vendors.varian_axis import array_axis
from nmrqb.files.vendors.varian_procpar import Procpar
from nmrqb.signals.series import Series

_DATA, _SPECTRUM, _INT32, _FLOAT = 0x1, 0x2, 0x4, 0x8
_BLOCK_HEADER = 28


def is_varian(folder: Path) -> bool:
    """Return whether a folder holds ``fid`` with ``procpar``."""
    return (folder / "fid").is_file() and (folder / "procpar").is_file()


def read_varian(folder: Path, axis_source: str | None = None) -> Series:
    """Read one Varian or Agilent data set.

    Parameters
    ----------
    folder : Path
    axis_source : str or None
        A file with one axis value for each row, the name of an arrayed parameter, ``time`` for
        the times at which repeated acquisitions were taken, or ``row``.

    Raises
    ------
    InputError
        Where files are missing, truncated or contradict each other, or the axis is ambiguous.
    """
    refuse_links(folder)
    procpar = Procpar(folder / "procpar")
    notes: list[str] = []
    fids, scans = _read_points(folder / "fid", procpar, notes)
    width = procpar.number("sw", low=1.0, high=1e8)
    seconds = procpar.number("at", low=0.0, high=1e5)
    here = fids.shape[1] / width
    refuse_contradiction(
        procpar.path, "sw", "at", seconds, "np/(2 sw)", here, 0.6 / width + 1e-6 * here
    )
    if abs(seconds - here) > 1e-5 * here:
        notes.append(f"at = {seconds:.9g} s, but np/(2 sw) = {here:.9g} s: sw is taken")
    carrier = procpar.number("sfrq", low=0.1, high=3000.0) * 1e6
    gains = procpar.numbers("gain") if "gain" in procpar.table else (1.0,)
    if len(set(gains)) > 1:
        raise InputError(
            "the receiver gain was changed within the series: its rows cannot be compared",
            file=str(procpar.path),
            key="gain",
            value=f"{min(gains):g} to {max(gains):g}",
        )
    axis = array_axis(procpar, len(fids), axis_source, notes)
    note_order(axis, notes)
    reference = _reference_hz(procpar, carrier, width, notes)
    return Series(
        fids=fids,
        dwell_s=1.0 / width,
        time_origin_s=0.0,
        carrier_hz=carrier,
        carrier_ppm=(carrier - reference) / reference * 1e6,
        nucleus=observed_nucleus(
            procpar.path, "tn", procpar.text("tn"), carrier, _proton_hz(procpar), notes
        ),
        axis=axis,
        scans=scans,
        gain=max(gains[0], 0.0),
        recorded_unix_s=procpar.unix_s("time_run"),
        provenance=one_line(f"Varian {folder.name}"),
        warnings=tuple(one_line(note) for note in notes),
    )


def _read_points(
    path: Path, procpar: Procpar, notes: list[str]
) -> tuple[NDArray[np.complex128], NDArray[np.int64]]:
    """Return the conjugated FIDs and the scans of each row."""
    data = read_bytes(path)
    header = [int(v) for v in unpack(path, data, ">6i2hi", 0)]
    blocks, traces, numbers, size, trace_bytes, block_bytes, _, status, headers = header
    kind = ">f4" if status & _FLOAT else ">i4" if status & _INT32 else ">i2"
    if not status & _DATA or status & _SPECTRUM:
        raise InputError(
            "its header does not say that it holds FIDs", file=str(path), key="status", value=status
        )
    consistent = (
        1 <= blocks <= 2**20
        and 1 <= traces <= 2**20
        and 2 <= numbers <= 2**28
        and numbers % 2 == 0
        and size == np.dtype(kind).itemsize
        and trace_bytes == numbers * size
        and 1 <= headers <= 9
        and block_bytes == traces * trace_bytes + headers * _BLOCK_HEADER
    )
    if not consistent:
        raise InputError(
            "its header contradicts itself: "
            f"{blocks} blocks of {block_bytes} bytes with {traces} traces of {numbers} numbers of "
            f"{size} bytes",
            file=str(path),
            key="header",
        )
    stated = procpar.number("np", low=2, high=2**28)
    refuse_contradiction(path, "np", "np of procpar", stated, "that of fid", numbers, 0.0)
    whole, rest = divmod(len(data) - 32, block_bytes)
    if rest or whole > blocks or whole == 0:
        raise InputError(
            f"is truncated or too long: {blocks} blocks need {32 + blocks * block_bytes} bytes, "
            f"but it has {len(data)}",
            file=str(path),
            value=len(data),
            limit=f"{32 + blocks * block_bytes} bytes",
        )
    if whole < blocks:
        notes.append(f"{path.name} holds {whole} of {blocks} blocks: it was stopped or cut")
    stored = np.frombuffer(data, np.uint8, whole * block_bytes, 32).reshape(whole, block_bytes)
    first = np.ascontiguousarray(stored[:, :_BLOCK_HEADER])
    scale, block_status = first[:, :4].copy().view(">i2").T.astype(np.int64)
    counts = first[:, 8:12].copy().view(">i4")[:, 0].astype(np.int64)
    points = np.ascontiguousarray(stored[:, headers * _BLOCK_HEADER :]).view(kind)
    rows = points.reshape(whole * traces, numbers).astype(np.float64)
    recorded = np.repeat(counts > 0, traces) & rows.any(axis=1)
    _refuse_gaps(path, recorded, notes)
    kept = int(recorded.sum())
    if (np.abs(scale) > 32).any() or ((block_status ^ status) & (_FLOAT | _INT32)).any():
        raise InputError(
            "a block contradicts the header of the file (scale or kind of numbers)",
            file=str(path),
            key="block header",
        )
    if (scale != scale[0]).any():
        notes.append("the blocks state different scales: each is undone")
    factors = np.repeat(2.0**scale, traces)
    fids = (rows * factors[:, None]).view(np.complex128).conj()[:kept]
    scans = np.repeat(counts, traces)[:kept]
    planned = procpar.numbers("nt", 1.0, 2**31) if "nt" in procpar.table else ()
    if planned and scans.max() > max(planned):
        raise InputError(
            f"a block counts {scans.max()} scans, but nt is {max(planned):g}",
            file=str(path),
            key="nt",
            value=int(scans.max()),
        )
    if len(planned) == 1 and (scans < planned[0]).any():
        notes.append(f"rows hold {scans.min()} to {scans.max()} of nt = {planned[0]:g} scans")
    return checked_points(path, np.ascontiguousarray(fids)), scans


def _refuse_gaps(path: Path, recorded: NDArray[np.bool_], notes: list[str]) -> None:
    if not recorded.any():
        raise InputError("holds only zeros", file=str(path))
    kept = int(recorded.sum())
    if not recorded[:kept].all():
        raise InputError(
            f"row {int(np.argmin(recorded))} was not recorded (no scans or only zeros), but later "
            "rows were",
            file=str(path),
        )
    if kept < len(recorded):
        notes.append(f"{len(recorded) - kept} rows at the end were not recorded and are left out")


def _reference_hz(procpar: Procpar, carrier: float, width: float, notes: list[str]) -> float:
    """Return the frequency of 0 ppm, Hz: the right edge of the spectrum is at rfp - rfl."""
    if "rfl" not in procpar.table:
        notes.append("procpar holds no rfl: chemical shifts are not referenced")
        return carrier
    line = procpar.number("rfl", low=-1e9, high=1e9)
    shift = procpar.number("rfp", 0.0, low=-1e9, high=1e9)
    reference = carrier - (0.5 * width + shift - line)
    if abs(carrier - reference) > 1e-2 * carrier:
        raise InputError(
            f"rfl = {line:g} Hz and rfp = {shift:g} Hz put 0 ppm outside the reach of the nucleus",
            file=str(procpar.path),
            key="rfl",
            value=line,
        )
    if "reffrq" in procpar.table:
        stated = procpar.number("reffrq", low=0.0, high=3000.0) * 1e6
        if stated and abs(stated - reference) > 0.05e-6 * reference:
            notes.append(
                f"reffrq and rfl/rfp differ by {(stated - reference) / reference * 1e6:.3g} ppm in "
                "where 0 ppm is: rfl and rfp are taken"
            )
    return reference


def _proton_hz(procpar: Procpar) -> float | None:
    if "h1freq" in procpar.table:
        nominal = procpar.number("h1freq", low=0.0, high=3000.0) * 1e6
        if nominal > 5e6:
            return nominal
    other = isotope_of(procpar.text("dn"))
    if other is not None and "dfrq" in procpar.table:
        frequency = procpar.number("dfrq", low=0.0, high=3000.0) * 1e6
        return frequency / (FREQUENCY_RATIOS[other] / 100.0) or None
    return None
