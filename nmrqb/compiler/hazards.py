"""What a legal sequence does besides what it should: RF heating, radiation damping, bulk lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nmrqb.protocol.protocol import Protocol
from nmrqb.protocol.steps import Invert, Reenergise
from nmrqb.sequence.dummy_pulses import DummyPulses
from nmrqb.sequence.events import (
    Acquire,
    Inversion,
    Pulse,
    PulseSequence,
    Saturation,
    SimultaneousPulses,
    SpinLock,
)
from nmrqb.spectrometer.spectrometer import Spectrometer
from nmrqb.spins.register import SpinRegister
from nmrqb.units import format_quantity

#: vacuum permeability, T m/A (CODATA 2018)
VACUUM_PERMEABILITY = 1.25663706212e-6
#: rows of a sweep whose mean RF power differs by more than this heat the sample differently
_UNEQUAL = 0.2


def rf_energy(sequence: PulseSequence, spectrometer: Spectrometer) -> dict[str, float]:
    """Return the RF energy in joule that one scan sends to the probe, by nucleus."""
    energy: dict[str, float] = {}

    def add(isotope: str, power_watt: float, ticks: int, times: int) -> None:
        joule = power_watt * ticks * sequence.tick_s * times
        energy[isotope] = energy.get(isotope, 0.0) + joule

    for event, times in sequence.walk():
        match event:
            case Pulse() | SimultaneousPulses():
                for pulse in event.pulses if isinstance(event, SimultaneousPulses) else (event,):
                    calibrated = spectrometer.channel(pulse.nucleus).pulse_power_watt
                    add(pulse.nucleus, calibrated * pulse.amplitude_scale**2, pulse.ticks, times)
            case Inversion():
                add(event.nucleus, event.power_watt, event.ticks, times)
            case SpinLock():
                for isotope in event.nuclei:
                    channel = spectrometer.channel(isotope)
                    add(isotope, channel.power_at(event.nutation_hz), event.ticks, times)
            case Saturation():
                power = spectrometer.channel(event.nucleus).saturation_power_watt
                add(event.nucleus, power or 0.0, event.ticks, times)
            case DummyPulses():
                power = spectrometer.channel(event.nucleus).pulse_power_watt
                add(
                    event.nucleus,
                    power * event.amplitude_scale**2,
                    event.count * event.on_ticks,
                    times,
                )
            case Acquire():
                for isotope in event.decoupled:
                    power = spectrometer.channel(isotope).decoupling_power_watt
                    add(isotope, power, event.ticks, times)
            case _:
                pass
    return energy


def radiation_damping_s(register: SpinRegister, spectrometer: Spectrometer) -> float | None:
    """Return the radiation damping time of the chargers, 2/(mu0 eta Q |gamma| M0), in seconds.

    None where the concentration or the coil's filling and quality factors are not known.

    References
    ----------
    N. Bloembergen and R. V. Pound, Phys. Rev. 95, 8 (1954).
    """
    charger = register.charger
    quality = spectrometer.channel(charger.isotope).filling_quality
    magnetisation = register.charger_magnetisation
    if quality is None or magnetisation is None:
        return None
    gamma = abs(charger.nucleus.gamma_rad_per_s_tesla)
    return 2.0 / (VACUUM_PERMEABILITY * quality * gamma * magnetisation)


def find_hazards(
    protocol: Protocol,
    register: SpinRegister,
    spectrometer: Spectrometer,
    sequences: Sequence[PulseSequence],
) -> list[str]:
    """Return warnings about what the limits of the spectrometer do not forbid."""
    return [
        *_damping(protocol, register, spectrometer),
        *_heating(spectrometer, sequences),
        *_isotopologues(protocol, register),
        *_coarse_fields(protocol, register, spectrometer, sequences),
    ]


def _damping(protocol: Protocol, register: SpinRegister, spectrometer: Spectrometer) -> list[str]:
    must = register.must_invert_chargers
    inverted = any(
        (isinstance(s, Reenergise) and (s.inversion == "ideal" or (s.inversion == "auto" and must)))
        or (isinstance(s, Invert) and s.target == "charger")
        for s in (*protocol.prepare, *protocol.cycle)
    )
    tau = radiation_damping_s(register, spectrometer)
    if tau is None or not inverted or tau > 10.0 * register.charger.t2_star_s.value:
        return []
    t1 = format_quantity(register.charger.t1_s.value, "time")
    # about an inverted magnetisation dM/dt = (1/tau - 1/T2*) M: it turns where tau < T2*
    what = (
        f"inverted {register.charger.isotope} chargers turn back within a few times "
        if tau < register.charger.t2_star_s.value
        else f"the transverse polarisation of the {register.charger.isotope} chargers is damped by "
    )
    words = (
        f"radiation damping: {what}{format_quantity(tau, 'time')} (T1 {t1}); the simulation does "
        "not include it: dilute the sample or detune the coil"
    )
    return [words]


def _heating(spectrometer: Spectrometer, sequences: Sequence[PulseSequence]) -> list[str]:
    found: list[str] = []
    mean: dict[str, list[float]] = {}
    for sequence in sequences:
        energy = rf_energy(sequence, spectrometer)
        for isotope in dict.fromkeys([*mean, *energy]):
            mean.setdefault(isotope, []).append(energy.get(isotope, 0.0) / sequence.duration_s)
    for isotope, powers in mean.items():
        limit = spectrometer.channel(isotope).maximum_mean_power_watt
        if limit is None:
            continue
        if max(powers) > limit:
            found.append(
                f"RF heating: {isotope} sends {max(powers):.3g} W on average, above the "
                f"{limit:g} W that this probe is said to bear without warming the sample"
            )
        spread = float(np.ptp(powers))
        if spread > _UNEQUAL * limit:
            found.append(
                f"RF heating changes along the series: the mean {isotope} power differs by "
                f"{spread:.3g} W between rows (equalise it with pulses far off resonance)"
            )
    return found


def _isotopologues(protocol: Protocol, register: SpinRegister) -> list[str]:
    share = register.star_share
    observed = register.of_role(protocol.fid.target)
    if share > 0.9 or observed is register.center:
        return []
    words = (
        f"the {observed.isotope} line belongs to all molecules, of which only {100 * share:.3g} % "
        f"are the star with a central {register.center.isotope}: what is measured is the bulk"
    )
    return [words]


def _coarse_fields(
    protocol: Protocol,
    register: SpinRegister,
    spectrometer: Spectrometer,
    sequences: Sequence[PulseSequence],
) -> list[str]:
    """Say so where too few RF fields stand for the mismatches of a spin lock."""
    points = protocol.simulation.b1_points
    locks = {e.nutation_hz for s in sequences for e, _ in s.walk() if isinstance(e, SpinLock)}
    if points == 1 or not locks:
        return []
    isotopes = (register.center.isotope, register.satellite.isotope)
    spread = max(spectrometer.channel(isotope).b1_spread for isotope in isotopes)
    # neighbouring Gauss-Hermite nodes of n points lie about pi/sqrt(2 n) standard deviations apart
    spacing_hz = np.pi / np.sqrt(2.0 * points) * spread * max(locks)
    coupling = abs(register.coupling_hz.value)
    if spacing_hz <= coupling / 2.0:
        return []
    words = (
        f"b1_points = {points} fields lie {spacing_hz:.3g} Hz apart at a lock of {max(locks):g} "
        f"Hz, too far to resolve mismatches of J/2 = {coupling / 2.0:.3g} Hz: take more, or a "
        "weaker lock"
    )
    return [words]
