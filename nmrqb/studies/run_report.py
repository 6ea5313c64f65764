"""The report of a run: sequence, magnetisation, spectra, curve, residuals, table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nmrqb.analysis.coupling import echo_modulation
from nmrqb.analysis.curves import recovery
from nmrqb.analysis.nutation import nutation
from nmrqb.battery.charging import ChargingCurve
from nmrqb.battery.charging_time import exponential_approach
from nmrqb.report import figures, html
from nmrqb.report.budget_table import budget_table
from nmrqb.report.sequence_figure import draw_sequence
from nmrqb.studies.balance_report import balance_section
from nmrqb.studies.run import RunResult

Array = NDArray[np.float64]


def run_report(result: RunResult, versions: dict[str, str]) -> str:
    """Return report.html of a run."""
    plan, object_ = result.plan, result.to_result()
    longest = int(np.argmax([s.ticks for s in plan.compiled.sequences]))
    sections = [
        html.paragraph(plan.protocol.description) if plan.protocol.description else "",
        "<h2>Verdict</h2>\n",
        html.listing(result.verdict()),
        "<h2>Numbers</h2>\n",
        _numbers(object_),
        html.paragraph(
            "Polarisations are in units of eps, the chargers' thermal polarisation "
            f"({plan.register.eps:.4g} here); energies in {result.measured.energy_unit}. Start of "
            f"the spins: {result.measured.start}."
        ),
        budget_table(result.budget),
        f"<h2>{plan.protocol.model.capitalize()} curve</h2>\n",
        html.figure(_curve(result), _curve_caption(result)),
        balance_section(plan, result.prediction),
        "<h2>Spectra</h2>\n",
        html.figure(
            _spectra(result),
            f"Spectra of every row, phased once on the {result.measured.start} reference (bottom): "
            "a negative line is inverted against it.",
        ),
        "<h2>Pulse sequence</h2>\n",
        html.figure(_sequence(result, longest), "The longest row of the sweep, not to scale."),
        html.preformatted(plan.compiled.sequences[longest]),
        "<h2>Magnetisation</h2>\n",
        html.figure(
            _magnetisation(result, longest),
            "Exact simulation of the longest row, relaxation on every spin as the sequence says. "
            f"{result.prediction.simulated[longest].engine}."
            + (
                " Behind the pseudo-pure preparation the unit is its amplitude, not eps."
                if result.measured.start == "pseudo-pure"
                else ""
            ),
        ),
        "<h2>Plan</h2>\n",
        html.preformatted(f"{plan.register}\n{plan.spectrometer}\n{plan.compiled}"),
        "<h2>Where this comes from</h2>\n",
        html.table(
            ["what", "which"],
            [
                ["seed", html.text(result.seed)],
                ["array axis", html.text(result.series.axis.source)],
                *([html.text(k), html.text(v)] for k, v in versions.items()),
            ],
        ),
    ]
    return html.page(f"nmrqb run: {plan.protocol.name}", sections)


def _numbers(object_: dict[str, Any]) -> str:
    rows = []
    for result in object_["results"]:
        definition = result.get("definition_text", result["model"])
        for name, p in result["parameters"].items():
            low, high = p["ci95"]
            interval = (
                f"{html.number(low)} to {html.number(high)}" if low is not None else "&ndash;"
            )
            rows.append(
                [
                    html.text(name),
                    html.text(definition),
                    html.number(p["value"]),
                    html.number(p["stderr"], 2),
                    interval,
                    html.number(p.get("predicted")),
                    html.text(p["unit"]),
                    html.text(p["reason"] or ""),
                ]
            )
    head = [
        "number",
        "definition",
        "measured",
        "std. error",
        "95 % interval",
        "predicted",
        "unit",
        "note",
    ]
    shown = html.table(head, rows)
    compared = [
        [
            html.text(c["prediction"]),
            html.number(c["chi2"], 4),
            html.text(c["points"]),
            html.number(c["p_value"], 3),
        ]
        for c in object_["comparison"]
    ]
    shown += "<p></p>" + html.table(
        ["measured against", "chi-square", "points", "probability"], compared
    )
    prediction = object_["prediction"]
    if prediction["p_star_exact"] is not None:
        exact, closed = prediction["p_star_exact"], prediction["p_star_closed_map"]
        values = object_["axis"]["values"][1:]
        cells = [
            [f"{v:g}", html.number(float(a), 6), html.number(float(b), 6)]
            for v, a, b in zip(values, exact, closed, strict=True)
        ]
        if len({c[1] for c in cells}) == 1:
            cells = [["every row", *cells[0][1:]]]
        name = html.text(f"{object_['axis']['name']} {object_['axis']['unit']}".strip())
        shown += "<p></p>" + html.table(
            [name, "p* exact (eps, spin label)", "p* closed map"], cells
        )
        shown += html.paragraph(
            f"Cycles to saturation ({prediction['saturation']}): "
            f"{prediction['cycles_to_saturation']} exact, "
            f"{prediction['cycles_to_saturation_closed_map']} by the closed map."
        )
    return shown


def _model(result: RunResult) -> Callable[..., Array]:
    """Return the fitted curve as a function of t and of the fit's parameters."""
    match result.plan.protocol.model:
        case "charging":
            return lambda t, **v: exponential_approach(t, v["E_inf"], v["E_0"], v["tau"])
        case "recovery":
            return recovery
        case "nutation":
            return lambda t, **v: nutation(t, v["frequency"], 1.0 / v["decay"], v["M0"])
        case "coupling":
            partners, t1 = result.plan.partners, result.plan.partner.t1_s.value
            return lambda t, **v: echo_modulation(t, **v, partners=partners, partner_t1_s=t1)


