"""Approaches that overshoot: a transfer with b > 1 changes the sign of the distance every cycle.

With renewed chargers the distance from the fixed point is multiplied by lambda = (1 - b) q_B in
each cycle.  For b > 1 lambda is negative: the energies alternate about E_inf, and no exponential
in time describes them; E_inf + (E_0 - E_inf) lambda^n does.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.curve_fit import (
    CurveFit,
    FittedParameter,
    fit_curve,
    with_scale_error,
    withhold_value,
)
from nmrqb.analysis.curves import fit_charging, open_interval, with_held_oscillation
from nmrqb.analysis.intervals import PROFILE, Intervals

Array = NDArray[np.float64]

#: rise of chi-square (one degree of freedom, p = 0.001) that an approach of one sign must cost
_REJECTED = 10.83


def signed_approach(n: Array, factor: float, E_inf: float, E_0: float) -> Array:  # noqa: N803
    """Return E_n = E_inf + (E_0 - E_inf) factor^n for whole numbers of cycles n."""
    n = np.asarray(n, float)
    sign = np.where(factor < 0.0, np.cos(np.pi * n), 1.0)  # for pictures also between cycles
    return np.asarray(E_inf + (E_0 - E_inf) * sign * np.abs(factor) ** n)


def fit_approach(
    times_s: Array,
    energy: Array,
    covariance: Array,
    scale_error: float = 0.0,
    *,
    cycles: NDArray[np.int64] | None = None,
    intervals: Intervals = PROFILE,
) -> CurveFit:
    """Fit the approach to a limit: an exponential, or the signed map where the sign alternates.

    Parameters
    ----------
    times_s, energy : ndarray, shape (points,)
    covariance : ndarray, shape (points, points)
    scale_error : float
    cycles : ndarray of whole numbers, shape (points,), optional
        Without it nobody can see an alternation.
    intervals : Intervals

    Raises
    ------
    ValueError
        Where there are fewer than 4 points or the times do not differ.
    """
    if cycles is not None and is_alternating(cycles, energy, covariance):
        cycle_s = _cycle_length(times_s, cycles)
        if cycle_s is not None:
            return fit_alternating(
                cycles, cycle_s, energy, covariance, scale_error, intervals=intervals
            )
    return fit_charging(times_s, energy, covariance, scale_error, intervals=intervals)


def _cycle_length(times_s: Array, cycles: NDArray[np.int64]) -> float | None:
    """Return the time of one cycle, None where the cycles differ in length."""
    slope, start = np.polyfit(cycles, times_s, 1)
    off = np.abs(times_s - start - slope * np.asarray(cycles)).max()
    return float(slope) if slope > 0.0 and off < 1e-3 * slope else None


def is_alternating(cycles: NDArray[np.int64], energy: Array, covariance: Array) -> bool:
    """Return whether a negative factor per cycle describes the energies, and no positive one does.

    Parameters
    ----------
    cycles : ndarray, shape (points,)
    energy : ndarray, shape (points,)
    covariance : ndarray, shape (points, points)
    """
    if len(np.unique(cycles)) < 5:
        return False
    n = np.asarray(cycles, float)
    negative, positive = (_best_factor(n, energy, covariance, sign)[0] for sign in (-1.0, 1.0))
    scale2 = max(1.0, negative / max(len(energy) - 3, 1))
    return positive - negative > _REJECTED * scale2


def fit_alternating(
    cycles: NDArray[np.int64],
    cycle_s: float,
    energy: Array,
    covariance: Array,
    scale_error: float = 0.0,
    *,
    intervals: Intervals = PROFILE,
) -> CurveFit:
    """Fit E_n = E_inf + (E_0 - E_inf) factor^n, factor < 0; tau = cycle_s/(-ln|factor|).

    Parameters
    ----------
    cycles : ndarray of whole numbers, shape (points,)
    cycle_s : float
        Length of one cycle.
    energy : ndarray, shape (points,)
    covariance : ndarray, shape (points, points)
        From each point's own noise.
    scale_error : float
        Relative standard error of a factor common to all points (the thermal reference).
    intervals : Intervals

    Returns
    -------
    CurveFit
        With tau (s), E_inf, E_0 and factor; its `curve` is a function of time.

    Raises
    ------
    ValueError
        Where there are fewer than 4 points.
    """
    import lmfit

    n = np.asarray(cycles, float)
    _, factor, (level, start) = _best_factor(n, energy, covariance, -1.0)
    values = lmfit.Parameters()
    values.add("factor", value=factor, min=-1.0, max=0.0)
    values.add("E_inf", value=level)
    values.add("E_0", value=start)
    fit = fit_curve(signed_approach, n, energy, values, covariance=covariance, intervals=intervals)
    fit = with_scale_error(fit, ("E_inf", "E_0"), scale_error)
    tau = _time(fit.parameters["factor"], cycle_s)
    table = {"tau": tau} | {n: fit.parameters[n] for n in ("E_inf", "E_0", "factor")}
    if tau.value is not None and None in tau.ci95:
        tau = replace(tau, value=None, stderr=None, reason=open_interval("tau", *tau.ci95, "s"))
    words = (
        f"the approach alternates (factor {fit.estimates['factor']:.3g} a cycle, a transfer b > 1):"
        " the signed map is fitted, for an exponential has no sign; tau = cycle/(-ln|factor|)"
    )
    inner = fit.curve
    fit = replace(
        fit,
        parameters=table | {"tau": tau},
        warnings=(*fit.warnings, words),
        estimates=fit.estimates | {"tau": _tau(fit.estimates["factor"], cycle_s)},
        curve=lambda t: inner(np.asarray(t, float) / cycle_s),
    )
    reason = fit.parameters["factor"].reason
    fit = withhold_value(fit, reason) if reason else fit
    return with_held_oscillation(fit, np.pi / cycle_s, "half a turn a cycle, by its sign")


def _tau(factor: float, cycle_s: float) -> float:
    size = abs(factor)
    return 0.0 if size == 0.0 else cycle_s / -float(np.log(size)) if size < 1.0 else np.inf


def _time(factor: FittedParameter, cycle_s: float) -> FittedParameter:
    """Return tau of a negative factor: the interval follows, for tau falls as the factor rises."""
    low, high = factor.ci95
    shortest = None if high is None or high >= 0.0 else _tau(high, cycle_s)
    longest = None if low is None or low <= -1.0 else _tau(low, cycle_s)
    if factor.value is None or factor.stderr is None:
        return replace(factor, ci95=(shortest, longest), unit="s")
    value = _tau(factor.value, cycle_s)
    stderr = factor.stderr * value**2 / (cycle_s * abs(factor.value))
    return FittedParameter(value=value, stderr=stderr, ci95=(shortest, longest), unit="s")


def _best_factor(
    n: Array, energy: Array, covariance: Array, sign: float
) -> tuple[float, float, tuple[float, float]]:
    """Return chi-square, factor and levels of the best factor of one sign on a grid."""
    weight = 1.0 / np.sqrt(np.diag(covariance))
    best: tuple[float, float, tuple[float, float]] | None = None
    # slow positive factors as fine as slow exponentials need them
    for size in 1.0 - np.geomspace(0.999, 0.003, 120):
        power = np.where(n == 0.0, 1.0, (sign * size) ** np.asarray(n, int))
        design = np.stack([1.0 - power, power], axis=1) * weight[:, None]
        levels, *_ = np.linalg.lstsq(design, energy * weight, rcond=None)
        rest = design @ levels - energy * weight
        chi2 = float(rest @ rest)
        if best is None or chi2 < best[0]:
            best = (chi2, sign * float(size), (float(levels[0]), float(levels[1])))
    assert best is not None
    return best
