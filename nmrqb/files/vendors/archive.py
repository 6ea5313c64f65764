"""Archives (zip, tar and their compressed forms): unpacked with care, read, removed."""

from __future__ import annotations

import contextlib
import lzma
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO

from nmrqb.errors import InputError, one_line

#: all files of an archive together, unpacked
_MAX_BYTES = 2**31
_MAX_ENTRIES = 20_000
#: an archive that unpacks to more than this times its size is no measurement
_MAX_RATIO = 200.0
_FREE_BYTES = 2**24
_CHUNK = 2**20


def is_archive(head: bytes) -> bool:
    """Return whether a file begins as a zip or a tar, compressed or not."""
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return True
    compressed = head[:2] == b"\x1f\x8b" or head[:3] == b"BZh" or head[:6] == b"\xfd7zXZ\x00"
    return compressed or (len(head) >= 262 and head[257:262] == b"ustar")


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield a temporary folder with the files of an archive, and remove it afterwards.

    Only regular files are unpacked, each below that folder.

    Raises
    ------
    InputError
        Where an entry would leave the folder or is a link or a device, the archive unpacks to too
        much, or is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="nmrqb-") as name:
        folder = Path(name) / "data"
        folder.mkdir()
        try:
            if zipfile.is_zipfile(path):
                _unzip(path, folder)
            else:
                _untar(path, folder)
        except (
            OSError,
            EOFError,
            ValueError,
            RuntimeError,
            NotImplementedError,
            zipfile.BadZipFile,
            tarfile.TarError,
            zlib.error,
            lzma.LZMAError,
        ) as error:
            raise InputError(
                f"is a damaged archive ({one_line(str(error))[:80] or type(error).__name__})",
                file=str(path),
            ) from None
        try:
            yield folder
        except InputError as error:
            # what was unpacked is gone when the message is read: name it within the archive
            inside = [
                replace(p, file=p.file and p.file.replace(str(folder), str(path), 1))
                for p in error.problems
            ]
            raise InputError(inside) from None


class _Budget:
    """Bytes and entries that are left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = min(_MAX_BYTES, _FREE_BYTES + int(_MAX_RATIO * path.stat().st_size))
        self.entries = _MAX_ENTRIES

    def take(self, count: int) -> None:
        self.bytes -= count
        if self.bytes < 0:
            raise InputError("unpacks to far more than a measurement holds", file=str(self.path))

    def entry(self) -> None:
        self.entries -= 1
        if self.entries < 0:
            raise InputError(
                "holds too many entries", file=str(self.path), limit=f"{_MAX_ENTRIES} entries"
            )


def _place(path: Path, folder: Path, name: str) -> Path:
    """Return where an entry goes, refusing names that leave the folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    unsafe = (
        not parts
        or parts[0] == "/"
        or ".." in parts
        or any(":" in p or "\0" in p or len(p.encode("utf-8", "replace")) > 255 for p in parts)
        or len(parts) > 32
    )
    if unsafe:
        raise InputError(
            "holds an entry whose name would leave the folder or cannot be written: "
            f"{one_line(name)[:60]!r}",
            file=str(path),
        )
    return folder.joinpath(*parts)


def _write(source: IO[bytes], target: Path, budget: _Budget) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            budget.take(len(chunk))
            file.write(chunk)


def _unzip(path: Path, folder: Path) -> None:
    budget = _Budget(path)
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            budget.entry()
            if info.is_dir():
                _place(path, folder, info.filename)
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                raise InputError(f"holds a link: {one_line(info.filename)[:60]!r}", file=str(path))
            target = _place(path, folder, info.filename)
            with archive.open(info) as source:
                _write(source, target, budget)


def _untar(path: Path, folder: Path) -> None:
    budget = _Budget(path)
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            budget.entry()
            target = _place(path, folder, member.name)
            if member.isdir():
                continue
            if not member.isreg():
                raise InputError(
                    f"holds a link or a device: {one_line(member.name)[:60]!r}", file=str(path)
                )
            budget.take(0)
            source = archive.extractfile(member)
            assert source is not None
            _write(source, target, budget)
