"""Energy of chargers, battery and load through charging, storing and discharging.

Exchange conserves spin, not energy: where Larmor frequencies differ the pulses that make it take
up the difference.  Every energy is of all spins of a role in one molecule, from the identity level
and in one unit, hbar |omega_B| eps/2: a spin of polarisation r (energy label, units of eps) and
Larmor frequency omega has -|omega/omega_B| r.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.energy import incoherent_ergotropy
from nmrqb.compiler.compile import CompiledProtocol
from nmrqb.simulate.dynamics import Conditions
from nmrqb.simulate.energy_flow import EnergyMeter, StageFlow
from nmrqb.spins.register import SpinRegister

Array = NDArray[np.float64]
RoleName = Literal["battery", "charger", "load"]
ROLES: tuple[RoleName, ...] = ("battery", "charger", "load")

UNIT = "hbar |omega_B| eps/2"
#: an energy below this is rounding, and no efficiency can be taken of it
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEnergy:
    """One stage: energies before and after, and where the change comes from, by role.

    Attributes
    ----------
    name : str
    duration_s : float
    before, after : dict
        Energy from the identity level.
    by_exchange : dict
        Moved between the species by exchange, or by the pulses that make it.
    by_pulses : dict
        Work of all other pulses.
    by_relaxation : dict
        Energy from the lattice: T1 and cross-relaxation.
    """

    name: str
    duration_s: float
    before: dict[RoleName, float]
    after: dict[RoleName, float]
    by_exchange: dict[RoleName, float]
    by_pulses: dict[RoleName, float]
    by_relaxation: dict[RoleName, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number of the balance with its definition; None where `reason` withholds it."""

    definition: str
    unit: str
    value: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyBalance:
    """The balance of one row: its stages and what follows from them."""

    stages: tuple[StageEnergy, ...]
    quantities: dict[str, Quantity]

    def value(self, name: str) -> float:
        """Return a quantity; NaN where it is withheld."""
        found = self.quantities[name].value
        return float("nan") if found is None else found

    def __str__(self) -> str:
        lines = [f"energy balance ({UNIT}, from the identity level)"]
        head = "".join(f"{role:>26}" for role in ROLES)
        lines.append(f"  {'stage':<10}{head}   (after: by exchange, by pulses, by relaxation)")
        for s in self.stages:
            cells = [
                f"{s.after[r]:8.4f}:{s.by_exchange[r]:+8.4f}{s.by_pulses[r]:+8.4f}"
                f"{s.by_relaxation[r]:+8.4f}"
                for r in ROLES
            ]
            lines.append(f"  {s.name:<10}{' '.join(cells)}")
        for name, q in self.quantities.items():
            shown = f"withheld ({q.reason})" if q.value is None else f"{q.value:.5f}"
            lines.append(f"  {name.replace('_', ' ')} = {shown}  ({q.definition})")
        return "\n".join(lines)


def energy_balances(
    compiled: CompiledProtocol, register: SpinRegister, conditions: Conditions
) -> tuple[EnergyBalance, ...]:
    """Return the balance of every row of a protocol that discharges into a load.

    Simulated exactly, to first order in eps; no errors of the register's numbers are propagated.
    """
    meter = EnergyMeter(register, compiled.sequences[0].tick_s, conditions)
    found = []
    for stages in compiled.stages:
        energies = tuple(_energies(flow, register) for flow in meter.follow(stages[:-1]))
        quantities = dict(_quantities(energies, register))
        found.append(EnergyBalance(stages=energies, quantities=quantities))
    return tuple(found)


def load_warnings(balances: tuple[EnergyBalance, ...] | None) -> list[str]:
    """Say so where no row brings energy into the load."""
    if not balances or any(b.value("delivered_to_load") > 0.0 for b in balances):
        return []
    words = (
        "No row charges the load: its exchange takes energy out of it (a battery that is not "
        "charged, or quanta that do not suit the signs of gamma)."
    )
    return [words]


def energy_scale(register: SpinRegister, role: RoleName) -> float:
    """Return |omega/omega_B|, the energy of one spin of a role in the battery's unit."""
    gamma = register.of_role(role).nucleus.relative_gamma
    return abs(gamma / register.battery.nucleus.relative_gamma)


def _energies(flow: StageFlow, register: SpinRegister) -> StageEnergy:
    spins, counts = register.spins, (1, register.satellites, 1)

    def by_role(p: Array) -> dict[RoleName, float]:
        found = {
            # plus 0: no negative zeros
            spin.role: 0.0
            - spin.nucleus.sign * count * energy_scale(register, spin.role) * float(level)
            for spin, count, level in zip(spins, counts, p, strict=True)
        }
        return {role: found[role] for role in ROLES}

    return StageEnergy(
        name=flow.name,
        duration_s=flow.duration_s,
        before=by_role(flow.before),
        after=by_role(flow.after),
        by_exchange=by_role(flow.by_exchange),
        by_pulses=by_role(flow.by_pulses),
        by_relaxation=by_role(flow.by_relaxation),
    )


