"""Unit strings of files ("3.3 s", "11 Hz"): the one place where they become SI numbers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # pydantic is loaded only when a file is validated
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

#: dimension -> unit -> factor to the SI unit (the first unit listed is the SI one)
UNITS: dict[str, dict[str, float]] = {
    "time": {
        "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9,
        "min": 60.0, "h": 3600.0,
    },
    "frequency": {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6},
    "rate": {"/s": 1.0, "1/s": 1.0, "/ms": 1e3},
    "magnetic field": {"T": 1.0, "mT": 1e-3},
    "temperature": {"K": 1.0},
    "angle": {"rad": 1.0, "deg": math.pi / 180.0},
    "power": {"W": 1.0, "mW": 1e-3},
    "chemical shift": {"ppm": 1.0},
    "field gradient": {"T/m": 1.0, "mT/m": 1e-3, "G/cm": 1e-2},
    "concentration": {"mol/L": 1.0, "M": 1.0, "mmol/L": 1e-3, "mM": 1e-3},
    "share": {"%": 1e-2},
}  # fmt: skip

#: endings of field names that state a unit; the same noun in a file goes without
_SUFFIXES = (
    "_per_s",
    "_tesla_per_m",
    "_s",
    "_hz",
    "_tesla",
    "_kelvin",
    "_rad",
    "_ppm",
    "_watt",
    "_molar",
)


def file_key(field: str) -> str:
    """Return the file's key of a dataclass field: the field's name without its unit ending."""
    for suffix in _SUFFIXES:
        if field.endswith(suffix):
            return field.removesuffix(suffix)
    return field


#: how the file edge validates the dataclasses of the project (read by pydantic)
FILE_CONFIG: dict[str, Any] = {"extra": "forbid", "strict": True, "alias_generator": file_key}

_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s+(\S.*)")


@dataclass(frozen=True, slots=True)
class Unit:
    """Annotation of a dataclass field: the dimension of its unit string and its legal interval.

    ``Annotated[float, Unit("time", above=0.0)]`` is a time in seconds inside the program and a
    string such as ``"3.3 s"`` in a file. The interval is given in the SI unit.
    """

    dimension: str
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    def parse(self, value: object) -> float:
        """Return the number that a unit string stands for, in the SI unit of the dimension.

        Raises
        ------
        ValueError
            For a bare number, an unknown unit, another dimension, or a value outside the interval.
        """
        number = parse_quantity(value, self.dimension)
        self.check(number)
        return number

    def check(self, number: float) -> None:
        """Raise ValueError unless `number` (SI unit) lies within the interval."""
        limits = self.limits()
        if (
            (self.above is not None and not number > self.above)
            or (self.at_least is not None and not number >= self.at_least)
            or (self.at_most is not None and not number <= self.at_most)
        ):
            raise ValueError(f"must be {limits}, but is {format_quantity(number, self.dimension)}")

    def limits(self) -> str:
        """Return the interval in words."""
        parts = []
        if self.above is not None:
            parts.append(f"more than {format_quantity(self.above, self.dimension)}")
        if self.at_least is not None:
            parts.append(f"at least {format_quantity(self.at_least, self.dimension)}")
        if self.at_most is not None:
            parts.append(f"at most {format_quantity(self.at_most, self.dimension)}")
        article = "an" if self.dimension[0] in "aeiou" else "a"
        return " and ".join(parts) or f"{article} {self.dimension}"

    def __get_pydantic_core_schema__(
        self, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        from pydantic_core import core_schema

        parse = getattr(source, "from_file", None)
        if parse is not None:  # a value object such as Measured that is built around a quantity
            return core_schema.no_info_plain_validator_function(lambda v: parse(v, self))
        return core_schema.no_info_plain_validator_function(self.parse)


def si_unit(dimension: str) -> str:
    """Return the SI unit of a dimension."""
    return next(iter(UNITS[dimension]))


def parse_quantity(value: object, dimension: str) -> float:
    """Return the SI value of a unit string such as ``"3.3 s"``.

    Raises
    ------
    ValueError
        Where `value` is not a string of a finite number, a blank and a unit of `dimension`.
    """
    units = UNITS[dimension]
    article = "an" if dimension[0] in "aeiou" else "a"
    example = f'"3.3 {si_unit(dimension)}"'
    allowed = ", ".join(dict.fromkeys(u for u in units if u.isascii()))
    if not isinstance(value, str):
        raise ValueError(
            f"must be {article} {dimension} as a string with its unit, such as {example} "
            f"(units: {allowed}), but is {value!r}"
        )
    match = _QUANTITY.fullmatch(value.strip())
    if match is None:
        raise ValueError(
            f"must be {article} {dimension}: a number, a blank and a unit, such as {example} "
            f"(units: {allowed}), but is {value!r}"
        )
    number, unit = float(match.group(1)), match.group(2)
    if unit not in units:
        raise ValueError(f"must be {article} {dimension} (units: {allowed}), but is {value!r}")
    number *= units[unit]
    if not math.isfinite(number):
        raise ValueError(f"must be a finite {dimension}, but is {value!r}")
    return number


def format_quantity(number: float, dimension: str) -> str:
    """Return an SI number with the unit that reads best, such as ``"12.5 ms"``."""
    readable = {"time": ("s", "ms", "us", "ns"), "frequency": ("MHz", "kHz", "Hz")}
    unit = si_unit(dimension)
    if number and math.isfinite(number):
        names = readable.get(dimension, (unit,))
        unit = next((u for u in names if abs(number) >= UNITS[dimension][u]), names[-1])
    return f"{number / UNITS[dimension][unit]:.6g} {unit}"
