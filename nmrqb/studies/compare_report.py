"""What a comparison says: in words, in result.json, in report.html."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from nmrqb.analysis.reconcile import AGREEMENT, CONTRADICTION, Reconciliation
from nmrqb.files.results import output_folder, to_json, write_atomically, write_curve
from nmrqb.report import figures, html
from nmrqb.studies.compare import CurveComparison
from nmrqb.studies.deliver import versions
from nmrqb.studies.numbers import with_error

_VERDICTS = {
    "agree": "agree",
    "tension": "are in tension",
    "contradict": "CONTRADICT each other",
}
#: another answer whose chi-square and cost together are not larger by more than this cannot be
#: told from the best (95 % of chi-square with one degree of freedom)
_AS_GOOD = float(stats.chi2.ppf(0.95, 1))


def verdict_words(comparison: CurveComparison) -> list[str]:
    """Return the verdict in words, one sentence each."""
    chi2, exact = comparison.chi2, comparison.chi2_exact
    first = (
        f"Prediction and measurement {_VERDICTS[comparison.verdict]}: chi-square "
        f"{chi2.chi2:.4g} for {chi2.dof} points, p = {chi2.p_value:.2g}, with the uncertainties of "
        "both."
    )
    words = [first]
    if comparison.predicted_covariance.any():
        words.append(
            f"Were the prediction exact, chi-square would be {exact.chi2:.4g}, "
            f"p = {exact.p_value:.2g}."
        )
    words += _unknown_words(comparison)
    if comparison.verdict != "agree":
        words += _reconciling_words(comparison)
    return words


def _unknown_words(comparison: CurveComparison) -> list[str]:
    if comparison.predicted.plan is None:
        if comparison.predicted.curve.covariance is None:
            alone = (
                "The prediction carries no inputs and no errors: it is taken as exact, and what "
                "would reconcile it cannot be said."
            )
            return [alone]
        return ["The prediction is itself a measurement: both covariances are counted."]
    missing = [p.name for p in comparison.parameters if p.stderr is None]
    if comparison.predicted.plan.protocol.has_load:
        missing.append("the load (not propagated)")
    if not missing:
        return []
    whole = "" if comparison.predicted_covariance.any() else ", and it is taken as exact"
    listed = ", ".join(missing)
    lacking = f"the prediction's uncertainty lacks their part{whole}."
    return [f"No standard error is registered of {listed}: {lacking}"]


def _reconciling_words(comparison: CurveComparison) -> list[str]:
    if not comparison.tried:
        return []
    alone = [t for t in comparison.tried if len(t.names) == 1]
    answers = comparison.answers
    if not answers:
        best = min(comparison.tried, key=lambda t: t.price)
        listed = ", ".join(t.names[0] for t in alone)
        none = (
            f"None of {listed} reconciles them, and no pair does: the best, "
            f"{_changed(comparison, best)}, leaves p = {best.after.p_value:.2g}. The cause lies "
            "elsewhere: pulses, the sample, the reference, or the model."
        )
        return [none]
    best = answers[0]
    only = "alone reconciles" if len(best.names) == 1 else "together reconcile"
    lead = "" if len(best.names) == 1 else "No single parameter is enough. "
    answer = (
        f"{lead}{' and '.join(best.names)} {only} them: {_changed(comparison, best)}, which "
        f"leaves chi-square {best.after.chi2:.4g} for {best.after.dof} degrees of freedom, "
        f"p = {best.after.p_value:.2g}."
    )
    words = [answer]
    rivals = [t for t in answers[1:] if t.price - best.price < _AS_GOOD]
    if rivals:
        listed = "; ".join(_changed(comparison, t) for t in rivals)
        words.append(f"These points cannot tell it from: {listed}.")
    return words


def _changed(comparison: CurveComparison, answer: Reconciliation) -> str:
    known = {p.name: p for p in comparison.parameters}
    parts = []
    for name, value, stderr, cost in zip(
        answer.names, answer.values, answer.stderrs, answer.costs, strict=True
    ):
        p = known[name]
        error = float(stderr) if np.isfinite(stderr) else None
        price = (
            "no registered error to count the cost in"
            if cost is None
            else f"{abs(cost):.2g} of its registered standard errors away"
        )
        parts.append(
            f"{name} {with_error(float(value), error)} {p.unit}".rstrip()
            + f" instead of {with_error(p.value, p.stderr)} ({price})"
        )
    return " and ".join(parts)


def result_object(comparison: CurveComparison) -> dict[str, Any]:
    """Return the object of result.json."""
    here, there = comparison.predicted, comparison.measured
    measured = there.curve
    return {
        "schema": "nmrqb/compare/1",
        "status": comparison.status,
        "verdict": comparison.verdict,
        "words": comparison.words(),
        "predicted": {"source": here.source, "provenance": here.curve.provenance},
        "measured": {"source": there.source, "provenance": measured.provenance},
        "start": measured.start,
        "energy_unit": measured.energy_unit,
        "ergotropy_kind": measured.ergotropy_kind,
        "chi2": comparison.chi2.chi2,
        "points": comparison.chi2.dof,
        "p_value": comparison.chi2.p_value,
        "agreement": f"p >= {AGREEMENT}",
        "contradiction": f"p < {CONTRADICTION}",
        "prediction_exact": {
            "chi2": comparison.chi2_exact.chi2,
            "p_value": comparison.chi2_exact.p_value,
        },
        "results": [_answer(comparison, t) for t in comparison.tried],
        "prediction_uncertainty": [
            {
                "parameter": p.name,
                "value": p.value,
                "stderr": p.stderr,
                "unit": p.unit,
                "source": p.source,
                "largest_part": None
                if p.stderr is None
                else float(np.abs(p.stderr * comparison.slopes[:, k]).max()),
                "reason": None if p.stderr else "no standard error is registered",
                "pull": float(comparison.pulls[k]) if p.stderr else None,
            }
            for k, p in enumerate(comparison.parameters)
        ],
        "points_compared": [
            {
                "time": t,
                "predicted": f,
                "predicted_stderr": s if comparison.predicted_covariance.any() else None,
                "measured": y,
                "measured_stderr": e,
                "residual": r,
            }
            for t, f, s, y, e, r in zip(
                measured.times,
                here.curve.energy,
                comparison.predicted_stderr,
                measured.energy,
                comparison.measured_stderr,
                comparison.residuals,
                strict=True,
            )
        ],
        "time_unit": measured.time_unit,
    }


def _answer(comparison: CurveComparison, answer: Reconciliation) -> dict[str, Any]:
    known = {p.name: p for p in comparison.parameters}
    half = float(stats.norm.ppf(0.975))
    parameters = {}
    for name, value, stderr, cost in zip(
        answer.names, answer.values, answer.stderrs, answer.costs, strict=True
    ):
        known_error = bool(np.isfinite(stderr))
        parameters[name] = {
            "value": value,
            "stderr": stderr if known_error else None,
            "ci95": [value - half * stderr, value + half * stderr] if known_error else [None, None],
            "unit": known[name].unit,
            "reason": None if known_error else (answer.reason or "at the end of its range"),
            "registered": known[name].value,
            "registered_stderr": known[name].stderr,
            "cost": cost,
        }
    return {
        "parameters": parameters,
        "reconciles": answer.succeeds,
        "chi2": answer.after.chi2,
        "dof": answer.after.dof,
        "p_value": answer.after.p_value,
        "reason": answer.reason,
    }


def deliver_comparison(comparison: CurveComparison, folder: Path, *, overwrite: bool) -> None:
    """Write report, result and both curves into `folder`."""
    with output_folder(folder, overwrite=overwrite) as out:
        (out / "curves").mkdir()
        write_curve(out / "curves" / "predicted.json", comparison.predicted.curve)
        write_curve(out / "curves" / "measured.json", comparison.measured.curve)
        write_atomically(out / "versions.json", to_json(versions()))
        write_atomically(out / "report.html", comparison_report(comparison))
        write_atomically(out / "result.json", to_json(comparison.to_result()))


def comparison_report(comparison: CurveComparison) -> str:
    """Return report.html of a comparison."""
    sections = [
        html.paragraph(f"predicted: {comparison.predicted.source}"),
        html.paragraph(f"measured: {comparison.measured.source}"),
        "<h2>Verdict</h2>\n",
        html.listing(comparison.words()),
        "<h2>Curves</h2>\n",
        html.figure(comparison_figure(comparison), _caption(comparison)),
    ]
    if comparison.tried:
        sections += ["<h2>What would reconcile them</h2>\n", _table_of_answers(comparison)]
    if comparison.parameters:
        sections += ["<h2>The prediction's uncertainty</h2>\n", _table_of_parameters(comparison)]
    return html.page("nmrqb compare", sections)


def _table_of_answers(comparison: CurveComparison) -> str:
    rows = []
    for t in comparison.tried:
        rows.append(
            [
                html.text(_changed(comparison, t)),
                html.number(t.after.chi2, 4),
                html.text(t.after.dof),
                html.number(t.after.p_value, 3),
                "yes" if t.succeeds else html.text(t.reason or "no"),
            ]
        )
    return html.table(["freed", "chi-square", "degrees", "probability", "reconciles"], rows)


def _table_of_parameters(comparison: CurveComparison) -> str:
    rows = []
    for k, p in enumerate(comparison.parameters):
        part = None if p.stderr is None else float(np.abs(p.stderr * comparison.slopes[:, k]).max())
        rows.append(
            [
                html.text(p.name),
                html.text(f"{with_error(p.value, p.stderr)} {p.unit}".rstrip()),
                html.number(part, 2),
                html.number(float(comparison.pulls[k]), 2) if p.stderr else "&ndash;",
                html.text(p.source),
            ]
        )
    head = [
        "parameter",
        "registered",
        "largest standard error of the energy from it",
        "moved by (standard errors)",
        "source",
    ]
    return html.table(head, rows)


def _caption(comparison: CurveComparison) -> str:
    return (
        f"Energy ({comparison.measured.curve.energy_unit}): measured with 95 % bars, predicted "
        "with its 95 % band (registered errors, where there are any), and the prediction with "
        "what reconciles it. Below: residuals over the standard errors of both."
    )


def comparison_figure(comparison: CurveComparison) -> Figure:
    """Return both curves with bands, and their residuals, in one figure."""
    picture = Figure(figsize=(7.5, 5.2), layout="constrained")
    upper, lower = picture.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    predicted, measured = comparison.predicted.curve, comparison.measured.curve
    order = np.argsort(measured.times)
    x = measured.times[order]
    line = predicted.energy[order]
    band = 1.96 * comparison.predicted_stderr[order]
    upper.plot(x, line, "-", color=figures.BLUE, label="predicted")
    if band.any():
        upper.fill_between(
            x,
            line - band,
            line + band,
            color=figures.BLUE,
            alpha=0.2,
            linewidth=0,
            label="its 95 % band",
        )
    best = comparison.answers[:1]
    for answer in best:
        upper.plot(
            x,
            answer.energy[order],
            "--",
            color=figures.GREEN,
            label=f"with {' and '.join(answer.names)} changed",
        )
    upper.errorbar(
        measured.times,
        measured.energy,
        yerr=1.96 * comparison.measured_stderr,
        fmt="o",
        color=figures.BLACK,
        markersize=4,
        capsize=2,
        label="measured, 95 %",
    )
    upper.axhline(0.0, color=figures.GREY, linewidth=0.6)
    unit = measured.energy_unit.split(", ")[0]
    upper.set_ylabel(f"stored energy\n({unit})")
    upper.legend(frameon=False, fontsize=8)
    lower.axhspan(-1.96, 1.96, color="#eeeeee")
    lower.axhline(0.0, color=figures.GREY, linewidth=0.6)
    lower.plot(measured.times, comparison.residuals, "o", color=figures.BLUE, markersize=4)
    for answer in best:
        lower.plot(
            measured.times,
            (measured.energy - answer.energy) / comparison.difference_stderr,
            "x",
            color=figures.GREEN,
            markersize=4,
        )
    lower.set_ylabel("residual\n(std. errors)")
    lower.set_xlabel(f"charging time ({measured.time_unit})")
    return picture
