"""Stretched recoveries and decays, exp[-(t/T)^beta], and the Gaussian decay (beta = 2).

beta < 1: many times of relaxation side by side (disordered solids, polymers, several sites in one
line); beta > 1: a decay that starts flat (dipolar fields, diffusion, a spread of frequencies).

References
----------
R. Kohlrausch, Ann. Phys. 167, 179 (1854); D. C. Johnston, Phys. Rev. B 74, 184430 (2006), on the
times that a stretch stands for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.curve_fit import CurveFit, withhold, withhold_value
from nmrqb.analysis.curves import (
    best_time,
    fit_decay,
    fit_recovery,
    fit_time,
    in_order_from_zero,
    why_withheld,
)
from nmrqb.analysis.intervals import LINEAR, PROFILE, Intervals
from nmrqb.analysis.model_choice import why_unneeded
from nmrqb.analysis.starting_grid import linear_levels

if TYPE_CHECKING:
    import lmfit

Array = NDArray[np.float64]

#: stretches that are tried; beyond them the curve is a step between two points, or a constant
BETA_RANGE = (0.2, 5.0)
_BETAS = np.array([0.4, 0.6, 0.8, 1.0, 1.3, 1.8, 2.5])


def stretched_recovery(
    t: Array,
    T1: float,  # noqa: N803
    M_inf: float,  # noqa: N803
    inversion: float,
    beta: float,
) -> Array:
    """Return M(t) = M_inf [1 - (1 + inversion) exp(-(t/T1)^beta)]."""
    return M_inf * (1.0 - (1.0 + inversion) * np.exp(-((np.asarray(t) / T1) ** beta)))


def stretched_decay(t: Array, T2: float, M0: float, beta: float) -> Array:  # noqa: N803
    """Return M(t) = M0 exp(-(t/T2)^beta)."""
    return M0 * np.exp(-((np.asarray(t) / T2) ** beta))


def gaussian_decay(t: Array, T2: float, M0: float) -> Array:  # noqa: N803
    """Return M(t) = M0 exp(-(t/T2)^2): T2 is the time at which 1/e is left."""
    return stretched_decay(t, T2, M0, 2.0)


def fit_stretched_recovery(
    times_s: Array, amplitudes: Array, covariance: Array, *, intervals: Intervals = PROFILE
) -> CurveFit:
    """Fit a stretched inversion or saturation recovery with free inversion.

    All values are withheld where one exponential describes the points as well, or where every
    stretch up to an end of the range does; T1 and what goes with it as in ``fit_recovery``.

    Parameters
    ----------
    times_s : ndarray, shape (points,)
        At least 0, in any order.
    amplitudes : ndarray, shape (points,)
        Signed.
    covariance : ndarray, shape (points, points)
    intervals : Intervals

    Raises
    ------
    ValueError
        Where there are fewer than 5 points, or the times do not differ or are negative.
    """
    t, y, matrix = in_order_from_zero(times_s, amplitudes, covariance)
    simple = fit_recovery(t, y, matrix, intervals=LINEAR)
    tau, beta, (level, fall) = _start(t, y, matrix, constant=True)
    level = level if level != 0.0 else float(y[-1]) or 1.0
    start = {"T1": tau, "M_inf": level, "inversion": -fall / level - 1.0}
    fit = fit_time(
        stretched_recovery, "T1", start | {"beta": free_stretch(beta)}, t, y, matrix, intervals
    )
    return _judged(fit, simple, "T1", float(t[-1]), "recover")


def fit_stretched_decay(
    times_s: Array, amplitudes: Array, covariance: Array, *, intervals: Intervals = PROFILE
) -> CurveFit:
    """Fit M(t) = M0 exp[-(t/T2)^beta], decaying to zero.

    Withheld as in ``fit_stretched_recovery``.  Parameters as there.

    Raises
    ------
    ValueError
        Where there are fewer than 4 points, or the times do not differ or are negative.
    """
    t, y, matrix = in_order_from_zero(times_s, amplitudes, covariance)
    simple = fit_decay(t, y, matrix, intervals=LINEAR)
    tau, beta, (level,) = _start(t, y, matrix, constant=False)
    start = {"T2": tau, "M0": level, "beta": free_stretch(beta)}
    fit = fit_time(stretched_decay, "T2", start, t, y, matrix, intervals)
    return _judged(fit, simple, "T2", float(t[-1]), "decay")


def fit_gaussian_decay(
    times_s: Array, amplitudes: Array, covariance: Array, *, intervals: Intervals = PROFILE
) -> CurveFit:
    """Fit M(t) = M0 exp[-(t/T2)^2].  Parameters and what is withheld as in ``fit_decay``.

    Raises
    ------
    ValueError
        Where there are fewer than 3 points, or the times do not differ or are negative.
    """
    t, y, matrix = in_order_from_zero(times_s, amplitudes, covariance)
    tau, (level,) = best_time(t, y, matrix, lambda x, tau: np.exp(-((x / tau) ** 2))[:, None])
    fit = fit_time(gaussian_decay, "T2", {"T2": tau, "M0": level}, t, y, matrix, intervals)
    reason = why_withheld(
        fit, "T2", float(t[-1]), "the longest delay", "the amplitudes do not decay like a Gaussian"
    )
    return withhold_value(fit, reason) if reason else fit


def free_stretch(value: float = 1.0) -> lmfit.Parameter:
    """Return the lmfit parameter beta within its range."""
    import lmfit

    return lmfit.Parameter("beta", value=value, min=BETA_RANGE[0], max=BETA_RANGE[1])


def why_no_stretch(fit: CurveFit) -> str | None:
    """Return why the points say nothing of a stretched curve, or None."""
    beta = fit.parameters["beta"]
    if None not in beta.ci95:
        return None
    return beta.reason or (
        f"not identifiable: every stretch up to beta = {BETA_RANGE[1]:g} (or down to "
        f"{BETA_RANGE[0]:g}) describes the points; fit one exponential"
    )


def _start(
    t: Array, y: Array, covariance: Array, *, constant: bool
) -> tuple[float, float, tuple[float, ...]]:
    """Return time, stretch and levels of the best node, the constant first where there is one."""
    span = float(np.ptp(t))
    betas, times = (
        a.ravel() for a in np.meshgrid(_BETAS, np.geomspace(span / 200.0, span * 20.0, 40))
    )
    fall = np.exp(-((t / times[:, None]) ** betas[:, None]))
    columns = np.stack([np.ones_like(fall), fall] if constant else [fall], axis=-1)
    chi2, levels = linear_levels(columns, y, covariance)
    best = int(np.argmin(chi2))
    return float(times[best]), float(betas[best]), tuple(map(float, levels[best]))


def _judged(fit: CurveFit, simple: CurveFit, time: str, window: float, verb: str) -> CurveFit:
    """Return the fit with what the points do not tell withheld."""
    limit = f"the amplitudes do not {verb} like a stretched exponential"
    no_stretch = why_no_stretch(fit)
    if no_stretch is not None:
        # the range of beta that is searched would close the interval of the time, not the points
        fit = withhold(fit, no_stretch, (time,))
    reason = (
        why_unneeded(simple, fit, "one exponential")
        or no_stretch
        or why_withheld(fit, time, window, "the longest delay", limit)
    )
    return withhold_value(fit, reason) if reason else fit
