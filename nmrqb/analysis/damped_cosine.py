"""The damped cosine of a charging that oscillates: tau, E_inf, omega and phi.

References
----------
D. Purkait, B. P. Venkatesh and G. Watanabe, arXiv:2508.13497, Eq. 6.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.curve_fit import (
    CurveFit,
    fit_curve,
    with_scale_error,
    withhold,
    withhold_value,
)
from nmrqb.analysis.curves import fit_charging, in_order, open_interval, why_withheld
from nmrqb.analysis.detection import ESTABLISHED, chance_of_noise
from nmrqb.analysis.intervals import LINEAR, PROFILE, Intervals, Limits
from nmrqb.analysis.starting_grid import linear_levels
from nmrqb.battery.charging_time import damped_cosine

Array = NDArray[np.float64]

#: starts from different minima of the grid, and how different chi-squares of two must be
_STARTS, _ALIKE = 4, 9.0
#: intervals of omega and phi allow chi-square to rise 1 + EXCESS/gain times as far as with many
#: points, gain the fall of chi-square by the oscillation.  Calibrated (benchmarks/oscillation.md):
#: likelihood ratios alone ask for 3, the series whose oscillation luck established for the rest
EXCESS = 8.0


def fit_damped_cosine(
    times_s: Array,
    energy: Array,
    covariance: Array,
    scale_error: float = 0.0,
    *,
    intervals: Intervals = PROFILE,
) -> CurveFit:
    """Fit E(t) = E_inf [1 - e^(-t/tau) cos(omega t + phi)], omega >= 0, phi in (-pi, pi].

    omega is tried up to half the sampling frequency of the closest points.  Everything is withheld
    where an exponential would do as well at one of the frequencies tried, or where two frequencies
    fit alike.  tau is withheld where the window is shorter, or where it is known to no better than
    a factor of two; its interval then stays.

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
        Where there are fewer than 5 points or the times do not differ.
    """
    t, y, matrix = in_order(times_s, energy, covariance)
    steps = np.diff(np.unique(t))
    if not len(steps):
        raise ValueError("the times of the points must differ")
    highest = np.pi / float(steps.min())
    fits = [_fit(t, y, matrix, s, highest, LINEAR) for s in _starts(t, y, matrix, highest)]
    best = min(fits, key=lambda f: f.chi2)
    plain = fit_charging(t, y, matrix, intervals=LINEAR)
    gain = max(plain.chi2 - best.chi2, 0.0) / best.error_scale**2
    level = float(np.sqrt(1.0 + EXCESS / max(gain, EXCESS)))
    fit = _fit(t, y, matrix, best.estimates, highest, intervals, level)
    fit = _phase_in_one_turn(with_scale_error(fit, ("E_inf",), scale_error))
    span = float(np.ptp(t))
    chance = chance_of_noise(plain.chi2, fit, 2, highest * span / np.pi)
    if chance > ESTABLISHED:
        why = (
            f"not identifiable: no oscillation is established (an exponential does as well, p = "
            f"{chance:.2g})"
        )
        return withhold(fit, why)
    for other in fits:
        rival = other.estimates["omega"]
        apart = abs(rival - fit.estimates["omega"]) * span > np.pi
        if apart and other.chi2 - fit.chi2 < _ALIKE * fit.error_scale**2:
            why = (
                f"not identifiable: omega = {fit.estimates['omega']:.4g} and {rival:.4g} rad/s "
                "fit alike"
            )
            return withhold(fit, why)
    reason = why_withheld(fit, "tau", span, "the window", "the energy does not approach a limit")
    if reason is not None:
        fit = withhold_value(fit, reason, ("tau", "E_inf"))
    for name in ("omega", "phi"):
        p = fit.parameters[name]
        if p.value is not None and None in p.ci95:
            fit = withhold_value(fit, open_interval(name, *p.ci95, unit=p.unit), (name,))
    return fit


def _starts(t: Array, y: Array, covariance: Array, highest: float) -> list[dict[str, float]]:
    """Return starts at the best separate frequencies of a grid; the levels are linear there."""
    span = float(np.ptp(t))
    count = int(np.clip(4.0 * highest * span / np.pi, 24, 1500))
    omegas = np.linspace(0.0, highest, count)
    taus = span * np.geomspace(0.03, 10.0, 12)
    omega, tau = (a.ravel() for a in np.meshgrid(omegas, taus, indexing="ij"))
    fall = np.exp(-t / tau[:, None])
    turn = omega[:, None] * t
    columns = np.stack([np.ones_like(turn), fall * np.cos(turn), fall * np.sin(turn)], axis=-1)
    chi2, levels = linear_levels(columns, y, covariance)
    order = np.argsort(chi2)
    starts: list[dict[str, float]] = []
    for k in order:
        if any(abs(omega[k] - s["omega"]) < np.pi / span for s in starts):
            continue
        # E_inf - E_inf e cos(wt) cos(phi) + E_inf e sin(wt) sin(phi): the amplitude is E_inf too
        level = float(levels[k, 0]) or 1.0
        cosine, sine = -float(levels[k, 1]) / level, float(levels[k, 2]) / level
        phi = float(np.arctan2(sine, cosine))
        if omega[k] == 0.0:
            phi = float(np.arccos(np.clip(cosine, -0.95, 0.95)))
        starts.append({"tau": float(tau[k]), "E_inf": level, "omega": float(omega[k]), "phi": phi})
        if len(starts) == _STARTS:
            break
    return starts


def _curve(t: Array, tau: float, E_inf: float, omega: float, phi: float) -> Array:  # noqa: N803
    return damped_cosine(t, E_inf, tau, omega, phi)


def _fit(
    t: Array,
    y: Array,
    covariance: Array,
    start: dict[str, float],
    highest: float,
    intervals: Intervals,
    level: float = 1.0,
) -> CurveFit:
    import lmfit

    span = float(np.ptp(t))
    values = lmfit.Parameters()
    values.add("tau", value=start["tau"], min=span / 1e4, max=span * 1e4)
    values.add("E_inf", value=start["E_inf"])
    values.add("omega", value=start["omega"], min=0.0, max=highest * (1.0 + 1e-6))
    values.add("phi", value=start["phi"])
    for name in ("omega", "phi"):
        values[name].user_data = Limits(level=level)
    units = {"tau": "s", "omega": "rad/s", "phi": "rad"}
    return fit_curve(_curve, t, y, values, covariance=covariance, units=units, intervals=intervals)


def _phase_in_one_turn(fit: CurveFit) -> CurveFit:
    """Return the fit with phi in (-pi, pi]; an interval of a turn or more says nothing."""
    phi = fit.parameters["phi"]
    turns = 2.0 * np.pi * float(np.ceil((fit.estimates["phi"] - np.pi) / (2.0 * np.pi)))
    low, high = (None if end is None else end - turns for end in phi.ci95)
    if low is None or high is None or high - low >= 2.0 * np.pi:
        low = high = None
    moved = replace(phi, value=None if phi.value is None else phi.value - turns, ci95=(low, high))
    return replace(
        fit,
        parameters=fit.parameters | {"phi": moved},
        estimates=fit.estimates | {"phi": fit.estimates["phi"] - turns},
    )
