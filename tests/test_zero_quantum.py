"""Chargers that remember: exact cycles against the closed map, the spectrometer's engine, a fit."""

import numpy as np
import pytest
from star_registers import TICK_S, StarOfGivenRatio, charging_protocol, fine_spectrometer, star

from nmrqb.compiler.compile import compile_protocol
from nmrqb.models.zero_quantum import RememberingStar
from nmrqb.simulate.simulator import StarSimulator

TABLE = [
    (3, 0.3, 3.0, 0.38117, 0.39169, 0.92314, 0.92615),
    (3, 1.0, 3.0, 0.76980, 0.83902, 0.99125, 0.99312),
    (9, 0.3, 3.0, 0.38867, 0.40135, 0.92671, 0.93023),
    (9, 0.3, 7.0, 0.39530, 0.39638, 0.85388, 0.85443),
    (9, 1.0, 3.0, 0.88975, 0.94634, 0.99621, 0.99770),
]


def remembering(chargers=9, transfer=0.3, delay_s=3.0, **changed):
    numbers = {
        "charger_t1_s": 3.3,
        "charger_t2_s": 3.3,
        "battery_t1_s": 115.4,
        "battery_equilibrium": -0.1987,
    }
    return RememberingStar(
        chargers=chargers, transfer=transfer, delay_s=delay_s, **(numbers | changed)
    )


@pytest.mark.parametrize(("n", "b", "delay", "p_2", "p_2_map", "p_star", "p_star_map"), TABLE)
def test_memory_lowers_the_second_point_and_the_fixed_point(
    n, b, delay, p_2, p_2_map, p_star, p_star_map
):
    found = remembering(n, b, delay)
    assert found.polarisations(2)[1] == pytest.approx(p_2, abs=1e-5)
    assert found.closed_map(2)[1] == pytest.approx(p_2_map, abs=1e-5)
    assert found.fixed_point() == pytest.approx(p_star, abs=1e-5)
    assert found.closed_fixed_point() == pytest.approx(p_star_map, abs=1e-5)


def test_compiled_sequences_remember_alike():
    # the other route: a protocol, compiled to ticks, through the engine of the spectrometer
    register = star(4, kind=StarOfGivenRatio)
    plan = compile_protocol(charging_protocol(2.0, 0.6), register, fine_spectrometer())
    exact = StarSimulator(register).fixed_point(plan.cycle, TICK_S)
    # the clock rounds J t to 1 ns, 1e-8 of it
    assert remembering(4, 0.6, 2.0).fixed_point() == pytest.approx(exact, abs=1e-6)


def test_memory_fades_at_twice_the_coherence_rate_of_the_chargers():
    # S_z (I+ I- + I- I+) decays at 2/T2C + 1/T1B; what sits on a further I_z, at 2/T2C + 1/T1C,
    # is 4 % of it (0.0110 against 0.3097) and counts with its decay over 3 s
    delays = np.array([3.0, 6.0])
    for t2 in (3.3, 1.0):
        stars = [remembering(delay_s=float(d), charger_t2_s=t2) for d in delays]
        missing = [s.closed_map(2)[1] - s.polarisations(2)[1] for s in stars]
        rate = np.log(missing[0] / missing[1]) / 3.0
        assert rate == pytest.approx(2.0 / t2 + 1.0 / 115.4, abs=0.02)


def test_chargers_that_forget_follow_the_closed_map():
    found = remembering(3, 0.3, charger_t2_s=0.3)
    # e^(-2 Delta/T2) = 2e-9
    assert found.polarisations(12) == pytest.approx(found.closed_map(12), abs=1e-7)


def test_one_charger_has_no_partner_to_remember_with():
    pair = remembering(1, 0.7, 1.0)
    assert pair.zero_quantum_order() == 0.0
    assert pair.polarisations(20) == pytest.approx(pair.closed_map(20), abs=1e-12)


def test_the_first_exchange_is_that_of_uncorrelated_chargers():
    for n, b in ((3, 0.3), (9, 1.0), (36, 0.3)):
        found = remembering(n, b)
        assert found.polarisations(1)[0] == pytest.approx(b - (1 - b) * 0.1987, abs=1e-9)
        assert found.zero_quantum_order() > 0.05


def test_the_closed_fixed_point_is_where_the_closed_map_ends():
    for n, b, delay in ((1, 0.3, 0.5), (9, 1.1, 3.0), (36, 0.3, 12.0)):
        found = remembering(n, b, delay)
        assert found.closed_fixed_point() == pytest.approx(found.closed_map(3000)[-1], abs=1e-10)


def test_senseless_waits_are_refused():
    with pytest.raises(ValueError, match="`delay_s` must be at least 0 s"):
        remembering(delay_s=-1.0)
    with pytest.raises(ValueError, match="positive for a fixed point"):
        remembering(delay_s=0.0).closed_fixed_point()
    with pytest.raises(ValueError, match="`cycles` must be at least 1"):
        remembering().polarisations(0)
