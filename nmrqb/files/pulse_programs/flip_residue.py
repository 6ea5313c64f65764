"""How far the mean over the exported patterns is from the mean that phase flips stand for.

Between two flips the state x of a scan (Liouville space, the identity included) goes through one
matrix P, and a flip multiplies it by the signs Z of the nucleus's coherence orders.  Over flips of
probability q the second moment V = <x x^T> therefore obeys V -> P [(1 - q) V + q Z V Z] P^T: the
spread of one scan over all patterns is exact, without a pattern being drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmrqb.compiler.flip_patterns import FlipPatterns, with_flips
from nmrqb.models.closed_map import until_readout
from nmrqb.sequence.events import Event, Loop, PhaseFlip, PulseSequence, Segment
from nmrqb.simulate.simulator import StarSimulator
from nmrqb.spins.register import SpinRegister

Matrix = NDArray[np.complex128]

#: largest Liouville space whose matrices are formed
_MATRICES = 128
#: events times elements of the state that the simulated patterns of one row may cost
_BUDGET = 4e6
#: fewest patterns from which a spread is estimated
_FEWEST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipResidue:
    """The residue of one row: polarisations of the battery in units of eps, before the read-out.

    Attributes
    ----------
    average : float
        With flips averaged exactly.
    scans : int
    simulated : int
        Scans whose patterns were simulated one by one.
    spread : float
        Standard deviation of one scan over the patterns that may be drawn.
    std_of_mean : float
        Of the mean over the scans: spread/sqrt(scans), 0 where all patterns are run.
    weight_bound : float
        What the shares of the scans may be off by where all patterns are run, else 0.
    mean : float or None
        Of the exported patterns themselves; None where not all of them were simulated.
    how : str
        What gave the spread.
    """

    average: float
    scans: int
    simulated: int
    spread: float
    std_of_mean: float
    weight_bound: float
    mean: float | None
    how: str

    @property
    def deviation(self) -> float | None:
        """Mean of the exported patterns minus the average."""
        return None if self.mean is None else self.mean - self.average

    def to_result(self) -> dict[str, float | int | str | None]:
        """Return the entry of result.json."""
        found: dict[str, float | int | str | None] = {
            "unit": "eps",
            "average": self.average,
            "scans": self.scans,
            "std_of_one_scan": self.spread,
            "std_of_mean": self.std_of_mean,
            "how": self.how,
            "weight_bound": self.weight_bound,
            "mean_of_patterns": self.mean,
            "deviation": self.deviation,
        }
        if self.mean is None:
            found["reason"] = (
                f"{self.simulated} of {self.scans} patterns were simulated: all of them would take "
                "too long for this register"
            )
        return found


def flip_residue(
    sequence: PulseSequence, patterns: FlipPatterns, register: SpinRegister
) -> FlipResidue:
    """Return the residue of a row's patterns.

    For small registers the spread is exact and every exported pattern is simulated.  For large ones
    the first patterns give the spread, with a relative standard error of 1/sqrt(2 n) for n of them.
    """
    simulator = StarSimulator(register)
    scans = len(patterns.flips)
    if simulator.dynamics.space.dimension <= _MATRICES:
        stretches = _Stretches(simulator, sequence, patterns.nucleus)
        average, spread = stretches.moments(patterns.probabilities)
        values = np.array([stretches.battery_z(flips) for flips in patterns.flips])
        how = "exact second moment over all patterns"
    else:
        average = _battery_z(simulator, sequence)
        events = sum(times for _, times in sequence.walk())
        cost = events * simulator.dynamics.space.dimension
        shown = patterns.flips[: max(_FEWEST, int(_BUDGET / cost))]
        values = np.array([_battery_z(simulator, with_flips(sequence, p)) for p in shown])
        spread = float(np.sqrt(np.mean((values - average) ** 2)))
        how = f"simulation of {len(values)} patterns"
    return FlipResidue(
        average=average,
        scans=scans,
        simulated=len(values),
        spread=spread,
        std_of_mean=0.0 if patterns.is_complete else spread / math.sqrt(scans),
        weight_bound=patterns.weight_error * float(np.abs(values).max()),
        mean=float(values.mean()) if len(values) == scans else None,
        how=how,
    )


def _battery_z(simulator: StarSimulator, sequence: PulseSequence) -> float:
    dynamics = simulator.dynamics
    state = dynamics.apply(until_readout(sequence), dynamics.thermal_state(), sequence.tick_s)
    return dynamics.bloch(state, simulator.register.battery.isotope)[2]


class _Stretches:
    """The matrices between the flips of one sequence, equal ones formed once."""

    def __init__(self, simulator: StarSimulator, sequence: PulseSequence, nucleus: str) -> None:
        dynamics, register = simulator.dynamics, simulator.register
        parts: list[list[Event]] = [[]]
        _cut(until_readout(sequence), parts)
        size = dynamics.space.dimension
        kept: dict[tuple[int, ...], Matrix] = {}
        self.between: list[Matrix] = []
        for part in parts[1:]:
            key = tuple(map(id, part))
            if key not in kept:
                columns = [
                    dynamics.apply(tuple(part), unit, sequence.tick_s)
                    for unit in np.eye(size, dtype=np.complex128)
                ]
                kept[key] = np.array(columns).T
            self.between.append(kept[key])
        self.start = dynamics.apply(tuple(parts[0]), dynamics.thermal_state(), sequence.tick_s)
        which = int(nucleus != register.center.isotope)
        self.signs = np.where(dynamics.space.orders[:, which] % 2, -1.0, 1.0)
        self.read = np.array(
            [
                dynamics.bloch(unit, register.battery.isotope)[2]
                for unit in np.eye(size, dtype=np.complex128)
            ]
        )

    def battery_z(self, flips: NDArray[np.bool_]) -> float:
        """Return the battery's polarisation at the end of a scan with one pattern."""
        state = self.start
        for matrix, flipped in zip(self.between, flips, strict=True):
            state = matrix @ (self.signs * state if flipped else state)
        return float((self.read @ state).real)

    def moments(self, probabilities: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
        """Return mean and standard deviation of one scan over all patterns."""
        mean = self.start
        second = np.outer(self.start, self.start)
        for matrix, q in zip(self.between, probabilities, strict=True):
            mean = matrix @ ((1.0 - q) * mean + q * self.signs * mean)
            turned = self.signs[:, None] * second * self.signs
            second = matrix @ ((1.0 - q) * second + q * turned) @ matrix.T
        average = float((self.read @ mean).real)
        variance = float((self.read @ second @ self.read).real) - average**2
        return average, math.sqrt(max(variance, 0.0))


def _cut(events: tuple[Event, ...], parts: list[list[Event]]) -> None:
    """Cut events at their flips, loops run and segments opened."""
    for event in events:
        match event:
            case PhaseFlip():
                parts.append([])
            case Loop():
                for _ in range(event.count):
                    _cut(event.body, parts)
            case Segment():
                _cut(event.body, parts)
            case _:
                parts[-1].append(event)
