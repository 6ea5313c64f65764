"""Count how often 95 % intervals hold the truth: `make bench` rewrites benchmarks/coverage.md.

Every series is made of FIDs: one line with a signed amplitude in each row, white noise, and one
more row of 64 scans (the thermal reference of a charging, an equilibrium spectrum else) that shows
the shape of the line and the sign.  They go through ``fit_series`` and then through the fit of the
curve, a charging through its calibration on the reference.

Promised, of 1000 series with signs that change: from a signal-to-noise ratio of 10 every two-sided
interval holds its truth in 93 to 97 %; below it, and where an interval is open on one side, in at
least 92 %.  One standard deviation of such a count is 0.7 %.
"""

import argparse
import json
import platform
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fid_series import Planted, series_of
from long_time import truth_of

from nmrqb import fit_series
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
from nmrqb.analysis.calibration import polarisation_from_reference
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
from nmrqb.studies.plan_parameters import changed_plan
from nmrqb.studies.protocol_fit import fit_protocol, polarisations

RESULTS = Path(__file__).with_name("coverage.md")
DELAYS = np.geomspace(0.05, 15.0, 14)
LONG_DELAYS = np.geomspace(0.05, 40.0, 24)
ECHOES = 4e-3 * np.arange(1, 25)
PULSES = 5e-6 * np.arange(1, 17)
TIMES = np.linspace(0.0, 15.0, 20)
CYCLES = np.arange(13.0)
#: scans of the row that shows the line, and first seed of the series
SCANS, SEED = 64, 20261125
POINTS, DWELL, HALF_REGION = 1024, 1e-3, 0.4
CHUNK = 50
#: least SNR of a simulated protocol, of which a fit takes one to two seconds
LEAST = 10
HEAD = (
    "series", "SNR", "parameter", "given", "held", "two-sided", "held", "open", "held", "none",
    "values", "bias",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One kind of series: its curve, its truth and how it is fitted.

    `fit` takes x, amplitudes, covariance and, of energies on the scale of the reference
    (`calibrated`), the relative error of the reference.
    """

    fit: object
    curve: object
    x: np.ndarray
    truth: dict
    signed: tuple = ()
    derived: tuple = ()
    calibrated: bool = False
    costly: bool = False

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
    return lambda _, y, c, scale: fit_protocol(PLAN, y, c, scale, free=free, engine=engine).fit


def protocol_case(engine, truth):
    """Return the case of a protocol with these parameters free, its tau and E_inf counted too."""
    return Case(
        fit=protocol_fit(engine, *truth), curve=rows_of_protocol(engine), truth=truth,
        x=np.arange(PLAN.protocol.rows), calibrated=True, costly=engine == "simulated",
        derived=tuple(
            (n, lambda values, n=n: late(engine, tuple(values.items()))[n])
            for n in ("tau", "tau_threshold", "E_inf")
        ),
    )  # fmt: skip


@cache
def late(engine, values):
    """Return tau and E_inf of the protocol with these (name, value) pairs."""
    return truth_of(PLAN, engine, dict(values))


@cache
def clean(name):
    """Return the curve of a case at its points."""
    case = CASES[name]
    return case.curve(case.x, **case.truth)


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
        calibrated=True,
    ),
    "charging, damped cosine": Case(
        fit=fit_damped_cosine, curve=oscillation, x=TIMES,
        truth={"tau": 4.0, "E_inf": 0.6, "omega": 1.5, "phi": 0.3}, signed=("E_inf",),
        calibrated=True,
    ),
    "charging, alternating": Case(
        fit=lambda n, y, c, scale: fit_alternating(n, 5.0, y, c, scale), curve=signed_approach,
        x=CYCLES, calibrated=True,
        truth={"factor": -0.6, "E_inf": 0.6, "E_0": 0.0}, signed=("E_inf", "E_0"),
        derived=(("tau", lambda v: -5.0 / np.log(-v["factor"])),),
    ),
    "protocol by the closed map": protocol_case("map", {"b": 0.35}),
    "protocol by simulation": protocol_case("simulated", {"J": 150.0, "inversion": 0.8}),
    "protocol at its best transfer": protocol_case("simulated", {"J": 205.0, "inversion": 0.9}),
    "protocol of drained chargers": protocol_case("simulated", {"J": 180.0, "T1_charger": 8.0}),
}  # fmt: skip


def amplitudes_of(levels, snr, rng):
    """Return the fitted line of FIDs with these levels, and the amplitude of a level of 1.

    The first row has the level 1 in SCANS scans.  The strongest other row has the signal-to-noise
    ratio `snr` after a matched filter of the whole FID.
    """
    line = Planted(nu=rng.uniform(-300.0, 300.0), width=rng.uniform(3.0, 6.0))
    t = DWELL * np.arange(POINTS)
    unit = snr / np.abs(levels).max() / np.linalg.norm(line.fid(t))
    made = series_of(
        unit * np.append(1.0, levels), [line], points=POINTS, dwell=DWELL, sigma=0.0,
        phase=rng.uniform(-np.pi, np.pi),
    )  # fmt: skip
    scans = np.append(SCANS, np.ones(len(levels), int))
    noise = rng.normal(size=(2, *made.fids.shape)) / np.sqrt(scans)[:, None]
    middle = line.nu / 100.0
    region = [(middle - HALF_REGION, middle + HALF_REGION)]

    def rows(share):
        # FIDs add up over the scans of a row
        fids = (made.fids + share * (noise[0] + 1j * noise[1])) * scans[:, None]
        return fit_series(replace(made, fids=fids, scans=scans), region).regions[0]

    # amplitudes are in units of the norm of the shape within its region: almost without noise
    # they say what a level of 1 is
    return rows(1.0), float(rows(1e-6).amplitudes[0])


def fitted(case, levels, snr, rng):
    """Return the fit of the curve to FIDs with these levels."""
    rows, unit = amplitudes_of(levels, snr, rng)
    if case.calibrated:
        energies = polarisation_from_reference(rows, 0, 1.0)
        return case.fit(case.x, energies.r_z, energies.own_covariance, energies.scale_error)
    return case.fit(case.x, rows.amplitudes[1:] / unit, rows.covariance[1:, 1:] / unit**2)


def count(job):
    """Return counts of (parameter, kind of interval, held) for one case, noise and some seeds."""
    name, snr, seeds = job
    case = CASES[name]
    counts, values = Counter(), {}
    for seed in seeds:
        rng = np.random.default_rng([SEED + seed, list(CASES).index(name)])
        sign = -1.0 if case.signed and seed % 2 else 1.0
        fit = fitted(case, sign * clean(name), snr, rng)
        expected = case.expected(sign)
        for parameter, found in fit.parameters.items():
            if parameter not in expected:
                continue
            low, high = found.ci95
            kind = ("none", "open", "two-sided")[(low is not None) + (high is not None)]
            truth = expected[parameter]
            held = bool((low is None or low <= truth) and (high is None or truth <= high))
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


def table(name, snr, counts, values):
    """Return the lines of one case and noise, one for each parameter."""
    lines = []
    for parameter in dict.fromkeys(p for p, _, _ in sorted(counts)):
        cells = []
        for kinds in (("two-sided", "open"), ("two-sided",), ("open",)):
            held, given = share(counts, parameter, kinds)
            cells += [str(given), f"{100 * held / given:.1f} %" if given else ""]
        _, none = share(counts, parameter, ("none",))
        given = values.get(parameter, [])
        bias = f"{100 * np.median(given):.2g} %" if given else ""
        cells += [str(none or ""), str(len(given)), bias]
        lines.append(f"| {name} | {snr} | {parameter} | {' | '.join(cells)} |")
    return lines


def broken(counts, snr):
    """Return what is not as promised, in words, and what only a selection of intervals misses.

    Where fewer than half of the series give an interval two ends, those are the ones whose noise
    has carried the estimate away: all intervals together are counted.
    """
    promised, selected = [], []
    for parameter in dict.fromkeys(p for p, _, _ in sorted(counts)):
        two, both = (share(counts, parameter, k) for k in (("two-sided",), ("two-sided", "open")))
        opened = share(counts, parameter, ("open",))
        every = both[1] + share(counts, parameter, ("none",))[1]
        usual = 2 * two[1] >= every
        low, high = (0.93, 0.97) if snr >= 10 else (0.92, 1.0)
        for kind, (held, given), least, most, into in (
            ("two-sided", two, low, high, promised if usual else selected),
            ("open", opened, 0.92, 1.0, promised),
            ("all", both, 0.92, 1.0, promised),
        ):
            if given and not least <= held / given <= most:
                into.append(f"{parameter}, {kind}: {held} of {given}, {100 * held / given:.1f} %")
    return promised, selected


def counted(wanted, cases):
    """Yield (case, counts, errors of values) for all cases; what `--keep` holds is not repeated."""
    kept = json.loads(wanted.keep.read_text()) if wanted.keep and wanted.keep.exists() else {}
    jobs, parts = [], {}
    for name, snr in cases:
        key = f"{name}, SNR {snr}, {wanted.series} from seed {SEED}"
        parts[name, snr] = key
        if key not in kept:
            starts = range(0, wanted.series, CHUNK)
            jobs += [(name, snr, range(k, min(k + CHUNK, wanted.series))) for k in starts]
    began = time.monotonic()
    found = {case: (Counter(), {}) for case in cases}
    with ProcessPoolExecutor(wanted.processes) as pool:
        for done, (name, snr, counts, values) in enumerate(pool.map(count, jobs), 1):
            total, listed = found[name, snr]
            total.update(counts)
            for parameter, errors in values.items():
                listed.setdefault(parameter, []).extend(errors)
            if done == len(jobs) or jobs[done][:2] != (name, snr):
                print(*table(name, snr, total, listed), sep="\n")
                print(f"{done} of {len(jobs)} parts, {time.monotonic() - began:.0f} s", flush=True)
                kept[parts[name, snr]] = [[[*k, n] for k, n in total.items()], listed]
                if wanted.keep:
                    wanted.keep.write_text(json.dumps(kept))
    for case, key in parts.items():
        if key in kept:
            counts, values = kept[key]
            yield case, Counter({tuple(k): n for *k, n in counts}), values


def main():
    """Count every case and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--only", nargs="*", default=[""], help="parts of names of cases")
    parser.add_argument("--snr", type=int, nargs="*", default=[3, 10, 30])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="file of finished cases, to go on from")
    wanted = parser.parse_args()
    cases = [
        (name, snr)
        for name, case in CASES.items()
        if any(part in name for part in wanted.only)
        for snr in wanted.snr
        if snr >= LEAST or not case.costly
    ]
    found = list(counted(wanted, cases))
    lines = [
        "# Coverage of 95 % intervals",
        "",
        (
            f"Made by `make bench` from FIDs: {wanted.series} series each (of simulated protocols "
            f"from SNR {LEAST} on), signs changing, {SCANS} scans of a reference row and one of "
            f"the others, Python {platform.python_version()}, numpy {np.__version__}. "
            "Signal-to-noise ratio: of the strongest other row after a matched filter of the whole "
            "FID. Open intervals have one end (at three standard errors); none are given where "
            "nothing is established. Values are withheld where they would mislead; their intervals "
            "count all the same. Bias: median error of the values that are given, over the truth. "
            "A count of 1000 has a standard deviation of 0.7 %."
        ),
        "",
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
    ]
    for (name, snr), counts, values in found:
        lines += table(name, snr, counts, values)
    promised, selected = [], []
    for (name, snr), counts, _ in found:
        for into, words in zip((promised, selected), broken(counts, snr), strict=True):
            into += [f"- {name}, SNR {snr}: {text}" for text in words]
    lines += [
        "", "## Not as promised", "",
        (
            "Two-sided intervals at SNR 10 and 30 outside 93 to 97 %; anything else below 92 %. "
            "Where nature ends one side (an efficiency of 1), and through it also what trades "
            "against that efficiency or follows from it, intervals err mostly on the other side "
            "and hold more than 95 %, as they do where J sits at the maximum of its transfer."
        ),
        "",
        *(promised or ["- nothing"]),
        "", "## Selections", "",
        (
            "Where fewer than half of the series give two ends, it is noise that closes the "
            "interval, and the same noise has often carried it past the truth. All intervals of "
            "such a parameter hold as the first columns say; those with two ends alone:"
        ),
        "", *(selected or ["- nothing"]),
    ]  # fmt: skip
    if wanted.only == [""] and wanted.series >= 1000:
        RESULTS.write_text("\n".join([*lines, ""]), encoding="utf-8")
    else:
        print(*lines[lines.index("") :], sep="\n")


if __name__ == "__main__":
    main()
