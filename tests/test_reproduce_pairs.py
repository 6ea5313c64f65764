"""Rows of the charger-battery entries, each by QuTiP, a closed form, or the Liouvillian itself."""

import math

import numpy as np
import pytest
import qutip
import scipy.linalg
import steady_states as exact
from reproductions import rows as computed_rows

from nmrqb import DephasedStar


@pytest.fixture
def rows():
    """Return a function that gives the computed numbers of an entry by the names of its rows."""
    return lambda entry: {name: row.value for name, row in computed_rows(entry).items()}


def pair(drive, dephasing, *, battery=2, charger=2, drive_detuning=0.0, charger_detuning=0.0):
    """Return H, collapse operators, the empty state and the battery's number of quanta (g = 1)."""
    c = qutip.tensor(qutip.destroy(charger), qutip.qeye(battery))
    b = qutip.tensor(qutip.qeye(charger), qutip.destroy(battery))
    n_c, n_b = c.dag() * c, b.dag() * b
    h = c.dag() * b + c * b.dag() + drive * (c + c.dag())
    h = h + drive_detuning * n_b + (drive_detuning + charger_detuning) * n_c
    losses = [math.sqrt(dephasing) * n_c] if dephasing else []
    return h, losses, qutip.tensor(qutip.basis(charger, 0), qutip.basis(battery, 0)), n_b


def energies(times, *arguments, **others):
    h, losses, start, n_b = pair(*arguments, **others)
    options = {"rtol": 1e-9, "atol": 1e-11, "nsteps": 10**6}
    solve = qutip.mesolve if losses else qutip.sesolve
    found = solve(h, start, times, *([losses] if losses else []), e_ops=[n_b], options=options)
    return np.array(found.expect[0])


# steady states -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.1, 1.0, 3.0])
def test_ergotropy_of_a_pair_has_its_four(rows, ratio):
    found = rows("shastri_steady")[f"W of a pair, F/g = {ratio:g}"]
    assert found == pytest.approx(ratio / (1.0 + 4.0 * ratio**2), abs=1e-10)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 3.0])
def test_energy_of_an_oscillator_on_a_qubit(rows, ratio):
    b = ratio**2
    found = rows("shastri_steady")[f"E, oscillator on qubit, F/g = {ratio:g}"]
    assert found == pytest.approx(2.0 * b - (1.0 - math.exp(-b)) / 2.0, rel=1e-9)


def test_ergotropy_of_an_oscillator_needs_sorted_levels(rows):
    b = 9.0
    poisson = [math.exp(-b) * b**m / math.factorial(m) for m in range(80)]
    levels = [poisson[0] + poisson[1] / 2.0]
    levels += [(poisson[m] + poisson[m + 1]) / 2.0 for m in range(1, 79)]
    passive = sum(m * p for m, p in enumerate(sorted(levels, reverse=True)))
    energy = 2.0 * b - (1.0 - math.exp(-b)) / 2.0
    found = rows("shastri_steady")["W, oscillator on qubit, F/g = 3"]
    assert found == pytest.approx(energy - passive, rel=1e-8)
    assert found > b  # the undisplaced state is not the passive one


def test_two_oscillators_store_three_halves_and_yield_one(rows):
    found = rows("shastri_steady")
    assert found["E, two oscillators, F/g = 0.1"] == pytest.approx(0.015, abs=1e-10)
    assert found["W, two oscillators, F/g = 0.1"] == pytest.approx(0.01, abs=1e-8)


# curves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "drive", "time", "levels"),
    [
        ("E, pair, F/g = 0.1, gamma_C = 2 g, g t = 300", 0.1, 300.0, {}),
        ("E, pair, F/g = 0.5, gamma_C = 2 g, g t = 10", 0.5, 10.0, {}),
        ("E, pair, F/g = 3, gamma_C = 2 g, g t = 10", 3.0, 10.0, {}),
        (
            "E, two oscillators, F/g = 0.1, gamma_C = 2 g, g t = 10",
            0.1,
            10.0,
            {"battery": 6, "charger": 6},
        ),
        ("E, oscillator on qubit, F/g = 3, gamma_C = 2 g, g t = 10", 3.0, 10.0, {"battery": 45}),
    ],
)
def test_energies_on_the_way_agree_with_qutip(rows, name, drive, time, levels):
    value = energies([0.0, time], drive, 2.0, **levels)[-1]
    # the cut oscillator of 45 levels holds 1e-7 of what reaches 4 quanta
    assert rows("shastri_charging")[name] == pytest.approx(value, rel=2e-6)


