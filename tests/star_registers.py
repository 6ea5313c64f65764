"""Registers, a spectrometer and charging protocols built in code: what the physics tests share."""

from nmrqb.protocol.protocol import Protocol, Reference
from nmrqb.protocol.steps import Crush, ExchangeStep, ReadFid, Reenergise, Thermal
from nmrqb.spectrometer.spectrometer import Channel, Spectrometer
from nmrqb.spins.register import Measured, Species, SpinRegister

#: so fine a clock that no rounding shows: 1 ns is 2e-8 of the shortest exchange used
TICK_S = 1e-9
ISOTOPES = ("1H", "13C", "15N", "19F", "29Si", "31P")


def nominal(value):
    """Return a number nobody measured."""
    return Measured(value=value, nominal=True)


def species(isotope, role, t1_s, t2_s):
    """Return a species whose line is as narrow as its T2."""
    times = {"t1_s": nominal(t1_s), "t2_s": nominal(t2_s), "t2_star_s": nominal(t2_s)}
    return Species(isotope=isotope, role=role, **times)


class StarOfGivenRatio(SpinRegister):
    """A star whose |p_eq| is 0.1987, whatever its nuclei: a stand-in for pairs nature lacks."""

    __slots__ = ()

    @property
    def equilibrium_ratio(self):
        return 0.1987


def star(
    satellites=3,
    battery="29Si",
    charger="1H",
    *,
    central="battery",
    coupling_hz=5.0,
    t1_battery_s=115.4,
    t2_battery_s=10.0,
    t1_charger_s=3.3,
    t2_charger_s=3.3,
    kind=SpinRegister,
):
    """Return a star register; the relaxation times default to the 29Si and 1H of TTSS."""
    spins = {
        "battery": species(battery, "battery", t1_battery_s, t2_battery_s),
        "charger": species(charger, "charger", t1_charger_s, t2_charger_s),
    }
    return kind(
        name="star",
        center=spins.pop(central),
        satellite=spins.popitem()[1],
        satellites=satellites,
        coupling_hz=nominal(coupling_hz),
        field_tesla=nominal(9.4),
        temperature_kelvin=nominal(298.0),
    )


def fine_spectrometer():
    """Return an instrument without limits: 1 ns pulses and crushers, no dead time."""
    channels = tuple(
        Channel(
            nucleus=isotope,
            pulse_90_s=TICK_S,
            pulse_power_watt=1.0,
            maximum_power_watt=1.0,
            maximum_pulse_s=1.0,
            maximum_duty=1.0,
            decoupling_power_watt=1.0,
            maximum_decoupling_s=1e6,
        )
        for isotope in ISOTOPES
    )
    return Spectrometer(
        name="fine",
        channels=channels,
        tick_s=TICK_S,
        minimum_delay_s=TICK_S,
        maximum_duration_s=1e18,
        crusher_s=TICK_S,
        crusher_recovery_s=0.0,
        minimum_dwell_s=TICK_S,
        dead_time_s=0.0,
        maximum_points=2**20,
        maximum_list=4096,
    )


def charging_protocol(
    delay_s,
    transfer,
    cycles=1,
    *,
    recovery="left",
    inversion="auto",
    prepare=Thermal(),  # noqa: B008 (a frozen value)
    cycle=None,
    relaxes=False,
    **others,
):
    """Return [re-energise for `delay_s`, ideal exchange by b = `transfer`, crush] x `cycles`."""
    if cycle is None:
        cycle = (
            Reenergise(delay_s=delay_s, recovery=recovery, inversion=inversion),
            ExchangeStep(exchange="ideal", transfer=transfer, relax_during_exchange=relaxes),
            Crush(),
        )
    return Protocol(
        name="charging",
        register="star",
        spectrometer="fine",
        prepare=(prepare,),
        cycle=cycle,
        readout=(Crush(), ReadFid(spectral_width_hz=1000.0, points=64)),
        cycles=cycles,
        reference=Reference(kind="thermal"),
        **others,
    )
