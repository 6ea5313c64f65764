"""Charging times.  There are three definitions; a number without its definition means nothing."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Definition = Literal["threshold", "fit", "slowest-mode"]

#: what each definition means, printed beside every charging time
DEFINITIONS: dict[str, str] = {
    "threshold": "|E(t) - E(inf)| stays below e^-n |E(0) - E(inf)| for all later t",
    "fit": "E(t) = E(inf) + [E(0) - E(inf)] e^(-t/tau) fitted to the curve",
    "slowest-mode": "1/(slowest decay rate with non-negligible weight)",
}


def exponential_approach(times: Array, e_inf: float, e_0: float, tau: float) -> Array:
    """Return E(t) = E(inf) + [E(0) - E(inf)] exp(-t/tau), shape of `times`."""
    return e_inf + (e_0 - e_inf) * np.exp(-np.asarray(times) / tau)


def damped_cosine(times: Array, e_inf: float, tau: float, omega: float, phi: float) -> Array:
    """Return E(t) = E(inf) [1 - exp(-t/tau) cos(omega t + phi)] (arXiv:2508.13497, Eq. 6)."""
    t = np.asarray(times)
    return e_inf * (1.0 - np.exp(-t / tau) * np.cos(omega * t + phi))


def threshold_time(times: Array, energy: Array, e_inf: float, n: float = 1.0) -> float | None:
    """Return the time after which |E - E(inf)| stays below e^-n |E(0) - E(inf)|.

    Between two points ln |E - E(inf)| is taken as a straight line, which is exact for one
    exponential mode.

    Parameters
    ----------
    times, energy : ndarray, shape (points,)
        Rising times, starting with E(0).
    e_inf : float
    n : float

    Returns
    -------
    float or None
        None where the curve does not stay below within its window.
    """
    times, energy = np.asarray(times, float), np.asarray(energy, float)
    distance = np.abs(energy - e_inf)
    bound = np.exp(-n) * distance[0]
    if distance[0] == 0.0:
        return 0.0
    above = np.flatnonzero(distance > bound)
    last = int(above[-1])
    if last == len(times) - 1:
        return None
    if distance[last + 1] == 0.0:
        return float(times[last + 1])
    high, low = np.log(distance[last] / bound), np.log(distance[last + 1] / bound)
    return float(times[last] + (times[last + 1] - times[last]) * high / (high - low))


def slowest_mode_time(times: Array, energy: Array, e_inf: float) -> float | None:
    """Return -dt/ln|ratio| from the late decay of an equally spaced, noise-free curve.

    The ratio of successive distances from E(inf) is read where they have fallen between 1e-3 and
    1e-7 of the first; None where they do not settle to one ratio within 1 % (several modes, an
    oscillation, or too short a curve).
    """
    times, energy = np.asarray(times, float), np.asarray(energy, float)
    distance = energy - e_inf
    scale = abs(distance[0])
    window = np.flatnonzero((np.abs(distance) < 1e-3 * scale) & (np.abs(distance) > 1e-7 * scale))
    if len(window) < 3 or (np.diff(window) != 1).any():
        return None
    ratio = distance[window[1:]] / distance[window[:-1]]
    if abs(ratio[-1] - ratio[-2]) > 0.01 * abs(ratio[-1]) or not 0.0 < abs(ratio[-1]) < 1.0:
        return None
    return float(-(times[1] - times[0]) / np.log(abs(ratio[-1])))
