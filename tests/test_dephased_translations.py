"""Translations of a dephased charger other than phase flips, and what the compiler picks."""

import dataclasses
import math

import numpy as np
import pytest
from star_registers import TICK_S, charging_protocol, fine_spectrometer, star

from nmrqb.compiler.compile import compile_protocol
from nmrqb.compiler.dephased import slices_of_crushers
from nmrqb.models.dephasing import crusher_dephasing
from nmrqb.protocol.steps import DrivenExchangeStep, Reenergise
from nmrqb.sequence.events import Crusher, Loop, PhaseFlip, Pulse
from nmrqb.simulate.dynamics import Conditions, StarDynamics
from nmrqb.simulate.simulator import StarSimulator

J = 11.0
G = math.pi * J
FOREVER = {"t1_battery_s": 1e6, "t2_battery_s": 1e6, "t1_charger_s": 1e6, "t2_charger_s": 1e6}


def lasting_star(satellites=1, central="charger"):
    return star(satellites, coupling_hz=J, central=central, **FOREVER)


def dephased(gamma, duration_s, by, **more):
    return DrivenExchangeStep(
        drive_hz=0.0,
        dephasing_per_s=2.0 * gamma,
        duration_s=duration_s,
        by=by,
        relax_during_exchange=False,
        **more,
    )


def transfer(register, step):
    """Return the share of the charger's polarisation that one dephased exchange moves."""
    compiled = compile_protocol(
        charging_protocol(0, 0, cycle=(step,)), register, fine_spectrometer()
    )
    event = compiled.cycle[0]
    return StarSimulator(register, relaxes=False).transfer(event, TICK_S)[0, 1]


def oscillator(gamma, t):
    """Return b(t) = (1 - D)/2 with D'' + Gamma D' + 4 g^2 D = 0, D(0) = 1, D'(0) = 0."""
    root = np.sqrt(complex(gamma**2 / 4.0 - 4.0 * G**2))
    d = np.exp(-gamma * t / 2.0) * (np.cosh(root * t) + gamma / (2.0 * root) * np.sinh(root * t))
    return 0.5 * (1.0 - d.real)


def test_the_ideal_dephased_exchange_is_the_damped_oscillator():
    for gamma in (0.5 * G, 3.0 * G, 9.0 * G):
        for t in (0.01, 0.03, 0.08):
            found = transfer(lasting_star(), dephased(gamma, t, "ideal"))
            assert found == pytest.approx(oscillator(gamma, t), abs=1e-8)


@pytest.mark.parametrize("gamma", [4.2 * G, 8.0 * G, 25.0 * G])
def test_full_crushers_decay_as_the_slow_mode_of_their_dephasing(gamma):
    step = dephased(gamma, 0.4, "crushers")
    count = slices_of_crushers(step, G)
    realised = float(crusher_dephasing(G, step.duration_s / count))
    slow = realised / 2.0 - math.sqrt(realised**2 / 4.0 - 4.0 * G**2)
    left = 1.0 - 2.0 * transfer(lasting_star(), step)
    # D falls by one factor a crusher, with no second mode
    assert -math.log(abs(left)) / step.duration_s == pytest.approx(slow, rel=1e-6)


def test_the_number_of_crushers_is_the_nearest_whole_one():
    step = dephased(10.0 * G, 0.4, "crushers")
    count = slices_of_crushers(step, G)
    interval = 0.4 / count
    assert crusher_dephasing(G, interval) == pytest.approx(10.0 * G, rel=1.0 / count)
    (segment,) = compile_protocol(
        charging_protocol(0, 0, cycle=(step,)), lasting_star(), fine_spectrometer()
    ).cycle
    assert segment.body[0].count == count


@pytest.mark.parametrize("satellites", [1, 3])
def test_poisson_crushers_converge_to_the_dephased_exchange_in_second_order(satellites):
    register = lasting_star(satellites)
    gamma, t = 2.0 * G, 0.05
    ideal = transfer(register, dephased(gamma, t, "ideal"))
    if satellites == 1:
        assert ideal == pytest.approx(oscillator(gamma, t), abs=1e-8)
    errors = [
        transfer(register, dephased(gamma, t, "poisson-crushers", slices=n)) - ideal
        for n in (20, 40, 80)
    ]
    # undriven, only orders that hold one coherence of the charger are there to be crushed
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.1)


def test_crushers_are_refused_where_they_stand_for_nothing():
    with pytest.raises(ValueError, match=r"at least 8 g = 276.46 /s .* but is 138.23 /s"):
        transfer(lasting_star(), dephased(2.0 * G, 0.05, "crushers"))
    with pytest.raises(ValueError, match=r"`drive` must be 0 Hz for by = \"crushers\""):
        dataclasses.replace(dephased(9.0 * G, 0.05, "crushers"), drive_hz=3.0)


