"""The closed map of re-energised charging: centre and mean satellite polarisation only.

State (c, z, 1): polarisation of the centre, mean polarisation of the N satellites, both in units
of eps and in spin labels.  Every event is an affine map of it:

- delay, crusher: c -> c_eq + (c - c_eq) e^{-t/T1}, likewise z;
- pulse by an angle followed by loss of the transverse part: times cos(angle);
- inversion of measured efficiency: times -efficiency;
- exchange: c' = (1 - b) c + b z, z' = z - (c' - c)/N, with b = b_N(Jt);
- saturation: 0 for the saturated species, relaxation for the other;
- a segment (native exchange, spin lock, INEPT): the 2 x 2 map of (c, z) that is given for it.

The map takes the satellites as uncorrelated at the start of every exchange.  It is NOT exact:
homonuclear zero-quantum order survives crushers (see the simulation for what it neglects).
Relaxation during an exchange is neglected in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from nmrqb.battery.cycle_modes import CycleModes
from nmrqb.models.exchange import exchange_transfer
from nmrqb.sequence.dummy_pulses import DummyPulses
from nmrqb.sequence.events import (
    Acquire,
    Crusher,
    Delay,
    Event,
    Exchange,
    Inversion,
    Loop,
    Pulse,
    PulseSequence,
    Saturation,
    Segment,
)
from nmrqb.spins.register import Role, SpinRegister

Array = NDArray[np.float64]


def fixed_point(
    transfer: Array | float,
    charger: Array | float,
    battery_decay: Array | float,
    battery_equilibrium: Array | float,
) -> Array:
    """Return p* = [b C + (1 - b)(1 - q) p_eq] / [1 - (1 - b) q] for chargers renewed to C.

    Parameters
    ----------
    transfer : array_like
        b.
    charger : array_like
        C, the chargers' polarisation at the start of every exchange (spin label, units of eps).
    battery_decay : array_like
        q = e^{-Delta/T1B}.
    battery_equilibrium : array_like
        p_eq.

    Returns
    -------
    ndarray
        Broadcast shape; spin label, just after the exchange.
    """
    b, q = np.asarray(transfer, float), np.asarray(battery_decay, float)
    result: Array = (
        b * np.asarray(charger) + (1.0 - b) * (1.0 - q) * np.asarray(battery_equilibrium)
    ) / (1.0 - (1.0 - b) * q)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedMap:
    """Affine maps (3 x 3) of the events of a star register.

    Attributes
    ----------
    register : SpinRegister
    tick_s : float
    measured : mapping of events to ndarray, shape (2, 3)
        What an event really does to (c, z, 1), such as a segment with few Strang steps and finite
        pulses; a segment that is not in it acts by design.
    transfer : float or None
        b of every exchange, in place of that of J: where b is what is asked for.
    """

    register: SpinRegister
    tick_s: float
    measured: Mapping[Event, Array] = field(default_factory=dict)
    transfer: float | None = None
    _kept: dict[Event, Array] = field(init=False, repr=False, compare=False, default_factory=dict)

    def of_event(self, event: Event) -> Array:
        """Return the map of one event, shape (3, 3)."""
        if event not in self._kept:
            self._kept[event] = self._of_event(event)
        return self._kept[event]

    def _of_event(self, event: Event) -> Array:
        if event in self.measured:
            return np.vstack([self.measured[event], [0.0, 0.0, 1.0]])
        match event:
            case Loop():
                return np.linalg.matrix_power(self.of_events(event.body), event.count)
            case Delay() | DummyPulses():
                seconds = event.ticks * self.tick_s
                recovery = self.register.charger.recovery
                t1 = None if recovery is None else recovery.effective_t1_s(seconds)
                return self._relaxation(seconds, t1)
            case Crusher():
                return self._relaxation(event.ticks * self.tick_s)
            case Pulse():
                turned = np.eye(3)
                if self.register.load is None or event.nucleus != self.register.load.isotope:
                    which = self._which(event.nucleus)
                    turned[which, which] = math.cos(event.angle_rad)
                return turned @ self._relaxation(event.ticks * self.tick_s)
            case Inversion():
                turned = np.eye(3)
                which = self._which(event.nucleus)
                turned[which, which] = -event.efficiency
                half = self._relaxation(event.ticks * self.tick_s / 2.0)
                return half @ turned @ half
            case Saturation():
                return self._saturation(self._which(event.nucleus), event.ticks * self.tick_s)
            case Segment():
                block = np.eye(3)
                block[:2, :2] = np.array(event.action).reshape(2, 2)
                return block
            case Exchange():
                n = self.register.satellites
                b = self.transfer
                if b is None:
                    jt = abs(self.register.coupling_hz.value) * event.ticks * self.tick_s
                    b = float(exchange_transfer(n, jt))
                return np.array([[1 - b, b, 0], [b / n, 1 - b / n, 0], [0, 0, 1.0]])
            case _:
                raise ValueError(f"the closed map knows no {type(event).__name__}")

    def of_events(self, events: tuple[Event, ...]) -> Array:
        """Return the map of events in their order, shape (3, 3)."""
        total = np.eye(3)
        for event in events:
            total = self.of_event(event) @ total
        return total

    def equilibrium(self) -> Array:
        """Return the thermal state (c, z, 1)."""
        c, s = self._equilibria()
        return np.array([c, s, 1.0])

    def battery(self, state: Array) -> float:
        """Return the battery's polarisation of a state, spin label."""
        return float(state[0] if self.register.center.role == "battery" else state[1])

    def detected(self, sequence: PulseSequence, role: Role = "battery") -> float:
        """Return a species' polarisation (spin label) before the sequence's read-out pulse."""
        state = self.of_events(until_readout(sequence)) @ self.equilibrium()
        return float(state[0 if role == self.register.center.role else 1])

    def fixed_point(self, body: tuple[Event, ...]) -> float:
        """Return the battery's polarisation at the end of a cycle that reproduces itself.

        Raises
        ------
        ValueError
            Where the cycle has no unique fixed point.
        """
        return self.battery(self._limit(body))

    def approach(
        self, prepare: tuple[Event, ...], first: tuple[Event, ...], body: tuple[Event, ...]
    ) -> CycleModes:
        """Return how the battery's polarisation approaches its fixed point.

        Parameters
        ----------
        prepare : tuple of Event
            From thermal equilibrium to the start of the first cycle.
        first : tuple of Event
            The first cycle where it differs from the others, else empty.
        body : tuple of Event
            Every other cycle.

        Raises
        ------
        ValueError
            Where the cycle has no unique fixed point.
        """
        state = self.of_events(prepare) @ self.equilibrium()
        before = (self.battery(state),) if first else ()
        limit = self._limit(body)
        deviation = (self.of_events(first) @ state - limit)[:2]
        factors, vectors = np.linalg.eig(self.of_events(body)[:2, :2])
        factors, vectors = factors.astype(np.complex128), vectors.astype(np.complex128)
        shares = np.linalg.lstsq(vectors, deviation.astype(np.complex128), rcond=None)[0]
        row = 0 if self.register.center.role == "battery" else 1
        return CycleModes(
            limit=self.battery(limit),
            before=before,
            factors=factors,
            weights=vectors[row] * shares,
        )

    def _limit(self, body: tuple[Event, ...]) -> Array:
        cycle = self.of_events(body)
        system = np.eye(2) - cycle[:2, :2]
        if np.linalg.cond(system) > 1e12:
            raise ValueError("the cycle has no unique fixed point (nothing relaxes)")
        return np.append(np.linalg.solve(system, cycle[:2, 2]), 1.0)

    def slowest_factor(self, body: tuple[Event, ...]) -> complex:
        """Return the eigenvalue of largest magnitude of one cycle (the slowest mode)."""
        values = np.linalg.eigvals(self.of_events(body)[:2, :2])
        return complex(values[np.argmax(np.abs(values))])

    def _equilibria(self) -> tuple[float, float]:
        register = self.register
        battery, charger = register.battery_equilibrium, register.charger_equilibrium
        return (battery, charger) if register.center.role == "battery" else (charger, battery)

    def _which(self, isotope: str) -> int:
        return 0 if isotope == self.register.center.isotope else 1

    def _rates(self, charger_t1_s: float | None = None) -> Array:
        """Return R of d(c - c_eq, z - z_eq)/dt = -R (c - c_eq, z - z_eq), cross-relaxation in it.

        One pair relaxes at rho = W0 + 2 W1 + W2 and cross-relaxes at W2 - W0 = rho/2.
        """
        register = self.register
        t1 = [register.center.t1_s.value, register.satellite.t1_s.value]
        if charger_t1_s is not None:
            t1[0 if register.center.role == "charger" else 1] = charger_t1_s
        cross = register.pair_rate_per_s / 2.0
        return np.array([[1.0 / t1[0], register.satellites * cross], [cross, 1.0 / t1[1]]])

    def _relaxation(self, duration_s: float, charger_t1_s: float | None = None) -> Array:
        decay = scipy.linalg.expm(-self._rates(charger_t1_s) * duration_s)
        return self._towards(decay, np.array(self._equilibria()))

    def _saturation(self, saturated: int, duration_s: float) -> Array:
        """Return the map of a wait with one species held at zero."""
        rates, equilibrium = self._rates(), np.array(self._equilibria())
        free = 1 - saturated
        # the saturated species stays its equilibrium below equilibrium: a constant source
        level = (
            equilibrium[free]
            + rates[free, saturated] / rates[free, free] * (equilibrium[saturated])
        )
        q = math.exp(-rates[free, free] * duration_s)
        total = np.zeros((3, 3))
        total[free, free], total[free, 2], total[2, 2] = q, (1.0 - q) * level, 1.0
        return total

    @staticmethod
    def _towards(decay: Array, equilibrium: Array) -> Array:
        total = np.eye(3)
        total[:2, :2] = decay
        total[:2, 2] = equilibrium - decay @ equilibrium
        return total


def until_readout(sequence: PulseSequence) -> tuple[Event, ...]:
    """Return the events before the pulse that makes the detected signal.

    Raises
    ------
    ValueError
        Where the sequence does not end with a read-out pulse, a dead time and an acquisition.
    """
    *before, pulse, dead, acquire = sequence.events if len(sequence.events) > 2 else (None,) * 3
    is_readout = isinstance(pulse, Pulse) and isinstance(dead, Delay)
    if not (is_readout and isinstance(acquire, Acquire)):
        raise ValueError("the sequence must end with a read-out pulse and an acquisition")
    return tuple(event for event in before if event is not None)
