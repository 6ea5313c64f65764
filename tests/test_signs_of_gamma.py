"""Which way a battery goes: the signs of gamma, inversion, and the place of the battery."""

import dataclasses

import pytest
from star_registers import TICK_S, charging_protocol, fine_spectrometer, star

from nmrqb.compiler.compile import compile_protocol
from nmrqb.models.closed_map import ClosedMap
from nmrqb.protocol.steps import (
    BatterySaturated,
    Crush,
    ExchangeStep,
    Inept,
    Invert,
    Wait,
)
from nmrqb.simulate.simulator import StarSimulator

#: charged = away from the battery's own ground level: spin label opposite to sign(gamma_B)
CHARGES_WITHOUT_INVERSION = {"29Si": True, "15N": True, "31P": False, "13C": False}


@pytest.mark.parametrize("central", ["battery", "charger"])
@pytest.mark.parametrize("inversion", ["none", "ideal", "auto"])
@pytest.mark.parametrize("battery", list(CHARGES_WITHOUT_INVERSION))
def test_sign_matrix(battery, inversion, central):
    register = star(3, battery, central=central)
    protocol = charging_protocol(12.0, 0.3, recovery="saturated", inversion=inversion)
    plan = compile_protocol(protocol, register, fine_spectrometer())
    exact = StarSimulator(register).fixed_point(plan.cycle, TICK_S)
    closed = ClosedMap(register=register, tick_s=TICK_S).fixed_point(plan.cycle)
    # E = -r_z, and r_z is the spin label times the sign of gamma_B
    energy, predicted = (-register.battery.nucleus.sign * p for p in (exact, closed))
    free = CHARGES_WITHOUT_INVERSION[battery]
    charges = inversion == "auto" or (inversion == "none") == free
    # a central charger shares one spin's polarisation among three batteries; it still wins
    # against their leak, b = 0.3 a cycle against 12 s/115.4 s = 0.1
    assert (energy > 0.02) == charges, energy
    assert (energy < -0.02) == (not charges), energy
    assert energy == pytest.approx(predicted, abs=0.03)
    assert any("DISCHARGE" in w for w in plan.warnings) == (not charges)
    assert register.must_invert_chargers == (not free)


SHOTS = {
    "ideal": ExchangeStep(exchange="ideal", transfer=0.1),
    "native": ExchangeStep(exchange="native", transfer=0.1, steps=4),
    "hartmann-hahn": ExchangeStep(exchange="hartmann-hahn", transfer=0.1, spin_lock_hz=2000.0),
    "inept": Inept(),
}


@pytest.mark.parametrize("central", ["battery", "charger"])
@pytest.mark.parametrize("inverted", [True, False])
@pytest.mark.parametrize("shot", list(SHOTS))
@pytest.mark.parametrize("battery", list(CHARGES_WITHOUT_INVERSION))
def test_sign_matrix_of_single_shots(battery, shot, inverted, central):
    # exchange conserves spin: its sign follows gamma and inversion; INEPT chooses its last phase
    register = star(3, battery, central=central)
    cycle = (*([Invert(target="charger")] if inverted else []), SHOTS[shot], Crush())
    protocol = charging_protocol(0.0, 0.0, cycle=cycle, prepare=BatterySaturated())
    sequence = compile_protocol(protocol, register, fine_spectrometer()).sequences[0]
    p = StarSimulator(register).simulate(sequence).battery_z[-3]
    energy = -register.battery.nucleus.sign * p
    charges = shot == "inept" or inverted != CHARGES_WITHOUT_INVERSION[battery]
    assert (energy > 0.02) == charges, energy
    assert (energy < -0.02) == (not charges), energy
    warned = any("DISCHARGE" in w for w in compile_protocol(
        protocol, register, fine_spectrometer()).warnings)  # fmt: skip
    assert warned == (not charges)


@pytest.mark.parametrize("inverted", [True, False])
def test_inept_charges_in_every_repetition_that_re_energises_its_chargers(inverted):
    # chargers are consumed by INEPT and back on +z after 30 s = 9 T1: toggling would lose count
    register = star(3, "31P")
    invert = [Invert(target="charger")] if inverted else []
    cycle = (Wait(delay_s=30.0), *invert, Inept(), Crush())
    protocol = charging_protocol(0.0, 0.0, cycles=4, cycle=cycle, prepare=BatterySaturated())
    plan = compile_protocol(protocol, register, fine_spectrometer())
    p = StarSimulator(register).simulate(plan.sequences[0]).battery_z
    assert (p[4:8] < -1.1).all()  # sqrt(3) (2/3) = 1.155 of the chargers each time
    assert plan.warnings == ()


def test_chargers_inverted_long_before_inept_have_recovered_and_it_knows():
    register = star(3, "31P")
    base = charging_protocol(0.0, 0.0, cycle=(Inept(), Crush()))
    prepare = (Invert(target="charger"), BatterySaturated(relaxation_s=60.0))
    protocol = dataclasses.replace(base, prepare=prepare)
    sequence = compile_protocol(protocol, register, fine_spectrometer()).sequences[0]
    assert StarSimulator(register).simulate(sequence).battery_z[-3] < -1.1


def test_inept_that_meets_chargers_of_changing_sign_says_so():
    # 1 s of recovery after a full inversion: -0.26, then from zero to +0.26
    register = star(3, "31P")
    base = charging_protocol(0.0, 0.0, cycles=3, cycle=(Wait(delay_s=1.0), Inept(), Crush()))
    prepare = (BatterySaturated(), Invert(target="charger"))
    protocol = dataclasses.replace(base, prepare=prepare)
    warnings = compile_protocol(protocol, register, fine_spectrometer()).warnings
    assert any("changing sign" in w for w in warnings)
