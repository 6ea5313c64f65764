"""How far a compiled protocol may stray from its ideal target, known before it is simulated.

What a cycle does from crusher to crusher is measured once, on uncorrelated spins
(`StarSimulator.transfer_of`: a 2 x 3 map of the polarisations of centre and mean satellite), on
every rung from the ideal target to the compiled protocol (``studies.rungs``).  With M_c the map of
one cycle on rung c and Y_c the polarisations there, the difference D_c = Y_c - Y_{c-1} that cause
c makes obeys

    D_c(k + 1) = M_c D_c(k) + (M_c - M_{c-1}) Y_{c-1}(k),

so that |D_c(n)| <= sum_k |M_c^{n-k}| |(M_c - M_{c-1}) Y_{c-1}(k)|, element by element: the bound
of the cause.  Two things are left out and allowed for.  Coherence that an imperfect crusher leaves
adds its size to each cycle.  Order between the spins, which crushers do not kill (homonuclear
zero-quantum and longitudinal two-spin order), carries some of each difference along from the
second cycle on: MEMORY times the largest share of it that survives the waits of a cycle.  MEMORY
is calibrated, not derived: it was chosen on some 3,000 random protocols, those of the tests among
them, none of which strays further than stated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmrqb.models.closed_map import until_readout
from nmrqb.protocol.steps import (
    Crush,
    DrivenExchangeStep,
    Echo,
    ExchangeStep,
    Inept,
    PulseStep,
)
from nmrqb.sequence.events import Crusher, Delay, Event, Loop
from nmrqb.simulate.simulator import StarSimulator
from nmrqb.studies.plan import Plan
from nmrqb.studies.rungs import Rung, rungs_of

Array = NDArray[np.float64]
Events = tuple[Event, ...]

#: what fully surviving order between spins may add to the bound, in units of it
MEMORY = 11.0
#: what differences of second order may add, as a share of the bound
_SECOND_ORDER = 0.3
#: below this nothing is promised: rounding of the arithmetic and of the target's own clock
FLOOR = 3e-6
#: steps that turn polarisation into longitudinal order of a pair
_MIXES = (Inept, DrivenExchangeStep, Echo)
#: powers of a cycle's map that are summed; later cycles repeat what these have reached
_MOST_CYCLES = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBound:
    """Largest deviation of the battery's polarisation from the ideal target, by cause.

    Attributes
    ----------
    by_cause : dict
        Cause -> bound of each row, shape (rows,); in units of eps, which is also the deviation of
        the energy in hbar |omega_B| eps/2.
    memory : ndarray, shape (rows,)
        Allowance for order between spins, and for differences of second order.
    """

    by_cause: dict[str, Array]
    memory: Array

    @property
    def rows(self) -> Array:
        """Bound of each row, shape (rows,)."""
        total = FLOOR + self.memory
        for part in self.by_cause.values():
            total = total + part
        return total

    @property
    def largest(self) -> float:
        """The bound: no row strays further."""
        return float(self.rows.max())


def why_no_bound(plan: Plan) -> str | None:
    """Return why no error bound is stated for a plan, or None where it is."""
    protocol = plan.protocol
    if plan.compiled.reference is None or protocol.fid.target != "battery":
        return "an error bound is stated for the battery's polarisation against a reference"
    if protocol.discharge:
        return "a discharge is simulated and not bounded"
    if protocol.start == "pseudo-pure":
        return "a pseudo-pure start is correlated: only the verdict holds"
    if protocol.simulation.b1_points > 1 or protocol.simulation.offset_points > 1:
        return "over a sample whose fields differ only the verdict holds"
    again = max(protocol.at(row).cycles for row in range(protocol.rows)) > 1
    if again and any(isinstance(step, Inept) for step in protocol.cycle):
        return "a repeated INEPT turns the order that earlier ones left: only the verdict holds"
    leaves = (ExchangeStep, Inept, DrivenExchangeStep, Echo, PulseStep)
    steps = [*protocol.cycle, protocol.readout[0]]
    for k, step in enumerate(protocol.cycle):
        if isinstance(step, leaves) and not isinstance(steps[k + 1], Crush):
            return f"cycle.{k} leaves coherence that no crusher follows"
        if isinstance(step, leaves) and k == len(protocol.cycle) - 1:
            return f"cycle.{k} leaves coherence into the next cycle: put a crusher behind it"
    if protocol.fid.excitation == "none":
        return "without a read-out pulse the battery's polarisation is not what is read"
    return None


def error_bound(plan: Plan) -> ErrorBound:
    """Return the error bound of a plan.

    Raises
    ------
    ValueError
        Where none is stated (`why_no_bound`).
    """
    reason = why_no_bound(plan)
    if reason is not None:
        raise ValueError(reason)
    register = plan.register
    rungs = rungs_of(plan)
    maps = [_RungMaps(rung) for rung in rungs]
    rows = range(plan.protocol.rows)
    place = 0 if register.center.role == "battery" else 1
    equilibria = (register.battery_equilibrium, register.charger_equilibrium)
    start = np.array([*(equilibria if place == 0 else equilibria[::-1]), 1.0])
    leak = _Leak.of(plan)
    by_cause = {}
    for k, rung in enumerate(rungs[1:], start=1):
        left = leak if rung.cause == "field and tips" else _Leak(0.0, 0.0, 0.0)
        by_cause[rung.cause] = np.array(
            [_bound(start, maps[k - 1].parts(row), maps[k].parts(row), left)[place] for row in rows]
        )
    again = np.array([plan.protocol.at(row).cycles > 1 for row in rows])
    share = _SECOND_ORDER + MEMORY * surviving_order(plan) * again
    return ErrorBound(by_cause=by_cause, memory=share * sum(by_cause.values()))


def _waited(plan: Plan) -> float:
    """Return how long the waits of one cycle take, seconds."""
    waits = [e.ticks for e in plan.compiled.cycle if isinstance(e, Delay)]
    return sum(waits) * plan.spectrometer.tick_s


def surviving_order(plan: Plan) -> float:
    """Return the largest share of two-spin order that survives the waits of one cycle.

    Zero-quantum order between satellites decays with 2/T2, their longitudinal order with 2/T1, that
    of a pair of centre and satellite with the sum of both 1/T1.  Exchange of one pair makes none of
    them that a crusher leaves.
    """
    register = plan.register
    steps = plan.protocol.cycle
    if register.satellites == 1 and not any(isinstance(s, _MIXES) for s in steps):
        return 0.0
    recovery = register.charger.recovery
    charger_t1 = register.charger.t1_s.value if recovery is None else recovery.t1_range_s[1]
    t1 = {"charger": charger_t1, "battery": register.battery.t1_s.value}
    satellite = register.satellite
    rates = [1.0 / t1["charger"] + 1.0 / t1["battery"]]
    if register.satellites > 1:
        rates += [2.0 / satellite.t2_s.value, 2.0 / t1[satellite.role]]
    return math.exp(-_waited(plan) * min(rates))


@dataclass(frozen=True, slots=True)
class _Parts:
    """Maps (3 x 3) before the loop of the cycles, of one repetition, and after the loop."""

    before: Array
    body: Array
    count: int
    after: Array


class _RungMaps:
    """Measures a rung's events from crusher to crusher."""

    def __init__(self, rung: Rung) -> None:
        assert isinstance(rung.simulator, StarSimulator)
        self.simulator = rung.simulator
        self.sequences = rung.sequences
        self.measured: dict[Events, Array] = {}

    def parts(self, row: int) -> _Parts:
        events = until_readout(self.sequences[row])
        where = next((k for k, e in enumerate(events) if isinstance(e, Loop)), None)
        if where is None:
            return _Parts(self._of(events), np.eye(3), 0, np.eye(3))
        loop = events[where]
        assert isinstance(loop, Loop)
        # what follows the last crusher of a cycle runs into the next one
        head, tail = _split(loop.body)
        return _Parts(
            self._of((*events[:where], *head)),
            self._of((*tail, *head)),
            loop.count - 1,
            self._of((*tail, *events[where + 1 :])),
        )

    def _of(self, events: Events) -> Array:
        total = np.eye(3)
        run: Events = ()
        for k, event in enumerate(events):
            run = (*run, event)
            if isinstance(event, Crusher) or k == len(events) - 1:
                total = self._measured(run) @ total
                run = ()
        return total

    def _measured(self, run: Events) -> Array:
        if run not in self.measured:
            matrix = self.simulator.transfer_of(run, self.sequences[0].tick_s)
            self.measured[run] = np.vstack([matrix, [0.0, 0.0, 1.0]])
        return self.measured[run]


