"""The one door for measured data: which vendor it is, and its reader."""

from __future__ import annotations

from pathlib import Path

from nmrqb.files.bruker import read_bruker
from nmrqb.signals.series import Series


def read_series(path: str | Path, *, axis: str | None = None, rows: str | None = None) -> Series:
    """Read a measured data set as one Series.

    Parameters
    ----------
    path : str or Path
        A Bruker experiment, a folder that holds exactly one, or one whose numbered experiments
        form a series.
    axis : str, optional
        A file with one axis value for each row, where the data set does not say or is wrong; for
        numbered experiments also a rule such as ``L[20]*D[20]``.
    rows : str, optional
        For numbered experiments of several rows: ``K``, or ``K-L`` for a difference.

    Raises
    ------
    InputError
        Where the data cannot be read, are damaged, or their axis is not certain.
    """
    return read_bruker(Path(path), axis, rows)