def _fitted(result: RunResult, t: Array) -> Array | None:
    """Return the fitted curve at times t."""
    fit = result.fit
    if fit is None or not fit.is_identifiable:
        return None
    return fit.curve(t)


def _band(result: RunResult, t: Array) -> Array | None:
    """Return the standard error of the fitted curve at times t, from the fit's covariance."""
    fit = result.fit
    if fit is None or fit.covariance is None or not fit.is_identifiable:
        return None
    if "factor" in fit.names:
        return None  # an alternating approach lives on whole cycles: between them is no curve
    values = {name: fit.value(name) for name in fit.names}
    curve = _model(result)
    slopes = []
    for name in fit.names:
        step = 1e-5 * max(abs(values[name]), 1e-6)
        up, down = values | {name: values[name] + step}, values | {name: values[name] - step}
        slopes.append((curve(t, **up) - curve(t, **down)) / (2.0 * step))
    jacobian = np.array(slopes)
    variance: Array = np.einsum("it,ij,jt->t", jacobian, fit.covariance, jacobian)
    return np.sqrt(np.maximum(variance, 0.0))


def _shown(result: RunResult, curve: ChargingCurve) -> Array:
    """Return what is drawn of a curve: energy of a charging, polarisation of a calibration."""
    if result.plan.protocol.model == "charging" or curve.magnetisation is None:
        return curve.energy
    return curve.magnetisation


