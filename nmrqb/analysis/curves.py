"""The curves that spectroscopists fit: inversion recovery and charging, with identifiability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.curve_fit import CurveFit, fit_curve, withhold
from nmrqb.battery.charging_time import exponential_approach

Array = NDArray[np.float64]


def recovery(t: Array, T1: float, M_inf: float, inversion: float) -> Array:  # noqa: N803
    """Return M(t) = M_inf [1 - (1 + inversion) exp(-t/T1)]; inversion 1 is a perfect one."""
    return M_inf * (1.0 - (1.0 + inversion) * np.exp(-t / T1))


def fit_recovery(times_s: Array, amplitudes: Array, covariance: Array) -> CurveFit:
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

    Raises
    ------
    ValueError
        Where there are fewer than 4 points.
    """
    order = np.argsort(times_s, kind="stable")
    t, y = np.asarray(times_s, float)[order], np.asarray(amplitudes, float)[order]
    matrix = np.asarray(covariance, float)[np.ix_(order, order)]
    last = float(y[-1])
    span = float(t[-1] - t[0])
    if not span > 0.0:
        raise ValueError("the delays must differ")
    best: CurveFit | None = None
    for guess in np.geomspace(span / 30.0, span * 2.0, 7):
        # linear least squares for M_inf and the slope of e^{-t/T1} at this T1
        basis = np.stack([np.ones_like(t), -np.exp(-t / guess)], axis=1)
        level, depth = np.linalg.lstsq(basis, y, rcond=None)[0]
        level = level if level != 0.0 else last
        start = {"T1": guess, "M_inf": level, "inversion": depth / level - 1.0}
        fit = fit_curve(
            recovery, t, y, start, covariance=matrix, units={"T1": "s", "inversion": ""}
        )
        if best is None or fit.chi2 < best.chi2:
            best = fit
    assert best is not None
    found = best.parameters["T1"]
    if found.value is not None:
        t1 = found.value
        if t1 <= 0.0 or not np.isfinite(t1):
            return withhold(best, "not identifiable: the amplitudes do not recover exponentially")
        if t1 > t[-1]:
            return withhold(
                best,
                f"not identifiable: the longest delay, {t[-1]:g} s, is shorter than T1 (the fit "
                f"alone would say {t1:.3g} s); measure to at least {3.0 * t1:.2g} s",
            )
        if found.stderr is not None and found.stderr > 0.5 * t1:
            return withhold(
                best,
                f"not identifiable: T1 = {t1:.3g} s with a standard error of {found.stderr:.2g} s",
            )
    return best


def fit_charging(times_s: Array, energy: Array, covariance: Array) -> CurveFit:
    """Fit E(t) = E_inf + (E_0 - E_inf) exp(-t/tau): tau by the definition "fit".

    Withheld where the window is shorter than tau, or where tau is known to no better than a
    factor of two.

    Parameters
    ----------
    times_s, energy : ndarray, shape (points,)
    covariance : ndarray, shape (points, points)
        Of the energy.
    """
    t, y = np.asarray(times_s, float), np.asarray(energy, float)
    span = float(np.ptp(t))
    if not span > 0.0:
        raise ValueError("the charging times must differ")
    best: CurveFit | None = None
    for guess in np.geomspace(span / 30.0, span * 2.0, 5):
        basis = np.stack([np.ones_like(t), np.exp(-t / guess)], axis=1)
        level, depth = np.linalg.lstsq(basis, y, rcond=None)[0]
        fit = fit_curve(
            _charging,
            t,
            y,
            {"tau": guess, "E_inf": level, "E_0": level + depth},
            covariance=covariance,
            units={"tau": "s"},
        )
        if best is None or fit.chi2 < best.chi2:
            best = fit
    assert best is not None
    found = best.parameters["tau"]
    if found.value is None:
        return best
    tau = found.value
    if tau <= 0.0 or not np.isfinite(tau):
        return withhold(best, "not identifiable: the energy does not approach a limit")
    if tau > span:
        return withhold(
            best,
            f"not identifiable: the window, {span:g} s, is shorter than tau (the fit alone would "
            f"say {tau:.3g} s)",
        )
    if found.stderr is not None and found.stderr > 0.5 * tau:
        return withhold(
            best,
            f"not identifiable: tau = {tau:.3g} s with a standard error of {found.stderr:.2g} s",
        )
    return best


def _charging(t: Array, tau: float, E_inf: float, E_0: float) -> Array:  # noqa: N803
    return exponential_approach(t, E_inf, E_0, tau)
