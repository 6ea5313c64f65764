"""Measure fits of lines: `make bench` rewrites benchmarks/lines.md.

Speed beside lmfit with numerical derivatives, FID by FID, in the same run; errors beside the
Cramer-Rao bound.  Timings are never tests.  Promised: 64 FIDs of 16384 complex points with three
lines of one shared shape in less than 2 s on one core, at least 20 times faster than lmfit FID by
FID; amplitude errors within 10 % of the bound.
"""

import os
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path

import lmfit
import numpy as np
import scipy

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fid_series import Planted, series_of, star

from nmrqb import fit_series
from nmrqb.analysis.line_parameters import line_model, spectrum_of_lines
from nmrqb.analysis.lines import spectrum_bins

PAGE = Path(__file__).with_name("lines.md")
ROWS, POINTS, DWELL = 64, 16384, 1e-4
#: three lines of different widths within 40 Hz
LINES = (
    Planted(nu=-1000.0, width=2.0),
    Planted(nu=-985.0, width=2.5, intensity=0.7),
    Planted(nu=-960.0, width=3.0, intensity=0.5),
)
REGION = (-10.8, -8.8)
SERIES = 500
WHOLE = "whole spectrum"


def timed(action, repeats=1):
    """Return the shortest processor time and wall-clock time of some calls, and the value."""
    found = []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        value = action()
        found.append((time.process_time() - processor, time.perf_counter() - wall))
    return *np.min(found, axis=0), value


def from_the_result(fit):
    """Start where the shared fit ended: the kindest start there is."""
    return {name: p.value for name, p in fit.parameters.items()}


def from_the_peaks(bins, row):
    """Start at the tallest points near the lines, two points wide, of one row's phase."""
    found = {}
    for k, line in enumerate(LINES):
        n = "" if k == 0 else str(k + 1)
        near = np.flatnonzero(np.abs(bins.frequency_hz - line.nu) < 4.0)
        best = near[np.argmax(np.abs(row[near]))]
        found |= {f"shift{n}": bins.frequency_hz[best] / 100.0, f"width{n}": 2.0 * bins_hz(bins)}
        found[f"phase{n}"] = float(np.degrees(np.angle(row[best])))
        if k > 0:
            found[f"intensity{n}"] = line.intensity
    return found


def bins_hz(bins):
    """Return the distance of two bins."""
    return 1.0 / (bins.points * bins.dwell_s)


def one_by_one(series, bins, fit, start_of):
    """Fit every row on its own with lmfit's numerical derivatives."""
    model = line_model(series, fit.shapes)
    amplitudes, calls = [], 0
    for row in bins.spectra:
        start = model.make_params(amplitude=1.0)
        for name, value in start_of(row).items():
            p = fit.parameters[name]
            start[name].set(value=value, min=p.min, max=p.max)
        unit = model.eval(start, bins=bins)
        start["amplitude"].set(value=float(np.vdot(unit, row).real / np.vdot(unit, unit).real))
        result = model.fit(row, start, bins=bins)
        calls += result.nfev
        amplitudes.append(result.params["amplitude"].value)
    return np.array(amplitudes), calls


