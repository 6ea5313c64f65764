"""Bruker data sets: the one reader of experiments and series, and the writer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError, one_line
from nmrqb.files.bruker_axis import LISTS, annotations_of, array_axis
from nmrqb.files.bruker_experiment import is_experiment, read_experiment
from nmrqb.files.bruker_numbered import MAX_EXPERIMENTS, is_rule, read_numbered
from nmrqb.signals.series import Series


def find_experiments(path: Path) -> list[Path]:
    """Return the folders at or below `path` that hold ``ser`` or ``fid`` with ``acqus``.

    Raises
    ------
    InputError
        Where there is none.
    """
    if path.is_file():
        path = path.parent
    if not path.is_dir():
        raise InputError("there is no such file or folder", file=str(path))
    if is_experiment(path):
        return [path]
    found: list[Path] = []
    for folder, names, _files in os.walk(path, followlinks=False):
        names[:] = sorted(n for n in names if n != "pdata")
        if is_experiment(Path(folder)):
            found.append(Path(folder))
            names[:] = []
        if len(found) > MAX_EXPERIMENTS:
            break
    if not found:
        raise InputError(
            "no Bruker data set (acqus with ser or fid) at or below this folder", file=str(path)
        )
    return found


def read_bruker(
    path: Path, axis_source: str | None = None, rows_source: str | None = None
) -> Series:
    """Read Bruker data as one Series: a 1D, a pseudo-2D, or the numbered experiments of a folder.

    Parameters
    ----------
    path : Path
        The experiment folder, a folder that holds exactly one, or one whose numbered experiments
        form a series.
    axis_source : str or None
        A file with one axis value for each row (each experiment of a numbered series), or for a
        numbered series a rule such as ``L[20]*D[20]``, instead of the axis found in the data.
    rows_source : str or None
        For a numbered series, the row of every experiment: ``K``, or ``K-L`` for a difference.

    Raises
    ------
    InputError
        Where files are missing, truncated or contradict each other, or the axis is ambiguous.
    """
    found = find_experiments(path)
    if len(found) > 1:
        return read_numbered(path, found, axis_source, rows_source)
    experiment = read_experiment(found[0])
    folder, rows = experiment.folder, len(experiment.fids)
    if rows_source is not None:
        raise InputError(
            "belongs to a folder of several numbered experiments, but this is one experiment",
            file=str(folder),
            key="--rows",
            value=rows_source,
        )
    if axis_source is not None and is_rule(axis_source):
        raise InputError(
            f"a rule gives one value for each experiment, but this is one of {rows} rows: name a "
            "folder of numbered experiments, or a file with one value a line",
            file=str(folder),
            key="--axis",
            value=axis_source,
        )
    notes = list(experiment.warnings)
    annotations = annotations_of(folder / "pulseprogram")
    axis = array_axis(folder, experiment.acqus, annotations, rows, axis_source, notes)
    reference = annotations.get("reference_row")
    if reference is not None and not (reference.isdigit() and int(reference) < rows):
        raise InputError(
            f"must be a row from 0 to {rows - 1}, but is {reference!r}",
            file=str(folder / "pulseprogram"),
            key="reference_row",
            value=reference,
        )
    return Series(
        fids=experiment.fids,
        dwell_s=experiment.dwell_s,
        time_origin_s=experiment.time_origin_s,
        carrier_hz=experiment.carrier_hz,
        carrier_ppm=experiment.carrier_ppm,
        nucleus=experiment.nucleus,
        axis=axis,
        scans=np.full(rows, experiment.scans),
        gain=experiment.gain,
        reference_row=int(reference) if reference is not None else None,
        row_times_s=_row_times(annotations, rows, folder / "pulseprogram"),
        regions_ppm=experiment.regions_ppm,
        provenance=f"Bruker {folder.name}/{experiment.file}",
        warnings=tuple(notes),
    )


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
    file, key, _, _ = LISTS[list_kind]
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
