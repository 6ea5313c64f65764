"""One Bruker experiment: its FIDs and what its parameter files say, without an array axis.

What nmrglue 0.12 does that we do not rely on, and where we do it instead:

- it reshapes a short ``ser`` silently or divides by zero: sizes are checked here first;
- rows are padded with zeros to 1024 bytes: the padding is cut off here;
- ``remove_digital_filter`` truncates the group delay: it is kept as a time origin;
- ``read_vdlist`` fails on ``10ms``, blank lines and comments: ``axis.parse_list`` does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError
from nmrqb.files.bruker_parameters import Parameters
from nmrqb.spins.nuclei import NUCLEI

_MAX_FILE_BYTES = 2**31


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
    nucleus : str
    dwell_s, time_origin_s : float
    carrier_hz, reference_hz : float
        Frequency of the carrier, and of 0 ppm.
    scans : int
    gain : float
    regions_ppm : tuple of (low, high)
    warnings : tuple of str
    """

    folder: Path
    file: str
    acqus: Parameters
    fids: NDArray[np.complex128]
    nucleus: str
    dwell_s: float
    time_origin_s: float
    carrier_hz: float
    reference_hz: float
    scans: int
    gain: float
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
    acqus = Parameters(folder / "acqus")
    acqu2s = Parameters(folder / "acqu2s") if (folder / "acqu2s").is_file() else None
    name = "ser" if (folder / "ser").is_file() else "fid"
    nucleus = acqus.text("NUC1")
    if nucleus not in NUCLEI:
        raise InputError(
            f"must name the observed nucleus ({', '.join(NUCLEI)}), but is {nucleus!r}",
            file=str(acqus.path),
            key="NUC1",
            value=nucleus,
        )
    notes: list[str] = []
    fids = _read_points(folder / name, acqus, acqu2s, notes)
    width = acqus.number("SW_h", low=1.0, high=1e8)
    carrier = acqus.number("SFO1", low=0.1, high=3000.0) * 1e6
    procs_path = folder / "pdata" / "1" / "procs"
    if procs_path.is_file():
        reference = Parameters(procs_path).number("SF", low=0.1, high=3000.0) * 1e6
    else:
        reference = acqus.number("BF1", low=0.1, high=3000.0) * 1e6
        notes.append("no pdata/1/procs: chemical shifts from BF1, not referenced")
    if abs(carrier - reference) > 1e-2 * reference:
        raise InputError(
            f"SFO1 = {carrier / 1e6} MHz and the reference frequency {reference / 1e6} MHz "
            "contradict each other",
            file=str(acqus.path),
            key="SFO1",
            value=carrier / 1e6,
        )
    return Experiment(
        folder=folder,
        file=name,
        acqus=acqus,
        fids=fids,
        nucleus=nucleus,
        dwell_s=1.0 / width,
        time_origin_s=_group_delay(acqus) / width,
        carrier_hz=carrier,
        reference_hz=reference,
        scans=acqus.integer("NS", low=1),
        gain=acqus.number("RG", 1.0, low=0.0),
        regions_ppm=_integral_regions(folder / "pdata" / "1" / "intrng"),
        warnings=tuple(notes),
    )


def _read_points(
    path: Path, acqus: Parameters, acqu2s: Parameters | None, notes: list[str]
) -> NDArray[np.complex128]:
    import nmrglue

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
    row_bytes = -(-numbers * size // 1024) * 1024
    have = path.stat().st_size
    if have > _MAX_FILE_BYTES:
        raise InputError("is larger than 2 GiB", file=str(path), value=have)
    if path.name == "fid":
        rows, row_bytes = 1, numbers * size
    else:
        rows = have // row_bytes
        if acqu2s is not None:
            stated = acqu2s.integer("TD", low=1, high=2**20)
            if stated < rows and have == rows * row_bytes:
                notes.append(
                    f"{path.parent.name}/acqu2s says TD = {stated}, but {path.name} holds exactly "
                    f"{rows} rows: the file is believed"
                )
            else:
                rows = stated
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
    if have != need:
        raise InputError(
            f"has {have} bytes, but {rows} rows of {numbers} numbers are {need}: acqus or acqu2s "
            "belong to another data set",
            file=str(path),
            key="TD",
            value=have,
            limit=f"{need} bytes",
        )
    big = acqus.integer("BYTORDA", 0, high=1) == 1
    shape = (rows, row_bytes // size // 2)
    _, points = nmrglue.bruker.read_binary(
        str(path), shape=shape, cplex=True, big=big, isfloat=size == 8
    )
    fids = np.asarray(points, dtype=np.complex128)[:, : numbers // 2]
    if not np.isfinite(fids).all():
        raise InputError("holds NaN or infinite points", file=str(path))
    if not fids.any():
        raise InputError("holds only zeros", file=str(path))
    return fids


def _group_delay(acqus: Parameters) -> float:
    """Return the group delay in complex points: GRPDLY, else the table by DSPFVS and DECIM."""
    import nmrglue

    delay = acqus.number("GRPDLY", -1.0, low=-1.0, high=1e4)
    if delay >= 0.0:
        return delay
    decim = acqus.number("DECIM", 1.0, low=0.0)
    if decim <= 1.0:
        return 0.0
    firmware = acqus.integer("DSPFVS", 0, high=100)
    table = nmrglue.bruker.bruker_dsp_table
    try:
        return float(table[firmware][decim])
    except KeyError:
        raise InputError(
            f"GRPDLY is absent and DSPFVS = {firmware} with DECIM = {decim:g} is not in the "
            "table of group delays",
            file=str(acqus.path),
            key="GRPDLY",
        ) from None


def _integral_regions(path: Path) -> tuple[tuple[float, float], ...]:
    """Return the integral regions (low, high) in ppm of TopSpin's ``intrng``."""
    if not path.is_file():
        return ()
    regions = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
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
                value=line,
            )
        regions.append((ends[0], ends[1]))
    return tuple(regions)
