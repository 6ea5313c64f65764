"""Whole grids of re-energised charging by the closed map."""

import numpy as np
import pytest
from star_registers import TICK_S, StarOfGivenRatio, charging_protocol, fine_spectrometer, star

from nmrqb.compiler.compile import compile_protocol
from nmrqb.models.closed_map import ClosedMap
from nmrqb.models.exchange import shortest_exchange
from nmrqb.models.screening import RECOVERIES, ReenergisedGrid


def inverted_star():
    return star(36, battery="13C", kind=StarOfGivenRatio)


@pytest.mark.parametrize("central", ["battery", "charger"])
@pytest.mark.parametrize(
    ("battery", "recovery"), [("13C", r) for r in RECOVERIES] + [("29Si", "left")]
)
def test_every_candidate_is_the_closed_map_of_its_sequence(battery, recovery, central):
    register = star(9, battery, central=central)
    transfers, delays = (0.1, 0.5), (2.0, 9.0)
    jt = [shortest_exchange(9, b) for b in transfers]
    grid = ReenergisedGrid(
        register=register, recovery=recovery, jt=np.array(jt), delay_s=np.array(delays)
    )
    closed = ClosedMap(register=register, tick_s=TICK_S)
    for i, b in enumerate(transfers):
        for k, delay in enumerate(delays):
            plan = compile_protocol(
                charging_protocol(delay, b, cycles=5, recovery=recovery), register,
                fine_spectrometer(),
            )  # fmt: skip
            assert grid.fixed_points()[i, k] == pytest.approx(
                closed.fixed_point(plan.cycle), abs=1e-6
            )
            factor = abs(closed.slowest_factor(plan.cycle))
            assert grid.decay_factors()[i, k] == pytest.approx(factor, abs=1e-6)


# printed optima of Delta at b = 0.3: found on a grid, not given
@pytest.mark.parametrize(
    ("recovery", "delay_s", "p_star"), [("left", 11.6, -0.734), ("saturated", 9.3, -0.766)]
)
def test_the_best_delay_is_found(recovery, delay_s, p_star):
    jt = shortest_exchange(36, 0.3)
    delays = np.arange(1.0, 20.0, 0.05)
    grid = ReenergisedGrid(
        register=inverted_star(), recovery=recovery, jt=np.array([jt]), delay_s=delays
    )
    levels = grid.fixed_points()[0]
    best = int(np.argmin(levels))
    assert delays[best] == pytest.approx(delay_s, abs=0.1)
    assert levels[best] == pytest.approx(p_star, abs=5.1e-4)


def test_flipping_back_has_no_best_delay_above_a_second():
    jt = shortest_exchange(36, 0.3)
    delays = np.arange(1.0, 20.0, 0.25)
    grid = ReenergisedGrid(
        register=inverted_star(), recovery="flipped-back", jt=np.array([jt]), delay_s=delays
    )
    assert (np.diff(grid.fixed_points()[0]) > 0).all()


def test_what_a_budget_reaches_is_counted_in_whole_cycles():
    register = star(9, "29Si")
    jt = np.array([shortest_exchange(9, 0.4)])
    grid = ReenergisedGrid(
        register=register, recovery="left", jt=jt, delay_s=np.array([5.0]), laboratory=2.0
    )
    length = 5.0 + 2.0 * jt[0] / register.coupling_hz.value
    maps = grid.cycle_maps()[0, 0]
    state, energies = np.array([0.0, register.charger_equilibrium, 1.0]), [0.0]
    for _ in range(6):
        state = np.array([*(maps @ state), 1.0])
        energies.append(state[0])
    energy, cycles = grid.best_within(4.5 * length)
    assert cycles[0, 0] == int(np.argmax(energies[:5]))
    assert energy[0, 0] == pytest.approx(max(energies[:5]))
    assert grid.best_within(0.5 * length)[1][0, 0] == 0


def test_a_grid_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="flipped-back needs inverted chargers"):
        ReenergisedGrid(
            register=star(3), recovery="flipped-back", jt=np.ones(1), delay_s=np.ones(1)
        )
    with pytest.raises(ValueError, match="`jt` must be a list"):
        ReenergisedGrid(register=star(3), recovery="left", jt=-np.ones(1), delay_s=np.ones(1))
