"""Reading of files that anybody may have made: bounded, inside their folder, checked."""

from __future__ import annotations

import contextlib
import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError

#: largest file of points, bytes
MAX_POINTS_BYTES = 2**31
#: largest parameter file, bytes
MAX_TEXT_BYTES = 2**23
#: entries of a data set that are looked at for links
_MAX_ENTRIES = 20_000
#: what converters write where they know nothing
PLACEHOLDERS = (999.99, 9999.99)


def refuse_links(folder: Path) -> None:
    """Raise InputError where a file or folder of a data set is a link that leaves it.

    A data set is what lies in its folder: a link may point to another user's files, to a device
    that never ends, or to itself.
    """
    root = folder.resolve()
    pending, seen = [folder], 0
    while pending:
        here = pending.pop()
        try:
            entries = list(here.iterdir())
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", file=str(here)) from None
        for entry in entries:
            seen += 1
            if seen > _MAX_ENTRIES:
                raise InputError(
                    "holds too many files for one data set",
                    file=str(folder),
                    limit=f"{_MAX_ENTRIES} entries",
                )
            if entry.is_symlink():
                inside = False
                with contextlib.suppress(OSError, RuntimeError):
                    inside = entry.resolve(strict=True).is_relative_to(root)
                if not inside:
                    raise InputError(
                        "is a link that leaves the data set or leads nowhere: replace it by the "
                        "file itself",
                        file=str(entry),
                    )
            elif entry.is_dir():
                pending.append(entry)


def read_bytes(path: Path, limit: int = MAX_POINTS_BYTES) -> bytes:
    """Return the contents of a regular file of at most `limit` bytes."""
    try:
        if not path.is_file():
            raise InputError("there is no such file", file=str(path))
        size = path.stat().st_size
        if size > limit:
            raise InputError(
                f"is larger than {limit} bytes", file=str(path), value=size, limit=f"{limit} bytes"
            )
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=str(path)) from None


def read_text(path: Path, limit: int = MAX_TEXT_BYTES) -> str:
    """Return a text file; bytes that are no UTF-8 are taken as Latin-1, as old consoles wrote."""
    data = read_bytes(path, limit)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def unpack(path: Path, data: bytes, format_: str, offset: int) -> tuple[float | int | bytes, ...]:
    """Return ``struct.unpack_from`` of a header, refusing a file that ends inside it."""
    need = offset + struct.calcsize(format_)
    if offset < 0 or need > len(data):
        raise InputError(
            f"is truncated: its header needs {need} bytes, but it has {len(data)}",
            file=str(path),
            value=len(data),
            limit=f"{need} bytes",
        )
    return struct.unpack_from(format_, data, offset)


def checked(
    path: Path, key: str, value: object, low: float, high: float, *, integer: bool = False
) -> float:
    """Return a number of a file that lies from `low` to `high` and is no placeholder.

    Raises
    ------
    InputError
        With file, key, value and limit.
    """
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    limit = f"{low:g} to {high:g}"
    if not (math.isfinite(number) and low <= number <= high):
        raise InputError(
            f"must be a number from {limit}, but is {str(value)[:60]!r}",
            file=str(path),
            key=key,
            value=str(value)[:60],
            limit=limit,
        )
    if integer and number != int(number):
        raise InputError(
            f"must be a whole number, but is {number:g}", file=str(path), key=key, value=number
        )
    if not integer and any(abs(number - p) < 1e-6 * p for p in PLACEHOLDERS):
        raise InputError(
            f"is {number:g}, a placeholder that a converter wrote: the true value is not known",
            file=str(path),
            key=key,
            value=number,
        )
    return number


def refuse_contradiction(
    path: Path, key: str, first: str, a: float, second: str, b: float, tolerance: float
) -> None:
    """Raise InputError where two statements of one number differ by more than `tolerance`."""
    if not abs(a - b) <= tolerance:
        raise InputError(
            f"{first} = {a:.9g} and {second} = {b:.9g} contradict each other",
            file=str(path),
            key=key,
            value=a,
            limit=f"within {tolerance:.3g} of {b:.9g}",
        )


def checked_points(path: Path, fids: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Return FIDs that are finite and not all zero."""
    with np.errstate(all="ignore"):
        finite = bool(np.isfinite(fids).all())
    if not finite:
        raise InputError("holds NaN or infinite points", file=str(path))
    if not fids.any():
        raise InputError("holds only zeros", file=str(path))
    largest = float(np.abs(fids.view(np.float64)).max())
    if not 1e-100 < largest < 1e100:
        raise InputError(
            f"holds points of magnitude {largest:.3g}: no receiver gives these, its number format "
            "or byte order is another",
            file=str(path),
            value=largest,
        )
    return fids
