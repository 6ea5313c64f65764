"""The best re-energised charging for a goal: screened by the closed map, then simulated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError
from nmrqb.models.exchange import first_maximum, inept_transfer, shortest_exchange
from nmrqb.models.screening import RECOVERIES, Recovery, ReenergisedGrid
from nmrqb.protocol.protocol import Protocol, Target
from nmrqb.protocol.steps import CycleStep, ExchangeStep, Reenergise
from nmrqb.studies.plan import Plan, make_simulator, plan_of
from nmrqb.studies.strategies import Strategy, strategies_for

Array = NDArray[np.float64]

#: candidates a variant: values of b times values of Delta
GRID = (600, 600)
_BEST = 10
#: two candidates of one variant closer than this (relative, in b and in Delta) are one
_APART = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to charge.

    Attributes
    ----------
    recovery : {"left", "saturated", "flipped-back"}
    transfer : float
        b of one exchange.
    delay_s : float
        Delta.
    cycles : int
    charging_s : float
        Time of all cycles.
    energy_closed : float
        -r_z by the closed map after `cycles` (for the charging time: E(inf)).
    energy_exact : float or None
        The same by exact simulation of the compiled sequence, relaxation on.
    tau_s : float
        Slowest mode of the closed map.
    """

    recovery: Recovery
    transfer: float
    delay_s: float
    cycles: int
    charging_s: float
    energy_closed: float
    tau_s: float
    energy_exact: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """What an optimisation found.

    Attributes
    ----------
    plan : Plan
    target : Target
    best : tuple of Candidate
        Best first, by the exact simulation.
    screened : int
        Candidates that the closed map judged.
    grids : tuple of (recovery, b, Delta, figure of merit)
        The map around the best; NaN where the goal is not met.
    inept_energy : float
        Energy of one refocused INEPT from full chargers, without relaxation.
    reason : str
        Why Delta has an optimum inside its range, or why it has none.
    strategies : tuple of Strategy
        The best candidate by native exchange, spin lock and INEPT, best first; empty where its
        exchange takes no time.
    """

    plan: Plan
    target: Target
    best: tuple[Candidate, ...]
    screened: int
    grids: tuple[tuple[Recovery, Array, Array, Array], ...]
    inept_energy: float
    reason: str
    strategies: tuple[Strategy, ...]

    @property
    def best_protocol(self) -> Protocol:
        """The protocol of the best candidate by the best strategy that the console can run."""
        possible = [s.protocol for s in self.strategies if s.energy is not None]
        return possible[0] if possible else with_candidate(self.plan.protocol, self.best[0])

    @property
    def largest_error(self) -> float:
        """Largest difference of closed map and exact simulation over the best."""
        return max(abs(c.energy_closed - (c.energy_exact or math.nan)) for c in self.best)

    def to_result(self) -> dict[str, Any]:
        """Return the object of result.json."""
        return {
            "schema": "nmrqb/optimise/1",
            "status": "ok",
            "protocol": self.plan.protocol.name,
            "register": self.plan.register.name,
            "goal": self.target.goal,
            "within_s": self.target.within_s,
            "screened": self.screened,
            "results": list(self.best),
            "energy_unit": "hbar |omega_B| eps/2, from the identity level",
            "closed_map_error": self.largest_error,
            "refocused_inept_energy": self.inept_energy,
            "strategies": [
                {
                    "name": s.name,
                    "energy": s.energy,
                    "ergotropy": None if s.energy is None else 2.0 * max(0.0, s.energy),
                    "duration_s": s.duration_s,
                    "rf_energy_joule": s.rf_energy_joule,
                    "reason": s.reason,
                }
                for s in self.strategies
            ],
            "reason": self.reason,
            "start": "thermal",
        }

    def __str__(self) -> str:
        words = {
            "energy": f"largest energy within {self.target.within_s:g} s",
            "ergotropy": (
                f"largest ergotropy within {self.target.within_s:g} s (W = 2 E where E > 0: the "
                "populations are all there is)"
            ),
            "charging-time": (
                f"shortest tau with at least {100 * self.target.at_least:g} % of the largest E(inf)"
            ),
        }[self.target.goal]
        head = (
            f"{words}: {self.screened} candidates by the closed map, the best {len(self.best)} "
            f"exactly (largest difference {self.largest_error:.2g})"
        )
        lines = [
            head,
            "  recovery       b        Delta      n   time       E exact    E closed   tau",
        ]
        for c in self.best:
            exact = math.nan if c.energy_exact is None else c.energy_exact
            lines.append(
                f"  {c.recovery:12s} {c.transfer:7.4f} {c.delay_s:9.4g} s {c.cycles:5d} "
                f"{c.charging_s:8.4g} s {exact:10.5f} {c.energy_closed:10.5f} {c.tau_s:8.4g} s"
            )
        lines.append(f"  one refocused INEPT instead: {self.inept_energy:.4g}")
        lines.append(f"  {self.reason}")
        if self.strategies:
            lines.append("  the best by what the console can run, simulated with relaxation:")
            lines += [f"    {s}" for s in self.strategies]
        return "\n".join(lines)


