"""The closed map of re-energised charging: centre and mean satellite polarisation only.

State (c, z, 1): polarisation of the centre, mean polarisation of the N satellites, both in units
of eps and in spin labels.  Every event is an affine map of it:

- delay, crusher: c -> c_eq + (c - c_eq) e^{-t/T1}, likewise z;
- pulse by an angle followed by loss of the transverse part: times cos(angle);
- exchange: c' = (1 - b) c + b z, z' = z - (c' - c)/N, with b = b_N(Jt).

The map takes the satellites as uncorrelated at the start of every exchange.  It is NOT exact:
homonuclear zero-quantum order survives crushers (see the simulation for what it neglects).
Relaxation during an exchange is neglected in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmrqb.models.exchange import exchange_transfer
from nmrqb.sequence.events import (
    Acquire,
    Crusher,
    Delay,
    Event,
    Exchange,
    Loop,
    Pulse,
    PulseSequence,
)
from nmrqb.spins.register import SpinRegister

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
    """

    register: SpinRegister
    tick_s: float

    def of_event(self, event: Event) -> Array:
        """Return the map of one event, shape (3, 3)."""
        match event:
            case Loop():
                return np.linalg.matrix_power(self.of_events(event.body), event.count)
            case Delay() | Crusher():
                return self._relaxation(event.ticks * self.tick_s)
            case Pulse():
                turned = np.eye(3)
                which = 0 if event.nucleus == self.register.center.isotope else 1
                turned[which, which] = math.cos(event.angle_rad)
                return turned @ self._relaxation(event.ticks * self.tick_s)
            case Exchange():
                jt = abs(self.register.coupling_hz.value) * event.ticks * self.tick_s
                b = float(exchange_transfer(self.register.satellites, jt))
                n = self.register.satellites
                return np.array([[1 - b, b, 0], [b / n, 1 - b / n, 0], [0, 0, 1.0]])
            case Acquire():
                raise ValueError("the closed map ends before the acquisition")

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

    def detected(self, sequence: PulseSequence) -> float:
        """Return the battery's polarisation (spin label) before the sequence's read-out pulse."""
        return self.battery(self.of_events(until_readout(sequence)) @ self.equilibrium())

    def fixed_point(self, body: tuple[Event, ...]) -> float:
        """Return the battery's polarisation at the end of a cycle that reproduces itself.

        Raises
        ------
        ValueError
            Where the cycle has no unique fixed point.
        """
        cycle = self.of_events(body)
        system = np.eye(2) - cycle[:2, :2]
        if np.linalg.cond(system) > 1e12:
            raise ValueError("the cycle has no unique fixed point (nothing relaxes)")
        return self.battery(np.append(np.linalg.solve(system, cycle[:2, 2]), 1.0))

    def slowest_factor(self, body: tuple[Event, ...]) -> complex:
        """Return the eigenvalue of largest magnitude of one cycle (the slowest mode)."""
        values = np.linalg.eigvals(self.of_events(body)[:2, :2])
        return complex(values[np.argmax(np.abs(values))])

    def _equilibria(self) -> tuple[float, float]:
        register = self.register
        battery, charger = register.battery_equilibrium, register.charger_equilibrium
        return (battery, charger) if register.center.role == "battery" else (charger, battery)

    def _relaxation(self, duration_s: float) -> Array:
        q_c = math.exp(-duration_s / self.register.center.t1_s.value)
        q_s = math.exp(-duration_s / self.register.satellite.t1_s.value)
        c, s = self._equilibria()
        return np.array([[q_c, 0, (1 - q_c) * c], [0, q_s, (1 - q_s) * s], [0, 0, 1.0]])


def until_readout(sequence: PulseSequence) -> tuple[Event, ...]:
    """Return the events before the pulse that makes the detected signal."""
    last = max(
        (k for k, event in enumerate(sequence.events) if isinstance(event, Pulse)), default=None
    )
    if last is None or not any(isinstance(e, Acquire) for e in sequence.events[last:]):
        raise ValueError("the sequence must end with a read-out pulse and an acquisition")
    return sequence.events[:last]
