"""The curves that spectroscopists fit: inversion recovery and charging, with identifiability."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from nmrqb.analysis.curve_fit import CurveFit, fit_curve, with_scale_error, withhold
from nmrqb.battery.charging_time import exponential_approach

Array = NDArray[np.float64]

#: times shorter or longer than the window by this factor leave no trace in the points
_WINDOW_FACTOR = 1e4


def recovery(t: Array, T1: float, M_inf: float, inversion: float) -> Array:  # noqa: N803
    """Return M(t) = M_inf [1 - (1 + inversion) exp(-t/T1)]; inversion 1 is a perfect one."""
    return M_inf * (1.0 - (1.0 + inversion) * np.exp(-t / T1))


def fit_recovery(
    times_s: Array, amplitudes: Array, covariance: Array, scale_error: float = 0.0
) -> CurveFit:
    """Fit an inversion recovery with free inversion efficiency.

    T1 is withheld ("not identifiable") where the longest delay is shorter than T1: M_inf is then
    an extrapolation and any systematic error of the amplitudes is multiplied in T1.

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

    Raises
    ------
    ValueError
        Where there are fewer than 4 points or the delays do not differ.
    """
    order = np.argsort(times_s, kind="stable")
    t, y = np.asarray(times_s, float)[order], np.asarray(amplitudes, float)[order]
    matrix = np.asarray(covariance, float)[np.ix_(order, order)]

    def parameters(tau: float, level: float, start: float) -> dict[str, float]:
        level = level if level != 0.0 else float(y[-1]) or 1.0
        return {"T1": tau, "M_inf": level, "inversion": -start / level}

    fit = _fit_exponential(recovery, "T1", parameters, t, y, matrix)
    reason = _reason(
        fit, "T1", float(t[-1]), "the longest delay", "the amplitudes do not recover exponentially"
    )
    return withhold(fit, reason) if reason else with_scale_error(fit, ("M_inf",), scale_error)


def fit_charging(
    times_s: Array, energy: Array, covariance: Array, scale_error: float = 0.0
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

    Raises
    ------
    ValueError
        Where there are fewer than 4 points or the times do not differ.
    """
    t, y = np.asarray(times_s, float), np.asarray(energy, float)

    def parameters(tau: float, level: float, start: float) -> dict[str, float]:
        return {"tau": tau, "E_inf": level, "E_0": start}

    matrix = np.asarray(covariance, float)
    fit = _fit_exponential(_charging, "tau", parameters, t, y, matrix)
    reason = _reason(
        fit, "tau", float(np.ptp(t)), "the window", "the energy does not approach a limit"
    )
    return withhold(fit, reason) if reason else with_scale_error(fit, ("E_inf", "E_0"), scale_error)


def _charging(t: Array, tau: float, E_inf: float, E_0: float) -> Array:  # noqa: N803
    return exponential_approach(t, E_inf, E_0, tau)


def _fit_exponential(
    function: Callable[..., Array],
    time: str,
    parameters: Callable[[float, float, float], dict[str, float]],
    t: Array,
    y: Array,
    covariance: Array,
) -> CurveFit:
    """Fit one exponential: the best time constant with linear levels first, then all together.

    `parameters` turns (time constant, level at infinity, level at t = 0) into start values.
    """
    import lmfit

    span = float(np.ptp(t)) if len(t) else 0.0
    if not span > 0.0:
        raise ValueError("the times of the points must differ")
    weight = 1.0 / np.sqrt(np.diag(covariance))

    def levels(tau: float) -> tuple[float, float, float]:
        decay = np.exp(-t / tau)
        basis = np.stack([1.0 - decay, decay], axis=1)
        solution, *_ = np.linalg.lstsq(basis * weight[:, None], y * weight, rcond=None)
        rest = (basis @ solution - y) * weight
        return float(rest @ rest), float(solution[0]), float(solution[1])

    grid = np.geomspace(span / 200.0, span * 20.0, 60)
    best = int(np.argmin([levels(tau)[0] for tau in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    refined = minimize_scalar(
        lambda logarithm: levels(float(np.exp(logarithm)))[0],
        bounds=(np.log(low), np.log(high)),
        method="bounded",
    )
    tau = float(np.exp(refined.x))
    _, level, start = levels(tau)
    values = lmfit.Parameters()
    for name, value in parameters(tau, level, start).items():
        values.add(name, value=value)
    values[time].set(min=span / _WINDOW_FACTOR, max=span * _WINDOW_FACTOR)
    return fit_curve(function, t, y, values, covariance=covariance, units={time: "s"})


def _reason(fit: CurveFit, time: str, window: float, what: str, no_limit: str) -> str | None:
    """Return why the time constant of a fit means nothing, or None."""
    found = fit.parameters[time]
    if found.value is None:
        return found.reason
    if fit.covariance is None:
        return f"not identifiable: {no_limit}"
    value = found.value
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
    return None
