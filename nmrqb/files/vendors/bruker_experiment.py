"""One Bruker experiment: its FIDs and what its parameter files say, without an array axis.

What nmrglue 0.12 does that we do not rely on, and where we do it instead:

- it reshapes a short ``ser`` silently or divides by zero: sizes are checked here first;
- rows are padded with zeros to 1024 bytes: the padding is cut off here;
- ``remove_digital_filter`` truncates the group delay and fails for DECIM = 1: the delay is kept as
  a time origin (``group_delay``), only its table of delays is nmrglue's;
- NC is never applied: ``bruker_numbered`` does, where experiments of different NC meet;
- ``read_vdlist`` fails on ``10ms``, blank lines and comments: ``axis.parse_list`` does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError
from nmrqb.files.vendors.bruker_parameters import Parameters
from nmrqb.files.vendors.isotopes import FREQUENCY_RATIOS, isotope_of, observed_nucleus
from nmrqb.files.vendors.raw import (
    checked_points,
    read_bytes,
    read_text,
    refuse_contradiction,
    refuse_links,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One experiment folder.

    Attributes
    ----------
    folder : Path
    file : str
        ``"ser"`` or ``"fid"``.
    acqus : Parameters
    fids : ndarray of complex, shape (rows, points)
        As stored: NC is not applied.
    planned_rows : int
        Rows that the experiment was set up for.
    nucleus : str
    dwell_s, time_origin_s : float
    carrier_hz, reference_hz : float
        Frequency of the carrier, and of 0 ppm.
    scans : int
    gain : float
    exponent : int
        NC: stored numbers times 2^NC are what was received.
    recorded_unix_s : float or None
    regions_ppm : tuple of (low, high)
    warnings : tuple of str
    """

    folder: Path
    file: str
    acqus: Parameters
    fids: NDArray[np.complex128]
    planned_rows: int
    nucleus: str
    dwell_s: float
    time_origin_s: float
    carrier_hz: float
    reference_hz: float
    scans: int
    gain: float
    exponent: int
    recorded_unix_s: float | None
    regions_ppm: tuple[tuple[float, float], ...]
    warnings: tuple[str, ...]

    @property
    def carrier_ppm(self) -> float:
        """Chemical shift at the carrier."""
        return (self.carrier_hz - self.reference_hz) / self.reference_hz * 1e6


def is_experiment(folder: Path) -> bool:
    """Return whether a folder holds ``acqus`` with ``ser`` or ``fid``."""
    return (folder / "acqus").is_file() and any((folder / n).is_file() for n in ("ser", "fid"))


