"""Bruker data, XWIN-NMR to NEO: one experiment as a Series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError, one_line
from nmrqb.files.vendors.bruker_axis import annotations_of, array_axis
from nmrqb.files.vendors.bruker_experiment import read_experiment
from nmrqb.signals.series import Series


def read_bruker(folder: Path, axis_source: str | None = None) -> Series:
    """Read one Bruker experiment folder (1D or pseudo-2D) as a Series.

    Parameters
    ----------
    folder : Path
    axis_source : str or None
        A file with one axis value for each row, ``vdlist`` (or another list of the data set),
        ``row``, or a rule such as ``VC*D[20]``, instead of the axis found in the data.

    Raises
    ------
    InputError
        Where files are missing, truncated or contradict each other, or the axis is ambiguous.
    """
    experiment = read_experiment(folder)
    rows = len(experiment.fids)
    notes = list(experiment.warnings)
    program = folder / "pulseprogram"
    annotations = annotations_of(program)
    axis = array_axis(
        folder,
        experiment.acqus,
        annotations,
        experiment.fids,
        experiment.planned_rows,
        axis_source,
        notes,
    )
    reference = annotations.get("reference_row")
    if reference is not None and not (
        reference.isascii() and reference.isdigit() and int(reference[:9]) < rows
    ):
        raise InputError(
            f"must be a row from 0 to {rows - 1}, but is {reference[:60]!r}",
            file=str(program),
            key="reference_row",
            value=reference[:60],
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
        stored_exponent=experiment.exponent,
        reference_row=int(reference) if reference is not None else None,
        row_times_s=_row_times(annotations, rows, program),
        regions_ppm=experiment.regions_ppm,
        recorded_unix_s=experiment.recorded_unix_s,
        provenance=one_line(f"Bruker {folder.name}/{experiment.file}"),
        warnings=tuple(one_line(note) for note in notes),
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
