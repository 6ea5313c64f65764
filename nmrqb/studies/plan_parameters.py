"""The numbers of a plan that a measurement may tell: J, relaxation times, inversions.

One table for all that frees them: fits of a protocol to its rows, and comparisons that look for
what would reconcile prediction and measurement.  The sequence stays what it was compiled to: an
experiment ran with its planned lengths, whatever J and T1 of the molecule are.  Only the spins
change, and how well an inversion works.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nmrqb.compiler.compile import CompiledProtocol, compile_protocol
from nmrqb.protocol.steps import Invert, PulseKind, Reenergise
from nmrqb.spectrometer.spectrometer import InversionPulse, Spectrometer
from nmrqb.spins.register import Measured, Role, Species
from nmrqb.studies.plan import Plan

#: key -> unit.  Of an inversion the key stands for every kind of pulse that inverts the species.
KEYS: dict[str, str] = {
    "J": "Hz",
    "T1_charger": "s",
    "T1_battery": "s",
    "T2_charger": "s",
    "T2_battery": "s",
    "dipolar_share": "",
    "inversion": "",
    "inversion_battery": "",
}

#: a parameter is looked for up to this factor to either side of its registered value
WIDE = 3.0
#: the range of J that is looked through where 0 is registered
_AROUND_ZERO_HZ = 10.0
#: the least efficiency that is looked for, and the least that a pulse can have and still invert
_POOR_INVERSION, _NO_INVERSION = 0.3, 1e-3
#: keeps T2 <= 2 T1 and T2 <= T1rho <= T1 at the ends of a range
_OFF = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanParameter:
    """One number that a plan's prediction depends on.

    Attributes
    ----------
    key : str
        Of `KEYS`.
    name : str
        In words; inversions by different pulses have names of their own.
    registered : Measured
        Value, standard error and source.
    unit : str
    low, high : float
        What is physically possible with all others as registered (those apart that are freed with
        it, see ``plan_parameters``).
    range : tuple (low, high)
        Where it is looked for: a factor of three to either side of the registered value, shares
        and efficiencies over all of their values, within `low` and `high`.
    change : callable
        (plan, value) to the plan with that value, its sequences as they were.  J keeps its sign.
    """

    key: str
    name: str
    registered: Measured
    unit: str
    low: float
    high: float
    range: tuple[float, float]
    change: Callable[[Plan, float], Plan]

    @property
    def source(self) -> str:
        """Where the registered value comes from, and whether it has an error."""
        measured = self.registered
        where = "nominal: nobody measured it on this sample" if measured.nominal else None
        source = where or measured.source or ""
        if measured.stderr is None:
            source += "; no standard error is registered"
        return source


def plan_parameters(plan: Plan, freed: Collection[str] = ()) -> tuple[PlanParameter, ...]:
    """Return every parameter of a plan.

    J, T1 and T2 of both species (no T1 where a recovery curve replaces it), the dipolar share
    where the register has one, and the inversions that the protocol makes.

    Parameters
    ----------
    plan : Plan
    freed : collection of str
        Keys that are freed together: T1 and T2 of one species do not bound each other if both are.
        T2 then follows T2 <= 2 T1.
    """
    register = plan.register
    found = [_coupling(plan)]
    for species in (register.center, register.satellite):
        role = species.role
        if species.recovery is None:
            found.append(_t1(species, bounded_by_t2=f"T2_{role}" not in freed))
        found.append(_t2(species, bounded_by_t1=f"T1_{role}" not in freed))
    if register.dipolar_share is not None:
        found.append(_dipolar_share(register.dipolar_share))
    return tuple(found + [_inversion(plan, *which) for which in _inversions(plan)])


def why_no_parameter(plan: Plan, key: str) -> str | None:
    """Return why a plan has no parameter of this key of `KEYS`, or None where it has one."""
    if any(p.key == key for p in plan_parameters(plan)):
        return None
    if key == "dipolar_share":
        return f"register {plan.register.name!r} has no dipolar share: no Overhauser effect"
    if key.startswith("T1"):
        return "the register holds a measured recovery of the charger, which replaces its T1"
    role = "battery" if key == "inversion_battery" else "charger"
    return f"this protocol inverts no {role}: nothing depends on an efficiency"


def changed_plan(
    plan: Plan,
    values: Mapping[str, float],
    parameters: Collection[PlanParameter] | None = None,
) -> Plan:
    """Return the plan with other numbers and the same sequences.

    Parameters
    ----------
    plan : Plan
    values : mapping
        `KEYS` to values; others are passed over.  Of J the size counts: its sign stays.
    parameters : collection of PlanParameter, optional
        Those of the plan, where they are at hand.
    """
    changed = plan
    # T1 before T2 of the same species, which is bounded by it
    for parameter in plan_parameters(plan) if parameters is None else parameters:
        if parameter.key in values:
            changed = parameter.change(changed, values[parameter.key])
    return changed


def _coupling(plan: Plan) -> PlanParameter:
    j = plan.register.coupling_hz
    if j.value == 0.0:
        low, high, ends = -np.inf, np.inf, (-_AROUND_ZERO_HZ, _AROUND_ZERO_HZ)
    else:
        low, high = (0.0, np.inf) if j.value > 0.0 else (-np.inf, 0.0)
        first, last = sorted((j.value / WIDE, j.value * WIDE))
        ends = (first, last)

    def change(plan: Plan, value: float) -> Plan:
        signed = value if j.value == 0.0 else math.copysign(value, j.value)
        return _with(plan, coupling_hz=replace(plan.register.coupling_hz, value=signed))

    return PlanParameter(
        key="J", name="J", registered=j, unit="Hz", low=low, high=high, range=ends, change=change
    )


def _t1(species: Species, *, bounded_by_t2: bool) -> PlanParameter:
    low = 0.5 * species.t2_s.value if bounded_by_t2 else 0.0
    if species.t1_rho_s is not None:
        low = max(low, species.t1_rho_s.value)
    low *= 1.0 + _OFF
    return _time(species.role, "T1", species.t1_s, low, np.inf)


def _t2(species: Species, *, bounded_by_t1: bool) -> PlanParameter:
    high = 2.0 * species.t1_s.value if bounded_by_t1 else np.inf
    if species.t1_rho_s is not None:
        high = min(high, species.t1_rho_s.value)
    if species.recovery is not None:
        high = min(high, 2.0 * species.recovery.t1_range_s[0])
    high *= 1.0 - _OFF
    return _time(species.role, "T2", species.t2_s, 0.0, high)


def _time(role: Role, which: str, time: Measured, low: float, high: float) -> PlanParameter:
    def change(plan: Plan, value: float) -> Plan:
        return _with_times(plan, role, **{f"{which.lower()}_s": value})

    # a registered value may itself lie at the limit
    low, high = min(low, time.value), max(high, time.value)
    return PlanParameter(
        key=f"{which}_{role}",
        name=f"{which} of the {role}",
        registered=time,
        unit="s",
        low=low,
        high=high,
        range=(max(low, time.value / WIDE), min(high, time.value * WIDE)),
        change=change,
    )


def _dipolar_share(share: Measured) -> PlanParameter:
    return PlanParameter(
        key="dipolar_share",
        name="dipolar share of the battery",
        registered=share,
        unit="",
        low=0.0,
        high=1.0,
        range=(0.0, 1.0),
        change=lambda plan, value: _with(plan, dipolar_share=replace(share, value=value)),
    )


def _with(plan: Plan, **changes: Any) -> Plan:
    return replace(plan, register=replace(plan.register, **changes))


def _with_times(plan: Plan, role: Role, **times: float) -> Plan:
    """Return the plan with another T1 or T2 of a species; T2 <= 2 T1 and T2* <= T2 follow."""
    place = "center" if plan.register.center.role == role else "satellite"
    species: Species = getattr(plan.register, place)
    t1 = times.get("t1_s", species.t1_s.value)
    t2 = min(times.get("t2_s", species.t2_s.value), 2.0 * t1)
    changed = replace(
        species,
        t1_s=replace(species.t1_s, value=t1),
        t2_s=replace(species.t2_s, value=t2),
        # the width of the line alone: it changes no energy of a decoupled read-out
        t2_star_s=replace(species.t2_star_s, value=min(species.t2_star_s.value, t2)),
    )
    return _with(plan, **{place: changed})


def _inversions(plan: Plan) -> tuple[tuple[Role, PulseKind], ...]:
    """Return species and kind of every inversion that the protocol makes."""
    found: list[tuple[Role, PulseKind]] = []
    must = plan.register.must_invert_chargers
    for step in (*plan.protocol.prepare, *plan.protocol.cycle):
        match step:
            case Invert():
                found.append((step.target, step.pulse))
            case Reenergise():
                if step.inversion == "ideal" or (step.inversion == "auto" and must):
                    found.append(("charger", step.pulse))
            case _:
                pass
    return tuple(dict.fromkeys(found))


def _inversion(plan: Plan, role: Role, kind: PulseKind) -> PlanParameter:
    species = plan.register.battery if role == "battery" else plan.register.charger
    channel = plan.spectrometer.channel(species.isotope)
    pulse = channel.inversion(kind)
    if pulse is None:
        lengths = {"hard": 2.0, "composite": 4.0}
        pulse = InversionPulse(
            kind=kind,
            efficiency=Measured(value=1.0, source="simulated from its pulses"),
            length_s=lengths[kind] * channel.pulse_90_s,
            power_watt=channel.pulse_power_watt,
        )
    known, original = pulse, plan.register
    # a search comes back to the same kinds of inversions with other efficiencies
    compiled: dict[frozenset[tuple[str, str]], CompiledProtocol] = {}

    def change(plan: Plan, value: float) -> Plan:
        measured = replace(known, efficiency=replace(known.efficiency, value=value))
        console = _with_inversion(plan.spectrometer, species.isotope, measured)
        sequences, kinds = plan.compiled, _kinds(console)
        if kinds != _kinds(plan.spectrometer):
            # what was pulses becomes an inversion
            if kinds not in compiled:
                # for the register of the plan as it was: lengths do not follow changed spins
                compiled[kinds] = compile_protocol(plan.protocol, original, console)
            sequences = compiled[kinds]
        return replace(plan, spectrometer=console, compiled=sequences.with_efficiencies(console))

    efficiency = known.efficiency
    return PlanParameter(
        key="inversion" if role == "charger" else "inversion_battery",
        name=f"efficiency of the {role}'s {kind} inversion",
        registered=efficiency,
        unit="",
        low=_NO_INVERSION,
        high=1.0,
        range=(min(_POOR_INVERSION, efficiency.value), 1.0),
        change=change,
    )


def _kinds(console: Spectrometer) -> frozenset[tuple[str, str]]:
    """Return nucleus and kind of every inversion that a spectrometer lists."""
    return frozenset((c.nucleus, i.kind) for c in console.channels for i in c.inversions)


def _with_inversion(console: Spectrometer, isotope: str, pulse: InversionPulse) -> Spectrometer:
    channels = tuple(
        replace(c, inversions=(*(i for i in c.inversions if i.kind != pulse.kind), pulse))
        if c.nucleus == isotope
        else c
        for c in console.channels
    )
    return replace(console, channels=channels)
