"""One measured number into a user's register file; comments and layout stay."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Literal

from nmrqb.errors import InputError, Problem, one_line
from nmrqb.files.shipped import shipped_folder
from nmrqb.files.toml import parse_register, parse_toml, read_bytes
from nmrqb.spins.register import Measured

Spin = Literal["charger", "battery", "center", "satellite", "load"]
Quantity = Literal["t1", "t2"]
SPINS: tuple[Spin, ...] = ("charger", "battery", "center", "satellite", "load")
_SCHEMA = "nmrqb/register/1"


def user_register(name: str) -> Path:
    """Return the path of a register file that may be edited.

    Raises
    ------
    InputError
        For a shipped register, and for what is no writable file.
    """
    path = Path(name)
    if path.is_dir():
        raise InputError("is a folder, not a register file", file=name, key="--into")
    if not name.endswith(".toml") and not path.is_file():
        raise InputError(
            "must be the path of a register file of your own (copy a shipped one first), but is "
            f"{name!r}",
            key="--into",
            value=name,
        )
    if not path.is_file():
        raise InputError("there is no such file", file=name, key="--into")
    path = path.resolve()
    if path.parent == shipped_folder("register").resolve():
        raise InputError(
            "is a shipped register and stays as it is: copy it and name the copy",
            file=name,
            key="--into",
        )
    # also where the user is root, whom the system lets write anything
    if not path.stat().st_mode & stat.S_IWUSR or not os.access(path, os.W_OK):
        raise InputError("is read-only", file=name, key="--into")
    return path


def place_of(path: Path, spin: Spin) -> tuple[str, str]:
    """Return the table of a spin in a register file (center, satellite, load) and its isotope.

    Raises
    ------
    InputError
        Where the file is no register, or one without a load that was asked for.
    """
    register = parse_register(read_bytes(path), str(path))
    if spin == "load":
        if register.load is None:
            raise InputError("has no [load]", file=str(path), key="--spin", value=spin)
        return "load", register.load.isotope
    center = spin == "center" or (spin in ("battery", "charger") and register.center.role == spin)
    species = register.center if center else register.satellite
    return ("center" if center else "satellite"), species.isotope


def edited_register(path: Path, place: str, quantity: Quantity, measured: Measured) -> bytes:
    """Return a register file's content with one measured time entered; nothing is written.

    Parameters
    ----------
    path : Path
    place : {"center", "satellite", "load"}
    quantity : {"t1", "t2"}
    measured : Measured
        In seconds, with standard error and source.

    Raises
    ------
    InputError
        Where the register with the new value would not be valid (T2 <= 2 T1, T2* <= T2).
    """
    import tomlkit
    import tomlkit.exceptions

    raw = read_bytes(path)
    bom = b"\xef\xbb\xbf" if raw.startswith(b"\xef\xbb\xbf") else b""
    before = parse_toml(raw, str(path), _SCHEMA)
    entry = {"value": _time(measured.value)}
    if measured.stderr is not None:
        entry["stderr"] = _time(measured.stderr)
    entry["source"] = one_line(measured.source or "")
    try:
        document: Any = tomlkit.parse(raw[len(bom) :].decode("utf-8"))
        _enter(document[place], quantity, entry)
        after = bom + tomlkit.dumps(document).encode("utf-8")
    except (tomlkit.exceptions.TOMLKitError, TypeError, KeyError) as error:
        raise InputError(
            f"cannot be edited ({one_line(str(error))}): enter {quantity} of {place} by hand",
            file=str(path),
        ) from None
    before[place][quantity] = entry
    if parse_toml(after, str(path), _SCHEMA) != before:
        raise InputError(
            f"is laid out so that {quantity} of {place} cannot be edited alone: enter it by hand",
            file=str(path),
        )
    try:
        parse_register(after, str(path))
    except InputError as error:
        shown = f"{quantity.upper()} = {_time(measured.value)}"
        raise InputError(
            [
                Problem(
                    message=f"the measured {shown} of {place} cannot be entered: {p.message}",
                    file=p.file,
                    key=f"{place}.{quantity}",
                    value=shown,
                )
                for p in error.problems
            ]
        ) from None
    return after


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file's content whole, keeping its permissions."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(stat.S_IMODE(path.stat().st_mode))
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _time(seconds: float) -> str:
    return f"{seconds:.6g} s"


def _enter(species: Any, quantity: str, entry: dict[str, str]) -> None:
    import tomlkit
    from tomlkit.items import InlineTable, Table

    old = species[quantity]
    if isinstance(old, InlineTable):
        pairs = (f"{key} = {tomlkit.string(value).as_string()}" for key, value in entry.items())
        new: Any = tomlkit.value(f"{{ {', '.join(pairs)} }}")
        new.trivia.indent = old.trivia.indent
        new.trivia.comment_ws, new.trivia.comment = old.trivia.comment_ws, old.trivia.comment
        new.trivia.trail = old.trivia.trail
        species[quantity] = new
        return
    comments = []
    if isinstance(old, Table):
        container: Any = old.value
        comments = [container.item(k).trivia.comment for k in old if k not in entry]
    for key in [k for k in old if k not in entry]:
        del old[key]
    for key, value in entry.items():
        old[key] = value
    source: Any = old["source"]
    for comment in filter(None, comments):  # of a line that went
        if not source.trivia.comment:
            source.comment(comment)
