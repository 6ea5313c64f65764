"""Bruker data sets through nmrglue, with its known faults wrapped.

What nmrglue 0.12 does that we do not rely on, and where we do it instead:

- it reshapes a short ``ser`` silently or divides by zero: sizes are checked here first;
- rows are padded with zeros to 1024 bytes: the padding is cut off here;
- ``remove_digital_filter`` truncates the group delay: it is kept as a time origin;
- ``read_vdlist`` fails on ``10ms``, blank lines and comments: lists are parsed here.
"""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError, one_line
from nmrqb.files.axis import axis_from_file, parse_list
from nmrqb.signals.series import Axis, Series
from nmrqb.spins.nuclei import NUCLEI

#: list commands of pulse programs -> (list file of the data set, acqus key, folder, axis name)
_LISTS = {
    "vd": ("vdlist", "VDLIST", "vd", "delay"),
    "vc": ("vclist", "VCLIST", "vc", "cycles"),
    "vp": ("vplist", "VPLIST", "vp", "pulse length"),
}
_MAX_FILE_BYTES = 2**31
_PARAMETERS_MAX_BYTES = 2**23


def find_dataset(path: Path) -> Path:
    """Return the folder at or below `path` that holds one ``ser`` or ``fid`` with its ``acqus``.

    Raises
    ------
    InputError
        Where there is none, or more than one.
    """
    if path.is_file():
        path = path.parent
    if not path.is_dir():
        raise InputError("there is no such file or folder", file=str(path))
    if _is_dataset(path):
        return path
    found: list[Path] = []
    for folder, names, _files in os.walk(path, followlinks=False):
        names[:] = sorted(n for n in names if n != "pdata")
        if _is_dataset(Path(folder)):
            found.append(Path(folder))
            names[:] = []
        if len(found) > 50:
            break
    if not found:
        raise InputError(
            "no Bruker data set (acqus with ser or fid) at or below this folder", file=str(path)
        )
    if len(found) > 1:
        some = ", ".join(str(f.relative_to(path)) for f in found[:5])
        raise InputError(
            f"holds {len(found)} data sets ({some}{', ...' if len(found) > 5 else ''}); name one",
            file=str(path),
        )
    return found[0]


def _is_dataset(folder: Path) -> bool:
    return (folder / "acqus").is_file() and any((folder / n).is_file() for n in ("ser", "fid"))


