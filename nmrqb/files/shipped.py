"""Where shipped registers, spectrometers and protocols lie, in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

from nmrqb.errors import InputError

_PACKAGE = Path(__file__).resolve().parent.parent
_FOLDERS = {
    "register": Path("data") / "registers",
    "spectrometer": Path("data") / "spectrometers",
    "protocol": Path("protocols"),
    "reproduction": Path("protocols") / "reproduce",
}


def shipped_folder(kind: str) -> Path:
    """Return the folder of shipped files of a kind (``find_file`` lists them)."""
    inside = _PACKAGE / "_shipped" / _FOLDERS[kind]
    return inside if inside.is_dir() else _PACKAGE.parent / _FOLDERS[kind]


def shipped_names(kind: str) -> tuple[str, ...]:
    """Return the names of the shipped files of a kind."""
    return tuple(sorted(p.stem for p in shipped_folder(kind).glob("*.toml")))


def find_file(kind: str, name: str | Path, *, file: str | None = None) -> Path:
    """Return the path of a file: a shipped name (``"ttss"``) or a path that exists.

    Parameters
    ----------
    kind : {"register", "spectrometer", "protocol", "reproduction"}
    name : str or Path
    file : str, optional
        The file that refers to it, for the message and as the base of relative paths.

    Raises
    ------
    InputError
        Naming what is shipped.
    """
    text = str(name)
    is_path = isinstance(name, Path) or text.endswith(".toml") or "/" in text or "\\" in text
    if is_path:
        path = Path(text)
        if file is not None and not path.is_absolute():
            path = Path(file).parent / path
        if path.is_file():
            return path
    elif text in shipped_names(kind):
        return shipped_folder(kind) / f"{text}.toml"
    known = ", ".join(shipped_names(kind))
    raise InputError(
        f"there is no {kind} {text!r}: give a path to a .toml file or one of {known}",
        file=file or (text if is_path else None),
        key=kind if file else None,
        value=text,
        limit=known,
    )
