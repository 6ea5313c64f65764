"""What a writer of pulse programs is given, and the one walk over the events of its rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from nmrqb.compiler.compile import CompiledProtocol
from nmrqb.compiler.flip_patterns import FlipPatterns, has_flips
from nmrqb.errors import LimitError
from nmrqb.files.pulse_programs.rows import Events, Program, is_cycled, phase_deg
from nmrqb.files.pulse_programs.text import file_stem, fingerprint
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
    Saturation,
    SimultaneousPulses,
    SpinLock,
)
from nmrqb.spectrometer.spectrometer import Spectrometer
from nmrqb.spins.register import SpinRegister

#: of each row of a program; equal in all rows where no list is needed
Ticks = tuple[int, ...]

#: crushers with parameters of their own, in % of the full gradient: equal ones could refocus
#: what an earlier one has destroyed
GRADIENT_PERCENT = (31, 43, 57, 37, 23, 47)
#: steps of the read pulse and the receiver, in quarter turns; the first two select z already
_CYCLE = (0, 2, 1, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One program to write.

    Attributes
    ----------
    compiled : CompiledProtocol
    register : SpinRegister
    spectrometer : Spectrometer
    program : Program
    seed : int
        Of the order of the rows.
    patterns : tuple of FlipPatterns or None
        Of the scans of each row of the program, in its order.
    """

    compiled: CompiledProtocol
    register: SpinRegister
    spectrometer: Spectrometer
    program: Program
    seed: int
    patterns: tuple[FlipPatterns | None, ...]

    @property
    def flipped(self) -> str | None:
        """Nucleus whose frame is flipped in some scans, if any is."""
        return next((p.nucleus for p in self.patterns if p is not None), None)

    @property
    def digest(self) -> str:
        """Hash of protocol, register and spectrometer."""
        return digest_of(self.compiled, self.register, self.spectrometer)

    @property
    def stem(self) -> str:
        """Name of the program."""
        stem = file_stem(self.compiled.protocol.name, self.digest)
        whole = len(self.program.rows) == self.compiled.protocol.rows
        return stem if whole else f"{stem}_r{min(self.program.rows)}"

    @property
    def acquire(self) -> Acquire:
        """The acquisition of every row."""
        last = self.program.events[0][-1]
        assert isinstance(last, Acquire)
        return last

    @property
    def dead_ticks(self) -> int:
        """Wait before the acquisition."""
        return self.program.events[0][-2].ticks

    @property
    def nuclei(self) -> tuple[str, ...]:
        """Nuclei of the channels, the observed one first."""
        others = (spin.isotope for spin in self.register.spins)
        return tuple(dict.fromkeys([self.acquire.nucleus, *others]))

    @property
    def cycle(self) -> tuple[int, ...]:
        """Quarter turns of the read pulse and the receiver from scan to scan; whole in all scans.

        One step where the scans are odd, or where a row detects what the protocol made: the
        receiver is never cycled against phases of the protocol.
        """
        return phase_cycle(self.program, self.compiled.protocol.scans)

    def console_phase_deg(self, nucleus: str, phase_rad: float) -> float:
        """Return the phase that a console must be told for a phase in the frame of the spins."""
        mirrored = self.spectrometer.channel(nucleus).is_phase_mirrored
        return phase_deg(-phase_rad if mirrored else phase_rad)

    @property
    def axis(self) -> tuple[float, ...]:
        """Value of the swept quantity of every row in order; the reference's entry is 0."""
        protocol = self.compiled.protocol
        of_rows = protocol.sweep.values if protocol.sweep else (float(protocol.cycles),)
        zero = () if self.program.reference is None else (0.0,)
        return (*zero, *(of_rows[row] for row in self.program.rows))

    @property
    def axis_unit(self) -> str:
        """SI unit of the axis; empty for numbers."""
        sweep = self.compiled.protocol.sweep
        return sweep.unit if sweep else ""

    @property
    def axis_name(self) -> str:
        """Name of the swept quantity."""
        protocol = self.compiled.protocol
        return protocol.axis_name() if protocol.sweep else "cycles"

    @property
    def row_times_s(self) -> tuple[float, ...]:
        """Charging time of every row, or the swept time where no charging is measured."""
        zero = () if self.program.reference is None else (0.0,)
        protocol = self.compiled.protocol
        swept = self.axis[len(zero) :]
        times = tuple(self.compiled.charging_s[row] for row in self.program.rows)
        is_time = protocol.sweep is not None and protocol.sweep.unit == "s"
        return (*zero, *(swept if protocol.model != "charging" and is_time else times))

    @property
    def switch_off_ticks(self) -> int:
        """Time that a console needs to switch continuous RF off, taken from a saturation's end."""
        return max(1, self.spectrometer.ticks(self.spectrometer.minimum_delay_s))


