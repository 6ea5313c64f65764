"""Steady states of the driven, dephased star."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.models.dephased_star import DephasedStar
from nmrqb.models.large_star import locked_energy_bound as bound_of_locked_energy
from nmrqb.models.large_star import locked_energy_limit as limit_of_locked_energy
from nmrqb.studies.reproduce.quantity import Quantity

Array = NDArray[np.float64]


def steady_energy(star: DephasedStar) -> float:
    """Stored energy E(inf) of all batteries."""
    return star.steady_state().energy


def steady_ergotropy(star: DephasedStar) -> float:
    """Collective ergotropy W(inf) of all batteries."""
    return star.steady_state().ergotropy


def steady_ratio(star: DephasedStar) -> float:
    """W/E of the steady state."""
    state = star.steady_state()
    if state.energy <= 0.0:
        raise ValueError("nothing is stored, so W/E has no value")
    return state.ergotropy / state.energy


def locked_energy(star: DephasedStar) -> float:
    """a_N = N (1 - W/E) of the steady state."""
    return star.batteries * (1.0 - steady_ratio(star))


def locked_energy_fit(star: DephasedStar, first: int, last: int) -> float:
    """The a of W/E = 1 - a/N, least squares over the steady states of N = first..last."""
    if not 1 <= first <= last:
        raise ValueError(f"`first` must be 1 to `last`, but is {first} (last {last})")
    counts = np.arange(first, last + 1)
    loss = np.array([1.0 - steady_ratio(replace(star, batteries=int(n))) for n in counts])
    return float(np.sum(loss / counts) / np.sum(1.0 / counts**2))


def one_minus_a_over_n(batteries: int, a: float) -> float:
    """The published form 1 - a/N with a given a."""
    if batteries < 1:
        raise ValueError(f"`batteries` must be at least 1, but is {batteries}")
    return 1.0 - a / batteries


def locked_energy_limit(drive_over_coupling: float) -> float:
    """a(inf) = lim N (1 - W/E), Kac normalisation, in closed form."""
    return limit_of_locked_energy(drive_over_coupling)


def printed_number(value: float) -> float:
    """A printed number, to be drawn as a level."""
    return value


def locked_energy_bound(batteries: int) -> float:
    """Largest a_N of any state of the symmetric sector with E = N omega/2: 2 N/(N + 1)."""
    return 2.0 * bound_of_locked_energy(batteries)


def passive_energy(star: DephasedStar) -> float:
    """E - W of the steady state, locked in all batteries together."""
    return star.steady_state().passive_energy


def passive_energy_bound(batteries: int) -> float:
    """Largest E - W of any state of the symmetric sector: omega N/(N + 1)."""
    return bound_of_locked_energy(batteries)


def locked_over_delta(star: DephasedStar) -> float:
    """a_N/delta_N with delta_N = 1 - r_1 from the largest eigenvalue r_1 of rho_B."""
    top = float(np.linalg.eigvalsh(star.steady_state().matrix)[-1])
    return locked_energy(star) / (1.0 - top)


_EXACT = "exact solution by singular values; rounding below 1e-9"
QUANTITIES = (
    Quantity.of(steady_energy, "omega", _EXACT),
    Quantity.of(steady_ergotropy, "omega", _EXACT),
    Quantity.of(steady_ratio, "1", _EXACT),
    Quantity.of(locked_energy, "1", "exact solution by singular values; rounding below N 1e-9"),
    Quantity.of(
        locked_energy_fit, "1", "exact points; what it means is set by the window, not by an error"
    ),
    Quantity.of(one_minus_a_over_n, "1", "as printed"),
    Quantity.of(printed_number, "1", "as printed"),
    Quantity.of(locked_energy_limit, "1", "closed form; rounding only"),
    Quantity.of(locked_energy_bound, "1", "closed form; rounding only"),
    Quantity.of(passive_energy, "omega", _EXACT),
    Quantity.of(passive_energy_bound, "omega", "closed form; rounding only"),
    Quantity.of(locked_over_delta, "1", _EXACT),
)
