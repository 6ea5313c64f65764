"""Stars whose batteries differ, have more than two levels, or feed a load while they charge.

No permutation symmetry is left to use.  The star names the battery that breaks it and by how much,
and is solved in the full space by QuTiP up to the size that this honestly reaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmrqb.battery.charging import ChargingCurve
from nmrqb.battery.ergotropy import Sector, passive_excitations
from nmrqb.models.bipartite import collapse_operators, lowering
from nmrqb.models.rates import Bath
from nmrqb.quantum import qutip_bridge as bridge

if TYPE_CHECKING:
    import qutip

Array = NDArray[np.float64]

#: largest dimension of the full space (a density matrix of its square, minutes in QuTiP)
MOST_STATES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryUnit:
    """One battery of its own.

    Attributes
    ----------
    coupling : float
        g_j to the charger (as it stands: no normalisation).
    detuning : float
        omega_j - omega_d.
    levels : int
        d >= 2 equally spaced levels with the ladder of a spin (d - 1)/2.
    t1, t2 : float
        Decay times of energy and coherence (zero temperature); infinity: none.
    """

    coupling: float = 1.0
    detuning: float = 0.0
    levels: int = 2
    t1: float = np.inf
    t2: float = np.inf

    def __post_init__(self) -> None:
        if not (np.isfinite(self.coupling) and np.isfinite(self.detuning)):
            raise ValueError("`coupling` and `detuning` of a battery must be finite")
        if self.levels < 2:
            raise ValueError(f"`levels` must be at least 2, but is {self.levels}")
        if not (self.t1 > 0.0 and self.t2 > 0.0):
            raise ValueError(f"`t1` and `t2` must be positive, but are {self.t1}, {self.t2}")
        if np.isfinite(self.t1) and self.t2 > 2.0 * self.t1 * (1.0 + 1e-12):
            raise ValueError(f"`t2` must be at most 2 T1 = {2 * self.t1:g}, but is {self.t2:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnequalStar:
    """A driven, dephased qubit charger with batteries of any kind, from empty.

    Attributes
    ----------
    units : tuple of BatteryUnit
    drive, dephasing : float
        F and gamma of the charger, as in `DephasedStar`.
    charger_detuning : float
        omega_C - omega_d.
    omega : float
        Energy of one excitation.
    load_coupling : float
        g_L of one load qubit that touches all batteries all the time,
        H_L = g_L (B^+ tau_- + h.c.); 0: no load.
    """

    units: tuple[BatteryUnit, ...]
    drive: float = 0.5
    dephasing: float = 1.0
    charger_detuning: float = 0.0
    omega: float = 1.0
    load_coupling: float = 0.0

    def __post_init__(self) -> None:
        if not self.units:
            raise ValueError("`units` must hold at least one battery")
        for name in ("drive", "dephasing"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0.0):
                raise ValueError(f"`{name}` must be finite and at least 0, but is {value}")
        if not (np.isfinite(self.charger_detuning) and np.isfinite(self.load_coupling)):
            raise ValueError("`charger_detuning` and `load_coupling` must be finite")
        if not (np.isfinite(self.omega) and self.omega > 0.0):
            raise ValueError(f"`omega` must be positive, but is {self.omega}")
        size = int(np.prod(self._dims))
        if size > MOST_STATES:
            raise ValueError(
                f"{self.asymmetry or 'the load'} leaves the full space of {size} states, solved up "
                f"to {MOST_STATES}"
            )

    @property
    def _dims(self) -> list[int]:
        load = [2] if self.load_coupling != 0.0 else []
        return [2, *(unit.levels for unit in self.units), *load]

    @property
    def asymmetry(self) -> str | None:
        """Which battery breaks the equivalence, and by how much; None for equal ones."""
        first = self.units[0]
        for k, unit in enumerate(self.units[1:], start=1):
            for name in ("coupling", "detuning", "levels", "t1", "t2"):
                mine, other = getattr(unit, name), getattr(first, name)
                if mine != other:
                    return (
                        f"battery {k} has {name} {mine:g} where battery 0 has {other:g} "
                        f"(they differ by {abs(mine - other):g}), which"
                    )
        return None

    def _on(self, operator: Array, place: int) -> qutip.Qobj:
        return bridge.on_place(operator, place, self._dims)

    def to_qutip(self) -> tuple[qutip.Qobj, list[qutip.Qobj], qutip.Qobj]:
        """Return H, collapse operators and the empty state: charger, batteries, load."""
        low = [self._on(lowering("qubit", d), k) for k, d in enumerate(self._dims)]
        number = [self._on(np.diag(np.arange(d) + 0.0), k) for k, d in enumerate(self._dims)]
        hamiltonian = self.charger_detuning * number[0] + self.drive * (low[0] + low[0].dag())
        collapse = [np.sqrt(self.dephasing) * number[0]] if self.dephasing > 0.0 else []
        for k, unit in enumerate(self.units, start=1):
            exchange = low[0].dag() * low[k]
            hamiltonian += unit.coupling * (exchange + exchange.dag()) + unit.detuning * number[k]
            if self.load_coupling != 0.0:
                feed = low[-1].dag() * low[k]
                hamiltonian += self.load_coupling * (feed + feed.dag())
            bath = Bath(t1=unit.t1, t2=min(unit.t2, 2.0 * unit.t1), quanta=0.0)
            ladder, levels = lowering("qubit", unit.levels), np.diag(np.arange(unit.levels) + 0.0)
            for operator in collapse_operators(ladder, levels, 0.0, bath, "qubit"):
                collapse.append(self._on(operator, k))
        return hamiltonian, collapse, bridge.empty_state(self._dims)

    def solve(self, times: ArrayLike) -> tuple[ChargingCurve, Array]:
        """Return the batteries' curve and the load's energy, by QuTiP in the full space.

        Parameters
        ----------
        times : array_like, shape (points,)
            Rising from 0, in the inverse unit of the rates.

        Returns
        -------
        ChargingCurve
            Energy and collective ergotropy of all batteries.
        ndarray, shape (points,)
            Energy of the load; zeros without one.
        """
        t = np.atleast_1d(np.asarray(times, dtype=np.float64))
        if t.ndim != 1 or not np.isfinite(t).all() or t[0] < 0.0 or (np.diff(t) <= 0.0).any():
            raise ValueError("`times` must be finite, at least 0 and rising")
        grid = t if t[0] == 0.0 else np.concatenate([[0.0], t])
        states = bridge.solve_master_equation(*self.to_qutip(), grid)[-len(t) :]
        places = list(range(1, len(self.units) + 1))
        levels = np.zeros(1, dtype=np.int64)
        for unit in self.units:
            levels = np.add.outer(levels, np.arange(unit.levels)).ravel()
        counts = np.bincount(levels).tolist()
        energy, work, load = [], [], []
        for state in states:
            rho = bridge.from_qobj(state.ptrace(places))
            sector = Sector(matrix=(rho + rho.conj().T) / 2.0, excitations=levels)
            mean = float(sector.populations @ levels)
            energy.append(self.omega * mean)
            work.append(self.omega * max(0.0, mean - passive_excitations([sector], counts)))
            last = bridge.from_qobj(state.ptrace([len(self._dims) - 1]))
            load.append(self.omega * last[1, 1].real if self.load_coupling != 0.0 else 0.0)
        reason = self.asymmetry or "a load or more levels"
        curve = ChargingCurve(
            times=t,
            time_unit="model",
            energy=np.array(energy),
            energy_unit=f"hbar omega_B = {self.omega:g}",
            ergotropy=np.array(work),
            ergotropy_kind="collective",
            start="pure",
            provenance=f"QuTiP in the full space of {np.prod(self._dims)} states: {reason}",
        )
        return curve, np.array(load)