def optimise(plan: Plan, progress: Callable[[str], None] = lambda _: None) -> Optimum:
    """Search transfers, delays, cycles and recovery variants for the goal of a plan's target.

    Parameters
    ----------
    plan : Plan
        Its cycle holds one exchange and one re-energising step; kind of exchange, pulses and
        preparation stay as they are.
    progress : callable
        Told what is being done.

    Raises
    ------
    InputError
        Where the protocol has no target or not such a cycle, or nothing fits the target.
    """
    protocol, register = plan.protocol, plan.register
    target = protocol.target
    if target is None:
        raise InputError("is missing: say what to optimise", file=plan.file, key="target")
    _check_cycle(plan)
    top = first_maximum(register.satellites)[1]
    low_b, high_b = target.transfer or (0.02, top)
    t1 = register.charger.t1_s.value
    low_d, high_d = target.delay_s or (0.2 * t1, 8.0 * t1)
    if low_b > top:
        raise InputError(
            f"must be at most {top:.4f} for this star, but starts at {low_b}",
            file=plan.file,
            key="target.transfer",
        )
    transfers = np.linspace(low_b, min(high_b, top), GRID[0] if high_b > low_b else 1)
    delays = np.linspace(low_d, high_d, GRID[1] if high_d > low_d else 1)
    jt = np.array([shortest_exchange(register.satellites, float(b)) for b in transfers])
    ideal = _exchange_step(protocol).exchange == "ideal"
    allowed = [r for r in RECOVERIES if r != "flipped-back" or register.must_invert_chargers]
    variants = [r for r in (target.recovery or allowed) if r in allowed]
    if not variants:
        raise InputError(
            f"must allow one of {', '.join(allowed)} for this register",
            file=plan.file,
            key="target.recovery",
        )
    found: list[Candidate] = []
    grids: list[tuple[Recovery, Array, Array, Array]] = []
    tables = []
    for recovery in variants:
        grid = ReenergisedGrid(
            register=register,
            recovery=recovery,
            jt=jt,
            delay_s=delays,
            laboratory=1.0 if ideal else 2.0,
        )
        progress(f"screening {grid.candidates} candidates, recovery {recovery}")
        tables.append((recovery, grid, *_merit(grid, target)))
    if target.goal == "charging-time":
        largest = max(float(energy.max()) for _, _, _, energy, _ in tables)
        tables = [
            (r, g, np.where(e >= target.at_least * largest, m, np.nan), e, n)
            for r, g, m, e, n in tables
        ]
    for recovery, grid, merit, energy, cycles in tables:
        grids.append((recovery, transfers, delays, merit))
        found += _top(recovery, grid, transfers, merit, energy, cycles)
    if not found:
        raise InputError(
            "nothing charges the battery within the target", file=plan.file, key="target"
        )
    best_first = sorted(found, key=lambda c: _rank(c, target))[:_BEST]
    exact = []
    for k, candidate in enumerate(best_first, start=1):
        progress(f"simulating candidate {k} of {len(best_first)} exactly")
        exact.append(_exactly(plan, candidate, target))
    exact.sort(key=lambda c: _rank(c, target))
    progress("comparing native exchange, spin lock and INEPT for the best")
    return Optimum(
        plan=plan,
        target=target,
        best=tuple(exact),
        screened=sum(g.candidates for _, g, *_ in tables),
        grids=tuple(grids),
        inept_energy=_inept(plan),
        reason=_reason(exact[0], delays, target),
        strategies=strategies_for(plan, with_candidate(protocol, exact[0])),
    )


def _merit(grid: ReenergisedGrid, target: Target) -> tuple[Array, Array, NDArray[np.int64]]:
    """Return figure of merit (larger is better), energy and cycles of every candidate."""
    if target.goal != "charging-time":
        energy, cycles = grid.best_within(target.within_s)
        return np.where(cycles > 0, energy, np.nan), energy, cycles
    energy = -grid.register.battery.nucleus.sign * grid.fixed_points()
    factor = np.clip(grid.decay_factors(), 1e-12, 1.0 - 1e-12)
    tau = np.maximum(grid.cycle_s, 1e-9) / -np.log(factor)
    # three tau come within 5 % of the limit; they have to fit
    cycles = np.ceil(3.0 * tau / np.maximum(grid.cycle_s, 1e-9)).astype(np.int64)
    fits = cycles * grid.cycle_s <= target.within_s
    return np.where(fits, -tau, np.nan), np.where(fits, energy, -np.inf), cycles


