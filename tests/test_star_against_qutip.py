"""Every engine of the star against QuTiP's master equation, and against each other."""

import dataclasses

import numpy as np
import pytest
import qutip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nmrqb import DephasedStar
from nmrqb.models.local_star import LocalStar
from nmrqb.quantum.star import StarSpace

TIMES = np.linspace(0.0, 6.0, 5)
# mesolve is asked for 1e-10 a step, some hundred steps: 1e-6 leaves room for N^2 omega^2
CLOSE = 1e-6
OPTIONS = {"atol": 1e-12, "rtol": 1e-10, "nsteps": 200_000}

rates = st.floats(0.05, 2.5)
offsets = st.floats(-1.5, 1.5)


@st.composite
def stars(draw, most, least=1):
    """Random qubit stars with every loss on or off."""
    t1 = draw(st.floats(0.7, 8.0))
    battery_t1 = draw(st.floats(0.7, 8.0))
    has = {k: draw(st.booleans()) for k in ("detuning", "charger", "battery", "collective")}
    return DephasedStar(
        batteries=draw(st.integers(least, most)),
        coupling=draw(rates),
        drive=draw(rates),
        dephasing=draw(st.one_of(st.just(0.0), rates)),
        normalisation=draw(st.sampled_from(["kac", "per-battery"])),
        omega=draw(st.floats(0.3, 3.0)),
        drive_detuning=draw(offsets) if has["detuning"] else 0.0,
        charger_detuning=draw(offsets) if has["detuning"] else 0.0,
        charger_t1=t1 if has["charger"] else np.inf,
        charger_t2=t1 * draw(st.floats(0.2, 2.0)) if has["charger"] else None,
        battery_t1=battery_t1 if has["battery"] else np.inf,
        battery_t2=battery_t1 * draw(st.floats(0.2, 2.0)) if has["battery"] else None,
        collective_dephasing=draw(rates) if has["collective"] else 0.0,
        temperature=draw(st.floats(0.0, 3.0)),
        start=draw(st.sampled_from(["empty", "thermal"])),
    )


def hold_against_qutip(star, times=TIMES, options=OPTIONS):
    hamiltonian, collapse, start = star.to_qutip()
    solved = qutip.mesolve(hamiltonian, start, times, collapse, options=options)
    theirs = [star.from_qutip(state) for state in solved.states]
    ours = star.observables(times)
    for name in (
        "energy",
        "ergotropy",
        "incoherent_ergotropy",
        "energy_variance",
        "purity",
        "charger_energy",
    ):
        found = [getattr(state, name) for state in theirs]
        assert getattr(ours, name) == pytest.approx(found, abs=CLOSE), name
    curve = star.charging_curve(times)
    assert curve.energy == pytest.approx(ours.energy, abs=CLOSE)
    assert curve.ergotropy == pytest.approx(ours.ergotropy, abs=CLOSE)
    return ours, solved


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stars(most=4))
def test_random_stars_agree_with_mesolve(star):
    hold_against_qutip(star)


@settings(
    max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(stars(least=5, most=6))
def test_random_stars_of_five_and_six_agree_with_mesolve(star):
    # a full space of up to 128 states: fewer steps of 1e-8 are enough for 1e-6
    options = {"atol": 1e-10, "rtol": 1e-8, "nsteps": 200_000}
    hold_against_qutip(star, np.array([0.0, 0.7, 2.0]), options)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"drive_detuning": 0.4, "charger_detuning": -0.7, "charger_t1": 3.0, "temperature": 0.8},
        {"battery_t1": 4.0, "battery_t2": 3.0, "charger_t1": 2.0, "temperature": 0.5},
    ],
)
def test_six_batteries_agree_with_mesolve(more):
    star = DephasedStar(batteries=6, drive=0.9, dephasing=0.6, **more)
    hold_against_qutip(star, np.array([0.0, 1.0, 4.0]))