def _curve(result: RunResult) -> Figure:
    picture = Figure(figsize=(7.5, 5.2), layout="constrained")
    upper, lower = picture.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    exact, closed = result.prediction.exact, result.prediction.closed
    swept = result.plan.protocol.sweep
    x, label, scale = result.measured.times, "charging time (s)", 1.0
    if swept is not None and swept.key != "cycles":
        x = np.array(swept.values)
        unit = swept.unit
        if unit == "s" and float(np.max(np.abs(x))) < 1e-3:
            x, scale, unit = 1e6 * x, 1e-6, "us"
        label = (
            f"{result.plan.protocol.axis_name()} ({unit})"
            if unit
            else (result.plan.protocol.axis_name())
        )
    upper.plot(x, _shown(result, exact), "-", color=figures.BLUE, label="exact simulation")
    target = result.prediction.target
    if target is not None:
        upper.plot(x, _shown(result, target), ":", color=figures.PURPLE, label="target channel")
    if closed is not None:
        upper.plot(x, _shown(result, closed), "--", color=figures.ORANGE, label="closed map")
    measured = result.measured
    charging = result.plan.protocol.model == "charging"
    stderr = measured.energy_stderr if charging else measured.magnetisation_stderr
    assert stderr is not None
    upper.errorbar(
        x,
        _shown(result, measured),
        yerr=1.96 * stderr,
        fmt="o",
        color=figures.BLACK,
        markersize=4,
        capsize=2,
        label="measured, 95 %",
    )
    if result.fit is not None and result.fit.is_identifiable:
        t = np.linspace(float(np.min(x)), float(np.max(x)), 300)
        fitted, band = _fitted(result, scale * t), _band(result, scale * t)
        label_of_fit = "fit" if band is None else "fit, 95 % band"
        if fitted is not None:
            upper.plot(t, fitted, color=figures.GREEN, linewidth=1.0, label=label_of_fit)
        if fitted is not None and band is not None:
            upper.fill_between(
                t,
                fitted - 1.96 * band,
                fitted + 1.96 * band,
                color=figures.GREEN,
                alpha=0.2,
                linewidth=0,
            )
    upper.axhline(0.0, color=figures.GREY, linewidth=0.6)
    unit = measured.energy_unit.split(", ")[0]
    upper.set_ylabel(f"stored energy\n({unit})" if charging else "polarisation $r_z$\n(eps)")
    upper.legend(frameon=False, fontsize=8)
    exact_c = result.comparisons[0]
    lower.axhspan(-1.96, 1.96, color="#eeeeee")
    lower.axhline(0.0, color=figures.GREY, linewidth=0.6)
    lower.plot(x, exact_c.residuals, "o", color=figures.BLUE, markersize=4)
    for closed_c in result.comparisons[1:]:
        lower.plot(x, closed_c.residuals, "x", color=figures.ORANGE, markersize=4)
    lower.set_ylabel("residual\n(std. errors)")
    lower.set_xlabel(label)
    return picture


def _curve_caption(result: RunResult) -> str:
    shared = (
        "The error bars share the thermal reference's noise, so that neighbouring points move "
        "together; chi-square uses the full covariance."
    )
    charging = result.plan.protocol.model == "charging"
    closed = " and the closed map (crosses)" if len(result.comparisons) > 1 else ""
    what = f"Stored energy ({result.measured.energy_unit})" if charging else "Polarisation"
    exact = result.comparisons[0]
    return (
        f"{what} with 95 % bars, prediction and fit; below, residuals against the exact "
        f"simulation (dots){closed}. Chi-square {exact.chi2:.3g} for "
        f"{exact.points} points, p = {exact.p_value:.2g}. {shared}"
    )


def _spectra(result: RunResult) -> Figure:
    picture = Figure(figsize=(7.5, 6.0), layout="constrained")
    low, high = result.line.region_ppm
    middle, half = float(result.line.shift_ppm[0]), 0.35 * (high - low)
    figures.draw_spectra(
        result.series,
        picture.add_subplot(),
        phase_rad=float(np.angle(result.line.intensity[0])),
        region_ppm=(max(low, middle - half), min(high, middle + half)),
    )
    return picture


def _sequence(result: RunResult, row: int) -> Figure:
    picture = Figure(figsize=(9.0, 2.8), layout="constrained")
    draw_sequence(result.plan.compiled.sequences[row], picture.add_subplot())
    return picture


def _magnetisation(result: RunResult, row: int) -> Figure:
    picture = Figure(figsize=(7.5, 3.6), layout="constrained")
    figures.draw_polarisation(result.prediction.simulated[row], picture.add_subplot())
    return picture
