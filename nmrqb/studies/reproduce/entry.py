"""Entries of ``nmrqb reproduce``: a figure and rows of published numbers, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError, Problem
from nmrqb.files.shipped import find_file
from nmrqb.files.toml import read_toml, validate
from nmrqb.models.dephased_star import DephasedStar
from nmrqb.report.panels import Frame, Style
from nmrqb.studies.reproduce.quantity import Kind, Quantity, moved_star
from nmrqb.studies.reproduce.table import QUANTITIES
from nmrqb.units import FILE_CONFIG

Array = NDArray[np.float64]
Cause = Literal[
    "window", "definition", "finite time", "misprint", "approximation", "not identifiable"
]

#: most points of one axis
MOST_POINTS = 2000
SCHEMA = "nmrqb/reproduce/1"
_STAR_KEYS = tuple(f.name for f in fields(DephasedStar))


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What is swept: a key of the star or an argument of the quantity, and its values.

    Attributes
    ----------
    key : str
    values : tuple of float
        Listed, or else
    start, stop, points, spacing
        both ends, their number, "linear", "log" or "log-whole" (rounded to whole numbers, each
        once).
    """

    __pydantic_config__ = FILE_CONFIG

    key: str
    values: tuple[float, ...] | None = None
    start: float | None = None
    stop: float | None = None
    points: int = 100
    spacing: Literal["linear", "log", "log-whole"] = "linear"

    def __post_init__(self) -> None:
        listed, ends = self.values is not None, (self.start, self.stop)
        if listed == (None not in ends) or (listed and ends != (None, None)):
            raise ValueError("give either `values`, or `start` and `stop`")
        if self.values is not None and not 1 <= len(self.values) <= MOST_POINTS:
            raise ValueError(
                f"`values` must hold 1 to {MOST_POINTS} numbers, but has {len(self.values)}"
            )
        if not 2 <= self.points <= MOST_POINTS:
            raise ValueError(f"`points` must be 2 to {MOST_POINTS}, but is {self.points}")
        numbers = self.values if self.values is not None else ends
        if not all(v is not None and math.isfinite(v) for v in numbers):
            raise ValueError(f"values along `{self.key}` must be finite")
        if self.spacing != "linear" and not listed and min(v or 0.0 for v in ends) <= 0.0:
            raise ValueError(
                f"`start` and `stop` must be positive where `spacing` is {self.spacing}"
            )

    def array(self) -> Array:
        """Return the values, shape (points,)."""
        if self.values is not None:
            return np.array(self.values, dtype=np.float64)
        assert self.start is not None
        assert self.stop is not None
        if self.spacing == "linear":
            return np.linspace(self.start, self.stop, self.points)
        spaced = np.geomspace(self.start, self.stop, self.points)
        return np.unique(np.rint(spaced)) if self.spacing == "log-whole" else spaced


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A quantity of the table with the star and the arguments it is asked for."""

    __pydantic_config__ = FILE_CONFIG

    quantity: str
    star: DephasedStar | None = None
    arguments: dict[str, Any] | None = None

    def given(self) -> dict[str, Any]:
        """Return the arguments, checked and in their types."""
        known = QUANTITIES[self.quantity]
        return {k: known.checked(k, v) for k, v in (self.arguments or {}).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve(Asked):
    """A number along an axis, a number alone (a level across the panel), or a profile."""

    __pydantic_config__ = FILE_CONFIG

    along: Axis | None = None
    label: str = ""
    style: Style = "line"
    colour: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Map(Asked):
    """A number along two axes, or a quantity that is a map by itself."""

    __pydantic_config__ = FILE_CONFIG

    along_x: Axis | None = None
    along_y: Axis | None = None
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel(Frame):
    """A frame with the curves and the map that it holds."""

    __pydantic_config__ = FILE_CONFIG

    curve: tuple[Curve, ...] = ()
    map: Map | None = None

    def __post_init__(self) -> None:
        if not self.curve and self.map is None:
            raise ValueError("`curve` is missing: a panel has at least one, or a `map`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Asked):
    """One published number, or one that the paper does not print, beside the computed one.

    Attributes
    ----------
    name : str
    source : str
        Where it is printed: figure, table, equation.
    published : float or None
    printed : str
        How the source prints it, where that is no plain number.
    unpublished : str
        Why there is no published number (only without `published`).
    definition, window : str
        Of the computed number, in words; the definition is the quantity's meaning by default.
    tolerance : float or None
        |computed - published| up to which they agree.
    tolerance_reason : str
    cause : str or None
        Of a disagreement: "window", "definition", "finite time", "misprint", "approximation",
        "not identifiable".
    explanation : str
        In words.
    """

    __pydantic_config__ = FILE_CONFIG

    name: str
    source: str = ""
    published: float | None = None
    printed: str = ""
    unpublished: str = ""
    definition: str = ""
    window: str = ""
    tolerance: float | None = None
    tolerance_reason: str = ""
    cause: Cause | None = None
    explanation: str = ""

    def __post_init__(self) -> None:
        if self.published is None:
            if not self.unpublished:
                raise ValueError("`published` is missing: without it `unpublished` must say why")
            if self.tolerance is not None or self.cause is not None:
                raise ValueError("`tolerance` and `cause` belong to a `published` number")
            return
        if self.unpublished:
            raise ValueError("`unpublished` belongs to a row without `published`")
        if not math.isfinite(self.published):
            raise ValueError(f"`published` must be finite, but is {self.published}")
        if not self.source:
            raise ValueError("`source` is missing: say where the number is printed")
        if self.tolerance is None or not (math.isfinite(self.tolerance) and self.tolerance > 0.0):
            raise ValueError(f"`tolerance` must be positive, but is {self.tolerance}")
        if not self.tolerance_reason:
            raise ValueError("`tolerance_reason` is missing")
        if (self.cause is None) != (not self.explanation):
            raise ValueError("`cause` and `explanation` of a disagreement go together")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One figure of a paper with its numbers.

    Attributes
    ----------
    name : str
        Of the file.
    title, source, units, caption : str
        What it shows, the publication, the units of all numbers, and the figure's caption.
    columns : int
        Panels beside one another.
    panel : tuple of Panel
    row : tuple of Row
    notes : tuple of str
        What could not be checked, and what a reader must know.
    """

    __pydantic_config__ = FILE_CONFIG

    name: str = ""
    title: str
    source: str
    units: str
    caption: str
    columns: int = 2
    panel: tuple[Panel, ...]
    row: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.columns <= 4:
            raise ValueError(f"`columns` must be 1 to 4, but is {self.columns}")
        for noun in ("panel", "row"):
            if not getattr(self, noun):
                raise ValueError(f"`{noun}` is missing: an entry has at least one")


