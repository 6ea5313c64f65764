"""Charging time and long-time energy of a protocol whose parameters were fitted.

Both belong to the repeated cycle: the fixed point that it approaches, and how fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.costly_fit import CostlyFit
from nmrqb.analysis.curve_fit import FittedParameter
from nmrqb.analysis.derived import Level, ThresholdTime, TimeOfFactor, derive
from nmrqb.battery.charging_time import Definition
from nmrqb.battery.cycle_modes import CycleModes
from nmrqb.battery.energy import NMR_ENERGY_UNIT
from nmrqb.errors import ConvergenceError
from nmrqb.sequence.events import Event, Loop
from nmrqb.studies.plan import Plan, make_closed_map, make_simulator

Array = NDArray[np.float64]
Engine = Literal["map", "simulated"]

#: name -> definition of the charging times that follow from a protocol
TAUS: dict[str, Definition] = {"tau": "slowest-mode", "tau_threshold": "threshold"}
#: levels, after 0, 1, 2, ... cycles, of which the threshold is taken, besides twice as many as it
#: takes: later ones follow the slowest mode.  Of more than the most there is no threshold.
_FEWEST_LEVELS, _MOST_LEVELS = 9, 4096
_NAMES = {"tau": "s", "tau_threshold": "s", "E_inf": NMR_ENERGY_UNIT}


@dataclass(frozen=True, slots=True, kw_only=True)
class LongTime:
    """What follows from a fitted protocol.

    Attributes
    ----------
    parameters : dict of str to FittedParameter
        tau, tau_threshold and E_inf; withheld with the reason where the protocol has no limit.
    warnings : tuple of str
    """

    parameters: dict[str, FittedParameter]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedCycle:
    """The events of a protocol that repeats one cycle.

    Attributes
    ----------
    prepare, first, body : tuple of Event
        Up to the first cycle; the first cycle where it is not like the others; every other one.
    tick_s : float
    """

    prepare: tuple[Event, ...]
    first: tuple[Event, ...]
    body: tuple[Event, ...]
    tick_s: float

    @property
    def cycle_s(self) -> float:
        """Length of a cycle."""
        return sum(e.ticks for e in self.body) * self.tick_s

    @property
    def first_s(self) -> float:
        """Length of the first cycle."""
        return sum(e.ticks for e in self.first or self.body) * self.tick_s


def why_no_limit(plan: Plan) -> str | None:
    """Return why a protocol has no tau and E_inf, or None where it has them."""
    protocol = plan.protocol
    rows = [protocol.at(row) for row in range(protocol.rows)]
    if protocol.start == "pseudo-pure":
        return "a pseudo-pure start decays: its long-time energy is no property of the charging"
    if protocol.fid.target != "battery" or protocol.discharge:
        return "the rows do not show the battery at the end of its charging"
    if not plan.is_reenergised:
        return "the protocol approaches no limit: its chargers are not re-energised"
    if any((r.prepare, r.cycle) != (rows[0].prepare, rows[0].cycle) for r in rows):
        return "the sweep changes the cycle: every row has a limit of its own"
    if max(r.cycles for r in rows) == 0:
        return "the protocol approaches no limit: it has no cycle"
    return None


def repeated_cycle(plan: Plan) -> RepeatedCycle:
    """Return the events of a plan that has a limit."""
    cycles = [plan.protocol.at(row).cycles for row in range(plan.protocol.rows)]
    prepare, charge, *_ = (s.events for s in plan.compiled.stages[int(np.argmax(cycles))])
    loop = charge[-1]
    repeats = isinstance(loop, Loop) and loop.body == plan.compiled.cycle
    return RepeatedCycle(
        prepare=prepare,
        first=charge[:-1] if repeats else charge,
        body=plan.compiled.cycle,
        tick_s=plan.spectrometer.tick_s,
    )


def cycle_modes(plan: Plan, engine: Engine, transfer: float | None = None) -> CycleModes:
    """Return how the battery's polarisation (spin label) approaches its limit.

    Parameters
    ----------
    plan : Plan
    engine : {"map", "simulated"}
    transfer : float, optional
        b of every exchange of the map, in place of that of J.

    Raises
    ------
    ValueError or ConvergenceError
        Where the cycle has no fixed point, or it is not found.
    """
    c = repeated_cycle(plan)
    if engine == "map":
        closed = replace(make_closed_map(plan), transfer=transfer)
        return closed.approach(c.prepare, c.first, c.body)
    return make_simulator(plan).approach(c.prepare, c.first, c.body, c.tick_s)


def long_time(
    plan: Plan,
    found: CostlyFit,
    engine: Engine,
    changed: Callable[[Mapping[str, float]], Plan],
) -> LongTime:
    """Return tau and E_inf of a fitted protocol with their errors.

    Parameters
    ----------
    plan : Plan
    found : CostlyFit
    engine : {"map", "simulated"}
    changed : callable
        Values of the free parameters to the plan with them.
    """
    reason = why_no_limit(plan)
    if reason is not None:
        withheld = {
            name: FittedParameter(
                value=None, stderr=None, ci95=(None, None), unit=unit, reason=reason
            )
            for name, unit in _NAMES.items()
        }
        return LongTime(parameters=withheld, warnings=())
    c = repeated_cycle(plan)
    sign = plan.register.battery.nucleus.sign

    def modes_of(values: Mapping[str, float]) -> CycleModes | None:
        try:
            return cycle_modes(changed(values), engine, values.get("b"))
        except (ValueError, ConvergenceError):
            return None

    best = modes_of(found.fit.estimates)
    count = _levels_of(best, c)

    def quantities(values: Mapping[str, float]) -> Array:
        modes = modes_of(values)
        if modes is None:
            return np.full(2 + count, np.nan)
        limit, levels = -sign * modes.limit, -sign * modes.levels(count)
        if modes.slowest is None:  # it starts at its limit
            return np.array([np.nan, limit, *np.full(count, np.nan)])
        if count == _MOST_LEVELS:
            levels = np.full(count, np.nan)
        return np.array([abs(modes.slowest), limit, *levels])

    wanted = (
        TimeOfFactor(name="tau", cycle_s=c.cycle_s),
        ThresholdTime(name="tau_threshold", cycle_s=c.cycle_s, first_s=c.first_s),
        Level(name="E_inf", unit=_NAMES["E_inf"], at=1),
    )
    parameters, warnings = derive(found, quantities, wanted)
    slowest = None if best is None else best.slowest
    if slowest is not None and slowest.real < -abs(slowest.imag):
        said = f"the energy alternates about its limit: a factor of {slowest.real:.3g} a cycle"
        warnings = (said, *warnings)
    return LongTime(parameters=parameters, warnings=warnings)


def _levels_of(modes: CycleModes | None, cycle: RepeatedCycle) -> int:
    """Return how many levels tell when the threshold is passed, within the errors of a fit."""
    threshold = None if modes is None else modes.threshold_time(cycle.cycle_s, cycle.first_s)
    count = 0.0 if threshold is None else 2.0 * threshold / cycle.cycle_s
    return int(min(_FEWEST_LEVELS + math.ceil(count), _MOST_LEVELS))
