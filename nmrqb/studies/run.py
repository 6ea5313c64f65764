"""The whole road: plan, compile, simulate, write and read data, fit, compare."""

from __future__ import annotations

import secrets
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nmrqb.analysis.calibration import CalibratedRows, polarisation_from_reference
from nmrqb.analysis.compare import Comparison, compare_curves
from nmrqb.analysis.coupling import fit_coupling
from nmrqb.analysis.curve_fit import CurveFit
from nmrqb.analysis.curves import fit_charging, fit_recovery
from nmrqb.analysis.nutation import fit_nutation
from nmrqb.analysis.series_fit import RegionFit, fit_series
from nmrqb.battery.charging import ChargingCurve
from nmrqb.battery.charging_time import DEFINITIONS
from nmrqb.errors import InputError
from nmrqb.files.bruker import write_bruker
from nmrqb.files.vendors import read_series
from nmrqb.protocol.protocol import Protocol
from nmrqb.signals.series import Axis, Series
from nmrqb.simulate.acquisition import (
    acquisition,
    noise_for_snr,
    noise_free_fid,
    receiver_noise,
)
from nmrqb.studies.plan import Plan, Prediction, curve_of, make_plan, predict, row_times

Array = NDArray[np.float64]

#: half width of the fitted region in line widths 1/(pi T2*)
REGION_WIDTHS = 40.0
_LEAST_P_VALUE = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """Everything that one run planned, predicted, measured and concluded.

    Attributes
    ----------
    plan : Plan
    prediction : Prediction
    series : Series
        The simulated measurement as the reader of measured data gave it back.
    line : RegionFit
        Shared line shape and signed amplitudes; row 0 is the thermal reference.
    measured : ChargingCurve
    fit : CurveFit or None
        Charging (tau, E_inf, E_0) or recovery (T1, M_inf, inversion); None with `fit_reason`.
    comparisons : tuple of Comparison
        Against the exact simulation and against the closed map.
    seed : int
    """

    plan: Plan
    prediction: Prediction
    series: Series
    line: RegionFit
    measured: ChargingCurve
    fit: CurveFit | None
    fit_reason: str | None
    fit_truth: CurveFit | None
    comparisons: tuple[Comparison, ...]
    seed: int

    @property
    def status(self) -> str:
        """Return "no" where a limit is violated or the data contradict the theory, else "ok"."""
        agrees = self.comparisons[0].p_value >= _LEAST_P_VALUE
        return "ok" if agrees and not self.plan.compiled.violations else "no"

    def verdict(self) -> list[str]:
        """Return the verdict in words, one sentence each."""
        words = self._charging_words() if self.plan.is_charging else []
        exact = self.comparisons[0]
        agree = "agrees with" if exact.p_value >= _LEAST_P_VALUE else "CONTRADICTS"
        words.append(
            f"The measurement {agree} the exact simulation (chi-square {exact.chi2:.3g} for "
            f"{exact.points} points, p = {exact.p_value:.2g})."
        )
        words += [f"LIMIT VIOLATED: {v}." for v in self.plan.compiled.violations]
        words += [f"{w}." for w in self.plan.compiled.warnings]
        return words

    def _charging_words(self) -> list[str]:
        register, curve = self.plan.register, self.measured
        best = int(np.argmax(curve.energy))
        energy = float(curve.energy[best])
        spread = 0.0 if curve.energy_stderr is None else float(curve.energy_stderr[best])
        words = []
        if energy > 2.0 * spread:
            words.append(
                f"The {register.battery.isotope} battery is charged: its largest energy is "
                f"{energy:.4g} +- {spread:.2g} {curve.energy_unit}, of which the battery can "
                f"give {curve.ergotropy[best]:.4g} as work ({curve.ergotropy_kind} ergotropy)."
            )
        else:
            words.append(
                f"The {register.battery.isotope} battery is NOT charged: no energy above the "
                "identity level was found; its state is passive within the noise."
            )
        if curve.start == "pseudo-pure":
            share = pseudo_pure_signal(self.plan)
            words.append(
                f"The pseudo-pure start costs signal: one scan gives {share:.3g} of the thermal "
                f"reference's, {1.0 / share**2:.3g} times the scans for the same ratio. Work that "
                "lies in coherence or in correlations of the batteries is not in this read-out."
            )
        elif self.plan.is_driven and self.plan.protocol.start == "thermal":
            words.append(
                "A driven, dephased charger does no work on thermal spins: to first order in eps "
                "every deviation relaxes to the identity level; only a pure or pseudo-pure start "
                "stores anything here."
            )
        others = self.prediction.other_transfers
        if others:
            listed = ", ".join(f"{name} {value:.4g}" for name, value in others.items())
            words.append(
                "Best single shots for this star, polarisation of a battery in units of a full "
                f"charger's: {listed}."
            )
        return words

    def to_result(self) -> dict[str, Any]:
        """Return the object of result.json."""
        return _result_object(self)

    def __str__(self) -> str:
        lines = [f"run of {self.plan.protocol.name}: {self.status}"]
        lines += [f"  {w}" for w in self.verdict()]
        for row in self.to_result()["results"]:
            for name, p in row["parameters"].items():
                shown = _shown(p)
                tail = f" [{row['definition']}]" if row.get("definition") else ""
                lines.append(f"  {name}{tail} = {shown}")
        return "\n".join(lines)


