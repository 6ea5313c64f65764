"""The two curves of a comparison: where they come from, and the prediction at the same times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.charging import ChargingCurve
from nmrqb.errors import InputError
from nmrqb.files.results import SUCCESS, read_curve
from nmrqb.files.toml import read_protocol
from nmrqb.protocol.protocol import Sweep
from nmrqb.studies.plan import Plan, make_plan, make_simulator, plan_of, simulate_plan
from nmrqb.studies.run import RunResult

Array = NDArray[np.float64]
Predictable = str | Path | ChargingCurve | Plan | RunResult

#: relative difference of two times that are the same: data sets state theirs to some digits
_SAME_TIME = 1e-6
#: energies that a stored prediction and its inputs, simulated again, may differ by
_SAME_ENERGY = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One curve of a comparison.

    Attributes
    ----------
    curve : ChargingCurve
    source : str
        File or kind of value.
    plan : Plan or None
        What predicted it: it can be simulated again.
    """

    curve: ChargingCurve
    source: str
    plan: Plan | None = None


def measured_side(given: Predictable) -> Side:
    """Return the measured curve of a folder, a file or a value.

    Raises
    ------
    InputError
        Where there is none, or more than one.
    """
    match given:
        case ChargingCurve():
            return Side(curve=given, source="measured curve")
        case RunResult():
            return Side(curve=given.measured, source=f"run of {given.plan.protocol.name}")
        case Plan():
            raise InputError("a plan measures nothing: give a result of run or fit", key="MEASURED")
    path = Path(given)
    if not path.is_dir():
        return Side(curve=read_curve(path), source=str(path))
    found = _curve_files(path, "measured*.json")
    if not found:
        raise InputError(
            "holds no measured curve: give a result of run, or of fit --model charging",
            file=str(path),
            key="MEASURED",
        )
    return Side(curve=read_curve(_the_one(path, found)), source=str(path))


def predicted_side(given: Predictable, measured: Side) -> Side:
    """Return the predicted curve at the times of the measured one.

    Raises
    ------
    InputError
        Where there is none, or it cannot be compared with the measured one.
    """
    side = _predicted(given)
    _check_kinds(side, measured)
    rows = _matching_rows(side.curve.times, measured.curve.times)
    if side.plan is None:
        if rows is None:
            raise InputError(
                f"the prediction cannot be simulated again and has no point at "
                f"{_missing(side.curve.times, measured.curve.times)}; its times are "
                f"{_listed(side.curve.times)}",
                file=side.source,
                key="times",
            )
        return replace(side, curve=_rows_of(side.curve, rows))
    if rows is not None and list(rows) == list(range(len(side.curve.times))):
        return side
    plan = _plan_at(side.plan, side.curve, measured, rows)
    return Side(curve=simulate_plan(plan, make_simulator(plan))[2], source=side.source, plan=plan)


def _predicted(given: Predictable) -> Side:
    match given:
        case ChargingCurve():
            return Side(curve=given, source="predicted curve")
        case RunResult():
            name = f"run of {given.plan.protocol.name}"
            return Side(curve=given.prediction.exact, source=name, plan=given.plan)
        case Plan():
            curve = simulate_plan(given, make_simulator(given))[2]
            return Side(curve=curve, source=f"plan of {given.protocol.name}", plan=given)
    path = Path(given)
    if not path.is_dir():
        inputs = path.parent.parent / "inputs"
        exact = path.name == "predicted_exact.json" and path.parent.name == "curves"
        curve = read_curve(path)
        plan = _plan_of_inputs(inputs, path, curve) if exact and inputs.is_dir() else None
        return Side(curve=curve, source=str(path), plan=plan)
    found = _curve_files(path, "predicted_exact.json")
    if found:
        curve = read_curve(found[0])
        return Side(
            curve=curve, source=str(path), plan=_plan_of_inputs(path / "inputs", path, curve)
        )
    found = _curve_files(path, "measured*.json")
    if not found:
        raise InputError(
            "holds no charging curve: give a result of run, simulate, plan or fit",
            file=str(path),
            key="PREDICTED",
        )
    return Side(curve=read_curve(_the_one(path, found)), source=str(path))


def _curve_files(folder: Path, pattern: str) -> list[Path]:
    if not (folder / SUCCESS).is_file():
        raise InputError(
            f"is not a complete result of nmrqb: it has no {SUCCESS} marker", file=str(folder)
        )
    return sorted((folder / "curves").glob(pattern))


def _the_one(folder: Path, found: Sequence[Path]) -> Path:
    if len(found) > 1:
        listed = ", ".join(f"curves/{p.name}" for p in found)
        raise InputError(f"holds several curves: name one of {listed}", file=str(folder))
    return found[0]


