"""How far the battery's channel of a compiled plan is from that of the process it stands for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import ConvergenceError, InputError
from nmrqb.protocol.steps import ExchangeStep
from nmrqb.quantum.channel_norms import diamond_norm, population_norm, trace_norm
from nmrqb.quantum.channels import BlochChannel
from nmrqb.quantum.propagation import Vector
from nmrqb.simulate.battery_channel import OneBattery, Start
from nmrqb.simulate.simulator import StarSimulator
from nmrqb.spins.register import Measured, SpinRegister
from nmrqb.studies.channel_cycle import (
    Cycle,
    CycleRates,
    IdealProcess,
    Step,
    cycle_of,
    cycle_rates,
    ideal_processes,
)
from nmrqb.studies.channel_words import channel_result, channel_sentences
from nmrqb.studies.plan import Plan

Array = NDArray[np.float64]

#: cycles that are followed at most where none are asked for: for 36 chargers a fifth to half of a
#: second each
MOST_CYCLES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """Distances of two channels, as trace norms of the outputs' difference (0 to 2).

    Attributes
    ----------
    population : float
        Largest over battery states along z within the scale, in units of the scale.
    trace : float
        The same over all battery states within the scale.
    trace_any : float
        Largest over all battery states, in absolute units.
    diamond : float
        Largest over all states of the battery and a second spin, in absolute units.
    diamond_upper : float
        No input exceeds this.
    """

    population: float
    trace: float
    trace_any: float
    diamond: float
    diamond_upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetChannel:
    """A process that the plan stands for, and how far the compiled channel is from it.

    Attributes
    ----------
    name : {"dephased", "repolarised", "driven"}
    words : str
    channels : tuple of BlochChannel
        After 1, 2, ... cycles.
    separations : tuple of Separation
        Likewise.
    without_losses : Separation
        Of one cycle without what the target lacks: with a battery that does not relax (re-energised
        cycles), or with no relaxation on either side (a driven exchange).
    end : float or None
        Battery polarisation in the end (spin label, units of the scale); None where it has none.
    """

    name: str
    words: str
    channels: tuple[BlochChannel, ...]
    separations: tuple[Separation, ...]
    without_losses: Separation
    end: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the chargers remember from cycle to cycle.

    Attributes
    ----------
    charger_levels : ndarray, shape (cycles,)
        Mean polarisation of the chargers at the start of each cycle.
    one_cycle : tuple of BlochChannel
        Channel of each cycle alone, with the chargers as they are at its start.
    power_error : ndarray, shape (cycles,)
        Trace norm (within the scale) of n-cycle channel minus the n-th power of the first one.
    composition_error : ndarray, shape (cycles,)
        The same for the product of the channels of cycles 1 to n.
    correlation_error : ndarray, shape (cycles,)
        |battery z after cycle n - one_cycle[n] of the battery before it|: what order between
        battery and chargers does, which no channel of the battery knows.
    revival : float
        Largest growth, from one cycle to the next, of the trace norm of the difference of the
        states that started at z = +1 and -1 (in units of the scale); above 0 the evolution is not
        Markovian (Breuer, Laine, Piilo, Phys. Rev. Lett. 103, 210401 (2009)).
    """

    charger_levels: Array
    one_cycle: tuple[BlochChannel, ...]
    power_error: Array
    composition_error: Array
    correlation_error: Array
    revival: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelDistance:
    """The channel of a plan's cycles on its battery beside what they stand for.

    Polarisations and shifts are spin labels in units of `scale`.

    Attributes
    ----------
    protocol, register : str
    row : int
    start : {"thermal", "pseudo-pure"}
    scale : float
        eps of the chargers for a thermal start, to first order in it; 1 for a pseudo-pure start
        (absolute Bloch vectors of the pseudo-pure part, whose chargers are fully polarised).
    battery_sign : int
        Sign of the battery's gamma: E = -battery_sign x polarisation.
    cycles : int
        n of the longest channel.
    cycle_s : float
        Laboratory time of a (later) cycle.
    compiled : tuple of BlochChannel
        After 1, 2, ... n cycles.
    targets : tuple of TargetChannel
    missing_target : str or None
        Why there is no repolarised target.
    rates : CycleRates or None
        For re-energised cycles.
    memory : Memory
    end : float or None
        Battery polarisation that the cycle reproduces, chargers included.
    """

    protocol: str
    register: str
    row: int
    start: Start
    scale: float
    battery_sign: int
    cycles: int
    cycle_s: float
    compiled: tuple[BlochChannel, ...]
    targets: tuple[TargetChannel, ...]
    missing_target: str | None
    rates: CycleRates | None
    memory: Memory
    end: float | None

    @property
    def own_fixed_point(self) -> float | None:
        """Fixed point (z) of the one-cycle channel: chargers renewed as before the first cycle."""
        found = self.compiled[0].fixed_point()
        return None if found is None else float(found[2])

    def sentences(self) -> list[str]:
        """Say in words how far, where and why the channels differ."""
        return channel_sentences(self)

    def to_result(self) -> dict[str, Any]:
        """Return a JSON-ready object."""
        return channel_result(self)

    def __str__(self) -> str:
        return "\n".join([f"channel of {self.protocol} on the battery", *self.sentences()])


