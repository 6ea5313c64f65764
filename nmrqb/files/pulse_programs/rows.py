"""Which rows of a sweep one pulse program can hold: those that differ by what a list can drive.

A console list drives loop counts, delays and lengths of pulses at one power.  Rows of one shape
share a program; a row of another shape (other powers, another number of steps) has its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np

from nmrqb.compiler.compile import CompiledProtocol
from nmrqb.errors import LimitError
from nmrqb.files.pulse_programs.one_shape import with_one_loop, with_optional_part
from nmrqb.sequence.dummy_pulses import DummyPulses
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
    PseudoPure,
    Pulse,
    PulseSequence,
    Saturation,
    Segment,
    SimultaneousPulses,
    SpinLock,
)

Events = tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Rows that one pulse program measures.

    Attributes
    ----------
    rows : tuple of int
        Rows of the sweep in the order of acquisition.
    events : tuple of tuples of events
        Of each of `rows`; all of one shape: they differ by ticks and loop counts only.
    reference : tuple of events or None
        Measured first, as row 0.
    """

    rows: tuple[int, ...]
    events: tuple[Events, ...]
    reference: Events | None


def programs_of(compiled: CompiledProtocol, seed: int) -> tuple[Program, ...]:
    """Return the programs that measure every row of a compiled protocol.

    The order of the rows is a random one (of `seed`), so that a drift of the spectrometer does not
    look like charging.

    Raises
    ------
    LimitError
        For what no spectrometer can do: events that exist in simulation only, an acquisition that
        is not the last event, a pulse whose angle, length and amplitude contradict each other.
    """
    sweep = compiled.protocol.sweep
    counted = sweep is not None and sweep.key == "cycles"
    reference = None if compiled.reference is None else executable(compiled.reference)
    rows = {k: executable(sequence) for k, sequence in enumerate(compiled.sequences)}
    if counted:
        heads = {k: _head(events) for k, events in rows.items()}
        shaped = with_one_loop({k: e[len(heads[k]) :] for k, e in rows.items()})
        rows = {k: (*heads[k], *events) for k, events in shaped.items()}
    else:
        rows = with_optional_part({k: _single_runs_opened(e) for k, e in rows.items()}, _form)
    groups: dict[Hashable, list[int]] = {}
    for k, events in rows.items():
        groups.setdefault(_shape(events), []).append(k)
    order = np.random.default_rng(seed)
    found = []
    for members in groups.values():
        shuffled = tuple(int(k) for k in order.permutation(members))
        program = Program(
            rows=shuffled, events=tuple(rows[k] for k in shuffled), reference=reference
        )
        found.append(program)
    return tuple(sorted(found, key=lambda program: min(program.rows)))


def _head(events: Events) -> Events:
    """Return the dummy pulses that a scan begins with and the delay that they shorten."""
    dummies = tuple(itertools.takewhile(lambda e: isinstance(e, DummyPulses), events))
    return events[: len(dummies) + 1] if dummies else ()


def executable(sequence: PulseSequence) -> Events:
    """Return the events that a spectrometer carries out: segments opened, empty ones left out."""
    events = _opened(sequence.events)
    where = [k for k, e in enumerate(events) if isinstance(e, Acquire)]
    if where != [len(events) - 1]:
        raise LimitError("a scan must end with its one acquisition", key=sequence.name)
    if len(events) < 2 or not isinstance(events[-2], Delay):
        raise LimitError(
            "an acquisition must follow a delay, the dead time of the receiver", key=sequence.name
        )
    return events


def is_cycled(events: Events) -> bool:
    """True where the scan ends with a read pulse, a delay and the acquisition.

    Only such a pulse may be cycled with the receiver: the receiver never moves against phases that
    belong to the protocol.
    """
    if len(events) < 3:
        return False
    read, last = events[-3], events[-1]
    assert isinstance(last, Acquire)
    return isinstance(read, Pulse) and read.label == "read" and read.nucleus == last.nucleus


