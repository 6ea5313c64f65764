"""Two exponentials of one sign: build-ups, recoveries and decays of two kinds of spins in one line,
or of one kind that relaxes along two paths (cross-relaxation, exchange between two pools).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.buildup import fit_build_up
from nmrqb.analysis.curve_fit import CurveFit, FittedParameter, fit_curve, withhold_value
from nmrqb.analysis.curves import fit_decay, fit_recovery, in_order_from_zero, open_interval
from nmrqb.analysis.intervals import LINEAR, PROFILE, Intervals, Limits
from nmrqb.analysis.model_choice import why_unneeded
from nmrqb.analysis.starting_grid import linear_levels

Array = NDArray[np.float64]


def two_exponentials(
    t: Array,
    T_fast: float,  # noqa: N803
    T_slow: float,  # noqa: N803
    M_inf: float,  # noqa: N803
    fast_share: float,
) -> Array:
    """Return M(t) = M_inf [1 - f exp(-t/T_fast) - (1 - f) exp(-t/T_slow)], f = fast_share."""
    return M_inf * (1.0 - decay_of_two(t, T_fast, T_slow, 1.0, fast_share))


def recovery_of_two(
    t: Array,
    T1_fast: float,  # noqa: N803
    T1_slow: float,  # noqa: N803
    M_inf: float,  # noqa: N803
    inversion: float,
    fast_share: float,
) -> Array:
    """Return M_inf {1 - (1 + inversion) [f exp(-t/T1_fast) + (1 - f) exp(-t/T1_slow)]}."""
    return M_inf * (1.0 - decay_of_two(t, T1_fast, T1_slow, 1.0 + inversion, fast_share))


def decay_of_two(
    t: Array,
    T2_fast: float,  # noqa: N803
    T2_slow: float,  # noqa: N803
    M0: float,  # noqa: N803
    fast_share: float,
) -> Array:
    """Return M(t) = M0 [f exp(-t/T2_fast) + (1 - f) exp(-t/T2_slow)], f = fast_share."""
    t = np.asarray(t, float)
    return M0 * (fast_share * np.exp(-t / T2_fast) + (1.0 - fast_share) * np.exp(-t / T2_slow))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What build-ups, recoveries and decays of two exponentials differ in.

    Attributes
    ----------
    function : callable
    time : str
        Name of a time without its speed.
    columns : callable
        Falls of nodes, shape (nodes, points) each, to what the levels of the linear fit multiply,
        (nodes, points, levels), the fast one and the slow one last.
    levels : callable
        Those levels to the function's levels, without the share.
    extrapolated : tuple of str
        Parameters that a slow part beyond the window leaves open.
    longest : str
        The last point.
    """

    function: Callable[..., Array]
    time: str
    columns: Callable[[Array, Array], Array]
    levels: Callable[[Array], dict[str, float]]
    extrapolated: tuple[str, ...]
    longest: str


def _recovery_levels(levels: Array) -> dict[str, float]:
    end = float(levels[0]) or float(np.abs(levels).max()) or 1.0
    return {"M_inf": end, "inversion": -float(levels[1] + levels[2]) / end - 1.0}


_BUILD_UP = _Kind(
    function=two_exponentials,
    time="T",
    columns=lambda fast, slow: np.stack([1.0 - fast, 1.0 - slow], axis=-1),
    levels=lambda levels: {"M_inf": float(levels.sum())},
    extrapolated=("T_slow", "M_inf", "fast_share"),
    longest="the longest build-up",
)
_RECOVERY = _Kind(
    function=recovery_of_two,
    time="T1",
    columns=lambda fast, slow: np.stack([np.ones_like(fast), fast, slow], axis=-1),
    levels=_recovery_levels,
    extrapolated=("T1_slow", "M_inf", "inversion", "fast_share"),
    longest="the longest delay",
)
_DECAY = _Kind(
    function=decay_of_two,
    time="T2",
    columns=lambda fast, slow: np.stack([fast, slow], axis=-1),
    levels=lambda levels: {"M0": float(levels.sum())},
    extrapolated=("T2_slow", "fast_share"),
    longest="the longest delay",
)


