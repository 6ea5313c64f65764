"""What chargers remember of the last exchange: zero-quantum order that gradients leave.

A star of a battery and N equivalent chargers repeats [wait, exchange, crush].  An exchange turns
blocks of different total charger spin by different angles, and so correlates the chargers.  A
crusher removes what has a coherence order; the zero-quantum order among the chargers has none and
ends by relaxation only, at 2/T2 of the chargers, while a closed map of the two polarisations knows
nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nmrqb.models.exchange import shortest_exchange
from nmrqb.quantum import operators as op
from nmrqb.quantum.propagation import Generator
from nmrqb.quantum.star import SpinRelaxation, StarSpace

Array = NDArray[np.float64]
ComplexVector = NDArray[np.complex128]

#: change of the polarisation in one cycle at which a fixed point has been reached
_STATIONARY = 1e-12
_MOST_CYCLES = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberingStar:
    """Re-energised charging with chargers that are left as they are, from thermal equilibrium.

    The exchange is ideal and without relaxation, the battery's coherence is crushed after it.
    Spin labels, units of eps; the first exchange takes place at once.

    Parameters
    ----------
    chargers : int
        N.
    transfer : float
        b of one exchange.
    delay_s : float
        Wait between exchanges.
    charger_t1_s, charger_t2_s, battery_t1_s : float
    battery_equilibrium : float
        p_eq; the chargers' equilibrium is +1.
    """

    chargers: int
    transfer: float
    delay_s: float
    charger_t1_s: float
    charger_t2_s: float
    battery_t1_s: float
    battery_equilibrium: float
    space: StarSpace = field(init=False, repr=False)
    exchange: Generator = field(init=False, repr=False)
    relaxation: Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.delay_s >= 0.0:
            raise ValueError(f"`delay_s` must be at least 0 s, but is {self.delay_s}")
        space = StarSpace(self.chargers)
        relaxation = space.relaxation(
            # crushed after every exchange, the battery has no coherence for its T2 to act on
            SpinRelaxation(
                t1_s=self.battery_t1_s,
                t2_s=2.0 * self.battery_t1_s,
                equilibrium=self.battery_equilibrium,
            ),
            SpinRelaxation(t1_s=self.charger_t1_s, t2_s=self.charger_t2_s, equilibrium=1.0),
            "linear",
        )
        put = object.__setattr__
        put(self, "space", space)
        put(self, "exchange", Generator(space.exchange(1.0)))
        put(self, "relaxation", Generator(relaxation))

    def states(self) -> Iterator[ComplexVector]:
        """Yield the state after each exchange and crusher, without end."""
        jt = shortest_exchange(self.chargers, self.transfer)
        state = self.space.state(self.battery_equilibrium, 1.0, "linear")
        while True:
            state = self.space.crush(self.exchange.propagate(state, jt))
            yield state
            state = self.relaxation.propagate(state, self.delay_s)

    def polarisations(self, cycles: int) -> Array:
        """Return the battery's polarisation after exchange 1..cycles, exactly."""
        if cycles < 1:
            raise ValueError(f"`cycles` must be at least 1, but is {cycles}")
        found = [self._battery(s) for _, s in zip(range(cycles), self.states(), strict=False)]
        return np.array(found)

    def closed_map(self, cycles: int) -> Array:
        """Return the same by the closed map: chargers uncorrelated whenever an exchange starts."""
        if cycles < 1:
            raise ValueError(f"`cycles` must be at least 1, but is {cycles}")
        exchange, relaxation = self._closed_maps()
        state = exchange @ np.array([self.battery_equilibrium, 1.0, 1.0])
        result = np.empty(cycles)
        for k in range(cycles):
            result[k] = state[0]
            state = exchange @ (relaxation @ state)
        return result

    def _closed_maps(self) -> tuple[Array, Array]:
        """Return exchange and wait as maps of (battery, mean charger, 1)."""
        b, n = self.transfer, self.chargers
        exchange = np.array([[1.0 - b, b, 0.0], [b / n, 1.0 - b / n, 0.0], [0.0, 0.0, 1.0]])
        leak = float(np.exp(-self.delay_s / self.battery_t1_s))
        kept = float(np.exp(-self.delay_s / self.charger_t1_s))
        relaxation = np.diag([leak, kept, 1.0])
        relaxation[:2, 2] = (1.0 - leak) * self.battery_equilibrium, 1.0 - kept
        return exchange, relaxation

    def fixed_point(self) -> float:
        """Return p*, the exact polarisation after many cycles.

        Raises
        ------
        ValueError
            Where it has not settled to 1e-12 within 5000 cycles.
        """
        last = np.inf
        for _, state in zip(range(_MOST_CYCLES), self.states(), strict=False):
            p = self._battery(state)
            if abs(p - last) < _STATIONARY:
                return p
            last = p
        raise ValueError(f"p* has not settled within {_MOST_CYCLES} cycles")

    def closed_fixed_point(self) -> float:
        """Return p* of the closed map, the remnant of the chargers carried along."""
        if self.delay_s == 0.0:
            raise ValueError("`delay_s` must be positive for a fixed point")
        exchange, relaxation = self._closed_maps()
        cycle = exchange @ relaxation
        return float(np.linalg.solve(np.eye(2) - cycle[:2, :2], cycle[:2, 2])[0])

    def zero_quantum_order(self, cycles: int = 1) -> float:
        """Return the norm of the zero-quantum order over that of the deviation, after an exchange.

        Of all operators that hold flip-flop terms I+ I- of chargers, after `cycles` exchanges.
        """
        *_, state = (s for _, s in zip(range(cycles), self.states(), strict=False))
        deviation = state.copy()
        deviation[self.space.position(op.ONE)] = 0.0
        flips = np.tile(self.space.occupations[:, op.PLUS] > 0, 4)
        return float(np.linalg.norm(deviation[flips]) / np.linalg.norm(deviation))

    def _battery(self, state: ComplexVector) -> float:
        return self.space.bloch_center(state)[2]
