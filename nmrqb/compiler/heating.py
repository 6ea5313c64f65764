"""The same RF energy in every scan: dummy pulses far off resonance, early in the relaxation delay.

Each channel's energies are brought up to that of its hottest row.  What the dummies may do to the
spins is bounded: z loses at most 2 (nutation/offset)^2 by one pulse, and what is lost relaxes for
the rest of the delay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nmrqb.compiler.hazards import rf_energy
from nmrqb.compiler.limits import rf_duty
from nmrqb.sequence.dummy_pulses import DummyPulses
from nmrqb.sequence.events import Crusher, Delay, Event, Pulse, PulseSequence
from nmrqb.spectrometer.spectrometer import Spectrometer
from nmrqb.spins.register import Species, SpinRegister
from nmrqb.units import format_quantity

#: offset over Larmor frequency: outside every line, inside the resonance of a coil of Q < 1000
OFFSET_SHARE = 5e-4
#: nutation frequency over the effective field's: (nutation/offset)^2 is 0.82 % at most
_TILT = 0.09
#: pulses in the longest train at least, if need be by weaker ones
_FEW = 200
#: largest share of z that may be missing at the end of the relaxation delay
MAX_DISTURBANCE = 0.01
#: largest share of the relaxation delay that the dummies may fill
_EARLY = 0.5
RELAXATION = "relaxation"


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualHeating:
    """Sequences whose RF energies agree within one dummy pulse where the limits allow it.

    Attributes
    ----------
    sequences : tuple of PulseSequence
        In the order given.
    notes : tuple of str
        What the dummies do at most, channel by channel, or why a channel has none.
    """

    sequences: tuple[PulseSequence, ...]
    notes: tuple[str, ...]


def equal_heating(
    sequences: Sequence[PulseSequence], register: SpinRegister, spectrometer: Spectrometer
) -> EqualHeating:
    """Return sequences with dummy pulses at the start of their relaxation delays.

    The delay is shortened by the length of the dummies, so that no scan becomes longer.  A channel
    on which a limit would be broken in any row keeps its energies as they are.
    """
    found, notes = tuple(sequences), []
    for species in (register.battery, register.charger):
        trains, note = _trains(found, species, register, spectrometer)
        if trains:
            found = tuple(_with_train(s, t) for s, t in zip(found, trains, strict=True))
        if note:
            notes.append(note)
    return EqualHeating(sequences=found, notes=tuple(notes))


def _trains(
    sequences: tuple[PulseSequence, ...],
    species: Species,
    register: SpinRegister,
    spectrometer: Spectrometer,
) -> tuple[list[DummyPulses], str]:
    """Return the train of each sequence and what to say; no trains where none are due or legal."""
    isotope = species.isotope
    energies = [rf_energy(s, spectrometer).get(isotope, 0.0) for s in sequences]
    missing = [max(energies) - energy for energy in energies]
    one = _one_pulse(species, register, spectrometer, max(missing))
    joule = _joule(one, spectrometer)
    counts = [round(m / joule) for m in missing]
    if not any(counts):
        return [], ""
    trains = [replace(one, count=n) for n in counts]
    unequal = f"heating = equal: {isotope} is left as it is, since "
    for sequence, train in zip(sequences, trains, strict=True):
        reason = _obstacle(sequence, train, spectrometer)
        if reason:
            return [], unequal + reason
    lost = [_disturbance(s, t, species) for s, t in zip(sequences, trains, strict=True)]
    if max(lost) > MAX_DISTURBANCE:
        return [], unequal + (
            f"up to {max(lost):.2g} of its polarisation could be missing when the delay ends "
            f"(at most {MAX_DISTURBANCE:g} is allowed)"
        )
    words = (
        f"heating = equal: up to {max(counts)} dummy pulse(s) of "
        f"{format_quantity(one.on_ticks * spectrometer.tick_s, 'time')} on {isotope}, "
        f"{format_quantity(one.offset_hz, 'frequency')} off resonance, make its RF energy "
        f"{max(energies):.4g} J a scan within {0.5 * joule:.2g} J; each excites at most "
        f"(nutation/offset)^2 = {one.excitation:.2g}, and at most {max(lost):.2g} of z is missing "
        "when the delay ends"
    )
    return trains, words


def _joule(one: DummyPulses, spectrometer: Spectrometer) -> float:
    """Return the RF energy of one pulse."""
    full = spectrometer.channel(one.nucleus).pulse_power_watt
    return full * one.amplitude_scale**2 * one.on_ticks * spectrometer.tick_s


def _one_pulse(
    species: Species, register: SpinRegister, spectrometer: Spectrometer, missing_joule: float
) -> DummyPulses:
    """Return the longest legal pulse that turns the spins whole times about the effective field.

    The turns bring spins on the carrier back to z; lines and fields that differ are bounded by the
    tilt of the effective field.  Where few pulses would do they are made weaker, so that the
    energies agree the better.
    """
    channel = spectrometer.channel(species.isotope)
    tick_s = spectrometer.tick_s
    calibrated_hz = 1.0 / (4.0 * channel.pulse_90_s)
    ticks = max(1, math.floor(channel.maximum_pulse_s / tick_s * (1.0 + 1e-9)))
    larmor_hz = abs(species.nucleus.larmor_hz(register.field_tesla.value))
    turns = max(1, round(OFFSET_SHARE * larmor_hz * ticks * tick_s))
    effective_hz = turns / (ticks * tick_s)
    nutation_hz = min(_TILT * effective_hz, calibrated_hz)
    strongest = channel.pulse_power_watt * (nutation_hz / calibrated_hz) ** 2
    share = missing_joule / (_FEW * strongest * ticks * tick_s)
    nutation_hz *= math.sqrt(min(1.0, share)) if share else 1.0
    return DummyPulses(
        nucleus=species.isotope,
        count=0,
        on_ticks=ticks,
        off_ticks=max(ticks, math.ceil(spectrometer.minimum_delay_s / tick_s - 1e-9)),
        amplitude_scale=nutation_hz / calibrated_hz,
        nutation_hz=nutation_hz,
        # to 0.1 Hz, as consoles are told it
        offset_hz=round(math.sqrt(effective_hz**2 - nutation_hz**2), 1),
    )


def _obstacle(sequence: PulseSequence, train: DummyPulses, spectrometer: Spectrometer) -> str:
    """Return the limit that forbids a train, or ""."""
    where = _relaxation(sequence)
    if where is None:
        return "a scan begins without a relaxation delay"
    delay = sequence.events[where]
    if train.ticks > _EARLY * delay.ticks:
        return (
            f"{train.count} dummy pulses would fill more than {_EARLY:g} of the relaxation delay "
            f"of {format_quantity(delay.ticks * sequence.tick_s, 'time')}"
        )
    channel = spectrometer.channel(train.nucleus)
    most = spectrometer.maximum_loop_count
    if most is not None and train.count > most:
        return f"a loop of {train.count} exceeds the largest count {most}"
    duty = rf_duty(_with_train(sequence, train)).get(train.nucleus, 0.0)
    if duty > channel.maximum_duty:
        return f"its duty would be {duty:.3g}, above {channel.maximum_duty:g}"
    return ""


def _disturbance(sequence: PulseSequence, train: DummyPulses, species: Species) -> float:
    """Return the largest share of z that can be missing at the end of the relaxation delay."""
    where = _relaxation(sequence)
    assert where is not None
    left_s = (sequence.events[where].ticks - train.ticks) * sequence.tick_s
    lost = min(1.0, 2.0 * train.count * train.excitation)
    after = sequence.events[where + 1 : where + 3]
    if _erases(after, train.nucleus):
        assert isinstance(after[1], Crusher)
        lost *= after[1].kept
    return lost * math.exp(-left_s / species.t1_s.value)


def _erases(events: tuple[Event, ...], nucleus: str) -> bool:
    """True for a 90 degree pulse and a crusher: what the dummies left of z is of no importance."""
    if len(events) < 2 or not isinstance(events[0], Pulse) or not isinstance(events[1], Crusher):
        return False
    return events[0].nucleus == nucleus and math.isclose(events[0].angle_rad, math.pi / 2.0)


def _relaxation(sequence: PulseSequence) -> int | None:
    """Return the place of the relaxation delay that a scan begins with, behind earlier dummies."""
    for k, event in enumerate(sequence.events):
        if isinstance(event, Delay):
            return k if event.label == RELAXATION else None
        if not isinstance(event, DummyPulses):
            return None
    return None


def _with_train(sequence: PulseSequence, train: DummyPulses) -> PulseSequence:
    where = _relaxation(sequence)
    assert where is not None
    delay = sequence.events[where]
    assert isinstance(delay, Delay)
    events: list[Event] = list(sequence.events)
    events[where : where + 1] = [train, replace(delay, ticks=delay.ticks - train.ticks)]
    return replace(sequence, events=tuple(events))
