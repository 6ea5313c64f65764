"""The registered numbers that a plan's prediction depends on, and the prediction with others.

The sequence stays what it was compiled to: an experiment ran with its planned lengths, whatever J
and T1 of the molecule are.  Only the spins change, and how well an inversion works.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.reconcile import RegisteredParameter
from nmrqb.compiler.compile import compile_protocol
from nmrqb.protocol.steps import Invert, PulseKind, Reenergise
from nmrqb.spectrometer.spectrometer import InversionPulse, Spectrometer
from nmrqb.spins.register import Measured, Species, SpinRegister
from nmrqb.studies.plan import Plan, make_simulator, simulate_plan

Array = NDArray[np.float64]
Place = Literal["center", "satellite"]

#: a parameter without a registered error may be changed by this factor to either side
_WIDE = 3.0
#: energy that stands for an impossible combination of numbers
_FAR = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One parameter and how a plan is changed to another value of it.

    Attributes
    ----------
    parameter : RegisteredParameter
    change : callable
        (plan, value) to the plan with that value, its sequences as they were.
    """

    parameter: RegisteredParameter
    change: Callable[[Plan, float], Plan]


def knobs(plan: Plan) -> tuple[Knob, ...]:
    """Return J, T1 and T2 of both species, the dipolar share and the inversions of a plan."""
    register = plan.register
    found = [_coupling(register)]
    for place in ("center", "satellite"):
        species: Species = getattr(register, place)
        if species.recovery is None:
            found.append(_t1(place, species))
        found.append(_t2(place, species))
    if register.dipolar_share is not None:
        found.append(_dipolar_share(register.dipolar_share))
    found += [_inversion(plan, *which) for which in _inversions(plan)]
    return tuple(found)


@dataclass(slots=True)
class ChangedPrediction:
    """The exact energies of a plan's rows as a function of its knobs; simulated once a value.

    Parameters
    ----------
    plan : Plan
    knobs : tuple of Knob
    nominal : ndarray, shape (rows,)
        The energies at the registered values.
    """

    plan: Plan
    knobs: tuple[Knob, ...]
    nominal: Array
    _known: dict[tuple[float, ...], Array] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._known[self._registered] = self.nominal

    @property
    def _registered(self) -> tuple[float, ...]:
        return tuple(k.parameter.value for k in self.knobs)

    def __call__(self, values: Array) -> Array:
        """Return the energies at these values of all knobs, shape (rows,)."""
        key = tuple(float(v) for v in values)
        if key not in self._known:
            self._known[key] = self._energies(key)
        return self._known[key]

    def _energies(self, values: tuple[float, ...]) -> Array:
        changed = self.plan
        try:
            for knob, value in zip(self.knobs, values, strict=True):
                if value != knob.parameter.value:
                    changed = knob.change(changed, value)
        except ValueError:
            # two numbers that no molecule has together (T2 > 2 T1): far from every measurement
            return self.nominal + _FAR
        return simulate_plan(changed, make_simulator(changed))[2].energy

    def slopes(self) -> Array:
        """Return the slopes of the energies in every knob, shape (rows, knobs).

        Differences over one registered error to either side (1 % where there is none), so that
        they hold over the range that an error spans.
        """
        registered = np.array(self._registered)
        columns = []
        for k, knob in enumerate(self.knobs):
            p = knob.parameter
            step = p.stderr or 0.01 * (abs(p.value) or 1.0)
            ends = registered.copy(), registered.copy()
            ends[0][k] = max(p.low, p.value - step)
            ends[1][k] = min(p.high, p.value + step)
            columns.append((self(ends[1]) - self(ends[0])) / (ends[1][k] - ends[0][k]))
        return np.array(columns).T


def _registered(
    name: str, measured: Measured, unit: str, low: float, high: float
) -> RegisteredParameter:
    where = "nominal: nobody measured it on this sample" if measured.nominal else measured.source
    source = where or ""
    if measured.stderr is None:
        source += "; no standard error is registered"
    value = measured.value
    return RegisteredParameter(
        name=name,
        value=value,
        stderr=measured.stderr or None,
        unit=unit,
        low=min(low, value),
        high=max(high, value),
        source=source,
    )