def run(protocol: str | Path | Protocol, *, seed: int | None = None) -> RunResult:
    """Walk the whole road once and return what came of it; nothing is left on disk.

    Parameters
    ----------
    protocol : str, Path or Protocol
        A shipped name, a path, or a Protocol.
    seed : int, optional
        Overrides the protocol's; drawn where neither is given.

    Raises
    ------
    InputError
        Where the protocol, its register or its spectrometer cannot be used.
    """
    plan = make_plan(protocol, seed=seed)
    with tempfile.TemporaryDirectory(prefix="nmrqb-") as folder:
        return run_plan(plan, Path(folder) / "data")


def run_plan(plan: Plan, data: Path, prediction: Prediction | None = None) -> RunResult:
    """Carry out a plan: predict, simulate FIDs, write them to `data`, read, fit and compare.

    Parameters
    ----------
    plan : Plan
    data : Path
        Folder for the simulated Bruker data set; experiment 1 is written into it.
    prediction : Prediction, optional
        Of the same plan, where it is already known.
    """
    if plan.compiled.reference is None:
        raise InputError("a run needs a reference", file=plan.file, key="reference")
    seed = plan.protocol.simulation.seed
    if seed is None:
        seed = secrets.randbits(63)
        simulation = replace(plan.protocol.simulation, seed=seed)
        plan = replace(plan, protocol=replace(plan.protocol, simulation=simulation))
    prediction = prediction or predict(plan)
    simulated = simulate_measurement(plan, prediction, seed)
    write_bruker(
        data / "1",
        simulated,
        list_kind=swept_list(plan),
        register_name=plan.register.name,
        title=f"{plan.protocol.name}, simulated, seed {seed}",
    )
    series = read_series(data / "1")
    return analyse(plan, prediction, series, seed)


