"""What a console does in time: which channel is on, at which phase and amplitude, for how long.

The common ground of the readers of exported programs and of pulse sequences.  Lengths are whole
numbers of half ticks, because pulses of different length share their middle.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Mode = Literal["pulse", "shape", "continuous", "decoupling"]

#: phases of consoles are finer than this, degrees
_SAME_PHASE = 0.006
_SAME_POWER = 1e-6
#: hertz
_SAME_OFFSET = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """RF on one channel.

    Attributes
    ----------
    nucleus : str
    mode : {"pulse", "shape", "continuous", "decoupling"}
    phase_deg : float or None
        None where the phase means nothing.
    power : float
        In units of the power of the nucleus's calibrated pulse.
    offset_hz : float
        Distance from the carrier.
    """

    nucleus: str
    mode: Mode
    phase_deg: float | None
    power: float
    offset_hz: float = 0.0

    def equals(self, other: Field) -> bool:
        """Compare within the resolution of a console."""
        if (self.nucleus, self.mode) != (other.nucleus, other.mode):
            return False
        if (self.phase_deg is None) != (other.phase_deg is None):
            return False
        if self.phase_deg is not None and other.phase_deg is not None:
            turn = math.remainder(self.phase_deg - other.phase_deg, 360.0)
            if abs(turn) > _SAME_PHASE:
                return False
        if abs(self.offset_hz - other.offset_hz) > _SAME_OFFSET:
            return False
        return math.isclose(self.power, other.power, rel_tol=_SAME_POWER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A time during which nothing changes.

    Attributes
    ----------
    half_ticks : int
    fields : tuple of Field
        In the order of the nuclei's names; empty: no RF.
    gradient : bool
    receiver_deg : float or None
        Phase of the open receiver.
    points : int
        Complex points that are detected.
    """

    half_ticks: int
    fields: tuple[Field, ...] = ()
    gradient: bool = False
    receiver_deg: float | None = None
    points: int = 0

    def does_the_same(self, other: Interval) -> bool:
        """Compare everything but the length."""
        if (self.gradient, self.receiver_deg, self.points) != (
            other.gradient,
            other.receiver_deg,
            other.points,
        ):
            return False
        return len(self.fields) == len(other.fields) and all(
            a.equals(b) for a, b in zip(self.fields, other.fields, strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """Nodes that a hardware loop runs `count` times."""

    count: int
    body: Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """Passes of one hardware loop that differ, by phases that a list or table steps."""

    bodies: tuple[Timeline, ...]


Node: TypeAlias = Interval | Repeat | Passes
Timeline: TypeAlias = tuple[Node, ...]


def looped(bodies: list[Timeline]) -> Timeline:
    """Return the passes of a loop as one node: repetitions where all are the same.

    Parameters
    ----------
    bodies : list of normalised timelines
        Equal ones are best one object: they are compared once.
    """
    kept = [body for body in bodies if body]
    if not kept:
        return ()
    if len(kept) == 1:
        return kept[0]
    distinct = {id(body): body for body in kept}.values()
    if all(body == kept[0] for body in distinct):
        return (Repeat(count=len(kept), body=kept[0]),)
    return (Passes(bodies=tuple(kept)),)


def overlapping(shots: list[tuple[int, Field]]) -> Timeline:
    """Return RF of several channels with one common middle; `shots` are half ticks and fields."""
    whole = max(length for length, _ in shots)
    edges = {0, whole}
    for length, _ in shots:
        edges |= {(whole - length) // 2, (whole + length) // 2}
    times = sorted(edges)
    found = []
    for begin, end in itertools.pairwise(times):
        on = [f for n, f in shots if (whole - n) // 2 <= begin and end <= (whole + n) // 2]
        found.append(
            Interval(half_ticks=end - begin, fields=tuple(sorted(on, key=lambda f: f.nucleus)))
        )
    return tuple(found)


def normalised(timeline: Timeline) -> Timeline:
    """Return a timeline with empty parts left out, single runs opened and equal parts joined."""
    found: list[Node] = []
    for node in timeline:
        parts: Timeline
        if isinstance(node, Repeat):
            body = normalised(node.body)
            if not node.count or not body:
                continue
            parts = body if node.count == 1 else (replace(node, body=body),)
        elif isinstance(node, Passes):
            parts = (node,)
        else:
            parts = (node,) if node.half_ticks else ()
        for part in parts:
            last = found[-1] if found else None
            if (
                isinstance(part, Interval)
                and isinstance(last, Interval)
                and part.does_the_same(last)
            ):
                found[-1] = replace(last, half_ticks=last.half_ticks + part.half_ticks)
            else:
                found.append(part)
    return tuple(found)


def unrolled(timeline: Timeline) -> Iterator[Interval]:
    """Yield the intervals one after the other, loops unrolled."""
    for node in timeline:
        if isinstance(node, Repeat):
            for _ in range(node.count):
                yield from unrolled(node.body)
        elif isinstance(node, Passes):
            for body in node.bodies:
                yield from unrolled(body)
        else:
            yield node


def half_ticks_of(timeline: Timeline) -> int:
    """Return the length of a timeline."""
    total = 0
    for node in timeline:
        if isinstance(node, Repeat):
            total += node.count * half_ticks_of(node.body)
        elif isinstance(node, Passes):
            total += sum(map(half_ticks_of, node.bodies))
        else:
            total += node.half_ticks
    return total


def first_difference(a: Timeline, b: Timeline, place: str = "") -> str | None:
    """Return where two normalised timelines differ, in words; None where they agree."""
    for k, (x, y) in enumerate(zip(a, b, strict=False)):
        here = f"{place}{k}"
        if isinstance(x, Repeat) and isinstance(y, Repeat):
            if x.count != y.count:
                return f"at {here} {x.count} and {y.count} repetitions"
            inner = first_difference(x.body, y.body, f"{here}.")
            if inner:
                return inner
        elif isinstance(x, Passes) and isinstance(y, Passes):
            found = _first_different_pass(x, y, here)
            if found:
                return found
        elif isinstance(x, Interval) and isinstance(y, Interval):
            if x.half_ticks != y.half_ticks:
                return f"at {here} {x.half_ticks} and {y.half_ticks} half ticks"
            if not x.does_the_same(y):
                return f"at {here} {x} and {y}"
        else:
            return f"at {here} {type(x).__name__} and {type(y).__name__}"
    if len(a) != len(b):
        return f"{len(a)} and {len(b)} parts{f' at {place}' if place else ''}"
    return None


def _first_different_pass(a: Passes, b: Passes, place: str) -> str | None:
    if len(a.bodies) != len(b.bodies):
        return f"at {place} {len(a.bodies)} and {len(b.bodies)} passes"
    same: set[tuple[int, int]] = set()
    for k, (x, y) in enumerate(zip(a.bodies, b.bodies, strict=True)):
        if (id(x), id(y)) in same:
            continue
        found = first_difference(x, y, f"{place}, pass {k}.")
        if found:
            return found
        same.add((id(x), id(y)))
    return None
