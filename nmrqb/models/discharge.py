"""Discharging a battery: by the best unitary, or into load spins one after the other.

A load spin, empty, touches the whole battery for a time d through H = g_L (B^+ tau_- + B tau_+).
The number of excitations is conserved, so that |n> with an empty load turns into |n - 1> with a
full one at the frequency g_L <n - 1|B|n>.  The battery keeps what is left and meets the next load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmrqb.battery.ergotropy import Sector, local_ergotropy, mean_excitations
from nmrqb.battery.stored import StoredState

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadDischarge:
    """What a sequence of loads takes out of a battery.

    Attributes
    ----------
    contact_time : float
        d of each load.
    energy : ndarray, shape (loads,)
        Energy that each load takes.
    ergotropy : ndarray, shape (loads,)
        Ergotropy of each load alone.
    left : float
        Energy left in the battery.
    """

    contact_time: float
    energy: Array
    ergotropy: Array
    left: float

    @property
    def power(self) -> Array:
        """Energy per contact time of each load, shape (loads,)."""
        return self.energy / self.contact_time

    @property
    def constancy(self) -> float:
        """Smallest over largest power: 1 for a supply that does not flag."""
        top = float(np.max(self.energy))
        return float(np.min(self.energy)) / top if top > 0.0 else 1.0


def _turns(sector: Sector, kind: str) -> Array:
    """Return <n - 1|B|n> down the sector, 0 for its lowest state."""
    k = np.arange(len(sector.excitations))
    squares = k * (len(k) - k) if kind == "qubit" else k
    return np.asarray(np.sqrt(squares), dtype=np.float64)


def load_energy(state: StoredState, coupling: float, times: ArrayLike) -> Array:
    """Return the energy of one load against its contact time, shape of `times`.

    Parameters
    ----------
    state : StoredState
    coupling : float
        g_L, angular.
    times : array_like
        In the inverse unit of `coupling`.
    """
    t = np.asarray(times, dtype=np.float64)
    total = np.zeros(t.shape)
    for s in state.sectors:
        turned = np.sin(np.multiply.outer(t, coupling * _turns(s, state.kind))) ** 2
        total += s.multiplicity * (turned @ s.populations)
    return np.asarray(state.omega * total, dtype=np.float64)


def discharge_to_loads(
    state: StoredState, coupling: float, contact_time: float, loads: int
) -> LoadDischarge:
    """Let `loads` empty spins touch the battery one after the other.

    Parameters
    ----------
    state : StoredState
    coupling : float
        g_L, angular.
    contact_time : float
        d > 0 of each.
    loads : int
        At least 1.
    """
    if not (np.isfinite(contact_time) and contact_time > 0.0):
        raise ValueError(f"`contact_time` must be positive, but is {contact_time}")
    if not np.isfinite(coupling):
        raise ValueError(f"`coupling` must be finite, but is {coupling}")
    if loads < 1:
        raise ValueError(f"`loads` must be at least 1, but is {loads}")
    sectors: Sequence[Sector] = state.sectors
    energy, work = [], []
    for _ in range(loads):
        sectors, taken, coherence = _contact(sectors, state.kind, coupling * contact_time)
        energy.append(state.omega * taken)
        bloch = np.array([2.0 * coherence.real, 2.0 * coherence.imag, 1.0 - 2.0 * taken])
        work.append(state.omega * local_ergotropy(bloch))
    return LoadDischarge(
        contact_time=contact_time,
        energy=np.array(energy),
        ergotropy=np.array(work),
        left=state.omega * mean_excitations(sectors),
    )


def _contact(
    sectors: Sequence[Sector], kind: str, angle: float
) -> tuple[list[Sector], float, complex]:
    """Return the battery after one load, the load's excitation and its coherence."""
    after, taken, coherence = [], 0.0, 0.0 + 0.0j
    for s in sectors:
        turn = angle * _turns(s, kind)
        stays, falls = np.diag(np.cos(turn)), np.diag(np.sin(turn[1:]), 1)
        gone = falls @ s.matrix @ falls.T
        rho = stays @ s.matrix @ stays + gone
        taken += s.multiplicity * float(np.trace(gone).real)
        coherence += s.multiplicity * complex(np.trace(-1j * falls @ s.matrix @ stays))
        after.append(Sector(matrix=rho, excitations=s.excitations, multiplicity=s.multiplicity))
    return after, taken, coherence
