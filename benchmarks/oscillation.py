"""Measure likelihood ratios of a damped cosine: `make bench` rewrites benchmarks/oscillation.md.

With many points the ratio (rise of chi-square with one parameter held at its truth) has the mean 1
and exceeds 3.84 in 5 % of all series.  Those of omega and phi are larger where the oscillation is
weak, and larger still among the series whose oscillation is established, for noise helps to
establish it.  Their intervals are widened for both (`EXCESS` in `analysis/damped_cosine.py`).
"""

from pathlib import Path

import lmfit
import numpy as np
from scipy import stats

from nmrqb.analysis.curves import fit_charging
from nmrqb.analysis.damped_cosine import EXCESS
from nmrqb.analysis.detection import ESTABLISHED
from nmrqb.analysis.intervals import LINEAR
from nmrqb.analysis.least_squares import Errors, Problem
from nmrqb.battery.charging_time import damped_cosine

RESULTS = Path(__file__).with_name("oscillation.md")
SERIES = 1000
TIMES = np.linspace(0.0, 15.0, 20)
TRUTH = {"tau": 4.0, "E_inf": 0.6, "omega": 1.5, "phi": 0.3}
#: what differs from TRUTH and TIMES, and the signal-to-noise ratio of the largest energy
CASES = (
    ({}, 20, 7),
    ({}, 20, 10),
    ({}, 20, 15),
    ({}, 20, 30),
    ({}, 40, 10),
    ({"tau": 2.0}, 20, 15),
    ({"tau": 8.0}, 20, 10),
    ({"omega": 0.8}, 20, 10),
    ({"phi": 1.5}, 20, 10),
    ({"phi": -1.0}, 20, 10),
)


def curve(t, tau, E_inf, omega, phi):
    """Return the damped cosine by the names of the fit."""
    return damped_cosine(t, E_inf, tau, omega, phi)


def ratios(truth, t, snr):
    """Return the gains by the oscillation and the likelihood ratios of every parameter."""
    clean = curve(t, **truth)
    sigma = np.abs(clean).max() / snr
    span = float(np.ptp(t))
    parameters = lmfit.create_params(**truth)
    parameters["tau"].set(min=span / 1e4, max=span * 1e4)
    parameters["omega"].set(min=0.0, max=np.pi / float(np.diff(t).min()))
    rng = np.random.default_rng([snr, len(t)])
    gains, found = [], {name: [] for name in truth}
    for _ in range(SERIES):
        y = clean + sigma * rng.normal(size=len(t))
        problem = Problem(
            function=curve, x=t, y=y, errors=Errors.of(len(t), sigma, None), parameters=parameters
        )
        best = problem.refit(truth)
        plain = fit_charging(t, y, sigma**2 * np.eye(len(t)), intervals=LINEAR)
        gains.append(plain.chi2 - best.chi2)
        for name, true in truth.items():
            held = min(problem.refit(v, {name: true}).chi2 for v in (best.values, truth))
            found[name].append(held - best.chi2)
    return np.array(gains), {n: np.array(v) for n, v in found.items()}


def established(gains, points):
    """Return where noise does as well at one of the frequencies tried with a chance below 0.001."""
    single = np.minimum(stats.chi2.sf(gains, 2), 1.0 - 1e-16)
    return -np.expm1((points - 1) * np.log1p(-single)) < ESTABLISHED


def main():
    """Measure all cases and write the page."""
    lines = [
        "# Likelihood ratios of a damped cosine",
        "",
        (
            f"Made by `make bench`: {SERIES} series of each kind, tau = {TRUTH['tau']:g} s, "
            f"E_inf = {TRUTH['E_inf']:g}, omega = {TRUTH['omega']:g} rad/s, phi = "
            f"{TRUTH['phi']:g} unless said otherwise. Gain: median fall of chi-square against an "
            "exponential. Parameters: mean ratio (1 with many points, known to 0.045) and the "
            "share below 3.84 (95 %, to 0.7 %). Established: series whose oscillation noise does "
            "not explain (p < 0.001), and of these the shares of omega and phi below 3.84, and "
            f"below 3.84 (1 + {EXCESS:g}/gain), which their intervals use."
        ),
        "",
        "| series | points | SNR | gain | tau | E_inf | omega | phi | established | omega | phi |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for changes, points, snr in CASES:
        gains, found = ratios(TRUTH | changes, np.linspace(0.0, 15.0, points), snr)
        name = ", ".join(f"{n} = {v:g}" for n, v in changes.items()) or "as said"
        cells = [f"{np.mean(v):.2f}, {100 * np.mean(v < 3.84):.1f} %" for v in found.values()]
        seen = established(gains, points)
        level = 3.84 * (1.0 + EXCESS / np.maximum(gains, EXCESS))
        for n in ("omega", "phi"):
            plain, wide = (100 * np.mean(found[n][seen] < w) for w in (3.84, level[seen]))
            cells.append(f"{plain:.1f}, {wide:.1f} %")
        cells.insert(4, str(np.count_nonzero(seen)))
        lines.append(
            f"| {name} | {points} | {snr} | {np.median(gains):.0f} | {' | '.join(cells)} |"
        )
        print(lines[-1], flush=True)
    RESULTS.write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
