"""Measure what the inference of battery quantities promises: `make bench` rewrites inference.md."""

import platform
import sys
from pathlib import Path

import numpy as np

from nmrqb import compare
from nmrqb.analysis.compare import measured_energies
from nmrqb.analysis.reconcile import (
    AGREEMENT,
    CONTRADICTION,
    chi_square,
    prediction_covariance,
)
from nmrqb.battery.bloch_estimate import estimated_ergotropy
from nmrqb.battery.energy import incoherent_bias
from nmrqb.studies.changed_prediction import ChangedPrediction
from nmrqb.studies.plan import predict
from nmrqb.studies.plan_parameters import plan_parameters

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from planted import changed, measured_curves, plan_with_errors, registered_truth

RESULTS = Path(__file__).with_name("inference.md")
DRAWS, PAIRS, PLANTED = 1000, 300, 20
#: true Bloch vectors in standard errors of each component
VECTORS = [
    (0.0, 0.0, 0.0),
    (0.0, 0.0, 3.0),
    (0.5, 0.0, 2.0),
    (1.0, 0.0, 0.0),
    (2.0, 0.0, -2.0),
    (3.0, 0.0, 20.0),
    (12.0, 0.0, 5.0),
    (5.0, 0.0, -12.0),
]


def populations():
    """Return bias and limits of the ergotropy of a z read-out against r_z."""
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(10**6)
    lines = [
        "| r_z/s | W/s | bias/s measured | closed form | upper limit holds |",
        "|---|---|---|---|---|",
    ]
    for z in (3.0, 1.0, 0.5, 0.0, -0.5, -1.0, -2.0, -5.0):
        true = 2.0 * max(0.0, -z)
        found = 2.0 * np.maximum(0.0, -(z + noise))
        upper = 2.0 * np.maximum(0.0, -(z + noise) + 1.6448536269514722)
        bias, closed = found.mean() - true, float(incoherent_bias(z, 1.0))
        lines.append(
            f"| {z:g} | {true:g} | {bias:.3f} | {closed:.3f} "
            f"| {100 * (upper >= true).mean():.1f} % |"
        )
    return lines


def bloch_vectors():
    """Return bias and coverage of both ergotropies of a Bloch vector."""
    rng = np.random.default_rng(2)
    lines = [
        "| r/s | part | W/s | bias/s | plain bias/s | upper 95 % | lower 95 % | two-sided 95 % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for vector in VECTORS:
        r = np.array(vector)
        for part, take in (("total", r[2]), ("coherent", abs(r[2]))):
            true = float(np.linalg.norm(r)) - take
            values, plain, held = [], [], np.zeros(3)
            for _ in range(DRAWS):
                m = r + rng.standard_normal(3)
                e = estimated_ergotropy(m, 1.0, 1.0, part=part)
                values.append(e.value)
                plain.append(np.linalg.norm(m) - (m[2] if part == "total" else abs(m[2])))
                held += [
                    e.upper95 >= true,
                    e.lower95 <= true,
                    e.ci95[0] <= true <= e.ci95[1],
                ]
            shares = " | ".join(f"{100 * h / DRAWS:.1f} %" for h in held)
            lines.append(
                f"| {vector} | {part} | {true:.3f} | {np.mean(values) - true:.3f} | "
                f"{np.mean(plain) - true:.3f} | {shares} |"
            )
    return lines


def agreeing():
    """Return how often agreeing pairs are said to agree."""
    lines = ["| protocol | pairs | agree | tension | contradict |", "|---|---|---|---|---|"]
    for name in ("asymptotic_chloroform", "asymptotic_trimethyl_phosphate_left"):
        plan = plan_with_errors(name)
        rng = np.random.default_rng(3)
        p_values = []
        exact = predict(plan).exact
        simulated = ChangedPrediction(plan, plan_parameters(plan), exact.energy)
        own = prediction_covariance(simulated.registered, simulated.slopes())
        for seed in range(PAIRS):
            truth = registered_truth(plan, rng)
            for curve in measured_curves(plan, truth, [seed]):
                energies = measured_energies(curve)
                total = energies.covariance(exact.energy) + own
                p_values.append(chi_square(curve.energy - exact.energy, total).p_value)
        p = np.array(p_values)
        agree, contradict = (p >= AGREEMENT).mean(), (p < CONTRADICTION).mean()
        shares = [agree, 1.0 - agree - contradict, contradict]
        lines.append(f"| {name} | {PAIRS} | {' | '.join(f'{100 * v:.1f} %' for v in shares)} |")
    return lines


def planted():
    """Return how often a wrong number of the register is named and found."""
    lines = [
        "| protocol | wrong | registered | true | named first | an answer | within 2 s.e. |",
        "|---|---|---|---|---|---|---|",
    ]
    cases = [
        ("asymptotic_chloroform", "J", 209.0, 240.0),
        ("asymptotic_chloroform", "efficiency of the charger's hard inversion", 1.0, 0.85),
        ("asymptotic_chloroform", "T1 of the battery", 20.0, 26.0),
        ("asymptotic_trimethyl_phosphate_left", "T1 of the charger", 4.0, 5.2),
    ]
    for name, parameter, registered, true in cases:
        plan = plan_with_errors(name)
        truth = changed(plan, **{parameter: true})
        first, among, near = 0, 0, 0
        for curve in measured_curves(plan, truth, range(PLANTED)):
            found = compare(plan, curve)
            alone = [a for a in found.answers if a.names == (parameter,)]
            first += bool(found.answers) and found.answers[0].names == (parameter,)
            among += bool(alone)
            if alone:
                near += abs(alone[0].values[0] - true) < 2.0 * alone[0].stderrs[0]
        shares = " | ".join(f"{n} of {PLANTED}" for n in (first, among))
        lines.append(
            f"| {name} | {parameter} | {registered:g} | {true:g} | {shares} | {near} of {among} |"
        )
    return lines


def main():
    made = f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}"
    sections = {
        "Ergotropy of a z read-out, 1,000,000 draws": (
            "The estimate 2 max(0, -r_z) is never negative, and so too large near r_z = 0.",
            populations,
        ),
        f"Ergotropy of a Bloch vector, {DRAWS} draws": (
            'Total |r| - r_z and coherent part |r| - |r_z|; "plain" has the bias of |r|.',
            bloch_vectors,
        ),
        "Agreeing pairs": (
            "True J, T1, T2 are drawn from their registered errors. Agree: p >= 0.05.",
            agreeing,
        ),
        "Wrong numbers in the register": (
            "One number is wrong, lengths are as compiled with the registered one.",
            planted,
        ),
    }
    unit = "s is the standard error of one component of r."
    text = ["# Inference of battery quantities", "", f"Made by `make bench` on {made}. {unit}", ""]
    for title, (words, table) in sections.items():
        text += [f"## {title}", "", words, "", *table(), ""]
    RESULTS.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
