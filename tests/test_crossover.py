"""Where charging stops: contours, gaps and trapped weights against exact stars."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import eigh_tridiagonal
from scipy.stats import norm

from nmrqb import DephasedStar
from nmrqb.models.crossover import (
    confined_energy,
    confinement_batteries,
    gap_function,
    gap_variable,
    plateau_energy,
    smallest_singular_value_log,
    trapped_weight,
    tunnelling_exponent,
)
from nmrqb.models.large_star import crossover_batteries
from nmrqb.models.resonant_qubits import ResonantQubits


def reached(batteries, drive, time=1e4):
    """E/(N omega) of the exact star."""
    return DephasedStar(batteries=batteries, drive=drive).energy([time])[0] / batteries


@pytest.mark.parametrize("batteries", [2000, 2400])
def test_exact_stars_reach_the_energy_of_their_contour(batteries):
    # corrections are 1/N_e = 6e-4 of the energy, or the spread g/2 of F where N is near N_e
    assert reached(batteries, 10.0) == pytest.approx(confined_energy(batteries, 10.0), rel=0.005)


@pytest.mark.parametrize("batteries", [450, 800, 1200])
def test_a_star_between_the_two_crossovers_is_filled_to_one_half(batteries):
    # the gap is closed and some modes take for ever, but an empty battery has e^-100 on them
    assert crossover_batteries(10.0) < batteries < confinement_batteries(10.0)
    assert tunnelling_exponent(batteries, 10.0) > 5.0
    assert reached(batteries, 10.0) == pytest.approx(0.5, abs=2e-4)


def test_the_confined_energy_is_the_mean_over_the_contour():
    # <x> with the time element dx/(t sqrt(4 F^2 - t^2)), integrated with x = sin^2(v)-like ends
    for share in (0.9, 0.5, 0.05):
        batteries = 10_000
        f = math.sqrt(share * batteries / 16.0)
        y_end = share / 4.0  # x (1 - x) where the contour turns

        def element(v, end=y_end):
            y = end * math.sin(v) ** 2
            return 2.0 / math.sqrt(1.0 - 4.0 * y)

        def position(v, end=y_end):
            y = end * math.sin(v) ** 2
            return (1.0 - math.sqrt(1.0 - 4.0 * y)) / 2.0

        top = quad(lambda v: position(v) * element(v), 0.0, math.pi / 2)[0]
        mean = top / quad(element, 0.0, math.pi / 2)[0]
        assert confined_energy(batteries, f) == pytest.approx(mean, rel=1e-9)


def test_far_beyond_the_crossover_the_battery_is_an_oscillator():
    f, batteries = 15.0, 10**8
    oscillator = DephasedStar(batteries=1, battery="oscillator", drive=f).steady_state().energy
    # 2 B against 2 B - 1/2
    assert batteries * confined_energy(batteries, f) == pytest.approx(oscillator, rel=1 / f**2)


def test_the_confined_energy_meets_one_half_with_a_logarithmic_cusp():
    f = 1000.0
    edge = confinement_batteries(f)
    assert confined_energy(int(edge), f) == 0.5
    for distance in (1e-3, 1e-5):
        batteries = round(edge / (1.0 - distance))
        delta = 1.0 - edge / batteries
        missing = 0.5 - confined_energy(batteries, f)
        assert missing == pytest.approx(math.pi / 2 / math.log(16.0 / delta), rel=3 * distance)


@pytest.mark.parametrize("z", [-1.0, 0.0, 1.0])
def test_the_spread_of_the_start_smooths_the_crossover(z):
    # the sharp contour is wrong by 0.05 to 0.28 here; what is left is creeping at the saddle
    f = 10.0
    batteries = round((4.0 * f + z) ** 2)
    exact = reached(batteries, f, 1e5)
    assert plateau_energy(batteries, f) == pytest.approx(exact, abs=0.006)
    assert plateau_energy(batteries, f) < 0.5


def test_the_spread_of_the_start_has_variance_of_f_squared_g_squared():
    for batteries, f in ((5, 0.3), (40, 2.0), (300, 9.0)):
        star = ResonantQubits(batteries, f, 1.0, batteries, 1.0)
        weight, square = star.weights**2, star.roots**2
        assert weight @ square == pytest.approx(f * f, rel=1e-10)
        assert weight @ square**2 - f**4 == pytest.approx(f * f, rel=1e-9)


def test_trapped_weights_of_all_drives_fall_on_the_normal_distribution():
    # the levels at the saddle are about 1/ln N of g/2 apart from one another: a staircase
    errors = []
    for f in (2.0, 8.0):
        counts = [round((4.0 * f + z) ** 2) for z in np.linspace(-2.0, 2.0, 13)]
        exact = [trapped_weight(n, f) for n in counts]
        closed = norm.cdf(np.sqrt(counts) - 4.0 * f)
        errors.append(np.abs(exact - closed).max())
    assert errors[1] < 0.06
    assert errors[1] < errors[0]
    # on the scale of N_c nothing is trapped
    assert trapped_weight(400, 8.0) < 1e-12


def smallest_root_of_sixty_digits(batteries, f):
    """Bisect the lowest |mu| of the chain F, lambda sqrt(N), F, ... by counting signs."""
    with localcontext() as context:
        context.prec = 60
        f, n = Decimal(f), Decimal(batteries)
        squares = []
        for step in range(batteries):
            m = step // 2 + 1
            squares.append(f * f if step % 2 == 0 else Decimal(m) * (n - m + 1) / n)
        last = f if batteries % 2 == 0 else (Decimal((batteries + 1) ** 2) / 4 / n).sqrt()

        def below(x):
            count, q = 0, -x
            count += q < 0
            for k, square in enumerate(squares):
                end = last if k == batteries - 1 else Decimal(0)
                q = end - x - square / (q or Decimal(10) ** -58)
                count += q < 0
            return count

        roots = []
        for sign in (1, -1):
            low, high = Decimal(10) ** -55, f + n.sqrt()
            start = below(sign * low)
            for _ in range(250):
                middle = (low * high).sqrt()
                inside = below(sign * middle) != start
                low, high = (low, middle) if inside else (middle, high)
            roots.append(low)
        return float(min(roots).ln())


@pytest.mark.parametrize(("batteries", "f"), [(8, "0.5"), (20, "1"), (33, "2"), (60, "3")])
def test_the_smallest_singular_value_is_that_of_sixty_digits(batteries, f):
    exact = smallest_root_of_sixty_digits(batteries, f)
    assert smallest_singular_value_log(batteries, float(f)) == pytest.approx(exact, abs=1e-10)


def test_the_smallest_singular_value_is_bounded_by_the_inverse():
    # 1/s_min lies between |K^-1|_F/sqrt(N + 1) and |K^-1|_F, elements in closed form
    for batteries, f in ((30, 1.0), (400, 5.0), (1000, 3.0)):
        n = np.arange(batteries + 1)
        steps = 0.5 * np.log(n[1:] * (batteries - n[1:] + 1.0) / batteries) - math.log(f)
        products = np.concatenate([[0.0], np.cumsum(steps)])
        logs = products[None, :] - products[:, None] - math.log(f)
        logs = logs[np.triu_indices(batteries + 1)]
        norm_log = logs.max() + 0.5 * math.log(np.sum(np.exp(2.0 * (logs - logs.max()))))
        value = -smallest_singular_value_log(batteries, f)
        assert norm_log - 0.5 * math.log(batteries + 1) <= value <= norm_log + 1e-9


def test_both_routes_to_the_smallest_singular_value_meet_at_the_gap():
    # 400: eigenvalues of the chain, 401: inverse iteration; the curve is smooth across
    values = np.array([smallest_singular_value_log(n, 10.0) for n in range(396, 406)])
    assert np.abs(np.diff(values, 3)).max() < 1e-3


def test_the_gap_falls_with_the_tunnelling_exponent():
    for f in (2.0, 5.0):
        few, many = (round(k * crossover_batteries(f)) for k in (3, 6))
        slope = smallest_singular_value_log(few, f) - smallest_singular_value_log(many, f)
        expected = tunnelling_exponent(many, f) - tunnelling_exponent(few, f)
        # the prefactor is a power of N
        assert slope == pytest.approx(expected, abs=1.5)
    assert tunnelling_exponent(16, 2.0) == 0.0


def test_the_gap_function_is_the_root_of_a_supersymmetric_ground_energy():
    x, h = np.linspace(-8.0, 8.0, 6001, retstep=True)
    for y in (-2.0, 0.0, 1.0, 4.0):
        diagonal = 2.0 / h**2 + (y + x * x) ** 2 - 2.0 * x
        off = np.full(len(x) - 1, -1.0 / h**2)
        energy = eigh_tridiagonal(diagonal, off, select="i", select_range=(0, 0))[0][0]
        # second differences cost h^2/12 <p^4>, at most 1e-4 of a weak energy
        assert gap_function(y) ** 2 == pytest.approx(energy, rel=1e-4, abs=1e-5)


def test_the_gap_function_has_its_limits():
    assert gap_function(1e4) == pytest.approx(1e4, rel=1e-6)
    ratio = math.log(gap_function(-3.0) / gap_function(-4.0))
    # the prefactor sqrt|y|/... changes by little
    assert ratio == pytest.approx(4.0 / 3.0 * (8.0 - 3.0**1.5), rel=0.05)
    with pytest.raises(ValueError, match="must be -4 to"):
        gap_function(-5.0)


def test_gaps_of_all_drives_fall_on_one_function():
    worst = []
    for f in (5.0, 20.0):
        ratios = []
        for shift in (-2.0, -1.0, 0.0, 1.0, 3.0):
            batteries = round(4 * f * f + shift * (4 * f * f) ** (1 / 3))
            y, unit = gap_variable(batteries, f)
            exact = math.exp(smallest_singular_value_log(batteries, f))
            ratios.append(exact / (unit * gap_function(y)))
        worst.append(np.abs(np.array(ratios) - 1.0).max())
    # the next correction is of order 1/l = (N^2/2)^(-1/3): 0.06 at 100, 0.01 at 1600 batteries,
    # times the slope of ln G in y, up to 3 at y = -1.5
    assert worst[0] < 3 * 0.06
    assert worst[1] < 3 * 0.01
    assert worst[0] / worst[1] == pytest.approx(16 ** (2 / 3), rel=0.3)


def test_the_gap_at_the_crossover_falls_as_the_sixth_root():
    counts = np.array([400, 1600, 6400])
    gaps = [smallest_singular_value_log(int(n), math.sqrt(n) / 2.0 * (1 + 1 / n)) for n in counts]
    slopes = np.diff(gaps) / np.diff(np.log(counts))
    assert slopes == pytest.approx([-1 / 6, -1 / 6], abs=0.004)


def test_senseless_stars_are_refused():
    with pytest.raises(ValueError, match="`batteries` must be at least 1"):
        confined_energy(0, 1.0)
    with pytest.raises(ValueError, match="`drive_over_coupling` must be positive"):
        trapped_weight(3, 0.0)
