"""Header and parameters of JEOL Delta files (``.jdf``).

The header (1360 bytes) is big-endian whatever the points are; the parameters are records of 64
bytes in the byte order of the points.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nmrqb.errors import InputError
from nmrqb.files.vendors.raw import checked, unpack

MAGIC = b"JEOL.NMR"
#: header values of the kind of an axis
REAL, COMPLEX, REAL_COMPLEX = 1, 3, 4
#: edge of the square tiles that a two-dimensional file is cut into, by format
TILE = {2: 32, 12: 4}
_AXIS_LISTED = (1, 3)
_RECORD = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class JeolHeader:
    """What the header states; sequences are one value for each of eight axes."""

    byte_order: str
    is_float32: bool
    format: int
    axis_types: tuple[int, ...]
    units: tuple[int, ...]
    unit_powers: tuple[int, ...]
    listed: tuple[bool, ...]
    points: tuple[int, ...]
    first: tuple[int, ...]
    last: tuple[int, ...]
    start: tuple[float, ...]
    stop: tuple[float, ...]
    base_mhz: tuple[float, ...]
    parameter_start: int
    list_start: tuple[int, ...]
    list_length: tuple[int, ...]
    data_start: int
    data_length: int
    context_start: int
    context_length: int
    total_size: int

    @property
    def dimensions(self) -> int:
        """Number of axes that are used."""
        return sum(kind != 0 for kind in self.axis_types)


def read_header(path: Path, data: bytes) -> JeolHeader:
    """Return the header of a file.

    Raises
    ------
    InputError
        Where it is no such file, or truncated.
    """
    if data[:8] != MAGIC:
        raise InputError("is not a JEOL Delta file", file=str(path))

    def ints(code: str, offset: int) -> tuple[int, ...]:
        return tuple(int(v) for v in unpack(path, data, ">" + code, offset))

    def floats(offset: int) -> tuple[float, ...]:
        return tuple(float(v) for v in unpack(path, data, ">8d", offset))

    order, kind = ints("b", 8)[0], ints("B", 14)[0]
    if order not in (0, 1) or kind >> 6 > 1:
        raise InputError(
            "its header states an unknown byte order or kind of numbers", file=str(path)
        )
    units = ints("16B", 32)
    ranged = ints("4B", 172)
    long = ints("6I", 1284)
    total = ints("II", 1320)
    return JeolHeader(
        byte_order="<" if order == 1 else ">",
        is_float32=kind >> 6 == 1,
        format=kind & 0x3F,
        axis_types=ints("8b", 24),
        units=units[1::2],
        unit_powers=tuple((u >> 4) - 16 * (u >> 7) for u in units[0::2]),
        listed=tuple(n in _AXIS_LISTED for b in ranged for n in (b >> 4, b & 0xF)),
        points=ints("8I", 176),
        first=ints("8I", 208),
        last=ints("8I", 240),
        start=floats(272),
        stop=floats(336),
        base_mhz=floats(1064),
        parameter_start=ints("I", 1212)[0],
        list_start=ints("8I", 1220),
        list_length=ints("8I", 1252),
        data_start=long[0],
        data_length=(long[1] << 32) | long[2],
        context_start=(long[3] << 32) | long[4],
        context_length=long[5],
        total_size=(total[0] << 32) | total[1],
    )


class JeolParameters:
    """The parameters of a file by lower-case name; numbers in the unit without its prefix."""

    def __init__(self, path: Path, data: bytes, header: JeolHeader) -> None:
        self.path = path
        self.table: dict[str, float | str] = {}
        order, start = header.byte_order, header.parameter_start
        size, low, high, _ = (int(v) for v in unpack(path, data, order + "4I", start))
        if size != _RECORD or not low <= high <= 2**16:
            raise InputError("its parameter section is damaged", file=str(path), key="parameters")
        for k in range(high - low + 1):
            offset = start + 16 + k * _RECORD
            if offset + _RECORD > len(data):
                raise InputError("is truncated in its parameters", file=str(path))
            scale = int(unpack(path, data, order + "h", offset + 4)[0])
            kind = int(unpack(path, data, order + "i", offset + 32)[0])
            raw = unpack(path, data, "28s", offset + 36)[0]
            assert isinstance(raw, bytes)
            name = raw.replace(b"\0", b" ").decode("latin-1").strip().lower()
            if kind == 0:
                text = unpack(path, data, "16s", offset + 16)[0]
                assert isinstance(text, bytes)
                self.table[name] = text.replace(b"\0", b" ").decode("latin-1").strip()
            elif kind in (1, 2) and -30 <= scale <= 30:
                code = order + ("i" if kind == 1 else "d")
                self.table[name] = float(unpack(path, data, code, offset + 16)[0]) * 10.0**scale

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        low: float = -1e18,
        high: float = 1e18,
        integer: bool = False,
    ) -> float:
        """Return a number from `low` to `high`."""
        value = self.table.get(key, default)
        if value is None:
            raise InputError("is missing", file=str(self.path), key=key)
        return checked(self.path, key, value, low, high, integer=integer)

    def text(self, key: str) -> str:
        """Return a text, empty where it is missing."""
        value = self.table.get(key, "")
        return value if isinstance(value, str) else ""
