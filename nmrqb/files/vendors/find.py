"""What lies at a path: which data sets, of which vendor."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nmrqb.errors import InputError
from nmrqb.files.vendors.bruker import read_bruker
from nmrqb.files.vendors.bruker_experiment import is_experiment
from nmrqb.files.vendors.csdm import read_csdm
from nmrqb.files.vendors.jcampdx import read_jcampdx
from nmrqb.files.vendors.jeol import read_jeol
from nmrqb.files.vendors.jeol_header import MAGIC
from nmrqb.files.vendors.magritek import is_magritek, read_magritek
from nmrqb.files.vendors.nmrpipe import is_nmrpipe, read_nmrpipe
from nmrqb.files.vendors.varian import is_varian, read_varian
from nmrqb.signals.series import Series

#: data sets of one series
MAX_DATA_SETS = 1024
_MAX_FOLDERS = 20_000
_HEAD_BYTES = 512
#: files that may hold FIDs of their own
_SUFFIXES = {".jdf", ".dx", ".jdx", ".jcamp", ".fid", ".csdf"}
OTHERS = "Varian, JEOL, Magritek, JCAMP-DX, NMRPipe or CSDM"


@dataclass(frozen=True, slots=True)
class Vendor:
    """A reader, and what to call its data."""

    name: str
    read: Callable[[Path, str | None], Series]


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set: its folder or file, and its vendor."""

    path: Path
    vendor: Vendor


BRUKER = Vendor("Bruker", read_bruker)
_FOLDERS: tuple[tuple[Callable[[Path], bool], Vendor], ...] = (
    (is_experiment, BRUKER),
    (is_varian, Vendor("Varian", read_varian)),
    (is_magritek, Vendor("Magritek", read_magritek)),
)
_JEOL, _PIPE = Vendor("JEOL", read_jeol), Vendor("NMRPipe", read_nmrpipe)
_JCAMP, _CSDM = Vendor("JCAMP-DX", read_jcampdx), Vendor("CSDM", read_csdm)


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=str(path)) from None


def vendor_of_folder(folder: Path) -> Vendor | None:
    """Return the vendor of a folder that is a data set itself."""
    return next((vendor for is_one, vendor in _FOLDERS if is_one(folder)), None)


def vendor_of_file(path: Path) -> Vendor | None:
    """Return the vendor of a file that is a data set itself, by its first bytes."""
    head = head_of(path)
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    if head.startswith(MAGIC):
        return _JEOL
    if text.startswith((b"##TITLE", b"##title")):
        return _JCAMP
    if text.startswith(b"{") and b'"csdm"' in head:
        return _CSDM
    return _PIPE if is_nmrpipe(head) else None


def find_data_sets(path: Path) -> list[DataSet]:
    """Return the data sets at or below a path.

    A file inside a data set (``ser``, ``fid``, ``acqus``, ``procpar``, ``data.1d``) stands for it.

    Raises
    ------
    InputError
        Where there is none.
    """
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except (OSError, ValueError):
        is_file = is_folder = False
    if is_file:
        vendor = vendor_of_file(path)
        if vendor is not None and not (vendor is _JCAMP and is_experiment(path.parent)):
            return [DataSet(path, vendor)]
        around = vendor_of_folder(path.parent)
        if around is not None:
            return [DataSet(path.parent, around)]
        # notes beside the numbered experiments of a series stand for them
        beside = [] if path.suffix.lower() in _SUFFIXES else _walk(path.parent)
        if not beside or any(
            d.path.parent != path.parent or d.vendor is not BRUKER for d in beside
        ):
            raise InputError(f"is no data set of Bruker, {OTHERS}", file=str(path))
        return beside
    if not is_folder:
        raise InputError("there is no such file or folder", file=str(path)[:300])
    vendor = vendor_of_folder(path)
    if vendor is not None:
        return [DataSet(path, vendor)]
    found = _walk(path)
    if not found:
        raise InputError(
            "no Bruker data set (acqus with ser or fid) at or below this folder, nor one of "
            f"{OTHERS}",
            file=str(path),
        )
    return found


def _walk(path: Path) -> list[DataSet]:
    found: list[DataSet] = []
    for count, (here, names, files) in enumerate(os.walk(path, followlinks=False)):
        folder = Path(here)
        names[:] = sorted(n for n in names if n != "pdata")
        vendor = vendor_of_folder(folder)
        if vendor is not None:
            found.append(DataSet(folder, vendor))
            names[:] = []
        else:
            found += _files(folder, sorted(files))
        if len(found) > MAX_DATA_SETS or count > _MAX_FOLDERS:
            break
    return found


def _files(folder: Path, names: list[str]) -> list[DataSet]:
    found = []
    for name in names:
        path = folder / name
        if path.suffix.lower() in _SUFFIXES and path.is_file() and not path.is_symlink():
            vendor = vendor_of_file(path)
            if vendor is not None:
                found.append(DataSet(path, vendor))
    return found