def channel_distance(plan: Plan, *, row: int = -1, cycles: int | None = None) -> ChannelDistance:
    """Compare the battery's channel of a plan's cycles with that of the process they stand for.

    One molecule on its carriers and in the calibrated field; chargers start uncorrelated, as the
    preparation leaves them.

    Parameters
    ----------
    plan : Plan
        Whose cycle holds one exchange and a re-energising wait, or one compiled driven exchange.
    row : int
        Of the sweep; negative ones count from the last.
    cycles : int, optional
        Cycles to follow; those of the row, but at most MOST_CYCLES, where not given.

    Raises
    ------
    InputError
        Where the plan's cycle stands for no such process, or its register has several batteries.
    """
    row = row + plan.protocol.rows if row < 0 else row
    cycle = cycle_of(plan, row)
    count = min(max(1, plan.protocol.at(row).cycles), MOST_CYCLES) if cycles is None else cycles
    if count < 1:
        raise InputError(f"cycles must be at least 1, but is {count}", file=plan.file, key="cycles")
    try:
        one = OneBattery(plan.register)
    except ValueError as error:
        raise InputError(str(error), file=plan.file, key="register") from None
    exchanges = any(isinstance(s, ExchangeStep) for s in plan.protocol.cycle)
    rates = cycle_rates(plan, row, cycle) if exchanges else None
    tick_s = plan.spectrometer.tick_s
    simulator = StarSimulator(plan.register)
    targets, missing = ideal_processes(plan, row, cycle, simulator, rates)
    alone = _without_losses(plan, row, cycle, rates)
    before = simulator.dynamics.apply(cycle.before, simulator.dynamics.thermal_state(), tick_s)
    start = plan.protocol.start
    scale = plan.register.eps if start == "thermal" else 1.0
    steps = cycle.steps(simulator, count, tick_s)
    compiled = tuple(one.channels(steps, one.chargers_of(before), start))
    return ChannelDistance(
        protocol=plan.protocol.name,
        register=plan.register.name,
        row=row,
        start=start,
        scale=scale,
        battery_sign=plan.register.battery.nucleus.sign,
        cycles=count,
        cycle_s=sum(event.ticks for event in cycle.later) * tick_s,
        compiled=compiled,
        targets=tuple(
            _against(target, one, compiled, start, scale, without, float(one.bloch(before)[2]))
            for target, without in zip(targets, alone, strict=True)
        ),
        missing_target=missing,
        rates=rates,
        memory=_memory(one, before, steps, start, compiled),
        end=_end(simulator, cycle, tick_s) if start == "thermal" else None,
    )


