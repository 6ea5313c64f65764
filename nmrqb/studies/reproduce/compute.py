"""Compute an entry: the curves and maps of its figure, and its rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError
from nmrqb.models.dephased_star import DephasedStar
from nmrqb.report.panels import DrawnCurve, DrawnMap, DrawnPanel
from nmrqb.studies.reproduce.entry import Asked, Axis, Curve, Entry, Map, Row
from nmrqb.studies.reproduce.quantity import Quantity, moved_star
from nmrqb.studies.reproduce.table import QUANTITIES

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedRow:
    """A row beside its computed number.

    Attributes
    ----------
    row : Row
    quantity : Quantity
    value : float or None
        Computed; None where it is withheld.
    reason : str
        Why it is withheld.
    """

    row: Row
    quantity: Quantity
    value: float | None
    reason: str = ""

    @property
    def agrees(self) -> bool | None:
        """Whether published and computed agree; None where there is nothing to compare."""
        if self.row.published is None or self.row.tolerance is None:
            return None
        if self.value is None:
            return False
        return abs(self.value - self.row.published) <= self.row.tolerance

    @property
    def verdict(self) -> str:
        """Whether it agrees, in words, with the cause of a disagreement."""
        if self.agrees is None:
            return "not published"
        if self.agrees:
            return "yes"
        return f"no: {self.row.cause}" if self.row.cause else "no, not explained"

    @property
    def is_explained(self) -> bool:
        """Whether it agrees, has nothing to agree with, or says why it does not."""
        return self.agrees is not False or self.row.cause is not None

    def to_result(self, entry: str) -> dict[str, Any]:
        """Return the object of result.json."""
        row = self.row
        return {
            "entry": entry,
            "name": row.name,
            "source": row.source,
            "published": row.published,
            "printed": row.printed or None,
            "unpublished": row.unpublished or None,
            "computed": self.value,
            "reason": self.reason or None,
            "unit": self.quantity.unit,
            "accuracy": self.quantity.accuracy,
            "quantity": row.quantity,
            "definition": self.definition,
            "window": row.window or None,
            "tolerance": row.tolerance,
            "tolerance_reason": row.tolerance_reason or None,
            "agrees": self.agrees,
            "verdict": self.verdict,
            "cause": None if self.agrees is not False else row.cause,
            "explanation": row.explanation or None,
        }

    @property
    def definition(self) -> str:
        """What the computed number is, in words."""
        return self.row.definition or self.quantity.meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputedEntry:
    """An entry with everything computed; `gaps` says which points were withheld and why."""

    entry: Entry
    panels: tuple[DrawnPanel, ...]
    rows: tuple[ComputedRow, ...]
    gaps: tuple[str, ...] = ()


def compute_entry(entry: Entry, progress: Callable[[str], None] = lambda _: None) -> ComputedEntry:
    """Compute the figure and the rows of an entry.

    Raises
    ------
    InputError
        Where a curve has not a single point.
    """
    gaps: list[str] = []
    panels = []
    for k, panel in enumerate(entry.panel):
        progress(f"{entry.name}: panel {k + 1} of {len(entry.panel)}")
        curves = tuple(_curve(c, f"panel.{k}.curve.{m}", entry, gaps)
                       for m, c in enumerate(panel.curve))  # fmt: skip
        drawn = None if panel.map is None else _map(panel.map, f"panel.{k}.map", entry, gaps)
        panels.append(DrawnPanel(frame=panel, curves=curves, map=drawn))
    return ComputedEntry(
        entry=entry, panels=tuple(panels), rows=compute_rows(entry, progress), gaps=tuple(gaps)
    )


def compute_rows(
    entry: Entry, progress: Callable[[str], None] = lambda _: None
) -> tuple[ComputedRow, ...]:
    """Compute the rows of an entry without its figure."""
    progress(f"{entry.name}: {len(entry.row)} rows")
    return tuple(_row(row) for row in entry.row)


def _row(row: Row) -> ComputedRow:
    known = QUANTITIES[row.quantity]
    try:
        value = known.number(row.star, row.given())
    except ValueError as error:
        return ComputedRow(row=row, quantity=known, value=None, reason=str(error))
    if not math.isfinite(value):
        return ComputedRow(row=row, quantity=known, value=None, reason=f"the result is {value}")
    return ComputedRow(row=row, quantity=known, value=value)


def _curve(curve: Curve, key: str, entry: Entry, gaps: list[str]) -> DrawnCurve:
    known = QUANTITIES[curve.quantity]
    if curve.along is None and known.kind == "number":
        x, y = np.zeros(0), _level(curve, known, key, entry)
    elif curve.along is None:
        x, y = _whole(curve, known, key, entry)
    else:
        x = curve.along.array()
        y = _along(curve, {}, curve.along, f"{entry.name}: {curve.label or curve.quantity}", gaps)
    if not np.isfinite(y).any():
        because = gaps[-1] if gaps else "no finite value"
        raise InputError(f"has not a single point ({because})", file=entry.name, key=key)
    return DrawnCurve(x=x, y=y, label=curve.label, style=curve.style, colour=curve.colour)


def _map(wanted: Map, key: str, entry: Entry, gaps: list[str]) -> DrawnMap:
    known = QUANTITIES[wanted.quantity]
    if wanted.along_x is None or wanted.along_y is None:
        x, y, z = _whole(wanted, known, key, entry)
        return DrawnMap(x=x, y=y, z=z, label=wanted.label)
    x, y = wanted.along_x.array(), wanted.along_y.array()
    where = f"{entry.name}: {wanted.label}"
    rows = [
        _along(wanted, {wanted.along_y.key: v}, wanted.along_x, where, gaps) for v in y.tolist()
    ]
    return DrawnMap(x=x, y=y, z=np.array(rows), label=wanted.label)


def _level(asked: Asked, known: Quantity, key: str, entry: Entry) -> Array:
    try:
        return np.array([known.number(asked.star, asked.given())])
    except ValueError as error:
        raise InputError(str(error), file=entry.name, key=key) from None


def _whole(asked: Asked, known: Quantity, key: str, entry: Entry) -> tuple[Array, ...]:
    try:
        return known.profile(asked.star, asked.given())
    except ValueError as error:
        raise InputError(str(error), file=entry.name, key=key) from None


def _along(
    asked: Asked, held: Mapping[str, float], axis: Axis, where: str, gaps: list[str]
) -> Array:
    """Return the numbers along `axis` with the swept keys in `held`; NaN where withheld."""
    known, x = QUANTITIES[asked.quantity], axis.array()
    star, arguments = _moved(asked.star, asked.given(), known, held)
    if known.over == axis.key:
        try:
            return known.along(star, arguments, x)
        except ValueError as error:
            gaps.append(f"{where}: {error}")
            return np.full(len(x), np.nan)
    result = np.full(len(x), np.nan)
    withheld: dict[str, list[float]] = {}
    for k, value in enumerate(x.tolist()):
        try:
            result[k] = known.number(*_moved(star, arguments, known, {axis.key: value}))
        except ValueError as error:
            withheld.setdefault(str(error), []).append(value)
    gaps += [f"{where}: {axis.key} = {_listed(v)}: {reason}" for reason, v in withheld.items()]
    return result


def _moved(
    star: DephasedStar | None, arguments: dict[str, Any], known: Quantity, held: Mapping[str, float]
) -> tuple[DephasedStar | None, dict[str, Any]]:
    """Return star and arguments with swept keys set: an argument's name comes before a star's."""
    for key, value in held.items():
        if key in known.parameters:
            arguments = {**arguments, key: known.checked(key, value)}
        else:
            assert star is not None
            star = moved_star(star, key, value)
    return star, arguments


def _listed(values: Sequence[float]) -> str:
    shown = ", ".join(f"{v:g}" for v in values[:4])
    return shown + (f", ... ({len(values)} points)" if len(values) > 4 else "")
