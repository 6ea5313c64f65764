"""The heteronuclear Overhauser effect: pair dissipators, Solomon's equations, p*."""

import dataclasses
import math

import numpy as np
import pytest
import qutip
import scipy.linalg
from star_registers import TICK_S, charging_protocol, fine_spectrometer, nominal, star
from test_engine_against_full_space import full_matrix

from nmrqb import read_register
from nmrqb.compiler.compile import compile_protocol
from nmrqb.models.closed_map import ClosedMap
from nmrqb.quantum import operators as op
from nmrqb.quantum.propagation import Generator
from nmrqb.quantum.star import SpinRelaxation, StarSpace
from nmrqb.sequence.events import Delay, PulseSequence, Saturation
from nmrqb.simulate.simulator import StarSimulator, simulate_sequence
from nmrqb.studies.plan import make_plan, predict

CENTER = SpinRelaxation(t1_s=1.3, t2_s=0.9, equilibrium=-0.2)
SATELLITE = SpinRelaxation(t1_s=0.7, t2_s=0.6, equilibrium=1.0)
RATE = 0.15


def dipolar(register, share=1.0):
    return dataclasses.replace(register, dipolar_share=nominal(share))


@pytest.mark.parametrize("satellites", [1, 2, 3])
def test_pair_dissipators_agree_with_the_full_space_in_every_element(satellites):
    # D(rho - rho_eq) with W0, W1, W2 of every pair, built in the full space by QuTiP
    space, n = StarSpace(satellites), satellites
    generator = space.weak_coupling(3.0) + space.relaxation(CENTER, SATELLITE, "linear", RATE)
    rng = np.random.default_rng(n)
    state = space.state(0.4, -0.7, "linear")
    axis = op.SIGMA_Z + op.SIGMA_PLUS + op.SIGMA_MINUS
    turn = space.on_satellites(-1j * (op.left(axis) - op.right(axis)))
    state = Generator(turn).propagate(state, rng.uniform(0.3, 0.5))
    after = Generator(generator).propagate(state, 0.31)

    def on(k, matrix):
        parts = [qutip.qeye(2)] * (n + 1)
        parts[k] = matrix
        return qutip.tensor(parts)

    up, down, z = qutip.sigmap(), qutip.sigmam(), qutip.sigmaz()
    w0, w2 = RATE / 10, 6 * RATE / 10
    losses = []
    for k in range(n + 1):
        spin, partners = (SATELLITE, 1) if k else (CENTER, n)
        flips = 1 / spin.t1_s - partners * (w0 + w2)
        rest = 1 / spin.t2_s - partners * (w0 + w2) / 2 - flips / 2
        losses += [math.sqrt(flips / 2) * on(k, up), math.sqrt(flips / 2) * on(k, down)]
        losses += [math.sqrt(rest / 2) * on(k, z)]
        if k:
            losses += [math.sqrt(w2) * on(0, up) * on(k, up)]
            losses += [math.sqrt(w2) * on(0, down) * on(k, down)]
            losses += [math.sqrt(w0) * on(0, up) * on(k, down)]
            losses += [math.sqrt(w0) * on(0, down) * on(k, up)]
    zz = 2 * math.pi * 3.0 * sum(on(0, z / 2) * on(k, z / 2) for k in range(1, n + 1))
    liouvillian = qutip.liouvillian(zz, losses).full()
    d = 2 ** (n + 1)
    equilibrium = (
        np.eye(d) / d
        + sum((SATELLITE if k else CENTER).equilibrium * on(k, z).full() for k in range(n + 1)) / d
    )
    start = full_matrix(space, state) - equilibrium
    vector = scipy.linalg.expm(0.31 * liouvillian) @ start.reshape(-1, order="F")
    expected = equilibrium + vector.reshape(d, d, order="F")
    assert np.abs(full_matrix(space, after) - expected).max() < 1e-12


@pytest.mark.parametrize("satellites", [1, 3, 36])
def test_polarisations_follow_solomons_equations(satellites):
    space = StarSpace(satellites)
    rate = RATE / satellites
    generator = Generator(space.relaxation(CENTER, SATELLITE, "linear", rate))
    rates = np.array([[1 / CENTER.t1_s, satellites * rate / 2], [rate / 2, 1 / SATELLITE.t1_s]])
    equilibrium = np.array([CENTER.equilibrium, SATELLITE.equilibrium])
    start = np.array([0.9, -0.8])
    for t in (0.1, 1.0, 5.0):
        after = generator.propagate(space.state(*start, "linear"), t)
        found = [space.bloch_center(after)[2], space.bloch_satellite(after)[2]]
        expected = equilibrium + scipy.linalg.expm(-rates * t) @ (start - equilibrium)
        assert found == pytest.approx(expected, abs=1e-12)


def test_coherences_decay_with_the_stated_t2():
    space = StarSpace(3)
    generator = Generator(space.relaxation(CENTER, SATELLITE, "linear", RATE / 3))
    state = np.zeros(space.dimension, complex)
    state[space.position(op.PLUS)] = 1.0
    state[space.position(op.ONE, plus=1)] = 1.0
    after = generator.propagate(state, 0.4)
    assert after[space.position(op.PLUS)] == pytest.approx(math.exp(-0.4 / CENTER.t2_s))
    assert after[space.position(op.ONE, plus=1)] == pytest.approx(math.exp(-0.4 / SATELLITE.t2_s))


