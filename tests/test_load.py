"""Charger, battery and load: the exchange that discharges, its signs, and where the energy goes."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from full_load_star import FullLoadStar
from star_registers import TICK_S, charging_protocol, fine_spectrometer, nominal, star

from nmrqb.compiler.compile import compile_protocol
from nmrqb.protocol.discharge import Discharge, Store
from nmrqb.protocol.steps import Crush, ExchangeStep, Inept, Invert, ReadFid, Reenergise
from nmrqb.quantum import operators as op
from nmrqb.sequence.events import Delay, LoadExchange, Pulse, Stage
from nmrqb.simulate.dynamics import NOMINAL, StarDynamics
from nmrqb.simulate.energy_flow import EnergyMeter
from nmrqb.simulate.simulator import StarSimulator
from nmrqb.spins.register import Load
from nmrqb.studies.energy_balance import energy_balances, energy_scale

# Both roads exponentiate; what is left is Simpson's rule in pulses of 1 ns: at most 2e-3 of the
# phase 2 pi J t, 5e-7 in one pulse, over fewer than 100 pulses.
EXACT = 1e-7
#: |gamma|, signs and relative sizes from the IUPAC table, to check the bookkeeping against
XI = {"1H": 100.0, "13C": 25.145020, "15N": -10.136767, "29Si": -19.867187, "31P": 40.480742}


def load(isotope="15N", coupling_hz=40.0, t1_s=20.0, t2_s=4.0):
    return Load(
        isotope=isotope,
        coupling_hz=nominal(coupling_hz),
        t1_s=nominal(t1_s),
        t2_s=nominal(t2_s),
        t2_star_s=nominal(t2_s),
    )


def loaded(satellites=3, battery="31P", isotope="15N", coupling_hz=40.0, **others):
    """Return a star whose battery is coupled to a load."""
    register = star(satellites, battery, **others)
    return dataclasses.replace(register, load=load(isotope, coupling_hz))


#: hardly anything relaxes within a second
STILL = {
    "t1_battery_s": 1e7, "t2_battery_s": 1e7, "t1_charger_s": 1e7, "t2_charger_s": 1e7,
}  # fmt: skip


def still(satellites=3, battery="31P", isotope="15N", coupling_hz=40.0, **others):
    """Return a loaded star without relaxation worth the name (1e-7 in a second)."""
    register = star(satellites, battery, **STILL, **others)
    return dataclasses.replace(register, load=load(isotope, coupling_hz, 1e7, 1e7))


def discharging(steps, *, transfer=0.6, relaxes=True, delay_s=1.0, cycles=1, cycle=None):
    """Return a charging by one exchange with inverted chargers, and a discharge."""
    protocol = charging_protocol(delay_s, transfer, cycles, relaxes=relaxes, cycle=cycle)
    readout = (Crush(), ReadFid(spectral_width_hz=1000.0, points=64, target="load"))
    return dataclasses.replace(protocol, discharge=steps, readout=readout)


def compiled(protocol, register):
    return compile_protocol(protocol, register, fine_spectrometer())


def _quarter(isotope):
    return (Pulse(nucleus=isotope, ticks=1, angle_rad=math.pi / 2),)


def at_the_end(register, protocol):
    """Return <sigma_z> of battery, charger and load before the read-out."""
    stages = compiled(protocol, register).stages[0]
    return EnergyMeter(register, TICK_S).follow(stages[:-1])[-1].after


NATIVE = Discharge(exchange="native", transfer=0.8, steps=2)
IDEAL = Discharge(exchange="ideal", transfer=0.8)


@pytest.mark.parametrize(
    ("satellites", "steps"),
    [
        (1, (Store(delay_s=2.0), NATIVE)),
        (2, (Store(delay_s=0.5), Crush(), NATIVE, Store(delay_s=0.3), IDEAL)),
        (3, (Store(delay_s=2.0), NATIVE)),
        (3, (IDEAL, Discharge(exchange="ideal", duration_s=4e-3, quanta="zero"))),
    ],
)
def test_charging_storing_and_discharging_equal_the_full_space(satellites, steps):
    register = loaded(satellites, t1_battery_s=10.0, t2_battery_s=3.0)
    cycle = (
        Reenergise(delay_s=1.5, recovery="flipped-back", inversion="ideal"),
        ExchangeStep(exchange="native", transfer=0.8, steps=1),
        Crush(),
    )
    sequence = compiled(discharging(steps, cycle=cycle, cycles=2), register).sequences[0]
    events = sequence.events[:-3]  # read-out pulse, dead time and acquisition
    # "exact": the full thermal Lindbladian at a polarisation where eps^2 would show
    dynamics = StarDynamics(register, "exact", 0.3)
    state = dynamics.apply(events, dynamics.thermal_state(), TICK_S)
    full = FullLoadStar(register, 0.3)
    rho = full.apply(events, full.thermal, TICK_S)
    isotopes = [s.isotope for s in register.spins]
    found = np.array([dynamics.bloch(state, isotope)[2] for isotope in isotopes])
    assert found == pytest.approx(full.levels(rho), abs=EXACT)
    # the load moved by more than it would by relaxing alone
    assert abs(found[2] - dynamics.bloch(dynamics.thermal_state(), "15N")[2]) > 0.01


@pytest.mark.parametrize("quanta", ["zero", "double"])
@pytest.mark.parametrize("jt", [0.0, 0.1, 0.25, 0.5, 0.8])
def test_the_exchange_swaps_by_the_squared_sine(quanta, jt):
    register = still(3)
    dynamics = StarDynamics(register, relaxes=False)
    start = dynamics.space.state(0.7, 0.2, "linear", -0.1)
    event = LoadExchange(ticks=round(jt / 40.0 / TICK_S), quanta=quanta, relaxes=False)
    after = dynamics.apply((event,), start, TICK_S)
    b, sign = math.sin(math.pi * jt) ** 2, 1.0 if quanta == "zero" else -1.0
    found = [dynamics.bloch(after, i)[2] for i in ("31P", "1H", "15N")]
    assert found == pytest.approx(
        [0.7 + b * (sign * -0.1 - 0.7), 0.2, -0.1 + b * (sign * 0.7 + 0.1)], abs=1e-12
    )


def test_the_native_discharge_is_the_ideal_one_whatever_the_chargers_are_coupled_by():
    # XX and YY of one pair commute, and the 180s on the battery refocus its chargers; what is left
    # are pulses of 1 ns
    for quanta, steps in itertools.product(("zero", "double"), (1, 3)):
        native = Discharge(exchange="native", transfer=0.6, steps=steps, quanta=quanta)
        ideal = Discharge(
            exchange="ideal", transfer=0.6, quanta=quanta, relax_during_exchange=False
        )
        for coupling_hz in (0.0, 5.0, 60.0):
            # 60 Hz turn by 2 pi in the 17 ms of the blocks: far from nothing
            register = still(3, coupling_hz=5.0)
            register_of = dataclasses.replace(register, coupling_hz=nominal(coupling_hz))
            found = []
            for step, r in ((native, register_of), (ideal, register)):
                dynamics = StarDynamics(r)
                start = dynamics.space.state(-0.7, 0.2, "linear", -0.1)
                sequence = compiled(discharging((step,)), register)
                events = sequence.stages[0][2].events
                # the coupling of the compiled blocks is the load's: one sequence serves all
                after = dynamics.apply(events, start, TICK_S)
                found.append([dynamics.bloch(after, i)[2] for i in ("31P", "1H", "15N")])
            assert found[0] == pytest.approx(found[1], abs=1e-5)


@pytest.mark.parametrize("coupling_hz", [0.0, 40.0, 200.0])
def test_charging_by_native_exchange_and_inept_does_not_see_the_load(coupling_hz):
    for step in (ExchangeStep(exchange="native", transfer=0.8, steps=2), Inept()):
        protocol = charging_protocol(0.0, 0.8, cycle=(Invert(target="charger"), step, Crush()))
        alone = star(3, "31P", **STILL)
        stages = compiled(protocol, alone).stages[0]
        expected = EnergyMeter(alone, TICK_S).follow(stages[:-1])[-1].after
        register = still(3, coupling_hz=coupling_hz)
        found = EnergyMeter(register, TICK_S).follow(stages[:-1])[-1].after
        assert found[:2] == pytest.approx(expected[:2], abs=1e-5)
        assert abs(expected[0]) > 0.5


def test_what_the_load_receives_depends_on_the_two_polarisations_alone():
    # Behind a crusher the state is z order of every nucleus times zero-quantum order of the
    # chargers.  The discharge acts on battery and load, whose terms with orders of the chargers
    # stay such terms: they never become the load's own polarisation.
    register = loaded(3, coupling_hz=40.0, t1_charger_s=0.5, t2_charger_s=0.4)
    native = dataclasses.replace(NATIVE, transfer=1.0)
    stages = compiled(discharging((native,), delay_s=0.2, transfer=1.0), register).stages[0]
    dynamics = StarDynamics(register)
    charged = dynamics.apply(
        tuple(e for stage in stages[:2] for e in stage.events), dynamics.thermal_state(), TICK_S
    )
    space = dynamics.space
    bare = np.zeros_like(charged)
    own = [
        space.position(op.ONE),
        space.position(op.Z),
        space.position(op.ONE, z=1),
        space.position(op.ONE, load=op.Z),
    ]
    bare[own] = charged[own]
    # the charging leaves such orders, as large as the polarisations
    assert np.abs(charged - bare).max() > 0.1
    ends = [dynamics.apply(stages[2].events, state, TICK_S) for state in (charged, bare)]
    loads = [dynamics.bloch(state, "15N")[2] for state in ends]
    # pulses of 1 ns do not refocus: 2 pi J t = 3e-7 of orders of size 1
    assert loads[0] == pytest.approx(loads[1], abs=1e-6)
    # the same while the chargers' coupling is not refocused: then the orders do come in
    wait = (Delay(ticks=round(0.02 / TICK_S)),)
    tilted = [
        dynamics.apply((*_quarter("31P"), *wait, *_quarter("31P"), *stages[2].events), s, TICK_S)
        for s in (charged, bare)
    ]
    loads = [dynamics.bloch(state, "15N")[2] for state in tilted]
    assert abs(loads[0] - loads[1]) > 1e-3


@pytest.mark.parametrize(
    ("battery", "isotope"),
    [("31P", "13C"), ("31P", "15N"), ("31P", "29Si"), ("29Si", "13C"), ("29Si", "15N"),
     ("13C", "15N"), ("13C", "29Si")],
)  # fmt: skip
def test_a_charged_battery_charges_its_load_for_either_sign_of_gamma(battery, isotope):
    register = still(1, battery, isotope)
    same = XI[battery] * XI[isotope] > 0.0
    right, wrong = ("zero", "double") if same else ("double", "zero")
    results = {}
    for quanta in ("auto", "zero", "double"):
        step = Discharge(exchange="ideal", transfer=1.0, quanta=quanta, relax_during_exchange=False)
        made = compiled(discharging((step,), transfer=1.0, relaxes=False), register)
        results[quanta] = energy_balances(made, register, NOMINAL)[0]
    assert results["auto"] == results[right]
    assert results["auto"].quantities["stored"].value == pytest.approx(1.0, abs=1e-6)
    scale = abs(XI[isotope] / XI[battery])
    # the load was in equilibrium, |gamma_L/gamma_C| below the identity, and ends at the chargers'
    gain = scale * (1.0 + abs(XI[isotope]) / 100.0)
    assert results["auto"].value("delivered_to_load") == pytest.approx(gain, abs=1e-6)
    assert results["auto"].value("energy_of_load") == pytest.approx(scale, abs=1e-6)
    assert results["auto"].value("ergotropy_of_load") == pytest.approx(2.0 * scale, abs=1e-6)
    # the other quanta push the load below its ground-state equilibrium
    assert results[wrong].value("energy_of_load") == pytest.approx(-scale, abs=1e-6)
    assert results[wrong].value("delivered_to_load") < 0.0


def test_efficiencies_without_losses_are_ratios_of_larmor_frequencies():
    register = still(3, "31P", "15N")
    step = Discharge(exchange="native", transfer=0.7, steps=1)
    made = compiled(discharging((step,), relaxes=False), register)
    (balance,) = energy_balances(made, register, NOMINAL)
    to_load, to_battery = 10.136767 / 40.480742, 40.480742 / 100.0
    assert balance.value("discharge_efficiency") == pytest.approx(to_load, abs=1e-5)
    assert balance.value("charging_efficiency") == pytest.approx(to_battery, abs=1e-6)
    # the field takes up what spin is conserved at and energy is not
    given, delivered = balance.value("given_by_battery"), balance.value("delivered_to_load")
    assert delivered - given == pytest.approx(balance.value("discharge_work"), abs=1e-12)
    assert balance.value("discharge_work") == pytest.approx(given * (to_load - 1.0), abs=1e-5)
    assert energy_scale(register, "charger") == pytest.approx(1.0 / to_battery, rel=1e-12)


def test_storage_leaks_with_the_t1_of_the_battery():
    # Joshi and Mahesh: T1 = 115.4 s of 29Si, 120 s of storage
    register = loaded(3, "29Si", "13C", t1_battery_s=115.4)
    for delay_s in (0.0, 30.0, 120.0):
        made = compiled(discharging((Store(delay_s=delay_s), IDEAL)), register)
        (balance,) = energy_balances(made, register, NOMINAL)
        expected = math.exp(-delay_s / 115.4)
        assert balance.value("storage_efficiency") == pytest.approx(expected, rel=1e-9)
        stored, kept = balance.value("stored"), balance.value("at_discharge")
        # to the equilibrium -|gamma_B/gamma_C|
        below = 0.19867187
        assert kept == pytest.approx((stored + below) * expected - below, abs=1e-9)
        assert balance.value("lost_in_store") == pytest.approx(stored - kept, abs=1e-12)
    assert expected == pytest.approx(0.3535, abs=5e-5)


@pytest.mark.parametrize("quanta", ["zero", "double"])
def test_an_exchange_that_relaxes_conserves_spin_apart_from_what_relaxation_takes(quanta):
    # fast relaxation: a balance that counted it as exchange would be off by percents
    register = loaded(2, t1_battery_s=0.05, t2_battery_s=0.04, t1_charger_s=0.08, t2_charger_s=0.05)
    register = dataclasses.replace(register, load=load("15N", 40.0, 0.06, 0.02))
    step = Discharge(exchange="ideal", transfer=0.7, quanta=quanta)
    stages = compiled(discharging((step,), delay_s=0.1), register).stages[0]
    flows = {f.name: f for f in EnergyMeter(register, TICK_S).follow(stages[:-1])}
    charge, discharge = flows["charge"], flows["discharge"]
    battery, charger, _ = charge.by_exchange
    assert battery + 2.0 * charger == pytest.approx(0.0, abs=1e-10)
    assert abs(battery) > 0.05
    battery, charger, into_load = discharge.by_exchange
    sign = 1.0 if quanta == "zero" else -1.0
    assert battery + sign * into_load == pytest.approx(0.0, abs=1e-10)
    assert charger == pytest.approx(0.0, abs=1e-10)
    change = discharge.after - discharge.before
    assert abs(change[0] + sign * change[2]) > 1e-3


def test_the_energy_from_the_lattice_is_what_a_spin_alone_takes():
    # battery and load exchange nothing at J = 0: each z runs to equilibrium by itself
    register = loaded(1, coupling_hz=0.0, t1_battery_s=0.5, t2_battery_s=1.0)
    dynamics = StarDynamics(register)
    event = LoadExchange(ticks=round(0.3 / TICK_S), quanta="double", relaxes=True)
    meter = EnergyMeter(register, TICK_S)
    (before, flow) = meter.follow(
        (Stage(name="charge", events=()), Stage(name="discharge", events=(event,)))
    )
    assert before.after == pytest.approx([0.40480742, 1.0, -0.10136767], abs=1e-12)
    assert flow.by_relaxation == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    inverted = dynamics.space.state(-0.4, 0.3, "linear", 0.2)
    meter.dynamics.apply((event,), inverted, TICK_S)
    expected = [
        (p_eq - p) * (1.0 - math.exp(-0.3 / t1))
        for p, p_eq, t1 in ((-0.4, 0.40480742, 0.5), (0.3, 1.0, 3.3), (0.2, -0.10136767, 20.0))
    ]
    assert meter.dynamics.relaxed == pytest.approx(expected, abs=1e-11)


def test_a_spectator_load_changes_no_polarisation_of_the_star():
    protocol = charging_protocol(3.0, 0.3, 4, relaxes=True)
    register = loaded(3, "29Si", "13C")
    alone = dataclasses.replace(register, load=None)
    sequence = compiled(protocol, alone).sequences[0]
    with_load, without = (StarSimulator(r).simulate(sequence) for r in (register, alone))
    assert with_load.battery_z[:-2] == pytest.approx(without.battery_z[:-2], abs=1e-12)
    assert with_load.charger_z[:-2] == pytest.approx(without.charger_z[:-2], abs=1e-12)
    assert with_load.load_z[0] == pytest.approx(XI["13C"] / 100.0, abs=1e-12)


def test_the_detected_vector_is_the_loads():
    register = still(2)
    step = Discharge(exchange="ideal", transfer=0.5, relax_during_exchange=False)
    protocol = discharging((step,))
    result = StarSimulator(register).simulate(compiled(protocol, register).sequences[0])
    assert result.detected_nucleus == "15N"
    # 90 about y turns z to x
    assert result.detected[0] == pytest.approx(at_the_end(register, protocol)[2], abs=1e-6)