@pytest.mark.parametrize(
    "more",
    [
        {"battery": "oscillator", "drive": 0.7},
        {"battery": "oscillator", "drive": 0.7, "batteries": 3, "normalisation": "per-battery"},
        {
            "battery": "oscillator",
            "drive": 0.5,
            "drive_detuning": 0.5,
            "charger_t1": 4.0,
            "battery_t1": 6.0,
            "temperature": 0.4,
        },
        {"charger": "oscillator", "batteries": 2, "drive": 0.3},
    ],
)
def test_oscillators_agree_with_mesolve(more):
    hold_against_qutip(DephasedStar(**{"batteries": 1, "dephasing": 0.8, **more}))


def test_two_oscillators_agree_with_mesolve():
    star = DephasedStar(
        batteries=1, battery="oscillator", charger="oscillator", drive=0.15, dephasing=0.8
    )
    hold_against_qutip(star, np.array([0.0, 1.0, 2.0]))


def test_interaction_and_drive_work_agree_with_expectations():
    star = DephasedStar(batteries=3, drive=0.8, dephasing=0.5, drive_detuning=0.6, charger_t1=3.0)
    times = np.linspace(0.0, 3.0, 151)
    ours, solved = hold_against_qutip(star, times)
    low = qutip.tensor(qutip.destroy(2), qutip.qeye(4))
    drive = 0.8 * (low + low.dag())
    hamiltonian, _, _ = star.to_qutip()
    number = qutip.tensor(qutip.num(2), qutip.qeye(4)), qutip.tensor(qutip.qeye(2), qutip.num(4))
    exchange = hamiltonian - drive - 0.6 * (number[0] + number[1])
    assert ours.drive_energy == pytest.approx(qutip.expect(drive, solved.states), abs=CLOSE)
    assert ours.coupling_energy == pytest.approx(qutip.expect(exchange, solved.states), abs=CLOSE)
    assert np.abs(ours.coupling_energy).max() > 0.05
    # d W/dt = omega_d i F <C - C^+>, by Simpson: (dt^4/180) T d^4 f is below 1e-7
    flux = np.real(qutip.expect(0.8j * (low - low.dag()), solved.states))
    steps = 0.02 / 3.0 * np.convolve(flux, [1, 4, 1], mode="valid")[::2]
    assert ours.drive_work[::2] == pytest.approx(
        0.4 * np.concatenate([[0.0], np.cumsum(steps)]), abs=CLOSE
    )


def test_symmetric_liouville_space_reports_the_same_interaction_as_the_dicke_states():
    star = DephasedStar(batteries=3, drive=0.8, drive_detuning=0.3, charger_t1=3.0)
    other = dataclasses.replace(star, battery_t1=1e12)  # noise on each battery, but none to see
    times = np.linspace(0, 7, 8)
    dicke, local = star.observables(times), other.observables(times)
    assert "Dicke" in star.solver
    assert "Liouville" in other.solver
    for name in ("energy", "ergotropy", "coupling_energy", "drive_energy", "drive_work", "purity"):
        assert getattr(dicke, name) == pytest.approx(getattr(local, name), abs=1e-9), name
    assert dicke.local_ergotropy == pytest.approx(local.local_ergotropy, abs=1e-9)


def test_energy_books_balance_on_resonance():
    # no quantum is lost, no interaction energy builds up: work = what battery and charger hold
    o = DephasedStar(batteries=5, drive=0.9).observables(np.linspace(0, 20, 11))
    assert o.drive_work == pytest.approx(o.energy + o.charger_energy, abs=1e-10)
    assert o.switching_cost == pytest.approx(np.zeros(11), abs=1e-15)
    assert o.efficiency[1:] == pytest.approx(o.energy[1:] / o.drive_work[1:], abs=1e-12)
    general = DephasedStar(batteries=5, drive=0.9, charger_t1=1e14).observables(o.times)
    assert general.drive_work == pytest.approx(o.drive_work, abs=1e-9)
    assert general.coupling_energy == pytest.approx(np.zeros(11), abs=1e-12)