def _quantities(
    stages: tuple[StageEnergy, ...], register: SpinRegister
) -> Iterable[tuple[str, Quantity]]:
    charge = next(s for s in stages if s.name == "charge")
    stores = [s for s in stages if s.name == "store"]
    discharges = [s for s in stages if s.name == "discharge"]
    last = stages[-1]
    contact = next((s.before for s in discharges), last.after)
    drawn, gained = -charge.by_exchange["charger"], charge.by_exchange["battery"]
    given = -sum(s.by_exchange["battery"] for s in discharges)
    delivered = sum(s.by_exchange["load"] for s in discharges)
    equilibrium = -register.equilibrium_ratio  # the ground level is below the identity
    kept = 1.0
    for s in stores:
        above = s.before["battery"] - equilibrium
        kept *= (s.after["battery"] - equilibrium) / above if abs(above) > _NOTHING else np.nan
    ratio = energy_scale(register, "load")
    work = {
        "end of charge": _ergotropy(charge.after["battery"]),
        "contact": _ergotropy(contact["battery"]),
        "battery": _ergotropy(last.after["battery"]),
        "load": _ergotropy(last.after["load"]),
    }

    def energy(definition: str, value: float) -> Quantity:
        return Quantity(definition=definition, unit=UNIT, value=float(value))

    def share(definition: str, top: float, bottom: float, nothing: str) -> Quantity:
        known = bottom > _NOTHING and np.isfinite(top)
        value = float(top / bottom) if known else None
        reason = None if known else nothing
        return Quantity(definition=definition, unit="1", value=value, reason=reason)

    yield "drawn_from_chargers", energy("taken from the chargers by the exchanges", drawn)
    yield "gained_by_battery", energy("given to the battery by these exchanges", gained)
    yield (
        "charging_work",
        energy("work of the pulses that exchange battery and chargers", gained - drawn),
    )
    yield (
        "preparation_work",
        energy("work of all other pulses of the charging", sum(charge.by_pulses.values())),
    )
    yield "stored", energy("battery at the end of the charging", charge.after["battery"])
    yield (
        "lost_in_store",
        energy(
            "lost by the battery to the lattice while it stores",
            -sum(s.by_relaxation["battery"] for s in stores),
        ),
    )
    yield "at_discharge", energy("battery just before the discharge", contact["battery"])
    yield "given_by_battery", energy("taken from the battery by the discharge", given)
    yield "delivered_to_load", energy("given to the load by the discharge", delivered)
    yield (
        "discharge_work",
        energy("work of the pulses that exchange battery and load", delivered - given),
    )
    yield "left_in_battery", energy("battery at the end", last.after["battery"])
    yield "energy_of_load", energy("load at the end", last.after["load"])
    yield (
        "ergotropy_stored",
        energy("incoherent, battery at the end of the charging", work["end of charge"]),
    )
    yield (
        "ergotropy_at_discharge",
        energy("incoherent, battery just before the discharge", work["contact"]),
    )
    yield "ergotropy_left", energy("incoherent, battery at the end", work["battery"])
    yield "ergotropy_of_load", energy("incoherent, load at the end", work["load"])
    yield (
        "charging_efficiency",
        share("gained by the battery / drawn from chargers", gained, drawn, "nothing was drawn"),
    )
    yield (
        "storage_efficiency",
        share(
            "energy above the battery's equilibrium after / before storing",
            kept,
            1.0,
            "the battery was in equilibrium",
        ),
    )
    yield (
        "discharge_efficiency",
        share(
            f"delivered to the load / given by the battery (|omega_L/omega_B| = {ratio:.4g} at "
            "best)",
            delivered,
            given,
            "the battery gave no energy",
        ),
    )
    yield (
        "overall_efficiency",
        share("delivered to the load / drawn from chargers", delivered, drawn, "nothing was drawn"),
    )
    yield (
        "ergotropy_efficiency",
        share(
            "ergotropy of the load at the end / of the battery at the end of the charging",
            work["load"],
            work["end of charge"],
            "the battery held no ergotropy",
        ),
    )


def _ergotropy(energy: float) -> float:
    """Return the incoherent ergotropy 2 max(0, E) of one spin with energy E."""
    return float(incoherent_ergotropy(np.array(-energy)))