def _rank(candidate: Candidate, target: Target) -> float:
    if target.goal == "charging-time":
        return candidate.tau_s
    exact = candidate.energy_exact
    return -(candidate.energy_closed if exact is None else exact)


def _top(
    recovery: Recovery,
    grid: ReenergisedGrid,
    transfers: Array,
    merit: Array,
    energy: Array,
    cycles: NDArray[np.int64],
) -> list[Candidate]:
    """Return the best candidates of a grid that are not neighbours of better ones."""
    flat = np.where(np.isfinite(merit), merit, -np.inf).ravel()
    order = np.argsort(-flat)[:20000]
    factor = grid.decay_factors()
    chosen: list[Candidate] = []
    for position in order:
        if not np.isfinite(flat[position]) or len(chosen) == _BEST:
            break
        i, k = np.unravel_index(int(position), merit.shape)
        b, delay = float(transfers[i]), float(grid.delay_s[k])
        if any(
            abs(b - c.transfer) < _APART * c.transfer
            and abs(delay - c.delay_s) < _APART * c.delay_s
            for c in chosen
        ):
            continue
        n, length = int(cycles[i, k]), float(grid.cycle_s[i, k])
        rate = -math.log(min(max(float(factor[i, k]), 1e-12), 1.0 - 1e-12))
        chosen.append(
            Candidate(
                recovery=recovery,
                transfer=b,
                delay_s=delay,
                cycles=n,
                charging_s=n * length,
                energy_closed=float(energy[i, k]),
                tau_s=length / rate,
            )
        )
    return chosen


def with_candidate(protocol: Protocol, candidate: Candidate) -> Protocol:
    """Return the protocol that carries a candidate out."""

    def changed(step: CycleStep) -> CycleStep:
        match step:
            case Reenergise():
                return replace(step, delay_s=candidate.delay_s, recovery=candidate.recovery)
            case ExchangeStep():
                return replace(step, transfer=candidate.transfer, duration_s=None)
            case _:
                return step

    cycle = tuple(changed(step) for step in protocol.cycle)
    return replace(protocol, cycle=cycle, cycles=candidate.cycles, sweep=None)


def _exactly(plan: Plan, candidate: Candidate, target: Target) -> Candidate:
    made = plan_of(
        with_candidate(plan.protocol, candidate), plan.register, plan.spectrometer, plan.file
    )
    simulator = make_simulator(made)
    sign = -made.register.battery.nucleus.sign
    if target.goal == "charging-time":
        p = simulator.fixed_point(made.compiled.cycle, made.spectrometer.tick_s)
    else:
        # the last event before the read-out pulse, the dead time and the acquisition
        p = float(simulator.simulate(made.compiled.sequences[0]).battery_z[-3])
    return replace(candidate, energy_exact=sign * p)


def _check_cycle(plan: Plan) -> None:
    kinds = [type(step) for step in plan.protocol.cycle]
    if kinds.count(Reenergise) != 1 or kinds.count(ExchangeStep) != 1:
        raise InputError(
            "must hold one re-energise step and one exchange to be optimised",
            file=plan.file,
            key="cycle",
        )
    if plan.protocol.discharge or plan.protocol.has_load:
        raise InputError(
            "must be left out to be optimised: the search charges the battery and reads it",
            file=plan.file,
            key="discharge",
        )


def _exchange_step(protocol: Protocol) -> ExchangeStep:
    return next(step for step in protocol.cycle if isinstance(step, ExchangeStep))


def _inept(plan: Plan) -> float:
    register = plan.register
    return inept_transfer(register.satellites, to_center=register.center.role == "battery")


def _reason(best: Candidate, delays: Array, target: Target) -> str:
    if best.cycles == 1 and target.goal != "charging-time" and best.recovery != "saturated":
        return (
            "one cycle is best: the chargers start full and give in one shot more than "
            "re-energising them keeps up; Delta only lets them and the battery relax before it"
        )
    edge = 1.5 * (delays[-1] - delays[0]) / max(len(delays) - 1, 1)
    if best.delay_s <= delays[0] + edge:
        return (
            f"Delta sits at the lower end of its range, {delays[0]:.4g} s: waiting longer costs "
            "more (leak of the battery, time) than the chargers regain"
        )
    if best.delay_s >= delays[-1] - edge:
        return (
            f"Delta sits at the upper end of its range, {delays[-1]:.4g} s: the chargers still "
            "regain more than the battery leaks; allow longer waits"
        )
    cost = "every cycle takes longer" if target.goal == "charging-time" else "fewer cycles fit"
    return (
        f"Delta = {best.delay_s:.4g} s is an optimum inside its range: shorter waits meet chargers "
        f"that have not recovered, longer ones let the battery leak and {cost}"
    )
