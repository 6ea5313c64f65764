"""What a battery of N units holds at one moment: every figure of merit of its state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.ergotropy import (
    Sector,
    collective_ergotropy,
    excitation_variance,
    incoherent_excitations,
    local_ergotropy,
    oscillator_degeneracies,
    purity,
    qubit_degeneracies,
)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredState:
    """The state of a battery and what it is worth; energies are totals over all N units.

    Attributes
    ----------
    sectors : tuple of Sector
        The state in the energy basis; one sector for a state that is symmetric under exchange.
    batteries : int
        N.
    kind : {"qubit", "oscillator"}
    omega : float
        Energy of one excitation.
    excitations, charger_excitations : float
        Mean numbers of excitations.
    solver : str
        What computed it, and why.
    """

    sectors: tuple[Sector, ...]
    batteries: int
    kind: Literal["qubit", "oscillator"]
    omega: float
    excitations: float
    charger_excitations: float
    solver: str

    @property
    def _degeneracies(self) -> list[int]:
        if self.kind == "qubit":
            return qubit_degeneracies(self.batteries)
        top = max(int(s.excitations.max()) for s in self.sectors)
        return oscillator_degeneracies(self.batteries, top + 1)

    @property
    def energy(self) -> float:
        """Stored energy, zero when empty."""
        return self.omega * self.excitations

    @property
    def ergotropy(self) -> float:
        """Collective ergotropy: the work of the best unitary on all units together."""
        return self.omega * max(0.0, collective_ergotropy(self.sectors, self._degeneracies))

    @property
    def incoherent_ergotropy(self) -> float:
        """Collective ergotropy left when coherence between energy levels is erased."""
        return self.omega * max(0.0, incoherent_excitations(self.sectors, self._degeneracies))

    @property
    def coherent_ergotropy(self) -> float:
        """Ergotropy that sits in coherence between energy levels."""
        return max(0.0, self.ergotropy - self.incoherent_ergotropy)

    @property
    def passive_energy(self) -> float:
        """Energy that no unitary extracts."""
        return self.energy - self.ergotropy

    @property
    def energy_variance(self) -> float:
        """Variance of the stored energy."""
        return self.omega**2 * excitation_variance(self.sectors)

    @property
    def purity(self) -> float:
        """tr(rho_B^2)."""
        return purity(self.sectors)

    @property
    def populations(self) -> Array:
        """Probability of n excitations in all units together, n = 0, 1, ..."""
        top = max(int(s.excitations.max()) for s in self.sectors)
        result = np.zeros(top + 1)
        for s in self.sectors:
            np.add.at(result, s.excitations, s.multiplicity * s.populations)
        return result

    @property
    def matrix(self) -> NDArray[np.complex128] | Array:
        """rho_B in the Dicke states (qubits) or number states (bright mode) n = 0, 1, ...

        Raises
        ------
        ValueError
            Where noise on each battery has left the symmetric sector: see `sectors`.
        """
        if len(self.sectors) > 1:
            raise ValueError(
                "this state lies in several sectors of total spin, because noise acts on each "
                "battery by itself: use `sectors`"
            )
        return self.sectors[0].matrix

    @property
    def bloch(self) -> Array:
        """Bloch vector of one qubit battery, energy label (r_z > 0 is the ground state)."""
        if self.kind != "qubit":
            raise ValueError("an oscillator battery has no Bloch vector")
        minus = 0.0 + 0.0j
        for s in self.sectors:
            if (np.diff(s.excitations) != 1).any():
                raise ValueError("the Bloch vector is read from sectors of total spin only")
            k = np.arange(1, len(s.excitations))
            ladder = np.sqrt(k * (len(s.excitations) - k))
            minus += s.multiplicity * np.sum(ladder * np.diagonal(s.matrix, -1))
        # tr(rho sigma_-) = (x - i y)/2 per qubit, |up> = excited
        transverse = 2.0 * minus / self.batteries
        r_z = 1.0 - 2.0 * self.excitations / self.batteries
        return np.array([transverse.real, -transverse.imag, r_z])

    @property
    def local_ergotropy(self) -> float:
        """Ergotropy of N separate unitaries, from the Bloch vector.

        A lower bound of the collective one: joint operations on the batteries close the gap.
        """
        return self.omega * local_ergotropy(self.bloch, self.batteries)

    @property
    def charger_energy(self) -> float:
        """Energy left in the charger, at omega per excitation."""
        return self.omega * self.charger_excitations

    def __str__(self) -> str:
        return (
            f"energy {self.energy:.6g}, ergotropy {self.ergotropy:.6g} (collective; "
            f"{self.incoherent_ergotropy:.6g} of it incoherent), purity {self.purity:.4g}\n"
            f"  {self.solver}"
        )
