"""The whole road: plan, compile, simulate, write and read data, fit, compare."""

from __future__ import annotations

import secrets
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.alternating import fit_approach
from nmrqb.analysis.budget import ErrorBudget
from nmrqb.analysis.calibration import CalibratedRows, polarisation_from_reference
from nmrqb.analysis.compare import Comparison, compare_curves, measured_energies
from nmrqb.analysis.coupling import fit_coupling
from nmrqb.analysis.curve_fit import CurveFit, with_scale_error
from nmrqb.analysis.curves import fit_recovery
from nmrqb.analysis.measured_times import MeasuredTimes, measured_times
from nmrqb.analysis.nutation import fit_nutation
from nmrqb.analysis.region_fit import RegionFit
from nmrqb.analysis.series_fit import fit_series
from nmrqb.battery.charging import ChargingCurve
from nmrqb.errors import InputError
from nmrqb.files.bruker import write_bruker
from nmrqb.files.vendors import read_series
from nmrqb.protocol.protocol import Protocol
from nmrqb.signals.series import Series
from nmrqb.studies.balance_report import balance_words
from nmrqb.studies.measurement import (
    observed_region,
    pseudo_pure_signal,
    simulate_measurement,
    swept_list,
)
from nmrqb.studies.numbers import with_error
from nmrqb.studies.plan import Plan, Prediction, curve_of, make_plan, predict

Array = NDArray[np.float64]

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
    budget : ErrorBudget
        Of the polarisations of `measured`, source by source.
    taus : MeasuredTimes or None
        The three charging times of a charging that is followed against its cycles.
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
    budget: ErrorBudget
    taus: MeasuredTimes | None
    fit: CurveFit | None
    fit_reason: str | None
    fit_truth: CurveFit | None
    comparisons: tuple[Comparison, ...]
    seed: int

    @property
    def status(self) -> str:
        """Return "no" where a limit is violated, the data contradict the theory or a calibration
        measured nothing; else "ok".
        """
        agrees = self.comparisons[0].p_value >= _LEAST_P_VALUE
        # a calibration that measures nothing has failed; a charging still has its curve
        measured = self.plan.protocol.model == "charging" or (
            self.fit is not None and any(p.value is not None for p in self.fit.parameters.values())
        )
        return "ok" if agrees and measured and not self.plan.compiled.violations else "no"

    def verdict(self) -> list[str]:
        """Return the verdict in words, one sentence each."""
        read_battery = self.plan.protocol.fid.target == "battery"
        words = self._charging_words() if self.plan.is_charging and read_battery else []
        words += balance_words(self.prediction, self.plan.register)
        exact = self.comparisons[0]
        agree = "agrees with" if exact.p_value >= _LEAST_P_VALUE else "CONTRADICTS"
        words.append(
            f"The measurement {agree} the exact simulation (chi-square {exact.chi2:.3g} for "
            f"{exact.points} points, p = {exact.p_value:.2g})."
        )
        words += self.prediction.warnings()
        words += [f"LIMIT VIOLATED: {v}." for v in self.plan.compiled.violations]
        words += [f"{w}." for w in self.plan.compiled.warnings]
        return words

    def _charging_words(self) -> list[str]:
        register, curve = self.plan.register, self.measured
        # the row is chosen by the prediction: the largest of noisy values is biased upward
        best = int(np.argmax(self.prediction.exact.energy))
        energy = float(curve.energy[best])
        spread = 0.0 if curve.energy_stderr is None else float(curve.energy_stderr[best])
        words = []
        if energy > 2.0 * spread:
            words.append(
                f"The {register.battery.isotope} battery is charged: where most is predicted, at "
                f"{curve.times[best]:.4g} s, its energy is {energy:.4g} +- {spread:.2g} "
                f"{curve.energy_unit}, of which the battery can give {curve.ergotropy[best]:.4g} "
                f"as work ({curve.ergotropy_kind} ergotropy)."
            )
        else:
            words.append(
                f"The {register.battery.isotope} battery is NOT charged: no energy above the "
                "identity level was found; its state is passive within the noise."
            )
        error = self.prediction.target_error
        if error is not None:
            words.append(
                f"The compiled sequence follows its target, the ideal driven and dephased exchange "
                f"over the same model time, within {error:.2g} ({curve.energy_unit}). Slices, "
                "Strang steps and finite pulses alone cost "
                f"{self.prediction.translation_error:.2g}; the rest is relaxation during the "
                "longer time in the laboratory."
            )
        if curve.start == "pseudo-pure":
            share = pseudo_pure_signal(self.plan)
            words.append(
                f"The pseudo-pure start costs signal: one scan gives {share:.3g} of the thermal "
                f"reference's, {1.0 / share**2:.3g} times the scans for the same ratio. Work that "
                "lies in coherence or in correlations of the batteries is not in this read-out."
            )
        elif self.plan.is_driven and not self.plan.is_reenergised:
            transient = bool((self.prediction.exact.energy > 0.0).any())
            words.append(
                "A driven, dephased charger stores nothing lasting in thermal spins: to first "
                "order in eps every deviation relaxes to the identity level. "
                + (
                    "What is stored here is transient."
                    if transient
                    else "Only a pure or pseudo-pure start would store anything here."
                )
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
        from nmrqb.studies.run_result import result_object

        return result_object(self)

    def __str__(self) -> str:
        lines = [f"run of {self.plan.protocol.name}: {self.status}"]
        lines += [f"  {w}" for w in self.verdict()]
        for row in self.to_result()["results"]:
            for name, p in row["parameters"].items():
                if name in ("omega", "phi"):
                    continue  # not free in an exponential approach
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
    try:
        calibrated = polarisation_from_reference(
            line, series.reference_row, plan.reference_polarisation
        )
    except ValueError as error:
        raise InputError(str(error), file=plan.file, key="simulation.reference_snr") from None
    rows = np.arange(series.rows) != series.reference_row
    times = series.row_times_s if series.row_times_s is not None else series.axis.values
    measured = curve_of(
        plan,
        calibrated.r_z,
        times[rows],
        f"fit of {series.provenance} ({series.rows} rows)",
        calibrated.covariance,
    )
    measured = replace(measured, scale_error=calibrated.scale_error)
    fit, reason, truth = _fit(plan, measured, prediction.exact, calibrated)
    taus = None
    if fit is not None and plan.protocol.model == "charging":
        own = measured_energies(measured).own_covariance
        taus = measured_times(
            measured.times, measured.energy, own, fit, np.random.default_rng(seed)
        )
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
        budget=calibrated.budget,
        taus=taus,
        fit=fit,
        fit_reason=reason,
        fit_truth=truth,
        comparisons=comparisons,
        seed=seed,
    )