def _coupling(register: SpinRegister) -> Knob:
    j = register.coupling_hz
    ends = sorted((j.value / _WIDE, j.value * _WIDE)) if j.value else [-10.0, 10.0]
    return Knob(
        parameter=_registered("J", j, "Hz", ends[0], ends[1]),
        change=lambda plan, value: _with(
            plan, coupling_hz=replace(plan.register.coupling_hz, value=value)
        ),
    )


def _t1(place: Place, species: Species) -> Knob:
    t1 = species.t1_s
    # T2 <= 2 T1, T1rho <= T1
    least = 0.5 * species.t2_s.value
    if species.t1_rho_s is not None:
        least = max(least, species.t1_rho_s.value)
    low = max(t1.value / _WIDE, least * (1.0 + 1e-9))
    return Knob(
        parameter=_registered(f"T1 of the {species.role}", t1, "s", low, t1.value * _WIDE),
        change=lambda plan, value: _with_species(plan, place, "t1_s", value),
    )


def _t2(place: Place, species: Species) -> Knob:
    t2 = species.t2_s
    most = 2.0 * species.t1_s.value
    if species.t1_rho_s is not None:
        most = min(most, species.t1_rho_s.value)
    if species.recovery is not None:
        most = min(most, 2.0 * species.recovery.t1_range_s[0])
    high = min(t2.value * _WIDE, most * (1.0 - 1e-9))
    return Knob(
        parameter=_registered(f"T2 of the {species.role}", t2, "s", t2.value / _WIDE, high),
        change=lambda plan, value: _with_species(plan, place, "t2_s", value),
    )


def _dipolar_share(share: Measured) -> Knob:
    return Knob(
        parameter=_registered("dipolar share of the battery", share, "", 0.0, 1.0),
        change=lambda plan, value: _with(plan, dipolar_share=replace(share, value=value)),
    )


def _with(plan: Plan, **changes: Any) -> Plan:
    return replace(plan, register=replace(plan.register, **changes))


def _with_species(plan: Plan, place: Place, name: str, value: float) -> Plan:
    species: Species = getattr(plan.register, place)
    changes: dict[str, Any] = {name: replace(getattr(species, name), value=value)}
    if name == "t2_s" and species.t2_star_s.value > value:
        # the width of the line alone: it changes no energy of a decoupled read-out
        changes["t2_star_s"] = replace(species.t2_star_s, value=value)
    return _with(plan, **{place: replace(species, **changes)})


def _inversions(plan: Plan) -> tuple[tuple[str, PulseKind], ...]:
    """Return species (battery, charger) and kind of every inversion that the protocol makes."""
    found: list[tuple[str, PulseKind]] = []
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


def _inversion(plan: Plan, role: str, kind: PulseKind) -> Knob:
    species = plan.register.battery if role == "battery" else plan.register.charger
    channel = plan.spectrometer.channel(species.isotope)
    pulse = channel.inversion(kind)
    name = f"efficiency of the {role}'s {kind} inversion"
    if pulse is None:
        lengths = {"hard": 2.0, "composite": 4.0}
        pulse = InversionPulse(
            kind=kind,
            efficiency=Measured(value=1.0, source="simulated from its pulses"),
            length_s=lengths[kind] * channel.pulse_90_s,
            power_watt=channel.pulse_power_watt,
        )
    known = pulse

    def change(plan: Plan, value: float) -> Plan:
        measured = replace(known, efficiency=replace(known.efficiency, value=value))
        console = _with_inversion(plan.spectrometer, species.isotope, measured)
        # compiled for the register of the plan as it was: lengths do not follow changed spins
        compiled = compile_protocol(plan.protocol, original, console)
        return replace(plan, spectrometer=console, compiled=compiled)

    original = plan.register
    return Knob(parameter=_registered(name, known.efficiency, "", 0.3, 1.0), change=change)


def _with_inversion(console: Spectrometer, isotope: str, pulse: InversionPulse) -> Spectrometer:
    channels = tuple(
        replace(c, inversions=(*(i for i in c.inversions if i.kind != pulse.kind), pulse))
        if c.nucleus == isotope
        else c
        for c in console.channels
    )
    return replace(console, channels=channels)
