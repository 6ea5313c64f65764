"""Parameter files of Bruker data sets (``acqus`` and the like) with checked look-ups."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from nmrqb.errors import InputError, one_line

_PARAMETERS_MAX_BYTES = 2**23


class Parameters:
    """A parameter file with checked look-ups.

    Raises
    ------
    InputError
        Where the file is damaged; look-ups raise it where a value is missing or out of range.
    """

    def __init__(self, path: Path) -> None:
        import nmrglue

        self.path = path
        if path.stat().st_size > _PARAMETERS_MAX_BYTES:
            raise InputError(
                "is too large for a parameter file", file=str(path), limit="8 MiB at most"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.table: dict[str, Any] = nmrglue.bruker.read_jcamp(str(path), encoding="utf-8")
        except Exception as error:  # noqa: BLE001 -- nmrglue raises whatever its parser trips over
            raise InputError(
                f"is damaged: no parameters could be read ({one_line(str(error))})", file=str(path)
            ) from None

    def number(
        self, key: str, default: float | None = None, *, low: float = -1e15, high: float = 1e15
    ) -> float:
        """Return a number from `low` to `high`."""
        value = self.table.get(key, default)
        if value is None:
            raise InputError("is missing", file=str(self.path), key=key)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = float("nan")
        if (
            not isinstance(value, (int, float))
            or not np.isfinite(value)
            or not low <= value <= high
        ):
            raise InputError(
                f"must be a number from {low:g} to {high:g}, but is {self.table.get(key)!r}",
                file=str(self.path),
                key=key,
                value=self.table.get(key),
                limit=f"{low:g} to {high:g}",
            )
        return float(value)

    def integer(
        self, key: str, default: int | None = None, *, low: int = 0, high: int = 2**31
    ) -> int:
        """Return a whole number from `low` to `high`."""
        value = self.number(key, default, low=low, high=high)
        if value != int(value):
            raise InputError(
                f"must be a whole number, but is {value}", file=str(self.path), key=key, value=value
            )
        return int(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return the values of an array such as L or D."""
        listed = self.table.get(key)
        if listed is None:
            raise InputError("is missing", file=str(self.path), key=key)
        if not isinstance(listed, list) or any(
            isinstance(v, bool) or not isinstance(v, (int, float)) or not np.isfinite(v)
            for v in listed
        ):
            raise InputError("must be a list of numbers", file=str(self.path), key=key)
        return tuple(float(v) for v in listed)

    def text(self, key: str) -> str:
        """Return a text, empty where it is missing."""
        value = self.table.get(key, "")
        return value if isinstance(value, str) else ""
