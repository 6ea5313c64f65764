"""Random registers, spectrometers and protocols that a console may run: strategies."""

import dataclasses
import math

from hypothesis import strategies as st
from star_registers import nominal, species

from nmrqb.errors import InputError
from nmrqb.models.exchange import first_maximum
from nmrqb.protocol.protocol import Protocol, Reference, Sweep
from nmrqb.protocol.steps import (
    BatterySaturated,
    Crush,
    DrivenExchangeStep,
    ExchangeStep,
    Inept,
    Invert,
    ReadFid,
    Reenergise,
    Thermal,
    Wait,
)
from nmrqb.spectrometer.spectrometer import Channel, InversionPulse, Spectrometer
from nmrqb.spins.register import Measured, SpinRegister
from nmrqb.studies.plan import plan_of

#: batteries and chargers of either sign of gamma_B gamma_C
PAIRS = (("13C", "1H"), ("31P", "1H"), ("29Si", "1H"), ("15N", "1H"), ("19F", "1H"), ("1H", "13C"))


def log_floats(low, high):
    """Numbers that are evenly spread in their logarithm."""
    return st.floats(math.log(low), math.log(high)).map(math.exp)


@st.composite
def star_registers(draw, most_satellites=4):
    """Stars of up to four satellites with relaxation times as liquids have them."""
    battery, charger = draw(st.sampled_from(PAIRS))
    spins = {}
    for role, isotope, low, high in (
        ("battery", battery, 2.0, 200.0),
        ("charger", charger, 0.5, 20.0),
    ):
        t1 = draw(log_floats(low, high))
        spins[role] = species(isotope, role, t1, t1 * draw(st.floats(0.02, 2.0)))
    central = draw(st.sampled_from(("battery", "charger")))
    return SpinRegister(
        name="star",
        center=spins.pop(central),
        satellite=spins.popitem()[1],
        satellites=draw(st.integers(1, most_satellites)),
        coupling_hz=nominal(draw(st.sampled_from((1, -1))) * draw(log_floats(3.0, 250.0))),
        field_tesla=nominal(9.4),
        temperature_kelvin=nominal(298.0),
    )


@st.composite
def spectrometers(draw, isotopes):
    """Consoles with a clock of 12.5 ns to 1 us and ordinary probes."""
    channels = []
    for isotope in sorted(isotopes):
        pulse_90 = draw(st.floats(3e-6, 30e-6))
        inversions = ()
        if draw(st.booleans()):
            inversions = (
                InversionPulse(
                    kind="adiabatic",
                    efficiency=Measured(value=draw(st.floats(0.9, 1.0)), nominal=True),
                    length_s=draw(st.floats(1e-4, 4e-3)),
                    power_watt=1.0,
                ),
            )
        channels.append(
            Channel(
                nucleus=isotope,
                pulse_90_s=pulse_90,
                pulse_power_watt=10.0,
                maximum_power_watt=100.0,
                maximum_pulse_s=1e-3,
                maximum_duty=0.2,
                decoupling_power_watt=0.5,
                maximum_decoupling_s=5.0,
                inversions=inversions,
                maximum_spin_lock_s=1.0,
                strongest_spin_lock_hz=1.0 / (4.0 * pulse_90),
            )
        )
    return Spectrometer(
        name="console",
        channels=tuple(channels),
        tick_s=draw(st.sampled_from((12.5e-9, 50e-9, 1e-7, 1e-6))),
        minimum_delay_s=1e-6,
        maximum_duration_s=1e7,
        crusher_s=draw(st.floats(2e-4, 3e-3)),
        crusher_recovery_s=draw(st.floats(1e-4, 1e-3)),
        minimum_dwell_s=1e-6,
        dead_time_s=10e-6,
        maximum_points=2**16,
        maximum_list=4096,
        crusher_residual=draw(st.sampled_from((0.0, 0.0, 0.001, 0.01))),
    )


@st.composite
def transfers(draw, register, spectrometer):
    """A step that moves polarisation, as a console can do it."""
    kind = draw(st.sampled_from(("native", "native", "native", "hartmann-hahn", "inept", "flips")))
    n, coupling = register.satellites, abs(register.coupling_hz.value)
    if kind == "inept":
        return Inept()
    if kind == "flips":
        duration = draw(st.floats(0.1, 1.0)) / (coupling * math.sqrt(n))
        return DrivenExchangeStep(
            drive_hz=draw(st.floats(0.0, 2.0)) * coupling,
            dephasing_per_s=draw(st.floats(0.0, 8.0)) * coupling,
            duration_s=duration,
            by="phase-flips",
            slices=draw(st.integers(4, 24)),
            exchange="native",
        )
    top = first_maximum(n)[1]
    transfer = draw(st.floats(0.05, 1.0)) * top
    if kind == "native":
        return ExchangeStep(exchange="native", transfer=transfer, steps=draw(st.integers(1, 8)))
    least = 5.0 * coupling * math.sqrt(n)
    most = min(spectrometer.channel(i).strongest_spin_lock_hz for i in isotopes_of(register))
    return ExchangeStep(
        exchange="hartmann-hahn",
        transfer=transfer,
        spin_lock_hz=draw(st.floats(least, max(most, least))),
    )


def isotopes_of(register):
    """Isotopes of a register."""
    return register.center.isotope, register.satellite.isotope


@st.composite
def charging_plans(draw):
    """Compiled protocols of re-energised charging that break no limit, or None where they do."""
    register = draw(star_registers())
    console = draw(spectrometers(isotopes_of(register)))
    adiabatic = console.channel(register.charger.isotope).inversion("adiabatic") is not None
    pulse = draw(st.sampled_from(("hard", "composite") + (("adiabatic",) if adiabatic else ())))
    recoveries = ("left", "saturated") + (
        ("flipped-back",) if register.must_invert_chargers else ()
    )
    waits = Reenergise(
        delay_s=draw(log_floats(0.1, 5.0)) * register.charger.t1_s.value,
        recovery=draw(st.sampled_from(recoveries)),
        pulse=pulse,
    )
    moves = (draw(transfers(register, console)), Crush())
    cycle = draw(st.sampled_from(((waits, *moves), (*moves, waits))))
    prepare = [draw(st.sampled_from((Thermal(), BatterySaturated())))]
    if draw(st.booleans()):
        prepare.append(Invert(target=draw(st.sampled_from(("battery", "charger"))), pulse="hard"))
    if draw(st.booleans()):
        prepare.append(Wait(delay_s=draw(log_floats(0.01, 10.0))))
    protocol = Protocol(
        name="random",
        register="star",
        spectrometer="console",
        prepare=tuple(prepare),
        cycle=cycle,
        readout=(Crush(), ReadFid(spectral_width_hz=1000.0, points=64)),
        # a repeated INEPT has no bound
        cycles=1 if isinstance(moves[0], Inept) else draw(st.integers(1, 6)),
        reference=Reference(kind="thermal"),
    )
    if not isinstance(moves[0], Inept) and draw(st.booleans()):
        protocol = dataclasses.replace(
            protocol, sweep=Sweep(key="cycles", values=(0.0, 1.0, 2.0, float(protocol.cycles)))
        )
    try:
        plan = plan_of(protocol, register, console, "random")
    except InputError:
        return None
    return None if plan.compiled.violations else plan