def _plan_of_inputs(inputs: Path, where: Path, curve: ChargingCurve) -> Plan:
    plan = make_plan(read_protocol(inputs / "protocol.toml", beside=True))
    again = simulate_plan(plan, make_simulator(plan))[2]
    same = len(again.energy) == len(curve.energy)
    if not (same and np.allclose(again.energy, curve.energy, rtol=0.0, atol=_SAME_ENERGY)):
        raise InputError(
            "the predicted curve is not that of the inputs beside it: they were changed, or "
            "another version of nmrqb made it; predict again",
            file=str(where),
            key="inputs",
        )
    return plan


def _check_kinds(predicted: Side, measured: Side) -> None:
    """Refuse curves whose numbers do not mean the same."""
    here, there = predicted.curve, measured.curve
    for name, why in (
        ("time_unit", "their times are not comparable"),
        ("start", "pseudo-pure and thermal spins charge differently"),
        ("energy_unit", "their energies count other things"),
        ("ergotropy_kind", "the same state has several ergotropies"),
    ):
        a, b = getattr(here, name), getattr(there, name)
        if a != b:
            raise InputError(
                f"the prediction has {name} {a!r}, the measurement {b!r}: {why}",
                file=measured.source,
                key=name,
                value=b,
                limit=a,
            )


def _matching_rows(have: Array, wanted: Array) -> list[int] | None:
    """Return which of the times `have` each of `wanted` is, or None."""
    rows = []
    for t in wanted:
        distance = np.abs(have - t)
        nearest = int(np.argmin(distance))
        if distance[nearest] > _SAME_TIME * max(abs(float(t)), 1e-6):
            return None
        rows.append(nearest)
    return rows


def _rows_of(curve: ChargingCurve, rows: list[int]) -> ChargingCurve:
    """Return a curve's points in another order, some left out or repeated."""
    changes = {}
    for name in (
        "times",
        "cycles",
        "energy",
        "ergotropy",
        "magnetisation",
        "energy_stderr",
        "ergotropy_stderr",
        "ergotropy_upper95",
        "magnetisation_stderr",
    ):
        value = getattr(curve, name)
        if value is not None:
            changes[name] = value[rows]
    if curve.covariance is not None:
        changes["covariance"] = curve.covariance[np.ix_(rows, rows)]
    return replace(curve, **changes)


def _plan_at(plan: Plan, curve: ChargingCurve, measured: Side, rows: list[int] | None) -> Plan:
    """Return the plan with a row for each measured time."""
    protocol, times = plan.protocol, measured.curve.times
    sweep = protocol.sweep or Sweep(key="cycles", values=(float(protocol.cycles),))
    if rows is not None:
        values = np.array(sweep.values)[rows]
    elif sweep.key == "cycles" and measured.curve.cycles is not None:
        values = measured.curve.cycles.astype(float)
    else:
        values = _values_at(np.array(sweep.values), curve.times, measured, sweep.key)
    swept = replace(protocol, sweep=replace(sweep, values=tuple(values.tolist())))
    try:
        changed = plan_of(swept, plan.register, plan.spectrometer, plan.file)
    except ValueError as error:
        raise InputError(str(error), file=measured.source, key="times") from None
    there = np.array(changed.compiled.charging_s)
    if protocol.model != "charging" and sweep.unit == "s":
        there = values
    if not np.allclose(there, times, rtol=_SAME_TIME, atol=1e-9):
        k = int(np.argmax(np.abs(there - times)))
        raise InputError(
            f"the protocol of the prediction has no row at {times[k]:.9g} s: {sweep.key} = "
            f"{values[k]:.6g} takes {there[k]:.9g} s",
            file=measured.source,
            key="times",
            value=f"{times[k]:.9g}",
        )
    return changed


def _values_at(values: Array, have: Array, measured: Side, key: str) -> Array:
    """Return the swept values at the measured times, where time grows in proportion to them.

    The first cycle may differ by a pulse: the last two values set the slope of cycles, which are
    whole numbers.
    """
    wanted = measured.curve.times
    order = np.argsort(values)
    if np.ptp(values) > 0.0 and np.ptp(have) > 0.0:
        if key == "cycles":
            one, other = order[-1], order[np.flatnonzero(values[order] < values[order[-1]])[-1]]
            slope = (have[one] - have[other]) / (values[one] - values[other])
            count = np.round(values[one] + (wanted - have[one]) / slope)
            return np.asarray(np.maximum(0.0, count))
        slope, first = np.polyfit(values, have, 1)
        if np.allclose(first + slope * values, have, rtol=_SAME_TIME, atol=1e-9):
            return np.asarray((wanted - first) / slope)
    raise InputError(
        f"the prediction has no point at {_missing(have, wanted)}, and its sweep of {key} cannot "
        f"be continued to it; its times are {_listed(have)}",
        file=measured.source,
        key="times",
    )


def _missing(have: Array, wanted: Array) -> str:
    away = [float(t) for t in wanted if _matching_rows(have, np.array([t])) is None]
    return f"{_listed(np.array(away))}"


def _listed(times: Array) -> str:
    shown = ", ".join(f"{t:.6g}" for t in times[:8])
    return f"{shown}{', ...' if len(times) > 8 else ''}"
