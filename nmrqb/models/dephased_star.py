"""The driven, dephased star: a charger that is driven and dephased charges N batteries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmrqb.battery.charging import ChargingCurve
from nmrqb.battery.charging_time import Definition
from nmrqb.battery.ergotropy import mean_excitations
from nmrqb.battery.stored import StoredState
from nmrqb.models.bipartite import Bipartite
from nmrqb.models.charging_times import (
    POOR_FIT,
    ChargingTime,
    OptimalDephasing,
    charging_time,
    check_definition,
    fitted_time,
    scan_dephasing,
    slowest_frequency,
)
from nmrqb.models.choice import decaying_modes, solver_of
from nmrqb.models.damped import ModeSum
from nmrqb.models.observables import StarObservables
from nmrqb.models.rates import Bath, Kind, StarRates
from nmrqb.models.resonant_qubits import ResonantQubits
from nmrqb.models.solvers import Moment, Resonant
from nmrqb.units import FILE_CONFIG

if TYPE_CHECKING:
    import qutip

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DephasedStar:
    """N batteries on one central charger that is driven and dephased.

    In the frame of the drive, with excitation numbers n_C and n_B and lambda from g,

        H = delta n_B + (delta + Delta) n_C + lambda (C^+ B + h.c.) + F (C + C^+),
        d rho/dt = -i [H, rho] + (gamma/2)(2 n_C rho n_C - {n_C^2, rho}) + relaxation:

    a coherence of the charger decays at gamma/2.  All rates and offsets are angular and in one
    unit, times in its inverse.  The star starts empty unless `start` says otherwise.

    Parameters
    ----------
    batteries : int
        N.  N oscillators are one bright mode and N - 1 dark ones.
    coupling : float
        g >= 0.
    drive : float
        F >= 0.
    dephasing : float
        gamma >= 0 of the charger.
    normalisation : {"kac", "per-battery"}
        lambda = g/sqrt(N), or g for each battery.
    omega : float
        Energy of one excitation: sets the unit of every energy.
    battery, charger : {"qubit", "oscillator"}
    drive_detuning, charger_detuning : float
        delta = omega_B - omega_d and Delta = omega_C - omega_B.
    charger_t1, battery_t1 : float
        Decay time of the energy of the charger and of each battery; infinity: none.
    charger_t2, battery_t2 : float or None
        Decay time of its coherence, at most 2 T1; None is 2 T1.  The charger's `dephasing` adds
        gamma/2 to 1/T2.
    collective_dephasing : float
        gamma of L = sum_j n_j: one fluctuating field on all batteries.
    temperature : float
        k T/(hbar omega) of the baths behind T1 (and of a thermal start).
    start : {"empty", "thermal"}

    Raises
    ------
    ValueError
        For values outside these limits, and for combinations without an engine.

    References
    ----------
    Purkait, Venkatesh, Watanabe, arXiv:2508.13497; Shastri et al., npj Quantum Inf. 11, 9 (2025).
    """

    __pydantic_config__ = FILE_CONFIG

    batteries: int = 8
    coupling: float = 1.0
    drive: float = 0.5
    dephasing: float = 1.0
    normalisation: Literal["kac", "per-battery"] = "kac"
    omega: float = 1.0
    battery: Kind = "qubit"
    charger: Kind = "qubit"
    drive_detuning: float = 0.0
    charger_detuning: float = 0.0
    charger_t1: float = np.inf
    charger_t2: float | None = None
    battery_t1: float = np.inf
    battery_t2: float | None = None
    collective_dephasing: float = 0.0
    temperature: float = 0.0
    start: Literal["empty", "thermal"] = "empty"

    def __post_init__(self) -> None:
        if isinstance(self.batteries, bool) or self.batteries != int(self.batteries):
            raise ValueError(f"`batteries` must be a whole number, but is {self.batteries!r}")
        if self.batteries < 1:
            raise ValueError(f"`batteries` must be at least 1, but is {self.batteries}")
        object.__setattr__(self, "batteries", int(self.batteries))
        for name in ("coupling", "drive", "dephasing", "collective_dephasing", "temperature"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0.0):
                raise ValueError(f"`{name}` must be finite and at least 0, but is {value}")
        for name in ("drive_detuning", "charger_detuning"):
            if not np.isfinite(getattr(self, name)):
                raise ValueError(f"`{name}` must be finite, but is {getattr(self, name)}")
        if not (np.isfinite(self.omega) and self.omega > 0.0):
            raise ValueError(f"`omega` must be positive, but is {self.omega}")
        for name, allowed in (
            ("normalisation", ("kac", "per-battery")),
            ("battery", ("qubit", "oscillator")),
            ("charger", ("qubit", "oscillator")),
            ("start", ("empty", "thermal")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"`{name}` must be one of {', '.join(allowed)}, but is {getattr(self, name)!r}"
                )
        for unit in ("charger", "battery"):
            t1, t2 = getattr(self, f"{unit}_t1"), getattr(self, f"{unit}_t2")
            if not t1 > 0.0:
                raise ValueError(f"`{unit}_t1` must be positive, but is {t1}")
            if t2 is not None and not t2 > 0.0:
                raise ValueError(f"`{unit}_t2` must be positive, but is {t2}")
            if t2 is not None and t2 > 2.0 * t1 * (1.0 + 1e-12):
                raise ValueError(f"`{unit}_t2` must be at most 2 T1 = {2 * t1:g}, but is {t2:g}")
        self._refuse_what_no_engine_holds()

    def _refuse_what_no_engine_holds(self) -> None:
        qubits = self.battery == self.charger == "qubit"
        noisy = not self.bath("battery").is_silent
        if self.battery == "oscillator" and self.batteries > 1 and noisy:
            raise ValueError(
                "noise on each of several oscillator batteries couples their bright mode to the "
                "dark ones: `battery_t1` and `battery_t2` need batteries = 1"
            )
        if not qubits and self.start == "thermal":
            raise ValueError("a thermal start is computed for qubits only: the state is not cut")
        if (
            self.battery == "qubit"
            and self.charger == "oscillator"
            and self.batteries > 1
            and noisy
        ):
            raise ValueError(
                "noise on each of several qubit batteries leaves their Dicke states, which an "
                "oscillator charger needs: use a qubit charger or collective_dephasing"
            )

    def bath(self, unit: Literal["charger", "battery"]) -> Bath:
        """Return the relaxation of the charger, or of each battery."""
        t1, t2 = getattr(self, f"{unit}_t1"), getattr(self, f"{unit}_t2")
        with np.errstate(over="ignore"):
            quanta = 1.0 / np.expm1(1.0 / self.temperature) if self.temperature > 0.0 else 0.0
        return Bath(t1=t1, t2=2.0 * t1 if t2 is None else t2, quanta=float(quanta))

    @property
    def collective_coupling(self) -> float:
        """lambda, the coupling of each battery: g/sqrt(N) ("kac") or g ("per-battery")."""
        shared = self.batteries if self.normalisation == "kac" else 1
        return float(self.coupling / np.sqrt(shared))

    @property
    def solver(self) -> str:
        """Which engine solves this star, and why."""
        return solver_of(self).description

    def excitations(self, times: ArrayLike) -> Array:
        """Return the mean number of excitations in the batteries, shape of `times`."""
        return solver_of(self).excitations(_times(times))

    def energy(self, times: ArrayLike) -> Array:
        """Return the stored energy at `times`: the cheapest curve (no state is formed)."""
        return self.omega * self.excitations(times)

    def states(self, times: ArrayLike) -> list[StoredState]:
        """Return the batteries' state at each time, with every figure of merit."""
        solver, moments = self.solver, solver_of(self).moments(_times(times))
        return [self._stored(moment, solver) for moment in moments]

    def _stored(self, moment: Moment, solver: str) -> StoredState:
        return StoredState(
            sectors=moment.sectors,
            batteries=self.batteries,
            kind=self.battery,
            omega=self.omega,
            excitations=moment.battery,
            charger_excitations=moment.charger,
            solver=solver,
        )

    def charging_curve(self, times: ArrayLike) -> ChargingCurve:
        """Return energy and collective ergotropy against time.

        Parameters
        ----------
        times : array_like, shape (points,)
            Not negative, rising; inverse unit of the rates.
        """
        t = _times(times)
        engine = solver_of(self)
        top = engine.largest_eigenvalues(t)
        if top is None:
            states = self.states(t)
            energy = np.array([s.energy for s in states])
            work = np.array([s.ergotropy for s in states])
        else:
            energy = self.omega * engine.excitations(t)
            # the ground and the N-fold first level hold all N + 1 eigenvalues
            work = np.maximum(0.0, energy - self.omega * (1.0 - top))
        return ChargingCurve(
            times=t,
            time_unit="model",
            energy=energy,
            energy_unit=f"hbar omega_B = {self.omega:g}",
            ergotropy=work,
            ergotropy_kind="collective",
            start="thermal" if self.start == "thermal" else "pure",
            provenance=f"{self}; {engine.description}",
        )

    def observables(self, times: ArrayLike) -> StarObservables:
        """Return every observable of the charging process at `times`."""
        t = _times(times)
        engine = solver_of(self)
        coupling, drive = engine.interaction(t)
        quanta = engine.drive_quanta(t)
        return StarObservables.of(
            times=t,
            states=self.states(t),
            coupling_energy=coupling,
            drive_energy=drive,
            drive_work=(self.omega - self.drive_detuning) * quanta,
        )

    def steady_state(self) -> StoredState:
        """Return the limit t -> infinity from the start state.

        It is not unique on resonance (K K^+ is conserved) and may be exponentially far away:
        `energy_within` says what is reached in a given time.

        Raises
        ------
        ValueError
            Where there is none: no loss at all, or a charger heated without bound.
        """
        stored = self.drive > 0.0 and self.coupling > 0.0
        losses = self.dephasing > 0.0 or self.collective_dephasing > 0.0
        silent = self.bath("charger").is_silent and self.bath("battery").is_silent
        if stored and silent and not losses:
            raise ValueError(
                "`dephasing` must be positive for a steady state: without any loss the energy "
                "goes up and down for ever"
            )
        if (
            self.charger == "oscillator"
            and self.battery == "qubit"
            and stored
            and np.isinf(self.charger_t1)
            and np.isinf(self.battery_t1)
        ):
            raise ValueError(
                "a driven, dephased oscillator charger has no steady state on qubit batteries: "
                "once they are full it heats without bound; give it charger_t1"
            )
        return self._stored(solver_of(self).steady(), self.solver)

    def modes(self) -> Array:
        """Return decay rate and frequency of every mode of the energy, shape (modes, 2)."""
        found = solver_of(self).modes()
        return np.stack([found.rates(), found.turning()], axis=1)

    def spectrum(self) -> NDArray[np.complex128]:
        """Return all eigenvalues of the symmetric sector's Liouvillian, shape (4 (N + 1)^2,).

        -gamma/4 +- sqrt(gamma^2/16 - (s_k +- s_l)^2) for all k, l.

        Raises
        ------
        ValueError
            Off resonance or with relaxation, where this form does not hold, and for oscillators.
        """
        engine = solver_of(self)
        if not (isinstance(engine, Resonant) and isinstance(engine.solution, ResonantQubits)):
            raise ValueError("the spectrum in closed form is that of resonant qubits")
        return engine.solution.spectrum()

    def charging_time(self, definition: Definition = "threshold", n: float = 1.0) -> ChargingTime:
        """Return the charging time in the named definition.

        Parameters
        ----------
        definition : {"threshold", "fit", "slowest-mode"}
        n : float
            Of the threshold e^-n.

        Raises
        ------
        ValueError
            Where nothing is stored, or nothing decays.
        """
        check_definition(definition, n)
        modes = decaying_modes(self)
        value = charging_time(modes, definition, n)
        return ChargingTime(value=value, definition=definition, n=n, dephasing=self.dephasing)

    def optimal_dephasing(
        self, definition: Definition = "threshold", n: float = 1.0
    ) -> OptimalDephasing:
        """Return the dephasing gamma* of the shortest charging time in the named definition.

        "slowest-mode" gives gamma* = 4 w and tau* = 1/w for the lowest frequency w exactly; the
        others are scanned, since their time may jump with gamma.

        Raises
        ------
        ValueError
            Off resonance, where the modes are not known for all gamma at once.
        """
        check_definition(definition, n)
        modes = decaying_modes(replace(self, dephasing=self.dephasing or 1.0))
        if not isinstance(modes, ModeSum):
            raise ValueError("the optimal dephasing is computed on resonance only")
        lowest = slowest_frequency(modes)

        def time_at(rate: float) -> float:
            if definition == "threshold":
                return charging_time(modes.with_dephasing(rate), definition, n)
            tau, residual = fitted_time(modes.with_dephasing(rate))
            return tau if residual <= POOR_FIT else np.inf

        if definition == "slowest-mode":
            best, value = 4.0 * lowest, 1.0 / lowest
            method = "exact: critical damping of the lowest mode, gamma = 4 w"
        else:
            best, value, width = scan_dephasing(time_at, 0.1 * lowest, 60.0 * lowest)
            method = f"zoomed grid of gamma, to {width:.1e} of it"
        time = ChargingTime(value=value, definition=definition, n=n, dephasing=best)
        return OptimalDephasing(
            value=best, charging_time=time, definition=definition, n=n, method=method
        )

    def energy_within(self, time: float) -> float:
        """Return the largest stored energy of the first `time` of charging.

        What an experiment reaches, against the limit that it may never see.
        """
        if not (np.isfinite(time) and time > 0.0):
            raise ValueError(f"`time` must be positive and finite, but is {time}")
        grid = np.concatenate([np.linspace(0.0, time, 400), np.geomspace(1e-6 * time, time, 400)])
        return float(np.max(self.energy(np.unique(grid))))

    def to_qutip(self) -> tuple[qutip.Qobj, list[qutip.Qobj], qutip.Qobj]:
        """Return H, collapse operators and start state for QuTiP, charger first.

        Dicke states where the batteries act as one, the full space of 1 + N qubits where noise
        acts on each.  Oscillators are cut at the levels that their resonant displacement needs.
        """
        from nmrqb.models.to_qutip import star_to_qutip

        return star_to_qutip(self.rates(), is_thermal=self.start == "thermal")

    def from_qutip(self, state: qutip.Qobj) -> StoredState:
        """Return what the batteries hold in a state of this star that QuTiP computed.

        Parameters
        ----------
        state : Qobj
            Ket or density matrix on the spaces of `to_qutip`.
        """
        from nmrqb.models.to_qutip import sectors_from_qutip

        sectors, charger = sectors_from_qutip(state)
        battery = mean_excitations(sectors)
        return self._stored(Moment(sectors=sectors, battery=battery, charger=charger), "QuTiP")

    def dicke_engine(self) -> Bipartite:
        """Return operators and generator of charger and Dicke states, for qubits.

        Raises
        ------
        ValueError
            For oscillators, and where losses beside the charger's dephasing act.
        """
        silent = self.bath("charger").is_silent and self.bath("battery").is_silent
        qubits = self.battery == self.charger == "qubit" and self.start == "empty"
        if not (silent and qubits and self.collective_dephasing == 0.0):
            raise ValueError(
                "this needs qubits that start empty and no loss but the charger's `dephasing`"
            )
        return Bipartite(self.rates(), 2, self.batteries + 1)

    def rates(self) -> StarRates:
        """Return the numbers as the engines take them."""
        return StarRates(
            batteries=self.batteries,
            battery=self.battery,
            charger=self.charger,
            coupling=self.collective_coupling,
            drive=self.drive,
            battery_offset=self.drive_detuning,
            charger_offset=self.drive_detuning + self.charger_detuning,
            dephasing=self.dephasing,
            collective_dephasing=self.collective_dephasing,
            charger_bath=self.bath("charger"),
            battery_bath=self.bath("battery"),
        )


def _times(times: ArrayLike) -> Array:
    t = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if t.ndim != 1 or len(t) == 0:
        raise ValueError(f"`times` must be a list of times, but has shape {t.shape}")
    if not np.isfinite(t).all() or (t < 0.0).any() or (np.diff(t) < 0.0).any():
        raise ValueError("`times` must be finite, at least 0 and rising")
    return t
