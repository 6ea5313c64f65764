"""Generators of everything a star does by itself: free precession, exchange, drive, spin lock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from nmrqb.quantum import operators as op
from nmrqb.quantum.load import load_coupling, load_exchange, load_relaxation
from nmrqb.quantum.propagation import Generator
from nmrqb.quantum.star import Equilibrium, SpinRelaxation, StarSpace
from nmrqb.spins.register import SpinRegister


@dataclass(slots=True)
class StarGenerators:
    """Builds and keeps the generators of one register.

    Parameters
    ----------
    register : SpinRegister
    space : StarSpace
    equilibrium : {"linear", "exact"}
    polarisation : float
        Equilibrium polarisation of the charger for "exact".
    relaxes : bool
        False switches T1, T2 and cross-relaxation of every spin off.
    """

    register: SpinRegister
    space: StarSpace
    equilibrium: Equilibrium = "linear"
    polarisation: float = 1.0
    relaxes: bool = True
    _kept: dict[object, Generator] = field(init=False, repr=False, default_factory=dict)

    @property
    def largest_block(self) -> int:
        """Size of the largest block that was propagated so far."""
        return max((g.largest_block for g in self._kept.values()), default=0)

    def of(self, kind: object) -> Generator:
        """Return the generator of a kind.

        Kinds: "free", ("free", charger T1), "relaxation", "exchange", "exchange+relaxation",
        ("driven", nutation in Hz, dephasing in 1/s, relaxes), ("lock", mismatch in Hz),
        ("saturation", species), ("load exchange", quanta, relaxes).  Where there is a load, the
        effective Hamiltonians leave its weak coupling out, as sequences that make them refocus it;
        free evolution has it.
        """
        if kind not in self._kept:
            self._kept[kind] = Generator(self.matrix(kind))
        return self._kept[kind]

    def matrix(self, kind: object) -> sp.csr_array:
        """Return the matrix of a generator, shape (dimension, dimension), in 1/s."""
        coupling, space = self.register.coupling_hz.value, self.space
        match kind:
            case "free":
                return sp.csr_array(self._weak_couplings() + self._relaxation())
            case ("free", float(charger_t1_s)):
                return sp.csr_array(self._weak_couplings() + self._relaxation(charger_t1_s))
            case "relaxation":
                return self._relaxation()
            case "exchange":
                return space.exchange(coupling)
            case "exchange+relaxation":
                return sp.csr_array(space.exchange(coupling) + self._relaxation())
            case ("driven", float(nutation_hz), float(dephasing_per_s), bool(relaxes)):
                central = self.register.center.role == "charger"
                dephasing = op.relaxation(
                    math.inf, 2.0 / dephasing_per_s if dephasing_per_s else (math.inf), 0.0
                )
                total = space.exchange(coupling) + space.drive(
                    "center" if central else "satellite", 2.0 * np.pi * nutation_hz
                )
                total = total + (
                    space.on_center(dephasing) if central else space.on_satellites(dephasing)
                )
                return sp.csr_array(total + self._relaxation() if relaxes else total)
            case ("load exchange", ("zero" | "double") as quanta, bool(relaxes)):
                assert self.register.load is not None
                exchange = load_exchange(space, self.register.load.coupling_hz.value, quanta)
                return sp.csr_array(exchange + self._relaxation()) if relaxes else exchange
            case ("saturation", ("center" | "satellite") as on):
                return space.without(on, self.of("free").matrix)
            case ("lock", float(mismatch_hz)):
                total = space.exchange(coupling / 2.0) + self._lock_relaxation()
                half = np.pi * mismatch_hz
                precession = sp.diags_array(-1j * space.precession(half, -half))
                return sp.csr_array(total + precession)
            case _:
                raise ValueError(f"no such generator: {kind!r}")

    def _relaxation(self, charger_t1_s: float | None = None) -> sp.csr_array:
        space = self.space
        if not self.relaxes:
            return sp.csr_array((space.dimension, space.dimension), dtype=np.complex128)
        total = space.relaxation(
            *self.relaxations(charger_t1_s), self.equilibrium, self.register.pair_rate_per_s
        )
        return sp.csr_array(total + self._load_relaxation()) if space.has_load else total

    def _weak_couplings(self) -> sp.csr_array:
        total = self.space.weak_coupling(self.register.coupling_hz.value)
        load = self.register.load
        if load is None:
            return total
        return sp.csr_array(total + load_coupling(self.space, load.coupling_hz.value))

    def _load_relaxation(self) -> sp.csr_array:
        load = self.register.load
        assert load is not None
        spin = SpinRelaxation(
            t1_s=load.t1_s.value, t2_s=load.t2_s.value, equilibrium=self.load_equilibrium
        )
        return load_relaxation(self.space, spin, self.equilibrium)

    def _lock_relaxation(self) -> sp.csr_array:
        """Return T1rho along the lock and the mean of 1/T1 and 1/T2 across it; no equilibrium."""
        space = self.space
        if not self.relaxes:
            return sp.csr_array((space.dimension, space.dimension), dtype=np.complex128)
        center, satellite = (
            SpinRelaxation(
                t1_s=species.spin_lock_t1_s,
                t2_s=2.0 / (1.0 / species.t1_s.value + 1.0 / species.t2_s.value),
                equilibrium=0.0,
            )
            for species in (self.register.center, self.register.satellite)
        )
        total = space.relaxation(center, satellite, self.equilibrium)
        return sp.csr_array(total + self._load_relaxation()) if space.has_load else total

    @property
    def load_equilibrium(self) -> float:
        """Equilibrium polarisation of the load; 0 without one."""
        scale = self.polarisation if self.equilibrium == "exact" else 1.0
        return scale * self.register.load_equilibrium

    def equilibria(self) -> tuple[float, float]:
        """Return the equilibrium polarisations of centre and satellites."""
        register = self.register
        scale = self.polarisation if self.equilibrium == "exact" else 1.0
        battery = scale * register.battery_equilibrium
        charger = scale * register.charger_equilibrium
        return (battery, charger) if register.center.role == "battery" else (charger, battery)

    def relaxations(
        self, charger_t1_s: float | None = None
    ) -> tuple[SpinRelaxation, SpinRelaxation]:
        """Return T1, T2 and equilibrium of centre and satellites."""
        center, satellite = (
            SpinRelaxation(
                t1_s=(
                    charger_t1_s
                    if charger_t1_s is not None and species.role == "charger"
                    else species.t1_s.value
                ),
                t2_s=species.t2_s.value,
                equilibrium=equilibrium,
            )
            for species, equilibrium in zip(
                (self.register.center, self.register.satellite), self.equilibria(), strict=True
            )
        )
        return center, satellite
