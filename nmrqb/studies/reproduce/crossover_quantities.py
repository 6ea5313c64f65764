"""Where charging of many batteries stops: gaps, trapped weights and plateaus."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from nmrqb.models import crossover
from nmrqb.models.dephased_star import DephasedStar
from nmrqb.models.large_star import crossover_batteries
from nmrqb.studies.reproduce.quantity import Quantity, check_at_least

Array = NDArray[np.float64]


def contour_energy(relative_batteries: float) -> float:
    """E/(N omega) on the contour of the empty state, of N = relative_batteries N_e."""
    return crossover.contour_energy(relative_batteries)


def relative_energy(
    drive_over_coupling: float, time: float, largest: float, points: int
) -> tuple[Array, Array]:
    """Exact E(t)/(N omega) against N/N_e up to `largest`, for gamma = g."""
    check_at_least(2, points=points)
    edge = crossover.confinement_batteries(drive_over_coupling)
    counts = np.unique(np.round(np.linspace(1.0, largest * edge, points))).astype(int)
    return counts / edge, np.array(_reached(drive_over_coupling, time, counts.tolist()))


def confined_energy(drive_over_coupling: float, batteries: int) -> float:
    """E/(N omega) on the contour of the empty state: 1/2 up to N_e = 16 (F/g)^2, then less."""
    return crossover.confined_energy(batteries, drive_over_coupling)


def plateau_energy(drive_over_coupling: float, batteries: int) -> float:
    """E/(N omega) before tunnelling, contours weighted with the spread of the empty state."""
    return crossover.plateau_energy(batteries, drive_over_coupling)


def trapped_weight(drive_over_coupling: float, batteries: int) -> float:
    """Share of the empty state on singular values below the saddle."""
    return crossover.trapped_weight(batteries, drive_over_coupling)


def smallest_singular_value_decades(drive_over_coupling: float, batteries: int) -> float:
    """log10(s_min/g) of K = F + lambda J_-."""
    log = crossover.smallest_singular_value_log(batteries, drive_over_coupling)
    return float(log / np.log(10.0))


def tunnelling_decades(drive_over_coupling: float, batteries: int) -> float:
    """-N (artanh a - a)/ln 10 with a = sqrt(1 - N_c/N): s_min without its prefactor."""
    return float(-crossover.tunnelling_exponent(batteries, drive_over_coupling) / np.log(10.0))


def gap_function(y: float) -> float:
    """G(y): the smallest singular value of y + eta^2 - d/d eta."""
    return crossover.gap_function(y)


def scaled_gap(drive_over_coupling: float) -> tuple[Array, Array]:
    """s_min/(g u) against y, for stars about N_c."""
    check_at_least(1, drive_over_coupling=drive_over_coupling)
    edge = crossover_batteries(drive_over_coupling)
    width = edge ** (1.0 / 3.0)
    counts = np.unique(np.round(np.linspace(edge - 8.0 * width, edge + 7.0 * width, 25)))
    found = []
    for n in counts[counts >= 2.0].astype(int).tolist():
        y, unit = crossover.gap_variable(n, drive_over_coupling)
        log = crossover.smallest_singular_value_log(n, drive_over_coupling)
        found.append((y, np.exp(log) / unit))
    y_values, gaps = np.array(found).T
    return y_values, gaps


def normal_distribution(z: float) -> float:
    """Phi(z), the trapped weight of infinitely many batteries."""
    return float(norm.cdf(z))


def scaled_trapped_weight(drive_over_coupling: float) -> tuple[Array, Array]:
    """Trapped weight against sqrt(N) - sqrt(N_e), for stars about N_e."""
    counts, z = _about_confinement(drive_over_coupling)
    return z, np.array([crossover.trapped_weight(n, drive_over_coupling) for n in counts])


def scaled_energy(drive_over_coupling: float, time: float) -> tuple[Array, Array]:
    """1 - 2 E(t)/(N omega) against sqrt(N) - sqrt(N_e), for stars about N_e and gamma = g."""
    counts, z = _about_confinement(drive_over_coupling)
    return z, 1.0 - 2.0 * np.array(_reached(drive_over_coupling, time, counts))


def scaled_plateau(drive_over_coupling: float) -> tuple[Array, Array]:
    """1 - 2 E/(N omega) before tunnelling against sqrt(N) - sqrt(N_e), with the spread."""
    counts, z = _about_confinement(drive_over_coupling)
    plateau = [crossover.plateau_energy(n, drive_over_coupling) for n in counts]
    return z, 1.0 - 2.0 * np.array(plateau)


def _reached(drive_over_coupling: float, time: float, counts: list[int]) -> list[float]:
    stars = [DephasedStar(batteries=n, drive=drive_over_coupling) for n in counts]
    return [float(s.energy([time])[0]) / s.batteries for s in stars]


def _about_confinement(drive_over_coupling: float) -> tuple[list[int], Array]:
    edge = np.sqrt(crossover.confinement_batteries(drive_over_coupling))
    roots = np.linspace(max(1.0, edge - 3.0), edge + 4.0, 22)
    counts = np.unique(np.round(roots**2)).astype(int)
    return counts.tolist(), np.sqrt(counts) - edge


def gap_at_crossover_exponent(first: int, last: int) -> float:
    """Slope of ln s_min against ln N at F = T, the largest link, from `first` to `last`."""
    check_at_least(1, first=first)
    check_at_least(first + 1, last=last)
    logs = [
        crossover.smallest_singular_value_log(n, (n + 1.0) / (2.0 * np.sqrt(n)))
        for n in (first, last)
    ]
    return float((logs[1] - logs[0]) / np.log(last / first))


def gap_width_exponent(first: float, last: float) -> float:
    """Power of N_c with which the batteries beyond N_c that halve s_min grow, between two F/g."""
    return _width_exponent(gap_width, crossover_batteries, first, last)


def gap_width_exponent_limit(first: float) -> float:
    """The same extrapolated to N_c -> infinity from F/g = first to 2 first and 2 first to 4 first.

    Corrections are taken as N_c^(-1/3), 1/l in units of the width.
    """
    near = gap_width_exponent(first, 2.0 * first)
    far = gap_width_exponent(2.0 * first, 4.0 * first)
    return float(far + (far - near) / (4.0 ** (1.0 / 3.0) - 1.0))


def trapped_width_exponent(first: float, last: float) -> float:
    """Power of N_e with which the batteries between trapped weights 0.1 and 0.9 grow."""
    return _width_exponent(_trapped_width, crossover.confinement_batteries, first, last)


def gap_width(drive_over_coupling: float) -> float:
    """Batteries beyond N_c at which s_min is half of its value there."""
    check_at_least(0.5, drive_over_coupling=drive_over_coupling)
    edge = crossover_batteries(drive_over_coupling)

    def log(batteries: int) -> float:
        return crossover.smallest_singular_value_log(batteries, drive_over_coupling)

    low = int(edge)
    high = low + 2
    at_edge = float(np.interp(edge, [low, low + 1], [log(low), log(low + 1)]))
    half = at_edge - float(np.log(2.0))
    while log(high) > half:
        low, high = high, high + 2 * (high - int(edge))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if log(middle) > half else (low, middle)
    # np.interp wants rising abscissae, and ln s_min falls
    return float(np.interp(-half, [-log(low), -log(high)], [low, high])) - edge


def _trapped_width(drive_over_coupling: float) -> float:
    edge = np.sqrt(crossover.confinement_batteries(drive_over_coupling))
    roots = np.linspace(edge - 2.5, edge + 2.5, 21)
    counts = np.unique(np.round(roots**2)).astype(int)
    shares = np.array([crossover.trapped_weight(int(n), drive_over_coupling) for n in counts])
    # the share is a staircase of levels that pass the saddle: its running maximum never falls
    low, high = np.interp([0.1, 0.9], np.maximum.accumulate(shares), counts)
    return float(high - low)


def _width_exponent(
    width: Callable[[float], float], edge: Callable[[float], float], first: float, last: float
) -> float:
    if not 0.5 <= first < last:
        raise ValueError(f"`first` must be at least 0.5 and below `last`, but is {first}")
    change = np.log(width(last) / width(first))
    return float(change / np.log(edge(last) / edge(first)))


_CLASSICAL = "leading order in 1/N; differs by less than 1 % from N = 1.2 N_e at F/g = 10"
_EXACT = "to rounding"
_SLOPE = "exact stars; drifts with the window by finite N, which the next window shows"
QUANTITIES = (
    Quantity.of(contour_energy, "omega", _CLASSICAL),
    Quantity.of(relative_energy, "omega", "exact solution, below 1e-9", kind="profile"),
    Quantity.of(confined_energy, "omega", _CLASSICAL),
    Quantity.of(plateau_energy, "omega", "leading order in 1/N; 0.006 about N_e at F/g = 10"),
    Quantity.of(trapped_weight, "1", _EXACT),
    Quantity.of(smallest_singular_value_decades, "1", "1e-12 however small"),
    Quantity.of(tunnelling_decades, "1", "exponent only: the prefactor is a power of N"),
    Quantity.of(gap_function, "1", "variational, below 1e-10"),
    Quantity.of(scaled_gap, "1", _EXACT, kind="profile"),
    Quantity.of(normal_distribution, "1", _EXACT),
    Quantity.of(scaled_trapped_weight, "1", _EXACT, kind="profile"),
    Quantity.of(scaled_energy, "1", "exact solution, below 1e-9", kind="profile"),
    Quantity.of(scaled_plateau, "1", "leading order in 1/N", kind="profile"),
    Quantity.of(gap_at_crossover_exponent, "1", _SLOPE),
    Quantity.of(gap_width_exponent, "1", _SLOPE),
    Quantity.of(
        gap_width_exponent_limit, "1", "0.002: the change from the last but one pair of windows"
    ),
    Quantity.of(trapped_width_exponent, "1", "as above, and the staircase of levels: 0.03"),
    Quantity.of(gap_width, "1", "linear between whole numbers of batteries: 0.01"),
)