def test_spread_of_a_mistimed_battery_is_that_of_its_curve(rows):
    times = np.concatenate([[0.0], np.linspace(32.0, 48.0, 3001)])
    found = rows("shastri_timing")
    for dephasing in (0.0, math.sqrt(2.0)):
        energy = energies(times, 0.5, dephasing)[1:]
        weights = np.ones(len(energy))
        weights[[0, -1]] = 0.5
        weights /= weights.sum()
        mean = weights @ energy
        spread = math.sqrt(weights @ (energy - mean) ** 2)
        name = f"spread at g t = 40, gamma_C/g = {dephasing:.4g}"
        # trapezoids of 5e-3 on curves that turn at up to 2.4
        assert found[name] == pytest.approx(spread, rel=2e-3, abs=2e-6)


def test_an_undephased_pair_is_almost_full_for_an_instant(rows):
    energy = energies(np.linspace(0.0, 40.0, 4001), 0.5, 0.0)
    found = rows("shastri_timing")["largest E without dephasing, F/g = 0.5"]
    # 400 linear and 400 logarithmic points: from below, by at most (w dt)^2/8 with dt = 0.1
    assert 0.0 <= energy.max() - found < 0.01


# times -------------------------------------------------------------------------------------------


def roots(drive):
    top = math.sqrt(4.0 * drive**2 + 1.0)
    return (top - 1.0) / 2.0, (top + 1.0) / 2.0


def rates(drive, dephasing):
    """Real decay rates of the symmetric Liouvillian of a pair, by QuTiP."""
    h, losses, _, _ = pair(drive, dephasing)
    values = -qutip.liouvillian(h, losses).eigenenergies().real
    return values[values > 1e-9 * dephasing]


@pytest.mark.parametrize("dephasing", [0.3, 15.0, 150.0])
def test_the_slowest_rate_is_that_of_the_liouvillian(rows, dephasing):
    found = rows("shastri_zeno")[f"slowest rate, gamma_C/g = {dephasing:g}"]
    # eigenvalues of a defective matrix are good to the root of rounding
    assert found == pytest.approx(rates(0.5, dephasing).min(), rel=1e-5)


def test_weak_drive_charges_eight_times_faster_than_printed(rows):
    low, _ = roots(0.01)
    w, d = 2.0 * low, 10.0 / 4.0
    slow = w * w / (d + math.sqrt(d * d - w * w))
    found = rows("shastri_time")["tau F^4/(g^2 gamma_C), F/g = 0.01"]
    assert found == pytest.approx(0.01**4 / (10.0 * slow), rel=1e-6)
    assert found == pytest.approx(1.0 / 8.0, rel=1e-3)


def test_optima_of_the_slowest_mode_are_four_times_the_lowest_frequency(rows):
    found = rows("shastri_time")
    for drive, name in ((100.0, "strong"), (0.1, "weak")):
        low, high = roots(drive)
        w = min(2.0 * low, high - low)
        assert found[f"optimum at {name} drive, in g"] == pytest.approx(4.0 * w, rel=1e-8)
    low, high = roots(0.5)
    found = rows("shastri_recipe")["optimum of the slowest mode, in g"]
    assert found == pytest.approx(8.0 * low, rel=1e-8)


def thresholds(drive, dephasing, n, batteries=1):
    """Last time at which |E - N/2| is above e^-n N/2, from the exponential of the Liouvillian."""
    m = np.arange(1, batteries + 1)
    low = qutip.Qobj(np.diag(np.sqrt(m * (batteries - m + 1.0)), 1))
    c = qutip.tensor(qutip.destroy(2), qutip.qeye(batteries + 1))
    j = qutip.tensor(qutip.qeye(2), low)
    h = c.dag() * j + c * j.dag() + drive * (c + c.dag())
    liouvillian = qutip.liouvillian(h, [math.sqrt(dephasing) * c.dag() * c]).full()
    number = np.tile(np.arange(batteries + 1.0), 2)
    state = np.zeros(4 * (batteries + 1) ** 2, dtype=complex)
    state[0] = 1.0
    step = 0.002 if batteries == 1 else 0.02
    propagator = scipy.linalg.expm(liouvillian * step)
    diagonal = np.arange(2 * (batteries + 1)) * (2 * (batteries + 1) + 1)
    distance = []
    for _ in range(int((25.0 if batteries == 1 else 400.0) / step)):
        distance.append(abs(1.0 - 2.0 * (number @ state[diagonal]).real / batteries))
        state = propagator @ state
    above = np.flatnonzero(np.array(distance) > math.exp(-n))
    return (above[-1] + 0.5) * step, step


