"""What a pulse sequence is made of.  Durations are integer ticks of the sequence's clock."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from nmrqb.sequence.dummy_pulses import DummyPulses
from nmrqb.units import format_quantity


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
class SimultaneousPulses:
    """Pulses on different channels with one common middle; the longest sets the length."""

    pulses: tuple[Pulse, ...]

    def __post_init__(self) -> None:
        nuclei = [pulse.nucleus for pulse in self.pulses]
        if len(nuclei) < 2 or len(set(nuclei)) != len(nuclei):
            raise ValueError(f"simultaneous pulses must be on different nuclei, not {nuclei}")

    @property
    def ticks(self) -> int:
        """Length of the longest pulse."""
        return max(pulse.ticks for pulse in self.pulses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inversion:
    """An inversion of measured efficiency: z becomes -efficiency z, transverse orders are lost.

    All spins of the nucleus in one molecule are turned by the same angle arccos(-efficiency)
    about one axis; where the axis points differs over the sample, so that no coherence is left.
    `kind` is that of the pulse, such as "adiabatic".
    """

    nucleus: str
    ticks: int
    efficiency: float
    power_watt: float
    kind: str = ""
    label: str = ""

    def __post_init__(self) -> None:
        _check_ticks("ticks", self.ticks, 1)
        if not 0.0 < self.efficiency <= 1.0:
            raise ValueError(
                f"`efficiency` must be above 0 and at most 1, but is {self.efficiency}"
            )

    @property
    def angle_rad(self) -> float:
        """Angle that the spins are turned by."""
        return math.acos(-self.efficiency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crusher:
    """A gradient pulse with its recovery: only homonuclear zero-quantum order survives.

    `residual` is what is left of every other order (0: an ideal crusher); `share` is the share of
    the scans in which the gradient is on, the mean of which is simulated.
    """

    ticks: int
    residual: float = 0.0
    share: float = 1.0

    def __post_init__(self) -> None:
        _check_ticks("ticks", self.ticks, 1)
        if not 0.0 <= self.residual < 1.0:
            raise ValueError(f"`residual` must be 0 to 1, but is {self.residual}")
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"`share` must be above 0 and at most 1, but is {self.share}")

    @property
    def kept(self) -> float:
        """What the mean over the scans keeps of every other order."""
        return 1.0 - self.share * (1.0 - self.residual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """Weak RF that keeps `nucleus` saturated (and decoupled) while the other spins relax."""

    nucleus: str
    ticks: int

    def __post_init__(self) -> None:
        _check_ticks("ticks", self.ticks, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpinLock:
    """A matched spin lock of all `nuclei` at one phase: heteronuclear Hartmann-Hahn transfer.

    Polarisation along the lock axis is exchanged by the planar part of the weak coupling, of half
    its size, and relaxes with T1rho.
    """

    nuclei: tuple[str, ...]
    ticks: int
    nutation_hz: float
    phase_rad: float = 0.0

    def __post_init__(self) -> None:
        _check_ticks("ticks", self.ticks, 1)
        if not (math.isfinite(self.nutation_hz) and self.nutation_hz > 0.0):
            raise ValueError(f"`nutation_hz` must be positive, but is {self.nutation_hz} Hz")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseFlip:
    """A 180 degree shift of a channel's frame with a probability, averaged over scans.

    All later pulses on the channel are shifted by 180 degrees in a share `probability` of the
    scans.  The mean multiplies the odd coherence orders of the nucleus by 1 - 2 probability.
    """

    nucleus: str
    probability: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 0.5:
            raise ValueError(f"`probability` must be 0 to 0.5, but is {self.probability}")

    @property
    def ticks(self) -> int:
        """A phase shift takes no time."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoPure:
    """An ideal preparation of the pseudo-pure state with all spins at 2<S_z> = `sign`.

    Simulation only.  What follows is the difference of scans from this and from the saturated
    (maximally mixed) state, in units of the pseudo-pure amplitude: what relaxation adds drops out.
    """

    ticks: int
    sign: int

    def __post_init__(self) -> None:
        _check_ticks("ticks", self.ticks, 1)
        if self.sign not in (-1, 1):
            raise ValueError(f"`sign` must be -1 or 1, but is {self.sign}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrivenExchange:
    """Ideal exchange with the charger driven on resonance and dephased; simulation only.

    H = pi J (S+ I- + S- I+) + pi nutation (C+ + C-), C the charger, and a charger coherence
    decays at dephasing_per_s/2 besides its T2.
    """

    ticks: int
    nutation_hz: float
    dephasing_per_s: float
    relaxes: bool

    def __post_init__(self) -> None:
        _check_ticks("ticks", self.ticks, 0)
        if not (math.isfinite(self.nutation_hz) and self.nutation_hz >= 0.0):
            raise ValueError(f"`nutation_hz` must be at least 0, but is {self.nutation_hz} Hz")
        if not (math.isfinite(self.dephasing_per_s) and self.dephasing_per_s >= 0.0):
            raise ValueError(f"`dephasing_per_s` must be at least 0, but is {self.dephasing_per_s}")


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
class LoadExchange:
    """Ideal (effective) exchange between the centre and the load; simulation only.

    H = pi J (S+ L- + S- L+) for `quanta` "zero", pi J (S+ L+ + S- L-) for "double"; `relaxes` as in
    Exchange.
    """

    ticks: int
    quanta: Literal["zero", "double"]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Events that together do one thing, such as a native exchange.

    Attributes
    ----------
    label : str
    body : tuple of events
    action : tuple (cc, cs, sc, ss)
        What it does by design to the polarisations of uncorrelated spins: c' = cc c + cs s and
        s' = sc c + ss s for the centre c and the mean satellite s; transverse order is crushed.
    """

    label: str
    body: tuple[Event, ...]
    action: tuple[float, float, float, float]

    def __post_init__(self) -> None:
        if not self.body:
            raise ValueError("the body of a segment must hold at least one event")
        if len(self.action) != 4 or not all(map(math.isfinite, self.action)):
            raise ValueError("`action` must be four finite numbers")

    @property
    def is_transfer(self) -> bool:
        """True where it moves polarisation between centre and satellites."""
        return self.action[1] != 0.0 or self.action[2] != 0.0

    @property
    def ticks(self) -> int:
        """Length of all events."""
        return sum(event.ticks for event in self.body)


Event: TypeAlias = (
    Delay
    | Pulse
    | SimultaneousPulses
    | Inversion
    | Crusher
    | Saturation
    | DummyPulses
    | Exchange
    | LoadExchange
    | SpinLock
    | PhaseFlip
    | PseudoPure
    | DrivenExchange
    | Acquire
    | Loop
    | Segment
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Events of one scan that belong together for the experimenter; perhaps none.

    Attributes
    ----------
    name : str
        "prepare", "charge", the kind of a step of the discharge, or "read".
    events : tuple of events
    """

    name: str
    events: tuple[Event, ...]

    @property
    def ticks(self) -> int:
        """Length of all events."""
        return sum(event.ticks for event in self.events)


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
        """Yield every event that is not a loop or segment with the number of times it runs."""
        yield from _walk(self.events, 1)

    def __str__(self) -> str:
        head = f"pulse sequence {self.name or '(unnamed)'}: {self.duration_s:.6g} s a scan"
        return "\n".join([head, *_lines(self.events, self.tick_s, "  ")])


def _walk(events: tuple[Event, ...], times: int) -> Iterator[tuple[Event, int]]:
    for event in events:
        if isinstance(event, Loop):
            yield from _walk(event.body, times * event.count)
        elif isinstance(event, Segment):
            yield from _walk(event.body, times)
        else:
            yield event, times


def _lines(events: tuple[Event, ...], tick_s: float, indent: str) -> list[str]:
    lines = []
    for event in events:
        length = format_quantity(event.ticks * tick_s, "time")
        match event:
            case Loop():
                lines.append(f"{indent}loop {event.count} times")
                lines += _lines(event.body, tick_s, indent + "  ")
            case Segment():
                lines.append(f"{indent}{event.label}, {length}")
                lines += _lines(event.body, tick_s, indent + "  ")
            case Delay():
                lines.append(f"{indent}delay {length} {event.label}".rstrip())
            case Pulse():
                lines.append(
                    f"{indent}pulse {_pulse_words(event)}, {length} {event.label}".rstrip()
                )
            case SimultaneousPulses():
                both = " with ".join(_pulse_words(pulse) for pulse in event.pulses)
                lines.append(f"{indent}pulses {both}, {length}")
            case Inversion():
                lines.append(
                    f"{indent}inversion of {event.nucleus}, efficiency {event.efficiency:g}, "
                    f"{length} {event.label}".rstrip()
                )
            case Crusher():
                rest = f", residual {event.residual:g}" if event.residual else ""
                if event.share < 1.0:
                    rest += f", in {100.0 * event.share:.4g} % of the scans"
                lines.append(f"{indent}crusher gradient {length}{rest}")
            case Saturation():
                lines.append(f"{indent}saturation of {event.nucleus} {length}")
            case DummyPulses():
                lines.append(
                    f"{indent}{event.count} dummy pulses on {event.nucleus}, "
                    f"{event.offset_hz:.6g} Hz off resonance, {length}"
                )
            case SpinLock():
                lines.append(
                    f"{indent}spin lock of {' and '.join(event.nuclei)} at "
                    f"{event.nutation_hz:g} Hz, {length}"
                )
            case PhaseFlip():
                lines.append(
                    f"{indent}phase of {event.nucleus} flipped in {100 * event.probability:.4g} % "
                    "of the scans"
                )
            case PseudoPure():
                lines.append(f"{indent}pseudo-pure preparation {length}")
            case DrivenExchange():
                relaxation = "with" if event.relaxes else "without"
                lines.append(
                    f"{indent}ideal XY exchange {length}, charger driven at "
                    f"{event.nutation_hz:g} Hz and dephased at {event.dephasing_per_s:g} /s, "
                    f"{relaxation} relaxation"
                )
            case Exchange():
                relaxation = "with" if event.relaxes else "without"
                lines.append(f"{indent}ideal XY exchange {length}, {relaxation} relaxation")
            case LoadExchange():
                relaxation = "with" if event.relaxes else "without"
                lines.append(
                    f"{indent}ideal {event.quanta}-quantum exchange with the load {length}, "
                    f"{relaxation} relaxation"
                )
            case Acquire():
                others = ", ".join(event.decoupled) or "nothing"
                lines.append(
                    f"{indent}acquire {event.nucleus}: {event.points} points in {length}, "
                    f"{others} decoupled"
                )
    return lines


def _pulse_words(pulse: Pulse) -> str:
    angle, phase = math.degrees(pulse.angle_rad), math.degrees(pulse.phase_rad)
    return f"{pulse.nucleus} {angle:.6g} deg, phase {phase:g} deg"