def fit_two_exponentials(
    times_s: Array, amplitudes: Array, covariance: Array, *, intervals: Intervals = PROFILE
) -> CurveFit:
    """Fit a build-up from zero by two exponentials of one sign, T_fast < T_slow.

    All values are withheld where one exponential describes the points as well (the two times and
    the share are then not separate); T_slow, M_inf and the share where the longest build-up is
    shorter than T_slow; each number where its interval is open.

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
    t, y, matrix = in_order_from_zero(times_s, amplitudes, covariance)
    one = fit_build_up(t, y, matrix, curve="mono", intervals=LINEAR)
    return _fit(_BUILD_UP, one, t, y, matrix, intervals)


def fit_recovery_of_two(
    times_s: Array, amplitudes: Array, covariance: Array, *, intervals: Intervals = PROFILE
) -> CurveFit:
    """Fit an inversion or saturation recovery with two T1 and free inversion, one for both.

    Withheld as in ``fit_two_exponentials``, with M_inf the inversion.  Parameters as there.

    Raises
    ------
    ValueError
        Where there are fewer than 6 points, or the times do not differ or are negative.
    """
    t, y, matrix = in_order_from_zero(times_s, amplitudes, covariance)
    one = fit_recovery(t, y, matrix, intervals=LINEAR)
    return _fit(_RECOVERY, one, t, y, matrix, intervals)


def fit_decay_of_two(
    times_s: Array, amplitudes: Array, covariance: Array, *, intervals: Intervals = PROFILE
) -> CurveFit:
    """Fit a decay to zero with two T2.

    Withheld as in ``fit_two_exponentials``, but M0 stays.  Parameters as there.

    Raises
    ------
    ValueError
        Where there are fewer than 5 points, or the times do not differ or are negative.
    """
    t, y, matrix = in_order_from_zero(times_s, amplitudes, covariance)
    one = fit_decay(t, y, matrix, intervals=LINEAR)
    return _fit(_DECAY, one, t, y, matrix, intervals)


def _fit(
    kind: _Kind, one: CurveFit, t: Array, y: Array, covariance: Array, intervals: Intervals
) -> CurveFit:
    """Return the fit of two exponentials beside that of one."""
    import lmfit

    span = float(np.ptp(t))
    fast, slow = f"{kind.time}_fast", f"{kind.time}_slow"
    times, levels, share = _start(kind, t, y, covariance)
    values = lmfit.Parameters()
    for name, value in zip((fast, slow), times, strict=True):
        values.add(name, value=value, min=span / 1e3, max=20.0 * span)
    for name, value in levels.items():
        values.add(name, value=value)
    values.add("fast_share", value=share, min=0.0, max=1.0)
    values["fast_share"].user_data = Limits(low=0.0, high=1.0)
    units = {fast: "s", slow: "s"}
    fit = fit_curve(
        kind.function, t, y, values, covariance=covariance, units=units, intervals=intervals
    )
    fit = _named_by_speed(fit, fast, slow)
    reason = why_unneeded(one, fit, "one exponential")
    if reason is not None:
        return withhold_value(fit, reason)
    found = fit.parameters[slow].value
    if found is not None and found > t[-1]:
        reason = (
            f"not identifiable: {kind.longest}, {t[-1]:g} s, is shorter than {slow} (the fit "
            f"alone would say {found:.3g} s)"
        )
        fit = withhold_value(fit, reason, kind.extrapolated)
    for name, p in fit.parameters.items():
        if p.value is not None and None in p.ci95:
            fit = withhold_value(fit, open_interval(name, *p.ci95, unit=p.unit), (name,))
    return fit


def _start(
    kind: _Kind, t: Array, y: Array, covariance: Array
) -> tuple[tuple[float, float], dict[str, float], float]:
    """Return times, levels and share of the best pair of a grid with levels of one sign."""
    grid = np.geomspace(float(np.ptp(t)) / 100.0, float(np.ptp(t)) * 10.0, 40)
    fast, slow = np.triu_indices(len(grid), k=1)
    falls = np.exp(-t / grid[:, None])
    chi2, levels = linear_levels(kind.columns(falls[fast], falls[slow]), y, covariance)
    chi2 = np.where(levels[:, -2] * levels[:, -1] > 0.0, chi2, np.inf)
    best = int(np.argmin(chi2))
    if np.isfinite(chi2[best]):
        pair, share = (grid[fast[best]], grid[slow[best]]), levels[best, -2:]
        return pair, kind.levels(levels[best]), float(share[0] / share.sum())
    # only parts of different signs: begin with one exponential, split in two
    columns = kind.columns(falls, falls)
    columns[:, :, -2] = 0.0
    chi2, levels = linear_levels(columns, y, covariance)
    best = int(np.argmin(chi2))
    return (grid[best] / 2.0, grid[best] * 2.0), kind.levels(levels[best]), 0.5


def _named_by_speed(fit: CurveFit, fast: str, slow: str) -> CurveFit:
    """Return the fit with the shorter time called fast."""
    if fit.estimates[fast] <= fit.estimates[slow]:
        return fit
    names = {fast: slow, slow: fast}
    table = {n: fit.parameters[names.get(n, n)] for n in fit.parameters}
    table["fast_share"] = _rest(table["fast_share"])
    estimates = {n: fit.estimates[names.get(n, n)] for n in fit.estimates}
    estimates["fast_share"] = 1.0 - estimates["fast_share"]
    covariance = fit.covariance
    if covariance is not None:
        swap = np.eye(len(fit.names))[[fit.names.index(names.get(n, n)) for n in fit.names]]
        swap[-1, -1] = -1.0
        covariance = swap @ covariance @ swap.T
    return replace(fit, parameters=table, estimates=estimates, covariance=covariance)


def _rest(share: FittedParameter) -> FittedParameter:
    """Return one minus a share."""
    low, high = share.ci95
    return replace(
        share,
        value=None if share.value is None else 1.0 - share.value,
        ci95=(None if high is None else 1.0 - high, None if low is None else 1.0 - low),
    )