def read_entry(name: str | Path) -> Entry:
    """Read an entry: a shipped name (``"purkait_fig3"``) or a path.

    Raises
    ------
    InputError
        Listing every problem with file, key, value and what is allowed.
    """
    path = find_file("reproduction", name)
    file = str(path)
    table = read_toml(path, SCHEMA)
    problems: list[Problem] = []
    if "name" in table:
        problems.append(
            Problem(message="is that of the file: it is not given in it", file=file, key="name")
        )
    entry = validate(Entry, table, file, "", problems)
    if entry is not None:
        for k, panel in enumerate(entry.panel):
            for m, curve in enumerate(panel.curve):
                axes = {"along": curve.along}
                _check(curve, axes, "profile", file, f"panel.{k}.curve.{m}", problems)
            if panel.map is not None:
                axes = {"along_x": panel.map.along_x, "along_y": panel.map.along_y}
                _check(panel.map, axes, "map", file, f"panel.{k}.map", problems)
        for k, row in enumerate(entry.row):
            _check(row, {}, "number", file, f"row.{k}", problems)
    if problems or entry is None:
        raise InputError(problems)
    return replace(entry, name=path.stem)


def _check(
    asked: Asked,
    axes: dict[str, Axis | None],
    whole: Kind,
    file: str,
    key: str,
    problems: list[Problem],
) -> None:
    """Collect what is wrong with a quantity, its star, its arguments and its axes.

    `whole` is the kind of quantity that needs no axis here.
    """

    def wrong(name: str, message: str, value: object = None, limit: str | None = None) -> None:
        shown = None if value is None else str(value)
        problems.append(
            Problem(message=message, file=file, key=f"{key}.{name}", value=shown, limit=limit)
        )

    known = QUANTITIES.get(asked.quantity)
    if known is None:
        listed = ", ".join(sorted(QUANTITIES))
        wrong("quantity", f"must be one of {listed}, but is {asked.quantity!r}", asked.quantity,
              listed)  # fmt: skip
        return
    if known.kind not in ("number", whole):
        wrong("quantity", f"must be a number or a {whole}, but {known.name} is a {known.kind}",
              known.name)  # fmt: skip
        return
    if known.has_star != (asked.star is not None):
        needs = "needs a star: give its keys, or {}" if known.has_star else "has no star"
        wrong("star", f"{known.name} {needs}")
        return
    arguments = asked.arguments or {}
    own = [name for name in known.parameters if name != "star"]
    for name, value in arguments.items():
        if name not in own:
            wrong(f"arguments.{name}", f"unknown key (allowed: {', '.join(own) or 'none'})", value)
            continue
        try:
            known.checked(name, value)
        except ValueError as error:
            wrong(f"arguments.{name}", str(error), value)
    swept = []
    for name, axis in axes.items():
        if axis is not None and known.kind != "number":
            wrong(name, f"{known.name} has its own axis")
        elif axis is None and known.kind == "number" and whole == "map":
            wrong(name, "is missing")
        elif axis is not None:
            if axis.key in arguments or axis.key in swept:
                wrong(name, f"{axis.key} has a value already", axis.key)
            swept.append(axis.key)
            _check_axis(asked, known, axis, lambda m, v, n=name: wrong(n, m, v))
    for name in own:
        if name in known.required and name not in arguments and name not in swept:
            wrong(f"arguments.{name}", "is missing")


def _check_axis(asked: Asked, known: Quantity, axis: Axis, wrong: Any) -> None:
    """Refuse keys that are not there, and values that the star or the quantity refuses."""
    own = [name for name in known.parameters if name != "star"]
    keys = [*own, *(_STAR_KEYS if known.has_star else ())]
    if axis.key not in keys:
        wrong(f"`key` must be one of {', '.join(keys)}, but is {axis.key!r}", axis.key)
        return
    for value in axis.array():
        try:
            if axis.key in own:
                known.checked(axis.key, float(value))
            else:
                assert asked.star is not None
                moved_star(asked.star, axis.key, float(value))
        except (ValueError, TypeError) as error:
            wrong(str(error), float(value))
            return
