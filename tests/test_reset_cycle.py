"""[exchange, crush, renew the chargers] x n against chargers that dephase and repolarise."""

import math

import numpy as np
import pytest
from star_registers import TICK_S, charging_protocol, fine_spectrometer, star

from nmrqb.compiler.compile import compile_protocol
from nmrqb.models.dephasing import crusher_dephasing, integrated_charging_time
from nmrqb.models.exchange import exchange_transfer, mean_exchange_transfer
from nmrqb.models.reset_cycle import (
    cycle_charging_time,
    cycle_dephasing,
    cycle_repolarisation,
    physical_rates,
    reset_share,
    wait_for_reset,
)
from nmrqb.protocol.steps import BatterySaturated, Crush, ExchangeStep, Reenergise
from nmrqb.quantum import operators as op
from nmrqb.sequence.events import Exchange
from nmrqb.simulate.battery_channel import OneBattery, dephased_exchange
from nmrqb.simulate.simulator import StarSimulator

J = 5.0
G = math.pi * J
T1 = 3.3
#: a battery that keeps what it has, so that only the chargers' reset matters
LASTING = {"t1_battery_s": 1e12, "t2_battery_s": 1e12}


def exchanged(duration_s, wait_s, register):
    """Return simulator and compiled cycle [exchange, crush, re-energise]."""
    cycle = (
        ExchangeStep(exchange="ideal", duration_s=duration_s, relax_during_exchange=False),
        Crush(),
        Reenergise(delay_s=wait_s, recovery="left"),
    )
    protocol = charging_protocol(0.0, 0.0, cycle=cycle, prepare=BatterySaturated())
    body = compile_protocol(protocol, register, fine_spectrometer()).cycle
    return StarSimulator(register), body


def time_integral(register, duration_s, wait_s, until=1e-10):
    """Integrate 1 - p_B over the exchanges of compiled cycles, from an empty battery.

    Within an exchange by Gauss-Legendre quadrature over shorter exchanges: no closed form enters.
    """
    simulator, body = exchanged(duration_s, wait_s, register)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    parts = [round(d / TICK_S) for d in duration_s * (nodes + 1) / 2]
    state = simulator.dynamics.thermal_state()
    isotope = register.battery.isotope
    state[simulator.dynamics.space.position(op.Z)] = 0.0  # an empty central battery
    total = 0.0
    while True:
        within = [
            simulator.dynamics.apply((Exchange(ticks=t, relaxes=False),), state, TICK_S)
            for t in parts
        ]
        missing = 1.0 - np.array([simulator.dynamics.bloch(s, isotope)[2] for s in within])
        total += duration_s / 2 * float(weights @ missing)
        if abs(missing[-1]) < until:
            return total
        state = simulator.dynamics.apply(body, state, TICK_S)


@pytest.mark.parametrize(
    ("gd", "wait_s"),
    [(0.2, 3.0), (0.646348, 1.0), (math.pi / 2, 3.0), (1.0, 15.2), (2.2, 2.0)],
)
def test_compiled_cycles_charge_in_the_integrated_time_of_their_rates(gd, wait_s):
    d = gd / G
    register = star(1, coupling_hz=J, t1_charger_s=T1, **LASTING)
    f = reset_share(wait_s, T1)
    # an exchange of whole ticks is off by half a tick, 5e-10 s, of at least 1e-2 s
    found = time_integral(register, d, wait_s)
    assert found == pytest.approx(cycle_charging_time(G, d, f), rel=2e-6)
    # the same law, with the same rates, as for chargers that dephase and repolarise meanwhile
    continuous = integrated_charging_time(G, cycle_dephasing(G, d), cycle_repolarisation(d, f))
    assert found == pytest.approx(continuous, rel=2e-6)


