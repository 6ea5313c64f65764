"""Which way the chargers point when they meet the battery: followed by the closed map."""

from __future__ import annotations

from collections.abc import Iterator

from nmrqb.models.closed_map import ClosedMap
from nmrqb.sequence.events import (
    Acquire,
    DrivenExchange,
    Event,
    Exchange,
    LoadExchange,
    Loop,
    PseudoPure,
    PulseSequence,
    Segment,
)
from nmrqb.spins.register import SpinRegister

#: repetitions of a loop that are followed
_FOLLOWED = 40
#: chargers below this share of their equilibrium point nowhere
_POINTS_NOWHERE = 0.02


def charger_levels(
    sequence: PulseSequence, register: SpinRegister
) -> list[tuple[Exchange | Segment, float]]:
    """Return every transfer of a sequence with the chargers' polarisation just before it.

    In energy label (1: their thermal equilibrium), by the closed map.  Empty behind a pseudo-pure
    preparation or a driven exchange, which it does not describe; a load comes after all transfers.
    """
    closed = ClosedMap(register=register, tick_s=sequence.tick_s)
    state = closed.equilibrium()
    central = register.center.role == "charger"
    found = []
    for event in _opened(sequence.events):
        ends = (PseudoPure, DrivenExchange, LoadExchange, Acquire)
        if isinstance(event, ends) or _is_driven(event):
            break
        if isinstance(event, Exchange) or (isinstance(event, Segment) and event.is_transfer):
            level = float(state[0 if central else 1]) * register.charger.nucleus.sign
            found.append((event, level))
        state = closed.of_event(event) @ state
    return found


def sign_warnings(sequence: PulseSequence, register: SpinRegister) -> list[str]:
    """Say so where chargers empty the battery: an exchange from the wrong side, an INEPT misled."""
    pair = f"{register.battery.isotope} battery, {register.charger.isotope} chargers"
    # energy moves up for spins that point against the battery's ground state
    upward = -1.0 if register.must_invert_chargers else 1.0
    found: list[str] = []
    inepts = []
    for event, level in charger_levels(sequence, register):
        if isinstance(event, Segment) and _is_one_way(event):
            inepts.append(level)
            continue
        if upward * level < -_POINTS_NOWHERE:
            what = "inverted chargers" if level < 0.0 else "chargers left on +z"
            found.append(f"{pair}: {what} DISCHARGE the battery (signs of gamma)")
    if inepts and abs(inepts[0]) < _POINTS_NOWHERE:
        found.append(f"{pair}: INEPT meets chargers without polarisation")
    elif inepts and any(level * inepts[0] < 0.0 for level in inepts):
        found.append(
            f"{pair}: INEPT meets chargers of changing sign, and later repetitions DISCHARGE the "
            "battery: its last pulse has the phase of the first"
        )
    return list(dict.fromkeys(found))


def inept_sign(sequence: PulseSequence, register: SpinRegister) -> int:
    """Return the sign that INEPT must have (in spin labels) to charge in its first repetition.

    What INEPT meets does not depend on its own sign, so that any sequence with it will do.
    """
    for event, level in charger_levels(sequence, register):
        if isinstance(event, Segment) and _is_one_way(event):
            charger = level * register.charger.nucleus.sign
            return 1 if charger * register.battery.nucleus.sign <= 0.0 else -1
    return 1


def _is_driven(event: Event) -> bool:
    # no polarisation keeps its place: drive and exchange mix everything
    return isinstance(event, Segment) and not any(event.action)


def _is_one_way(segment: Segment) -> bool:
    """True for INEPT, which gives to the battery and takes nothing back; an exchange does both."""
    return (segment.action[1] != 0.0) != (segment.action[2] != 0.0)


def _opened(events: tuple[Event, ...]) -> Iterator[Event]:
    for event in events:
        if isinstance(event, Loop):
            for _ in range(min(event.count, _FOLLOWED)):
                yield from _opened(event.body)
        else:
            yield event
