"""Single runs of a dephased star, and the discharge of what it stored."""

import numpy as np
import pytest

from nmrqb import DephasedStar
from nmrqb.models.discharge import discharge_to_loads, load_energy
from nmrqb.models.unravelling import unravel

TIMES = np.linspace(0.0, 6.0, 5)


@pytest.mark.parametrize("picture", ["noisy-field", "weak-measurement"])
@pytest.mark.parametrize("detuning", [0.0, 0.4])
def test_runs_average_to_the_master_equation(picture, detuning):
    star = DephasedStar(batteries=3, drive=0.9, dephasing=0.8, drive_detuning=detuning)
    rng = np.random.default_rng(20)
    runs = unravel(star, TIMES, runs=700, rng=rng, picture=picture)
    assert runs.bias < 1e-4
    # 4 standard errors of 4 independent points: fails for 1 seed in 4,000
    error = np.abs(runs.mean_energy - star.energy(TIMES))
    assert (error <= 4.0 * runs.energy_stderr + runs.bias + 1e-12).all()
    assert (error[1:] > 0.0).all()


@pytest.mark.parametrize("picture", ["noisy-field", "weak-measurement"])
def test_runs_are_reproduced_by_their_generator(picture):
    star = DephasedStar(batteries=2)
    first, again, other = (
        unravel(star, TIMES, runs=5, rng=np.random.default_rng(s), picture=picture).energy
        for s in (1, 1, 2)
    )
    assert (first == again).all()
    assert not (first == other).all()


def test_bias_of_the_step_is_of_second_order():
    star = DephasedStar(batteries=2, dephasing=2.0)
    coarse, fine = (
        unravel(star, TIMES, runs=2, rng=np.random.default_rng(0), step=h).bias for h in (0.1, 0.05)
    )
    assert coarse / fine == pytest.approx(4.0, abs=0.1)


def test_without_dephasing_every_run_is_the_same_evolution():
    star = DephasedStar(batteries=2, dephasing=0.0)
    runs = unravel(star, TIMES, runs=3, rng=np.random.default_rng(0))
    assert runs.energy == pytest.approx(np.tile(star.energy(TIMES), (3, 1)), abs=1e-12)


def test_measurement_record_follows_the_charger():
    # <y(t)> = 2 sqrt(gamma) int <n_C> dt, spread sqrt(t)
    star = DephasedStar(batteries=2, dephasing=0.7)
    times = np.linspace(0.0, 4.0, 81)
    runs = unravel(star, times, runs=1000, rng=np.random.default_rng(5), picture="weak-measurement")
    charger = star.observables(times).charger_energy
    integral = np.sum((charger[1:] + charger[:-1]) / 2.0) * 0.05
    expected = 2.0 * np.sqrt(0.7) * integral
    spread = runs.record[:, -1].std(ddof=1) / np.sqrt(1000)
    assert runs.record[:, -1].mean() == pytest.approx(expected, abs=4.5 * spread + 1e-3)


def test_noisy_field_halves_coherence_at_gamma_over_two_not_at_twice_that():
    # without coupling: a driven charger, <n> = (1 - D(2 F))/2 with D damped by gamma/2
    star = DephasedStar(batteries=1, coupling=1e-9, drive=1.0, dephasing=0.5)
    runs = unravel(star, [3.0], runs=4000, rng=np.random.default_rng(8))
    d, q = 0.125, np.sqrt(4.0 - 0.125**2)
    exact = (1 - np.exp(-3 * d) * (np.cos(3 * q) + d / q * np.sin(3 * q))) / 2
    spread = runs.charger.std(ddof=1) / np.sqrt(4000)
    assert runs.charger.mean() == pytest.approx(exact, abs=4 * spread)


def test_runs_of_other_losses_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="no loss but the charger's"):
        unravel(DephasedStar(charger_t1=2.0), TIMES, runs=2, rng=rng)
    with pytest.raises(ValueError, match="`picture` must be one of"):
        unravel(DephasedStar(), TIMES, runs=2, rng=rng, picture="jumps")
    with pytest.raises(ValueError, match="`runs` must be at least 2"):
        unravel(DephasedStar(), TIMES, runs=1, rng=rng)


# discharge ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more", [{}, {"battery_t1": 5.0, "charger_t1": 4.0}, {"battery": "oscillator"}]
)
def test_loads_and_battery_share_the_energy(more):
    state = DephasedStar(batteries=3 if "battery" not in more else 1, drive=2.0, **more).states(
        [5.0]
    )[0]
    out = discharge_to_loads(state, 0.9, 0.4, 12)
    assert out.energy.sum() + out.left == pytest.approx(state.energy, abs=1e-8)
    assert out.energy[0] == pytest.approx(load_energy(state, 0.9, [0.4])[0], abs=1e-10)
    assert (out.ergotropy <= out.energy + 1e-12).all()
    assert 0.0 <= out.constancy <= 1.0
    assert out.power == pytest.approx(out.energy / 0.4)


def test_full_battery_fills_a_load_as_fast_as_superradiance_allows():
    # |N> with an empty load turns at g_L sqrt(N)
    star = DephasedStar(batteries=5, battery_t1=1e9, temperature=0.0)
    from nmrqb.battery.ergotropy import Sector
    from nmrqb.battery.stored import StoredState

    rho = np.zeros((6, 6))
    rho[5, 5] = 1.0
    full = StoredState(
        sectors=(Sector(matrix=rho, excitations=np.arange(6)),),
        batteries=5, kind="qubit", omega=star.omega, excitations=5.0,
        charger_excitations=0.0, solver="by hand",
    )  # fmt: skip
    t = np.linspace(0, 3, 7)
    assert load_energy(full, 0.8, t) == pytest.approx(np.sin(0.8 * np.sqrt(5) * t) ** 2, abs=1e-12)
    assert full.ergotropy == pytest.approx(5.0)


def test_load_agrees_with_a_unitary_in_the_full_space():
    import qutip

    state = DephasedStar(batteries=3, drive=1.2).states([4.0])[0]
    low = qutip.jmat(1.5, "-")
    # jmat lists m falling: turn the Dicke states (rising excitations) over
    rho = qutip.Qobj(state.matrix[::-1, ::-1])
    joint = qutip.tensor(rho, qutip.fock_dm(2, 0))
    tau = qutip.destroy(2)
    h = qutip.tensor(low.dag(), tau) + qutip.tensor(low, tau.dag())
    u = (-0.7j * 0.6 * h).expm()
    load = (u * joint * u.dag()).ptrace(1)
    out = discharge_to_loads(state, 0.7, 0.6, 1)
    assert out.energy[0] == pytest.approx(load[1, 1].real, abs=1e-12)
    r_z, r = 1 - 2 * load[1, 1].real, 2 * abs(load[0, 1])
    assert out.ergotropy[0] == pytest.approx((np.hypot(r, r_z) - r_z) / 2, abs=1e-12)


def test_wrong_loads_are_refused():
    state = DephasedStar(batteries=2).states([1.0])[0]
    with pytest.raises(ValueError, match="`contact_time` must be positive"):
        discharge_to_loads(state, 1.0, 0.0, 2)
    with pytest.raises(ValueError, match="`loads` must be at least 1"):
        discharge_to_loads(state, 1.0, 1.0, 0)
