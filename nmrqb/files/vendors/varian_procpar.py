"""Parameters of Varian and Agilent data sets (``procpar``) with checked look-ups.

Three lines a parameter: name, subtype and limits; number of values and values (texts one a line);
the permitted ones.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from pathlib import Path

from nmrqb.errors import InputError
from nmrqb.files.vendors.raw import checked, read_text

#: subtypes of procpar
DELAY, FREQUENCY, PULSE, INTEGER = 3, 5, 6, 7


@dataclass(frozen=True, slots=True)
class Parameter:
    """Subtype and values of one parameter, in the units of procpar (s, Hz, us)."""

    subtype: int
    values: tuple[float | str, ...]


class Procpar:
    """A ``procpar`` file.

    Raises
    ------
    InputError
        Where the file is damaged; look-ups raise it where a value is missing or out of range.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.table: dict[str, Parameter] = {}
        lines = read_text(path).splitlines()
        position = 0
        while position < len(lines):
            head = lines[position].split()
            if not head:
                position += 1
                continue
            try:
                name, subtype, basic = head[0], int(head[1]), int(head[2])
                values, position = _values(lines, position + 1, basic == 2)
                permitted = lines[position].split()
                position += 1
                # permitted texts may stand on lines of their own
                while position < len(lines) and lines[position].lstrip().startswith('"'):
                    position += 1
                int(permitted[0])
            except (ValueError, IndexError):
                raise InputError(
                    "is damaged: this is no parameter",
                    file=str(path),
                    key=f"line {min(position, len(lines) - 1) + 1}",
                    value=" ".join(head)[:60],
                ) from None
            if name in self.table:
                raise InputError("is damaged: stated twice", file=str(path), key=name[:60])
            self.table[name] = Parameter(subtype, values)
        if not self.table:
            raise InputError("is damaged: it holds no parameter", file=str(path))

    def numbers(self, key: str, low: float = -1e18, high: float = 1e18) -> tuple[float, ...]:
        """Return all values of a parameter as numbers from `low` to `high`."""
        found = self.table.get(key)
        if found is None or not found.values:
            raise InputError("is missing", file=str(self.path), key=key)
        return tuple(checked(self.path, key, v, low, high) for v in found.values)

    def number(
        self, key: str, default: float | None = None, *, low: float = -1e18, high: float = 1e18
    ) -> float:
        """Return the first value of a parameter as a number from `low` to `high`."""
        if key not in self.table and default is not None:
            return default
        return self.numbers(key, low, high)[0]

    def text(self, key: str) -> str:
        """Return a text, empty where it is missing."""
        found = self.table.get(key)
        value = found.values[0] if found is not None and found.values else ""
        return value if isinstance(value, str) else ""

    def unix_s(self, key: str) -> float | None:
        """Return a moment such as 20151206T141509 in seconds since 1970 (taken as UTC), or None."""
        match = re.fullmatch(r"(\d{8})T(\d{6})", self.text(key))
        if match is None:
            return None
        try:
            moment = dt.datetime.strptime(match.group(0), "%Y%m%dT%H%M%S")  # noqa: DTZ007
        except ValueError:
            return None
        return moment.replace(tzinfo=dt.UTC).timestamp()


def _values(lines: list[str], position: int, is_text: bool) -> tuple[tuple[float | str, ...], int]:
    """Return the values that start at a line, and the line after them."""
    count_word, _, rest = lines[position].strip().partition(" ")
    count = int(count_word)
    if not 0 <= count <= 2**20:
        raise ValueError("no such number of values")
    if not is_text:
        numbers = tuple(float(word) for word in rest.split())
        if len(numbers) != count or any(math.isnan(v) for v in numbers):
            raise ValueError("number of values")
        return numbers, position + 1
    texts: list[str] = []
    for k in range(count):
        text = rest if k == 0 else lines[position + k]
        match = re.fullmatch(r'\s*"(.*)"\s*', text)
        if match is None:
            raise ValueError("no text")
        texts.append(match.group(1))
    return tuple(texts), position + max(count, 1)
