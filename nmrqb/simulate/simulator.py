"""Run a pulse sequence on the symmetric engine: a cycle is one map, applied n times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.cycle_modes import CycleModes
from nmrqb.quantum import operators as op
from nmrqb.quantum.propagation import Vector
from nmrqb.quantum.star import Equilibrium
from nmrqb.sequence.events import Acquire, Event, Loop, PulseSequence
from nmrqb.simulate.dynamics import NOMINAL, Conditions, StarDynamics
from nmrqb.simulate.limit_cycle import limit_state, modes_of
from nmrqb.spins.register import SpinRegister

Array = NDArray[np.float64]

#: change of the largest element in one repetition that counts as none (the identity element is 1)
STATIONARY = 1e-15


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSequence:
    """What one scan of a sequence does to the spins.

    Polarisations are spin labels, 2<S_z> in units of eps ("linear") or absolute ("exact").

    Attributes
    ----------
    times_s : ndarray, shape (checkpoints,)
        Start, end of every event outside loops, end of every repetition of a loop.  A loop that
        runs once counts as its body.
    battery_z, charger_z : ndarray, shape (checkpoints,)
        Per spin.
    load_z : ndarray, shape (checkpoints,), or None
        None without a load.
    detected : tuple (x, y, z) or None
        Bloch vector of one detected spin at the start of the acquisition.
    detected_nucleus : str or None
    engine : str
        What computed it and how large the problem was.
    """

    times_s: Array
    battery_z: Array
    charger_z: Array
    detected: tuple[float, float, float] | None
    detected_nucleus: str | None
    engine: str
    load_z: Array | None = None

    def polarisation(self, role: Literal["battery", "charger", "load"]) -> Array:
        """Return the polarisation of a role at the checkpoints; ValueError without a load."""
        found = {"battery": self.battery_z, "charger": self.charger_z, "load": self.load_z}[role]
        if found is None:
            raise ValueError("the register has no load")
        return found

    def __str__(self) -> str:
        text = (
            f"simulated sequence, {self.times_s[-1]:.6g} s: battery p = {self.battery_z[-1]:.6g}, "
            f"charger p = {self.charger_z[-1]:.6g} (spin labels)\n  {self.engine}"
        )
        if self.detected is not None:
            x, y, z = self.detected
            text += f"\n  detected {self.detected_nucleus}: ({x:.6g}, {y:.6g}, {z:.6g})"
        return text


@dataclass(slots=True)
class StarSimulator:
    """Simulates sequences on one register; keeps what sequences of a sweep have in common.

    Parameters
    ----------
    register : SpinRegister
    equilibrium : {"linear", "exact"}
        "linear": first order in eps, polarisations in units of eps (thermal NMR).  "exact": the
        full thermal Lindbladian; polarisations are absolute, so the register's equilibria are
        multiplied by `polarisation`.
    polarisation : float
        Equilibrium polarisation of the charger for "exact".
    conditions : Conditions
    relaxes : bool
        False switches T1, T2 and cross-relaxation of every spin off, to see what a sequence does
        by itself.
    quiet_segments : bool
        True switches them off inside segments only.
    """

    register: SpinRegister
    equilibrium: Equilibrium = "linear"
    polarisation: float = 1.0
    conditions: Conditions = NOMINAL
    relaxes: bool = True
    quiet_segments: bool = False
    dynamics: StarDynamics = field(init=False, repr=False)
    _states: dict[object, tuple[NDArray[np.int64], Vector]] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self.dynamics = StarDynamics(
            self.register,
            self.equilibrium,
            self.polarisation,
            self.conditions,
            self.relaxes,
            self.quiet_segments,
        )

    def simulate(self, sequence: PulseSequence) -> SimulatedSequence:
        """Simulate one scan that starts in thermal equilibrium."""
        history = _History(self)
        state = self.dynamics.thermal_state()
        node: object = ("start", sequence.tick_s)
        history.record(0.0, state)
        elapsed = 0
        detected: tuple[float, float, float] | None = None
        nucleus: str | None = None
        for event in _without_single_loops(sequence.events):
            if isinstance(event, Acquire):
                if detected is not None:
                    raise ValueError("a sequence must hold one acquisition")
                detected, nucleus = self.dynamics.bloch(state, event.nucleus), event.nucleus
                break
            if isinstance(event, Loop):
                length = sum(e.ticks for e in event.body)
                stationary = False
                for _ in range(event.count):
                    elapsed += length
                    if not stationary:
                        node = (node, event.body)
                        before = state
                        state = self._advance(node, state, event.body, sequence.tick_s)
                        # a cycle that reproduces its state to rounding does so for ever
                        stationary = bool(np.abs(state - before).max() < STATIONARY)
                    history.record(elapsed * sequence.tick_s, state)
            else:
                node = (node, event)
                state = self._advance(node, state, (event,), sequence.tick_s)
                elapsed += event.ticks
                history.record(elapsed * sequence.tick_s, state)
        return SimulatedSequence(
            times_s=np.array(history.times),
            battery_z=np.array(history.battery),
            charger_z=np.array(history.charger),
            detected=detected,
            detected_nucleus=nucleus,
            engine=self.engine,
            load_z=np.array(history.load) if history.load else None,
        )

    @property
    def engine(self) -> str:
        """The engine, its equilibrium and the size of the problem so far."""
        size, largest = self.dynamics.space.dimension, self.dynamics.generators.largest_block
        load = "" if self.register.load is None else " + 1"
        return (
            f"symmetric engine ({self.equilibrium} equilibrium), "
            f"1 + {self.register.satellites}{load} spins, {size} elements, largest block {largest}"
        )

    def fixed_point(self, body: tuple[Event, ...], tick_s: float) -> float:
        """Return the battery's polarisation p* (spin label) where a cycle reproduces itself.

        Raises
        ------
        ConvergenceError
            Where it is not found.
        """
        return self._battery_z(self._limit(body, tick_s))

    def approach(
        self,
        prepare: tuple[Event, ...],
        first: tuple[Event, ...],
        body: tuple[Event, ...],
        tick_s: float,
    ) -> CycleModes:
        """Return how the battery's polarisation (spin label) approaches that fixed point.

        Parameters
        ----------
        prepare : tuple of Event
            From thermal equilibrium to the start of the first cycle.
        first : tuple of Event
            The first cycle where it differs from the others, else empty.
        body : tuple of Event
            Every other cycle.
        tick_s : float

        Raises
        ------
        ConvergenceError
            Where fixed point or modes are not found.
        """
        state = self.dynamics.apply(prepare, self.dynamics.thermal_state(), tick_s)
        before = (self._battery_z(state),) if first else ()
        state = self.dynamics.apply(first, state, tick_s)
        limit = self._limit(body, tick_s)
        factors, weights = modes_of(
            lambda v: self.dynamics.apply(body, v, tick_s), state - limit, self._battery_z
        )
        return CycleModes(
            limit=self._battery_z(limit), before=before, factors=factors, weights=weights
        )

    def _limit(self, body: tuple[Event, ...], tick_s: float) -> Vector:
        return limit_state(
            lambda v: self.dynamics.apply(body, v, tick_s),
            self.dynamics.thermal_state(),
            self.dynamics.space.position(op.ONE),
        )

    def transfer(self, event: Event, tick_s: float) -> Array:
        """Return what an event followed by a crusher does to (centre, mean satellite) z.

        Shape (2, 3), for uncorrelated spins and to first order in eps: column k < 2 is the result
        of polarisation 1 of species k alone, column 2 what relaxation adds.
        """
        return self.transfer_of((event,), tick_s)

    def transfer_of(self, events: tuple[Event, ...], tick_s: float) -> Array:
        """Return what `events`, with nothing crushed between them, do (see `transfer`)."""
        added, *results = (
            self._z_after(events, start, tick_s) for start in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
        )
        return np.array([*(z - added for z in results), added]).T

    def _z_after(
        self, events: tuple[Event, ...], start: tuple[float, float], tick_s: float
    ) -> Array:
        space = self.dynamics.space
        state = self.dynamics.apply(events, space.state(*start, "linear"), tick_s)
        state = space.crush(state)
        return np.array([space.bloch_center(state)[2], space.bloch_satellite(state)[2]])

    def _battery_z(self, state: Vector) -> float:
        return self.dynamics.bloch(state, self.register.battery.isotope)[2]

    def _advance(
        self, node: object, state: Vector, events: tuple[Event, ...], tick_s: float
    ) -> Vector:
        """Return the state after `events`, from the cache where a sweep has been here before."""
        kept = self._states.get(node)
        if kept is not None:
            where, values = kept
            restored = np.zeros_like(state)
            restored[where] = values
            return restored
        state = self.dynamics.apply(events, state, tick_s)
        where = np.flatnonzero(state)
        self._states[node] = (where, state[where])
        return state


def _without_single_loops(events: tuple[Event, ...]) -> Iterator[Event]:
    """Yield the events with loops that run once replaced by their bodies."""
    for event in events:
        if isinstance(event, Loop) and event.count == 1:
            yield from _without_single_loops(event.body)
        else:
            yield event


class _History:
    def __init__(self, simulator: StarSimulator) -> None:
        self.simulator = simulator
        self.times: list[float] = []
        self.battery: list[float] = []
        self.charger: list[float] = []
        self.load: list[float] = []

    def record(self, time_s: float, state: Vector) -> None:
        register = self.simulator.register
        self.times.append(time_s)
        self.battery.append(self.simulator.dynamics.bloch(state, register.battery.isotope)[2])
        self.charger.append(self.simulator.dynamics.bloch(state, register.charger.isotope)[2])
        if register.load is not None:
            self.load.append(self.simulator.dynamics.bloch(state, register.load.isotope)[2])


def simulate_sequence(
    sequence: PulseSequence,
    register: SpinRegister,
    *,
    equilibrium: Equilibrium = "linear",
    polarisation: float = 1.0,
) -> SimulatedSequence:
    """Simulate one scan of a sequence on a register, with T1 and T2 on every spin.

    The scan starts in thermal equilibrium.  Exact for a star with equivalent satellites, with no
    approximation in N; pulses are finite (see StarDynamics).

    Parameters
    ----------
    sequence : PulseSequence
    register : SpinRegister
    equilibrium : {"linear", "exact"}
        First order in eps (polarisations in units of eps), or the full thermal Lindbladian with
        the charger's equilibrium polarisation `polarisation`.
    """
    if not math.isfinite(polarisation):
        raise ValueError("polarisation must be finite")
    simulator = StarSimulator(register, equilibrium, polarisation)
    return simulator.simulate(sequence)
