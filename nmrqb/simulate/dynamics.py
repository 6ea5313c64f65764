"""What the events of a pulse sequence do to the state of a star, finite pulses included."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.quantum import operators as op
from nmrqb.quantum.propagation import Vector
from nmrqb.quantum.rotation import (
    SatelliteRotations,
    effective_rotation,
    satellite_rotations,
)
from nmrqb.quantum.star import Equilibrium, StarSpace, star_space
from nmrqb.sequence.dummy_pulses import DummyPulses
from nmrqb.sequence.events import (
    Crusher,
    Delay,
    DrivenExchange,
    Event,
    Exchange,
    Inversion,
    LoadExchange,
    Loop,
    PhaseFlip,
    PseudoPure,
    Pulse,
    Saturation,
    Segment,
    SimultaneousPulses,
    SpinLock,
)
from nmrqb.simulate.generators import StarGenerators
from nmrqb.spins.register import SpinRegister

#: turns below this (rad) need no inner point: the error, angle^2/12, is that of Simpson's panels
_SMALL_TURN = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Where in the sample a molecule sits: its RF fields and its offsets.

    Attributes
    ----------
    b1_center, b1_satellite : float
        RF field of each channel over the calibrated one.
    offset_center_hz, offset_satellite_hz : float
        Offsets from the carriers.

    A load sees its calibrated field on its carrier.
    """

    b1_center: float = 1.0
    b1_satellite: float = 1.0
    offset_center_hz: float = 0.0
    offset_satellite_hz: float = 0.0


#: on the carriers, in the calibrated field
NOMINAL = Conditions()