def analyse(plan: Plan, prediction: Prediction, series: Series, seed: int) -> RunResult:
    """Fit a series that was measured (or simulated) by a plan, and compare it."""
    assert series.reference_row is not None
    line = fit_series(series, [observed_region(plan, series)]).regions[0]
    calibrated = polarisation_from_reference(
        line, series.reference_row, plan.reference_polarisation
    )
    rows = np.arange(series.rows) != series.reference_row
    times = series.row_times_s if series.row_times_s is not None else series.axis.values
    measured = curve_of(
        plan,
        calibrated.r_z,
        times[rows],
        f"fit of {series.provenance} ({series.rows} rows)",
        calibrated.covariance,
    )
    fit, reason, truth = _fit(plan, measured, prediction.exact, calibrated)
    predicted = {"the exact simulation": prediction.exact, "the closed map": prediction.closed}
    comparisons = tuple(
        compare_curves(measured, curve, name) for name, curve in predicted.items() if curve
    )
    return RunResult(
        plan=plan,
        prediction=prediction,
        series=series,
        line=line,
        measured=measured,
        fit=fit,
        fit_reason=reason,
        fit_truth=truth,
        comparisons=comparisons,
        seed=seed,
    )


def simulate_measurement(plan: Plan, prediction: Prediction, seed: int) -> Series:
    """Return the noisy FIDs of the reference (row 0) and of every row, as a receiver gives them.

    One SeedSequence is spawned for each row, so that a row's noise does not depend on the others.
    """
    compiled, register = plan.compiled, plan.register
    assert compiled.reference is not None
    assert prediction.reference is not None
    acquire = acquisition(compiled.reference)
    species = register.species(acquire.nucleus)
    carrier_ppm, offset = plan.carrier_ppm, plan.line_offset_hz
    base_hz = species.nucleus.larmor_hz(register.field_tesla.value)
    dwell = acquire.dwell_ticks * plan.spectrometer.tick_s
    children = np.random.SeedSequence(seed).spawn(plan.protocol.rows + 2)
    phase = float(np.random.default_rng(children[-1]).uniform(0.0, 2.0 * np.pi))
    pairs = [
        (prediction.reference, compiled.reference),
        *zip(prediction.simulated, compiled.sequences, strict=True),
    ]
    fids = np.array(
        [
            noise_free_fid(result, sequence, register, offset_hz=offset, receiver_phase_rad=phase)
            for result, sequence in pairs
        ]
    )
    scans = plan.protocol.scans
    snr = plan.protocol.simulation.reference_snr
    amplitude = float(np.abs(fids[0, 0]))
    if plan.protocol.start == "pseudo-pure":
        # the reference that sets the noise is the thermal one; the pseudo-pure signal is smaller,
        # and the half of the scans that is subtracted holds none of it
        fids = fids * pseudo_pure_signal(plan)
    if snr is not None:
        sigma = noise_for_snr(amplitude, snr, dwell, species.t2_star_s.value)
        noise = [
            receiver_noise(fids.shape[1:], sigma, np.random.default_rng(child))
            for child in children[: len(fids)]
        ]
        fids = fids + np.array(noise)
    axis, name = _axis(plan)
    return Series(
        fids=fids * scans,
        dwell_s=dwell,
        time_origin_s=0.0,
        carrier_hz=base_hz * (1.0 + carrier_ppm * 1e-6),
        carrier_ppm=carrier_ppm,
        nucleus=acquire.nucleus,
        axis=Axis(name=name, unit=_axis_unit(plan), values=axis, source="protocol"),
        scans=np.full(len(fids), scans),
        reference_row=0,
        row_times_s=np.concatenate([[0.0], row_times(plan)]),
        provenance=f"simulation of {plan.protocol.name}",
    )


def pseudo_pure_signal(plan: Plan) -> float:
    """Return the pseudo-pure signal of a scan over the thermal one of the battery.

    Half of the scans are without the preparation and subtracted: they add noise only.
    """
    register = plan.register
    return 0.5 * register.pseudo_pure_amplitude / register.equilibrium_ratio


def observed_region(plan: Plan, series: Series) -> tuple[float, float]:
    """Return the region of the observed line: 40 line widths to either side, within the band."""
    species = plan.observed
    width = REGION_WIDTHS / (np.pi * species.t2_star_s.value)
    middle = float(series.offset_hz(species.shift_ppm))
    edge = 0.48 * series.spectral_width_hz
    low, high = max(middle - width, -edge), min(middle + width, edge)
    ends = series.ppm(np.array([low, high]))
    return float(ends[0]), float(ends[1])


