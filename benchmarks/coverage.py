"""Count how often 95 % intervals hold the truth: `make bench` rewrites benchmarks/coverage.md.

Promised, of 1000 synthetic series with signs that change: from a signal-to-noise ratio of 10 every
two-sided interval holds its truth in 93 to 97 %; below it, and where an interval is open on one
side, in at least 92 %.  One standard deviation of such a count is 0.7 %.
"""

import argparse
import platform
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from nmrqb.analysis.alternating import fit_alternating, signed_approach
from nmrqb.analysis.biexponential import (
    decay_of_two,
    fit_decay_of_two,
    fit_recovery_of_two,
    fit_two_exponentials,
    recovery_of_two,
    two_exponentials,
)
from nmrqb.analysis.buildup import build_up, fit_build_up
from nmrqb.analysis.coupling import echo_modulation, fit_coupling
from nmrqb.analysis.curves import (
    decay,
    decay_to_offset,
    fit_charging,
    fit_decay,
    fit_decay_to_offset,
    fit_recovery,
    recovery,
)
from nmrqb.analysis.damped_cosine import fit_damped_cosine
from nmrqb.analysis.nutation import (
    fit_gaussian_nutation,
    fit_nutation,
    fit_undamped_nutation,
    gaussian_nutation,
    nutation,
    undamped_nutation,
)
from nmrqb.analysis.stretched import (
    fit_gaussian_decay,
    fit_stretched_decay,
    fit_stretched_recovery,
    gaussian_decay,
    stretched_decay,
    stretched_recovery,
)
from nmrqb.battery.charging_time import damped_cosine, exponential_approach
from nmrqb.studies.plan import make_plan
from nmrqb.studies.protocol_fit import changed_plan, fit_protocol, polarisations