@pytest.mark.parametrize("satellites", [2, 5])
def test_uncorrelated_chargers_charge_in_the_integrated_time_too(satellites):
    # a T2 so short against the wait that no order among the chargers survives it: e^(-3 s/0.1 s)
    register = star(satellites, coupling_hz=J, t1_charger_s=T1, t2_charger_s=0.1, **LASTING)
    d = 0.4 / G / math.sqrt(satellites)
    found = time_integral(register, d, 3.0)
    expected = cycle_charging_time(G, d, reset_share(3.0, T1), satellites)
    assert found == pytest.approx(expected, rel=1e-5)


def test_order_among_the_chargers_breaks_the_law_of_uncorrelated_ones():
    register = star(3, coupling_hz=J, t1_charger_s=T1, t2_charger_s=2 * T1, **LASTING)
    d = 0.8 / G
    found = time_integral(register, d, 1.0)
    assert abs(found / cycle_charging_time(G, d, reset_share(1.0, T1), 3) - 1.0) > 1e-3


def test_the_exchange_rate_grows_linearly_with_the_chargers():
    # k_N = 2 N g^2/Gamma: complete resets, short exchanges of one length
    d, wait_s, counts = 0.1 / G, 40 * T1, np.array([1, 2, 4])
    # 1e-6 is missing in the end, over at least 1e-6/k
    times = np.array(
        [
            time_integral(star(n, coupling_hz=J, t1_charger_s=T1, **LASTING), d, wait_s, 1e-6)
            for n in counts
        ]
    )
    closed = [float(cycle_charging_time(G, d, 1.0, n)) for n in counts]
    assert times == pytest.approx(closed, rel=3e-6)
    # the transfer is N (g d)^2 to relative order N (g d)^2
    assert times[0] / times == pytest.approx(counts, rel=4 * 0.1**2)


def test_the_rate_is_kept_and_the_end_is_not():
    d, wait_s = 0.7 / G, 1.0
    register = star(1, coupling_hz=J, t1_charger_s=T1, **LASTING)
    f = reset_share(wait_s, T1)
    gamma, r1 = float(cycle_dephasing(G, d)), float(cycle_repolarisation(d, f))
    assert r1 < 2 * gamma  # a spin can have these rates
    one, simulator = OneBattery(register), StarSimulator(register)
    chargers = one.chargers_of(simulator.dynamics.thermal_state())
    # Simpson's rule on the continuous curve: (h Gamma)^4/180 of it
    step = 0.05 / gamma
    count = 2 * round(30 / min(r1, gamma) / step)
    generator = dephased_exchange(
        register, coherence_rate_per_s=gamma, repolarisation_per_s=r1, level=1.0
    )
    steps = [lambda state: generator.propagate(state, step)] * count
    p = np.array([0.0, *(c.shift[2] for c in one.channels(steps, chargers, "thermal"))])
    weights = np.where(np.arange(count + 1) % 2, 4.0, 2.0) * step / 3
    weights[[0, -1]] /= 2
    continuous = float(weights @ (1 - p))
    assert continuous == pytest.approx(time_integral(register, d, wait_s), rel=2e-6)
    assert p[-1] == pytest.approx(1.0, abs=1e-6)
    simulator, body = exchanged(d, wait_s, register)
    assert simulator.fixed_point(body, TICK_S) == pytest.approx(1.0, abs=1e-9)
    # the same dephasing alone ends where battery and charger have shared the charger's polarisation
    pure = dephased_exchange(register, coherence_rate_per_s=gamma)
    (end,) = one.channels([lambda state: pure.propagate(state, 1e3 * d)], chargers, "thermal")
    assert end.shift[2] == pytest.approx(0.5, abs=1e-9)
    assert end.matrix[2, 2] == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("rate_over_g", [3 / math.sqrt(2), 8.0])
