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

from nmrqb.sequence.events import (
    Acquire,
    Crusher,
    Delay,
    Event,
    Inversion,
    Loop,
    Pulse,
    PulseSequence,
    Saturation,
    Segment,
    SimultaneousPulses,
    SpinLock,
)
from nmrqb.spectrometer.spectrometer import Spectrometer

Mode = Literal["pulse", "shape", "continuous", "decoupling"]

#: phases of consoles are finer than this, degrees
_SAME_PHASE = 0.006
_SAME_POWER = 1e-6


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
    """

    nucleus: str
    mode: Mode
    phase_deg: float | None
    power: float

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


Node: TypeAlias = Interval | Repeat
Timeline: TypeAlias = tuple[Node, ...]


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
        else:
            yield node


def half_ticks_of(timeline: Timeline) -> int:
    """Return the length of a timeline."""
    total = 0
    for node in timeline:
        once = node.count * half_ticks_of(node.body) if isinstance(node, Repeat) else None
        total += node.half_ticks if isinstance(node, Interval) else once or 0
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
        elif isinstance(x, Interval) and isinstance(y, Interval):
            if x.half_ticks != y.half_ticks:
                return f"at {here} {x.half_ticks} and {y.half_ticks} half ticks"
            if not x.does_the_same(y):
                return f"at {here} {x} and {y}"
        else:
            return f"at {here} a loop and an interval"
    if len(a) != len(b):
        return f"{len(a)} and {len(b)} parts{f' at {place}' if place else ''}"
    return None


def sequence_timeline(
    sequence: PulseSequence,
    spectrometer: Spectrometer,
    *,
    read_shift_deg: float = 0.0,
    switch_off_ticks: int = 0,
) -> Timeline:
    """Return what a pulse sequence asks a console to do.

    Parameters
    ----------
    sequence : PulseSequence
    spectrometer : Spectrometer
    read_shift_deg : float
        Step of the phase cycle: added to the read pulse and to the receiver.
    switch_off_ticks : int
        Time without RF at the end of a saturation, in which the console switches the decoupler off.
    """
    return normalised(
        _Clock(spectrometer, sequence.tick_s, read_shift_deg, switch_off_ticks).of(sequence.events)
    )


class _Clock:
    def __init__(
        self, spectrometer: Spectrometer, tick_s: float, shift: float, off_ticks: int
    ) -> None:
        self.spectrometer, self.tick_s = spectrometer, tick_s
        self.shift, self.off_ticks = shift, off_ticks

    def of(self, events: tuple[Event, ...]) -> Timeline:
        found: list[Node] = []
        for event in events:
            found += self._event(event)
        return tuple(found)

    def _event(self, event: Event) -> Timeline:
        whole = 2 * event.ticks
        match event:
            case Delay():
                return (Interval(half_ticks=whole),)
            case Segment():
                return self.of(event.body)
            case Loop():
                return (Repeat(count=event.count, body=self.of(event.body)),)
            case Pulse():
                return (Interval(half_ticks=whole, fields=(self._pulse(event),)),)
            case SimultaneousPulses():
                return overlapping([(2 * p.ticks, self._pulse(p)) for p in event.pulses])
            case Inversion():
                power = event.power_watt / self._calibrated(event.nucleus)
                field = Field(nucleus=event.nucleus, mode="shape", phase_deg=0.0, power=power)
                return (Interval(half_ticks=whole, fields=(field,)),)
            case Crusher():
                on = min(2 * self.spectrometer.ticks(self.spectrometer.crusher_s), whole)
                return (
                    Interval(half_ticks=on, gradient=True),
                    Interval(half_ticks=whole - on),
                )
            case Saturation():
                power = self.spectrometer.channel(event.nucleus).saturation_power_watt or 0.0
                power /= self._calibrated(event.nucleus)
                field = Field(nucleus=event.nucleus, mode="continuous", phase_deg=None, power=power)
                off = min(2 * self.off_ticks, whole)
                return (
                    Interval(half_ticks=whole - off, fields=(field,)),
                    Interval(half_ticks=off),
                )
            case SpinLock():
                return overlapping([(whole, self._lock(event, n)) for n in event.nuclei])
            case Acquire():
                return (self._acquire(event, whole),)
            case _:
                raise ValueError(f"{type(event).__name__} exists in simulation only")

    def _calibrated(self, isotope: str) -> float:
        return self.spectrometer.channel(isotope).pulse_power_watt

    def _turn(self, isotope: str, phase_rad: float) -> float:
        """Return a phase in degrees as the console counts it."""
        sense = -1.0 if self.spectrometer.channel(isotope).is_phase_mirrored else 1.0
        return sense * math.degrees(phase_rad)

    def _pulse(self, pulse: Pulse) -> Field:
        # a negative angle turns the other way: the phase half a turn on
        back = 180.0 if pulse.angle_rad * pulse.amplitude_scale < 0.0 else 0.0
        shift = self.shift if pulse.label == "read" else 0.0
        return Field(
            nucleus=pulse.nucleus,
            mode="pulse",
            phase_deg=(self._turn(pulse.nucleus, pulse.phase_rad) + back + shift) % 360.0,
            power=pulse.amplitude_scale**2,
        )

    def _lock(self, lock: SpinLock, isotope: str) -> Field:
        power = self.spectrometer.channel(isotope).power_at(lock.nutation_hz)
        return Field(
            nucleus=isotope,
            mode="pulse",
            phase_deg=self._turn(isotope, lock.phase_rad) % 360.0,
            power=power / self._calibrated(isotope),
        )

    def _acquire(self, event: Acquire, whole: int) -> Interval:
        on = [
            Field(
                nucleus=isotope,
                mode="decoupling",
                phase_deg=None,
                power=self.spectrometer.channel(isotope).decoupling_power_watt
                / self._calibrated(isotope),
            )
            for isotope in event.decoupled
        ]
        return Interval(
            half_ticks=whole,
            fields=tuple(sorted(on, key=lambda f: f.nucleus)),
            receiver_deg=self.shift % 360.0,
            points=event.points,
        )
