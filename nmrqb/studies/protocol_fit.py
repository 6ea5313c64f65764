"""Fit what a protocol depends on, J, relaxation times, inversion, to its measured rows.

The curve is the protocol itself: its compiled sequences, exactly simulated or by the closed map,
on a register whose numbers are the parameters.  The sequences stay those that were measured:
another J changes what a delay does, not its length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.costly_fit import fit_costly
from nmrqb.analysis.curve_fit import CurveFit, withhold_value
from nmrqb.analysis.global_search import Scan
from nmrqb.analysis.intervals import NO_LIMITS, PROFILE, Intervals, Limits
from nmrqb.analysis.response_surface import Searched
from nmrqb.errors import InputError
from nmrqb.models.exchange import exchange_transfer
from nmrqb.sequence.events import Event, Exchange, Loop
from nmrqb.studies.approach import segments_of
from nmrqb.studies.long_time import Engine, long_time
from nmrqb.studies.plan import Plan, make_closed_map, make_simulator
from nmrqb.studies.plan_parameters import KEYS, changed_plan, plan_parameters, why_no_parameter
from nmrqb.studies.read_out import read_out

Array = NDArray[np.float64]

#: name -> unit; "b" is a parameter of the closed map only
PARAMETERS: dict[str, str] = {"b": "", **KEYS}
#: where b is looked for
_TRANSFERS = (-0.5, 1.5)
#: points of the scan before the search: by closed maps (milliseconds each), and where there is no
#: map or its segments have to be simulated
_BY_MAP, _SIMULATED = 441, 15
#: shares and efficiencies start this far off their bounds
_OFF_BOUND = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolFit:
    """Parameters of a protocol from its rows.

    Attributes
    ----------
    fit : CurveFit
        Of the free parameters, among its numbers also tau and E_inf that follow from them
        (``LongTime``).
    engine : {"map", "simulated"}
    held : dict of str to float
        The other parameters, as the register has them.
    simulations : int
        Passes over all rows by the engine.
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

    The range of every free parameter (``PlanParameter.range``) is scanned first, by the closed map
    where the protocol has one; the lowest minima, at most three, are then searched from.  A
    second minimum that is almost as deep is warned about.

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

    parameters = plan_parameters(plan)

    def changed(values: Mapping[str, float]) -> Plan:
        return changed_plan(plan, values, parameters)

    def curve(values: Mapping[str, float]) -> Array:
        return polarisations(changed(values), engine, values.get("b"))

    found = fit_costly(
        curve,
        np.arange(plan.protocol.rows, dtype=float),
        np.asarray(r_z, float),
        _searched(plan, names),
        covariance=covariance,
        scale_error=scale_error,
        units=PARAMETERS,
        intervals=intervals,
        scan=_scan(plan, names, changed),
    )
    fit = _within_t1(found.fit)
    later = long_time(plan, replace(found, fit=fit), engine, changed)
    fit = replace(
        fit,
        parameters=fit.parameters | later.parameters,
        warnings=(*fit.warnings, *later.warnings),
    )
    return ProtocolFit(
        fit=fit,
        engine=engine,
        held=_held(plan, names),
        simulations=found.curves,
        r_z=found.surface(found.fit.estimates),
    )


def _within_t1(fit: CurveFit) -> CurveFit:
    """Withhold a T2 that ends at 2 T1 where both are free: beyond it nothing changes."""
    for role in ("charger", "battery"):
        t1, t2 = (fit.estimates.get(f"{which}_{role}", np.nan) for which in ("T1", "T2"))
        if t2 >= 2.0 * t1 * (1.0 - 1e-6):
            why = f"not identifiable: the fit ends at 2 T1 = {2.0 * t1:.4g} s"
            fit = withhold_value(fit, why, (f"T2_{role}",))
    return fit


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
        elif name != "b":
            why = why_no_parameter(plan, name)
        elif engine != "map":
            why = f"b belongs to the closed map; the simulation has J (free: {allowed})"
        elif not any(_exchanges(s.events) for s in plan.compiled.sequences):
            why = "b belongs to ideal exchanges, and this protocol has none: J sets its transfer"
        elif "J" in names:
            why = "b and J both set the transfer of an exchange: free one of them"
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


def _searched(plan: Plan, names: Sequence[str]) -> list[Searched]:
    """Return where the search of each free parameter starts, and its bounds."""
    by_key = {p.key: p for p in plan_parameters(plan, freed=names)}
    searched = []
    for name in names:
        limits = NO_LIMITS
        if name == "b":
            start, (low, high) = _designed_transfer(plan), _TRANSFERS
        elif name == "J":  # its size: the sign stays
            start, low, high = abs(by_key[name].registered.value), 0.0, np.inf
        else:
            p = by_key[name]
            start, low, high = p.registered.value, p.low, p.high
            if high == 1.0:
                limits = Limits(low=0.0 if low == 0.0 else None, high=1.0)
                # off the bounds, where the search would have no slope
                start = min(max(start, low + _OFF_BOUND), high - _OFF_BOUND)
        searched.append(Searched(name=name, start=start, low=low, high=high, limits=limits))
    return searched


def _scan(plan: Plan, names: Sequence[str], changed: Callable[[Mapping[str, float]], Plan]) -> Scan:
    """Return where the search looks first: by the closed map where the plan has one."""
    by_key = {p.key: p for p in plan_parameters(plan, freed=names)}
    ranges = {"b": _TRANSFERS} if "b" in names else {}
    for name in (n for n in names if n != "b"):
        low, high = by_key[name].range
        if name == "J":
            low, high = sorted((abs(low), abs(high)))
        ranges[name] = (low, high)
    segments = any(True for s in plan.compiled.sequences for _ in segments_of(s.events))
    if segments or not plan.has_closed_map:
        return Scan(ranges=ranges, most=_SIMULATED)
    # the map does not see T2
    ranges = {n: r for n, r in ranges.items() if not n.startswith("T2")}

    def cheap(values: Mapping[str, float]) -> Array:
        return polarisations(changed(values), "map", values.get("b"))

    return Scan(ranges=ranges, most=_BY_MAP, cheap=cheap)


def _designed_transfer(plan: Plan) -> float:
    """Return b of the first ideal exchange, on the register's J."""
    first = next(e for s in plan.compiled.sequences for e in _exchanges(s.events))
    jt = abs(plan.register.coupling_hz.value) * first.ticks * plan.spectrometer.tick_s
    return float(exchange_transfer(plan.register.satellites, jt))


def _held(plan: Plan, names: Sequence[str]) -> dict[str, float]:
    """Return the registered values of what is not free."""
    return {
        p.key: abs(p.registered.value) if p.key == "J" else p.registered.value
        for p in plan_parameters(plan)
        if p.key not in names and not p.key.startswith("inversion")
    }
