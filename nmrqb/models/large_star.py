"""Many batteries on one charger: what stays locked in, and where a mode becomes slow.

On resonance W = E - omega (1 - r_1) for N qubits, so a_N = N (1 - W/E) = 2 (1 - r_1) at the steady
energy E = N omega/2.  For N -> infinity in the Kac normalisation the lower end of the Dicke ladder
is an oscillator, displaced by F/g; the upper end its mirror image, with half of the weight each.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import poisson

#: beyond this mean the peak of the Poisson distribution lies within these many of it
_PEAK = 3


def locked_energy_limit(drive_over_coupling: float) -> float:
    """Return a(infinity) = lim N (1 - W/E) of the resonant star in the Kac normalisation.

    With B = (F/g)^2 and Pois(m) = e^-B B^m/m!: 2 - e^-B (1 + B/2) for B < 2, else
    2 - max_m [Pois(m) + Pois(m + 1)]/2.

    Parameters
    ----------
    drive_over_coupling : float
        F/g > 0.
    """
    if not (np.isfinite(drive_over_coupling) and drive_over_coupling > 0.0):
        raise ValueError(f"`drive_over_coupling` must be positive, but is {drive_over_coupling}")
    b = drive_over_coupling**2
    # twice the largest eigenvalue: each of the two wells holds half of [Pois(m) + Pois(m + 1)]/2,
    # and of Pois(0) + Pois(1)/2 in its lowest level, where the charger is dark
    lowest = poisson.pmf(0, b) + poisson.pmf(1, b) / 2.0
    near = max(0, int(b) - _PEAK) + np.arange(2 * _PEAK + 1)
    pairs = (poisson.pmf(near, b) + poisson.pmf(near + 1, b)) / 2.0
    return float(2.0 - max(lowest, float(np.max(pairs))))


def crossover_batteries(drive_over_coupling: float) -> float:
    """Return N_c = 4 (F/g)^2 of the Kac normalisation.

    For more batteries the smallest singular value of K falls exponentially with N.  An empty
    battery excites that mode at weak drive only; at strong drive its charging stops at four times
    as many (`crossover.confinement_batteries`).
    """
    if not (np.isfinite(drive_over_coupling) and drive_over_coupling >= 0.0):
        raise ValueError(f"`drive_over_coupling` must be at least 0, but is {drive_over_coupling}")
    return float(4.0 * drive_over_coupling**2)


def locked_energy_bound(batteries: int) -> float:
    """Return N/(N + 1): E - W of a state of the symmetric sector is at most this, times omega."""
    if batteries < 1:
        raise ValueError(f"`batteries` must be at least 1, but is {batteries}")
    return batteries / (batteries + 1.0)