def swept_list(plan: Plan) -> Literal["vc", "vd"]:
    """Return the kind of list that holds the plan's axis: loop counts or delays."""
    sweep = plan.protocol.sweep
    counted = sweep is None or sweep.key == "cycles" or sweep.key.endswith(".steps")
    return "vc" if counted else "vd"


def _axis(plan: Plan) -> tuple[Array, str]:
    """Return the axis with the reference's entry first (0 cycles, or 0 s), and its name."""
    sweep = plan.protocol.sweep
    if sweep is None:
        return np.array([0.0, float(plan.protocol.cycles)]), "cycles"
    return np.concatenate([[0.0], sweep.values]), plan.protocol.axis_name()


def _axis_unit(plan: Plan) -> str:
    return plan.protocol.sweep.unit if plan.protocol.sweep else ""


def _fit(
    plan: Plan, measured: ChargingCurve, exact: ChargingCurve, calibrated: CalibratedRows
) -> tuple[CurveFit | None, str | None, CurveFit | None]:
    """Return the fit, or the reason why there is none, and the same fit of the exact curve."""
    if plan.protocol.model == "charging" and not (
        plan.protocol.sweep is not None and plan.protocol.sweep.key == "cycles"
    ):
        return None, "tau and E(inf) need the number of cycles as the sweep", None
    own = calibrated.own_covariance
    # charging is fitted to the energy, everything else to the magnetisation
    sign = 1.0 if plan.protocol.model == "charging" else -1.0

    def fitted(energy: Array, scale_error: float) -> CurveFit:
        y = sign * energy
        match plan.protocol.model:
            case "charging":
                return fit_charging(measured.times, y, own, scale_error)
            case "recovery":
                return fit_recovery(measured.times, y, own, scale_error)
            case "nutation":
                return fit_nutation(measured.times, y, own)
            case "coupling":
                return fit_coupling(measured.times, y, own, partners=plan.partners)

    try:
        fit, truth = fitted(measured.energy, calibrated.scale_error), fitted(exact.energy, 0.0)
    except ValueError as error:
        return None, str(error), None
    return fit, None, truth


def _shown(p: dict[str, Any]) -> str:
    if p.get("value") is None:
        text = f"withheld ({p.get('reason')})"
    else:
        spread = "" if p.get("stderr") is None else f" +- {p['stderr']:.2g}"
        text = f"{p['value']:.6g}{spread} {p.get('unit', '')}".rstrip()
    if p.get("predicted") is not None:
        text += f"; predicted {p['predicted']:.6g}"
    return text


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
    sign = result.plan.register.battery.nucleus.sign
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
            "omega": {
                "value": 0.0,
                "stderr": None,
                "ci95": [None, None],
                "unit": "rad/s",
                "reason": "held at 0: the approach is not oscillatory",
                "predicted": None,
            },
            "phi": _withheld("replaced by E_0, which also covers a start below 0", "rad"),
        }
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
    if not result.plan.is_reenergised:
        return rows
    one = "a single fitted exponential has one tau (definition fit); only predicted here"
    for definition in ("threshold", "slowest-mode"):
        rows.append(
            {
                "model": "charging",
                "definition": definition,
                "definition_text": DEFINITIONS[definition]
                + (", n = 1" if definition == "threshold" else ""),
                "parameters": {"tau": _withheld(one, "s", prediction.tau.get(definition))},
                "identifiable": False,
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
    where = f"energy of the row with the largest prediction ({curve.times[row]:.6g} s)"
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
            name: _parameter(p, truth.parameters[name].value if truth else None)
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


def _result_object(result: RunResult) -> dict[str, Any]:
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
            "other_single_shots": prediction.other_transfers,
        },
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
        "curve": result.measured,
    }
