"""The engines that solve a star behind one face, each saying what it is and why it ran."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from nmrqb.battery.ergotropy import Sector
from nmrqb.models.bipartite import Bipartite, march
from nmrqb.models.charging_times import Modes
from nmrqb.models.local_star import LocalStar
from nmrqb.models.rates import StarRates
from nmrqb.models.resonant_oscillators import (
    OscillatorChargedOscillator,
    QubitChargedOscillator,
)
from nmrqb.models.resonant_qubits import ResonantQubits
from nmrqb.models.stationary import modes_of, steady_state
from nmrqb.quantum.propagation import Generator

Array = NDArray[np.float64]
ComplexVector = NDArray[np.complex128]

#: agreement of two truncations, relative to 1 + the largest number of quanta
CONVERGED = 1e-8
#: most levels (charger x battery) of a cut star
MOST_LEVELS = 260
#: ||L t|| beyond which rounding of a propagation may show at 1e-7, and largest ||L t|| x non-zeros
LONGEST, MOST_WORK = 1e8, 3e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What an engine knows of one moment: the battery's sectors and the charger's excitations."""

    sectors: tuple[Sector, ...]
    battery: float
    charger: float


class Solver(Protocol):
    """What every engine offers; numbers of excitations, not energies."""

    @property
    def description(self) -> str:
        """Which engine this is and why it ran."""

    def excitations(self, times: Array) -> Array:
        """Return the batteries' mean number of excitations."""

    def largest_eigenvalues(self, times: Array) -> Array | None:
        """Return r_1 of symmetric-sector qubits where there is a short cut to it, else None."""

    def moments(self, times: Array) -> Iterator[Moment]:
        """Yield the state at each time."""

    def steady(self) -> Moment:
        """Return the limit of the state."""

    def modes(self) -> Modes:
        """Return the batteries' excitations as a sum of decaying modes."""

    def drive_quanta(self, times: Array) -> Array:
        """Return the quanta that the drive has put in."""

    def interaction(self, times: Array) -> tuple[Array, Array]:
        """Return <H_CB> and <H_drive>."""


@dataclass(frozen=True, slots=True)
class Resonant:
    """The exact solutions on resonance."""

    solution: ResonantQubits | QubitChargedOscillator | OscillatorChargedOscillator
    dephasing: float

    @property
    def description(self) -> str:
        """Which engine this is and why it ran."""
        reason = "on resonance, from empty, dephasing of the charger is the only loss"
        match self.solution:
            case ResonantQubits() as s:
                return (
                    f"exact solution by singular values, {len(s.roots)} of {s.batteries + 1} kept "
                    f"(energy error at most {s.error:.1e} omega): {reason}"
                )
            case QubitChargedOscillator() as s:
                return f"exact solution in {len(s.weights)} displaced number states: {reason}"
            case OscillatorChargedOscillator():
                return f"closed form of two oscillators: {reason}"

    def excitations(self, times: Array) -> Array:
        """Return the batteries' mean number of excitations."""
        if isinstance(self.solution, ResonantQubits):
            return self.solution.energy_quanta(times)
        self._refuse_lost_phase(times)
        return self.solution.excitations(times)

    def _refuse_lost_phase(self, times: Array) -> None:
        """Refuse where rounding of the frequencies would show in the state."""
        top = float(np.max(self.solution.excitations.frequencies, initial=0.0))
        alive = float(np.max(times, initial=0.0))
        if self.dephasing > 0.0:
            alive = min(alive, 4.0 / self.dephasing)
        error = 8.0 * np.finfo(float).eps * top * alive
        if error > 1e-7:
            raise ValueError(
                f"`times` up to {np.max(times):.3g} turn the state through {top * alive:.2g} rad, "
                "whose phase double precision does not hold to 1e-7"
            )

    def largest_eigenvalues(self, times: Array) -> Array | None:
        """Return r_1 of qubits."""
        if isinstance(self.solution, ResonantQubits):
            self._refuse_lost_phase(times)
            return self.solution.largest_eigenvalues(times)
        return None

    def moments(self, times: Array) -> Iterator[Moment]:
        """Yield the state at each time."""
        self._refuse_lost_phase(times)
        solution = self.solution
        battery, charger = self.excitations(times), solution.charger(times)
        if isinstance(solution, ResonantQubits):
            states = solution.sectors(times)
        else:
            turn = solution.number_states()
            states = (_number_basis(turn, rho) for rho in solution.displaced(times))
        for sectors, b, c in zip(states, battery, charger, strict=True):
            yield Moment(sectors=tuple(sectors), battery=float(b), charger=float(c))

    def steady(self) -> Moment:
        """Return the limit of the state."""
        solution = self.solution
        if isinstance(solution, ResonantQubits):
            sectors = solution.steady_sectors()
        else:
            turn = solution.number_states()
            sectors = _number_basis(turn, solution.steady_displaced())
        return Moment(
            sectors=tuple(sectors),
            battery=solution.excitations.final,
            charger=solution.charger.final,
        )

    def modes(self) -> Modes:
        """Return the batteries' excitations as damped oscillators."""
        return self.solution.excitations

    def drive_quanta(self, times: Array) -> Array:
        """Return the quanta that the drive has put in: all that are there, for none is lost."""
        return self.excitations(times) + self.solution.charger(times)

    def interaction(self, times: Array) -> tuple[Array, Array]:
        """Return <H_CB> and <H_drive>: zero, as the coherence of the charger is imaginary."""
        return np.zeros(len(times)), np.zeros(len(times))