def read_experiment(folder: Path) -> Experiment:
    """Read one experiment folder.

    Raises
    ------
    InputError
        Where files are missing, truncated or contradict each other.
    """
    refuse_links(folder)
    acqus = Parameters(folder / "acqus")
    acqu2s = Parameters(folder / "acqu2s") if (folder / "acqu2s").is_file() else None
    name = "ser" if (folder / "ser").is_file() else "fid"
    notes: list[str] = []
    _refuse_other_dimensions(folder, acqus)
    width = acqus.number("SW_h", low=1.0, high=1e8)
    carrier = acqus.number("SFO1", low=0.1, high=3000.0) * 1e6
    if "SW" in acqus.table:
        stated = acqus.number("SW", low=0.0, high=1e9) * carrier * 1e-6
        refuse_contradiction(acqus.path, "SW_h", "SW_h", width, "SW * SFO1", stated, 1e-3 * width)
        if abs(stated - width) > 1e-5 * width:
            notes.append(f"SW_h = {width:.9g} Hz, but SW * SFO1 = {stated:.9g} Hz: SW_h is taken")
    if "BF1" in acqus.table and "O1" in acqus.table:
        summed = acqus.number("BF1", low=0.1, high=3000.0) * 1e6 + acqus.number("O1")
        refuse_contradiction(acqus.path, "SFO1", "SFO1", carrier, "BF1 + O1", summed, width)
        if abs(carrier - summed) > 1.0:
            notes.append(
                f"SFO1 is {carrier - summed:.6g} Hz from BF1 + O1: chemical shifts are by SFO1"
            )
    reference = _reference(folder, acqus, carrier, notes)
    fids, planned = _read_points(folder / name, acqus, acqu2s, notes)
    delay = group_delay(acqus, fids, notes)
    if delay > fids.shape[1] - 16:
        raise InputError(
            f"is {delay:g} points, but the FIDs have only {fids.shape[1]}",
            file=str(acqus.path),
            key="GRPDLY",
            value=delay,
        )
    date = acqus.number("DATE", 0.0, low=0.0, high=2**33)
    return Experiment(
        folder=folder,
        file=name,
        acqus=acqus,
        fids=fids,
        planned_rows=planned,
        nucleus=_nucleus(folder, acqus, carrier, notes),
        dwell_s=1.0 / width,
        time_origin_s=delay / width,
        carrier_hz=carrier,
        reference_hz=reference,
        scans=acqus.integer("NS", low=1),
        gain=acqus.number("RG", 1.0, low=0.0),
        exponent=acqus.integer("NC", 0, low=-64, high=64),
        recorded_unix_s=date or None,
        regions_ppm=_integral_regions(folder / "pdata" / "1" / "intrng"),
        warnings=tuple(notes),
    )


def _refuse_other_dimensions(folder: Path, acqus: Parameters) -> None:
    mode = acqus.integer("AQ_mod", 3, low=0, high=3)
    if mode in (0, 2):
        raise InputError(
            f"is {mode} ({'one channel' if mode == 0 else 'sequential'} detection): only "
            "simultaneous detection (1 or 3) gives complex points",
            file=str(acqus.path),
            key="AQ_mod",
            value=mode,
            limit="1 or 3",
        )
    third = folder / "acqu3s"
    if third.is_file() and Parameters(third).integer("TD", 1, low=0) > 1:
        raise InputError(
            "the experiment has three dimensions: a series has one array axis",
            file=str(third),
            key="TD",
        )


def _reference(folder: Path, acqus: Parameters, carrier_hz: float, notes: list[str]) -> float:
    """Return the frequency of 0 ppm, Hz: SF of the processing, else BF1."""
    procs = folder / "pdata" / "1" / "procs"
    base = acqus.number("BF1", carrier_hz / 1e6, low=0.1, high=3000.0) * 1e6
    if procs.is_file():
        reference = Parameters(procs).number("SF", low=0.1, high=3000.0) * 1e6
    else:
        reference = base
        notes.append("no pdata/1/procs: chemical shifts from BF1, not referenced")
    # the largest ranges of shifts are of 1 %
    if abs(carrier_hz - reference) > 1e-2 * reference:
        raise InputError(
            f"SFO1 = {carrier_hz / 1e6} MHz and the reference frequency {reference / 1e6} MHz "
            "contradict each other",
            file=str(acqus.path),
            key="SFO1",
            value=carrier_hz / 1e6,
        )
    if abs(reference - base) > 2e-4 * base:
        notes.append(
            f"SF in pdata/1/procs puts 0 ppm {(reference - base) / base * 1e6:.4g} ppm from BF1: "
            "the chemical shifts may be stale"
        )
    return reference


def _nucleus(folder: Path, acqus: Parameters, carrier_hz: float, notes: list[str]) -> str:
    proton = None
    for channel in range(2, 9):
        other = isotope_of(acqus.text(f"NUC{channel}"))
        if other is not None and f"BF{channel}" in acqus.table:
            frequency = acqus.number(f"BF{channel}", low=0.0, high=3000.0) * 1e6
            proton = frequency / (FREQUENCY_RATIOS[other] / 100.0) or None
            break
    info = folder / "uxnmr.info"
    if proton is None and info.is_file():
        found = re.search(
            r"^1H-frequency\s*:\s*([0-9.]{1,12})\s*MHz", read_text(info), re.MULTILINE
        )
        if found and found.group(1).count(".") <= 1 and 5.0 < float(found.group(1)) < 1600.0:
            proton = float(found.group(1)) * 1e6
    return observed_nucleus(acqus.path, "NUC1", acqus.text("NUC1"), carrier_hz, proton, notes)