def _opened(events: Events) -> Events:
    found: list[Event] = []
    for event in events:
        match event:
            case Segment():
                found += _opened(event.body)
            case Loop():
                body = _opened(event.body)
                if any(isinstance(e, Acquire) for e in body):
                    raise LimitError("an acquisition must not be inside a loop")
                if event.count and body:
                    found.append(replace(event, body=body))
            case Exchange():
                raise LimitError(
                    'an ideal exchange exists in simulation only: use exchange = "native" (with '
                    '`steps`), exchange = "hartmann-hahn" (with `spin_lock`) or a step of kind '
                    '"inept"',
                    key="exchange",
                    value="ideal",
                    limit="native, hartmann-hahn, inept",
                )
            case LoadExchange():
                raise LimitError(
                    "an ideal exchange with the load exists in simulation only: use a step of kind "
                    '"discharge" with exchange = "native" and `steps`',
                    key="exchange",
                    value="ideal",
                    limit="native",
                )
            case DrivenExchange():
                raise LimitError(
                    'an ideal driven exchange exists in simulation only: use by = "phase-flips" '
                    '(with `slices`) and exchange = "native"',
                    key="driven-exchange",
                    limit="phase-flips, native",
                )
            case Crusher() if event.share < 1.0:
                raise LimitError(
                    "crushers in a share of the scans need a program for each pattern, which is "
                    "not written: the mean over scans exists in simulation only",
                    key="by",
                    value="poisson-crushers",
                    limit="crushers, phase-flips",
                )
            case PseudoPure():
                raise LimitError(
                    "an ideal pseudo-pure preparation exists in simulation only: use a start of "
                    'kind "thermal" or "battery-saturated" with a thermal reference',
                    key="pseudo-pure",
                    limit="thermal, battery-saturated",
                )
            case Pulse():
                found.append(_positive(event))
            case SimultaneousPulses():
                found.append(replace(event, pulses=tuple(map(_positive, event.pulses))))
            case Delay():
                if event.ticks:
                    found.append(event)
            case _:
                found.append(event)
    return tuple(found)


def _single_runs_opened(events: Events) -> Events:
    found: list[Event] = []
    for event in events:
        if isinstance(event, Loop) and event.count == 1:
            found += _single_runs_opened(event.body)
        else:
            found.append(event)
    return tuple(found)


def _positive(pulse: Pulse) -> Pulse:
    """Return a pulse of positive angle: -a about x is a about -x."""
    if pulse.angle_rad > 0.0 and pulse.amplitude_scale > 0.0:
        return pulse
    if pulse.angle_rad == 0.0 or pulse.amplitude_scale == 0.0:
        raise LimitError("a pulse must turn the spins: leave out pulses of 0 degrees")
    return replace(
        pulse,
        angle_rad=abs(pulse.angle_rad),
        amplitude_scale=abs(pulse.amplitude_scale),
        phase_rad=pulse.phase_rad + math.pi,
    )


def phase_deg(phase_rad: float) -> float:
    """Return a phase in degrees, 0 up to 360, to 1e-9 degrees."""
    return round(math.degrees(phase_rad), 9) % 360.0


def _shape(events: Events) -> Hashable:
    """Return what rows of one program must have in common."""
    dead, acquire = events[-2:]
    return (*(_form(e) for e in events[:-2]), dead.ticks, acquire)


def _form(event: Event) -> Hashable:
    match event:
        case Pulse():
            amplitude = f"{event.amplitude_scale:.12g}"
            read = event.label == "read"
            return "pulse", event.nucleus, phase_deg(event.phase_rad), amplitude, read
        case SimultaneousPulses():
            return "pulses", *(_form(p) for p in event.pulses)
        case Loop():
            return "loop", *(_form(e) for e in event.body)
        case Inversion() | Crusher():
            return replace(event, label="") if isinstance(event, Inversion) else event
        case SpinLock():
            return "lock", event.nuclei, event.nutation_hz, phase_deg(event.phase_rad)
        case Saturation():
            return "saturation", event.nucleus
        case DummyPulses():
            return replace(event, count=0)
        case _:
            return type(event).__name__
