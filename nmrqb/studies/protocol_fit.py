"""Fit what a protocol depends on, J, relaxation times, inversion, to its measured rows.

The curve is the protocol itself: its compiled sequences, exactly simulated or by the closed map,
on a register whose numbers are the parameters.  The sequences stay those that were measured:
another J changes what a delay does, not its length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.costly_fit import Searched, fit_costly
from nmrqb.analysis.curve_fit import CurveFit
from nmrqb.analysis.intervals import NO_LIMITS, PROFILE, Intervals, Limits
from nmrqb.errors import InputError
from nmrqb.models.exchange import exchange_transfer
from nmrqb.sequence.events import Event, Exchange, Inversion, Loop, Pulse, PulseSequence, Segment
from nmrqb.spins.register import Measured, Species
from nmrqb.studies.plan import Plan, make_closed_map, make_simulator
from nmrqb.studies.read_out import read_out

Array = NDArray[np.float64]
Engine = Literal["map", "simulated"]

#: name -> unit; "b" is a parameter of the closed map only
PARAMETERS: dict[str, str] = {
    "b": "",
    "J": "Hz",
    "T1_charger": "s",
    "T1_battery": "s",
    "T2_charger": "s",
    "T2_battery": "s",
    "inversion": "",
}
_FITTED = "fitted to the measured rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolFit:
    """Parameters of a protocol from its rows.

    Attributes
    ----------
    fit : CurveFit
        Of the free parameters.
    engine : {"map", "simulated"}
    held : dict of str to float
        The other parameters, as the register has them.
    simulations : int
        Passes over all rows.
    r_z : ndarray, shape (rows,)
        Of the fit, energy label.
    """

    fit: CurveFit
    engine: Engine
    held: dict[str, float]
    simulations: int
    r_z: Array


def free_parameters(engine: Engine, free: Sequence[str]) -> tuple[str, ...]:
    """Return the free parameters: those asked for, else b of the map and J of the simulation."""
    return tuple(dict.fromkeys(free)) or (("b",) if engine == "map" else ("J",))


def fit_protocol(
    plan: Plan,
    r_z: Array,
    covariance: Array,
    scale_error: float = 0.0,
    *,
    free: Sequence[str] = (),
    engine: Engine = "simulated",
    intervals: Intervals = PROFILE,
) -> ProtocolFit:
    """Fit parameters of a plan to the measured polarisations of its rows.

    Least squares starts from the register's values and finds the nearest minimum.

    Parameters
    ----------
    plan : Plan
    r_z : ndarray, shape (rows,)
        Energy label, on the scale of the reference, in the order of the plan's rows.
    covariance : ndarray, shape (rows, rows)
        From each row's own noise.
    scale_error : float
        Relative standard error of the reference.
    free : sequence of str
        Keys of ``PARAMETERS``; without any, b for the map and J for the simulation.
    engine : {"map", "simulated"}
    intervals : Intervals

    Raises
    ------
    InputError
        Where a parameter is unknown, has no meaning for this plan, or the map does not apply.
    ValueError
        Where there are not more points than free parameters.
    """
    names = free_parameters(engine, free)
    _check(plan, names, engine)
    start = _start(plan)

    def curve(values: Mapping[str, float]) -> Array:
        return polarisations(changed_plan(plan, values), engine, values.get("b"))

    found = fit_costly(
        curve,
        np.arange(plan.protocol.rows, dtype=float),
        np.asarray(r_z, float),
        _bounded(names, start),
        covariance=covariance,
        scale_error=scale_error,
        units=PARAMETERS,
        intervals=intervals,
    )
    held = {n: v for n, v in start.items() if n not in names and n not in ("b", "inversion")}
    return ProtocolFit(
        fit=found.fit,
        engine=engine,
        held=held,
        simulations=found.curves,
        r_z=found.surface(found.fit.estimates),
    )


def changed_plan(plan: Plan, values: Mapping[str, float]) -> Plan:
    """Return the plan with other numbers of its register and the same sequences.

    Parameters
    ----------
    plan : Plan
    values : mapping
        Keys of ``PARAMETERS``; "inversion" is the efficiency of every inversion of the chargers.
    """
    register = plan.register
    species = {
        role: _changed(getattr(register, role), values.get(f"T1_{role}"), values.get(f"T2_{role}"))
        for role in ("battery", "charger")
    }
    changed = replace(
        register,
        center=species[register.center.role],
        satellite=species[register.satellite.role],
    )
    if "J" in values:
        size = math.copysign(values["J"], register.coupling_hz.value)
        changed = replace(changed, coupling_hz=Measured(value=size, source=_FITTED))
    compiled = plan.compiled
    if "inversion" in values:
        isotope, efficiency = register.charger.isotope, values["inversion"]

        def inverted(sequence: PulseSequence) -> PulseSequence:
            events = _with_inversion(sequence.events, isotope, efficiency)
            return replace(sequence, events=events)

        compiled = replace(
            compiled,
            sequences=tuple(inverted(s) for s in compiled.sequences),
            cycle=_with_inversion(compiled.cycle, isotope, efficiency),
        )
    return replace(plan, register=changed, compiled=compiled)


def _changed(species: Species, t1_s: float | None, t2_s: float | None) -> Species:
    """Return a species with other T1 and T2; what these bound follows (T2 <= 2 T1)."""
    t1 = species.t1_s.value if t1_s is None else t1_s
    t2 = min(species.t2_s.value if t2_s is None else t2_s, 2.0 * t1)
    along = species.t1_rho_s
    if along is not None:
        along = Measured(value=min(max(along.value, t2), max(t1, t2)), source=_FITTED)
    return replace(
        species,
        t1_s=Measured(value=t1, source=_FITTED),
        t2_s=Measured(value=t2, source=_FITTED),
        t2_star_s=Measured(value=min(species.t2_star_s.value, t2), source=_FITTED),
        t1_rho_s=along,
    )


def _with_inversion(
    events: tuple[Event, ...], isotope: str, efficiency: float
) -> tuple[Event, ...]:
    """Return events whose inversions of one species, of any kind, have this efficiency."""
    found: list[Event] = []
    for event in events:
        match event:
            case Loop():
                body = _with_inversion(event.body, isotope, efficiency)
                found.append(replace(event, body=body))
            case Inversion() if event.nucleus == isotope:
                found.append(replace(event, efficiency=efficiency))
            case Pulse() | Segment() if _inverts(event, isotope):
                found.append(
                    Inversion(
                        nucleus=isotope,
                        ticks=event.ticks,
                        efficiency=efficiency,
                        power_watt=0.0,
                        label=event.label,
                    )
                )
            case _:
                found.append(event)
    return tuple(found)


def _inverts(event: Pulse | Segment, isotope: str) -> bool:
    """Return whether an event is an inversion of one species: a 180 or a composite of pulses."""
    if isinstance(event, Pulse):
        return event.nucleus == isotope and math.isclose(abs(event.angle_rad), math.pi)
    alone = all(isinstance(e, Pulse) and e.nucleus == isotope for e in event.body)
    return alone and sorted((event.action[0], event.action[3])) == [-1.0, 1.0]


def _has_inversion(plan: Plan) -> bool:
    isotope = plan.register.charger.isotope
    return any(
        _with_inversion(s.events, isotope, e) != s.events
        for s in plan.compiled.sequences
        for e in (0.5, 1.0)
    )


def polarisations(plan: Plan, engine: Engine, transfer: float | None = None) -> Array:
    """Return r_z of every row of a plan, exactly or by the closed map, shape (rows,).

    Parameters
    ----------
    plan : Plan
    engine : {"map", "simulated"}
    transfer : float, optional
        b of every exchange of the map, in place of that of J.
    """
    if engine == "map":
        closed, role = replace(make_closed_map(plan), transfer=transfer), plan.observed.role
        if role == "load":
            raise ValueError("the closed map knows no load: use the exact simulation")
        levels = [closed.detected(s, role) for s in plan.compiled.sequences]
        return np.asarray(plan.observed.nucleus.sign * np.array(levels))
    simulator = make_simulator(plan)
    reference = plan.compiled.reference
    simulated = [simulator.simulate(s) for s in plan.compiled.sequences]
    return read_out(plan, simulated, simulator.simulate(reference) if reference else None)


def _check(plan: Plan, names: Sequence[str], engine: Engine) -> None:
    """Raise InputError where a parameter has no meaning for the plan."""
    allowed = ", ".join(n for n in PARAMETERS if n != "b" or engine == "map")
    for name in names:
        why = None
        if name not in PARAMETERS:
            why = f"must be one of {allowed}, but is {name!r}"
        elif name == "b" and engine != "map":
            why = f"b belongs to the closed map; the simulation has J (free: {allowed})"
        elif name == "b" and not any(_exchanges(s.events) for s in plan.compiled.sequences):
            why = "b belongs to ideal exchanges, and this protocol has none: J sets its transfer"
        elif name == "b" and "J" in names:
            why = "b and J both set the transfer of an exchange: free one of them"
        elif name == "inversion" and not _has_inversion(plan):
            why = "this protocol inverts no charger: nothing depends on an efficiency"
        elif name == "T1_charger" and plan.register.charger.recovery is not None:
            why = "the register holds a measured recovery of the charger, which replaces its T1"
        if why is not None:
            raise InputError(why, key="--free", value=name, limit=allowed)
    if engine == "map" and not plan.has_closed_map:
        raise InputError(
            "no closed map describes this protocol (it is driven, pulsed, pseudo-pure or read "
            "without a pulse): fit the simulation",
            file=plan.file,
            key="--curve",
            value="map",
        )


def _exchanges(events: tuple[Event, ...]) -> list[Exchange]:
    """Return the ideal exchanges of some events."""
    found: list[Exchange] = []
    for event in events:
        if isinstance(event, Loop):
            found += _exchanges(event.body)
        elif isinstance(event, Exchange) and event.ticks > 0:
            found.append(event)
    return found


def _start(plan: Plan) -> dict[str, float]:
    """Return the values of the register and of the protocol, where the search starts."""
    register = plan.register
    values = {
        "J": abs(register.coupling_hz.value),
        "T1_charger": register.charger.t1_s.value,
        "T1_battery": register.battery.t1_s.value,
        "T2_charger": register.charger.t2_s.value,
        "T2_battery": register.battery.t2_s.value,
    }
    exchanges = [e for s in plan.compiled.sequences for e in _exchanges(s.events)]
    if exchanges:
        jt = values["J"] * exchanges[0].ticks * plan.spectrometer.tick_s
        values["b"] = float(exchange_transfer(register.satellites, jt))
    if _has_inversion(plan):
        values["inversion"] = 0.98  # off its bound, where the search would have no slope
    return values


def _bounded(names: Sequence[str], start: Mapping[str, float]) -> list[Searched]:
    # T2 <= 2 T1 of the time that is held
    least = {
        f"T1_{role}": 0.0 if f"T2_{role}" in names else 0.5 * start[f"T2_{role}"]
        for role in ("charger", "battery")
    }
    most = {
        f"T2_{role}": np.inf if f"T1_{role}" in names else 2.0 * start[f"T1_{role}"]
        for role in ("charger", "battery")
    }
    searched = []
    for name in names:
        low, high, limits = least.get(name, 0.0), most.get(name, np.inf), NO_LIMITS
        if name == "b":
            low, high = -0.5, 1.5
        elif name == "inversion":
            low, high, limits = 1e-3, 1.0, Limits(high=1.0)
        searched.append(Searched(name=name, start=start[name], low=low, high=high, limits=limits))
    return searched
