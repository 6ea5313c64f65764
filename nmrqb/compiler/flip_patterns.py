"""Frames that are flipped in a share of the scans: which scan gets which pattern of flips.

A phase flip of probability q stands for the mean over scans.  A spectrometer runs patterns: every
scan flips the frame or does not, flip by flip.  Where every pattern's share of the scans is a whole
number of phase cycles all patterns are run and the mean is exact; else each scan draws its own,
and the mean of S scans is off by about 1/sqrt(S).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import LimitError
from nmrqb.sequence.events import (
    Acquire,
    Event,
    Loop,
    PhaseFlip,
    Pulse,
    PulseSequence,
    Segment,
    SimultaneousPulses,
    SpinLock,
)

#: flips of one scan whose patterns may all be run
MAX_COMPLETE_FLIPS = 12
#: sum of |share of the scans - weight| that counts as none
_SAME_WEIGHTS = 1e-3

Flips = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipPatterns:
    """The patterns of the scans of one row.

    Attributes
    ----------
    nucleus : str
        Whose frame is flipped.
    flips : ndarray of bool, shape (scans, flips of a scan)
        In the order of time.
    probabilities : ndarray, shape (flips of a scan,)
    is_complete : bool
        True where every pattern is run in its share of the scans.
    weight_error : float
        Sum over all patterns of |share of the scans - weight| where complete, else 0: the mean is
        off by at most that times the largest value of one scan.
    """

    nucleus: str
    flips: Flips
    probabilities: NDArray[np.float64]
    is_complete: bool
    weight_error: float


def flip_count(events: tuple[Event, ...]) -> int:
    """Return how many flips a run of events holds, loops run."""
    total = 0
    for event in events:
        match event:
            case PhaseFlip():
                total += 1
            case Loop():
                total += event.count * flip_count(event.body)
            case Segment():
                total += flip_count(event.body)
            case _:
                pass
    return total


def has_flips(events: tuple[Event, ...]) -> bool:
    """True where a flip is written anywhere, however often it runs."""
    return any(
        isinstance(e, PhaseFlip) or (isinstance(e, Loop | Segment) and has_flips(e.body))
        for e in events
    )


def flips_of(events: tuple[Event, ...]) -> Iterator[PhaseFlip]:
    """Yield the flips of a run of events in the order of time."""
    for event in events:
        match event:
            case PhaseFlip():
                yield event
            case Loop():
                inner = tuple(flips_of(event.body))
                yield from itertools.chain.from_iterable(itertools.repeat(inner, event.count))
            case Segment():
                yield from flips_of(event.body)
            case _:
                pass


def draw_patterns(
    sequence: PulseSequence, scans: int, cycle: int, rng: np.random.Generator
) -> FlipPatterns | None:
    """Return the patterns of a row's scans; None where it flips no frame.

    Parameters
    ----------
    sequence : PulseSequence
    scans : int
    cycle : int
        Steps of the phase cycle, of which every pattern gets whole ones where all are run.
    rng : Generator

    Raises
    ------
    LimitError
        Where frames of several nuclei are flipped, that of the observed nucleus, or that of a
        nucleus in a spin lock, whose channels share one phase.
    """
    flips = tuple(flips_of(sequence.events))
    if not flips:
        return None
    nuclei = {flip.nucleus for flip in flips}
    if len(nuclei) > 1:
        raise LimitError(f"frames of one nucleus can be flipped, not of {sorted(nuclei)}")
    for event, _ in sequence.walk():
        if isinstance(event, Acquire) and event.nucleus in nuclei:
            raise LimitError(
                f"the nucleus whose frame is flipped ({event.nucleus}) cannot be observed: the "
                "receiver does not follow the flips"
            )
        if isinstance(event, SpinLock) and nuclei & set(event.nuclei):
            raise LimitError(
                "a scan with flips of a frame must hold no spin lock: its channels share one phase"
            )
    probabilities = np.array([flip.probability for flip in flips])
    every, error = _every_pattern(probabilities, scans, cycle)
    drawn = rng.random((scans, len(flips))) < probabilities
    return FlipPatterns(
        nucleus=flips[0].nucleus,
        flips=drawn if every is None else every,
        probabilities=probabilities,
        is_complete=every is not None,
        weight_error=error,
    )


def _every_pattern(
    probabilities: NDArray[np.float64], scans: int, cycle: int
) -> tuple[Flips | None, float]:
    """Return all patterns in their shares of the scans and the error of the shares, if they fit."""
    cycles = scans // cycle
    if len(probabilities) > MAX_COMPLETE_FLIPS or 2 ** len(probabilities) > cycles:
        return None, 0.0
    patterns = np.array(list(itertools.product((False, True), repeat=len(probabilities))))
    weights = np.where(patterns, probabilities, 1.0 - probabilities).prod(axis=1)
    times = np.rint(weights * cycles).astype(int)
    error = float(np.abs(times / cycles - weights).sum())
    if times.sum() * cycle != scans or error > _SAME_WEIGHTS:
        return None, 0.0
    return np.repeat(patterns, times * cycle, axis=0), error


def with_flips(sequence: PulseSequence, flips: Flips) -> PulseSequence:
    """Return the sequence of one scan: later pulses shifted instead of frames flipped."""
    runner = _Runner(iter(flips.tolist()))
    events: list[Event] = []
    for event in sequence.events:
        body = tuple(runner.run((event,)))
        if isinstance(event, Loop | Segment) and has_flips((event,)):
            events.append(Segment(label="one pattern", body=body, action=(0.0,) * 4))
        else:
            events += body
    return replace(sequence, events=tuple(events))


class _Runner:
    def __init__(self, flips: Iterator[bool]) -> None:
        self.flips = flips
        self.flipped: str | None = None

    def run(self, events: tuple[Event, ...]) -> Iterator[Event]:
        for event in events:
            match event:
                case PhaseFlip():
                    if next(self.flips):
                        self.flipped = None if self.flipped else event.nucleus
                case Loop() if has_flips(event.body):
                    for _ in range(event.count):
                        yield from self.run(event.body)
                case Segment() if has_flips(event.body):
                    yield from self.run(event.body)
                case _:
                    yield self._shifted(event)

    def _shifted(self, event: Event) -> Event:
        if self.flipped is None:
            return event
        match event:
            case Pulse():
                turn = np.pi if event.nucleus == self.flipped else 0.0
                return replace(event, phase_rad=event.phase_rad + turn)
            case SimultaneousPulses():
                pulses = [self._shifted(pulse) for pulse in event.pulses]
                return replace(event, pulses=tuple(p for p in pulses if isinstance(p, Pulse)))
            case Loop() | Segment():
                return replace(event, body=tuple(self._shifted(e) for e in event.body))
            case _:
                return event
