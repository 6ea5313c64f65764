"""Rows of the entries beyond the papers, each by a second route of its own."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
import scipy.linalg
from reproductions import rows as computed_rows
from scipy.integrate import solve_ivp

from nmrqb import DephasedStar
from nmrqb.models.exchange import shortest_exchange


@pytest.fixture
def rows():
    """Return a function that gives the computed numbers of an entry by the names of its rows."""
    return lambda entry: {name: row.value for name, row in computed_rows(entry).items()}


# the master equation itself, real, without singular values ---------------------------------------


def drive_matrix(batteries, drive):
    n = np.arange(1, batteries + 1)
    return drive * np.eye(batteries + 1) + np.diag(
        np.sqrt(n * (batteries - n + 1.0) / batteries), 1
    )


def flow(k, gamma, e, g, c):
    """rho_ee = e, rho_gg = g, rho_eg = -i c, all real."""
    return k @ c.T + c @ k.T, -k.T @ c - c.T @ k, k @ g - e @ k - gamma / 2.0 * c


def real_generator(batteries, drive):
    k, size = drive_matrix(batteries, drive), (batteries + 1) ** 2
    columns = []
    for unit in np.eye(3 * size):
        e, g, c = unit.reshape(3, batteries + 1, -1)
        columns.append(np.stack(flow(k, 1.0, e, g, c)).ravel())
    start = np.zeros(3 * size)
    start[size] = 1.0  # |g><g| |0><0|
    number = np.zeros(3 * size)
    diagonal = np.arange(batteries + 1) * (batteries + 2)
    number[diagonal], number[diagonal + size] = (np.arange(batteries + 1),) * 2
    return np.array(columns).T, start, number


def by_squaring(batteries, drive, time, kind):
    """E/N after `time`, from a Taylor series for a short time, squared again and again."""
    generator, start, number = real_generator(batteries, drive)
    squarings = max(0, math.ceil(math.log2(time * np.abs(generator).sum(0).max())))
    step = (generator * (time / 2.0**squarings)).astype(kind)
    term = total = np.eye(len(start), dtype=kind)
    for order in range(1, 22):
        term = term @ step / order
        total = total + term
    for _ in range(squarings):
        total = total @ total
    return float(number @ (total @ start)) / batteries


@pytest.mark.parametrize(
    ("time", "power", "kind"), [(1e2, 2, float), (1e4, 4, float), (1e7, 7, np.longdouble)]
)
def test_energy_within_reach_of_eight_batteries_by_squaring(rows, time, power, kind):
    if kind is np.longdouble and np.finfo(np.longdouble).eps > 2e-19:
        pytest.skip("no extended precision here")
    # rounding of the squared map grows as eps |L| t: 1e-19 x 1e8, or 2e-16 x 1e5
    name = f"E/N, N = 8, F/g = 0.5, g t = 1e{power}"
    value = by_squaring(8, 0.5, time, kind)
    assert rows("beyond_reachable_energy")[name] == pytest.approx(value, abs=1e-9)


def test_energy_within_reach_of_twelve_batteries_by_squaring(rows):
    value = by_squaring(12, 0.5, 1e4, np.float64)
    name = "E/N, N = 12, F/g = 0.5, g t = 1e4"
    assert rows("beyond_reachable_energy")[name] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("drive", [0.5, 1.0])
def test_energy_within_reach_of_twenty_batteries_by_integration(rows, drive):
    k = drive_matrix(20, drive)
    start = np.zeros((3, 21, 21))
    start[1, 0, 0] = 1.0

    def slope(_, y):
        return np.stack(flow(k, 1.0, *y.reshape(3, 21, 21))).ravel()

    found = solve_ivp(slope, (0.0, 100.0), start.ravel(), method="DOP853", rtol=1e-8, atol=1e-10)
    e, g, _ = found.y[:, -1].reshape(3, 21, 21)
    value = float(np.arange(21) @ np.diag(e + g)) / 20.0
    name = f"E/N, N = 20, F/g = {drive:g}, g t = 1e2"
    assert rows("beyond_reachable_energy")[name] == pytest.approx(value, abs=1e-6)


def by_oscillators(batteries, drive, time, digits):
    """E/N from singular vectors of K^T K in many digits and the damped oscillators between them."""
    n = batteries
    with mp.workdps(digits):
        k = mp.matrix(n + 1, n + 1)
        for j in range(n + 1):
            k[j, j] = mp.mpf(drive)
            if j:
                k[j - 1, j] = mp.sqrt(mp.mpf(j * (n - j + 1)) / n)
        squares, v = mp.eigsy(k.T * k)
        s = [mp.sqrt(x) for x in squares]
        u = k * v
        for j in range(n + 1):
            for i in range(n + 1):
                u[i, j] = u[i, j] / s[j]

        def damped(w):
            root = mp.sqrt(mp.mpf(1) / 16 - w**2)
            # D'' + D'/2 + w^2 D = 0, D(0) = 1, D'(0) = 0
            fast, slow = mp.mpf(1) / 4 + root, w**2 / (mp.mpf(1) / 4 + root)
            return mp.re((fast * mp.exp(-slow * time) - slow * mp.exp(-fast * time)) / (2 * root))

        total = mp.mpf(0)
        levels = range(n + 1)
        up = [[sum(m * u[m, i] * u[m, j] for m in levels) for j in levels] for i in levels]
        low = [[sum(m * v[m, i] * v[m, j] for m in levels) for j in levels] for i in levels]
        for i in levels:
            for j in levels:
                a = damped(abs(s[i] - s[j])) if i != j else mp.mpf(1)
                b = damped(s[i] + s[j])
                weight = v[0, i] * v[0, j] / 2
                total += weight * (up[i][j] * (a - b) + low[i][j] * (a + b))
        return float(total / n)


@pytest.mark.parametrize(
    ("batteries", "drive", "time", "digits"),
    [
        (8, 0.5, 1e3, 40),
        (8, 0.5, 1e5, 40),
        (8, 0.5, 1e9, 40),
        (12, 0.5, 1e9, 50),
        (20, 0.5, 1e9, 70),
        (20, 1.0, 1e9, 60),
    ],
)
def test_energy_at_long_times_from_many_digits(rows, batteries, drive, time, digits):
    power = round(np.log10(time))
    name = f"E/N, N = {batteries}, F/g = {drive:g}, g t = 1e{power}"
    value = by_oscillators(batteries, drive, time, digits)
    assert rows("beyond_reachable_energy")[name] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("power", [2, 3])
def test_energy_of_a_hundred_batteries_by_a_plain_decomposition(rows, power):
    # at F/g = 10 and N < N_c no singular values pair up, and doubles hold
    n, time = 100, 10.0**power
    left, s, right = np.linalg.svd(drive_matrix(n, 10.0))
    v = right.T
    weight = np.outer(v[0], v[0]) / 2.0

    def damped(w):
        root = np.sqrt((1.0 / 16.0 - w**2).astype(complex))
        decay = np.exp(-time / 4.0)
        return np.real(decay * (np.cosh(root * time) + np.sinh(root * time) / (4.0 * root)))

    minus = np.abs(np.subtract.outer(s, s))
    a = np.where(np.eye(n + 1, dtype=bool), 1.0, damped(minus + np.eye(n + 1)))
    b = damped(np.add.outer(s, s))
    number = np.arange(n + 1.0)
    up, low = left.T @ (number[:, None] * left), v.T @ (number[:, None] * v)
    value = float(np.sum(weight * (up * (a - b) + low * (a + b)))) / n
    name = f"E/N, N = 100, F/g = 10, g t = 1e{power}"
    assert rows("beyond_reachable_energy")[name] == pytest.approx(value, abs=1e-9)


# the limit of many batteries ---------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.2, 0.5, 1.0, 3.0, 10.0])
def test_locked_energy_of_infinitely_many_batteries_is_that_of_two_oscillators(rows, ratio):
    # each well is an oscillator on a qubit charger with half of the weight: 2 - 2 (r_1/2)
    battery = DephasedStar(batteries=1, battery="oscillator", drive=ratio).steady_state().matrix
    top = float(np.linalg.eigvalsh(battery)[-1])
    found = rows("beyond_locked_energy")[f"a(inf), F/g = {ratio:g}"]
    assert found == pytest.approx(2.0 - top, abs=1e-8)


@pytest.mark.parametrize(("batteries", "ratio"), [(50, 0.2), (50, 0.5), (200, 1.0)])
def test_locked_energy_of_many_batteries_extrapolates_to_its_limit(rows, batteries, ratio):
    found = rows("beyond_locked_energy")
    half = DephasedStar(batteries=batteries // 2, drive=ratio).steady_state()
    half_locked = batteries // 2 * (1.0 - half.ergotropy / half.energy)
    exact = found[f"a_N, N = {batteries}, F/g = {ratio:g}"]
    # a_N = a + c/N + d/N^2: one step of Richardson leaves d/N^2, d about (F/g)^4
    assert 2.0 * exact - half_locked == pytest.approx(
        found[f"a(inf), F/g = {ratio:g}"], abs=20.0 / batteries**2
    )


# crossovers --------------------------------------------------------------------------------------


def test_exponents_of_the_gap_come_to_those_of_its_scaling(rows):
    found = rows("beyond_gap")
    at_edge = [found[f"power of N of s_min at the crossover, N = {w}"]
               for w in ("400..1600", "6400..25600")]  # fmt: skip
    width = [found[f"power of N of the width, F/g = {w}"] for w in ("5..10", "20..40", "40..80")]
    # the drift from the last window to the limit is smaller than that between windows
    assert abs(at_edge[1] + 1.0 / 6.0) < abs(at_edge[1] - at_edge[0]) < 2e-3
    assert abs(width[2] - 1.0 / 3.0) < 2.0 * abs(width[2] - width[1])
    # corrections in N_c^(-1/3): from one pair of windows to the next they fall by 4^(-1/3)
    assert (width[2] - 1 / 3) / (width[1] - 1 / 3) == pytest.approx(4 ** (-1 / 3), abs=0.05)
    early, late = (found[f"power of N of the width, extrapolated from F/g = {w}"]
                   for w in ("10..40", "20..80"))  # fmt: skip
    assert late == pytest.approx(1.0 / 3.0, abs=abs(late - early))
    assert abs(late - early) < 0.0025


def test_the_trapped_weight_widens_as_the_root_of_the_batteries(rows):
    found = rows("beyond_confinement")
    late = found["power of N of the width, F/g = 3..6"]
    assert late == pytest.approx(0.5, abs=0.04)


def test_contours_and_exact_stars_agree_where_the_crossover_is_far(rows):
    found = rows("beyond_confinement")
    for batteries in (500, 1200, 2000, 3000):
        exact, contour = (found[f"E/N {what}, N = {batteries}, F/g = 10"]
                          for what in ("reached", "of the contour"))  # fmt: skip
        assert exact == pytest.approx(contour, rel=0.005)


# speed, price ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batteries", "drive"), [(1, 0.5), (4, 0.5), (4, 1.0), (4, 10.0)])
def test_shortest_times_are_inverse_differences_of_singular_values(rows, batteries, drive):
    s = scipy.linalg.svdvals(drive_matrix(batteries, drive))
    pairs = [abs(a - b) for a, b in itertools.combinations(s, 2)] + [2.0 * a for a in s]
    found = rows("beyond_speed_quality")[f"shortest time, N = {batteries}, F/g = {drive:g}"]
    # all pairs of so small a star carry weight
    assert found == pytest.approx(1.0 / min(pairs), rel=1e-6)


def test_prices_follow_from_the_amplitude_by_hand(rows):
    found = rows("beyond_price")
    ratio = 42.577478 / 17.235  # 1H over 31P
    for batteries in (2, 5, 9):
        amplitude = (batteries * ratio + 1.0) / (2.0 ** (batteries + 1) - 1.0)
        share = found[f"pseudo-pure signal over thermal, N = {batteries}"]
        assert share == pytest.approx(amplitude / ratio, rel=1e-4)
        pairs = math.ceil((ratio / amplitude / (300.0 * 0.01)) ** 2 / 2.0)
        minutes = 2 * pairs * (5 * 10.0 + 0.1) / 60.0
        assert found[f"pseudo-pure, N = {batteries}"] == pytest.approx(minutes, rel=1e-3)


@pytest.mark.parametrize(("batteries", "drive"), [(9, 10.0), (8, 0.5)])
def test_charging_in_seconds_is_that_of_a_coupling_of_11_hertz(rows, batteries, drive):
    # the star in seconds: lambda = pi J for each battery, F/g kept
    g = math.pi * 11.0 * math.sqrt(batteries)
    star = DephasedStar(batteries=batteries, coupling=g, drive=drive * g)
    time = star.optimal_dephasing("slowest-mode").charging_time.value
    name = f"shortest charging, N = {batteries}, F/g = {drive:g}, s"
    assert rows("beyond_price")[name] == pytest.approx(time, rel=1e-6)


# chargers that remember: 16-dimensional spins, relaxation spin by spin in products of Paulis ------


def paulis(spins):
    one = [np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])]
    for which in itertools.product(range(4), repeat=spins):
        matrix = np.eye(1)
        for p in which:
            matrix = np.kron(matrix, one[p])
        yield which, matrix


@pytest.mark.parametrize("transfer", [0.3, 1.0])
def test_the_second_exchange_of_four_spins_by_hand(rows, transfer):
    delay, t1, t2, t1_battery, p_eq = 3.0, 3.3, 3.3, 115.4, -0.19867187
    basis = list(paulis(4))
    named = dict(basis)
    z = [named[tuple(3 if j == k else 0 for j in range(4))] for k in range(4)]
    exchange = sum(
        named[tuple(a if j in (0, k) else 0 for j in range(4))] for k in (1, 2, 3) for a in (1, 2)
    )
    angle = math.pi / 2.0 * shortest_exchange(3, transfer)  # 2 pi J S I = (pi/2) J sigma sigma
    u = scipy.linalg.expm(-1j * angle * exchange)
    equilibrium = p_eq * z[0] + z[1] + z[2] + z[3]
    total_z = [np.diag(m).real for m in (z[0], z[1] + z[2] + z[3])]
    same = [np.equal.outer(m, m) for m in total_z]

    def exchanged(rho):
        return np.where(same[0] & same[1], u @ rho @ u.conj().T, 0.0)

    def waited(rho):
        result = equilibrium.astype(complex)
        for which, matrix in basis:
            rate = sum(
                (1.0 / (t1_battery if k == 0 else t1) if p == 3 else 1.0 / (10.0 if k == 0 else t2))
                for k, p in enumerate(which)
                if p
            )
            share = np.trace(matrix @ (rho - equilibrium)) / 16.0
            result = result + share * math.exp(-rate * delay) * matrix
        return result

    rho = exchanged(waited(exchanged(equilibrium)))
    p_2 = np.trace(z[0] @ rho).real / 16.0
    name = f"p_2 exact, N = 3, b = {transfer:g}, 3 s"
    assert rows("beyond_memory")[name] == pytest.approx(p_2, abs=1e-9)
