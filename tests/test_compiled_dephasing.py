"""From a dephasing rate to pulses: phase flips and crushers through compiled sequences."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from star_registers import TICK_S, charging_protocol, fine_spectrometer, star

from nmrqb.compiler.compile import compile_protocol
from nmrqb.models.dephasing import crusher_decay_rate, crusher_dephasing
from nmrqb.protocol.steps import (
    Crush,
    DrivenExchangeStep,
    ExchangeStep,
    PseudoPurePreparation,
)
from nmrqb.sequence.events import Loop, PhaseFlip, Pulse, Segment, SimultaneousPulses
from nmrqb.simulate.simulator import StarSimulator
from nmrqb.studies.plan import make_plan, predict

J = 11.0
FOREVER = {"t1_battery_s": 1e6, "t2_battery_s": 1e6, "t1_charger_s": 1e6, "t2_charger_s": 1e6}


def driven_star(batteries):
    return star(batteries, "1H", "31P", central="charger", coupling_hz=J, **FOREVER)


def level(register, step, spectrometer=None):
    """Return the battery's polarisation after a driven exchange from the pseudo-pure state."""
    base = charging_protocol(0.0, 0.0, cycle=(step,))
    protocol = dataclasses.replace(
        base, prepare=(PseudoPurePreparation(),), reference=None, model="recovery"
    )
    spectrometer = spectrometer or fine_spectrometer()
    sequence = compile_protocol(protocol, register, spectrometer).sequences[0]
    return StarSimulator(register, relaxes=False).simulate(sequence).battery_z[-4]


def driven(**options):
    return DrivenExchangeStep(
        drive_hz=20.0, dephasing_per_s=60.0, duration_s=0.06, relax_during_exchange=False, **options
    )


@pytest.mark.parametrize("batteries", [1, 3])
def test_slices_and_flips_converge_to_the_master_equation_in_second_order(batteries):
    register = driven_star(batteries)
    ideal = level(register, driven())
    errors = [level(register, driven(by="phase-flips", slices=n)) - ideal for n in (40, 80, 160)]
    assert abs(ideal - 1.0) > 0.1  # something was charged
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.1)


def test_native_slices_converge_too():
    register = driven_star(3)
    ideal = level(register, driven())
    step = dataclasses.replace(driven(), relax_during_exchange=True)
    errors = [
        level(register, dataclasses.replace(step, by="phase-flips", slices=n, exchange="native"))
        - ideal
        for n in (20, 40)
    ]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)
    assert abs(errors[1]) < 5e-3


def test_flips_dephase_exactly_however_long_the_slice():
    # no drive, no coupling: only the share of flips matters
    step = DrivenExchangeStep(
        drive_hz=0.0, dephasing_per_s=60.0, duration_s=0.1, by="phase-flips", slices=3,
        relax_during_exchange=False,
    )  # fmt: skip
    register = driven_star(1)
    protocol = charging_protocol(0.0, 0.0, cycle=(step,))
    (segment,) = compile_protocol(protocol, register, fine_spectrometer()).cycle
    loop = segment.body[0]
    (flip,) = (e for e in loop.body if isinstance(e, PhaseFlip))
    assert (1 - 2 * flip.probability) ** loop.count == pytest.approx(math.exp(-0.5 * 60.0 * 0.1))


def shifted(event, nucleus, angle):
    """Return an event with the phase of one channel shifted."""
    match event:
        case Pulse(nucleus=n) if n == nucleus:
            return dataclasses.replace(event, phase_rad=event.phase_rad + angle)
        case SimultaneousPulses():
            return SimultaneousPulses(
                pulses=tuple(shifted(p, nucleus, angle) for p in event.pulses)
            )
        case Segment():
            return dataclasses.replace(
                event, body=tuple(shifted(e, nucleus, angle) for e in event.body)
            )
        case _:
            return event


def test_the_average_over_all_phase_patterns_is_the_flip():
    # 2^4 scans, each with its own pattern of frames of the charger's channel, by explicit phases
    slices = 4
    register = star(2, "1H", "31P", central="charger", coupling_hz=J)
    step = DrivenExchangeStep(
        drive_hz=20.0, dephasing_per_s=60.0, duration_s=0.03, by="phase-flips", slices=slices,
        exchange="native",
    )  # fmt: skip
    protocol = charging_protocol(0.0, 0.0, cycle=(step,))
    (segment,) = compile_protocol(protocol, register, fine_spectrometer()).cycle
    loop = segment.body[0]
    assert isinstance(loop, Loop)
    *body, flip = loop.body
    dynamics = StarSimulator(register).dynamics
    start = dynamics.space.state(1.0, 1.0, "exact")
    averaged = dynamics.space.bloch_satellite(dynamics.apply((segment,), start, TICK_S))
    total = np.zeros(3)
    for pattern in itertools.product((0, 1), repeat=slices):
        events, frame, weight = [], 0.0, 1.0
        for flipped in pattern:
            events += [shifted(e, "31P", frame) for e in body]
            frame += math.pi * flipped
            weight *= flip.probability if flipped else 1 - flip.probability
        state = dynamics.apply(tuple(events), start, TICK_S)
        total += weight * np.array(dynamics.space.bloch_satellite(state))
    assert averaged == pytest.approx(total, abs=1e-10)


@pytest.mark.parametrize("gd", [0.05, 0.2, 0.4, 0.646348])
def test_periodic_crushers_charge_as_the_dephasing_they_stand_for(gd):
    # one battery, one charger, [exchange d, crush] x n through compiler and engine
    register = star(1, coupling_hz=5.0, **FOREVER)
    g = math.pi * 5.0
    d = gd / g
    count = max(2, round(2.0 / (float(crusher_decay_rate(g, d)) * d)))
    exchange = ExchangeStep(exchange="ideal", duration_s=d, relax_during_exchange=False)
    protocol = charging_protocol(0.0, 0.0, cycles=count, cycle=(exchange, Crush()))
    sequence = compile_protocol(protocol, register, fine_spectrometer()).sequences[0]
    result = StarSimulator(register).simulate(sequence)
    difference = result.battery_z - result.charger_z
    ratio = difference[2 : 2 + count][-1] / difference[1]
    assert ratio == pytest.approx(math.cos(2 * gd) ** (count), abs=1e-6)
    gamma = float(crusher_dephasing(g, d))
    root = max(gamma**2 - 16 * g**2, 0.0)
    slow = (gamma - math.sqrt(root)) / 2
    # at the critical interval the root is a difference of equal squares: 1e-3 of g
    assert -math.log(abs(ratio)) / (count * d) == pytest.approx(slow, rel=2e-3)


def test_the_shipped_compiled_protocol_states_how_far_it_is_from_its_target():
    prediction = predict(make_plan("driven_compiled_trimethyl_phosphate"))
    assert prediction.target is not None
    gap = np.abs(prediction.exact.energy - prediction.target.energy).max()
    assert prediction.target_error == pytest.approx(gap)
    # without relaxation 40 slices of native exchange are right to a percent of N/2
    assert prediction.translation_error < 0.05
    assert prediction.translation_error < prediction.target_error < 0.3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by": "phase-flips"}, "`slices` must be given"),
        ({"slices": 4}, "and only there"),
        ({"by": "phase-flips", "slices": 0}, "1 to 2000"),
        ({"exchange": "native"}, 'needs `by` other than "ideal"'),
        ({"by": "phase-flips", "slices": 4, "exchange": "native"}, "`relax_during_exchange`"),
    ],
)
def test_contradictory_driven_steps_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        driven(**options)
