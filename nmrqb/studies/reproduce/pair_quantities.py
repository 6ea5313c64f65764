"""One charger, one battery: printed laws, transients, detuning, single runs in noise."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

from nmrqb.models.dephased_star import DephasedStar
from nmrqb.models.unravelling import Picture, Trajectories, unravel
from nmrqb.studies.reproduce.quantity import Quantity, check_at_least

Array = NDArray[np.float64]


def pair_ergotropy(
    drive_over_coupling: float, form: Literal["derived", "printed"] = "derived"
) -> float:
    """W(inf) = x/(1 + 4 x^2) of one qubit pair, x = F/g; printed without its 4."""
    x = drive_over_coupling
    return x / (1.0 + (4.0 if form == "derived" else 1.0) * x * x)


def dephasing_estimate(
    drive_over_coupling: float, limit: Literal["strong-drive", "weak-drive"]
) -> float:
    """Crossing of the limiting laws of tau: gamma = 2 sqrt2 g, or 4 sqrt2 F^2/g at weak drive."""
    if limit == "strong-drive":
        return float(2.0 * np.sqrt(2.0))
    return float(4.0 * np.sqrt(2.0) * drive_over_coupling**2)


def weak_drive_prefactor(star: DephasedStar) -> float:
    """The c of tau = c g^2 gamma/F^4: slowest-mode time over g^2 gamma/F^4."""
    time = star.charging_time("slowest-mode").value
    return time * star.drive**4 / (star.coupling**2 * star.dephasing)


def decay_rate(star: DephasedStar) -> float:
    """Rate 1/tau of the slowest mode."""
    return 1.0 / star.charging_time("slowest-mode").value


def mean_energy(star: DephasedStar, duration: float) -> float:
    """Stored energy averaged over the first `duration` of charging."""
    return float(_moments(star, 0.0, duration)[0])


def timing_spread(star: DephasedStar, time: float, jitter: float) -> float:
    """Standard deviation of E where charging stops at a random time in time (1 +- jitter)."""
    if not 0.0 < jitter < 1.0:
        raise ValueError(f"`jitter` must lie between 0 and 1, but is {jitter}")
    mean, square = _moments(star, time * (1.0 - jitter), time * (1.0 + jitter))
    return float(np.sqrt(max(0.0, square - mean * mean)))


def _moments(star: DephasedStar, first: float, last: float) -> tuple[float, float]:
    """Return mean and mean square of E over a stretch of time."""
    if not first < last:
        raise ValueError(f"the stretch of time must be positive, but is {last - first}")
    # 16 points of Gauss on each piece; a piece holds at most two radians of the fastest mode of E
    links = star.collective_coupling * (star.batteries + 1.0) / 2.0
    offsets = abs(star.drive_detuning) + abs(star.charger_detuning)
    pieces = max(1, int(np.ceil((last - first) * (star.drive + links + offsets))))
    edges = np.linspace(first, last, pieces + 1)
    nodes, weights = leggauss(16)
    half = np.diff(edges)[:, None] / 2.0
    times = ((edges[:-1] + edges[1:])[:, None] / 2.0 + half * nodes).ravel()
    energy = star.energy(times)
    share = (half * weights).ravel() / (last - first)
    return float(share @ energy), float(share @ energy**2)


def locked_share(star: DephasedStar) -> float:
    """(E - W)/E of the steady state: what no unitary gets out, over what is stored."""
    state = star.steady_state()
    return state.passive_energy / _stored(state.energy)


def gap_over_energy(star: DephasedStar) -> float:
    """One level omega over the stored energy: bounds (E - W)/E of symmetric states."""
    return star.omega / _stored(star.steady_state().energy)


def _stored(energy: float) -> float:
    if energy <= 0.0:
        raise ValueError("nothing is stored, so a share of the energy has no value")
    return energy


# single runs -------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _runs(
    star: DephasedStar, picture: Picture, seed: int, runs: int, duration: float, points: int
) -> Trajectories:
    check_at_least(0, seed=seed, duration=duration)
    check_at_least(2, points=points)
    times = np.linspace(0.0, duration, points)
    return unravel(star, times, runs=runs, rng=np.random.default_rng(seed), picture=picture)


def single_run(
    star: DephasedStar,
    picture: Picture,
    which: int,
    seed: int,
    runs: int,
    duration: float,
    points: int,
) -> tuple[Array, Array]:
    """Stored energy of one run, the noise (or the record) of its own seed."""
    found = _runs(star, picture, seed, runs, duration, points)
    if not 0 <= which < runs:
        raise ValueError(f"`which` must be 0 to {runs - 1}, but is {which}")
    return found.times, found.energy[which]


def mean_of_runs(
    star: DephasedStar, picture: Picture, seed: int, runs: int, duration: float, points: int
) -> tuple[Array, Array]:
    """Mean stored energy of all runs."""
    found = _runs(star, picture, seed, runs, duration, points)
    return found.times, found.mean_energy


def deviation_of_runs(
    star: DephasedStar, picture: Picture, seed: int, runs: int, duration: float, points: int
) -> float:
    """Largest |mean of runs - master equation| in standard errors of the mean."""
    found = _runs(star, picture, seed, runs, duration, points)
    distance = np.abs(found.mean_energy - star.energy(found.times))[1:]
    return float(np.max(distance / (found.energy_stderr[1:] + found.bias)))


def field_decay(field_density: float) -> float:
    """Decay rate of the charger's coherence in a field B sigma_z, <B B'> = field_density delta."""
    # the phase 2 int B dt has the variance 4 S t, and <e^(i phase)> = e^(-2 S t)
    return 2.0 * field_density


_EXACT = "exact on resonance, rounding below 1e-9; the general engine holds 1e-7"
_RUNS = "standard error of the mean of runs; step bias below it, computed"
QUANTITIES = (
    Quantity.of(pair_ergotropy, "omega", "closed form"),
    Quantity.of(dephasing_estimate, "g", "closed form; an estimate of the optimum"),
    Quantity.of(weak_drive_prefactor, "1", _EXACT),
    Quantity.of(decay_rate, "g", _EXACT),
    Quantity.of(mean_energy, "omega", "Gauss quadrature of the curve, below 1e-7"),
    Quantity.of(timing_spread, "omega", "Gauss quadrature of the curve, below 1e-7"),
    Quantity.of(locked_share, "1", _EXACT),
    Quantity.of(gap_over_energy, "1", _EXACT),
    Quantity.of(single_run, "omega", "one realisation", kind="profile"),
    Quantity.of(mean_of_runs, "omega", _RUNS, kind="profile"),
    Quantity.of(deviation_of_runs, "standard errors", _RUNS),
    Quantity.of(field_decay, "1/time", "closed form"),
)