def _split(body: Events) -> tuple[Events, Events]:
    """Return a cycle up to its last crusher, and what follows it."""
    last = max((k for k, e in enumerate(body) if isinstance(e, Crusher)), default=len(body) - 1)
    return body[: last + 1], body[last + 1 :]


@dataclass(frozen=True, slots=True)
class _Leak:
    """Coherence of unit polarisation that imperfect crushers leave for the next exchange."""

    first: float
    again: float
    read: float

    @classmethod
    def of(cls, plan: Plan) -> _Leak:
        """Return what the preparation leaves, what every cycle does, and what the read-out shows.

        The FID shows what two crushers leave of the preparation's pulses.

        Undriven exchange turns only its own heteronuclear zero-quantum coherence, half of a
        difference of polarisations, back into polarisation; a drive turns every coherence.
        """
        residual, register = plan.spectrometer.crusher_residual, plan.register
        rates = [1.0 / register.center.t2_s.value, 1.0 / register.satellite.t2_s.value]
        waited = _waited(plan)
        if not any(isinstance(step, _MIXES) for step in plan.protocol.cycle):
            return cls(0.0, 0.5 * residual * math.exp(-waited * sum(rates)), 2.0 * residual**2)
        largest = residual * math.sqrt(register.satellites)
        return cls(largest, largest * math.exp(-waited * min(rates)), 2.0 * residual**2)


def _bound(start: Array, above: _Parts, here: _Parts, leak: _Leak) -> Array:
    """Return the bound of one cause for (centre, satellite), shape (2,)."""
    y = above.before @ start
    kicks = [
        np.abs((here.before - above.before) @ start)[:2] + leak.first * np.abs(start[:2]).max()
    ]
    for _ in range(min(here.count, _MOST_CYCLES)):
        kicks.append(np.abs((here.body - above.body) @ y)[:2] + leak.again * np.abs(y[:2]).max())
        y = above.body @ y
    # kick k passes through all later cycles
    error, power = np.zeros(2), np.eye(2)
    for kick in reversed(kicks):
        error += np.abs(power) @ kick
        power = power @ here.body[:2, :2]
    last = np.abs((here.after - above.after) @ y)[:2] + leak.read * np.abs(start[:2]).max()
    return np.asarray(np.abs(here.after[:2, :2]) @ error + last)
