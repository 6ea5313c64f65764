"""What a spectrometer does in place of the ideal exchange: native blocks, spin lock, INEPT."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.linalg
from scipy.sparse.linalg import expm_multiply
from star_registers import TICK_S, charging_protocol, fine_spectrometer, nominal, star

from nmrqb import read_spectrometer
from nmrqb.compiler.compile import compile_protocol
from nmrqb.compiler.steps import StepCompiler
from nmrqb.files.shipped import shipped_names
from nmrqb.files.toml import read_protocol
from nmrqb.models.exchange import (
    exchange_transfer,
    first_maximum,
    inept_transfer,
    shortest_exchange,
    unitary_bound,
)
from nmrqb.protocol.steps import BatterySaturated, Crush, ExchangeStep
from nmrqb.quantum import operators as op
from nmrqb.quantum.star import StarSpace
from nmrqb.sequence.events import Delay, Pulse, SimultaneousPulses
from nmrqb.simulate.dynamics import Conditions
from nmrqb.simulate.simulator import StarSimulator
from nmrqb.studies.plan import make_plan

SIGMA = {
    "x": op.SIGMA_PLUS + op.SIGMA_MINUS,
    "y": -1j * op.SIGMA_PLUS + 1j * op.SIGMA_MINUS,
    "z": op.SIGMA_Z,
}
J = 5.0


def translator(register, spectrometer=None):
    return StepCompiler(register, spectrometer or fine_spectrometer()).translator


def effective(space, axis):
    """Return the generator of 2 pi J S_a I_a."""
    return space.commutator([(np.pi * J / 2, SIGMA[axis], SIGMA[axis])])


def strang(satellites, jt, steps, first_order=False):
    """Return b of XX and YY blocks as effective Hamiltonians: nothing of pulses in it."""
    space = StarSpace(satellites)
    xx, yy = effective(space, "x"), effective(space, "y")
    h = jt / J / steps
    state = space.state(0.0, 1.0, "linear")
    for _ in range(steps):
        if first_order:
            state = expm_multiply(yy * h, expm_multiply(xx * h, state))
        else:
            state = expm_multiply(xx * h / 2, state)
            state = expm_multiply(xx * h / 2, expm_multiply(yy * h, state))
    return space.bloch_center(state)[2]


def native(register, jt, steps, conditions=Conditions(), spectrometer=None):  # noqa: B008
    """Return what a compiled native exchange moves from the satellites to the centre."""
    spectrometer = spectrometer or fine_spectrometer()
    segment = translator(register, spectrometer).native_exchange(jt / J, steps, "step")
    simulator = StarSimulator(register, conditions=conditions, relaxes=False)
    return simulator.transfer(segment, spectrometer.tick_s)[0, 1]


# printed: b at the optimum of N = 9 against the ideal 1.1750
@pytest.mark.parametrize(
    ("steps", "b"), [(1, 1.230), (2, 1.189), (3, 1.181), (4, 1.178), (8, 1.176)]
)
def test_few_strang_steps_transfer_more_than_the_ideal_exchange(steps, b):
    jt, _ = first_maximum(9)
    assert native(star(9, coupling_hz=J), jt, steps) == pytest.approx(b, abs=6e-4)


@pytest.mark.parametrize(("steps", "error"), [(8, 7.5e-4), (16, 1.9e-4), (24, 8e-5)])
def test_the_native_exchange_of_nine_converges_as_printed(steps, error):
    jt, ideal = first_maximum(9)
    found = native(star(9, coupling_hz=J), jt, steps) - ideal
    assert found == pytest.approx(error, rel=0.05)


@pytest.mark.parametrize(("steps", "b"), [(1, 0.574), (4, 1.154)])
def test_blocks_without_strang_symmetry_are_first_order_only(steps, b):
    jt, _ = first_maximum(9)
    assert strang(9, jt, steps, first_order=True) == pytest.approx(b, abs=6e-4)


# (N = 2 has no second-order error at its optimum)
@pytest.mark.parametrize("satellites", [3, 9, 12])
def test_the_error_falls_with_the_square_of_the_steps(satellites):
    jt, ideal = first_maximum(satellites)
    errors = [native(star(satellites, coupling_hz=J), jt, n) - ideal for n in (8, 16)]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.03)


def test_one_pair_needs_one_step_because_its_blocks_commute():
    assert native(star(1, coupling_hz=J), 0.5, 1) == pytest.approx(1.0, abs=1e-7)


# pulses of 1 ns in blocks of milliseconds: 1e-6 of the coupling is what they can change
@pytest.mark.parametrize(("satellites", "steps"), [(1, 1), (3, 2), (9, 4), (36, 2)])
def test_pulses_and_delays_make_the_effective_blocks(satellites, steps):
    jt, _ = first_maximum(satellites)
    compiled = native(star(satellites, coupling_hz=J), jt, steps)
    assert compiled == pytest.approx(strang(satellites, jt, steps), abs=1e-6)


@pytest.mark.parametrize("satellites", [9, 36])
def test_the_best_single_shot_is_within_its_strang_error_of_the_ideal_one(satellites):
    jt, ideal = first_maximum(satellites)
    # the printed error of N = 9, 7.5e-4 at 8 steps; N = 36 has (1.2526 - 1.2517)
    assert abs(native(star(satellites, coupling_hz=J), jt, 8) - ideal) < 1e-3


def test_either_sign_of_j_and_either_place_exchange_alike():
    jt, _ = first_maximum(3)
    values = [
        native(star(3, coupling_hz=sign * J, central=central), jt, 4)
        for sign in (1, -1)
        for central in ("battery", "charger")
    ]
    assert values == pytest.approx([values[0]] * 4, abs=1e-9)


@pytest.mark.parametrize("offsets_hz", [(40.0, 0.0), (0.0, -25.0), (60.0, 90.0)])
def test_offsets_are_refocused(offsets_hz):
    register = star(3, coupling_hz=J)
    jt, _ = first_maximum(3)
    spectrometer = read_spectrometer("generic")
    shifted = Conditions(offset_center_hz=offsets_hz[0], offset_satellite_hz=offsets_hz[1])
    values = [native(register, jt, 4, c, spectrometer) for c in (Conditions(), shifted)]
    # 90 Hz turn the spins by 0.017 rad during the longest of 27 pulses (30 us): second order
    assert values[1] == pytest.approx(values[0], abs=27 * 0.017**2)
    # without the refocusing pulses 40 Hz would turn the spins by 2 pi x 40 Hz x 100 ms = 25 rad


@pytest.mark.parametrize("b1", [0.95, 1.05])
def test_errors_of_the_rf_field_cancel_within_each_block(b1):
    register = star(3, coupling_hz=J)
    jt, _ = first_maximum(3)
    spectrometer = read_spectrometer("generic")
    off = Conditions(b1_center=b1, b1_satellite=b1)
    values = [native(register, jt, 4, c, spectrometer) for c in (Conditions(), off)]
    # what is left is of second order: 9 blocks x (0.05 x 90 degrees)^2 = 9 x 6e-3 at the very most
    assert abs(values[1] - values[0]) < 9 * (0.05 * math.pi / 2) ** 2


def shipped_native():
    found = []
    for name in shipped_names("protocol"):
        steps = read_protocol(name).cycle
        if any(isinstance(s, ExchangeStep) and s.exchange == "native" for s in steps):
            found.append(name)
    return found


@pytest.mark.parametrize("name", shipped_native())
def test_every_shipped_native_protocol_agrees_with_ideal_blocks_at_its_own_step_number(name):
    # one exchange with relaxation on: the compiled pulses, finite and on the console's clock,
    # against instantaneous rotations and whole blocks of free evolution by another road
    plan = make_plan(name)
    register, space = plan.register, StarSpace(plan.register.satellites)
    (step,) = (s for s in plan.protocol.at(plan.protocol.rows - 1).cycle
               if isinstance(s, ExchangeStep))  # fmt: skip
    compiler = StepCompiler(register, plan.spectrometer)
    segment = compiler._exchange(step, "step")
    simulator = StarSimulator(register)
    # a load takes part in the pulses' road alone: they refocus it
    whole = simulator.dynamics.space
    beside = whole.state(0.2, -0.9, "linear", -0.1)
    got = whole.bloch_center(
        whole.crush(simulator.dynamics.apply((segment,), beside, plan.spectrometer.tick_s))
    )[2]
    relaxation = space.relaxation(*simulator.dynamics.generators.relaxations(), "linear")
    free = space.weak_coupling(register.coupling_hz.value) + relaxation

    def turned(state, angle, phase):
        axis = angle / 2 * (math.cos(phase) * SIGMA["x"] + math.sin(phase) * SIGMA["y"])
        one = -1j * (op.left(axis) - op.right(axis))
        both = space.on_center(one) + space.on_satellites(one)
        return expm_multiply(both, state)

    pulses_s = sum(
        e.ticks * plan.spectrometer.tick_s
        for e in segment.body
        if isinstance(e, (Pulse, SimultaneousPulses))
    )
    blocks = 2 * step.steps + 1
    model_s = step.duration_s or (
        shortest_exchange(register.satellites, step.transfer) / abs(register.coupling_hz.value)
    )
    h = model_s / step.steps
    state = space.state(0.2, -0.9, "linear")
    for k in range(blocks):
        phase = math.pi / 2 if k % 2 == 0 else 0.0
        seconds = h / 2 if k in (0, blocks - 1) else h
        state = turned(state, math.pi / 2, phase + math.pi)
        state = expm_multiply(free * seconds, state)
        state = expm_multiply(relaxation * (pulses_s / 2 / blocks), state)
        state = turned(state, math.pi / 2, phase)
    expected = space.bloch_center(space.crush(state))[2]
    # the other half of the pulses couples along z; as a fraction x of the exchange that changes the
    # transfer in second order only (x -> -x is a rotation of the centre and time reversal)
    x = pulses_s / 2 / (segment.ticks * plan.spectrometer.tick_s)
    assert got == pytest.approx(expected, abs=1e-4 + 2 * x**2)


def test_a_block_shorter_than_its_pulses_is_refused():
    register = star(3, coupling_hz=200.0)
    with pytest.raises(ValueError, match=r"`cycle\.1\.steps` must be smaller: 100 steps"):
        translator(register, read_spectrometer("generic")).native_exchange(1e-3, 100, "cycle.1")


@pytest.mark.parametrize("satellites", [1, 2, 3, 9, 36])
@pytest.mark.parametrize("central", ["battery", "charger"])
@pytest.mark.parametrize("sign_of_j", [1, -1])
def test_refocused_inept_transfers_its_closed_form(satellites, central, sign_of_j):
    register = star(satellites, coupling_hz=sign_of_j * J, central=central)
    best = inept_transfer(satellites, to_center=central == "battery")
    for sign in (1, -1):
        segment = translator(register).inept(sign, "step")
        matrix = StarSimulator(register, relaxes=False).transfer(segment, TICK_S)
        to, source = (0, 1) if central == "battery" else (1, 0)
        assert matrix[to, source] == pytest.approx(sign * best, abs=1e-6)
        # what the battery held before is gone
        assert matrix[to, to] == pytest.approx(0.0, abs=1e-6)


def test_printed_inept_transfers_and_unitary_bounds():
    assert inept_transfer(9, to_center=True) == pytest.approx(1.873, abs=5e-4)
    assert inept_transfer(36, to_center=True) == pytest.approx(3.665, abs=5e-4)
    assert unitary_bound(9) == pytest.approx(2.461, abs=5e-4)
    assert unitary_bound(36) == pytest.approx(4.754, abs=5e-4)
    for n in range(1, 30):
        shots = first_maximum(n)[1], inept_transfer(n, to_center=True)
        assert max(shots) <= unitary_bound(n) * (1 + 1e-12)


def lock(register, model_s, conditions=Conditions(), nutation_hz=2000.0, relaxes=False):  # noqa: B008
    segment = translator(register).spin_lock(model_s, nutation_hz)
    return StarSimulator(register, conditions=conditions, relaxes=relaxes).transfer(segment, TICK_S)


@pytest.mark.parametrize("satellites", [1, 3, 9])
def test_a_matched_spin_lock_is_the_ideal_exchange_in_one_block(satellites):
    register = star(satellites, coupling_hz=J)
    for jt in (0.05, 0.17, 0.31):
        b = float(exchange_transfer(satellites, jt))
        assert lock(register, jt / J)[0, :2] == pytest.approx([1 - b, b], abs=1e-6)


def test_a_mismatched_lock_of_one_pair_follows_rabi():
    register = star(1, coupling_hz=J)
    mismatch_hz = 2000.0 * 0.003
    t = 2 * 0.4 / J
    half_coupling, detuning = math.pi * J / 2, 2 * math.pi * mismatch_hz
    rabi = math.hypot(2 * half_coupling, detuning)
    expected = (2 * half_coupling / rabi) ** 2 * math.sin(rabi * t / 2) ** 2
    found = lock(register, 0.4 / J, Conditions(b1_center=1.003))[0, 1]
    assert found == pytest.approx(expected, abs=1e-6 + 2 * 0.003**2 * (math.pi / 2) ** 2)


def test_the_lock_against_the_full_problem_with_its_rf():
    # 1 + 2 spins with RF, coupling and nothing averaged: what the planar average neglects is
    # of order J/nutation = 2.5e-3, squared in the transfer
    register = star(2, coupling_hz=J)
    spins = {a: [0, 0, 0] for a in "xyz"}
    for a, matrix in (("x", SIGMA["x"]), ("y", SIGMA["y"]), ("z", SIGMA["z"])):
        for k in range(3):
            parts = [np.eye(2)] * 3
            parts[k] = matrix / 2
            spins[a][k] = np.kron(np.kron(parts[0], parts[1]), parts[2])
    nutation = 2 * math.pi * 2000.0
    hamiltonian = nutation * sum(spins["x"]) + 2 * math.pi * J * spins["z"][0] @ (
        spins["z"][1] + spins["z"][2]
    )
    t = 2 * 0.2 / J
    u = scipy.linalg.expm(-1j * hamiltonian * t)
    rho = spins["x"][1] + spins["x"][2]
    moved = (
        np.trace(u @ rho @ u.conj().T @ spins["x"][0]).real
        / np.trace(spins["x"][0] @ spins["x"][0]).real
    )
    assert lock(register, 0.2 / J)[0, 1] == pytest.approx(moved, abs=1e-4)


def test_a_lock_too_weak_for_the_planar_average_is_refused():
    with pytest.raises(ValueError, match=r"at least 5 J sqrt\(N\) = 75 Hz .* but is 60 Hz"):
        lock(star(9, coupling_hz=J), 0.01, nutation_hz=60.0)


def test_locked_spins_relax_with_t1rho():
    register = star(2, coupling_hz=0.0, t1_charger_s=4.0, t2_charger_s=1.0)
    register = dataclasses.replace(
        register, satellite=dataclasses.replace(register.satellite, t1_rho_s=nominal(1.7))
    )
    segment = translator(register).spin_lock(0.15, 2000.0)
    matrix = StarSimulator(register).transfer(segment, TICK_S)
    assert matrix[1, 1] == pytest.approx(math.exp(-0.3 / 1.7), abs=1e-6)
    assert matrix[0, 0] == pytest.approx(math.exp(-0.3 / 10.0), abs=1e-6)  # T2 where none is given


def test_an_echo_is_modulated_by_the_power_of_a_cosine():
    for central, partners in (("battery", 9), ("charger", 1)):
        register = star(9, coupling_hz=J, central=central)
        isotope = register.battery.isotope
        segment = translator(register).echo(isotope, 0.03, "step")
        matrix = StarSimulator(register, relaxes=False).transfer(segment, TICK_S)
        which = 0 if central == "battery" else 1
        expected = math.cos(math.pi * J * 0.03) ** partners
        # 90x 180x 90x: z to -z and back for the cosine part
        assert matrix[which, which] == pytest.approx(expected, abs=1e-6)


def test_a_delay_in_a_segment_is_counted_in_ticks():
    segment = translator(star(2, coupling_hz=J)).native_exchange(0.02, 3, "step")
    assert sum(e.ticks for e in segment.body) == segment.ticks
    lab = sum(e.ticks for e in segment.body if isinstance(e, Delay)) * TICK_S
    assert lab == pytest.approx(2 * 0.02, abs=1e-6)


def test_few_strang_steps_are_warned_about_and_too_many_satellites_refused():
    register = star(9, coupling_hz=J)

    def warnings(steps):
        cycle = (ExchangeStep(exchange="native", transfer=1.17, steps=steps), Crush())
        protocol = charging_protocol(0.0, 0.0, cycle=cycle, prepare=BatterySaturated())
        return compile_protocol(protocol, register, fine_spectrometer()).warnings

    assert any("1 Strang step(s) are few" in w for w in warnings(1))
    assert not any("Strang" in w for w in warnings(4))
    cycle = (ExchangeStep(exchange="native", transfer=0.3, steps=4), Crush())
    protocol = charging_protocol(0.0, 0.0, cycle=cycle)
    with pytest.raises(ValueError, match="at most 64 of them, but the register has 120"):
        compile_protocol(protocol, star(120, coupling_hz=J), fine_spectrometer())
