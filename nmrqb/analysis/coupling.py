"""J from a spin echo with 180 degree pulses on both species."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.curve_fit import CurveFit, fit_curve, withhold, withhold_value
from nmrqb.analysis.intervals import PROFILE, Intervals
from nmrqb.analysis.least_squares import Errors, Problem

if TYPE_CHECKING:
    import lmfit

Array = NDArray[np.float64]


def echo_modulation(
    t: Array,
    J: float,  # noqa: N803
    T2: float,  # noqa: N803
    M0: float,  # noqa: N803
    partners: int,
    partner_t1_s: float,
) -> Array:
    """Return M0 f(t)^partners exp(-t/T2), the echo of a spin with equivalent partners.

    f = e^{-t/2T1} [cos wt + sin(wt)/(2 T1 w)], w^2 = (pi J)^2 - 1/(2 T1)^2: flips of a partner by
    its T1 scramble the sign of the coupling.  f = cos(pi J t) for T1 = infinity.

    Parameters
    ----------
    t : ndarray, shape (points,)
        Length of the echo in seconds.
    J : float
        Hz.
    T2 : float
        Of the observed spin, seconds.
    M0 : float
    partners : int
    partner_t1_s : float
        T1 of a partner.
    """
    flips = 0.5 / partner_t1_s
    w = np.sqrt(complex((np.pi * J) ** 2 - flips**2))
    # sin(wt)/w without a pole at w = 0
    ratio = t * np.sinc(np.asarray(w * t / np.pi))
    f = (np.exp(-flips * t) * (np.cos(w * t) + flips * ratio)).real
    return np.asarray(M0 * f**partners * np.exp(-t / T2))


def fit_coupling(
    times_s: Array,
    amplitudes: Array,
    covariance: Array,
    *,
    partners: int,
    partner_t1_s: float,
    intervals: Intervals = PROFILE,
) -> CurveFit:
    """Fit the echo modulation of n equivalent partners with a known T1, J > 0.

    The echo does not tell the sign of J.  J is withheld where the points do not cover a quarter
    of the first period 1/J of the modulation, or where two values of J fit equally well; T2 alone
    where the longest echo is shorter than it.

    Parameters
    ----------
    times_s, amplitudes : ndarray, shape (points,)
    covariance : ndarray, shape (points, points)
    partners : int
        n >= 1.
    partner_t1_s : float
    intervals : Intervals

    Raises
    ------
    ValueError
        Where there are fewer than 4 points or the times do not differ.
    """
    t, y = np.asarray(times_s, float), np.asarray(amplitudes, float)
    span = float(np.ptp(t)) if len(t) else 0.0
    if not span > 0.0:
        raise ValueError("the times of the points must differ")

    def model(t: Array, J: float, T2: float, M0: float) -> Array:  # noqa: N803
        return echo_modulation(t, J, T2, M0, partners, partner_t1_s)

    weight = 1.0 / np.sqrt(np.diag(covariance))
    spacing = float(np.median(np.diff(np.sort(t))))
    grid = np.linspace(0.02 / span, 0.5 / spacing, 4000)
    shape = np.cos(np.pi * np.outer(grid, t)) ** partners * np.exp(-t / (5.0 * span))
    best = (shape @ (y * weight**2)) / ((shape * weight) ** 2).sum(axis=1)
    misfit = (((y - best[:, None] * shape) * weight) ** 2).sum(axis=1)
    inner = np.flatnonzero((misfit[1:-1] <= misfit[:-2]) & (misfit[1:-1] <= misfit[2:])) + 1
    starts = inner[np.argsort(misfit[inner])][:4] if len(inner) else [int(np.argmin(misfit))]
    guesses = [{"J": grid[k], "T2": 2.0 * span, "M0": float(best[k])} for k in starts]
    problem = Problem(
        function=model,
        x=t,
        y=y,
        errors=Errors.of(len(y), None, covariance),
        parameters=_parameters(guesses[0], span),
    )
    # a wrong J may crawl along a valley without an end: these fits stop after 800 curves
    minima = sorted((problem.refit(guess) for guess in guesses), key=lambda m: m.chi2)
    found = fit_curve(
        model,
        t,
        y,
        _parameters(minima[0].values, span),
        covariance=covariance,
        units={"J": "Hz", "T2": "s"},
        intervals=intervals,
    )
    j = found.parameters["J"]
    if j.value is None:
        return found
    if abs(j.value) * float(t.max()) < 0.25:
        return withhold(
            found,
            f"not identifiable: the longest echo, {float(t.max()):g} s, covers less than a quarter "
            f"of 1/J (the fit alone would say {j.value:.3g} Hz)",
        )
    for other in minima[1:]:
        rival = other.values["J"]
        at_bound = any(problem.at_bound(name, value) for name, value in other.values.items())
        if at_bound or j.stderr is None or abs(rival - j.value) < 10.0 * j.stderr:
            continue
        if other.chi2 - found.chi2 < 10.8:  # 0.1 % of chi-square with one degree of freedom
            return withhold(
                found, f"not identifiable: J = {j.value:.4g} Hz and {rival:.4g} Hz fit equally well"
            )
    t2 = found.parameters["T2"].value
    if t2 is not None and t2 > float(t.max()):
        reason = (
            f"not identifiable: the longest echo, {float(t.max()):g} s, is shorter than T2 (the "
            f"fit alone would say {t2:.3g} s)"
        )
        return withhold_value(found, reason, ("T2",))
    return found


def _parameters(guess: Mapping[str, float], span: float) -> lmfit.Parameters:
    import lmfit

    values = lmfit.Parameters()
    values.add("J", value=guess["J"], min=0.0)
    values.add("T2", value=guess["T2"], min=span / 1e4, max=span * 1e4)
    values.add("M0", value=guess["M0"])
    return values
