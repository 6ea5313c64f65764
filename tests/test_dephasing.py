"""What stands for a dephased charger: crushers, flips, resets."""

import math

import numpy as np
import pytest
import scipy.linalg
from scipy.integrate import solve_ivp

from nmrqb.models.dephasing import (
    best_poisson_reset,
    crusher_decay_rate,
    crusher_dephasing,
    crusher_interval,
    flip_dephasing,
    flip_probability,
    incoherent_rate,
    integrated_charging_time,
    longest_crusher_interval,
    reset_rates,
)

G = 3.0


# printed: Gamma_eff/g of full crushers every d
@pytest.mark.parametrize(
    ("gd", "expected"),
    [(0.05, 40.03), (0.1, 20.07), (0.2, 10.14), (0.4, 5.33), (0.646348, 4.000)],
)
def test_full_crushers_stand_for_the_printed_dephasing(gd, expected):
    assert crusher_dephasing(G, gd / G) / G == pytest.approx(expected, abs=5e-3)


def test_the_equivalent_dephasing_decays_as_the_crushed_exchange_does():
    # the slow root of x^2 + Gamma x + 4 g^2 against the product of cosines
    for gd in (0.05, 0.3, 0.6):
        gamma = float(crusher_dephasing(G, gd / G))
        slow = (gamma - math.sqrt(gamma**2 - 16 * G**2)) / 2
        assert math.exp(-slow * 7 * gd / G) == pytest.approx(abs(math.cos(2 * gd)) ** 7)


def test_the_critical_interval_and_its_inverse():
    assert G * longest_crusher_interval(G) == pytest.approx(0.646348, abs=5e-7)
    for gamma in (4.0 * G, 6.0 * G, 40.0 * G, 1e4 * G):
        assert crusher_dephasing(G, crusher_interval(G, gamma)) == pytest.approx(gamma, rel=1e-9)
    with pytest.raises(ValueError, match="at least 4 g = 12 /s"):
        crusher_interval(G, 3.9 * G)


def exchange(start, g, seconds, rng, events, effect):
    """Return D after exchange with `effect` on the coherence at random times."""
    state, now = np.array([start, 0.0]), 0.0
    for t in [*events, seconds]:
        angle = 2 * g * (t - now)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        state = turn @ state
        if t < seconds:
            state = effect(state, rng)
        now = t
    return state[0]


@pytest.mark.parametrize(
    ("rate", "effect", "gamma"),
    [
        (8.0, lambda s, rng: np.array([s[0], 0.0]), 8.0),  # Poisson crushers: Gamma = r
        (5.0, lambda s, rng: np.array([s[0], -s[1]]), 10.0),  # Poisson pi flips: 2 r
        # uniformly random phases: the real part of the coherence times a random cosine; Gamma = r
        (8.0, lambda s, rng: np.array([s[0], s[1] * math.cos(rng.uniform(0, 2 * math.pi))]), 8.0),
    ],
)
def test_poisson_events_dephase_at_their_rate(rate, effect, gamma):
    # the average over noise obeys D'' + Gamma D' + 4 g^2 D = 0
    rng, seconds, runs = np.random.default_rng(7), 0.5, 20000
    total = 0.0
    for _ in range(runs):
        count = rng.poisson(rate * seconds)
        total += exchange(1.0, G, seconds, rng, np.sort(rng.uniform(0, seconds, count)), effect)
    system = np.array([[0.0, 1.0], [-4 * G**2, -gamma]])
    expected = (scipy.linalg.expm(system * seconds) @ [1.0, 0.0])[0]
    # |D| <= 1: the standard error is at most 1/sqrt(runs)
    assert total / runs == pytest.approx(expected, abs=3.5 / math.sqrt(runs))


def test_partial_flips_stand_for_any_dephasing():
    for gamma in (0.1, 4.0, 50.0):
        d = 1e-3
        q = flip_probability(gamma, d)
        assert flip_dephasing(q, d) == pytest.approx(gamma)
        assert 0.0 <= q <= 0.5
    # every d the coherence is multiplied by 1 - 2 q: first order in d against the master equation
    d, gamma, steps = 1e-3, 7.0, 400
    state = np.array([1.0, 0.0])
    c, s = math.cos(2 * G * d), math.sin(2 * G * d)
    for _ in range(steps):
        state = np.array([[c, -s], [s, c]]) @ state
        state[1] *= 1 - 2 * float(flip_probability(gamma, d))
    system = np.array([[0.0, 1.0], [-4 * G**2, -gamma]])
    expected = (scipy.linalg.expm(system * d * steps) @ [1.0, 0.0])[0]
    assert state[0] == pytest.approx(expected, abs=3 * G * d)


def test_the_best_poisson_reset_is_found_at_three_over_root_two():
    rate, slowest = best_poisson_reset(G)
    assert rate / G == pytest.approx(3 / math.sqrt(2), abs=1e-4)
    assert slowest / G == pytest.approx(1 / math.sqrt(2), abs=1e-6)


def test_the_integrated_charging_time_is_exact_and_is_not_the_slowest_mode():
    for gamma, r1 in ((2.0, 0.5), (40.0, 3.0), (5.0, 5.0)):

        def charge(t, v, gamma=gamma, r1=r1):
            a, c, y, _ = v
            return [-2 * G * y, 2 * G * y - r1 * (c - 1), G * (a - c) - gamma * y, 1 - a]

        found = solve_ivp(
            charge, (0.0, 400.0), [0.0, 1.0, 0.0, 0.0], rtol=1e-10, atol=1e-12, method="DOP853"
        )
        assert found.y[0, -1] == pytest.approx(1.0, abs=1e-6)
        integral = integrated_charging_time(G, gamma, r1)
        assert found.y[3, -1] == pytest.approx(integral, rel=1e-6)
        slowest = float(reset_rates(G, gamma, r1).real.min())
        assert abs(1 / slowest - integral) > 0.01 * integral
    # slowest mode -> R1/2 for an incoherent exchange k much faster than the repolarisation
    assert reset_rates(100.0, 1e3, 0.1).real.min() == pytest.approx(0.05, rel=0.02)


def test_the_incoherent_rate_is_linear_in_the_chargers():
    assert incoherent_rate(G, 1e3, 36) == pytest.approx(36 * incoherent_rate(G, 1e3))
    gamma = 1e3  # the slow root of one pair: D = p_B - p_C decays at twice k
    slow = (gamma - math.sqrt(gamma**2 - 16 * G**2)) / 2
    assert slow == pytest.approx(2 * incoherent_rate(G, gamma), rel=1e-3)


def test_the_zeno_limit_of_crushers_is_two_over_d():
    d = 1e-3 / G
    assert crusher_dephasing(G, d) * d == pytest.approx(2.0, rel=1e-5)
    assert crusher_decay_rate(G, d) == pytest.approx(2 * G**2 * d, rel=1e-5)
