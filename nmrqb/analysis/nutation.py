"""Nutation: signed amplitudes against pulse length, damped by the spread of the B1 field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.curve_fit import CurveFit, FittedParameter, fit_curve, withhold, withhold_value
from nmrqb.analysis.curves import in_order
from nmrqb.analysis.detection import ESTABLISHED, chance_of_noise
from nmrqb.analysis.intervals import LINEAR, PROFILE, Intervals, Limits

Array = NDArray[np.float64]


def nutation(t: Array, frequency: float, rate: float, M0: float) -> Array:  # noqa: N803
    """Return M(t) = M0 sin(2 pi frequency t) exp(-rate t)."""
    return M0 * np.sin(2.0 * np.pi * frequency * t) * np.exp(-rate * t)


def fit_nutation(
    pulses_s: Array, amplitudes: Array, covariance: Array, *, intervals: Intervals = PROFILE
) -> CurveFit:
    """Fit the nutation frequency (Hz), its decay time (s) and the amplitude M0.

    Frequencies up to half the inverse of the smallest spacing of the pulse lengths are tried:
    those beyond are aliases.  M0 is positive where pulses shorter than 180 degrees give positive
    amplitudes; the caller turns the sign of all amplitudes where it is not, for no row knows it.

    Everything is withheld where noise would do as well at one of the frequencies tried, or where
    another frequency fits alike.  The frequency is withheld where the longest pulse is shorter
    than 180 degrees (no zero crossing: frequency, decay and M0 then trade), or where it is known
    to no better than a factor of two; its interval then stays.  The decay time alone is withheld
    where no damping is seen; the lower limit of its interval then stays.

    Parameters
    ----------
    pulses_s, amplitudes : ndarray, shape (points,)
    covariance : ndarray, shape (points, points)
    intervals : Intervals

    Raises
    ------
    ValueError
        Where there are fewer than 4 points, the pulse lengths do not differ or one is negative.
    """
    t, y, matrix = in_order(pulses_s, amplitudes, covariance)
    steps = np.diff(np.unique(t))
    if not len(steps):
        raise ValueError("the pulse lengths of the points must differ")
    if t[0] < 0.0:
        raise ValueError(f"pulse lengths must be at least 0 s, but start at {t[0]:g} s")
    highest = 0.5 / float(steps.min())
    starts = _starts(t, y, matrix, highest)
    fits = [_fit(t, y, matrix, start, highest, LINEAR) for start in starts]
    best = min(fits, key=lambda f: f.chi2)
    best = _fit(t, y, matrix, best.estimates, highest, intervals)
    named = _with_decay_time(best)
    turns = 2.0 * highest * float(np.ptp(t))
    chance = chance_of_noise(float(np.sum(y**2 / np.diag(matrix))), best, 2, turns)
    if chance > ESTABLISHED:
        why = f"not identifiable: no nutation is established (noise does as well, p = {chance:.2g})"
        return withhold(named, why)
    rival = _rival(best, fits, float(np.ptp(t)))
    if rival is not None:
        return withhold(named, rival)
    reason = _why_withheld(best, float(t[-1]))
    return withhold_value(named, reason) if reason else named


def _starts(t: Array, y: Array, covariance: Array, highest: float) -> list[dict[str, float]]:
    """Return starting values at the best few separate frequencies of a grid."""
    span = float(t[-1])
    weight = 1.0 / np.sqrt(np.diag(covariance))
    count = min(4000, max(40, int(np.ceil(16.0 * highest * span))))
    grid = np.linspace(highest / count, highest, count)
    rates = np.array([0.0, 0.3, 1.0, 3.0, 10.0]) / span
    shapes = np.sin(2.0 * np.pi * grid[:, None] * t)[:, None, :] * np.exp(-rates[:, None] * t)
    shapes = shapes * weight  # (frequency, rate, point)
    norm = np.maximum(np.sum(shapes**2, axis=-1), 1e-300)
    level = shapes @ (y * weight) / norm
    explained = level**2 * norm
    per_frequency = explained.max(axis=1)
    starts: list[dict[str, float]] = []
    for k in np.argsort(-per_frequency):
        if all(abs(grid[k] - s["frequency"]) > 0.5 / span for s in starts):
            r = int(np.argmax(explained[k]))
            starts.append(
                {"frequency": float(grid[k]), "rate": float(rates[r]), "M0": float(level[k, r])}
            )
        if len(starts) == 3:
            break
    return starts


def _fit(
    t: Array,
    y: Array,
    covariance: Array,
    start: dict[str, float],
    highest: float,
    intervals: Intervals,
) -> CurveFit:
    import lmfit

    values = lmfit.Parameters()
    for name, value in start.items():
        values.add(name, value=value)
    values["frequency"].set(min=1e-4 / float(t[-1]), max=highest * (1.0 + 1e-6))
    values["rate"].set(min=-10.0 / float(t[-1]), max=1e3 / float(t[-1]))
    values["rate"].user_data = Limits(open_below=0.0)
    units = {"frequency": "Hz"}
    return fit_curve(
        nutation, t, y, values, covariance=covariance, units=units, intervals=intervals
    )


def _why_withheld(best: CurveFit, longest: float) -> str | None:
    found = best.parameters["frequency"]
    if found.value is None or found.stderr is None or best.covariance is None:
        return found.reason or "not identifiable: the amplitudes do not nutate"
    if found.value * longest < 0.5:
        return (
            f"not identifiable: the longest pulse, {1e6 * longest:g} us, turns by "
            f"{360.0 * found.value * longest:.0f} degrees only; measure beyond 180 degrees"
        )
    if found.stderr > 0.5 * found.value:
        return (
            f"not identifiable: frequency = {found.value:.3g} Hz with a standard error of "
            f"{found.stderr:.2g} Hz"
        )
    return None


def _rival(best: CurveFit, fits: list[CurveFit], span: float) -> str | None:
    """Return why another frequency, half a turn or more away, may be the true one."""
    found = best.estimates["frequency"]
    for other in fits:
        value = other.estimates["frequency"]
        if abs(value - found) * span < 0.5:
            continue
        if other.chi2 - best.chi2 < 9.0 * best.error_scale**2:
            return f"not identifiable: {found:.4g} Hz and {value:.4g} Hz fit alike"
    return None


def _with_decay_time(fit: CurveFit) -> CurveFit:
    """Return the fit with the decay time 1/rate instead of the rate."""
    rate = fit.parameters["rate"]
    table = {name: p for name, p in fit.parameters.items() if name != "rate"}
    table = {"frequency": table["frequency"], "decay": _inverse(rate), "M0": table["M0"]}
    covariance = fit.covariance
    decay = table["decay"].value
    if covariance is not None and decay is not None:
        slope = np.diag([1.0, -(decay**2), 1.0])
        covariance = slope @ covariance @ slope
    names = ("frequency", "decay", "M0")
    slowness = fit.estimates["rate"]
    estimates = {n: fit.estimates[n] for n in ("frequency", "M0")} | {
        "decay": 1.0 / slowness if slowness else np.inf
    }
    return replace(fit, parameters=table, covariance=covariance, names=names, estimates=estimates)


def _inverse(rate: FittedParameter) -> FittedParameter:
    value, stderr, (low, high) = rate.value, rate.stderr, rate.ci95
    shortest = 1.0 / high if high is not None and high > 0.0 else None
    if value is None or stderr is None:
        return replace(rate, ci95=(shortest, None), unit="s")
    if value > 2.0 * stderr and low is not None and low > 0.0:
        return FittedParameter(
            value=1.0 / value, stderr=stderr / value**2, ci95=(shortest, 1.0 / low), unit="s"
        )
    reason = "not identifiable: no damping is seen within the pulses"
    if shortest is not None:
        reason += f" (longer than {shortest:.3g} s at 99.87 %)"
    return FittedParameter(value=None, stderr=None, ci95=(shortest, None), unit="s", reason=reason)
