"""Build-ups of two kinds of spins, or of one that is fed by two reservoirs: two exponentials."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.curve_fit import CurveFit, fit_curve, withhold_value
from nmrqb.analysis.curves import in_order, open_interval
from nmrqb.analysis.intervals import PROFILE, Intervals, Limits

Array = NDArray[np.float64]

#: rise of chi-square below which one exponential does as well (two parameters, p = 0.05)
_ONE_IS_ENOUGH = 5.99


def two_exponentials(
    t: Array,
    T_fast: float,  # noqa: N803
    T_slow: float,  # noqa: N803
    M_inf: float,  # noqa: N803
    fast_share: float,
) -> Array:
    """Return M(t) = M_inf [1 - f exp(-t/T_fast) - (1 - f) exp(-t/T_slow)], f = fast_share."""
    t = np.asarray(t, float)
    left = fast_share * np.exp(-t / T_fast) + (1.0 - fast_share) * np.exp(-t / T_slow)
    return M_inf * (1.0 - left)


def fit_two_exponentials(
    times_s: Array, amplitudes: Array, covariance: Array, *, intervals: Intervals = PROFILE
) -> CurveFit:
    """Fit a build-up from zero by two exponentials of one sign, T_fast < T_slow.

    All are withheld where one exponential describes the points as well (the two times and the
    share are then not separate); T_slow, M_inf and the share where the longest build-up is shorter
    than T_slow; each number where its interval is open.

    Parameters
    ----------
    times_s : ndarray, shape (points,)
        At least 0, in any order.
    amplitudes : ndarray, shape (points,)
    covariance : ndarray, shape (points, points)
    intervals : Intervals

    Raises
    ------
    ValueError
        Where there are fewer than 5 points, or the times do not differ or are negative.
    """
    import lmfit

    t, y, matrix = in_order(times_s, amplitudes, covariance)
    span = float(np.ptp(t)) if len(t) else 0.0
    if not span > 0.0:
        raise ValueError("the times of the points must differ")
    if t[0] < 0.0:
        raise ValueError(f"times must be at least 0 s, but start at {t[0]:g} s")
    start, rise = _start(t, y, matrix)
    values = lmfit.Parameters()
    values.add("T_fast", value=start["T_fast"], min=span / 1e3, max=20.0 * span)
    values.add("T_slow", value=start["T_slow"], min=span / 1e3, max=20.0 * span)
    values.add("M_inf", value=start["M_inf"])
    values.add("fast_share", value=start["fast_share"], min=0.0, max=1.0)
    values["fast_share"].user_data = Limits(low=0.0, high=1.0)
    units = {"T_fast": "s", "T_slow": "s"}
    fit = fit_curve(
        two_exponentials, t, y, values, covariance=matrix, units=units, intervals=intervals
    )
    fit = _named_by_speed(fit)
    if rise < _ONE_IS_ENOUGH * fit.error_scale**2:
        return withhold_value(
            fit,
            "not identifiable: one exponential describes the points as well (chi-square rises by "
            f"{max(rise, 0.0):.2g})",
        )
    slow = fit.parameters["T_slow"].value
    if slow is not None and slow > t[-1]:
        reason = (
            f"not identifiable: the longest build-up, {t[-1]:g} s, is shorter than T_slow (the fit "
            f"alone would say {slow:.3g} s)"
        )
        fit = withhold_value(fit, reason, ("T_slow", "M_inf", "fast_share"))
    for name, p in fit.parameters.items():
        if p.value is not None and None in p.ci95:
            fit = withhold_value(fit, open_interval(name, *p.ci95, unit=p.unit), (name,))
    return fit


def _start(t: Array, y: Array, covariance: Array) -> tuple[dict[str, float], float]:
    """Return start values from a grid of both times, and how much worse one exponential is."""
    weight = 1.0 / np.sqrt(np.diag(covariance))
    grid = np.geomspace(float(np.ptp(t)) / 100.0, float(np.ptp(t)) * 10.0, 40)
    shapes = -np.expm1(-t / grid[:, None]) * weight
    target = y * weight

    def best_of(columns: Array) -> tuple[float, Array]:
        levels, *_ = np.linalg.lstsq(columns.T, target, rcond=None)
        rest = target - levels @ columns
        return float(rest @ rest), np.asarray(levels, float)

    one = min(best_of(shape[None])[0] for shape in shapes)
    found: tuple[float, int, int, Array] | None = None
    for i in range(len(grid)):
        for k in range(i + 1, len(grid)):
            chi2, levels = best_of(shapes[[i, k]])
            # both parts build up the same way
            if levels[0] * levels[1] > 0.0 and (found is None or chi2 < found[0]):
                found = (chi2, i, k, levels)
    if found is None:
        middle = int(np.argmin([best_of(shape[None])[0] for shape in shapes]))
        level = float(best_of(shapes[[middle]])[1][0])
        guess = {"T_fast": grid[middle] / 2.0, "T_slow": grid[middle] * 2.0}
        return guess | {"M_inf": level, "fast_share": 0.5}, 0.0
    chi2, i, k, levels = found
    total = float(levels.sum())
    start = {"T_fast": float(grid[i]), "T_slow": float(grid[k])}
    return start | {"M_inf": total, "fast_share": float(levels[0]) / total}, one - chi2


def _named_by_speed(fit: CurveFit) -> CurveFit:
    """Return the fit with the shorter time called fast."""
    if fit.estimates["T_fast"] <= fit.estimates["T_slow"]:
        return fit
    names = {"T_fast": "T_slow", "T_slow": "T_fast"}
    share = fit.parameters["fast_share"]
    low, high = share.ci95
    other = replace(
        share,
        value=None if share.value is None else 1.0 - share.value,
        ci95=(None if high is None else 1.0 - high, None if low is None else 1.0 - low),
    )
    table = {n: fit.parameters[names.get(n, n)] for n in fit.parameters} | {"fast_share": other}
    estimates = {n: fit.estimates[names.get(n, n)] for n in fit.estimates}
    estimates["fast_share"] = 1.0 - estimates["fast_share"]
    covariance = fit.covariance
    if covariance is not None:
        swap = np.eye(4)[[1, 0, 2, 3]]
        swap[3, 3] = -1.0
        covariance = swap @ covariance @ swap.T
    return replace(fit, parameters=table, estimates=estimates, covariance=covariance)