@pytest.mark.parametrize("n", [1, 2, 3])
def test_threshold_times_of_the_recipe(rows, n):
    found = rows("shastri_recipe")
    value, step = thresholds(0.5, math.sqrt(2.0), n)
    assert found[f"time at the recipe, threshold e^-{n}"] == pytest.approx(value, abs=step)
    best = rows("shastri_time")[f"optimum by threshold e^-{n}, F/g = 0.5, in g"]
    at_best = found[f"shortest time, threshold e^-{n}"]
    # gamma* is an edge of a jump, found to 1e-3 of it: just inside it the time is the printed one
    near = [thresholds(0.5, best * factor, n)[0] for factor in (0.98, 1.0, 1.002, 1.02)]
    assert min(near) == pytest.approx(at_best, rel=0.01)
    assert min(near[0], near[-1]) >= at_best * (1.0 - 2e-3)


def test_powers_of_unnormalised_stars(rows):
    found = rows("shastri_star")
    # K = F + g J_-: near F the levels of J_x are spaced by g for every N
    assert 0.0 < found["power of N, F/g = 10, best dephasing"] < 0.1
    times = []
    for batteries in (1, 2):
        star = DephasedStar(batteries=batteries, drive=0.5, normalisation="per-battery")
        best = star.optimal_dephasing("threshold", 1.0)
        value, step = thresholds(0.5, best.value * 1.002, 1.0, batteries)
        assert value == pytest.approx(best.charging_time.value, rel=0.01, abs=step)
        times.append(best.charging_time.value)
    assert found["power of N, F/g = 0.5, N to 8"] > found["power of N, F/g = 0.5, best dephasing"]
    assert found["power of N, F/g = 0.5, best dephasing"] > math.log2(times[1] / times[0])


@pytest.mark.parametrize(
    ("drive", "name"),
    [(10.0, "power of N, F/g = 10, best dephasing"), (0.5, "power of N, F/g = 0.5, N to 8")],
)
def test_powers_of_unnormalised_stars_from_their_lowest_frequencies(rows, drive, name):
    # g for each battery is g sqrt(N) shared: the same star with F/sqrt(N), sqrt(N) times as fast
    counts = np.arange(1, 9)
    w = [np.sqrt(n) * exact.lowest_frequency(int(n), drive / np.sqrt(n)) for n in counts]
    power = np.polyfit(np.log(counts), -np.log(w), 1)[0]
    assert rows("shastri_star")[name] == pytest.approx(power, rel=1e-6, abs=1e-6)


def test_the_power_of_the_threshold_time_from_a_fine_grid(rows):
    times = []
    for n in (1, 2, 3):
        star = DephasedStar(batteries=n, drive=0.5, normalisation="per-battery")
        best, root = star.optimal_dephasing("threshold", 1.0).value, np.sqrt(n)
        # the optimum is the edge of a jump: just inside it
        near = [
            exact.threshold_time(n, 0.5 / root, f * best / root) / root
            for f in (0.998, 1.0, 1.002, 1.01)
        ]
        times.append(min(near))
    power = np.polyfit(np.log([1, 2, 3]), np.log(times), 1)[0]
    name = "power of N, F/g = 0.5, best dephasing"
    assert rows("shastri_star")[name] == pytest.approx(power, abs=0.02)


# detuning ----------------------------------------------------------------------------------------


def test_a_detuned_drive_mixes_the_symmetric_sector(rows):
    found = rows("shastri_detuning")
    for batteries, name in ((1, "W"), (3, "W, N = 3")):
        mixed = batteries / 2.0 - batteries / (batteries + 1.0)
        value = found[f"{name}, drive detuned by 0.3 g"]
        assert value == pytest.approx(mixed, abs=1e-9)


