"""Run a pulse sequence on the symmetric engine: a cycle is one map, applied n times."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, gmres

from nmrqb.errors import ConvergenceError
from nmrqb.quantum import operators as op
from nmrqb.quantum.propagation import Generator, Vector
from nmrqb.quantum.rotation import SatelliteRotations, effective_rotation
from nmrqb.quantum.star import Equilibrium, SpinRelaxation, StarSpace
from nmrqb.sequence.events import (
    Acquire,
    Crusher,
    Delay,
    DrivenExchange,
    Event,
    Exchange,
    Inversion,
    Loop,
    PseudoPure,
    Pulse,
    PulseSequence,
    Saturation,
    Segment,
    SimultaneousPulses,
    SpinLock,
)
from nmrqb.spins.register import SpinRegister

Array = NDArray[np.float64]

#: change of the largest element in one repetition that counts as none (the identity element is 1)
STATIONARY = 1e-15
#: turns below this (rad) need no inner point: the error, angle^2/12, is that of Simpson's panels
_SMALL_TURN = 0.35
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Where in the sample a molecule sits: its RF fields and its offsets.

    Attributes
    ----------
    b1_center, b1_satellite : float
        RF field of each channel over the calibrated one.
    offset_center_hz, offset_satellite_hz : float
        Offsets from the carriers.
    """

    b1_center: float = 1.0
    b1_satellite: float = 1.0
    offset_center_hz: float = 0.0
    offset_satellite_hz: float = 0.0


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
    """

    register: SpinRegister
    equilibrium: Equilibrium = "linear"
    polarisation: float = 1.0
    conditions: Conditions = Conditions()
    relaxes: bool = True
    _space: StarSpace = field(init=False, repr=False)
    _rotations: SatelliteRotations | None = field(init=False, repr=False, default=None)
    _generators: dict[object, Generator] = field(init=False, repr=False, default_factory=dict)
    _states: dict[object, tuple[NDArray[np.int64], Vector]] = field(
        init=False, repr=False, default_factory=dict
    )
    _orders: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._space = StarSpace(self.register.satellites)
        self._orders = self._space.orders

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
        largest = max((g.largest_block for g in self._generators.values()), default=0)
        return (
            f"symmetric engine ({self.equilibrium} equilibrium), 1 + {self.register.satellites} "
            f"spins, {self._space.dimension} elements, largest block {largest}"
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
            return self._apply(body, vector, tick_s)

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

    def transfer(self, event: Event, tick_s: float) -> Array:
        """Return what an event followed by a crusher does to (centre, mean satellite) z.

        Shape (2, 2), for uncorrelated spins and to first order in eps: column k is the result of
        polarisation 1 of species k alone.
        """
        columns = []
        for start in ((1.0, 0.0), (0.0, 1.0)):
            state = self._space.state(*start, "linear")
            state = self._space.crush(self._apply((event,), state, tick_s))
            columns.append(
                [self._space.bloch_center(state)[2], self._space.bloch_satellite(state)[2]]
            )
        return np.array(columns).T

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
        state = self._apply(events, state, tick_s)
        where = np.flatnonzero(state)
        self._states[node] = (where, state[where])
        return state

    def _apply(self, events: tuple[Event, ...], state: Vector, tick_s: float) -> Vector:
        """Return the state after `events`, none of them an acquisition.

        Free evolution is gathered over delays and the ends of pulses and applied at once.
        """
        pending = _Pending()
        for event in _flat(events):
            seconds = event.ticks * tick_s
            match event:
                case Delay() if self.register.charger.recovery is None:
                    pending = pending.longer(seconds, seconds)
                case Pulse():
                    state, pending = self._pulsed(state, pending, (event,), tick_s)
                case SimultaneousPulses():
                    state, pending = self._pulsed(state, pending, event.pulses, tick_s)
                case Crusher():
                    # a gradient commutes with free precession: what it kills never comes back
                    state = self._space.crush(self._settled(state, pending), event.residual)
                    pending = _Pending(seconds, seconds)
                case Inversion():
                    state = self._settled(state, pending.longer(seconds / 2.0, seconds / 2.0))
                    state = self._inverted(state, event)
                    pending = _Pending(seconds / 2.0, seconds / 2.0)
                case _:
                    state = self._alone(event, self._settled(state, pending), seconds)
                    pending = _Pending()
        return self._settled(state, pending)

    def _alone(self, event: Event, state: Vector, seconds: float) -> Vector:
        """Return the state after an event that has a generator of its own."""
        match event:
            case Delay():
                recovery = self.register.charger.recovery
                assert recovery is not None
                measured = ("free", recovery.effective_t1_s(seconds))
                return self._precessed(self._propagate(measured, state, seconds), seconds)
            case Exchange():
                kind = "exchange+relaxation" if event.relaxes else "exchange"
                return self._propagate(kind, state, seconds)
            case DrivenExchange():
                return self._propagate(
                    ("driven", event.nutation_hz, event.dephasing_per_s, event.relaxes),
                    state,
                    seconds,
                )
            case SpinLock():
                return self._locked(state, event, seconds)
            case Saturation():
                return self._saturated(state, event, seconds)
            case PseudoPure():
                pure = self._space.state(event.sign, event.sign, "exact")
                # without the identity no thermal polarisation grows: it cancels in the difference
                pure[self._space.position(op.ONE)] = 0.0
                return pure
            case _:
                raise ValueError("an acquisition must end the sequence, not stand in a loop")

    def _settled(self, state: Vector, pending: _Pending) -> Vector:
        """Return the state after the pending free evolution."""
        if pending.coupled_s:
            state = self._propagate("free", state, pending.coupled_s)
        return self._precessed(state, pending.offset_s)

    def _precessed(self, state: Vector, seconds: float) -> Vector:
        c = self.conditions
        if not seconds or (c.offset_center_hz == 0.0 and c.offset_satellite_hz == 0.0):
            return state
        offsets = 2.0 * np.pi * np.array([c.offset_center_hz, c.offset_satellite_hz])
        return np.asarray(state * np.exp(-1j * seconds * (self._orders @ offsets)))

    def _pulsed(
        self, state: Vector, pending: _Pending, pulses: tuple[Pulse, ...], tick_s: float
    ) -> tuple[Vector, _Pending]:
        """Return the state after the rotations of pulses, and what is pending behind them.

        Coupling and relaxation act while a pulse turns the spins: the pulse is cut into panels of
        at most 90 degrees, each by Simpson's rule into [1/6, half turn, 4/6, half turn, 1/6], or
        into [1/2, turn, 1/2] where it turns the spins by little.
        """
        lengths = {pulse: pulse.ticks * tick_s for pulse in pulses}
        edges = sorted({half * s / 2.0 for s in lengths.values() for half in (-1, 1)})
        for begin, end in itertools.pairwise(edges):
            middle = (begin + end) / 2.0
            on = [pulse for pulse in pulses if abs(middle) < lengths[pulse] / 2.0]
            fields = {p.nucleus: (p.angle_rad / lengths[p], p.phase_rad) for p in on}
            state, pending = self._turned(state, pending, fields, end - begin)
        # what the arithmetic leaves of elements that vanish would only enlarge later blocks
        state[np.abs(state) < 1e-16 * np.abs(state).max()] = 0.0
        return state, pending

    def _turned(
        self,
        state: Vector,
        pending: _Pending,
        fields: dict[str, tuple[float, float]],
        seconds: float,
    ) -> tuple[Vector, _Pending]:
        """Apply fields {nucleus: (nutation in rad/s, phase)} for a time, panel by panel."""
        turns = []
        for isotope in self._isotopes():
            nutation, phase = fields.get(isotope, (0.0, 0.0))
            turns.append((isotope, nutation * seconds, phase, self._offset_hz(isotope) * seconds))
        steepest = max(
            math.hypot(angle, 2.0 * math.pi * off) for i, angle, _, off in turns if i in fields
        )
        panels = max(1, math.ceil(steepest / (math.pi / 2.0) - 1e-9))
        if steepest < _SMALL_TURN:
            state = self._settled(state, pending.longer(seconds / 2.0, 0.0))
            for isotope, angle, phase, off in turns:
                if angle or off:
                    whole = self._turn(isotope, angle, phase, 2.0 * math.pi * off)
                    state = whole(state)
            return state, _Pending(seconds / 2.0, 0.0)
        half = 1.0 / (2 * panels)
        rotations = [
            self._turn(isotope, half * angle, phase, 2.0 * math.pi * half * off)
            for isotope, angle, phase, off in turns
            if angle or off
        ]
        part = seconds / panels
        for _ in range(panels):
            state = self._settled(state, pending.longer(part / 6.0, 0.0))
            for rotation in rotations:
                state = rotation(state)
            state = self._propagate("free", state, 4.0 * part / 6.0)
            for rotation in rotations:
                state = rotation(state)
            pending = _Pending(part / 6.0, 0.0)
        return state, pending

    def _offset_hz(self, isotope: str) -> float:
        c = self.conditions
        central = isotope == self.register.center.isotope
        return c.offset_center_hz if central else c.offset_satellite_hz

    def _isotopes(self) -> tuple[str, str]:
        return self.register.center.isotope, self.register.satellite.isotope

    def _turn(
        self, isotope: str, angle_rad: float, phase_rad: float, precession_rad: float
    ) -> Callable[[Vector], Vector]:
        """Return the rotation by a nominal angle and a precession, in this RF field."""
        self.register.species(isotope)
        central = isotope == self.register.center.isotope
        scale = self.conditions.b1_center if central else self.conditions.b1_satellite
        return self._rotation(
            isotope, effective_rotation(scale * angle_rad, phase_rad, precession_rad)
        )

    def _rotation(
        self, isotope: str, euler: tuple[float, float, float]
    ) -> Callable[[Vector], Vector]:
        if isotope == self.register.center.isotope:
            matrix = op.euler_rotation(euler)
            return lambda v: np.asarray((matrix @ v.reshape(4, -1)).ravel())
        if self._rotations is None:
            self._rotations = SatelliteRotations(self._space)
        rotations = self._rotations
        return lambda v: rotations.rotate(v, euler)

    def _inverted(self, state: Vector, event: Inversion) -> Vector:
        self.register.species(event.nucleus)
        turned = self._rotation(event.nucleus, (0.0, event.angle_rad, 0.0))(state)
        central = event.nucleus == self.register.center.isotope
        # the axis differs over the sample: only order 0 of this species is left
        return self._space.crush(turned, only="center" if central else "satellite")

    def _locked(self, state: Vector, event: SpinLock, seconds: float) -> Vector:
        """Return the state after a spin lock, in the frame whose z is the lock axis."""
        c = self.conditions
        mismatch_hz = event.nutation_hz * (c.b1_center - c.b1_satellite)
        # phase y: z' = (cos f, sin f, 0) by the rotation of z about the axis at f + 90 degrees
        tilt = effective_rotation(np.pi / 2.0, event.phase_rad + np.pi / 2.0)
        back = effective_rotation(-np.pi / 2.0, event.phase_rad + np.pi / 2.0)
        for isotope in event.nuclei:
            state = self._rotation(isotope, back)(state)
        state = self._propagate(("lock", mismatch_hz), state, seconds)
        for isotope in event.nuclei:
            state = self._rotation(isotope, tilt)(state)
        return state

    def _saturated(self, state: Vector, event: Saturation, seconds: float) -> Vector:
        central = event.nucleus == self.register.center.isotope
        on: Literal["center", "satellite"] = "center" if central else "satellite"
        key: object = ("saturation", on)
        matrix, alone = self._space.without(on, self._generator_of("free").matrix)
        if key not in self._generators:
            self._generators[key] = Generator(matrix)
        return self._precessed(self._propagate(key, np.where(alone, state, 0.0), seconds), seconds)

    def _propagate(self, kind: object, state: Vector, seconds: float) -> Vector:
        return self._generator_of(kind).propagate(state, seconds)

    def _generator_of(self, kind: object) -> Generator:
        if kind not in self._generators:
            self._generators[kind] = Generator(self._matrix(kind))
        return self._generators[kind]

    def _matrix(self, kind: object) -> sp.csr_array:
        coupling, space = self.register.coupling_hz.value, self._space
        match kind:
            case "free":
                return sp.csr_array(space.weak_coupling(coupling) + self._relaxation())
            case ("free", float(charger_t1_s)):
                return sp.csr_array(space.weak_coupling(coupling) + self._relaxation(charger_t1_s))
            case "exchange":
                return space.exchange(coupling)
            case "exchange+relaxation":
                return sp.csr_array(space.exchange(coupling) + self._relaxation())
            case ("driven", float(nutation_hz), float(dephasing_per_s), bool(relaxes)):
                central = self.register.center.role == "charger"
                dephasing = op.relaxation(
                    math.inf, 2.0 / dephasing_per_s if dephasing_per_s else (math.inf), 0.0
                )
                total = space.exchange(coupling) + space.drive(
                    "center" if central else "satellite", 2.0 * np.pi * nutation_hz
                )
                total = total + (
                    space.on_center(dephasing) if central else space.on_satellites(dephasing)
                )
                return sp.csr_array(total + self._relaxation() if relaxes else total)
            case ("lock", float(mismatch_hz)):
                total = space.exchange(coupling / 2.0) + self._lock_relaxation()
                half = np.pi * mismatch_hz
                precession = sp.diags_array(-1j * space.precession(half, -half))
                return sp.csr_array(total + precession)
            case _:
                raise ValueError(f"no such generator: {kind!r}")

    def _relaxation(self, charger_t1_s: float | None = None) -> sp.csr_array:
        space = self._space
        if not self.relaxes:
            return sp.csr_array((space.dimension, space.dimension), dtype=np.complex128)
        return space.relaxation(
            *self._relaxations(charger_t1_s), self.equilibrium, self.register.pair_rate_per_s
        )

    def _lock_relaxation(self) -> sp.csr_array:
        """Return T1rho along the lock and the mean of 1/T1 and 1/T2 across it; no equilibrium."""
        space = self._space
        if not self.relaxes:
            return sp.csr_array((space.dimension, space.dimension), dtype=np.complex128)
        center, satellite = (
            SpinRelaxation(
                t1_s=species.spin_lock_t1_s,
                t2_s=2.0 / (1.0 / species.t1_s.value + 1.0 / species.t2_s.value),
                equilibrium=0.0,
            )
            for species in (self.register.center, self.register.satellite)
        )
        return space.relaxation(center, satellite, self.equilibrium)

    def _equilibria(self) -> tuple[float, float]:
        register = self.register
        scale = self.polarisation if self.equilibrium == "exact" else 1.0
        battery = scale * register.battery_equilibrium
        charger = scale * register.charger_equilibrium
        return (battery, charger) if register.center.role == "battery" else (charger, battery)

    def _relaxations(
        self, charger_t1_s: float | None = None
    ) -> tuple[SpinRelaxation, SpinRelaxation]:
        center, satellite = (
            SpinRelaxation(
                t1_s=(
                    charger_t1_s
                    if charger_t1_s is not None and species.role == "charger"
                    else species.t1_s.value
                ),
                t2_s=species.t2_s.value,
                equilibrium=equilibrium,
            )
            for species, equilibrium in zip(
                (self.register.center, self.register.satellite), self._equilibria(), strict=True
            )
        )
        return center, satellite


@dataclass(frozen=True, slots=True)
class _Pending:
    """Free evolution not yet applied: time of coupling and relaxation, time of the offsets."""

    coupled_s: float = 0.0
    offset_s: float = 0.0

    def longer(self, coupled_s: float, offset_s: float) -> _Pending:
        return _Pending(self.coupled_s + coupled_s, self.offset_s + offset_s)


def _flat(events: tuple[Event, ...]) -> Iterator[Event]:
    """Yield the events with loops run and segments opened."""
    for event in events:
        if isinstance(event, Loop):
            for _ in range(event.count):
                yield from _flat(event.body)
        elif isinstance(event, Segment):
            yield from _flat(event.body)
        else:
            yield event


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