def chosen(step, satellites=1):
    compiled = compile_protocol(
        charging_protocol(0, 0, cycle=(step,)), lasting_star(satellites), fine_spectrometer()
    )
    (segment,) = compiled.cycle
    (choice,) = compiled.choices
    (loop,) = segment.body
    assert isinstance(loop, Loop)
    return choice, loop


def test_the_compiler_picks_crushers_where_every_scan_can_do_it():
    choice, loop = chosen(dephased(9.0 * G, 0.2, "auto"))
    assert isinstance(loop.body[-1], Crusher)
    assert loop.body[-1].share == 1.0
    assert "crushers: the charger is not driven and Gamma = 311 /s" in choice


@pytest.mark.parametrize(
    ("step", "satellites", "why"),
    [
        (dephased(2.0 * G, 0.2, "auto"), 1, "below what full crushers stand for"),
        (dephased(9.0 * G, 0.2, "auto"), 3, "below what full crushers stand for"),
        (
            dataclasses.replace(dephased(9.0 * G, 0.2, "auto"), drive_hz=5.0),
            1,
            "would kill the coherence of the battery",
        ),
    ],
)
def test_the_compiler_picks_phase_flips_elsewhere_and_says_why(step, satellites, why):
    choice, loop = chosen(step, satellites)
    assert isinstance(loop.body[-1], PhaseFlip)
    assert why in choice
    error = abs(
        transfer(lasting_star(satellites), step)
        - transfer(lasting_star(satellites), dataclasses.replace(step, by="ideal"))
    )
    assert error < 0.02


def test_dephasing_several_chargers_together_is_not_dephasing_each():
    register = lasting_star(3, central="battery")
    step = dephased(9.0 * G, 0.2, "phase-flips", slices=60)
    compiled = compile_protocol(
        charging_protocol(0, 0, cycle=(step,)), register, fine_spectrometer()
    )
    assert any("all 3 chargers together" in w for w in compiled.warnings)
    simulator = StarSimulator(register, relaxes=False)
    together = simulator.transfer(compiled.cycle[0], TICK_S)[0, 1]
    ideal = compile_protocol(
        charging_protocol(0, 0, cycle=(dataclasses.replace(step, by="ideal", slices=None),)),
        register,
        fine_spectrometer(),
    )
    each = simulator.transfer(ideal.cycle[0], TICK_S)[0, 1]
    # what is common to the chargers keeps its coherence: 0.13 less is moved
    assert each - together > 0.1
    assert not any(
        "together" in w
        for w in compile_protocol(
            charging_protocol(0, 0, cycle=(step,)), lasting_star(3), fine_spectrometer()
        ).warnings
    )


def test_a_saturation_train_forgives_a_wrong_rf_field():
    register = lasting_star(3, central="battery")
    off = 0.06  # of the field
    for pulses in (1, 2, 4):
        step = Reenergise(delay_s=0.0, recovery="saturated", saturation_pulses=pulses)
        events = compile_protocol(
            charging_protocol(0, 0, cycle=(step,)), register, fine_spectrometer()
        ).cycle
        dynamics = StarDynamics(register, conditions=Conditions(b1_satellite=1.0 + off))
        state = dynamics.apply(events, dynamics.thermal_state(), TICK_S)
        z = dynamics.space.bloch_satellite(state)[2]
        assert z == pytest.approx(math.cos(math.pi / 2.0 * (1.0 + off)) ** pulses, abs=1e-6)


def test_the_magic_angle_leaves_only_rank_zero_of_the_zero_quantum_order():
    register = lasting_star(2, central="battery")
    plain = Reenergise(delay_s=0.0, recovery="saturated")
    dynamics = StarDynamics(register)
    # an exchange makes order between the satellites
    start = dynamics.apply(
        compile_protocol(charging_protocol(0.0, 0.6), register, fine_spectrometer()).cycle,
        dynamics.thermal_state(),
        TICK_S,
    )
    shares = {}
    for kind in ("kept", "rank-2-removed"):
        step = dataclasses.replace(plain, zero_quantum=kind)
        events = compile_protocol(
            charging_protocol(0, 0, cycle=(step,)), register, fine_spectrometer()
        ).cycle
        state = dynamics.apply(events, start, TICK_S)
        # the state is isotropic where another collective rotation with a crusher changes nothing
        turned = dynamics.apply(
            (
                Pulse(nucleus="1H", ticks=1, angle_rad=1.1),
                Crusher(ticks=1),
            ),
            state,
            TICK_S,
        )
        relevant = np.abs(state).max()
        identity = dynamics.space.position(0)
        state[identity] = turned[identity] = 0.0
        shares[kind] = np.abs(turned - state).max() / relevant
        size = np.abs(state).max()
        assert size > 1e-4  # rank 0 survives
    assert shares["rank-2-removed"] < 1e-8
    assert shares["kept"] > 1e-4
