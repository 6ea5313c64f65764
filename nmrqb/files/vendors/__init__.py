"""The one door for measured data: which vendor it is, and its reader."""

from __future__ import annotations

from pathlib import Path

from nmrqb.errors import InputError
from nmrqb.signals.series import Series


def read_series(path: str | Path, *, axis: str | None = None, rows: str | None = None) -> Series:
    """Read a measured data set as one Series.

    Bruker (XWIN-NMR to NEO), Varian and Agilent, JEOL Delta, Magritek Spinsolve, JCAMP-DX,
    NMRPipe and CSDM are told apart by their files, as folder, file, or in an archive (zip, tar).

    Parameters
    ----------
    path : str or Path
        A data set, a folder that holds exactly one, one whose numbered Bruker experiments form a
        series, one of single FIDs (with `axis`), or an archive of any of these.
    axis : str, optional
        Where the data set does not say or is wrong: a file with one axis value for each row;
        ``vdlist`` (or another list of the data set); the name of an arrayed Varian parameter;
        ``time``, ``date`` or ``row``; a rule such as ``VC*D[20]``, or ``L[20]*D[20]`` for numbered
        experiments.
    rows : str, optional
        For numbered experiments of several rows: ``K``, or ``K-L`` for a difference.

    Raises
    ------
    InputError
        Where the data cannot be read, are damaged, or their axis is not certain.
    """
    from nmrqb.files.vendors.archive import is_archive, unpacked
    from nmrqb.files.vendors.find import head_of

    place = Path(path)
    if "\0" in str(path):
        raise InputError("is no name of a file", file=str(path)[:300])
    try:
        is_file = place.is_file()
    except OSError as error:
        raise InputError(f"cannot be used ({error.strerror})", file=str(path)[:300]) from None
    if is_file and is_archive(head_of(place)):
        with unpacked(place) as folder:
            return _read(folder, axis, rows, place)
    return _read(place, axis, rows, place)


def _read(place: Path, axis: str | None, rows: str | None, said: Path) -> Series:
    from nmrqb.files.vendors.bruker_numbered import are_numbered, read_numbered
    from nmrqb.files.vendors.find import BRUKER, MAX_DATA_SETS, find_data_sets
    from nmrqb.files.vendors.joined import read_joined

    found = find_data_sets(place)
    if len(found) > MAX_DATA_SETS:
        raise InputError(
            f"holds more than {MAX_DATA_SETS} data sets: name one",
            file=str(said),
            limit=f"{MAX_DATA_SETS} data sets",
        )
    if len(found) > 1:
        folders = [d.path for d in found]
        if all(d.vendor is BRUKER for d in found) and (
            are_numbered(folders) or rows is not None or axis is None
        ):
            return read_numbered(place, folders, axis, rows)
        if rows is None:
            return read_joined(place, found, axis)
    if rows is not None:
        raise InputError(
            "belongs to a folder of several numbered experiments, but this is one experiment",
            file=str(said),
            key="--rows",
            value=rows,
        )
    try:
        return found[0].vendor.read(found[0].path, axis)
    except ValueError as error:  # what the reader let through, Series refuses
        raise InputError(str(error), file=str(said)) from None