class _Parameters:
    """A parameter file with checked look-ups."""

    def __init__(self, path: Path) -> None:
        import nmrglue

        self.path = path
        if path.stat().st_size > _PARAMETERS_MAX_BYTES:
            raise InputError(
                "is too large for a parameter file", file=str(path), limit="8 MiB at most"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.table: dict[str, Any] = nmrglue.bruker.read_jcamp(str(path), encoding="utf-8")
        except Exception as error:  # noqa: BLE001 -- nmrglue raises whatever its parser trips over
            raise InputError(
                f"is damaged: no parameters could be read ({one_line(str(error))})", file=str(path)
            ) from None

    def number(
        self, key: str, default: float | None = None, *, low: float = -1e15, high: float = 1e15
    ) -> float:
        value = self.table.get(key, default)
        if value is None:
            raise InputError("is missing", file=str(self.path), key=key)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = float("nan")
        if (
            not isinstance(value, (int, float))
            or not np.isfinite(value)
            or not low <= value <= high
        ):
            raise InputError(
                f"must be a number from {low:g} to {high:g}, but is {self.table.get(key)!r}",
                file=str(self.path),
                key=key,
                value=self.table.get(key),
                limit=f"{low:g} to {high:g}",
            )
        return float(value)

    def integer(
        self, key: str, default: int | None = None, *, low: int = 0, high: int = 2**31
    ) -> int:
        value = self.number(key, default, low=low, high=high)
        if value != int(value):
            raise InputError(
                f"must be a whole number, but is {value}", file=str(self.path), key=key, value=value
            )
        return int(value)

    def text(self, key: str) -> str:
        value = self.table.get(key, "")
        return value if isinstance(value, str) else ""


def read_bruker(path: Path, axis_source: str | None = None) -> Series:
    """Read a Bruker data set, 1D or pseudo-2D, as one Series.

    Parameters
    ----------
    path : Path
        The experiment folder, or a folder that holds exactly one.
    axis_source : str or None
        A file with one axis value for each row, instead of the axis found in the data set.

    Raises
    ------
    InputError
        Where files are missing, truncated or contradict each other, or the axis is ambiguous.
    """
    folder = find_dataset(path)
    acqus = _Parameters(folder / "acqus")
    acqu2s = _Parameters(folder / "acqu2s") if (folder / "acqu2s").is_file() else None
    name = "ser" if (folder / "ser").is_file() else "fid"
    nucleus = acqus.text("NUC1")
    if nucleus not in NUCLEI:
        raise InputError(
            f"must name the observed nucleus ({', '.join(NUCLEI)}), but is {nucleus!r}",
            file=str(acqus.path),
            key="NUC1",
            value=nucleus,
        )
    fids = _read_points(folder / name, acqus, acqu2s)
    sw = acqus.number("SW_h", low=1.0, high=1e8)
    sfo1 = acqus.number("SFO1", low=0.1, high=3000.0) * 1e6
    sf = sfo1
    notes: list[str] = []
    procs_path = folder / "pdata" / "1" / "procs"
    if procs_path.is_file():
        sf = _Parameters(procs_path).number("SF", low=0.1, high=3000.0) * 1e6
    else:
        sf = acqus.number("BF1", low=0.1, high=3000.0) * 1e6
        notes.append("no pdata/1/procs: chemical shifts from BF1, not referenced")
    carrier_ppm = (sfo1 - sf) / sf * 1e6
    if abs(carrier_ppm) > 1e4:
        raise InputError(
            f"SFO1 = {sfo1 / 1e6} MHz and the reference frequency {sf / 1e6} MHz contradict "
            "each other",
            file=str(acqus.path),
            key="SFO1",
            value=sfo1 / 1e6,
        )
    annotations = _annotations(folder / "pulseprogram")
    axis = _axis(folder, acqus, annotations, len(fids), axis_source, notes)
    reference = annotations.get("reference_row")
    if reference is not None and not (reference.isdigit() and int(reference) < len(fids)):
        raise InputError(
            f"must be a row from 0 to {len(fids) - 1}, but is {reference!r}",
            file=str(folder / "pulseprogram"),
            key="reference_row",
            value=reference,
        )
    scans = acqus.integer("NS", low=1)
    return Series(
        fids=fids,
        dwell_s=1.0 / sw,
        time_origin_s=_group_delay(acqus) / sw,
        carrier_hz=sfo1,
        carrier_ppm=carrier_ppm,
        nucleus=nucleus,
        axis=axis,
        scans=np.full(len(fids), scans),
        gain=acqus.number("RG", 1.0, low=0.0),
        reference_row=int(reference) if reference is not None else None,
        row_times_s=_row_times(annotations, len(fids), folder / "pulseprogram"),
        regions_ppm=_integral_regions(folder / "pdata" / "1" / "intrng"),
        provenance=f"Bruker {folder.name}/{name}",
        warnings=tuple(notes),
    )


def _read_points(
    path: Path, acqus: _Parameters, acqu2s: _Parameters | None
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
            rows = acqu2s.integer("TD", low=1, high=2**20)
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


def _group_delay(acqus: _Parameters) -> float:
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


def _annotations(program: Path) -> dict[str, str]:
    """Return the ``;@ key: value`` lines of a pulse program."""
    if not program.is_file():
        return {}
    text = program.read_text(encoding="utf-8", errors="replace")
    return {k: v.strip() for k, v in re.findall(r"^;@\s*(\w+)\s*:\s*(.*)$", text, re.MULTILINE)}


def _row_times(annotations: dict[str, str], rows: int, program: Path) -> NDArray[np.float64] | None:
    text = annotations.get("row_times_s")
    if text is None:
        return None
    try:
        times = np.array([float(word) for word in text.split()])
    except ValueError:
        times = np.empty(0)
    if times.shape != (rows,) or not np.isfinite(times).all() or (times < 0.0).any():
        raise InputError(
            f"must hold {rows} times in seconds, but is {text[:60]!r}",
            file=str(program),
            key="row_times_s",
        )
    return times


def _commands(program: Path) -> str:
    if not program.is_file():
        return ""
    text = program.read_text(encoding="utf-8", errors="replace")
    lines = (re.sub(r";.*", "", line) for line in text.splitlines())
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def _axis(
    folder: Path,
    acqus: _Parameters,
    annotations: dict[str, str],
    rows: int,
    axis_source: str | None,
    notes: list[str],
) -> Axis:
    if axis_source is not None:
        return axis_from_file(Path(axis_source), rows)
    if rows == 1 and not annotations:
        return Axis(name="row", unit="", values=np.zeros(1), source="a single FID")
    wanted = annotations.get("list")
    used = [wanted] if wanted in _LISTS else _used_lists(_commands(folder / "pulseprogram"))
    found: list[tuple[str, Path, str]] = []
    for kind in used:
        file, key, subfolder, name = _LISTS[kind]
        listed = acqus.text(key)
        places = [folder / file]
        if listed and "/" not in listed and "\\" not in listed:
            places.append(folder / "lists" / subfolder / listed)
        found += [(name, place, kind) for place in places if place.is_file()]
    say = "say which with --axis FILE (one value a line)"
    if not found:
        seen = f"the pulse program uses {', '.join(used)}" if used else "no list is used"
        raise InputError(
            f"{rows} rows, but no array axis found ({seen} and its list file is not there): {say}",
            file=str(folder),
            key="axis",
        )
    axes = []
    for name, place, kind in found:
        values = parse_list(place, time_list=kind != "vc")
        if len(values) != rows:
            raise InputError(
                f"has {len(values)} entries for {rows} rows: {say}",
                file=str(place),
                key="axis",
                value=len(values),
                limit=f"{rows} entries",
            )
        unit = "" if kind == "vc" else "s"
        source = f"{place.relative_to(folder)} (pulse program: {kind})"
        axes.append(
            Axis(name=annotations.get("axis", name), unit=unit, values=values, source=source)
        )
    first = axes[0]
    for other in axes[1:]:
        if not np.array_equal(first.values, other.values):
            raise InputError(
                f"{first.source} and {other.source} disagree: {say}", file=str(folder), key="axis"
            )
    if len(np.unique(first.values)) == 1 and rows > 1:
        notes.append(f"all {rows} values of the axis are equal")
    return first


def _used_lists(commands: str) -> list[str]:
    """Return the list kinds that a pulse program uses: vd, vp, or vc (``lo to ... times c``)."""
    used = []
    if re.search(r"\bi?vd\b", commands):
        used.append("vd")
    if re.search(r"\b(ivc|vc)\b|times\s+c\b", commands):
        used.append("vc")
    if re.search(r"\bi?vp\b", commands):
        used.append("vp")
    return used


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


def write_bruker(
    folder: Path, series: Series, *, list_kind: str, register_name: str, title: str
) -> None:
    """Write a simulated series as a Bruker pseudo-2D data set that nmrglue and TopSpin read.

    The points are rounded to int32 after a common scaling that uses 24 bits.

    Parameters
    ----------
    folder : Path
        The experiment folder, which must not exist.
    series : Series
        With ``time_origin_s`` 0: the simulated receiver has no digital filter.
    list_kind : {"vd", "vc"}
        The list that holds the axis.
    register_name, title : str
        Written as annotation and title, on one line each.
    """
    if series.time_origin_s != 0.0:
        raise ValueError("a simulated series starts at time 0")
    folder.mkdir(parents=True)
    points = series.points
    peak = float(np.abs(series.fids.view(np.float64)).max())
    scaled = np.rint(series.fids.view(np.float64) * (2**23 / peak))
    row_numbers = -(-points * 2 * 4 // 1024) * 256
    padded = np.zeros((series.rows, row_numbers), dtype="<i4")
    padded[:, : 2 * points] = scaled.astype("<i4")
    (folder / "ser").write_bytes(padded.tobytes())
    reference_mhz = series.reference_hz / 1e6
    file, key, _, _ = _LISTS[list_kind]
    common = {"BF1": reference_mhz, "NUC1": f"<{series.nucleus}>", "SFO1": series.carrier_hz / 1e6}
    acqus: dict[str, Any] = common | {
        "AQ_mod": 3,
        "BYTORDA": 0,
        "DECIM": 1,
        "DIGMOD": 0,
        "DSPFVS": 0,
        "DTYPA": 0,
        "GRPDLY": 0,
        "NC": 0,
        "NS": int(series.scans[0]),
        "O1": series.carrier_hz - series.reference_hz,
        "PULPROG": "<nmrqb_simulated>",
        "RG": series.gain,
        "SW": series.spectral_width_hz / (series.carrier_hz / 1e6),
        "SW_h": series.spectral_width_hz,
        "TD": 2 * points,
        key: "<nmrqb>",
    }
    acqu2s: dict[str, Any] = common | {"FnMODE": 1, "SW_h": 1.0, "TD": series.rows}
    procs = {"SF": reference_mhz, "SI": points}
    for name, table in (("acqus", acqus), ("acqu", acqus), ("acqu2s", acqu2s), ("acqu2", acqu2s)):
        _write_parameters(folder / name, table)
    (folder / "pdata" / "1").mkdir(parents=True)
    _write_parameters(folder / "pdata" / "1" / "procs", procs)
    (folder / "pdata" / "1" / "title").write_text(one_line(title) + "\n", encoding="utf-8")
    digits = (_list_entry(v, list_kind) for v in series.axis.values)
    (folder / file).write_text("".join(f"{d}\n" for d in digits), encoding="utf-8")
    lines = [
        "; simulated by nmrqb: this is no pulse program, only what the reader needs to know",
        f";@ list: {list_kind}",
        f";@ axis: {one_line(series.axis.name)}",
        f";@ register: {one_line(register_name)}",
    ]
    if series.reference_row is not None:
        lines.append(f";@ reference_row: {series.reference_row}")
    if series.row_times_s is not None:
        times = " ".join(f"{t:.12g}" for t in series.row_times_s)
        lines.append(f";@ row_times_s: {times}")
    (folder / "pulseprogram").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _list_entry(value: float, list_kind: str) -> str:
    return f"{round(value)}" if list_kind == "vc" else f"{value:.9g}s"


def _write_parameters(path: Path, table: dict[str, Any]) -> None:
    def shown(value: object) -> str:
        return f"{value!r}" if isinstance(value, float) else f"{value}"

    lines = ["##TITLE= Parameter file, nmrqb", "##JCAMPDX= 5.0", "##DATATYPE= Parameter Values"]
    lines += [f"##${key}= {shown(table[key])}" for key in sorted(table)]
    path.write_text("\n".join([*lines, "##END=", ""]), encoding="utf-8")
