"""Every limit of a spectrometer that a sequence breaks, with the nearest legal value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nmrqb.sequence.dummy_pulses import MAX_EXCITATION, DummyPulses
from nmrqb.sequence.events import (
    Acquire,
    Crusher,
    Delay,
    DrivenExchange,
    Event,
    Exchange,
    Inversion,
    LoadExchange,
    Loop,
    Pulse,
    PulseSequence,
    Saturation,
    Segment,
    SimultaneousPulses,
    SpinLock,
)
from nmrqb.spectrometer.spectrometer import Channel, Spectrometer
from nmrqb.units import format_quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A limit that is broken.

    Attributes
    ----------
    what : str
    value, limit : str
        With units; the limit is the nearest legal value.
    """

    what: str
    value: str
    limit: str

    def __str__(self) -> str:
        return f"{self.what} must be {self.limit}, but is {self.value}"


def check_limits(
    sequences: Sequence[PulseSequence], scans: int, spectrometer: Spectrometer
) -> tuple[Violation, ...]:
    """Return every limit of the spectrometer that the sequences break, each once."""
    check = _Check(spectrometer)
    for sequence in sequences:
        check.sequence(sequence)
    total = scans * sum(s.duration_s for s in sequences)
    if total > spectrometer.maximum_duration_s:
        check.broken(
            "the whole experiment",
            f"{total / 3600:.4g} h",
            f"at most {spectrometer.maximum_duration_s / 3600:.4g} h",
        )
    if len(sequences) > spectrometer.maximum_list:
        check.broken(
            "the number of rows", str(len(sequences)), f"at most {spectrometer.maximum_list}"
        )
    check.gradient_strength(sequences)
    return tuple(check.found.values())


def rf_duty(sequence: PulseSequence) -> dict[str, float]:
    """Return the share of one scan with pulses and spin locks, by nucleus.

    Weak RF (saturation, decoupling) has limits of its own.
    """
    busy: dict[str, float] = {}
    for event, times in sequence.walk():
        for isotope, ticks in _strong(event):
            busy[isotope] = busy.get(isotope, 0.0) + times * ticks
    return {isotope: ticks / sequence.ticks for isotope, ticks in busy.items()}


def _strong(event: Event) -> list[tuple[str, int]]:
    match event:
        case Pulse() | Inversion():
            return [(event.nucleus, event.ticks)]
        case SimultaneousPulses():
            return [(pulse.nucleus, pulse.ticks) for pulse in event.pulses]
        case SpinLock():
            return [(isotope, event.ticks) for isotope in event.nuclei]
        case DummyPulses():
            return [(event.nucleus, event.count * event.on_ticks)]
        case _:
            return []


