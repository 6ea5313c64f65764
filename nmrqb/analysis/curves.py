"""The single exponentials that spectroscopists fit, with identifiability."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from nmrqb.analysis.curve_fit import (
    CurveFit,
    FittedParameter,
    fit_curve,
    with_scale_error,
    withhold_value,
)
from nmrqb.analysis.intervals import LINEAR, PROFILE, Intervals
from nmrqb.analysis.model_choice import why_unneeded
from nmrqb.battery.charging_time import exponential_approach

Array = NDArray[np.float64]

#: times shorter or longer than the window by this factor leave no trace in the points
_WINDOW_FACTOR = 1e4


def recovery(t: Array, T1: float, M_inf: float, inversion: float) -> Array:  # noqa: N803
    """Return M(t) = M_inf [1 - (1 + inversion) exp(-t/T1)].

    Inversion 1 is a perfect inversion, 0 a perfect saturation, -r a saturation that leaves r M_inf.
    """
    return M_inf * (1.0 - (1.0 + inversion) * np.exp(-t / T1))


def decay(t: Array, T2: float, M0: float) -> Array:  # noqa: N803
    """Return M(t) = M0 exp(-t/T2)."""
    return M0 * np.exp(-t / T2)


def decay_to_offset(t: Array, T2: float, M0: float, offset: float) -> Array:  # noqa: N803
    """Return M(t) = M0 exp(-t/T2) + offset."""
    return decay(t, T2, M0) + offset


def fit_recovery(
    times_s: Array,
    amplitudes: Array,
    covariance: Array,
    scale_error: float = 0.0,
    *,
    intervals: Intervals = PROFILE,
) -> CurveFit:
    """Fit an inversion recovery with free inversion efficiency.

    T1 is withheld ("not identifiable") where the longest delay is shorter than T1: M_inf is then
    an extrapolation and any systematic error of the amplitudes is multiplied in T1.  What the
    points exclude stays as an interval, often open on one side.

    Parameters
    ----------
    times_s : ndarray, shape (points,)
        In any order.
    amplitudes : ndarray, shape (points,)
        Signed.
    covariance : ndarray, shape (points, points)
        From each point's own noise.
    scale_error : float
        Relative standard error of a factor common to all points (a reference).
    intervals : Intervals

    Raises
    ------
    ValueError
        Where there are fewer than 4 points or the delays do not differ.
    """
    t, y, matrix = in_order(times_s, amplitudes, covariance)
    tau, (level, start) = best_time(t, y, matrix, _rise_and_fall)
    level = level if level != 0.0 else float(y[-1]) or 1.0
    values = {"T1": tau, "M_inf": level, "inversion": -start / level}
    fit = fit_time(recovery, "T1", values, t, y, matrix, intervals)
    reason = why_withheld(
        fit, "T1", float(t[-1]), "the longest delay", "the amplitudes do not recover exponentially"
    )
    fit = with_scale_error(fit, ("M_inf",), scale_error)
    return withhold_value(fit, reason) if reason else fit


def fit_saturation(
    times_s: Array, amplitudes: Array, covariance: Array, *, intervals: Intervals = PROFILE
) -> CurveFit:
    """Fit a saturation recovery: the recovery with inversion near 0, free.

    A fitted inversion beyond a half is warned about: the experiment then began inverted, or not
    saturated.  Parameters and Raises as in ``fit_recovery``.
    """
    return judged_saturation(fit_recovery(times_s, amplitudes, covariance, intervals=intervals))


def judged_saturation(fit: CurveFit) -> CurveFit:
    """Return the fit of a recovery with a warning where it did not begin saturated."""
    found = fit.parameters["inversion"].value
    if found is None or abs(found) <= 0.5:
        return fit
    words = "inverted" if found > 0.0 else "hardly saturated"
    warning = f"inversion = {found:.3g}: the first points are {words}"
    return replace(fit, warnings=(*fit.warnings, f"{warning}; is this a saturation recovery?"))


def fit_decay(
    times_s: Array, amplitudes: Array, covariance: Array, *, intervals: Intervals = PROFILE
) -> CurveFit:
    """Fit M(t) = M0 exp(-t/T2), decaying to zero.

    T2 is withheld where the longest delay is shorter than T2, or where it is known to no better
    than a factor of two.

    Parameters
    ----------
    times_s, amplitudes : ndarray, shape (points,)
    covariance : ndarray, shape (points, points)
    intervals : Intervals

    Raises
    ------
    ValueError
        Where there are fewer than 3 points or the delays do not differ.
    """
    t, y, matrix = in_order(times_s, amplitudes, covariance)
    tau, (level,) = best_time(t, y, matrix, lambda x, tau: np.exp(-x / tau)[:, None])
    fit = fit_time(decay, "T2", {"T2": tau, "M0": level}, t, y, matrix, intervals)
    reason = why_withheld(
        fit, "T2", float(t[-1]), "the longest delay", "the amplitudes do not decay exponentially"
    )
    return withhold_value(fit, reason) if reason else fit


def fit_decay_to_offset(
    times_s: Array, amplitudes: Array, covariance: Array, *, intervals: Intervals = PROFILE
) -> CurveFit:
    """Fit M(t) = M0 exp(-t/T2) + offset: M0 is what decays.

    A constant is what an uncorrected baseline or a part that does not relax leaves, and roughly
    what the noise of magnitude spectra does.  All values are withheld where a decay to zero
    describes the points as well; else as in ``fit_decay``.  Parameters as there.

    Raises
    ------
    ValueError
        Where there are fewer than 4 points or the delays do not differ.
    """
    t, y, matrix = in_order(times_s, amplitudes, covariance)
    simple = fit_decay(t, y, matrix, intervals=LINEAR)
    tau, (level, start) = best_time(t, y, matrix, _rise_and_fall)
    values = {"T2": tau, "M0": start - level, "offset": level}
    fit = fit_time(decay_to_offset, "T2", values, t, y, matrix, intervals)
    reason = why_unneeded(simple, fit, "a decay to zero") or why_withheld(
        fit, "T2", float(t[-1]), "the longest delay", "the amplitudes do not decay to a constant"
    )
    return withhold_value(fit, reason) if reason else fit


def fit_charging(
    times_s: Array,
    energy: Array,
    covariance: Array,
    scale_error: float = 0.0,
    *,
    intervals: Intervals = PROFILE,
) -> CurveFit:
    """Fit E(t) = E_inf + (E_0 - E_inf) exp(-t/tau): tau by the definition "fit".

    Withheld where the window is shorter than tau, or where tau is known to no better than a
    factor of two.

    Parameters
    ----------
    times_s, energy : ndarray, shape (points,)
    covariance : ndarray, shape (points, points)
        Of the energy, from each point's own noise.
    scale_error : float
        Relative standard error of a factor common to all points (the thermal reference).
    intervals : Intervals

    Raises
    ------
    ValueError
        Where there are fewer than 4 points or the times do not differ.
    """
    t, y = np.asarray(times_s, float), np.asarray(energy, float)
    matrix = np.asarray(covariance, float)
    tau, (level, start) = best_time(t, y, matrix, _rise_and_fall)
    values = {"tau": tau, "E_inf": level, "E_0": start}
    fit = fit_time(_charging, "tau", values, t, y, matrix, intervals)
    reason = why_withheld(
        fit, "tau", float(np.ptp(t)), "the window", "the energy does not approach a limit"
    )
    fit = with_scale_error(fit, ("E_inf", "E_0"), scale_error)
    fit = withhold_value(fit, reason) if reason else fit
    return with_held_oscillation(fit, 0.0, "held at 0: the approach is not oscillatory")


def with_held_oscillation(fit: CurveFit, omega: float, reason: str) -> CurveFit:
    """Return the fit of an approach without free oscillation with its omega (rad/s) and no phi."""
    held: dict[str, FittedParameter] = {
        "omega": FittedParameter(
            value=omega, stderr=None, ci95=(None, None), unit="rad/s", reason=reason
        ),
        "phi": FittedParameter(
            value=None,
            stderr=None,
            ci95=(None, None),
            unit="rad",
            reason="replaced by E_0, which also covers a start below 0",
        ),
    }
    return replace(fit, parameters=fit.parameters | held)


def _charging(t: Array, tau: float, E_inf: float, E_0: float) -> Array:  # noqa: N803
    return exponential_approach(t, E_inf, E_0, tau)


def _rise_and_fall(t: Array, tau: float) -> Array:
    fall = np.exp(-t / tau)
    return np.stack([1.0 - fall, fall], axis=1)


def in_order(times_s: Array, values: Array, covariance: Array) -> tuple[Array, Array, Array]:
    """Return points in rising time, with their covariance."""
    order = np.argsort(times_s, kind="stable")
    return (
        np.asarray(times_s, float)[order],
        np.asarray(values, float)[order],
        np.asarray(covariance, float)[np.ix_(order, order)],
    )


def in_order_from_zero(
    times_s: Array, values: Array, covariance: Array
) -> tuple[Array, Array, Array]:
    """Return points in rising time with their covariance, for curves that begin at t = 0.

    Raises
    ------
    ValueError
        Where the times do not differ or are negative.
    """
    t, y, matrix = in_order(times_s, values, covariance)
    if not (len(t) and np.ptp(t) > 0.0):
        raise ValueError("the times of the points must differ")
    if t[0] < 0.0:
        raise ValueError(f"times must be at least 0 s, but start at {t[0]:g} s")
    return t, y, matrix


def best_time(
    t: Array, y: Array, covariance: Array, basis: Callable[[Array, float], Array]
) -> tuple[float, tuple[float, ...]]:
    """Return the time constant whose linear fit is best, and the levels of that fit.

    Parameters
    ----------
    t, y : ndarray, shape (points,)
    covariance : ndarray, shape (points, points)
        Its diagonal weights the points.
    basis : callable
        (t, tau) to the columns that the levels multiply, shape (points, levels).

    Raises
    ------
    ValueError
        Where the times do not differ.
    """
    span = float(np.ptp(t)) if len(t) else 0.0
    if not span > 0.0:
        raise ValueError("the times of the points must differ")
    weight = 1.0 / np.sqrt(np.diag(covariance))

    def levels(tau: float) -> tuple[float, Array]:
        columns = basis(t, tau)
        solution, *_ = np.linalg.lstsq(columns * weight[:, None], y * weight, rcond=None)
        rest = (columns @ solution - y) * weight
        return float(rest @ rest), np.asarray(solution, float)

    grid = np.geomspace(span / 200.0, span * 20.0, 60)
    best = int(np.argmin([levels(tau)[0] for tau in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    refined = minimize_scalar(
        lambda logarithm: levels(float(np.exp(logarithm)))[0],
        bounds=(np.log(low), np.log(high)),
        method="bounded",
    )
    tau = float(np.exp(refined.x))
    return tau, tuple(float(v) for v in levels(tau)[1])


def fit_time(
    function: Callable[..., Array],
    time: str,
    start: Mapping[str, Any],
    t: Array,
    y: Array,
    covariance: Array,
    intervals: Intervals,
) -> CurveFit:
    """Fit all parameters together, the time constant within what the window can tell.

    `start` holds numbers, or lmfit parameters where there are bounds.
    """
    import lmfit

    span = float(np.ptp(t))
    values = lmfit.Parameters()
    for name, value in start.items():
        if isinstance(value, lmfit.Parameter):
            values.add(value)
        else:
            values.add(name, value=value)
    values[time].set(min=span / _WINDOW_FACTOR, max=span * _WINDOW_FACTOR)
    return fit_curve(
        function, t, y, values, covariance=covariance, units={time: "s"}, intervals=intervals
    )


def why_withheld(fit: CurveFit, time: str, window: float, what: str, no_limit: str) -> str | None:
    """Return why the time constant of a fit means nothing, or None."""
    found = fit.parameters[time]
    if found.value is None:
        return found.reason
    if fit.covariance is None:
        return f"not identifiable: {no_limit}"
    value, (low, high) = found.value, found.ci95
    if value > window:
        return (
            f"not identifiable: {what}, {window:g} s, is shorter than {time} (the fit alone would "
            f"say {value:.3g} s); measure to at least {3.0 * value:.2g} s"
        )
    if found.stderr is not None and found.stderr > 0.5 * value:
        return (
            f"not identifiable: {time} = {value:.3g} s with a standard error of "
            f"{found.stderr:.2g} s"
        )
    if low is None or high is None:
        return open_interval(time, low, high, "s")
    return None


def open_interval(name: str, low: float | None, high: float | None, unit: str) -> str:
    """Return why a number whose 95 % interval is open on one side, or both, is withheld."""
    if low is None and high is None:
        return f"not identifiable: the points give {name} neither a lower nor an upper limit"
    side = "upper" if high is None else "lower"
    limit = only_limit(low, high, unit)
    return f"not identifiable: the points give {name} no {side} limit ({limit})"


def only_limit(low: float | None, high: float | None, unit: str) -> str:
    """Return the one end of an open interval in words."""
    above, below = ("longer than", "shorter than") if unit == "s" else ("above", "below")
    limit = f"{below} {high:.3g}" if low is None else f"{above} {low:.3g}"
    return f"{limit} {unit}".rstrip() + " at 99.87 %"
