"""[Re-energise, exchange, crush] x n: the exact simulation, the closed map and the printed rows."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from star_registers import (
    TICK_S,
    StarOfGivenRatio,
    charging_protocol,
    fine_spectrometer,
    star,
)

from nmrqb.compiler.compile import compile_protocol
from nmrqb.models.closed_map import ClosedMap, fixed_point
from nmrqb.models.exchange import first_maximum
from nmrqb.protocol.steps import BatterySaturated, Crush, ExchangeStep, Wait
from nmrqb.sequence.events import Loop
from nmrqb.simulate.simulator import StarSimulator


def compiled(register, *arguments, **options):
    return compile_protocol(charging_protocol(*arguments, **options), register, fine_spectrometer())


def after_each_transfer(register, *arguments, **options):
    """Return p right after every transfer, exactly and by the closed map."""
    plan = compiled(register, *arguments, **options)
    sequence = plan.sequences[0]
    exact = StarSimulator(register).simulate(sequence).battery_z
    closed_map = ClosedMap(register=register, tick_s=sequence.tick_s)
    # checkpoints: the start, each event before the loop, each repetition, the read-out
    loops = [k for k, e in enumerate(sequence.events) if isinstance(e, Loop)]
    assert len(loops) == 1
    where = loops[0]
    count = sequence.events[where].count
    if count == 1:  # a loop that runs once counts as its body
        exact = exact[where + len(sequence.events[where].body) :][:1]
    else:
        exact = exact[where + 1 : where + 1 + count]
    state = closed_map.of_events(sequence.events[:where]) @ closed_map.equilibrium()
    cycle, closed = closed_map.of_events(plan.cycle), []
    for _ in range(count):
        state = cycle @ state
        closed.append(closed_map.battery(state))
    return exact, np.array(closed)


def map_fixed_point(register, *arguments, **options):
    """Return p* by the closed map."""
    plan = compiled(register, *arguments, **options)
    return ClosedMap(register=register, tick_s=TICK_S).fixed_point(plan.cycle)


def fixed_points(register, *arguments, **options):
    """Return p* exactly and by the closed map."""
    plan = compiled(register, *arguments, **options)
    exact = StarSimulator(register).fixed_point(plan.cycle, TICK_S)
    return exact, map_fixed_point(register, *arguments, **options)


@pytest.mark.parametrize(
    ("satellites", "b", "delay_s", "p_1", "p_2", "p_2_map", "p_star", "p_star_map"),
    [
        (3, 0.3, 3.0, 0.16091, 0.38117, 0.39169, 0.92314, 0.92615),
        (3, 1.0, 3.0, 1.0, 0.76980, 0.83902, 0.99125, 0.99312),
        (9, 0.3, 3.0, 0.16091, 0.38867, 0.40135, 0.92671, 0.93023),
        (9, 0.3, 7.0, 0.16091, 0.39530, 0.39638, 0.85388, 0.85443),
        (9, 1.0, 3.0, 1.0, 0.88975, 0.94634, 0.99621, 0.99770),
    ],
)
def test_exact_simulation_and_closed_map_give_the_printed_rows(
    satellites, b, delay_s, p_1, p_2, p_2_map, p_star, p_star_map
):
    register = star(satellites, kind=StarOfGivenRatio)
    # many cycles of the sequence itself, and the fixed point by linear algebra
    exact, closed = after_each_transfer(register, delay_s, b, cycles=200)
    assert exact[:2] == pytest.approx([p_1, p_2], abs=1e-5)
    assert closed[:2] == pytest.approx([p_1, p_2_map], abs=1e-5)
    assert exact[-1] == pytest.approx(p_star, abs=1e-5)
    found_exact, found_map = fixed_points(register, delay_s, b)
    assert found_exact == pytest.approx(p_star, abs=1e-5)
    assert found_map == pytest.approx(p_star_map, abs=1e-5)
    assert exact[-1] == pytest.approx(found_exact, abs=1e-7)


@pytest.mark.parametrize(("satellites", "b"), [(3, 0.3), (9, 0.3)])
def test_zero_quantum_order_that_has_relaxed_leaves_the_closed_map_right(satellites, b):
    register = star(satellites, t2_charger_s=0.5, kind=StarOfGivenRatio)
    exact, closed = after_each_transfer(register, 3.0, b, cycles=12)
    assert exact == pytest.approx(closed, abs=2e-5)
    slow, fast = star(satellites), star(satellites, t2_charger_s=0.5)
    gaps = [np.diff(fixed_points(r, 3.0, b))[0] for r in (slow, fast)]
    assert gaps[0] > 100 * abs(gaps[1])  # 3e-3 against 1e-5: it was the zero-quantum order


def test_a_register_of_37_spins_runs_the_same_code_and_approaches_its_fixed_point():
    register = star(36, kind=StarOfGivenRatio)
    exact, closed = after_each_transfer(register, 10.0, 0.3, cycles=60)
    p_exact, p_closed = fixed_points(register, 10.0, 0.3)
    assert exact[0] == pytest.approx(0.3 - 0.7 * 0.1987, abs=1e-6)  # from equilibrium: exact
    assert exact[-1] == pytest.approx(p_exact, abs=1e-7)
    assert closed[-1] == pytest.approx(p_closed, abs=1e-7)
    assert 0.0 < p_closed - p_exact < 5e-4


DELAYS_S = (3.0, 5.0, 7.0, 10.0, 13.0, 17.0)
ROWS = {
    "left": (-0.390, -0.564, -0.667, -0.728, -0.731, -0.701),
    "saturated": (-0.552, -0.692, -0.750, -0.765, -0.746, -0.705),
    "flipped-back": (-0.932, -0.892, -0.855, -0.805, -0.761, -0.710),
}


def inverted_star(**options):
    """A battery of p_eq = +0.1987 whose 36 chargers must be inverted."""
    return star(36, battery="13C", kind=StarOfGivenRatio, **options)


@pytest.mark.parametrize("recovery", list(ROWS))
def test_p_star_of_inverted_chargers_by_the_closed_map_to_the_printed_digits(recovery):
    register = inverted_star()
    for delay_s, printed in zip(DELAYS_S, ROWS[recovery], strict=True):
        closed = map_fixed_point(register, delay_s, 0.3, recovery=recovery)
        assert closed == pytest.approx(printed, abs=5.1e-4)


@pytest.mark.parametrize("recovery", list(ROWS))
def test_p_star_of_inverted_chargers_simulated_lies_within_the_zero_quantum_order(recovery):
    # the order that survives a wait decays as e^{-2 Delta/T2C} in amplitude: at 3.3 s its share
    # is 0.16 at 3 s and 3e-5 at 17 s; the difference from the map falls with it
    register = inverted_star()
    gaps = []
    for delay_s in (3.0, 10.0, 17.0):
        exact, closed = fixed_points(register, delay_s, 0.3, recovery=recovery)
        gaps.append(abs(exact - closed))
    assert max(gaps) < 5e-3
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-5


def best_delay(recovery):
    register = inverted_star()

    def p_star(delay_s):
        return map_fixed_point(register, delay_s, 0.3, recovery=recovery)

    found = minimize_scalar(p_star, bounds=(1.0, 17.0), method="bounded", options={"xatol": 1e-4})
    return found.x, found.fun


@pytest.mark.parametrize(
    ("recovery", "delay_s", "p_star"), [("left", 11.6, -0.734), ("saturated", 9.3, -0.766)]
)
def test_the_best_delay_lies_inside(recovery, delay_s, p_star):
    found_delay, found_p = best_delay(recovery)
    assert found_delay == pytest.approx(delay_s, abs=0.06)
    assert found_p == pytest.approx(p_star, abs=5.1e-4)


def test_chargers_flipped_back_have_no_best_delay_above_one_second():
    register = inverted_star()
    delays_s = np.linspace(1.0, 17.0, 33)
    p = [map_fixed_point(register, d, 0.3, recovery="flipped-back") for d in delays_s]
    assert (np.diff(p) > 0).all()


def test_29si_left_as_they_are_equals_13c_flipped_back():
    up = star(36, kind=StarOfGivenRatio)
    down = inverted_star()
    for delay_s in DELAYS_S:
        left = map_fixed_point(up, delay_s, 0.3, recovery="left")
        flipped = map_fixed_point(down, delay_s, 0.3, recovery="flipped-back")
        assert left == pytest.approx(-flipped, abs=1e-8)


def test_renewed_chargers_give_the_closed_fixed_point():
    # saturation renews the chargers: c = 1 - e^{-Delta/T1C} whatever the remnant was
    register = inverted_star()
    for delay_s in DELAYS_S:
        c = 1.0 - math.exp(-delay_s / 3.3)
        expected = fixed_point(0.3, -c, math.exp(-delay_s / 115.4), 0.1987)
        closed = map_fixed_point(register, delay_s, 0.3, recovery="saturated")
        assert closed == pytest.approx(float(expected), abs=1e-7)


def test_a_transfer_above_one_approaches_with_alternating_sign():
    register = star(9)
    _, b = first_maximum(9)
    plan = compiled(register, 10.0, b * (1 - 1e-9), cycles=8)
    exact, _ = after_each_transfer(register, 10.0, b * (1 - 1e-9), cycles=8)
    p_star = StarSimulator(register).fixed_point(plan.cycle, TICK_S)
    distance = (exact - p_star)[:5]
    assert b > 1.17
    assert (np.sign(distance) == np.sign(distance[0]) * np.array([1, -1, 1, -1, 1])).all()
    assert ClosedMap(register=register, tick_s=TICK_S).slowest_factor(plan.cycle).real < 0.0


@pytest.mark.parametrize(("satellites", "b"), [(1, 0.4), (3, 1.0), (9, 1.1)])
def test_complete_resets_alone_do_not_beat_the_chargers_polarisation(satellites, b):
    # a battery that does not leak, chargers renewed to e^-12: p* = eps, for any b and N
    register = star(satellites, t1_battery_s=1e7, t2_battery_s=1.0, t2_charger_s=0.05)
    exact, closed = fixed_points(register, 40.0, b)
    # the battery leaks (1 + 0.1987) x 40 s/1e7 s a cycle, at most 1/b cycles deep
    assert exact == pytest.approx(1.0, abs=3e-5)
    assert closed == pytest.approx(1.0, abs=3e-5)


def test_a_single_shot_of_three_chargers_beats_them():
    register = star(3)
    exact, _ = after_each_transfer(register, 3.0, first_maximum(3)[1] * (1 - 1e-9), cycles=1)
    ratio = register.equilibrium_ratio
    assert exact[0] == pytest.approx(-ratio + 1.0521 * (1 + ratio), abs=1e-4)
    assert exact[0] > 1.0


def test_stored_energy_decays_with_the_battery_t1():
    register = star(3)
    charge = (ExchangeStep(exchange="ideal", transfer=1.0, relax_during_exchange=False), Crush())
    p = [
        after_each_transfer(register, 0.0, 0.0, prepare=BatterySaturated(), cycle=cycle)[0][0]
        for cycle in (charge, (*charge, Wait(delay_s=120.0)))
    ]
    p_eq = register.battery_equilibrium
    assert p[0] == pytest.approx(1.0, abs=1e-7)
    assert (p[1] - p_eq) / (p[0] - p_eq) == pytest.approx(math.exp(-120.0 / 115.4), abs=1e-6)
    assert math.exp(-120.0 / 115.4) == pytest.approx(0.3535, abs=5e-5)


def test_relaxation_during_the_transfer_shifts_the_second_point_as_a_switch():
    # J = 3 to 7 Hz: 3e-4 to 6e-3
    shifts = []
    for coupling_hz in (3.0, 7.0):
        register = star(9, coupling_hz=coupling_hz, kind=StarOfGivenRatio)
        without, _ = after_each_transfer(register, 3.0, 0.3, cycles=2)
        with_relaxation, _ = after_each_transfer(register, 3.0, 0.3, cycles=2, relaxes=True)
        shifts.append(abs(with_relaxation[1] - without[1]))
    assert shifts[0] > shifts[1]
    assert 1e-4 < shifts[1] < shifts[0] < 8e-3
