"""What a run says in result.json and with --json."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from nmrqb.analysis.curve_fit import CurveFit
from nmrqb.analysis.measured_times import HOW
from nmrqb.analysis.quantities import battery_quantities
from nmrqb.battery.charging_time import DEFINITIONS, Definition
from nmrqb.studies.balance_report import balance_object
from nmrqb.studies.run import RunResult

_OTHER_TIMES: tuple[Definition, ...] = ("threshold", "slowest-mode")


def _parameter(
    found: Any, predicted: float | None, *, sign: float = 1.0, unit: str | None = None
) -> dict[str, Any]:
    low, high = found.ci95
    ends = [None if v is None else sign * v for v in (low, high)]
    if sign < 0.0:
        ends.reverse()
    return {
        "value": None if found.value is None else sign * found.value,
        "stderr": found.stderr,
        "ci95": ends,
        "unit": found.unit if unit is None else unit,
        "reason": found.reason,
        "predicted": predicted,
    }


def _withheld(reason: str, unit: str, predicted: float | None = None) -> dict[str, Any]:
    return {
        "value": None,
        "stderr": None,
        "ci95": [None, None],
        "unit": unit,
        "reason": reason,
        "predicted": predicted,
    }


def _charging_results(result: RunResult) -> list[dict[str, Any]]:
    prediction, fit, truth = result.prediction, result.fit, result.fit_truth
    sign = result.plan.observed.nucleus.sign
    energy_unit = result.measured.energy_unit
    # without re-energising a cycle has no fixed point worth the name
    known = prediction.p_star_exact
    e_star = None if known is None else -sign * float(known[0])
    label = "eps, spin label"
    if fit is None:
        reason = result.fit_reason or "no fit"
        parameters = {
            "tau": _withheld(reason, "s"),
            "E_inf": _withheld(reason, energy_unit),
            "p_star": _withheld(reason, label),
        }
    else:
        predicted = {
            n: truth.parameters[n].value if truth else None for n in ("tau", "E_inf", "E_0")
        }
        parameters = {
            "tau": _parameter(fit.parameters["tau"], predicted["tau"]),
            "E_inf": _parameter(fit.parameters["E_inf"], e_star, unit=energy_unit),
            "E_0": _parameter(fit.parameters["E_0"], predicted["E_0"], unit=energy_unit),
            "p_star": _parameter(
                fit.parameters["E_inf"],
                None if e_star is None else -sign * e_star,
                sign=-sign,
                unit=label,
            ),
            "omega": _parameter(fit.parameters["omega"], None),
            "phi": _parameter(fit.parameters["phi"], None),
        }
    if result.plan.protocol.has_load:
        parameters.pop("p_star")  # the cycle's fixed point is the battery's, before the discharge
    rows = [
        {
            "model": "charging",
            "definition": "fit",
            "definition_text": DEFINITIONS["fit"],
            "region_ppm": list(result.line.region_ppm),
            "parameters": parameters,
            "reduced_chi2": None if fit is None else fit.reduced_chi2,
            "identifiable": fit is not None and fit.is_identifiable,
            "warnings": list(fit.warnings) if fit else [],
        }
    ]
    if fit is None:
        rows.append(_largest_energy(result))
    sweep = result.plan.protocol.sweep
    if not result.plan.is_reenergised or (sweep is not None and sweep.key != "cycles"):
        return rows  # every row has charging times of its own
    none = result.fit_reason or "no fit"
    for definition in _OTHER_TIMES:
        expected = prediction.tau.get(definition)
        tau = _withheld(none, "s", expected)
        if result.taus is not None:
            tau = _parameter(result.taus.tau[definition], expected)
        rows.append(
            {
                "model": "charging",
                "definition": definition,
                "definition_text": DEFINITIONS[definition]
                + (", n = 1" if definition == "threshold" else ""),
                "how": HOW[definition],
                "parameters": {"tau": tau},
                "identifiable": tau["value"] is not None,
                "warnings": [],
            }
        )
    return rows


def _largest_energy(result: RunResult) -> dict[str, Any]:
    """Return the energy measured where the exact prediction is largest, a result of its own.

    The row is chosen by the prediction: the largest of noisy values would be biased upward.
    """
    curve, exact = result.measured, result.prediction.exact
    row = int(np.argmax(exact.energy))
    assert curve.energy_stderr is not None
    value, spread = float(curve.energy[row]), float(curve.energy_stderr[row])
    half = float(stats.norm.ppf(0.975)) * spread
    axis = result.series.axis
    swept = axis.values[np.arange(len(axis.values)) != result.series.reference_row][row]
    where = f"energy of the row with the largest prediction ({axis.name} = {swept:.6g} {axis.unit}"
    where = f"{where.rstrip()})"
    return {
        "model": "charging",
        "definition": "largest-predicted",
        "definition_text": where,
        "parameters": {
            "E_max": {
                "value": value,
                "stderr": spread,
                "ci95": [value - half, value + half],
                "unit": curve.energy_unit,
                "reason": None,
                "predicted": float(exact.energy[row]),
            }
        },
        "identifiable": True,
        "warnings": [],
    }


def _curve_results(result: RunResult) -> list[dict[str, Any]]:
    fit, truth = result.fit, result.fit_truth
    model = result.plan.protocol.model
    if fit is None:
        name, unit = {
            "recovery": ("T1", "s"),
            "nutation": ("frequency", "Hz"),
            "coupling": ("J", "Hz"),
        }[model]
        parameters = {name: _withheld(result.fit_reason or "no fit", unit)}
    else:
        parameters = {
            name: _parameter(p, _predicted(result, name, truth))
            for name, p in fit.parameters.items()
        }
    return [
        {
            "model": model,
            "region_ppm": list(result.line.region_ppm),
            "parameters": parameters,
            "reduced_chi2": None if fit is None else fit.reduced_chi2,
            "identifiable": fit is not None and fit.is_identifiable,
            "warnings": list(fit.warnings) if fit else [],
        }
    ]


def _predicted(result: RunResult, name: str, truth: CurveFit | None) -> float | None:
    """Return the register's own number where the fit measures one, else the fit of the truth."""
    if name == "J":
        return abs(result.plan.register.coupling_hz.value)
    return truth.parameters[name].value if truth else None


