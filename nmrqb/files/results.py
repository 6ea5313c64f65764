"""Results on disk: JSON without NaN, and output folders that are complete or not there."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmrqb.battery.charging import ChargingCurve
from nmrqb.errors import InputError, Problem

#: written last: a folder without it is not a complete result
SUCCESS = "SUCCESS"
_PARTIAL_MARK = ".nmrqb-partial"


def jsonable(value: object) -> Any:
    """Return a value as JSON objects; NaN and infinity become null, arrays lists."""
    if isinstance(value, np.ndarray):
        return [jsonable(v) for v in value.tolist()]
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, complex):
        return {"re": jsonable(value.real), "im": jsonable(value.imag)}
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if value is None or isinstance(value, (str, int, bool)):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def to_json(value: object) -> str:
    """Return JSON text of a value (no NaN, no Infinity), ending with a line end."""
    return json.dumps(jsonable(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def error_object(command: str, problems: tuple[Problem, ...]) -> dict[str, Any]:
    """Return the JSON object of a command that could not run."""
    return {
        "schema": f"nmrqb/{command}/1",
        "status": "error",
        "error": jsonable(problems[0]),
        "problems": [jsonable(p) for p in problems],
    }


def write_atomically(path: Path, text: str) -> None:
    """Write a text file whole: a reader finds the old one or the new one."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def write_curve(path: Path, curve: ChargingCurve) -> None:
    """Write a charging curve as JSON (``schema`` first)."""
    write_atomically(path, to_json({"schema": "nmrqb/charging-curve/1", **jsonable(curve)}))


def read_curve(path: Path) -> ChargingCurve:
    """Read a charging curve that ``write_curve`` wrote.

    Raises
    ------
    InputError
        Where the file is not such a curve.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot be read as JSON ({type(error).__name__})", file=str(path)
        ) from None
    if not isinstance(table, dict) or table.pop("schema", None) != "nmrqb/charging-curve/1":
        raise InputError("is not a charging curve of nmrqb", file=str(path), key="schema")
    if isinstance(table.get("ergotropy_stderr"), list):
        table["ergotropy_stderr"] = [np.nan if v is None else v for v in table["ergotropy_stderr"]]
    try:
        return ChargingCurve(**table)
    except (TypeError, ValueError) as error:
        raise InputError(f"is damaged: {error}", file=str(path)) from None


@contextlib.contextmanager
def output_folder(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield ``folder.partial`` to write into; on success mark it and rename it to `folder`.

    On an error the partial folder is removed and `folder` is as it was.  Only a result of nmrqb
    (a folder with the success marker) is ever replaced, and only with `overwrite`.

    Raises
    ------
    InputError
        Where `folder` exists and may not be replaced.
    """
    check_output(folder, overwrite=overwrite)
    partial = folder.with_name(folder.name + ".partial")
    if partial.exists():
        if not (partial / _PARTIAL_MARK).is_file():
            raise InputError(
                "is in the way: it was not left by nmrqb, so it is not removed", file=str(partial)
            )
        if _is_being_written(partial):
            raise InputError("is being written by another nmrqb", file=str(partial))
        shutil.rmtree(partial)
    try:
        partial.mkdir(parents=True)
        (partial / _PARTIAL_MARK).write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror})", file=str(partial)) from None
    try:
        yield partial
        (partial / SUCCESS).write_text("complete\n", encoding="utf-8")
        (partial / _PARTIAL_MARK).unlink()
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    old = folder.with_name(folder.name + ".old")
    if folder.exists():
        if any(folder.iterdir()):
            folder.replace(old)
        else:
            folder.rmdir()
    partial.replace(folder)
    if old.exists() and (old / SUCCESS).is_file():
        shutil.rmtree(old)


def _is_being_written(partial: Path) -> bool:
    """Return whether the process that left its number in a partial folder still runs."""
    try:
        number = int((partial / _PARTIAL_MARK).read_text(encoding="ascii"))
        os.kill(number, 0)
    except PermissionError:
        return True  # it runs, and belongs to somebody else
    except (OSError, ValueError, OverflowError):
        return False
    return number != os.getpid()


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Raise InputError unless `folder` is free, empty, or a result that may be replaced."""
    if folder.name in ("", ".", ".."):
        raise InputError("must name a folder", file=str(folder), key="-o")
    try:
        folder.exists()
    except OSError as error:
        raise InputError(f"cannot be used ({error.strerror})", key="-o") from None
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError("exists and is not a folder", file=str(folder), key="-o")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not overwrite:
        raise InputError(
            "is not empty: choose another folder or say --overwrite", file=str(folder), key="-o"
        )
    if not (folder / SUCCESS).is_file():
        raise InputError(
            "is not empty and not a result of nmrqb (no success marker): it is not overwritten",
            file=str(folder),
            key="-o",
        )
    old = folder.with_name(folder.name + ".old")
    if old.exists():
        raise InputError("is in the way of --overwrite: move it away", file=str(old))