def _read_points(
    path: Path, acqus: Parameters, acqu2s: Parameters | None, notes: list[str]
) -> tuple[NDArray[np.complex128], int]:
    """Return the FIDs and the number of rows that were planned."""
    numbers = acqus.integer("TD", low=2, high=2**28)
    if numbers % 2:
        raise InputError(
            f"must be even (real and imaginary points), but is {numbers}",
            file=str(acqus.path),
            key="TD",
            value=numbers,
        )
    dtypa = acqus.integer("DTYPA", 0, high=2)
    size = 8 if dtypa == 2 else 4
    data = read_bytes(path)
    have = len(data)
    if path.name == "fid":
        rows = planned = 1
        row_bytes = numbers * size
    else:
        # rows begin at multiples of 1024 bytes; some versions count 256 numbers, or do not pad
        row_bytes = -(-numbers * size // 1024) * 1024
        rows = planned = have // row_bytes
        if acqu2s is not None:
            planned = acqu2s.integer("TD", low=1, high=2**20)
            for other in (-(-numbers // 256) * 256 * size, numbers * size):
                if have == planned * other != planned * row_bytes:
                    row_bytes = other
            rows = _rows(path, have, row_bytes, planned, notes)
    need = rows * row_bytes
    if have < need or rows < 1:
        raise InputError(
            f"is truncated: {max(rows, 1)} rows of {numbers} numbers need "
            f"{max(need, row_bytes)} bytes, but it has {have}",
            file=str(path),
            key="TD",
            value=have,
            limit=f"{max(need, row_bytes)} bytes",
        )
    padded = path.name == "fid" and have == -(-need // 1024) * 1024  # some versions pad it too
    if have != need and not padded:
        raise InputError(
            f"has {have} bytes, but {rows} rows of {numbers} numbers are {need}: acqus or acqu2s "
            "belong to another data set",
            file=str(path),
            key="TD",
            value=have,
            limit=f"{need} bytes",
        )
    order = ">" if acqus.integer("BYTORDA", 0, high=1) == 1 else "<"
    kind = {0: "i4", 1: "f4", 2: "f8"}[dtypa]
    stored = np.frombuffer(data, dtype=order + kind, count=need // size)
    whole = stored.reshape(rows, -1)
    if whole[:, numbers:].any():
        notes.append(
            f"{path.name}: rows of TD = {numbers} numbers are followed by more, where there should "
            "be zeros: TD may be wrong"
        )
    stored = whole[:, :numbers]
    with np.errstate(all="ignore"):
        fids = stored.astype(np.float64).view(np.complex128)
    checked_points(path, fids)
    _refuse_other_byte_order(path, stored)
    recorded = np.flatnonzero(fids.any(axis=1))
    if recorded[-1] + 1 < rows:
        kept = int(recorded[-1]) + 1
        notes.append(f"{path.name}: rows {kept} to {rows - 1} hold only zeros and are left out")
        fids, planned = fids[:kept], max(planned, rows)
    return fids, planned


def _rows(path: Path, have: int, row_bytes: int, planned: int, notes: list[str]) -> int:
    """Return the rows to read from a ``ser`` that was planned to have `planned`."""
    whole, rest = divmod(have, row_bytes)
    if rest or whole in (0, planned):
        return planned
    name = f"{path.parent.name}/acqu2s"
    if planned == 1:
        notes.append(
            f"{name} says TD = {planned}, but {path.name} holds exactly {whole} rows: the file "
            "is believed"
        )
        return whole
    if whole < planned:
        notes.append(
            f"{path.name} holds {whole} of the {planned} rows of acqu2s: the experiment was "
            "stopped, or its file was cut"
        )
        return whole
    return planned


def _refuse_other_byte_order(path: Path, stored: NDArray[np.generic]) -> None:
    """Raise InputError where integers would be far smaller in the other byte order."""
    if stored.dtype.kind != "i":
        return
    sample = np.ascontiguousarray(stored[0][:4096])
    here = np.median(np.abs(sample.astype(np.float64)))
    there = np.median(np.abs(sample.byteswap().astype(np.float64)))
    if here > 1e6 and there < 1e-2 * here:
        raise InputError(
            "would hold far smaller numbers in the other byte order: BYTORDA contradicts it",
            file=str(path),
            key="BYTORDA",
        )


def group_delay(acqus: Parameters, fids: NDArray[np.complex128], notes: list[str]) -> float:
    """Return the group delay in complex points: GRPDLY, else the table by DSPFVS and DECIM.

    Where GRPDLY is absent, -1, or 0 although a filter of the table was used, the table holds.  A
    delay without quiet first points is warned about: a program may have removed the filter.
    """
    stated = acqus.number("GRPDLY", -1.0, low=-1.0, high=1e4)
    decim = acqus.number("DECIM", 1.0, low=0.0)
    firmware = acqus.integer("DSPFVS", 0, high=1000)
    analogue = stated == 0.0 and acqus.integer("DIGMOD", 1, low=0, high=10) == 0
    listed = 0.0 if analogue or decim <= 1.0 else _table(firmware, decim)
    if stated > 0.0:
        if listed and abs(listed - stated) > 1.0:
            notes.append(
                f"GRPDLY = {stated:g}, but DSPFVS = {firmware} and DECIM = {decim:g} mean "
                f"{listed:g} points: GRPDLY is taken"
            )
        delay = stated
    elif stated < 0.0 and listed is None:
        raise InputError(
            f"GRPDLY is absent and DSPFVS = {firmware} with DECIM = {decim:g} is not in the "
            "table of group delays",
            file=str(acqus.path),
            key="GRPDLY",
        )
    else:
        delay = listed or 0.0
        if stated == 0.0 and delay and not _starts_late(fids, delay):
            delay = 0.0  # the filter was converted away
    if delay >= 4.0 and not _starts_late(fids, delay):
        notes.append(
            f"the group delay is {delay:g} points, but the FIDs have no quiet start: another "
            "program may have removed it"
        )
    return delay


def _table(firmware: int, decim: float) -> float | None:
    """Return the delay of the published table, or None where it has none."""
    import nmrglue

    value = nmrglue.bruker.bruker_dsp_table.get(firmware, {}).get(decim)
    return None if value is None else float(value)


def _starts_late(fids: NDArray[np.complex128], delay: float) -> bool:
    """Return whether the points before half the delay are quieter than those after it."""
    half, full = max(1, int(0.5 * delay)), int(np.ceil(delay))
    if fids.shape[1] < full + half:
        return True
    before = float(np.mean(np.abs(fids[:, :half]) ** 2))
    after = float(np.mean(np.abs(fids[:, full : full + half]) ** 2))
    return before < 0.5 * after


def _integral_regions(path: Path) -> tuple[tuple[float, float], ...]:
    """Return the integral regions (low, high) in ppm of TopSpin's ``intrng``."""
    if not path.is_file():
        return ()
    regions = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith(("#", "A", "P")):
            continue
        try:
            ends = sorted(float(w) for w in words[:2])
        except ValueError:
            ends = []
        if len(ends) != 2 or not np.isfinite(ends).all() or ends[0] == ends[1]:
            raise InputError(
                "must hold the two ends of a region in ppm",
                file=str(path),
                key=f"line {number}",
                value=line[:60],
            )
        regions.append((ends[0], ends[1]))
    return tuple(regions)
