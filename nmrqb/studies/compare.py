"""Compare a prediction with a measurement, and say what would reconcile them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.compare import measured_energies
from nmrqb.analysis.reconcile import (
    AGREEMENT,
    CONTRADICTION,
    ChiSquare,
    MeasuredEnergies,
    Reconciliation,
    RegisteredParameter,
    chi_square,
    linear_price,
    prediction_covariance,
    pulls,
    reconcile,
)
from nmrqb.errors import InputError
from nmrqb.studies.changed_prediction import ChangedPrediction
from nmrqb.studies.compared_curves import Predictable, Side, measured_side, predicted_side
from nmrqb.studies.plan import Plan
from nmrqb.studies.plan_parameters import plan_parameters

Array = NDArray[np.float64]
Verdict = Literal["agree", "tension", "contradict"]

#: a parameter that moves no point by this share of its error when it changes by a third does not
#: show in the curve
_SHOWS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveComparison:
    """A prediction beside a measurement.

    Attributes
    ----------
    predicted, measured : Side
        The curves at the same times, and where they came from.
    predicted_covariance : ndarray, shape (points, points)
        The prediction's own, from the registered errors of its parameters (or its covariance,
        where it was measured).
    chi2 : ChiSquare
        With both covariances.
    chi2_exact : ChiSquare
        With the measurement's alone: as if the prediction were exact.
    difference_stderr : ndarray, shape (points,)
        Standard errors of measured - predicted.
    parameters : tuple of RegisteredParameter
        What the prediction depends on; empty where it cannot be simulated again.
    slopes : ndarray, shape (points, parameters)
        Of the energy.
    pulls : ndarray, shape (parameters,)
        Where all parameters may move within their registered errors: how far each moves, in
        those errors.
    tried : tuple of Reconciliation
        Each parameter alone, cheapest first, then the best pair where no one is enough; empty
        where prediction and measurement agree.
    """

    predicted: Side
    measured: Side
    predicted_covariance: Array
    chi2: ChiSquare
    chi2_exact: ChiSquare
    difference_stderr: Array
    parameters: tuple[RegisteredParameter, ...]
    slopes: Array
    pulls: Array
    tried: tuple[Reconciliation, ...]

    @property
    def verdict(self) -> Verdict:
        """Return "agree" (p >= 0.05), "contradict" (p < 0.001) or "tension"."""
        p = self.chi2.p_value
        return "agree" if p >= AGREEMENT else "contradict" if p < CONTRADICTION else "tension"

    @property
    def status(self) -> str:
        """Return "no" where prediction and measurement contradict each other."""
        return "no" if self.verdict == "contradict" else "ok"

    @property
    def answers(self) -> tuple[Reconciliation, ...]:
        """What reconciles them, cheapest first."""
        return tuple(t for t in self.tried if t.succeeds)

    @property
    def residuals(self) -> Array:
        """(measured - predicted)/standard error of the difference, shape (points,)."""
        difference = self.measured.curve.energy - self.predicted.curve.energy
        return np.asarray(difference / self.difference_stderr)

    @property
    def predicted_stderr(self) -> Array:
        """Standard errors of the prediction, shape (points,)."""
        return np.sqrt(np.diag(self.predicted_covariance))

    @property
    def measured_stderr(self) -> Array:
        """Standard errors of the measurement, shape (points,)."""
        return np.sqrt(np.diag(np.asarray(self.measured.curve.covariance)))

    def to_result(self) -> dict[str, Any]:
        """Return the object of result.json."""
        from nmrqb.studies.compare_report import result_object

        return result_object(self)

    def words(self) -> list[str]:
        """Return the verdict in words, one sentence each."""
        from nmrqb.studies.compare_report import verdict_words

        return verdict_words(self)

    def __str__(self) -> str:
        head = f"comparison of {self.predicted.source} with {self.measured.source}: {self.verdict}"
        return "\n".join([head, *(f"  {w}" for w in self.words())])


def compare(
    predicted: Predictable,
    measured: Predictable,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> CurveComparison:
    """Compare a predicted with a measured charging curve.

    Chi-square uses the measurement's full covariance and the prediction's own, from the
    registered errors of J, T1, T2 and inversions propagated through the exact simulation.  Where
    they do not agree every parameter is freed alone, and then the best pair.

    Parameters
    ----------
    predicted, measured : str, Path, ChargingCurve, Plan or RunResult
        Result folders (of run, simulate, plan, fit), curve files, or values.
    progress : callable
        Is told what is being simulated.

    Raises
    ------
    InputError
        Where a curve cannot be read, or the two cannot be compared: other energy units, starts,
        kinds of ergotropy, or times at which the prediction cannot be had.
    """
    there = measured_side(measured)
    here = predicted_side(predicted, there)
    curve = there.curve
    try:
        energies = measured_energies(curve)
    except ValueError as error:
        raise InputError(str(error), file=there.source, key="covariance") from None
    if here.plan is None:
        return _without_plan(here, there, energies)
    return _with_plan(here, here.plan, there, energies, progress)


def _without_plan(here: Side, there: Side, energies: MeasuredEnergies) -> CurveComparison:
    own = here.curve.covariance
    points = len(here.curve.times)
    covariance = np.zeros((points, points)) if own is None else np.asarray(own)
    return _compared(here, there, energies, covariance, (), np.zeros((points, 0)))


def _with_plan(
    here: Side,
    plan: Plan,
    there: Side,
    energies: MeasuredEnergies,
    progress: Callable[[str], None],
) -> CurveComparison:
    simulated = ChangedPrediction(plan, plan_parameters(plan), here.curve.energy)
    parameters = simulated.registered
    progress(f"simulating the slopes in {len(parameters)} parameters")
    slopes = simulated.slopes()
    covariance = prediction_covariance(parameters, slopes)
    first = _compared(here, there, energies, covariance, parameters, slopes)
    if first.verdict == "agree":
        return first
    errors = np.sqrt(np.diag(energies.covariance(here.curve.energy)))
    tried = []
    seen = []
    for k, p in enumerate(parameters):
        reach = abs(slopes[:, k]) * max((abs(p.value) or 1.0) / 3.0, p.stderr or 0.0)
        if (reach < _SHOWS * errors).all():
            continue
        seen.append(k)
        progress(f"freeing {p.name}")
        tried.append(reconcile([k], parameters, simulated, slopes, energies))
    tried.sort(key=lambda t: (not t.succeeds, t.price))
    if tried and not tried[0].succeeds and len(seen) > 1:
        pair = min(
            combinations(seen, 2),
            key=lambda two: linear_price(two, parameters, here.curve.energy, slopes, energies),
        )
        progress(f"freeing {' and '.join(parameters[k].name for k in pair)}")
        tried.append(reconcile(pair, parameters, simulated, slopes, energies))
    return replace(first, tried=tuple(tried))


def _compared(
    here: Side,
    there: Side,
    energies: MeasuredEnergies,
    covariance: Array,
    parameters: tuple[RegisteredParameter, ...],
    slopes: Array,
) -> CurveComparison:
    predicted = here.curve.energy
    alone = energies.covariance(predicted)
    difference = energies.energy - predicted
    try:
        exact = chi_square(difference, alone)
    except ValueError as error:
        raise InputError(str(error), file=there.source, key="covariance") from None
    return CurveComparison(
        predicted=here,
        measured=there,
        predicted_covariance=covariance,
        chi2=chi_square(difference, alone + covariance),
        chi2_exact=exact,
        difference_stderr=np.sqrt(np.diag(alone + covariance)),
        parameters=parameters,
        slopes=slopes,
        pulls=pulls(energies, predicted, parameters, slopes),
        tried=(),
    )
