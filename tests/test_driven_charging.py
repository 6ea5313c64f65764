"""The driven, dephased central charger: pseudo-pure it charges, thermal it does not."""

import dataclasses
import math

import numpy as np
import pytest
import qutip
from star_registers import TICK_S, star

from nmrqb.quantum.propagation import Generator
from nmrqb.quantum.star import StarSpace
from nmrqb.sequence.events import DrivenExchange, PseudoPure, PulseSequence
from nmrqb.simulate.simulator import StarSimulator
from nmrqb.studies.measurement import pseudo_pure_signal
from nmrqb.studies.plan import make_plan, predict
from nmrqb.studies.run import run

J, DRIVE, GAMMA = 11.0, 5.5, 49.0
IDEAL_EXCHANGE = 'kind = "exchange"\nexchange = "ideal"\nduration'


def charged(register, seconds, *, pure, relaxes=False, drive=DRIVE, gamma=GAMMA):
    """Return the batteries' polarisation after driven exchange."""
    step = DrivenExchange(
        ticks=round(seconds / TICK_S), nutation_hz=drive, dephasing_per_s=gamma, relaxes=relaxes
    )
    start = (PseudoPure(ticks=1, sign=register.battery.nucleus.sign),) if pure else ()
    sequence = PulseSequence(tick_s=TICK_S, events=(*start, step))
    return StarSimulator(register).simulate(sequence).battery_z[-1]


def dicke_energy(n, times, drive, gamma):
    """Return E of n batteries by qutip in the space of one charger and a spin n/2."""
    g, f = math.pi * J, math.pi * drive
    spin = n / 2
    lower = qutip.tensor(qutip.qeye(2), qutip.jmat(spin, "-"))
    up = qutip.tensor(qutip.sigmap(), qutip.qeye(n + 1))
    hamiltonian = g * (up * lower + (up * lower).dag()) + f * (up + up.dag())
    excited = up * up.dag()
    energy = qutip.tensor(qutip.qeye(2), qutip.jmat(spin, "z") + spin)
    ground = qutip.tensor(qutip.basis(2, 1), qutip.basis(n + 1, n))
    options = {"atol": 1e-12, "rtol": 1e-10, "nsteps": 100000}
    found = qutip.mesolve(
        hamiltonian, ground, times, [math.sqrt(gamma) * excited], e_ops=[energy], options=options
    )
    return found.expect[0]


@pytest.mark.parametrize("batteries", [1, 2, 4, 9])
@pytest.mark.parametrize(("drive", "gamma"), [(5.5, 49.0), (33.0, 293.0), (20.0, 0.0)])
def test_pseudo_pure_charging_is_the_papers_master_equation(batteries, drive, gamma):
    register = star(batteries, "1H", "31P", central="charger", coupling_hz=J)
    times = np.array([0.0, 0.01, 0.04, 0.1])
    expected = dicke_energy(batteries, times, drive, gamma)
    for t, energy in zip(times, expected, strict=True):
        p = charged(register, t, pure=True, drive=drive, gamma=gamma)
        assert batteries * (1 - p) / 2 == pytest.approx(energy, abs=1e-7 * batteries)


def test_a_single_battery_ends_half_full():
    register = star(1, "1H", "31P", central="charger", coupling_hz=J)
    assert charged(register, 30.0, pure=True) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("batteries", [1, 3, 9])
def test_every_thermal_deviation_relaxes_to_the_identity_level(batteries):
    # n -> flipped n leaves every conserved charge of the model unchanged: no linear z-deviation
    # keeps anything, so that neither energy nor work is stored
    register = star(batteries, "1H", "31P", central="charger", coupling_hz=J)
    space = StarSpace(batteries)
    simulator = StarSimulator(register)
    generator = Generator(simulator.dynamics.generators.matrix(("driven", 33.0, 293.0, False)))
    for start in ((1.0, 0.0), (0.0, 1.0), (0.4, 2.47)):
        state = generator.propagate(space.state(*start, "linear"), 1e4)
        assert space.bloch_satellite(state)[2] == pytest.approx(0.0, abs=1e-6)
        assert np.hypot(*space.bloch_satellite(state)[:2]) == pytest.approx(0.0, abs=1e-6)


