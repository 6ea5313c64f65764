"""Run a pulse sequence on the symmetric engine: a cycle is one map, applied n times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, gmres

from nmrqb.errors import ConvergenceError
from nmrqb.quantum import operators as op
from nmrqb.quantum.propagation import Generator, Vector
from nmrqb.quantum.star import Equilibrium, SpinRelaxation, StarSpace
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

#: change of the largest element in one repetition that counts as none (the identity element is 1)
STATIONARY = 1e-15
#: cycles after which the set of elements that a cycle fills must have stopped growing
_MAX_GROWTH = 8


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
    """

    register: SpinRegister
    equilibrium: Equilibrium = "linear"
    polarisation: float = 1.0
    _space: StarSpace = field(init=False, repr=False)
    _generators: dict[object, Generator] = field(init=False, repr=False, default_factory=dict)
    _states: dict[object, tuple[NDArray[np.int64], Vector]] = field(
        init=False, repr=False, default_factory=dict
    )
    _largest_block: int = field(init=False, repr=False, default=0)

    def __post_init__(self) -> None:
        self._space = StarSpace(self.register.satellites)

    def simulate(self, sequence: PulseSequence) -> SimulatedSequence:
        """Simulate one scan that starts in thermal equilibrium."""
        history = _History(self)
        state = self.thermal_state()
        node: object = ("start", sequence.tick_s)
        history.record(0.0, state)
        elapsed = 0
        detected: tuple[float, float, float] | None = None
        nucleus: str | None = None
        for event in _without_single_loops(sequence.events):
            if isinstance(event, Acquire):
                if detected is not None:
                    raise ValueError("a sequence must hold one acquisition")
                detected, nucleus = self.bloch(state, event.nucleus), event.nucleus
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
        )

    @property
    def engine(self) -> str:
        """The engine, its equilibrium and the size of the problem so far."""
        return (
            f"symmetric engine ({self.equilibrium} equilibrium), 1 + {self.register.satellites} "
            f"spins, {self._space.dimension} elements, largest block {self._largest_block}"
        )

    def fixed_point(self, body: tuple[Event, ...], tick_s: float) -> float:
        """Return the battery's polarisation p* (spin label) where a cycle reproduces itself.

        The state after one cycle is an affine function of the state before; (1 - M) x = s is
        solved by GMRES from the state after two cycles.

        Raises
        ------
        ConvergenceError
            Where the residual does not fall below 1e-10.
        """
        identity = self._space.position(op.ONE)

        def cycle(vector: Vector) -> Vector:
            for event in body:
                vector = self._apply(event, vector, tick_s)
            return vector

        start = self.thermal_state()
        for _ in range(3):
            start = cycle(start)
        unit = np.zeros_like(start)
        unit[identity] = 1.0
        source = cycle(unit) - unit
        # the elements that a cycle ever fills: a few hundred of the 36,556 of 37 spins
        support = np.abs(start) + np.abs(source) > 0.0
        for _ in range(_MAX_GROWTH):
            probe = support.astype(np.complex128)
            grown = support | (np.abs(cycle(probe)) > 0.0)
            if (grown == support).all():
                break
            support = grown
        where = np.flatnonzero(support)

        def residual(x: Vector) -> Vector:
            full = np.zeros_like(start)
            full[where] = np.asarray(x, dtype=np.complex128).ravel()
            return np.asarray((full - cycle(full))[where], dtype=np.complex128)

        guess, wanted = (start - unit)[where], source[where]
        size = len(where)
        operator = LinearOperator((size, size), matvec=residual, dtype=np.complex128)
        found, _ = gmres(operator, wanted, x0=guess, rtol=1e-12, atol=1e-13, restart=80, maxiter=20)
        solution = np.zeros_like(start)
        solution[where] = found
        # on all elements: it also tells where the support was found too small
        error = float(np.abs(solution - cycle(solution) - source).max())
        if not error <= 1e-10:
            raise ConvergenceError(
                "the fixed point of the cycle was not found", value=f"{error:.1e}", limit="1e-10"
            )
        return self._battery_z(solution + unit)

    def thermal_state(self) -> Vector:
        """Return the state of full thermal equilibrium."""
        center, satellite = self._equilibria()
        return self._space.state(center, satellite, self.equilibrium)

    def bloch(self, state: Vector, isotope: str) -> tuple[float, float, float]:
        """Return the Bloch vector of one spin of a species."""
        if isotope == self.register.center.isotope:
            return self._space.bloch_center(state)
        return self._space.bloch_satellite(state)

    def _battery_z(self, state: Vector) -> float:
        return self.bloch(state, self.register.battery.isotope)[2]

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
        for event in events:
            state = self._apply(event, state, tick_s)
        where = np.flatnonzero(state)
        self._states[node] = (where, state[where])
        return state

    def _apply(self, event: Event, state: Vector, tick_s: float) -> Vector:
        seconds = event.ticks * tick_s
        match event:
            case Delay():
                return self._propagate("free", state, seconds)
            case Crusher():
                # a gradient commutes with free precession: what it kills never comes back
                return self._propagate("free", self._space.crush(state), seconds)
            case Exchange():
                kind = "exchange+relaxation" if event.relaxes else "exchange"
                return self._propagate(kind, state, seconds)
            case Pulse():
                # the rotation acts in the middle of the pulse; free evolution for its length
                state = self._propagate("free", state, seconds / 2.0)
                state = self._rotate(event, state)
                return self._propagate("free", state, seconds / 2.0)
            case Loop():
                for _ in range(event.count):
                    for inner in event.body:
                        state = self._apply(inner, state, tick_s)
                return state
            case Acquire():
                raise ValueError("an acquisition must end the sequence, not stand in a loop")

    def _rotate(self, pulse: Pulse, state: Vector) -> Vector:
        self.register.species(pulse.nucleus)
        on = "center" if pulse.nucleus == self.register.center.isotope else "satellite"
        key = ("rotation", on, pulse.angle_rad, pulse.phase_rad)
        if key not in self._generators:
            # half of the rotation twice: the logarithm of a 180 degree rotation is not unique
            half = op.rotation(pulse.angle_rad / 2.0, pulse.phase_rad)
            matrix = self._space.rotation("center" if on == "center" else "satellite", half)
            self._generators[key] = Generator(matrix)
        rotated = self._generators[key].propagate(state, 2.0)
        # what the arithmetic leaves of elements that vanish would only enlarge later blocks
        rotated[np.abs(rotated) < 1e-15 * np.abs(rotated).max()] = 0.0
        return rotated

    def _propagate(self, kind: str, state: Vector, seconds: float) -> Vector:
        if kind not in self._generators:
            self._generators[kind] = Generator(self._generator(kind))
        generator = self._generators[kind]
        self._largest_block = max(self._largest_block, *generator.block_sizes(state))
        return generator.propagate(state, seconds)

    def _generator(self, kind: str) -> sp.csr_array:
        coupling = self.register.coupling_hz.value
        if kind == "exchange":
            return self._space.exchange(coupling)
        relaxation = self._space.relaxation(*self._relaxations(), self.equilibrium)
        if kind == "exchange+relaxation":
            return sp.csr_array(self._space.exchange(coupling) + relaxation)
        return sp.csr_array(self._space.weak_coupling(coupling) + relaxation)

    def _equilibria(self) -> tuple[float, float]:
        register = self.register
        scale = self.polarisation if self.equilibrium == "exact" else 1.0
        battery = scale * register.battery_equilibrium
        charger = scale * register.charger_equilibrium
        return (battery, charger) if register.center.role == "battery" else (charger, battery)

    def _relaxations(self) -> tuple[SpinRelaxation, SpinRelaxation]:
        center, satellite = self._equilibria()
        register = self.register
        return (
            SpinRelaxation(
                t1_s=register.center.t1_s.value,
                t2_s=register.center.t2_s.value,
                equilibrium=center,
            ),
            SpinRelaxation(
                t1_s=register.satellite.t1_s.value,
                t2_s=register.satellite.t2_s.value,
                equilibrium=satellite,
            ),
        )


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

    def record(self, time_s: float, state: Vector) -> None:
        register = self.simulator.register
        self.times.append(time_s)
        self.battery.append(self.simulator.bloch(state, register.battery.isotope)[2])
        self.charger.append(self.simulator.bloch(state, register.charger.isotope)[2])


def simulate_sequence(
    sequence: PulseSequence,
    register: SpinRegister,
    *,
    equilibrium: Equilibrium = "linear",
    polarisation: float = 1.0,
) -> SimulatedSequence:
    """Simulate one scan of a sequence on a register, with T1 and T2 on every spin.

    The scan starts in thermal equilibrium.  Exact for ideal pulses of a star with equivalent
    satellites; no approximation in N.

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