def test_poisson_resets_charge_in_the_integrated_time_of_their_rate(rate_over_g):
    # the mean over exponentially distributed exchanges, by Gauss-Laguerre, of compiled cycles with
    # complete resets; Gamma = R1 = rate
    rate = rate_over_g * G
    register = star(1, coupling_hz=J, t1_charger_s=T1, **LASTING)
    nodes, weights = np.polynomial.laguerre.laggauss(40)
    simulator, one, kept = StarSimulator(register), OneBattery(register), []
    chargers = one.chargers_of(simulator.dynamics.thermal_state())
    for x in nodes:
        _, body = exchanged(x / rate, 40 * T1, register)
        cycle = [lambda state, body=body: simulator.dynamics.apply(body, state, TICK_S)]
        (channel,) = one.channels(cycle, chargers, "thermal")
        # what is missing is multiplied: the reset leaves no other trace
        assert channel.shift[2] == pytest.approx(1 - channel.matrix[2, 2], abs=1e-9)
        kept.append(channel.matrix[2, 2])
    kept = float(weights @ kept)
    # within an exchange of exponential length the mean of the integral is the mean of the end/rate
    assert kept / rate / (1 - kept) == pytest.approx(rate / (2 * G**2) + 1 / rate, rel=1e-6)


def test_a_reset_to_one_percent_takes_the_printed_wait():
    wait_s = float(wait_for_reset(T1, 0.01))
    assert wait_s == pytest.approx(15.2, abs=0.05)
    register = star(1, coupling_hz=J, t1_charger_s=T1, **LASTING)
    # a full exchange empties the charger into the battery; then the compiled wait
    simulator, body = exchanged(0.5 / J, wait_s, register)
    state = simulator.dynamics.thermal_state()
    state[simulator.dynamics.space.position(op.Z)] = 0.0
    state = simulator.dynamics.apply(body, state, TICK_S)
    assert simulator.dynamics.bloch(state, "1H")[2] == pytest.approx(0.99, abs=1e-7)
    assert float(reset_share(wait_s, T1)) == pytest.approx(0.99)
    for wrong in (0.0, -0.1, 1.1):
        with pytest.raises(ValueError, match="`error`"):
            wait_for_reset(T1, wrong)


def test_the_dephasing_of_short_exchanges_is_that_of_crushers():
    # both 2/d; the next orders are +(gd)^2 2/3 (Taylor of the closed form) and +(gd)^2 2/3
    gd = np.array([0.01, 0.05])
    assert cycle_dephasing(G, gd / G) * gd / G == pytest.approx(2.0, abs=0.7 * 0.05**2)
    assert cycle_dephasing(G, gd / G) == pytest.approx(crusher_dephasing(G, gd / G), rel=0.05**2)


def test_no_exchange_stands_for_less_dephasing_than_the_full_one():
    d = np.linspace(0.05, 3.0, 500) / G
    found = cycle_dephasing(G, d)
    assert found.min() == pytest.approx(math.pi * G / 2, rel=1e-4)
    assert G * d[np.argmin(found)] == pytest.approx(math.pi / 2, abs=0.01)
    assert np.isinf(cycle_repolarisation(d, 1.0)).all()


def test_the_mean_transfer_is_the_integral_of_the_transfer():
    jt = np.linspace(0.0, 0.3, 3001)
    for n in (1, 3, 9):
        b = exchange_transfer(n, jt)
        mean = np.sum((b[1:] + b[:-1]) / 2) / (len(jt) - 1)
        assert mean_exchange_transfer(n, jt[-1]) == pytest.approx(mean, abs=1e-6)
        assert mean_exchange_transfer(n, 0.0) == 0.0


def test_rates_beyond_a_spin_are_brought_to_its_border_at_the_same_charging_time():
    assert physical_rates(G, 3.0, 6.0) == (3.0, 6.0)
    gamma, r1 = physical_rates(G, 4 * G, 100 * G)
    assert r1 == pytest.approx(2 * gamma)
    wanted = integrated_charging_time(G, 4 * G, 100 * G)
    assert integrated_charging_time(G, gamma, r1) == pytest.approx(wanted)
    # complete resets after full exchanges charge in pi/(4 g): no spin repolarises its way below 1/g
    assert physical_rates(G, math.pi * G / 2, math.inf) is None
    slowest = physical_rates(G, 2 * G, math.inf)
    assert slowest == pytest.approx((G, 2 * G))