class _Check:
    def __init__(self, spectrometer: Spectrometer) -> None:
        self.spectrometer = spectrometer
        self.found: dict[str, Violation] = {}

    def broken(self, what: str, value: str, limit: str) -> None:
        self.found.setdefault(f"{what} {value}", Violation(what=what, value=value, limit=limit))

    def sequence(self, sequence: PulseSequence) -> None:
        console = self.spectrometer
        if not math.isclose(sequence.tick_s, console.tick_s, rel_tol=1e-9):
            self.broken("the tick", _time(sequence.tick_s), _time(console.tick_s))
        self.tick_s = sequence.tick_s
        for event, times in sequence.walk():
            if times:
                self._event(event)
        for isotope, duty in rf_duty(sequence).items():
            most = console.channel(isotope).maximum_duty
            if duty > most:
                self.broken(
                    f"the duty of the {isotope} channel", f"{duty:.3g}", f"at most {most:g}"
                )
        self._gradient_duty(sequence)
        self._loops(sequence)

    def gradient_strength(self, sequences: Sequence[PulseSequence]) -> None:
        """Compare the crushers with the full gradient, where both are known."""
        wanted = self.spectrometer.crusher_gradient_tesla_per_m
        most = self.spectrometer.maximum_gradient_tesla_per_m
        used = any(isinstance(e, Crusher) and times for s in sequences for e, times in s.walk())
        if used and wanted is not None and most is not None and wanted > most:
            self.broken("the crusher gradient", f"{wanted:g} T/m", f"at most {most:g} T/m")

    def _event(self, event: Event) -> None:
        seconds = event.ticks * self.tick_s
        match event:
            case Pulse():
                self._pulse(event)
            case SimultaneousPulses():
                for pulse in event.pulses:
                    self._pulse(pulse)
            case Inversion():
                # a measured inversion has its own length; power and duty bind it
                what = f"the {event.nucleus} pulse ({event.label})"
                channel = self.spectrometer.channel(event.nucleus)
                self._on_channel(channel, what, seconds, event.power_watt, seconds)
            case SpinLock():
                for isotope in event.nuclei:
                    self._lock(event, isotope)
            case Saturation():
                self._saturation(event)
            case DummyPulses():
                self._dummies(event)
            case Delay() | Exchange() | LoadExchange() | DrivenExchange():
                label = event.label if isinstance(event, Delay) else "exchange"
                if seconds:
                    self._long_enough(f"the delay ({label})", seconds, "0 s or at least")
            case Crusher():
                self._long_enough("the crusher gradient with its recovery", seconds)
            case Acquire():
                self._acquire(event, seconds)
            case _:
                pass

    def _pulse(self, pulse: Pulse) -> None:
        channel = self.spectrometer.channel(pulse.nucleus)
        self._on_channel(
            channel,
            f"the {pulse.nucleus} pulse ({pulse.label})",
            pulse.ticks * self.tick_s,
            channel.pulse_power_watt * pulse.amplitude_scale**2,
            channel.maximum_pulse_s,
        )

    def _dummies(self, event: DummyPulses) -> None:
        channel, what = self.spectrometer.channel(event.nucleus), f"the {event.nucleus} dummy pulse"
        power = channel.pulse_power_watt * event.amplitude_scale**2
        seconds = event.on_ticks * self.tick_s
        self._on_channel(channel, what, seconds, power, channel.maximum_pulse_s)
        self._long_enough(f"the wait after {what}", event.off_ticks * self.tick_s)
        most = self.spectrometer.maximum_loop_count
        if most is not None and event.count > most:
            self.broken(f"the count of {what}s", str(event.count), f"at most {most}")
        if event.excitation > MAX_EXCITATION:
            self.broken(
                f"(nutation/offset)^2 of {what}",
                f"{event.excitation:.3g}",
                f"at most {MAX_EXCITATION:g}",
            )

    def _lock(self, lock: SpinLock, isotope: str) -> None:
        channel, what = self.spectrometer.channel(isotope), f"the {isotope} spin lock"
        seconds = lock.ticks * self.tick_s
        longest, strongest = channel.maximum_spin_lock_s, channel.strongest_spin_lock_hz
        if longest is None or strongest is None:
            self.broken(what, _time(seconds), "0 s (no spin lock on this channel)")
            return
        self._on_channel(channel, what, seconds, channel.power_at(lock.nutation_hz), longest)
        if lock.nutation_hz > strongest:
            self.broken(what, f"{lock.nutation_hz:g} Hz", f"at most {strongest:g} Hz")

    def _saturation(self, event: Saturation) -> None:
        channel, what = self.spectrometer.channel(event.nucleus), f"the {event.nucleus} saturation"
        seconds = event.ticks * self.tick_s
        power, longest = channel.saturation_power_watt, channel.maximum_saturation_s
        if power is None or longest is None:
            self.broken(what, _time(seconds), "0 s (no saturation on this channel)")
        else:
            self._on_channel(channel, what, seconds, power, longest)

    def _acquire(self, event: Acquire, seconds: float) -> None:
        console = self.spectrometer
        if event.points > console.maximum_points:
            self.broken(
                "the number of points", str(event.points), f"at most {console.maximum_points}"
            )
        dwell = event.dwell_ticks * self.tick_s
        if dwell < console.minimum_dwell_s * (1 - 1e-9):
            self.broken(
                "the dwell time", _time(dwell), f"at least {self._up(console.minimum_dwell_s)}"
            )
        for isotope in event.decoupled:
            channel, what = console.channel(isotope), f"the {isotope} decoupling during acquisition"
            if seconds > channel.maximum_decoupling_s * (1 + 1e-9):
                longest = channel.maximum_decoupling_s
                points = math.floor(longest / dwell * (1 + 1e-9))
                limit = f"at most {_time(longest)} ({points} points)"
                self.broken(what, _time(seconds), limit)
            self._power(channel, what, channel.decoupling_power_watt)

    def _on_channel(
        self, channel: Channel, what: str, seconds: float, power: float, longest: float
    ) -> None:
        if seconds > longest * (1 + 1e-9):
            self.broken(what, _time(seconds), f"at most {self._down(longest)}")
        self._power(channel, what, power)
        self._long_enough(what, seconds)

    def _power(self, channel: Channel, what: str, power: float) -> None:
        if power > channel.maximum_power_watt * (1 + 1e-9):
            self.broken(
                f"the power of {what}",
                f"{power:.4g} W",
                f"at most {channel.maximum_power_watt:g} W",
            )

    def _long_enough(self, what: str, seconds: float, words: str = "at least") -> None:
        least = self.spectrometer.minimum_delay_s
        if seconds < least * (1 - 1e-9):
            self.broken(what, _time(seconds), f"{words} {self._up(least)}")

    def _gradient_duty(self, sequence: PulseSequence) -> None:
        most = self.spectrometer.maximum_gradient_duty
        if most is None:
            return
        on = self.spectrometer.ticks(self.spectrometer.crusher_s)
        busy = sum(
            times * min(on, event.ticks)
            for event, times in sequence.walk()
            if isinstance(event, Crusher)
        )
        duty = busy / sequence.ticks
        if duty > most:
            self.broken("the duty of the gradient", f"{duty:.3g}", f"at most {most:g}")

    def _loops(self, sequence: PulseSequence) -> None:
        most = self.spectrometer.maximum_loop_count
        written = 0
        for event in _written(sequence.events):
            written += 1
            if isinstance(event, Loop) and most is not None and event.count > most:
                self.broken("the count of a loop", str(event.count), f"at most {most}")
        largest = self.spectrometer.maximum_events
        if largest is not None and written > largest:
            self.broken("the number of events of a scan", str(written), f"at most {largest}")

    def _down(self, seconds: float) -> str:
        """Return the longest time on the clock that is not above a limit."""
        return _time(math.floor(seconds / self.tick_s * (1 + 1e-9)) * self.tick_s)

    def _up(self, seconds: float) -> str:
        """Return the shortest time on the clock that is not below a limit."""
        return _time(math.ceil(seconds / self.tick_s * (1 - 1e-9)) * self.tick_s)


def _written(events: tuple[Event, ...]) -> Iterator[Event]:
    """Yield every event as a program writes it: loops once, and themselves."""
    for event in events:
        if not isinstance(event, Segment):
            yield event
        if isinstance(event, Loop | Segment):
            yield from _written(event.body)


def _time(seconds: float) -> str:
    return format_quantity(seconds, "time")
