"""The cycle of a plan as steps on one battery, and the ideal processes that it stands for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from nmrqb.compiler.steps import StepCompiler
from nmrqb.errors import InputError
from nmrqb.models.closed_map import ClosedMap
from nmrqb.models.exchange import exchange_transfer, shortest_exchange
from nmrqb.models.reset_cycle import (
    cycle_charging_time,
    cycle_dephasing,
    cycle_repolarisation,
    physical_rates,
)
from nmrqb.protocol.steps import DrivenExchangeStep, ExchangeStep, Inept, Reenergise
from nmrqb.quantum.propagation import Vector
from nmrqb.sequence.events import Event, Exchange, Loop, Segment
from nmrqb.simulate.battery_channel import OneBattery, dephased_exchange
from nmrqb.simulate.simulator import StarSimulator
from nmrqb.studies.plan import Plan

Step = Callable[[Vector], Vector]

#: a charger whose deviation is multiplied by less than this in a cycle counts as renewed
_RENEWED = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One row's events: before the cycles, the first cycle, every later one."""

    before: tuple[Event, ...]
    first: tuple[Event, ...]
    later: tuple[Event, ...]

    def steps(self, simulator: StarSimulator, count: int, tick_s: float) -> list[Step]:
        """Return what `count` cycles do to a state, one after the other."""

        def doing(events: tuple[Event, ...]) -> Step:
            return lambda state: simulator.dynamics.apply(events, state, tick_s)

        return [doing(self.first), *[doing(self.later)] * (count - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleRates:
    """What a re-energised cycle stands for (see `models.reset_cycle`), in model time.

    Cross-relaxation is neglected in it, as is order among the chargers.

    Attributes
    ----------
    duration_s : float
        d, the exchange of one cycle.
    transfer : float
        b of it, for uncorrelated chargers.
    dephasing_per_s : float
        Gamma.
    reset : float
        f, the share of the chargers' deviation that a cycle removes; above 1 where they come back
        inverted.
    repolarisation_per_s : float
        R1; infinite for complete resets, negative for f > 1.
    charging_time_s : float
        1/k, integrated, of the exchanges alone; infinite where nothing renews the chargers.
    level : float
        Polarisation (spin label, units of eps) at which the chargers would stay.
    """

    duration_s: float
    transfer: float
    dephasing_per_s: float
    reset: float
    repolarisation_per_s: float
    charging_time_s: float
    level: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IdealProcess:
    """A process that the cycle stands for.

    Attributes
    ----------
    name : {"dephased", "repolarised", "driven"}
    words : str
    step : callable
        What it does to a state in one cycle.
    chargers : ndarray
        The chargers' state at its start.
    level : float or None
        Battery polarisation in the end where the chargers are renewed to one.
    """

    name: str
    words: str
    step: Step
    chargers: Vector
    level: float | None = None


def cycle_of(plan: Plan, row: int) -> Cycle:
    """Return the events of one row.

    Raises
    ------
    InputError
        Where there is no such row, or no cycle with one exchange that stands for a dephased one.
    """
    steps = plan.protocol.cycle
    driven = [s for s in steps if isinstance(s, DrivenExchangeStep) and s.by != "ideal"]
    plain = [s for s in steps if isinstance(s, ExchangeStep)]
    renewed = any(isinstance(s, Reenergise) for s in steps)
    others = [s for s in steps if isinstance(s, (Inept, DrivenExchangeStep)) and s not in driven]
    if others or len(driven) + len(plain) != 1 or not (driven or renewed):
        raise InputError(
            "channels are compared with a target for cycles with one exchange and a re-energising "
            "wait, or with one driven-exchange that is compiled (`by` other than ideal)",
            file=plan.file,
            key="cycle",
            value=", ".join(type(s).KIND for s in steps) or "nothing",
        )
    if not driven and plan.protocol.start == "pseudo-pure":
        raise InputError(
            "a re-energising wait renews thermal polarisation, which cancels in the scans of a "
            "pseudo-pure start: nothing would be renewed",
            file=plan.file,
            key="prepare",
            value="pseudo-pure",
        )
    if not 0 <= row < plan.protocol.rows:
        raise InputError(
            f"row must be 0 to {plan.protocol.rows - 1}, but is {row}", file=plan.file, key="row"
        )
    compiler = StepCompiler(plan.register, plan.spectrometer)
    protocol = plan.protocol.at(row)
    none, three = (compiler.sequence(replace(protocol, cycles=n)).events for n in (0, 3))
    # preparation, perhaps the first cycle apart, the loop of all others, read-out
    where = max(k for k, event in enumerate(three) if isinstance(event, Loop))
    loop = three[where]
    assert isinstance(loop, Loop)
    begin = where - (len(three) - len(none) - 1)
    return Cycle(before=three[:begin], first=three[begin:where] or loop.body, later=loop.body)


def cycle_rates(plan: Plan, row: int, cycle: Cycle) -> CycleRates:
    """Return what a re-energised cycle of one row stands for.

    Raises
    ------
    InputError
        Where its exchange moves nothing.
    """
    register = plan.register
    step = next(s for s in plan.protocol.at(row).cycle if isinstance(s, ExchangeStep))
    g = math.pi * abs(register.coupling_hz.value)
    if step.duration_s is not None:
        duration = step.duration_s
    else:
        assert step.transfer is not None
        duration = math.pi * shortest_exchange(register.satellites, step.transfer) / g if g else 0.0
    chargers = OneBattery(register).chargers
    transfer = float(exchange_transfer(chargers, g * duration / math.pi))
    if transfer <= 0.0:
        raise InputError(
            "the exchange of the cycle moves nothing, so that no dephasing stands for it",
            file=plan.file,
            key="cycle",
            value=f"b = {transfer:g}",
        )
    where = _exchange_position(cycle.later)
    between = ClosedMap(register=register, tick_s=plan.spectrometer.tick_s).of_events(
        cycle.later[where + 1 :] + cycle.later[:where]
    )
    charger = 0 if register.center.role == "charger" else 1
    kept = float(between[charger, charger])
    kept = 0.0 if abs(kept) < _RENEWED else kept
    reset = 1.0 - kept
    return CycleRates(
        duration_s=duration,
        transfer=transfer,
        dephasing_per_s=float(cycle_dephasing(g, duration, chargers)),
        reset=reset,
        repolarisation_per_s=float(cycle_repolarisation(duration, reset)),
        charging_time_s=float(cycle_charging_time(g, duration, reset, chargers)),
        level=float(between[charger, 2]) / reset if reset else 0.0,
    )


def ideal_processes(
    plan: Plan, row: int, cycle: Cycle, simulator: StarSimulator, rates: CycleRates | None
) -> tuple[list[IdealProcess], str | None]:
    """Return the processes that a row's cycle stands for, and why one of them is missing.

    A compiled driven exchange stands for its Hamiltonian and Lindblad operator.  A re-energised
    cycle stands for the exchange of its model time with chargers that dephase, or dephase and
    repolarise, all the time; they start as the compiled exchange finds them the first time.
    """
    tick_s, one = plan.spectrometer.tick_s, OneBattery(plan.register)
    state = simulator.dynamics.apply(cycle.before, simulator.dynamics.thermal_state(), tick_s)
    if rates is None:
        protocol = plan.protocol.at(row)
        ideal = tuple(s.ideal if isinstance(s, DrivenExchangeStep) else s for s in protocol.cycle)
        events = StepCompiler(plan.register, plan.spectrometer).repetition(
            replace(protocol, cycle=ideal), after_exchange=False
        )
        words = "the dephased exchange that it was compiled from"
        step = Cycle(before=(), first=events, later=events).steps(simulator, 1, tick_s)[0]
        return [
            IdealProcess(name="driven", words=words, step=step, chargers=one.chargers_of(state))
        ], None
    start = simulator.dynamics.apply(cycle.first[: _exchange_position(cycle.first)], state, tick_s)
    found = one.chargers_of(start)
    gamma = rates.dephasing_per_s
    processes = [
        _continuous(plan, rates, found, "dephased", gamma, 0.0, "exchange that only dephases")
    ]
    if rates.reset == 0.0:
        return processes, "nothing renews the chargers: no repolarisation stands for the cycle"
    if rates.repolarisation_per_s < 0.0:
        return processes, (
            "chargers that come back inverted in part have no continuous counterpart: no "
            "repolarisation stands for them"
        )
    g = math.pi * abs(plan.register.coupling_hz.value)
    both = physical_rates(g, gamma, rates.repolarisation_per_s)
    if both is None:
        return processes, (
            f"no charger that repolarises all the time charges in 1/k = "
            f"{rates.charging_time_s:.4g} s: at this coupling {1.0 / (one.chargers * g):.4g} s is "
            "the shortest"
        )
    words = "exchange that dephases and repolarises all the time"
    processes.append(_continuous(plan, rates, found, "repolarised", *both, words))
    return processes, None


def _continuous(
    plan: Plan,
    rates: CycleRates,
    chargers: Vector,
    name: str,
    gamma: float,
    r1: float,
    words: str,
) -> IdealProcess:
    generator = dephased_exchange(
        plan.register, coherence_rate_per_s=gamma, repolarisation_per_s=r1, level=rates.level
    )
    said = f"Gamma = {gamma:.4g} /s" + (f", R1 = {r1:.4g} /s" if r1 else "")
    return IdealProcess(
        name=name,
        words=f"{words} ({said})",
        step=lambda state: generator.propagate(state, rates.duration_s),
        chargers=chargers,
        level=rates.level if r1 else None,
    )


def _exchange_position(events: tuple[Event, ...]) -> int:
    """Return where the exchange stands: the event that moves polarisation between the species."""
    return next(
        k
        for k, event in enumerate(events)
        if isinstance(event, Exchange)
        or (isinstance(event, Segment) and (event.action[1] or event.action[2]))
    )
