"""The numbers of a star with one charger, as every engine takes them: one angular unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["qubit", "oscillator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bath:
    """Relaxation of one unit: T1 towards a thermal occupation and T2.

    Attributes
    ----------
    t1, t2 : float
        Decay times of the energy and of the coherence (<sigma_->, or <a> of an oscillator), in
        the inverse unit of the rates; infinity switches a process off.
    quanta : float
        Thermal number of quanta of an oscillator at this energy, 1/(e^(hbar omega/kT) - 1).
    """

    t1: float
    t2: float
    quanta: float

    @property
    def is_silent(self) -> bool:
        """Whether nothing relaxes."""
        return bool(np.isinf(self.t1) and np.isinf(self.t2))

    @property
    def pure_dephasing(self) -> float:
        """Rate gamma of L = number of excitations that makes up the rest of 1/T2."""
        return max(0.0, 2.0 / self.t2 - 1.0 / self.t1)

    def loss_and_gain(self, kind: Kind) -> tuple[float, float]:
        """Return the rates of losing and gaining one excitation."""
        total = 1.0 / self.t1
        if kind == "oscillator":
            return total * (self.quanta + 1.0), total * self.quanta
        share = self.quanta / (2.0 * self.quanta + 1.0)
        return total * (1.0 - share), total * share

    @property
    def polarisation(self) -> float:
        """Equilibrium <sigma_z> of a qubit, +1 = excited: -tanh(hbar omega/2kT)."""
        return -1.0 / (2.0 * self.quanta + 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StarRates:
    """H = delta n_B + (delta + Delta) n_C + lambda (C^+ B + h.c.) + F (C + C^+), and the losses.

    Attributes
    ----------
    batteries : int
    battery, charger : {"qubit", "oscillator"}
    coupling, drive : float
        lambda of one battery, F.
    battery_offset, charger_offset : float
        delta = omega_B - omega_d and delta + Delta = omega_C - omega_d.
    dephasing, collective_dephasing : float
        gamma of L = n_C and of L = sum_j n_j.
    charger_bath, battery_bath : Bath
        The latter on each battery.
    """

    batteries: int
    battery: Kind
    charger: Kind
    coupling: float
    drive: float
    battery_offset: float
    charger_offset: float
    dephasing: float
    collective_dephasing: float
    charger_bath: Bath
    battery_bath: Bath