@pytest.mark.parametrize("battery", ["29Si", "13C", "31P", "15N"])
def test_saturating_the_protons_enhances_by_half_the_ratio_of_gammas(battery):
    # eta = f gamma_I / (2 gamma_S): 29Si 1 - 2.52 f, a null at f = 0.4
    register = star(3, battery, t1_battery_s=20.0)
    gamma = register.battery.nucleus.relative_gamma
    for share in (0.4, 1.0):
        saturation = Saturation(nucleus="1H", ticks=round(400.0 / 1e-6))
        sequence = PulseSequence(tick_s=1e-6, events=(saturation, Delay(ticks=1)))
        p = simulate_sequence(sequence, dipolar(register, share)).battery_z[-2]
        enhancement = 1 + share / (2 * gamma)
        assert p / register.battery_equilibrium == pytest.approx(enhancement, abs=1e-6)
    if battery == "29Si":
        assert 1 / (2 * gamma) == pytest.approx(-2.52, abs=5e-3)


def by_hand(share, p_eq, *, inverted, saturated, back_action, charger_t1_s=3.3):
    """Iterate exchange and wait with Solomon's equations, without the package."""
    b, delay, t1_b, n = 0.3, 10.0, 115.4, 36
    back = share / (2 * n * t1_b) if back_action else 0.0
    rates = np.array([[1 / t1_b, share / (2 * t1_b)], [back, 1 / charger_t1_s]])
    decay = scipy.linalg.expm(-rates * delay)
    p, z = 0.0, 0.0
    for _ in range(500):
        start = np.array([p - p_eq, (0.0 if saturated else z) - 1.0])
        q, c = np.array([p_eq, 1.0]) + decay @ start
        c = -c if inverted else c
        p = (1 - b) * q + b * c
        z = c - (p - q) / n
    return p


# printed: energy label, b = 0.3, 10 s, T1 3.3 s and 115.4 s, N = 36, f = 0 and 1
@pytest.mark.parametrize(
    ("battery", "recovery", "without", "printed"),
    [("29Si", "saturated", -0.765, -0.790), ("31P", "left", -0.695, -0.647)],
)
def test_the_effect_helps_29si_and_opposes_31p(battery, recovery, without, printed):
    register = star(36, battery)
    sign, energies = register.battery.nucleus.sign, []
    for share in (0.0, 1.0):
        plan = compile_protocol(
            charging_protocol(10.0, 0.3, recovery=recovery), dipolar(register, share),
            fine_spectrometer(),
        )  # fmt: skip
        closed = ClosedMap(register=dipolar(register, share), tick_s=TICK_S)
        energies.append(sign * closed.fixed_point(plan.cycle))
    options = {"inverted": battery == "31P", "saturated": recovery == "saturated"}
    p_eq = register.battery_equilibrium
    assert energies[0] == pytest.approx(without, abs=5.1e-4)
    assert energies[1] == pytest.approx(
        sign * by_hand(1.0, p_eq, back_action=True, **options), abs=1e-6
    )
    # the printed digits leave out what the battery does to its chargers, 3e-4 here
    assert sign * by_hand(1.0, p_eq, back_action=False, **options) == pytest.approx(
        printed, abs=5.1e-4
    )
    assert energies[1] == pytest.approx(printed, abs=9e-4)
    # and the exact engine with zero-quantum order at T2C = 3.3 s differs by less than that
    exact = StarSimulator(dipolar(register)).fixed_point(plan.cycle, TICK_S)
    assert sign * exact == pytest.approx(energies[1], abs=3e-4)


def test_a_dipolar_share_that_leaves_the_chargers_no_t1_is_refused():
    with pytest.raises(ValueError, match="`dipolar_share`"):
        dipolar(star(1, t1_battery_s=1.0, t2_battery_s=1.0, t1_charger_s=3.0))
    with pytest.raises(ValueError, match="`dipolar_share` must leave the charger its T1"):
        dipolar(star(9, central="charger", t1_battery_s=2.0, t2_battery_s=1.0))


def test_cross_relaxation_is_offered_to_first_order_only():
    with pytest.raises(ValueError, match="first order"):
        StarSpace(2).relaxation(CENTER, SATELLITE, "exact", RATE)


def test_the_shipped_noe_protocol_shows_the_effect_of_its_register():
    plan = make_plan("noe_tms")
    share = read_register("tms_dipolar").dipolar_share.value
    assert share == 0.3
    prediction = predict(plan)
    assert prediction.closed is not None
    assert prediction.exact.energy == pytest.approx(prediction.closed.energy, abs=2e-4)
    off, on = prediction.exact.energy[[0, -1]]
    t1 = plan.register.battery.t1_s.value
    expected = 1 + share / (2 * plan.register.battery.nucleus.relative_gamma)
    assert on / off == pytest.approx(expected, abs=2 * math.exp(-100 / t1) * 2.52 * share)


def test_registers_without_a_dipolar_share_have_no_effect():
    assert read_register("ttss").pair_rate_per_s == 0.0
