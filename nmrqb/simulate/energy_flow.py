"""Where polarisation comes from and goes to, stage by stage: exchange, other pulses, relaxation.

The change of every spin's z in a stage is split without approximation.  Free evolution conserves
each z but for relaxation, pulses are instants between pieces of free evolution, and under an
effective Hamiltonian with relaxation the part of relaxation is the integral of its rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

from nmrqb.quantum import operators as op
from nmrqb.quantum.propagation import Vector
from nmrqb.sequence.events import (
    DrivenExchange,
    Event,
    Exchange,
    LoadExchange,
    Loop,
    Segment,
    Stage,
)
from nmrqb.simulate.dynamics import NOMINAL, Conditions, StarDynamics
from nmrqb.spins.register import SpinRegister

Array = NDArray[np.float64]

#: nodes of the integral of a relaxation rate, beside one for each radian that the exchange turns
_NODES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFlow:
    """What one stage does to the polarisations of centre, one satellite and load.

    Spin labels, units of eps, arrays of shape (3,); `after` = `before` + the three parts.

    Attributes
    ----------
    name : str
    duration_s : float
    before, after : ndarray
    by_exchange : ndarray
        In exchanges, INEPT and driven exchanges: moved between species, or by the pulses that make
        them.
    by_pulses : ndarray
        By all other pulses, crushers and RF.
    by_relaxation : ndarray
    """

    name: str
    duration_s: float
    before: Array
    after: Array
    by_exchange: Array
    by_pulses: Array
    by_relaxation: Array


@dataclass(slots=True)
class _MeteredDynamics(StarDynamics):
    """Dynamics that add up what relaxation does to centre, satellite and load."""

    relaxed: Array = field(init=False, repr=False, default_factory=lambda: np.zeros(3))
    _rates: tuple[Array, NDArray[np.complex128]] | None = field(
        init=False, repr=False, default=None
    )

    def levels(self, state: Vector) -> Array:
        """Return <sigma_z> of centre, one satellite and load, shape (3,)."""
        load = self.space.bloch_load(state)[2] if self.space.has_load else 0.0
        return np.array(
            [self.space.bloch_center(state)[2], self.space.bloch_satellite(state)[2], load]
        )

    def propagate(self, kind: object, state: Vector, seconds: float) -> Vector:
        """Return what StarDynamics does, and note what relaxation did to every z."""
        after = StarDynamics.propagate(self, kind, state, seconds)
        if not self.relaxes:
            return after
        match kind:
            case "free" | ("free", _):
                self.relaxed += self.levels(after) - self.levels(state)
            case "exchange+relaxation" | ("driven", _, _, True) | ("load exchange", _, True):
                self.relaxed += self._integral(kind, state, seconds)
            case ("saturation", _):
                self.relaxed += self._integral(kind, state, seconds)
            case _:
                # without relaxation; or a spin lock, along which z is a transverse axis
                pass
        return after

    def _integral(self, kind: object, state: Vector, seconds: float) -> Array:
        """Return what relaxation adds to every z while a generator acts: its integrated rate."""
        register = self.register
        turn = 2.0 * math.pi * abs(register.coupling_hz.value) * (register.satellites + 1)
        if register.load is not None:
            turn = max(turn, 2.0 * math.pi * abs(register.load.coupling_hz.value))
        nodes, weights = leggauss(_NODES + math.ceil(turn * seconds))
        times = 0.5 * seconds * (nodes + 1.0)
        total, reached = np.zeros(3), 0.0
        for time_s, weight in zip(times, weights, strict=True):
            state = StarDynamics.propagate(self, kind, state, float(time_s - reached))
            reached = time_s
            total += 0.5 * seconds * weight * self._relaxation_rate(state)
        return total

    def _relaxation_rate(self, state: Vector) -> Array:
        """Return d<sigma_z>/dt by relaxation alone of centre, one satellite and load."""
        space = self.space
        if self._rates is None:
            matrix = self.generators.matrix("relaxation")
            rows = [space.position(op.Z), space.position(op.ONE, z=1)]
            if space.has_load:
                rows.append(space.position(op.ONE, load=op.Z))
            scale = np.array([1.0, 1.0 / math.sqrt(space.satellites), 1.0])[: len(rows)]
            self._rates = scale, matrix[rows].toarray()
        scale, matrix_rows = self._rates
        rates = np.zeros(3)
        rates[: len(scale)] = scale * (matrix_rows @ state).real
        return rates


@dataclass(slots=True)
class EnergyMeter:
    """Follows scans of one register stage by stage; keeps what rows of a sweep have in common.

    Parameters
    ----------
    register : SpinRegister
    tick_s : float
    conditions : Conditions
    """

    register: SpinRegister
    tick_s: float
    conditions: Conditions = NOMINAL
    dynamics: _MeteredDynamics = field(init=False, repr=False)
    _known: dict[tuple[Stage, ...], tuple[StageFlow, Vector]] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self.dynamics = _MeteredDynamics(self.register, conditions=self.conditions)

    def follow(self, stages: tuple[Stage, ...]) -> tuple[StageFlow, ...]:
        """Return the flow of every stage of a scan that starts in thermal equilibrium.

        Parameters
        ----------
        stages : tuple of Stage
            Without the read-out's acquisition.
        """
        state = self.dynamics.thermal_state()
        found = []
        for k, stage in enumerate(stages):
            passed = stages[: k + 1]
            if passed not in self._known:
                self._known[passed] = self._through(stage, state)
            flow, state = self._known[passed]
            found.append(flow)
        return tuple(found)

    def _through(self, stage: Stage, state: Vector) -> tuple[StageFlow, Vector]:
        meter = self.dynamics
        before = meter.levels(state)
        exchanged, pulsed, relaxed = np.zeros(3), np.zeros(3), np.zeros(3)
        for event in _each(stage.events):
            at_start = meter.levels(state)
            meter.relaxed = np.zeros(3)
            state = meter.apply((event,), state, self.tick_s)
            moved = meter.levels(state) - at_start - meter.relaxed
            relaxed += meter.relaxed
            if stage.name == "discharge" or _is_exchange(event):
                exchanged += moved
            else:
                pulsed += moved
        flow = StageFlow(
            name=stage.name,
            duration_s=stage.ticks * self.tick_s,
            before=before,
            after=meter.levels(state),
            by_exchange=exchanged,
            by_pulses=pulsed,
            by_relaxation=relaxed,
        )
        return flow, state


def _each(events: tuple[Event, ...]) -> Iterator[Event]:
    """Yield the events with loops run; segments stay whole."""
    for event in events:
        if isinstance(event, Loop):
            for _ in range(event.count):
                yield from _each(event.body)
        else:
            yield event


def _is_exchange(event: Event) -> bool:
    if isinstance(event, Segment):
        # a driven exchange has no action of its own on z
        return event.is_transfer or not any(event.action)
    return isinstance(event, (Exchange, LoadExchange, DrivenExchange))