def separation(first: BlochChannel, second: BlochChannel, scale: float) -> Separation:
    """Return the distances of two channels whose shifts count in units of `scale`."""
    absolute = first.at_polarisation(scale), second.at_polarisation(scale)
    diamond = diamond_norm(*absolute)
    return Separation(
        population=population_norm(first, second),
        trace=trace_norm(first, second).value,
        trace_any=trace_norm(*absolute).value,
        diamond=diamond.value,
        diamond_upper=diamond.upper,
    )


def _against(
    target: IdealProcess,
    one: OneBattery,
    compiled: tuple[BlochChannel, ...],
    start: Start,
    scale: float,
    without_losses: Separation,
    battery: float,
) -> TargetChannel:
    channels = tuple(one.channels([target.step] * len(compiled), target.chargers, start))
    end = target.level
    if target.name == "dephased":
        # dephasing conserves the sum of all polarisations, and shares it in the end
        n = one.chargers
        end = (battery + n * one.level(target.chargers)) / (1 + n)
    return TargetChannel(
        name=target.name,
        words=target.words,
        channels=channels,
        separations=tuple(separation(a, b, scale) for a, b in zip(compiled, channels, strict=True)),
        without_losses=without_losses,
        end=end,
    )


def _without_losses(
    plan: Plan, row: int, cycle: Cycle, rates: CycleRates | None
) -> Iterator[Separation]:
    """Yield the distance of one cycle from each target without the losses that the target lacks."""
    start = plan.protocol.start
    if rates is None:
        simulator = StarSimulator(plan.register, relaxes=False)
    else:
        simulator = StarSimulator(_with_lasting_battery(plan.register))
    one, tick_s = OneBattery(plan.register), plan.spectrometer.tick_s
    state = simulator.dynamics.apply(cycle.before, simulator.dynamics.thermal_state(), tick_s)
    (compiled,) = one.channels(cycle.steps(simulator, 1, tick_s), one.chargers_of(state), start)
    for target in ideal_processes(plan, row, cycle, simulator, rates)[0]:
        (ideal,) = one.channels([target.step], target.chargers, start)
        yield separation(compiled, ideal, plan.register.eps if start == "thermal" else 1.0)


def _with_lasting_battery(register: SpinRegister) -> SpinRegister:
    """Return the register with a battery that neither relaxes nor is relaxed by the chargers."""
    never = Measured(value=math.inf, nominal=True)
    battery = replace(register.battery, t1_s=never, t2_s=never)
    if register.center.role == "battery":
        return replace(register, center=battery, dipolar_share=None)
    return replace(register, satellite=battery, dipolar_share=None)


def _memory(
    one: OneBattery,
    state: Vector,
    steps: list[Step],
    start: Start,
    compiled: tuple[BlochChannel, ...],
) -> Memory:
    """Follow the battery from its prepared state, and the channel of each cycle along the way."""
    levels, alone, lost, powers, products = [], [], [], [], []
    product = BlochChannel.phase_covariant(1.0, 1.0, 0.0)
    for n, step in enumerate(steps):
        chargers = one.chargers_of(state)
        levels.append(one.level(chargers))
        (channel,) = one.channels([step], chargers, start)
        alone.append(channel)
        expected = channel(one.bloch(state))
        state = step(state)
        lost.append(abs(float((expected - one.bloch(state))[2])))
        product = channel @ product
        products.append(trace_norm(compiled[n], product).value)
        powers.append(trace_norm(compiled[n], compiled[0].power(n + 1)).value)
    kept = np.array([abs(c.matrix[2, 2]) for c in compiled])
    return Memory(
        charger_levels=np.array(levels),
        one_cycle=tuple(alone),
        power_error=np.array(powers),
        composition_error=np.array(products),
        correlation_error=np.array(lost),
        revival=2.0 * float(max(0.0, np.diff(kept).max(initial=0.0))),
    )


def _end(simulator: StarSimulator, cycle: Cycle, tick_s: float) -> float | None:
    """Return the battery's polarisation that the cycle reproduces; None where nothing relaxes."""
    try:
        return simulator.fixed_point(cycle.later, tick_s)
    except ConvergenceError:
        return None