def test_states_keep_trace_hermiticity_and_positivity():
    star = DephasedStar(batteries=5, drive=1.3, battery_t1=2.0, battery_t2=1.0, temperature=0.5)
    for state in star.states(np.linspace(0, 5, 6)):
        weights = np.concatenate(
            [np.repeat(np.linalg.eigvalsh(s.matrix), s.multiplicity) for s in state.sectors]
        )
        assert len(weights) == 2**5
        assert weights.sum() == pytest.approx(1.0, abs=1e-12)
        assert weights.min() > -1e-12
        assert state.populations.sum() == pytest.approx(1.0, abs=1e-12)


def test_a_partial_transpose_fails_the_positivity_check():
    pair = (qutip.basis([2, 2], [0, 1]) + qutip.basis([2, 2], [1, 0])).unit()
    transposed = qutip.partial_transpose(qutip.ket2dm(pair), [0, 1])
    assert transposed.eigenenergies().min() < -0.4


def test_steady_states_agree_with_long_evolution():
    for more in ({"charger_t1": 3.0, "temperature": 0.6}, {"drive_detuning": 0.7},
                 {"battery_t1": 5.0, "charger_detuning": 0.4}):  # fmt: skip
        star = DephasedStar(batteries=3, drive=0.8, **more)
        late = star.states([3000.0])[0]
        steady = star.steady_state()
        assert steady.energy == pytest.approx(late.energy, abs=1e-8)
        assert steady.ergotropy == pytest.approx(late.ergotropy, abs=1e-8)


def test_dephasing_off_resonance_mixes_the_symmetric_sector_completely():
    steady = DephasedStar(batteries=5, drive=0.8, drive_detuning=0.7).steady_state()
    assert steady.populations == pytest.approx(np.full(6, 1 / 6), abs=1e-10)
    # bound N/(N + 1) of the locked energy, reached
    assert steady.energy - steady.ergotropy == pytest.approx(5 / 6, abs=1e-9)


def test_charging_times_off_resonance_join_those_on_resonance():
    resonant = DephasedStar(batteries=3, drive=2.0)
    general = dataclasses.replace(resonant, charger_t1=1e9)
    for definition in ("threshold", "slowest-mode", "fit"):
        assert general.charging_time(definition).value == pytest.approx(
            resonant.charging_time(definition).value, rel=1e-5
        )


@pytest.mark.parametrize("batteries", [1, 2, 4])
def test_spectrum_is_that_of_the_symmetric_liouvillian(batteries):
    star = DephasedStar(batteries=batteries, drive=0.7, dephasing=1.3)
    exact = np.linalg.eigvals(star.dicke_engine().generator.matrix.toarray())
    found = star.spectrum()
    assert len(found) == len(exact)
    # pair every eigenvalue with the nearest: double roots split by sqrt(1e-15)
    for value in found:
        assert np.abs(exact - value).min() < 1e-6
    for value in exact:
        assert np.abs(found - value).min() < 1e-6
    assert np.sum(found).real == pytest.approx(np.sum(exact).real, rel=1e-10)


def test_the_engine_of_relaxing_stars_is_the_one_of_the_spectrometer():
    star = DephasedStar(batteries=4, battery_t1=3.0, charger_t1=2.0, coupling=0.9)
    engine = LocalStar(star.rates(), False)
    assert isinstance(engine.space, StarSpace)
    assert engine.start() == pytest.approx(engine.space.state(-1.0, -1.0, "exact"))


def test_every_observable_has_a_labelled_form():
    from nmrqb import to_xarray

    star = DephasedStar(batteries=3, drive=0.8, dephasing=0.5)
    observables = star.observables(TIMES)
    data = to_xarray(observables)
    assert data["energy"].values == pytest.approx(observables.energy)
    assert data["power"].values == pytest.approx(observables.power)
    assert data["ergotropy"].attrs["unit"] == "omega"
    assert data["time"].values == pytest.approx(TIMES)