RESULTS = Path(__file__).with_name("coverage.md")
DELAYS = np.geomspace(0.05, 15.0, 14)
LONG_DELAYS = np.geomspace(0.05, 40.0, 24)
ECHOES = 4e-3 * np.arange(1, 25)
PULSES = 5e-6 * np.arange(1, 17)
TIMES = np.linspace(0.0, 15.0, 20)
CYCLES = np.arange(13.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of series: its curve, its truth and how it is fitted."""

    fit: object
    curve: object
    x: np.ndarray
    truth: dict
    signed: tuple
    derived: tuple = ()
    most: int = 1000

    def expected(self, sign):
        """Return the true values by the names of the fit, levels with the sign of the series."""
        truth = {n: v * sign if n in self.signed else v for n, v in self.truth.items()}
        return truth | {n: f(truth) for n, f in self.derived}


def exponential(t, tau, E_inf, E_0):
    """Return the approach in the order of the fit's parameters."""
    return exponential_approach(t, E_inf, E_0, tau)


def oscillation(t, tau, E_inf, omega, phi):
    """Return the damped cosine in the order of the fit's parameters."""
    return damped_cosine(t, E_inf, tau, omega, phi)


def echo(t, J, T2, M0):
    """Return the echo of a spin with one partner of T1 = 5 s."""
    return echo_modulation(t, J, T2, M0, 1, 5.0)


PLAN = make_plan("asymptotic_chloroform")


def rows_of_protocol(engine):
    """Return the polarisations of the protocol's rows as a function of its parameters."""
    return lambda _, **values: polarisations(changed_plan(PLAN, values), engine, values.get("b"))


def protocol_fit(engine, *free):
    """Return what fits parameters of the protocol, its reference known to 1 %."""
    return lambda _, y, c: fit_protocol(PLAN, y, c, 0.01, free=free, engine=engine).fit


CASES = {
    "inversion recovery": Case(
        fit=fit_recovery, curve=recovery, x=DELAYS,
        truth={"T1": 3.0, "M_inf": 1.0, "inversion": 0.9}, signed=("M_inf",),
    ),
    "saturation recovery": Case(
        fit=fit_recovery, curve=recovery, x=DELAYS,
        truth={"T1": 3.0, "M_inf": 1.0, "inversion": -0.05}, signed=("M_inf",),
    ),
    "decay": Case(
        fit=fit_decay, curve=decay, x=DELAYS, truth={"T2": 3.0, "M0": 1.0}, signed=("M0",)
    ),
    "recovery, stretched": Case(
        fit=fit_stretched_recovery, curve=stretched_recovery, x=DELAYS,
        truth={"T1": 2.0, "M_inf": 1.0, "inversion": 0.9, "beta": 0.7}, signed=("M_inf",),
    ),
    "recovery, two exponentials": Case(
        fit=fit_recovery_of_two, curve=recovery_of_two, x=LONG_DELAYS,
        truth={
            "T1_fast": 0.7, "T1_slow": 9.0, "M_inf": 1.0, "inversion": 0.9, "fast_share": 0.5,
        },
        signed=("M_inf",),
    ),
    "decay, stretched": Case(
        fit=fit_stretched_decay, curve=stretched_decay, x=DELAYS,
        truth={"T2": 3.0, "M0": 1.0, "beta": 0.7}, signed=("M0",),
    ),
    "decay, Gaussian": Case(
        fit=fit_gaussian_decay, curve=gaussian_decay, x=DELAYS, truth={"T2": 3.0, "M0": 1.0},
        signed=("M0",),
    ),
    "decay, two exponentials": Case(
        fit=fit_decay_of_two, curve=decay_of_two, x=LONG_DELAYS,
        truth={"T2_fast": 0.7, "T2_slow": 9.0, "M0": 1.0, "fast_share": 0.5}, signed=("M0",),
    ),
    "decay, offset": Case(
        fit=fit_decay_to_offset, curve=decay_to_offset, x=DELAYS,
        truth={"T2": 3.0, "M0": 1.0, "offset": 0.2}, signed=("M0", "offset"),
    ),
    "build-up, one exponential": Case(
        fit=fit_build_up, curve=build_up, x=DELAYS, truth={"T": 3.0, "M_inf": 1.0},
        signed=("M_inf",),
    ),
    "build-up, stretched": Case(
        fit=partial(fit_build_up, curve="stretched"), curve=build_up, x=DELAYS,
        truth={"T": 3.0, "M_inf": 1.0, "beta": 0.7}, signed=("M_inf",),
    ),
    "build-up, two exponentials": Case(
        fit=fit_two_exponentials, curve=two_exponentials, x=LONG_DELAYS,
        truth={"T_fast": 0.7, "T_slow": 9.0, "M_inf": 1.0, "fast_share": 0.5}, signed=("M_inf",),
    ),
    "nutation": Case(
        fit=fit_nutation, curve=nutation, x=PULSES,
        truth={"frequency": 25e3, "rate": 1e4, "M0": 1.0}, signed=("M0",),
        derived=(("decay", lambda v: 1.0 / v["rate"]),),
    ),
    "nutation, undamped": Case(
        fit=fit_undamped_nutation, curve=undamped_nutation, x=PULSES,
        truth={"frequency": 25e3, "M0": 1.0}, signed=("M0",),
    ),
    "nutation, Gaussian": Case(
        fit=fit_gaussian_nutation, curve=gaussian_nutation, x=PULSES,
        truth={"frequency": 25e3, "variance": 0.1**2, "M0": 1.0}, signed=("M0",),
        derived=(("b1_spread", lambda v: float(np.sqrt(v["variance"]))),),
    ),
    "coupling": Case(
        fit=partial(fit_coupling, partners=1, partner_t1_s=5.0), curve=echo, x=ECHOES,
        truth={"J": 25.0, "T2": 0.05, "M0": 1.0}, signed=("M0",),
    ),
    "charging, exponential": Case(
        fit=fit_charging, curve=exponential, x=TIMES,
        truth={"tau": 3.0, "E_inf": 0.8, "E_0": -0.2}, signed=("E_inf", "E_0"),
    ),
    "charging, damped cosine": Case(
        fit=fit_damped_cosine, curve=oscillation, x=TIMES,
        truth={"tau": 4.0, "E_inf": 0.6, "omega": 1.5, "phi": 0.3}, signed=("E_inf",),
    ),
    "charging, alternating": Case(
        fit=lambda n, y, c: fit_alternating(n, 5.0, y, c), curve=signed_approach, x=CYCLES,
        truth={"factor": -0.6, "E_inf": 0.6, "E_0": 0.0}, signed=("E_inf", "E_0"),
        derived=(("tau", lambda v: -5.0 / np.log(-v["factor"])),),
    ),
    "protocol by the closed map": Case(
        fit=protocol_fit("map", "b"), curve=rows_of_protocol("map"),
        x=np.arange(PLAN.protocol.rows), truth={"b": 0.35}, signed=(), most=200,
    ),
    "protocol by simulation": Case(
        fit=protocol_fit("simulated", "J", "inversion"), curve=rows_of_protocol("simulated"),
        x=np.arange(PLAN.protocol.rows), truth={"J": 205.0, "inversion": 0.9}, signed=(), most=200,
    ),
}  # fmt: skip


def count(job):
    """Return counts of (parameter, kind of interval, held) for one case and noise."""
    name, snr, seeds = job
    case = CASES[name]
    clean = case.curve(case.x, **case.truth)
    sigma = np.abs(clean).max() / snr
    counts, values = Counter(), {}
    for seed in seeds:
        rng = np.random.default_rng([seed, len(name)])
        sign = -1.0 if case.signed and seed % 2 else 1.0
        if not case.signed:  # the reference's error is common to all rows
            clean = case.curve(case.x, **case.truth) * (1.0 + 0.01 * rng.normal())
        y = sign * clean + sigma * rng.normal(size=len(clean))
        fit = case.fit(case.x, y, sigma**2 * np.eye(len(y)))
        expected = case.expected(sign)
        for parameter, found in fit.parameters.items():
            if parameter not in expected:
                continue
            low, high = found.ci95
            kind = ("none", "open", "two-sided")[(low is not None) + (high is not None)]
            truth = expected[parameter]
            held = (low is None or low <= truth) and (high is None or truth <= high)
            counts[parameter, kind, held] += 1
            if found.value is not None:
                values.setdefault(parameter, []).append(
                    (found.value - truth)
                    * (sign if parameter in case.signed else 1.0)
                    / abs(truth or 1.0)
                )
    return name, snr, counts, values


def share(counts, parameter, kinds):
    """Return (held, given) of some kinds of intervals."""
    held = sum(counts[parameter, kind, True] for kind in kinds)
    return held, held + sum(counts[parameter, kind, False] for kind in kinds)


def main():
    """Count every case and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--only", default="")
    parser.add_argument("--processes", type=int, default=2)
    wanted = parser.parse_args()
    ratios = (3, 10, 30)
    jobs = [
        (name, snr, range(min(wanted.series, CASES[name].most)))
        for name in CASES
        if wanted.only in name
        for snr in ratios
    ]
    how = (
        f"Made by `make bench`: {wanted.series} series each (200 of a protocol, with a reference "
        f"known to 1 %), signs changing, Python "
        f"{platform.python_version()}, numpy {np.__version__}. Signal-to-noise ratio: largest "
        "amplitude of the noise-free curve over the standard deviation of a row's amplitude. "
        "Open intervals have one end; none are given where nothing is established. Values are "
        "withheld where they would mislead; their intervals count all the same. Bias: median "
        "error of the values that are given, over the truth."
    )
    lines = [
        "# Coverage of 95 % intervals",
        "",
        how,
        "",
        "| series | SNR | parameter | two-sided | held | open | held | none | values | bias |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    with ProcessPoolExecutor(wanted.processes) as pool:
        for name, snr, counts, values in pool.map(count, jobs):
            for parameter in dict.fromkeys(p for p, _, _ in sorted(counts)):
                cells = []
                for kind in ("two-sided", "open"):
                    held, given = share(counts, parameter, (kind,))
                    cells += [str(given), f"{100 * held / given:.1f} %" if given else ""]
                _, none = share(counts, parameter, ("none",))
                given = values.get(parameter, [])
                bias = f"{100 * np.median(given):.2g} %" if given else ""
                lines.append(
                    f"| {name} | {snr} | {parameter} | {' | '.join(cells)} | {none or ''} | "
                    f"{len(given)} | {bias} |"
                )
                print(lines[-1], flush=True)
    if not wanted.only and wanted.series >= 1000:
        RESULTS.write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
