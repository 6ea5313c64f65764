"""What a pulse sequence is made of.  Durations are integer ticks of the sequence's clock."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


def _check_ticks(name: str, ticks: int, least: int) -> None:
    if not isinstance(ticks, int) or isinstance(ticks, bool) or ticks < least:
        raise ValueError(f"`{name}` must be a whole number of ticks of at least {least}: {ticks!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Free evolution without RF: weak coupling and relaxation act."""

    ticks: int
    label: str = ""

    def __post_init__(self) -> None:
        _check_ticks("ticks", self.ticks, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """A hard pulse: rotation by `angle_rad` about the axis at `phase_rad` from x.

    `amplitude_scale` is the nutation frequency over the calibrated one; it keeps the angle where
    the length was rounded to the clock.
    """

    nucleus: str
    ticks: int
    angle_rad: float
    phase_rad: float = 0.0
    amplitude_scale: float = 1.0
    label: str = ""

    def __post_init__(self) -> None:
        _check_ticks("ticks", self.ticks, 1)
        if not all(map(math.isfinite, (self.angle_rad, self.phase_rad, self.amplitude_scale))):
            raise ValueError("angle, phase and amplitude of a pulse must be finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crusher:
    """A gradient pulse with its recovery: only homonuclear zero-quantum order survives."""

    ticks: int

    def __post_init__(self) -> None:
        _check_ticks("ticks", self.ticks, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Ideal (effective) XY exchange between the centre and all satellites; simulation only.

    `relaxes` says whether T1 and T2 act while it lasts.
    """

    ticks: int
    relaxes: bool

    def __post_init__(self) -> None:
        _check_ticks("ticks", self.ticks, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquire:
    """Detection of `nucleus`: `points` complex points, the other nuclei decoupled meanwhile."""

    nucleus: str
    points: int
    dwell_ticks: int
    decoupled: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_ticks("dwell_ticks", self.dwell_ticks, 1)
        if self.points < 1:
            raise ValueError(f"`points` must be at least 1, but is {self.points}")

    @property
    def ticks(self) -> int:
        """Length of the acquisition."""
        return self.points * self.dwell_ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """`body` repeated `count` times; a count of 0 runs it not at all."""

    count: int
    body: tuple[Event, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or self.count < 0:
            raise ValueError(f"`count` must be a whole number of at least 0, but is {self.count}")
        if not self.body:
            raise ValueError("the body of a loop must hold at least one event")

    @property
    def ticks(self) -> int:
        """Length of all repetitions."""
        return self.count * sum(event.ticks for event in self.body)


Event: TypeAlias = Delay | Pulse | Crusher | Exchange | Acquire | Loop


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseSequence:
    """One scan: events on one clock.

    Attributes
    ----------
    tick_s : float
        Length of one tick in seconds.
    events : tuple of events
    name : str
    """

    tick_s: float
    events: tuple[Event, ...]
    name: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tick_s) and self.tick_s > 0.0):
            raise ValueError(f"tick_s must be positive, but is {self.tick_s} s")
        if not self.events:
            raise ValueError("a pulse sequence must hold at least one event")

    @property
    def ticks(self) -> int:
        """Length of one scan in ticks."""
        return sum(event.ticks for event in self.events)

    @property
    def duration_s(self) -> float:
        """Length of one scan in seconds."""
        return self.ticks * self.tick_s

    def walk(self) -> Iterator[tuple[Event, int]]:
        """Yield every event that is not a loop with the number of times it runs."""
        yield from _walk(self.events, 1)

    def __str__(self) -> str:
        head = f"pulse sequence {self.name or '(unnamed)'}: {self.duration_s:.6g} s a scan"
        return "\n".join([head, *_lines(self.events, self.tick_s, "  ")])


def _walk(events: tuple[Event, ...], times: int) -> Iterator[tuple[Event, int]]:
    for event in events:
        if isinstance(event, Loop):
            yield from _walk(event.body, times * event.count)
        else:
            yield event, times


def _lines(events: tuple[Event, ...], tick_s: float, indent: str) -> list[str]:
    lines = []
    for event in events:
        length = f"{event.ticks * tick_s:.6g} s"
        match event:
            case Loop():
                lines.append(f"{indent}loop {event.count} times")
                lines += _lines(event.body, tick_s, indent + "  ")
            case Delay():
                lines.append(f"{indent}delay {length} {event.label}".rstrip())
            case Pulse():
                angle, phase = math.degrees(event.angle_rad), math.degrees(event.phase_rad)
                lines.append(
                    f"{indent}pulse {event.nucleus} {angle:.6g} deg, phase {phase:g} deg, "
                    f"{length} {event.label}".rstrip()
                )
            case Crusher():
                lines.append(f"{indent}crusher gradient {length}")
            case Exchange():
                relaxation = "with" if event.relaxes else "without"
                lines.append(f"{indent}ideal XY exchange {length}, {relaxation} relaxation")
            case Acquire():
                others = ", ".join(event.decoupled) or "nothing"
                lines.append(
                    f"{indent}acquire {event.nucleus}: {event.points} points in {length}, "
                    f"{others} decoupled"
                )
    return lines
