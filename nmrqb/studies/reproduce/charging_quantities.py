"""Energy against time and charging times of the driven, dephased star."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.charging_time import Definition
from nmrqb.models.dephased_star import DephasedStar
from nmrqb.studies.reproduce.quantity import Quantity

Array = NDArray[np.float64]


def stored_energy(star: DephasedStar, time: Array) -> Array:
    """Stored energy E(t) of all batteries."""
    return star.energy(time)


def stored_energy_per_battery(star: DephasedStar, time: Array) -> Array:
    """Stored energy E(t)/N."""
    return star.energy(time) / star.batteries


def ergotropy(star: DephasedStar, time: Array) -> Array:
    """Collective ergotropy W(t) of all batteries."""
    return np.asarray(star.charging_curve(time).ergotropy, dtype=np.float64)


def charging_time(star: DephasedStar, definition: Definition, n: float = 1.0) -> float:
    """Charging time in the named definition (threshold e^-n, fit or slowest-mode)."""
    return star.charging_time(definition, n).value


def optimal_dephasing(star: DephasedStar, definition: Definition, n: float = 1.0) -> float:
    """Dephasing gamma* of the shortest charging time in the named definition."""
    return star.optimal_dephasing(definition, n).value


def shortest_charging_time(star: DephasedStar, definition: Definition, n: float = 1.0) -> float:
    """Charging time tau* at the optimal dephasing, in the named definition."""
    return star.optimal_dephasing(definition, n).charging_time.value


_CURVE = "exact on resonance, below 1e-9; the general engine holds 1e-7"
_TIME = "exact modes; threshold and slowest mode to rounding, the fit to its minimum"
QUANTITIES = (
    Quantity.of(stored_energy, "omega", _CURVE, over="time"),
    Quantity.of(stored_energy_per_battery, "omega", _CURVE, over="time"),
    Quantity.of(ergotropy, "omega", _CURVE, over="time"),
    Quantity.of(charging_time, "1/g", _TIME),
    Quantity.of(optimal_dephasing, "g", "exact for slowest-mode, else a grid zoomed to 1e-4"),
    Quantity.of(shortest_charging_time, "1/g", "as the charging time at gamma*"),
)