def _fit(
    plan: Plan, measured: ChargingCurve, exact: ChargingCurve, calibrated: CalibratedRows
) -> tuple[CurveFit | None, str | None, CurveFit | None]:
    """Return the fit, or the reason why there is none, and the same fit of the exact curve."""
    if plan.protocol.model == "charging" and not (
        plan.protocol.sweep is not None and plan.protocol.sweep.key == "cycles"
    ):
        return None, "tau and E(inf) need the number of cycles as the sweep", None
    own = measured_energies(measured).own_covariance
    # charging is fitted to the energy, everything else to the magnetisation
    sign = 1.0 if plan.protocol.model == "charging" else -1.0

    def fitted(energy: Array, scale_error: float) -> CurveFit:
        y = sign * energy
        match plan.protocol.model:
            case "charging":
                return fit_approach(measured.times, y, own, scale_error, cycles=measured.cycles)
            case "recovery":
                return fit_recovery(measured.times, y, own, scale_error)
            case "nutation":
                found = fit_nutation(measured.times, y, own)
                return with_scale_error(found, ("M0",), scale_error)
            case "coupling":
                found = fit_coupling(
                    measured.times,
                    y,
                    own,
                    partners=plan.partners,
                    partner_t1_s=plan.partner.t1_s.value,
                )
                return with_scale_error(found, ("M0",), scale_error)

    try:
        fit, truth = fitted(measured.energy, calibrated.scale_error), fitted(exact.energy, 0.0)
    except ValueError as error:
        return None, str(error), None
    return fit, None, truth


def _shown(p: dict[str, Any]) -> str:
    if p.get("value") is None:
        text = f"withheld ({p.get('reason')})"
    else:
        text = f"{with_error(p['value'], p.get('stderr'))} {p.get('unit', '')}".rstrip()
    if p.get("predicted") is not None:
        text += f"; predicted {p['predicted']:.6g}"
    return text