@dataclass(slots=True)
class StarDynamics:
    """Applies events to states of one register.

    Parameters
    ----------
    register : SpinRegister
    equilibrium : {"linear", "exact"}
    polarisation : float
        Equilibrium polarisation of the charger for "exact".
    conditions : Conditions
    relaxes : bool
        False switches T1, T2 and cross-relaxation of every spin off.
    quiet_segments : bool
        True switches them off inside segments only: what a translation does by itself.
    """

    register: SpinRegister
    equilibrium: Equilibrium = "linear"
    polarisation: float = 1.0
    conditions: Conditions = NOMINAL
    relaxes: bool = True
    quiet_segments: bool = False
    space: StarSpace = field(init=False, repr=False)
    generators: StarGenerators = field(init=False, repr=False)
    _rotations: SatelliteRotations | None = field(init=False, repr=False, default=None)
    _orders: NDArray[np.int64] = field(init=False, repr=False)
    _quiet: StarDynamics | None = field(init=False, repr=False, default=None)
    _center_rotations: dict[tuple[float, float, float], Vector] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self.space = star_space(self.register.satellites, self.register.load is not None)
        self.generators = StarGenerators(
            self.register, self.space, self.equilibrium, self.polarisation, self.relaxes
        )
        self._orders = self.space.orders

    def thermal_state(self) -> Vector:
        """Return the state of full thermal equilibrium."""
        center, satellite = self.generators.equilibria()
        load = self.generators.load_equilibrium
        return self.space.state(center, satellite, self.equilibrium, load)

    def bloch(self, state: Vector, isotope: str) -> tuple[float, float, float]:
        """Return the Bloch vector of one spin of a species."""
        if isotope == self.register.center.isotope:
            return self.space.bloch_center(state)
        if self.register.load is not None and isotope == self.register.load.isotope:
            return self.space.bloch_load(state)
        return self.space.bloch_satellite(state)

    def apply(self, events: tuple[Event, ...], state: Vector, tick_s: float) -> Vector:
        """Return the state after `events`, none of them an acquisition.

        Free evolution is gathered over delays and the ends of pulses and applied at once.
        """
        pending = _Pending()
        for event in _flat(events, opened=not self.quiet_segments):
            seconds = event.ticks * tick_s
            match event:
                case Delay() | DummyPulses() if self.register.charger.recovery is None:
                    pending = pending.longer(seconds, seconds)
                case Pulse():
                    state, pending = self._pulsed(state, pending, (event,), tick_s)
                case SimultaneousPulses():
                    state, pending = self._pulsed(state, pending, event.pulses, tick_s)
                case Crusher():
                    # a gradient commutes with free precession: what it kills never comes back
                    state = self.space.crush(self._settled(state, pending), event.kept)
                    pending = _Pending(seconds, seconds)
                case PhaseFlip():
                    state, pending = self._settled(state, pending), _Pending()
                    odd = self._orders[:, self._isotopes().index(event.nucleus)] % 2 != 0
                    state = np.where(odd, (1.0 - 2.0 * event.probability) * state, state)
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
            case Delay() | DummyPulses():
                recovery = self.register.charger.recovery
                assert recovery is not None
                measured = ("free", recovery.effective_t1_s(seconds))
                return self._precessed(self.propagate(measured, state, seconds), seconds)
            case Exchange():
                kind = "exchange+relaxation" if event.relaxes else "exchange"
                return self.propagate(kind, state, seconds)
            case LoadExchange():
                return self.propagate(
                    ("load exchange", event.quanta, event.relaxes), state, seconds
                )
            case DrivenExchange():
                return self.propagate(
                    ("driven", event.nutation_hz, event.dephasing_per_s, event.relaxes),
                    state,
                    seconds,
                )
            case SpinLock():
                return self._locked(state, event, seconds)
            case Saturation():
                return self._saturated(state, event, seconds)
            case Segment():
                # met here only where segments are quiet
                if self._quiet is None:
                    self._quiet = replace(self, relaxes=False, quiet_segments=False)
                return self._quiet.apply(event.body, state, seconds / event.ticks)
            case PseudoPure():
                pure = self.space.state(event.sign, event.sign, "exact", event.sign)
                # without the identity no thermal polarisation grows: it cancels in the difference
                pure[self.space.position(op.ONE)] = 0.0
                return pure
            case _:
                raise ValueError("an acquisition must end the sequence, not stand in a loop")

    def _settled(self, state: Vector, pending: _Pending) -> Vector:
        """Return the state after the pending free evolution."""
        if pending.coupled_s:
            state = self.propagate("free", state, pending.coupled_s)
        return self._precessed(state, pending.offset_s)

    def _precessed(self, state: Vector, seconds: float) -> Vector:
        c = self.conditions
        if not seconds or (c.offset_center_hz == 0.0 and c.offset_satellite_hz == 0.0):
            return state
        offsets = 2.0 * np.pi * np.array([c.offset_center_hz, c.offset_satellite_hz])
        return np.asarray(state * np.exp(-1j * seconds * (self._orders[:, :2] @ offsets)))

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
        if steepest < _SMALL_TURN * (1.0 - 1e-9):  # the same rule on either side of rounding
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
            state = self.propagate("free", state, 4.0 * part / 6.0)
            for rotation in rotations:
                state = rotation(state)
            pending = _Pending(part / 6.0, 0.0)
        return state, pending

    def _offset_hz(self, isotope: str) -> float:
        c = self.conditions
        where = self._isotopes().index(isotope)
        return (c.offset_center_hz, c.offset_satellite_hz, 0.0)[where]

    def _isotopes(self) -> tuple[str, ...]:
        """Return the isotopes of centre, satellites and load, in the order of the orders."""
        return tuple(spin.isotope for spin in self.register.spins)

    def _turn(
        self, isotope: str, angle_rad: float, phase_rad: float, precession_rad: float
    ) -> Callable[[Vector], Vector]:
        """Return the rotation by a nominal angle and a precession, in this RF field."""
        self.register.species(isotope)
        c = self.conditions
        scale = (c.b1_center, c.b1_satellite, 1.0)[self._isotopes().index(isotope)]
        return self._rotation(
            isotope, effective_rotation(scale * angle_rad, phase_rad, precession_rad)
        )

    def _rotation(
        self, isotope: str, euler: tuple[float, float, float]
    ) -> Callable[[Vector], Vector]:
        if isotope == self.register.center.isotope:
            matrix = self._center_rotation(euler)
            return lambda v: np.asarray((matrix @ v.reshape(4, -1)).ravel())
        if isotope != self.register.satellite.isotope:
            of_load = op.euler_rotation(euler)
            return lambda v: np.asarray((of_load @ v.reshape(4, 4, -1)).ravel())
        if self._rotations is None:
            n, has_load = self.space.satellites, self.space.has_load
            self._rotations = satellite_rotations(n, has_load)
        rotations = self._rotations
        return lambda v: rotations.rotate(v, euler)

    def _center_rotation(self, euler: tuple[float, float, float]) -> Vector:
        if euler not in self._center_rotations:
            self._center_rotations[euler] = op.euler_rotation(euler)
        return self._center_rotations[euler]

    def _inverted(self, state: Vector, event: Inversion) -> Vector:
        self.register.species(event.nucleus)
        central = event.nucleus == self.register.center.isotope
        only: Literal["center", "satellite"] = "center" if central else "satellite"
        # the mean over axes R_f = Rz(f) R Rz(-f): an order m becomes m' with e^{i(m - m')f}, and
        # with the phases of other pulses only m = m' = 0 survives
        state = self.space.crush(state, only=only)
        turned = self._rotation(event.nucleus, (0.0, event.angle_rad, 0.0))(state)
        return self.space.crush(turned, only=only)

    def _locked(self, state: Vector, event: SpinLock, seconds: float) -> Vector:
        """Return the state after a spin lock, in the frame whose z is the lock axis."""
        c = self.conditions
        mismatch_hz = event.nutation_hz * (c.b1_center - c.b1_satellite)
        # phase y: z' = (cos f, sin f, 0) by the rotation of z about the axis at f + 90 degrees
        tilt = effective_rotation(np.pi / 2.0, event.phase_rad + np.pi / 2.0)
        back = effective_rotation(-np.pi / 2.0, event.phase_rad + np.pi / 2.0)
        for isotope in event.nuclei:
            state = self._rotation(isotope, back)(state)
        state = self.propagate(("lock", mismatch_hz), state, seconds)
        for isotope in event.nuclei:
            state = self._rotation(isotope, tilt)(state)
        return state

    def _saturated(self, state: Vector, event: Saturation, seconds: float) -> Vector:
        central = event.nucleus == self.register.center.isotope
        on: Literal["center", "satellite"] = "center" if central else "satellite"
        alone = self.space.only_without(on)
        return self._precessed(
            self.propagate(("saturation", on), np.where(alone, state, 0.0), seconds), seconds
        )

    def propagate(self, kind: object, state: Vector, seconds: float) -> Vector:
        """Return the state after a generator of `kind` (StarGenerators) has acted for a time."""
        return self.generators.of(kind).propagate(state, seconds)


@dataclass(frozen=True, slots=True)
class _Pending:
    """Free evolution not yet applied: time of coupling and relaxation, time of the offsets."""

    coupled_s: float = 0.0
    offset_s: float = 0.0

    def longer(self, coupled_s: float, offset_s: float) -> _Pending:
        return _Pending(self.coupled_s + coupled_s, self.offset_s + offset_s)


def _flat(events: tuple[Event, ...], *, opened: bool = True) -> Iterator[Event]:
    """Yield the events with loops run and, where `opened`, segments opened."""
    for event in events:
        if isinstance(event, Loop):
            for _ in range(event.count):
                yield from _flat(event.body, opened=opened)
        elif isinstance(event, Segment) and opened:
            yield from _flat(event.body)
        else:
            yield event