def phase_cycle(program: Program, scans: int) -> tuple[int, ...]:
    """Return the quarter turns of `Job.cycle`."""
    if not all(is_cycled(events) for events in program.events):
        return _CYCLE[:1]
    return _CYCLE if scans % 4 == 0 else _CYCLE[:2] if scans % 2 == 0 else _CYCLE[:1]


def digest_of(
    compiled: CompiledProtocol, register: SpinRegister, spectrometer: Spectrometer
) -> str:
    """Return the hash of what a program depends on, wherever its files lie."""
    nameless = replace(compiled.protocol, register="", spectrometer="")
    return fingerprint(nameless, register, spectrometer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A pulse as a console gives it.

    `scale` is its nutation frequency over the calibrated one; a `cycled` one follows the receiver,
    a dummy has no phase to speak of.
    """

    nucleus: str
    ticks: Ticks
    scale: float
    phase_deg: float
    cycled: bool = False
    is_dummy: bool = False


class Console(Protocol):
    """What a language of pulse programs can say."""

    def delay(self, ticks: Ticks, label: str) -> None:
        """Wait."""

    def pulses(self, shots: tuple[Shot, ...]) -> None:
        """Give pulses with one common middle."""

    def shape(self, nucleus: str, ticks: Ticks, power: float) -> None:
        """Give the measured inversion pulse; `power` in units of the calibrated pulse's."""

    def gradient(self, site: int, on: Ticks, rest: Ticks) -> None:
        """Give a gradient pulse and wait for its recovery."""

    def saturation(self, nucleus: str, on: Ticks, off: Ticks, power: float) -> None:
        """Give continuous RF and switch it off."""

    def flip(self) -> None:
        """Flip the frame of `Job.flipped` in those scans whose pattern says so."""

    def set_offset(self, nucleus: str, offset_hz: float, ticks: Ticks) -> None:
        """Wait, and meanwhile move a channel's frequency to an offset from its carrier."""

    def at_flips_edge(self) -> None:
        """Come to the begin or the end of a loop with flips."""

    def begin_loop(self, counts: Ticks) -> None:
        """Begin a loop of so many repetitions, perhaps none."""

    def end_loop(self) -> None:
        """End the innermost loop."""


class Walk:
    """Tells a console the events of rows of one shape, all rows at once."""

    def __init__(self, job: Job, console: Console, *, cycled: bool) -> None:
        self.job, self.console, self.cycled = job, console, cycled
        self.tick_s = job.spectrometer.tick_s

    def tell(self, rows: tuple[Events, ...]) -> None:
        """Tell the events before dead time and acquisition."""
        #: crushers are numbered backwards: that of the read-out is the same one everywhere
        self.sites = sum(_crushers(event) for event in rows[0])
        last = len(rows[0]) - 3
        for k, events in enumerate(zip(*(row[:-2] for row in rows), strict=True)):
            self._tell(events, is_read=self.cycled and k == last)

    def _tell(self, rows: tuple[Event, ...], *, is_read: bool = False) -> None:
        ticks = tuple(event.ticks for event in rows)
        match rows[0]:
            case Delay() as delay:
                self.console.delay(ticks, delay.label)
            case Pulse() as pulse:
                self.console.pulses((self._shot(pulse, ticks, cycled=is_read),))
            case SimultaneousPulses():
                both = [e.pulses for e in rows if isinstance(e, SimultaneousPulses)]
                self.console.pulses(
                    tuple(
                        self._shot(pulses[0], tuple(p.ticks for p in pulses))
                        for pulses in zip(*both, strict=True)
                    )
                )
            case SpinLock() as lock:
                self.console.pulses(tuple(self._lock(lock, n, ticks) for n in lock.nuclei))
            case Inversion() as inversion:
                calibrated = self.job.spectrometer.channel(inversion.nucleus).pulse_power_watt
                self.console.shape(inversion.nucleus, ticks, inversion.power_watt / calibrated)
            case Crusher():
                on = self.job.spectrometer.ticks(self.job.spectrometer.crusher_s)
                lengths = tuple(min(on, t) for t in ticks)
                rest = tuple(t - n for t, n in zip(ticks, lengths, strict=True))
                self.sites -= 1
                self.console.gradient(self.sites % len(GRADIENT_PERCENT), lengths, rest)
            case Saturation() as saturation:
                self._saturation(saturation, ticks)
            case Loop():
                loops = [event for event in rows if isinstance(event, Loop)]
                if not any(loop.count for loop in loops):
                    return  # no row ever runs it
                flipping = has_flips(loops[0].body)
                if flipping:
                    self.console.at_flips_edge()
                self.console.begin_loop(tuple(loop.count for loop in loops))
                for inner in zip(*(loop.body for loop in loops), strict=True):
                    self._tell(inner)
                if flipping:
                    self.console.at_flips_edge()
                self.console.end_loop()
            case PhaseFlip():
                self.console.flip()
            case DummyPulses():
                self._dummies([event for event in rows if isinstance(event, DummyPulses)])
            case other:
                raise LimitError(f"no console can carry out {type(other).__name__}")

    def _dummies(self, trains: list[DummyPulses]) -> None:
        one = trains[0]
        counts = tuple(train.count for train in trains)
        off = (one.off_ticks,) * len(trains)
        self.console.set_offset(one.nucleus, one.offset_hz, off)
        if any(counts):
            shot = Shot(
                nucleus=one.nucleus,
                ticks=(one.on_ticks,) * len(trains),
                scale=one.amplitude_scale,
                phase_deg=0.0,
                is_dummy=True,
            )
            self.console.begin_loop(counts)
            self.console.pulses((shot,))
            self.console.delay(off, "between dummy pulses")
            self.console.end_loop()
        self.console.set_offset(one.nucleus, 0.0, off)

    def _shot(self, pulse: Pulse, ticks: Ticks, *, cycled: bool = False) -> Shot:
        quarter_s = self.job.spectrometer.channel(pulse.nucleus).pulse_90_s
        turned = 90.0 * pulse.amplitude_scale * pulse.ticks * self.tick_s / quarter_s
        wanted = pulse.angle_rad * 57.29577951308232
        if abs(turned - wanted) > 1e-6 * wanted:
            raise LimitError(
                f"a {pulse.nucleus} pulse of {wanted:.6g} degrees must be as long and as strong "
                f"as its angle says, but its length and amplitude make {turned:.6g} degrees"
            )
        return Shot(
            nucleus=pulse.nucleus,
            ticks=ticks,
            scale=pulse.amplitude_scale,
            phase_deg=self.job.console_phase_deg(pulse.nucleus, pulse.phase_rad),
            cycled=cycled,
        )

    def _lock(self, lock: SpinLock, isotope: str, ticks: Ticks) -> Shot:
        scale = lock.nutation_hz * 4.0 * self.job.spectrometer.channel(isotope).pulse_90_s
        phase = self.job.console_phase_deg(isotope, lock.phase_rad)
        return Shot(nucleus=isotope, ticks=ticks, scale=scale, phase_deg=phase)

    def _saturation(self, event: Saturation, ticks: Ticks) -> None:
        channel = self.job.spectrometer.channel(event.nucleus)
        if channel.saturation_power_watt is None:
            raise LimitError(f"no saturation on the {event.nucleus} channel")
        off = self.job.switch_off_ticks
        if min(ticks) <= off:
            raise LimitError(
                f"a saturation must be longer than {off} ticks, in which it is switched off, but "
                f"is {min(ticks)}"
            )
        power = channel.saturation_power_watt / channel.pulse_power_watt
        on = tuple(t - off for t in ticks)
        self.console.saturation(event.nucleus, on, (off,) * len(ticks), power)


def _crushers(event: Event) -> int:
    if isinstance(event, Loop):
        return sum(_crushers(e) for e in event.body)
    return int(isinstance(event, Crusher))