def speed(lines):
    """Time the shared fit and the fits one by one."""
    truth = np.linspace(0.3, 1.0, ROWS) * 40.0 * (-1.0) ** np.arange(ROWS)
    series = series_of(truth, LINES, points=POINTS, dwell=DWELL)
    fit_series(series, [REGION])  # first calls load libraries
    lines += [
        "",
        "## 64 FIDs of 16384 complex points, three lines",
        "",
        (
            "Every step counts: transform, noise, search for the lines, fit, errors, tests of the "
            "residuals. Shortest of three; lmfit once."
        ),
        "",
        "| fit | lines found | processor s | wall s |",
        "|---|---|---|---|",
    ]
    shared = {}
    for name, regions, options in (
        ("shared Lorentzian, region of 200 Hz", [REGION], {}),
        ("shared Lorentzian, regions detected", None, {}),
        (f"shared Lorentzian, {WHOLE}", [(-50.0, 50.0)], {}),
        ("shared Voigt, region of 200 Hz", [REGION], {"shape": "voigt"}),
    ):
        used, wall, found = timed(lambda r=regions, o=options: fit_series(series, r, **o), 3)
        count = sum(len(f.shapes) for f in found.regions)
        lines.append(f"| {name} | {count} | {used:.2f} | {wall:.2f} |")
        print(lines[-1], flush=True)
        shared[name] = used
    (fit,) = fit_series(series, [REGION], baseline="none").regions
    low, high = series.offset_hz(np.array(REGION))
    every = spectrum_bins(series)
    part = every.inside(low, high)
    few = replace(every, spectra=every.spectra[:: ROWS // 4])
    ratios = []
    region, whole = (shared[f"shared Lorentzian, {w}"] for w in ("region of 200 Hz", WHOLE))
    for name, bins, start_of, times, beside in (
        ("bins of the region, from the result", part, lambda _: from_the_result(fit), 1, region),
        ("bins of the region, from the peaks", part, lambda row: from_the_peaks(part, row), 1,
         region),
        ("all bins, from the peaks (4 FIDs, times 16)", few,
         lambda row: from_the_peaks(few, row), ROWS // 4, whole),
    ):  # fmt: skip
        used, wall, (amplitudes, calls) = timed(
            lambda b=bins, s=start_of: one_by_one(series, b, fit, s)
        )
        lines.append(f"| lmfit, {name} | 3 | {times * used:.1f} | {times * wall:.1f} |")
        print(lines[-1], flush=True)
        ratios.append((times * used / beside, calls * times, amplitudes))
    unit, _ = spectrum_of_lines(part, series, fit.shapes, fit.parameters.valuesdict())
    rms = [
        np.sqrt(np.mean((a - truth) ** 2))
        for a in (fit.amplitudes / np.linalg.norm(unit), ratios[0][2])
    ]
    text = (
        "On the same bins the shared fit, its search for the lines included, is "
        f"**{ratios[0][0]:.0f}, {ratios[1][0]:.0f} and {ratios[2][0]:.0f} times faster** than "
        "lmfit FID by FID with numerical derivatives, in this order (processor times of one run, "
        f"one thread; {ratios[0][1]}, {ratios[1][1]} and {ratios[2][1]} evaluations of the shape). "
        "lmfit fits the same exact line shapes; only the first of its starts, the result itself, "
        "would not be known. Root mean square errors of the amplitudes at time 0 (the strongest is "
        f"40, the noise 1): shared {rms[0]:.3f}, FID by FID {rms[1]:.3f}."
    )
    lines += ["", text]


def bound(lines):
    """Scatter of amplitudes over the Cramer-Rao bound; bias of empty rows; coverage."""
    width, points = 2.0, 2048
    truth = np.array([1.0, 0.7, 0.0, -0.4, -0.7, -1.0])
    rate, dwell = np.pi * width, 1e-3
    lines += [
        "",
        "## Amplitudes beside the Cramer-Rao bound",
        "",
        " ".join(
            (
                f"{SERIES} series of {len(truth)} rows, amplitudes",
                ", ".join(f"{a:g}" for a in truth),
                "of the largest; one Lorentzian line whose shift, width and phase are fitted. The",
                "bound of an amplitude with a shape that the strong rows know is",
                "sigma sqrt(2 R dt) (whole FID, no baseline); SNR is that of the strongest row,",
                "A/(sigma sqrt(2 R dt)). Scatter is known to",
                f"{100 / np.sqrt(2 * SERIES * len(truth)):.1f} % of itself.",
            )
        ),
        "",
        (
            "| SNR | bins, baseline | scatter/bound | stated error/bound | empty row, mean/error | "
            "95 % intervals of rows that cover |"
        ),
        "|---|---|---|---|---|---|",
    ]
    for snr in (10.0, 30.0, 300.0):
        size = snr * np.sqrt(2 * rate * dwell)
        # a shape as long as the FID: the closed form without truncation is sqrt(1/(2 R dt))
        norm = np.linalg.norm(np.exp(-rate * dwell * np.arange(points)))
        for name, regions, baseline in (
            ("all, none", [(-5.0, 5.0)], "none"),
            ("60 Hz, straight line", [(0.05, 0.65)], "linear"),
        ):
            found, stated = [], []
            for seed in range(SERIES):
                series = series_of(
                    size * truth, [Planted(nu=35.0, width=width)], points=points, seed=seed
                )
                fit = fit_series(series, regions, baseline=baseline).regions[0]
                found.append(fit.amplitudes)
                stated.append(fit.stderr)
            found, stated = np.array(found), np.array(stated)
            # what the amplitudes are multiples of: the norm of what is left of the line
            scale = np.mean(found @ truth) / (truth @ truth) / size
            scatter = np.sqrt(np.mean(np.var(found, axis=0, ddof=1))) / scale * norm
            error = np.sqrt(np.mean(stated**2)) / scale * norm
            empty = found[:, 2].mean() / (found[:, 2].std(ddof=1) / np.sqrt(SERIES))
            inside = np.abs(found - scale * size * truth) < 1.96 * stated
            lines.append(
                f"| {snr:g} | {name} | {scatter:.3f} | {error:.3f} | {empty:.1f} | "
                f"{100 * inside.mean():.1f} % |"
            )
            print(lines[-1], flush=True)


def coverage(lines):
    """95 % intervals of the shape: how many hold the truth."""
    lines += [
        "",
        "## Intervals of shift, width and J",
        "",
        " ".join(
            (
                f"{SERIES} series of four rows (1, 0.5, -0.5, -1); 95 % intervals that hold the",
                f"truth, known to {100 * np.sqrt(0.05 * 0.95 / SERIES):.1f} %.",
            )
        ),
        "",
        "| shape | SNR of the strongest row | shift | widths | J | withheld |",
        "|---|---|---|---|---|---|",
    ]
    truth = np.array([1.0, 0.5, -0.5, -1.0])
    quartet = {"nu": 10.0, "j": 20.0, "pattern": star(3, 0.5)}
    for name, line, options, snr in (
        ("Lorentzian quartet", {"width": 2.0}, {"multiplet": "3:1/2"}, 10.0),
        ("Lorentzian quartet", {"width": 2.0}, {"multiplet": "3:1/2"}, 50.0),
        ("Voigt quartet", {"width": 1.5, "gaussian": 2.0},
         {"multiplet": "3:1/2", "shape": "voigt"}, 100.0),
        ("unresolved triplet, J = width", {"width": 2.0, "j": 2.0, "pattern": star(2, 0.5)},
         {"multiplet": "2:1/2"}, 50.0),
    ):  # fmt: skip
        planted = Planted(**(quartet | line))
        t = 1e-3 * np.arange(1024)
        size = snr / np.linalg.norm(planted.fid(t))
        values = {"shift": planted.nu / 100.0, "J": planted.j, "width": planted.width,
                  "gaussian_width": planted.gaussian}  # fmt: skip
        held = {n: [] for n in values}
        withheld = 0
        for seed in range(SERIES):
            series = series_of(size * truth, [planted], seed=seed)
            (fit,) = fit_series(series, [(-1.0, 1.2)], **options).regions
            for n, p in fit.numbers.items():
                if n in values and p.value is not None:
                    held[n].append(p.ci95[0] < values[n] < p.ci95[1])
                withheld += p.value is None
        width = " / ".join(
            f"{100 * np.mean(held[n]):.1f} %" for n in ("width", "gaussian_width") if held[n]
        )
        lines.append(
            f"| {name} | {snr:g} | {100 * np.mean(held['shift']):.1f} % | {width} | "
            f"{100 * np.mean(held['J']):.1f} % | {withheld} |"
        )
        print(lines[-1], flush=True)


def main():
    """Measure and write the page."""
    lines = [
        "# Fits of lines",
        "",
        " ".join(
            (
                f"Made by `make bench` on {platform.machine()}, Python",
                f"{platform.python_version()},",
                f"numpy {np.__version__}, scipy {scipy.__version__}, lmfit {lmfit.__version__};",
                f"one thread, load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()}",
                "cores. Times on a busy machine scatter; ratios of processor times of one run do",
                "less so.",
            )
        ),
    ]
    speed(lines)
    bound(lines)
    coverage(lines)
    PAGE.write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
