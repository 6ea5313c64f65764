"""Energy against time and charging times of the driven, dephased star."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from nmrqb.battery.charging_time import Definition
from nmrqb.models.charging_times import OptimalDephasing
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


@lru_cache(maxsize=512)
def _optimum(star: DephasedStar, definition: Definition, n: float) -> OptimalDephasing:
    # curves and rows ask for the same stars, and a scan of fits takes half a second
    return star.optimal_dephasing(definition, n)


def optimal_dephasing(star: DephasedStar, definition: Definition, n: float = 1.0) -> float:
    """Dephasing gamma* of the shortest charging time in the named definition."""
    return _optimum(star, definition, n).value


def shortest_charging_time(star: DephasedStar, definition: Definition, n: float = 1.0) -> float:
    """Charging time tau* at the optimal dephasing, in the named definition."""
    return _optimum(star, definition, n).charging_time.value


def largest_energy_within(star: DephasedStar, duration: float) -> float:
    """Largest E(t)/N of the first `duration` of charging: what an experiment reaches."""
    return star.energy_within(duration) / star.batteries


def charging_exponent(
    star: DephasedStar,
    definition: Definition,
    first: int,
    last: int,
    at: Literal["optimal-dephasing", "given-dephasing"],
    parameter: Literal["exponent", "prefactor"] = "exponent",
    errors: Literal["relative", "absolute"] = "relative",
) -> float:
    """Power law A N^p of the charging time, least squares over N = first..last.

    Equal relative errors (of the logarithms), or equal absolute ones (of the times themselves,
    which the largest N dominates).
    """
    if not 1 <= first < last:
        raise ValueError(f"`first` must be at least 1 and below `last`, but is {first}")
    counts = np.arange(first, last + 1)
    of = shortest_charging_time if at == "optimal-dephasing" else charging_time
    times = [of(replace(star, batteries=int(n)), definition) for n in counts]
    exponent, offset = np.polyfit(np.log(counts), np.log(times), 1)
    if errors == "absolute":
        scaled = np.array(times) / max(times)

        def residuals(p: Array) -> Array:
            return np.asarray(np.exp(p[1]) * counts ** p[0] - scaled, dtype=np.float64)

        start = (exponent, offset - np.log(max(times)))
        found = least_squares(residuals, start, xtol=1e-14, ftol=1e-14, gtol=1e-14)
        exponent, offset = found.x[0], found.x[1] + np.log(max(times))
    return float(exponent if parameter == "exponent" else np.exp(offset))


def power_law(batteries: int, prefactor: float, exponent: float) -> float:
    """A N^p with given A and p: a printed fit."""
    return float(prefactor * batteries**exponent)


def power_law_in_rate(rate: float, prefactor: float, exponent: float) -> float:
    """A gamma^p with given A and p: a limiting law."""
    return float(prefactor * rate**exponent)


_CURVE = "exact on resonance, below 1e-9; the general engine holds 1e-7"
_TIME = "exact modes; threshold and slowest mode to rounding, the fit to its minimum"
QUANTITIES = (
    Quantity.of(stored_energy, "omega", _CURVE, over="time"),
    Quantity.of(stored_energy_per_battery, "omega", _CURVE, over="time"),
    Quantity.of(ergotropy, "omega", _CURVE, over="time"),
    Quantity.of(charging_time, "1/g", _TIME),
    Quantity.of(optimal_dephasing, "g", "exact for slowest-mode, else a grid zoomed to 1e-4"),
    Quantity.of(shortest_charging_time, "1/g", "as the charging time at gamma*"),
    Quantity.of(largest_energy_within, "omega", "largest of 800 exact points: from below by 1 %"),
    Quantity.of(
        charging_exponent, "1", "exact times; the law is no power, so the window sets the number"
    ),
    Quantity.of(power_law, "1/g", "as printed"),
    Quantity.of(power_law_in_rate, "1/g", "a closed form"),
)
