"""Steady states of the driven, dephased star."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.models.dephased_star import DephasedStar
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


def locked_energy_limit(drive_over_coupling: float) -> float:
    """a(inf) = lim N (1 - W/E), Kac normalisation, in closed form."""
    return limit_of_locked_energy(drive_over_coupling)


def steady_populations(star: DephasedStar) -> tuple[Array, Array]:
    """Probability of n excitations in the steady state, against n."""
    populations = star.steady_state().populations
    return np.arange(float(len(populations))), populations


_EXACT = "exact solution by singular values; rounding below 1e-9"
QUANTITIES = (
    Quantity.of(steady_energy, "omega", _EXACT),
    Quantity.of(steady_ergotropy, "omega", _EXACT),
    Quantity.of(steady_ratio, "1", _EXACT),
    Quantity.of(locked_energy, "1", "exact solution by singular values; rounding below N 1e-9"),
    Quantity.of(
        locked_energy_fit, "1", "exact points; what it means is set by the window, not by an error"
    ),
    Quantity.of(locked_energy_limit, "1", "closed form; rounding only"),
    Quantity.of(steady_populations, "1", _EXACT, kind="profile"),
)
