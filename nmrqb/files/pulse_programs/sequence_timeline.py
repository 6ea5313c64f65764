"""What a pulse sequence asks a console to do in time, for one scan."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from nmrqb.compiler.flip_patterns import flip_count, has_flips
from nmrqb.files.pulse_programs.timeline import (
    Field,
    Interval,
    Node,
    Repeat,
    Timeline,
    looped,
    normalised,
    overlapping,
)
from nmrqb.sequence.dummy_pulses import DummyPulses
from nmrqb.sequence.events import (
    Acquire,
    Crusher,
    Delay,
    Event,
    Inversion,
    Loop,
    PhaseFlip,
    Pulse,
    PulseSequence,
    Saturation,
    Segment,
    SimultaneousPulses,
    SpinLock,
)
from nmrqb.spectrometer.spectrometer import Spectrometer


def sequence_timeline(
    sequence: PulseSequence,
    spectrometer: Spectrometer,
    *,
    read_shift_deg: float = 0.0,
    switch_off_ticks: int = 0,
    flips: Sequence[bool] = (),
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
    flips : sequence of bool
        The pattern of this scan: whether each flip of a frame, in the order of time, is done.
    """
    clock = SequenceClock(sequence, spectrometer, switch_off_ticks=switch_off_ticks)
    return clock.scan(read_shift_deg=read_shift_deg, flips=flips)


class SequenceClock:
    """Scans of one sequence; keeps what they have in common.

    Parameters
    ----------
    sequence : PulseSequence
    spectrometer : Spectrometer
    switch_off_ticks : int
        See `sequence_timeline`.
    """

    def __init__(
        self, sequence: PulseSequence, spectrometer: Spectrometer, *, switch_off_ticks: int
    ) -> None:
        self.sequence, self.spectrometer = sequence, spectrometer
        self.off_ticks = switch_off_ticks
        self.shift = 0.0
        self.flipped: frozenset[str] = frozenset()
        self.flips: Iterator[bool] = iter(())
        self._passes: dict[object, tuple[Timeline, frozenset[str]]] = {}

    def scan(self, *, read_shift_deg: float, flips: Sequence[bool]) -> Timeline:
        """Return the timeline of a scan with its step of the phase cycle and its flips."""
        self.shift, self.flipped = read_shift_deg, frozenset()
        self.flips = iter(flips)
        return normalised(self._of(self.sequence.events))

    def _of(self, events: tuple[Event, ...]) -> Timeline:
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
                return self._of(event.body)
            case Loop() if has_flips(event.body):
                return looped([self._pass(event) for _ in range(event.count)])
            case Loop():
                return (Repeat(count=event.count, body=self._of(event.body)),)
            case PhaseFlip():
                if next(self.flips):
                    self.flipped ^= {event.nucleus}
                return ()
            case DummyPulses():
                wait = Interval(half_ticks=2 * event.off_ticks)
                field = Field(
                    nucleus=event.nucleus,
                    mode="pulse",
                    phase_deg=0.0,
                    power=event.amplitude_scale**2,
                    offset_hz=event.offset_hz,
                )
                pulse = Interval(half_ticks=2 * event.on_ticks, fields=(field,))
                return (wait, Repeat(count=event.count, body=(pulse, wait)), wait)
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

    def _pass(self, loop: Loop) -> Timeline:
        """Return one pass of a loop with flips, one object for equal passes."""
        ahead = tuple(itertools.islice(self.flips, flip_count(loop.body)))
        key = (id(loop), self.flipped, ahead, self.shift)
        if key not in self._passes:
            rest, self.flips = self.flips, iter(ahead)
            body = normalised(self._of(loop.body))
            self.flips = rest
            self._passes[key] = body, self.flipped
        body, self.flipped = self._passes[key]
        return body

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
        shift += 180.0 if pulse.nucleus in self.flipped else 0.0
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