def test_either_sign_of_gamma_charges_from_its_own_ground_state():
    energies = []
    for battery in ("1H", "29Si"):
        register = star(3, battery, "31P", central="charger", coupling_hz=J)
        sign = register.battery.nucleus.sign
        energies.append(1.5 * (1 - sign * charged(register, 0.05, pure=True)))
    assert energies[0] == pytest.approx(energies[1], abs=1e-9)


def test_the_pseudo_pure_amplitude_is_the_largest_that_averaging_leaves():
    # populations (1 + sum eps)/d and the mean of all others, counted for a real molecule
    register = star(3, "1H", "31P", central="charger")
    eps = register.eps
    p = [eps] + [eps * register.equilibrium_ratio] * 3
    d = 16
    largest = np.prod([1 + x for x in p]) / d
    others = (1 - largest) / (d - 1)
    assert register.pseudo_pure_amplitude * eps == pytest.approx(largest - others, rel=1e-3)


def test_shipped_pseudo_pure_charging_states_its_price_and_stores():
    result = run("driven_pseudo_pure_trimethyl_phosphate", seed=5)
    curve = result.measured
    assert curve.start == "pseudo-pure"
    # without relaxation the master equation stores this much; T1 and T2 of seconds cost percents
    ideal = dicke_energy(9, curve.times, 33.0, 293.0)
    assert result.prediction.exact.energy == pytest.approx(ideal, rel=0.2, abs=0.02)
    assert curve.energy[-1] > 10 * curve.energy_stderr[-1]
    assert pseudo_pure_signal(result.plan) == pytest.approx(0.5 * (9 + 0.4048) / 1023, rel=1e-3)
    assert any("costs signal" in w and "0.0046" in w for w in result.verdict())
    assert any("pseudo-pure molecule" in w for w in result.verdict())


def test_shipped_thermal_twin_says_that_nothing_is_stored():
    result = run("driven_thermal_trimethyl_phosphate", seed=5)
    assert (result.prediction.exact.energy < 0).all()
    assert (result.measured.ergotropy_upper95 < 0.05).all()
    words = " ".join(result.verdict())
    assert "NOT charged" in words
    assert "Only a pure or pseudo-pure start would store anything" in words


def test_a_reference_of_another_start_is_refused(nmrqb, edited):
    path = edited(
        "protocols/driven_pseudo_pure_trimethyl_phosphate.toml",
        (r'(?s)(\[reference\]\n)kind = "pseudo-pure"', r'\1kind = "thermal"'),
    )
    outcome = nmrqb("plan", path)
    assert outcome.code == 2
    assert "`reference.kind` must be 'pseudo-pure'" in outcome.complaint


def test_a_plan_of_driven_charging_has_no_closed_map():
    prediction = predict(make_plan("driven_thermal_trimethyl_phosphate"))
    assert prediction.closed is None
    assert prediction.p_star_exact is None
    plan = make_plan("asymptotic_ttss")
    assert predict(dataclasses.replace(plan)).closed is not None


def test_a_transient_is_called_transient(edited):
    # undamped Rabi drive inverts the charger, which then charges: for a while
    path = edited(
        "protocols/driven_thermal_trimethyl_phosphate.toml",
        (r'^dephasing = "293 /s"', 'dephasing = "0 /s"'),
        (r'^drive = "33 Hz"', 'drive = "100 Hz"'),
    )
    result = run(path, seed=1)
    words = " ".join(result.verdict())
    assert result.prediction.exact.energy.max() > 0
    assert "transient" in words


def test_a_pseudo_pure_start_with_an_undriven_exchange_has_no_closed_map(edited):
    path = edited(
        "protocols/driven_pseudo_pure_trimethyl_phosphate.toml",
        (r'(?s)kind = "driven-exchange".*?duration', IDEAL_EXCHANGE),
    )
    prediction = predict(make_plan(path))
    assert prediction.closed is None
    # nothing drives: all spins down stay down
    assert prediction.exact.energy == pytest.approx(0.0, abs=0.6)


def test_reading_the_charger_of_a_pseudo_pure_start_is_refused(nmrqb, edited):
    path = edited(
        "protocols/driven_pseudo_pure_trimethyl_phosphate.toml",
        (r"^carrier = .*", 'carrier = "2.4 ppm"\ntarget = "charger"'),
    )
    assert "must be battery after a pseudo-pure start" in nmrqb("plan", path).complaint
