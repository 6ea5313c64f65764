"""Nutation: signed amplitudes against pulse length, damped by the spread of the B1 field.

A share p(b) of the sample sees the field b (1 on average): the sum of sin(2 pi nu b t) over it is
the sine times the Fourier transform of p, if that is symmetric.  A Gaussian p of standard deviation
s gives exp[-(2 pi nu s t)^2/2], a Lorentzian one of half width h at half height exp(-2 pi nu h t).
Every part is taken to be received alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.curve_fit import CurveFit, FittedParameter, fit_curve, withhold, withhold_value
from nmrqb.analysis.curves import in_order
from nmrqb.analysis.detection import ESTABLISHED, chance_of_noise
from nmrqb.analysis.intervals import LINEAR, PROFILE, Intervals, Limits

Array = NDArray[np.float64]


def undamped_nutation(t: Array, frequency: float, M0: float) -> Array:  # noqa: N803
    """Return M(t) = M0 sin(2 pi frequency t)."""
    return M0 * np.sin(2.0 * np.pi * frequency * t)


def nutation(t: Array, frequency: float, rate: float, M0: float) -> Array:  # noqa: N803
    """Return M(t) = M0 sin(2 pi frequency t) exp(-rate t)."""
    return undamped_nutation(t, frequency, M0) * np.exp(-rate * t)


def gaussian_nutation(t: Array, frequency: float, variance: float, M0: float) -> Array:  # noqa: N803
    """Return M(t) = M0 sin(2 pi frequency t) exp[-variance (2 pi frequency t)^2/2].

    The variance is that of the B1 field over the sample, relative to the square of its mean.
    """
    angle = 2.0 * np.pi * frequency * t
    return M0 * np.sin(angle) * np.exp(-0.5 * variance * angle**2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Damping:
    """One way in which a nutation is damped.

    Attributes
    ----------
    function : callable
    rate : str or None
        Its parameter of damping, which may be negative so that no damping is no bound.
    of_rate : callable
        (rate of the exponential that falls to 1/e with it, frequency) to that parameter.
    shown : str
        The positive number that is reported in its place.
    shown_of, slope : callable
        The parameter to that number, and the derivative.
    unit : str
    """

    function: Callable[..., Array]
    rate: str | None = None
    of_rate: Callable[[float, float], float] = lambda rate, _: rate
    shown: str = ""
    shown_of: Callable[[float], float] = lambda rate: rate
    slope: Callable[[float], float] = lambda _: 1.0
    unit: str = ""
    limit: str = ""


_UNDAMPED = _Damping(function=undamped_nutation)
_EXPONENTIAL = _Damping(
    function=nutation,
    rate="rate",
    shown="decay",
    shown_of=lambda rate: 1.0 / rate if rate else np.inf,
    slope=lambda rate: -1.0 / rate**2,
    unit="s",
    limit="longer than {:.3g} s",
)
_GAUSSIAN = _Damping(
    function=gaussian_nutation,
    rate="variance",
    of_rate=lambda rate, frequency: 2.0 * rate * abs(rate) / (2.0 * np.pi * frequency) ** 2,
    shown="b1_spread",
    shown_of=lambda variance: float(np.sqrt(max(variance, 0.0))),
    slope=lambda variance: 0.5 / float(np.sqrt(variance)),
    limit="a spread below {:.3g}",
)


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
    return _fit_damped(_EXPONENTIAL, pulses_s, amplitudes, covariance, intervals)


def fit_undamped_nutation(
    pulses_s: Array, amplitudes: Array, covariance: Array, *, intervals: Intervals = PROFILE
) -> CurveFit:
    """Fit the nutation frequency (Hz) and the amplitude M0 of a uniform B1 field.

    Withheld as in ``fit_nutation``, which has the parameters too.

    Raises
    ------
    ValueError
        Where there are fewer than 3 points, the pulse lengths do not differ or one is negative.
    """
    return _fit_damped(_UNDAMPED, pulses_s, amplitudes, covariance, intervals)


def fit_gaussian_nutation(
    pulses_s: Array, amplitudes: Array, covariance: Array, *, intervals: Intervals = PROFILE
) -> CurveFit:
    """Fit the nutation frequency (Hz) of the mean B1 field, its spread and the amplitude M0.

    `b1_spread` is the standard deviation of the field over the sample, relative to its mean, as in
    the spectrometer's channel.  Withheld as in ``fit_nutation``, which has the parameters too; the
    spread alone where no damping is seen, with the upper limit of its interval.

    Raises
    ------
    ValueError
        As in ``fit_nutation``.
    """
    return _fit_damped(_GAUSSIAN, pulses_s, amplitudes, covariance, intervals)


def _fit_damped(
    damping: _Damping, pulses_s: Array, amplitudes: Array, covariance: Array, intervals: Intervals
) -> CurveFit:
    t, y, matrix = in_order(pulses_s, amplitudes, covariance)
    steps = np.diff(np.unique(t))
    if not len(steps):
        raise ValueError("the pulse lengths of the points must differ")
    if t[0] < 0.0:
        raise ValueError(f"pulse lengths must be at least 0 s, but start at {t[0]:g} s")
    highest = 0.5 / float(steps.min())
    starts = _starts(t, y, matrix, highest)
    fits = [_fit(damping, t, y, matrix, _from(s, damping), highest, LINEAR) for s in starts]
    best = min(fits, key=lambda f: f.chi2)
    best = _fit(damping, t, y, matrix, best.estimates, highest, intervals)
    named = best if damping.rate is None else _shown(best, damping, damping.rate)
    turns = 2.0 * highest * float(np.ptp(t))
    chance = chance_of_noise(
        float(np.sum(y**2 / np.diag(matrix))), best, len(best.names) - 1, turns
    )
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


def _from(start: dict[str, float], damping: _Damping) -> dict[str, float]:
    """Return the starting values of a damping from those of the exponential one."""
    values = {"frequency": start["frequency"]}
    if damping.rate is not None:
        values[damping.rate] = damping.of_rate(start["rate"], start["frequency"])
    return values | {"M0": start["M0"]}


def _fit(
    damping: _Damping,
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
    if damping.rate is not None:
        ends = (-10.0 / float(t[-1]), 1e3 / float(t[-1]))
        low, high = (damping.of_rate(end, start["frequency"]) for end in ends)
        values[damping.rate].set(min=low, max=high)
        values[damping.rate].user_data = Limits(open_below=0.0)
    units = {"frequency": "Hz"}
    return fit_curve(
        damping.function, t, y, values, covariance=covariance, units=units, intervals=intervals
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


def _shown(fit: CurveFit, damping: _Damping, rate: str) -> CurveFit:
    """Return the fit with the number that is reported instead of the rate."""
    found = _positive(fit.parameters[rate], damping)
    table = {n: found if n == rate else p for n, p in fit.parameters.items()}
    covariance = fit.covariance
    if covariance is not None and found.value is not None:
        slope = np.diag([1.0, damping.slope(fit.estimates[rate]), 1.0])
        covariance = slope @ covariance @ slope
    new = {rate: damping.shown}
    estimates = dict(fit.estimates)
    estimates[rate] = damping.shown_of(estimates[rate])
    return replace(
        fit,
        parameters={new.get(n, n): p for n, p in table.items()},
        covariance=covariance,
        names=tuple(new.get(n, n) for n in fit.names),
        estimates={new.get(n, n): v for n, v in estimates.items()},
    )


def _positive(rate: FittedParameter, damping: _Damping) -> FittedParameter:
    """Return the positive number of a rate that may be 0 or, within its error, below."""

    def ends(low: float | None, high: float | None) -> tuple[float | None, float | None]:
        weak, strong = (
            damping.shown_of(end) if end is not None and end > 0.0 else None for end in (low, high)
        )
        return (strong, weak) if damping.slope(1.0) < 0.0 else (weak, strong)

    value, stderr, (low, high) = rate.value, rate.stderr, rate.ci95
    limits = ends(None, high)
    if value is None or stderr is None:
        return replace(rate, ci95=limits, unit=damping.unit)
    if value > 2.0 * stderr and low is not None and low > 0.0:
        return FittedParameter(
            value=damping.shown_of(value),
            stderr=stderr * abs(damping.slope(value)),
            ci95=ends(low, high),
            unit=damping.unit,
        )
    reason = "not identifiable: no damping is seen within the pulses"
    for limit in limits:
        if limit is not None:
            reason += f" ({damping.limit.format(limit)} at 99.87 %)"
    return FittedParameter(value=None, stderr=None, ci95=limits, unit=damping.unit, reason=reason)