def _quantities(result: RunResult) -> dict[str, Any] | None:
    """Return energy and ergotropy of every row of a battery read along z, from a thermal start."""
    plan, curve, budget = result.plan, result.measured, result.budget
    if plan.protocol.fid.target != "battery" or curve.start != "thermal":
        return None
    own = np.sqrt(np.diag(budget.own_covariance))
    return battery_quantities(
        curve.times, budget.values, own, budget.scale_error, batteries=plan.register.batteries
    ).to_result()


def result_object(result: RunResult) -> dict[str, Any]:
    """Return the object of result.json."""
    plan, prediction = result.plan, result.prediction
    compiled, register = plan.compiled, plan.register
    charging = plan.protocol.model == "charging"
    results = _charging_results(result) if charging else _curve_results(result)
    return {
        "schema": "nmrqb/run/1",
        "status": result.status,
        "protocol": plan.protocol.name,
        "register": register.name,
        "spectrometer": plan.spectrometer.name,
        "seed": result.seed,
        "start": result.measured.start,
        "verdict": result.verdict(),
        "results": results,
        "comparison": [
            {
                "prediction": c.prediction,
                "chi2": c.chi2,
                "points": c.points,
                "p_value": c.p_value,
                "residuals": c.residuals,
            }
            for c in result.comparisons
        ],
        "prediction": {
            "p_star_exact": prediction.p_star_exact,
            "p_star_closed_map": prediction.p_star_closed,
            "p_star_unit": "eps, spin label, at the end of a cycle; one for each row",
            "cycles_to_saturation": prediction.cycles_to_saturation,
            "cycles_to_saturation_closed_map": prediction.cycles_to_saturation_closed,
            "saturation": "within 1 % of the way from the start to the fixed point",
            "engine": prediction.exact.provenance,
            "exact_energy": prediction.exact.energy,
            "closed_map_energy": prediction.closed.energy if prediction.closed else None,
            "target_energy": prediction.target.energy if prediction.target else None,
            "target_error": prediction.target_error,
            "translation_error": prediction.translation_error,
            "other_single_shots": prediction.other_transfers,
        },
        "energy_balance": balance_object(prediction, register),
        "plan": {
            "duration_s": compiled.duration_s,
            "cycle_s": compiled.cycle_s,
            "scans": plan.protocol.scans,
            "chargers_must_be_inverted": register.must_invert_chargers,
            "eps": register.eps,
            "rf_energy_joule": list(compiled.rf_energy_joule),
            "roundings": [str(r) for r in compiled.roundings],
            "violations": [str(v) for v in compiled.violations],
            "warnings": list(compiled.warnings),
        },
        "line": {
            "shift_ppm": result.line.shift_ppm,
            "width_hz": result.line.width_hz,
            "reduced_chi2": result.line.reduced_chi2,
            "noise_per_channel": result.line.noise,
        },
        "axis": {
            "name": result.series.axis.name,
            "unit": result.series.axis.unit,
            "values": result.series.axis.values,
            "source": result.series.axis.source,
            "reference_row": result.series.reference_row,
        },
        "error_budget": result.budget.to_result(),
        "quantities": _quantities(result),
        "curve": result.measured,
    }