def _number_basis(turn: Array, displaced: Array) -> list[Sector]:
    rho = turn @ displaced @ turn.T
    return [Sector(matrix=(rho + rho.T) / 2.0, excitations=np.arange(len(rho)))]


@dataclass(frozen=True, slots=True)
class General:
    """Propagation of the whole state by a sparse Liouvillian."""

    rates: StarRates
    reason: str
    is_thermal: bool

    @property
    def _is_local(self) -> bool:
        r = self.rates
        noisy = not r.battery_bath.is_silent and r.batteries > 1
        return r.battery == r.charger == "qubit" and (noisy or self.is_thermal)

    @property
    def description(self) -> str:
        """Which engine this is and why it ran."""
        n = self.rates.batteries
        if self._is_local:
            return f"permutation-symmetric Liouville space of 1 + {n} spins: {self.reason}"
        if "oscillator" in (self.rates.battery, self.rates.charger):
            return (
                "Lindblad equation in number states, levels raised until numbers of quanta stay "
                f"to {CONVERGED:g}: {self.reason}"
            )
        return f"Lindblad equation in the {n + 1} Dicke states: {self.reason}"

    def _engines(self) -> Iterator[Bipartite | LocalStar]:
        """Yield the engine, or engines of rising truncation."""
        r = self.rates
        if self._is_local:
            yield LocalStar(r, self.is_thermal)
            return
        charger = 2 if r.charger == "qubit" else 8
        battery = r.batteries + 1 if r.battery == "qubit" else 10
        while charger * battery <= MOST_LEVELS:
            yield Bipartite(r, charger, battery)
            if "oscillator" not in (r.charger, r.battery):
                return
            charger = charger if r.charger == "qubit" else int(1.35 * charger) + 1
            battery = battery if r.battery == "qubit" else int(1.35 * battery) + 1
        if "oscillator" not in (r.charger, r.battery):
            raise ValueError(
                f"{r.batteries} batteries off resonance need {charger * battery} levels, but up "
                f"to {MOST_LEVELS} are propagated"
            )
        raise ValueError(
            f"the oscillator's quanta are not converged with {MOST_LEVELS} levels: drive/coupling "
            "is too large, or dephasing heats it without bound while it is driven"
        )

    def _converged(self, times: Array) -> tuple[Bipartite | LocalStar, list[ComplexVector]]:
        last: Array | None = None
        for engine in self._engines():
            _check_length(engine.generator, times)
            states = list(engine.states(times))
            rows = engine.functionals()
            numbers = np.array([[(row @ s).real for row in rows] for s in states])
            if isinstance(engine, LocalStar) or "oscillator" not in (
                self.rates.battery,
                self.rates.charger,
            ):
                return engine, states
            if last is not None and np.abs(numbers - last).max() < CONVERGED * (
                1.0 + np.abs(numbers).max()
            ):
                return engine, states
            last = numbers
        raise AssertionError("the engines end by raising")

    def excitations(self, times: Array) -> Array:
        """Return the batteries' mean number of excitations."""
        engine, states = self._converged(times)
        row = engine.functionals()[2]
        return np.array([(row @ s).real for s in states])

    def largest_eigenvalues(self, times: Array) -> Array | None:
        """Return None: there is no short cut."""
        del times
        return None

    def moments(self, times: Array) -> Iterator[Moment]:
        """Yield the state at each time."""
        engine, states = self._converged(times)
        for state in states:
            yield _moment(engine, state)

    def steady(self) -> Moment:
        """Return the limit of the state."""
        last: Moment | None = None
        for engine in self._engines():
            matrix, start = engine.generator.matrix, engine.start()
            found = _moment(engine, steady_state(matrix, start, engine.functionals()[0]))
            if "oscillator" not in (self.rates.battery, self.rates.charger):
                return found
            close = last is not None and abs(found.battery - last.battery) < CONVERGED * (
                1.0 + abs(found.battery)
            )
            if close:
                return found
            last = found
        raise AssertionError("the engines end by raising")

    def modes(self) -> Modes:
        """Return the batteries' excitations as a sum of exponentials."""
        if "oscillator" in (self.rates.battery, self.rates.charger):
            raise ValueError("charging times of oscillators are computed on resonance only")
        engine = next(self._engines())
        return modes_of(engine.generator.matrix, engine.start(), engine.functionals()[2])

    def drive_quanta(self, times: Array) -> Array:
        """Return the quanta that the drive has put in: the integral of i F <C - C^+>, exactly."""
        engine, _ = self._converged(times)
        matrix = engine.generator.matrix
        flux, d = sp.csr_array(engine.flux()[None, :]), matrix.shape[0]
        wide = sp.csr_array(sp.hstack([sp.vstack([matrix, flux]), sp.csr_array((d + 1, 1))]))
        start = np.append(engine.start(), 0.0)
        states = march(Generator(wide.astype(np.complex128)), start, times)
        return np.array([s[-1].real for s in states])

    def interaction(self, times: Array) -> tuple[Array, Array]:
        """Return <H_CB> and <H_drive>."""
        engine, states = self._converged(times)
        coupling, drive = engine.interaction()
        return (
            np.array([(coupling @ s).real for s in states]),
            np.array([(drive @ s).real for s in states]),
        )


def _moment(engine: Bipartite | LocalStar, state: ComplexVector) -> Moment:
    _, charger, battery = engine.functionals()
    return Moment(
        sectors=tuple(engine.sectors(state)),
        battery=float((battery @ state).real),
        charger=float((charger @ state).real),
    )


def _check_length(generator: Generator, times: Array) -> None:
    matrix = generator.matrix
    column = np.bincount(matrix.indices, weights=np.abs(matrix.data), minlength=matrix.shape[1])
    span = float(np.max(times, initial=0.0)) * float(column.max())
    dense = max(generator.block_sizes(np.ones(matrix.shape[0], dtype=np.complex128))) <= 512
    if span > LONGEST or (not dense and span * matrix.nnz > MOST_WORK):
        raise ValueError(
            f"`times` times the fastest rate is {span:.2g}, more than this star can be propagated "
            "through off resonance to 1e-7: shorter times, a smaller dephasing, or steady_state()"
        )
