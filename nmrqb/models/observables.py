"""Every observable of a charging process against time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.stored import StoredState

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class StarObservables:
    """Arrays of shape (points,), energies in the unit of omega and totals over all batteries.

    Attributes
    ----------
    times : ndarray
    energy, ergotropy, incoherent_ergotropy, coherent_ergotropy : ndarray
        Collective ergotropy and its two parts.
    local_ergotropy : ndarray or None
        Of separate unitaries; None for oscillators.
    energy_variance, purity : ndarray
    charger_energy : ndarray
    coupling_energy, drive_energy : ndarray
        <H_CB> and <H_drive>.  [H_CB, H_drive] is not 0, so neither is conserved by the other.
    drive_work : ndarray
        Work that the drive has done, omega_d times the quanta it put in (exact in the
        rotating-wave approximation, whatever is lost to baths meanwhile).
    """

    times: Array
    energy: Array
    ergotropy: Array
    incoherent_ergotropy: Array
    coherent_ergotropy: Array
    local_ergotropy: Array | None
    energy_variance: Array
    purity: Array
    charger_energy: Array
    coupling_energy: Array
    drive_energy: Array
    drive_work: Array

    @classmethod
    def of(
        cls,
        *,
        times: Array,
        states: Sequence[StoredState],
        coupling_energy: Array,
        drive_energy: Array,
        drive_work: Array,
    ) -> StarObservables:
        """Collect the figures of merit of `states` at `times`."""
        ergotropy = np.array([s.ergotropy for s in states])
        incoherent = np.array([s.incoherent_ergotropy for s in states])
        is_qubit = states[0].kind == "qubit"
        return cls(
            times=times,
            energy=np.array([s.energy for s in states]),
            ergotropy=ergotropy,
            incoherent_ergotropy=incoherent,
            coherent_ergotropy=np.maximum(0.0, ergotropy - incoherent),
            local_ergotropy=np.array([s.local_ergotropy for s in states]) if is_qubit else None,
            energy_variance=np.array([s.energy_variance for s in states]),
            purity=np.array([s.purity for s in states]),
            charger_energy=np.array([s.charger_energy for s in states]),
            coupling_energy=coupling_energy,
            drive_energy=drive_energy,
            drive_work=drive_work,
        )

    @property
    def switching_cost(self) -> Array:
        """Work to switch drive and coupling off suddenly, -<H_CB + H_drive>."""
        return -(self.coupling_energy + self.drive_energy)

    @property
    def efficiency(self) -> Array:
        """Stored energy over all work spent (drive and switching); 0 before any is."""
        spent = self.drive_work + self.switching_cost
        return np.divide(self.energy, spent, out=np.zeros_like(spent), where=np.abs(spent) > 1e-14)

    @property
    def power(self) -> Array:
        """Mean charging power E(t)/t; 0 at t = 0."""
        t = self.times
        return np.divide(self.energy, t, out=np.zeros_like(self.energy), where=t > 0.0)