def test_a_detuned_charger_changes_the_way_and_not_the_end(rows):
    found = rows("shastri_detuning")
    assert found["W, charger detuned by 0.7 g"] == pytest.approx(0.25, abs=1e-9)
    assert found["W, N = 3, charger detuned by 0.7 g"] == pytest.approx(1.5 - 0.46209, abs=1e-4)
    # the reason: K K^+ on the |e> side and K^+ K on the |g> side commute with H and n_C
    k = qutip.Qobj(0.5 * np.eye(4) + np.diag(np.sqrt([3.0, 4.0, 3.0]) / math.sqrt(3.0), 1))
    up, n_c = qutip.create(2), qutip.num(2)
    h = qutip.tensor(up, k) + qutip.tensor(up, k).dag() + 0.7 * qutip.tensor(n_c, qutip.qeye(4))
    charge = qutip.tensor(n_c, k * k.dag()) + qutip.tensor(1 - n_c, k.dag() * k)
    assert (h * charge - charge * h).norm() < 1e-12
    detuned_drive = h + 0.3 * (qutip.tensor(qutip.qeye(2), qutip.num(4)))
    assert (detuned_drive * charge - charge * detuned_drive).norm() > 0.1


@pytest.mark.parametrize(
    ("name", "detuning"),
    [("drive", {"drive_detuning": 1.0}), ("charger", {"charger_detuning": 1.0})],
)
def test_mean_energies_without_dephasing(rows, name, detuning):
    times = np.linspace(0.0, 60.0, 6001)
    energy = energies(times, 0.5, 0.0, **detuning)
    mean = (energy.sum() - (energy[0] + energy[-1]) / 2.0) / 6000.0
    found = rows("shastri_detuning")[f"mean E without dephasing, {name} detuned by g"]
    assert found == pytest.approx(mean, abs=1e-5)


# freedom, noise ----------------------------------------------------------------------------------


def test_locked_shares_stay_below_one_gap_over_the_energy(rows):
    found = rows("shastri_freedom")
    assert found["(E - W)/E, N = 1, F/g = 0.5"] == pytest.approx(0.5, abs=1e-10)
    assert found["omega/E, N = 100"] == pytest.approx(2.0 / 100.0, abs=1e-12)
    for batteries, ratio in ((8, 0.2), (8, 10.0), (100, 1.0), (400, 10.0)):
        share = found[f"(E - W)/E, N = {batteries}, F/g = {ratio:g}"]
        assert share <= 2.0 / (batteries + 1.0)


def test_the_locked_share_of_eight_batteries_by_a_plain_decomposition(rows):
    # strong drive: no singular values closer than rounding
    n = np.arange(1, 9)
    k = 10.0 * np.eye(9) + np.diag(np.sqrt(n * (9.0 - n) / 8.0), 1)
    u, _, vt = scipy.linalg.svd(k)
    weight = vt[:, 0] ** 2 / 2.0
    rho = (u * weight) @ u.T + (vt.T * weight) @ vt
    found = rows("shastri_freedom")["(E - W)/E, N = 8, F/g = 10"]
    assert found == pytest.approx((1.0 - np.linalg.eigvalsh(rho)[-1]) / 4.0, rel=1e-9)


def test_runs_scatter_about_the_master_equation_as_their_errors_say(rows):
    found = rows("shastri_noise")
    for picture in ("noisy field", "weak measurement"):
        # the largest of 100 correlated normal deviations: beyond 4 once in 1000 pictures
        assert 0.5 < found[f"mean of runs from the master equation, {picture}"] < 4.0


def test_a_field_decays_the_coherence_at_twice_its_density(rows):
    found = rows("shastri_noise")
    rng, steps, dt = np.random.default_rng(4), 200, 0.01
    for density, name in (
        (0.5, "decay of the coherence in the talk's field, in gamma"),
        (0.25, "decay of the coherence for S = gamma/4, in gamma"),
    ):
        field = rng.normal(scale=math.sqrt(density / dt), size=(20_000, steps))
        phase = 2.0 * dt * field.sum(axis=1)  # H' = B sigma_z turns by 2 B
        rate = -math.log(abs(np.exp(1j * phase).mean())) / (steps * dt)
        # <e^(i phase)> is known to 1/sqrt(40000) = 0.5 % of 1: 4 % of e^-2
        assert found[name] == pytest.approx(rate, rel=0.05)
