"""Do intervals of tau and E_inf hold, and does the search find the deepest minimum?

`make bench` rewrites benchmarks/long_time.md.  Rows of a protocol with noise and with a reference
that is off by its error are fitted; tau and E_inf of the truth are those of the protocol with the
true parameters.  Protocols of which benchmarks/coverage.md counts more series are not here.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from nmrqb.analysis.costly_fit import fit_costly
from nmrqb.analysis.response_surface import Searched
from nmrqb.spins.register import Measured
from nmrqb.studies.long_time import cycle_modes, repeated_cycle
from nmrqb.studies.plan import make_plan, plan_of
from nmrqb.studies.plan_parameters import changed_plan
from nmrqb.studies.protocol_fit import fit_protocol, polarisations

RESULTS = Path(__file__).with_name("long_time.md")
REFERENCE = 0.01
#: protocol, engine, true parameters, series
CASES = (
    ("asymptotic_chloroform", "map", {"b": 0.95}, 300),
    ("asymptotic_chloroform", "map", {"b": 0.35, "T1_charger": 8.0}, 300),
    ("asymptotic_ttss", "map", {"b": 0.3}, 300),
)
RATIOS = (10, 100)


def truth_of(plan, engine, values):
    """Return tau by both definitions and E_inf of the true protocol."""
    changed = changed_plan(plan, values)
    modes, c = cycle_modes(changed, engine, values.get("b")), repeated_cycle(changed)
    return {
        "tau": c.cycle_s / -np.log(abs(modes.slowest)),
        "tau_threshold": modes.threshold_time(c.cycle_s, c.first_s),
        "E_inf": -plan.register.battery.nucleus.sign * modes.limit,
    }


def coverage():
    """Return the rows of the table of intervals."""
    heads = (
        "protocol", "engine", "free, and its true value", "SNR", "number", "two-sided", "held",
        "open", "values", "spread/s.e.",
    )  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name, engine, values, series in CASES:
        plan = make_plan(name)
        free = ", ".join(f"{n} = {v:g}" for n, v in values.items())
        expected = truth_of(plan, engine, values)
        clean = polarisations(changed_plan(plan, values), engine, values.get("b"))
        for ratio in RATIOS:
            sigma = np.abs(clean).max() / ratio
            rng = np.random.default_rng([ratio, len(name), len(values)])
            found = []
            for _ in range(series):
                y = clean * (1.0 + REFERENCE * rng.normal()) + sigma * rng.normal(size=len(clean))
                found.append(
                    fit_protocol(
                        plan, y, sigma**2 * np.eye(len(y)), REFERENCE,
                        free=tuple(values), engine=engine,
                    ).fit.parameters
                )  # fmt: skip
            for number, true in expected.items():
                p = [f[number] for f in found]
                two = [q.ci95 for q in p if None not in q.ci95]
                held = sum(low <= true <= high for low, high in two)
                given = [q for q in p if q.value is not None and q.stderr]
                spread = ""
                if len(given) > series // 2:
                    error = float(np.median([q.stderr for q in given]))
                    spread = f"{np.std([q.value for q in given]) / error:.2f}"
                lines.append(
                    f"| {name} | {engine} | {free} | {ratio} | {number} | "
                    f"{len(two)} | {100 * held / max(1, len(two)):.1f} % | "
                    f"{series - len(two)} | {len(given)} | "
                    f"{spread} |"
                )
                print(lines[-1], flush=True)
    return lines


def searches():
    """Return how often the nearest and the deepest minimum are the truth."""
    lines = [
        "| protocol | registered J | search | truth found | curves by the engine | CPU seconds |",
        "|---|---|---|---|---|---|",
    ]
    base = make_plan("single_shot_chloroform")
    late = tuple(float(f"{t:.6f}") for t in np.linspace(2.3, 3.1, 8) / 209.0)
    plans = {
        "single_shot_chloroform": base,
        "the same, durations of 2.3/J to 3.1/J": plan_of(
            replace(base.protocol, sweep=replace(base.protocol.sweep, values=late)),
            base.register, base.spectrometer, "late",
        ),
        "driven_flips_thermal_chloroform": make_plan("driven_flips_thermal_chloroform"),
    }  # fmt: skip
    for name, plan in plans.items():
        rng = np.random.default_rng(5)
        true = plan.register.coupling_hz.value
        clean = polarisations(plan, "simulated")
        sigma = 0.01
        matrix = sigma**2 * np.eye(len(clean))
        counts = {"nearest": [0, 0, 0.0], "deepest": [0, 0, 0.0]}
        trials = 40
        for _ in range(trials):
            y = clean + sigma * rng.normal(size=len(clean))
            wrong = true * 2.5 ** rng.uniform(-1.0, 1.0)
            coupling = Measured(value=wrong, nominal=True)
            other = replace(plan, register=replace(plan.register, coupling_hz=coupling))
            for how, count in counts.items():
                start = time.process_time()
                if how == "deepest":
                    fit = fit_protocol(other, y, matrix, free=("J",))
                    found, curves = fit.fit.estimates["J"], fit.simulations
                else:
                    near = fit_costly(
                        lambda v, other=other: polarisations(changed_plan(other, v), "simulated"),
                        np.arange(len(y)), y,
                        [Searched(name="J", start=wrong, low=0.0, high=np.inf)], covariance=matrix,
                    )  # fmt: skip
                    found, curves = near.fit.estimates["J"], near.curves
                count[0] += abs(found - true) < 0.05 * true
                count[1] += curves
                count[2] += time.process_time() - start
        for how, (hits, curves, seconds) in counts.items():
            lines.append(
                f"| {name} | {true:g} Hz, off by up to 2.5 | {how} | {hits} of {trials} | "
                f"{curves / trials:.0f} | {seconds / trials:.2f} |"
            )
            print(lines[-1], flush=True)
    return lines


def main():
    """Measure and write the page."""
    how = (
        "Made by `make bench`. Signal-to-noise ratio: largest polarisation of the rows over the "
        f"noise of one; the reference is known to {100 * REFERENCE:g} %. 95 % intervals; "
        "`spread/s.e.`: standard deviation of the fitted values over the median standard error, "
        "which is propagated from the covariance of the parameters. Other protocols: "
        "[coverage.md](coverage.md)."
    )
    what = (
        "The search: the nearest minimum from the registered J, and the deepest one of a scan. "
        "CPU seconds of the latter include what else a protocol fit does."
    )
    title = "# Charging time and long-time energy of fitted protocols"
    text = [title, "", how, "", *coverage(), "", what, "", *searches(), ""]
    RESULTS.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
