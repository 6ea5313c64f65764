"""The steady state itself: populations, tomograms, trial forms, the passive state."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.models.dephased_star import DephasedStar
from nmrqb.models.tomogram import husimi
from nmrqb.models.trial_states import (
    TrialPopulations,
    best_coherent_pair,
    coherent_pair,
    pair_fidelity,
)
from nmrqb.studies.reproduce.quantity import Quantity

Array = NDArray[np.float64]
TrialParameter = Literal["alpha", "beta", "alpha-over-beta", "mu", "zeta", "floor", "residual"]
#: relative change of the residual below which no data tell two values of beta apart
_FLAT = 1e-3


def steady_populations(star: DephasedStar) -> tuple[Array, Array]:
    """Probability of n excitations in the steady state, against n."""
    populations = star.steady_state().populations
    return np.arange(float(len(populations))), populations


def steady_population(star: DephasedStar, excitations: int) -> float:
    """Probability of n excitations in the steady state."""
    populations = star.steady_state().populations
    if not 0 <= excitations < len(populations):
        raise ValueError(f"`excitations` must be 0 to {len(populations) - 1}, but is {excitations}")
    return float(populations[excitations])


def density_matrix(star: DephasedStar) -> tuple[Array, Array, Array]:
    """|<n|rho|m>| of the steady state in Dicke states."""
    return _matrix_map(star.steady_state().matrix)


def husimi_function(star: DephasedStar) -> tuple[Array, Array, Array]:
    """Husimi function of the steady state over azimuth/pi and cos(theta)."""
    azimuths, cosines = np.linspace(-1.0, 1.0, 121), np.linspace(-1.0, 1.0, 81)
    return azimuths, cosines, husimi(star.steady_state().matrix, cosines, np.pi * azimuths)


def trial_populations(star: DephasedStar, beta: float) -> tuple[Array, Array]:
    """Trial form zeta + alpha/(e^(beta (n - mu)) - 1) + mirror image, fitted at a given beta."""
    fit = TrialPopulations.fitted(star.steady_state().populations, beta)
    return np.arange(star.batteries + 1.0), fit.populations()


def trial_differences(star: DephasedStar, beta: float, scale: float) -> tuple[Array, Array]:
    """Fitted trial form minus exact populations, times `scale`."""
    n, fitted = trial_populations(star, beta)
    return n, scale * (fitted - star.steady_state().populations)


def printed_populations(
    batteries: int, alpha: float, beta: float, mu: float, zeta: float
) -> tuple[Array, Array]:
    """Trial form with given parameters."""
    if beta <= 0.0:
        raise ValueError(f"`beta` must be positive, but is {beta}")
    trial = TrialPopulations(
        batteries=batteries, beta=beta, mu=mu, zeta=zeta, strength=alpha / beta
    )
    return np.arange(batteries + 1.0), trial.populations()


def printed_norm(batteries: int, alpha: float, beta: float, mu: float, zeta: float) -> float:
    """Sum of the populations of the trial form with given parameters."""
    return float(np.sum(printed_populations(batteries, alpha, beta, mu, zeta)[1]))


def trial_parameter(star: DephasedStar, parameter: TrialParameter, beta: float = 0.0) -> float:
    """Least-squares parameter of the trial form at a given beta."""
    populations = star.steady_state().populations
    fit = TrialPopulations.fitted(populations, beta)
    if parameter == "beta":
        flat = TrialPopulations.fitted(populations, 0.0).residual
        bent = TrialPopulations.fitted(populations, 0.05).residual
        if abs(bent / flat - 1.0) < _FLAT:
            raise ValueError(
                f"beta is not identifiable: the rms residual is {flat:.4g} at beta = 0 and "
                f"{bent:.4g} at 0.05, and any beta between fits as well"
            )
        raise ValueError("beta is given, not fitted")
    value: float = {
        "alpha": fit.alpha,
        "alpha-over-beta": fit.strength,
        "mu": fit.mu,
        "zeta": fit.zeta,
        "floor": fit.floor,
        "residual": fit.residual,
    }[parameter]
    return value


def mixture_matrix(star: DephasedStar) -> tuple[Array, Array, Array]:
    """|<n|sigma|m>| of the mixture of two spin-coherent states nearest to the steady state."""
    rho = star.steady_state().matrix
    full, empty, _ = best_coherent_pair(rho)
    pair = coherent_pair(star.batteries, full, empty)
    return _matrix_map(pair @ pair.conj().T)


def mixture_populations(star: DephasedStar) -> tuple[Array, Array]:
    """Populations of the mixture of two spin-coherent states nearest to the steady state."""
    n, _, matrix = mixture_matrix(star)
    return n, np.diagonal(matrix)


def best_mixture_fidelity(star: DephasedStar) -> float:
    """Largest fidelity tr sqrt(sqrt(rho) sigma sqrt(rho)) of two spin-coherent states."""
    return best_coherent_pair(star.steady_state().matrix)[2]


def best_mixture_xi(star: DephasedStar) -> float:
    """|xi| of the nearest two spin-coherent states (both the same)."""
    full, empty, _ = best_coherent_pair(star.steady_state().matrix)
    if abs(abs(full) - abs(empty)) > 1e-6:
        raise ValueError(f"the two |xi| differ: {abs(full):.5f} and {abs(empty):.5f}")
    return abs(full)


def printed_mixture_fidelity(star: DephasedStar, xi_full: float, xi_empty: float) -> float:
    """Fidelity of two spin-coherent states with given |xi|, in the best frame about z."""
    rho = star.steady_state().matrix
    return max(
        pair_fidelity(rho, coherent_pair(star.batteries, xi_full * turn, xi_empty / turn))
        for turn in np.exp(1j * np.linspace(0.0, 2.0 * np.pi, 361))
    )


def passive_populations(star: DephasedStar) -> tuple[Array, Array]:
    """Population of the energy levels of the passive state that the best unitary leaves.

    The largest of at most N + 1 eigenvalues fills the ground level, the others the N-fold first.
    """
    top = float(np.linalg.eigvalsh(star.steady_state().matrix)[-1])
    levels = np.zeros(star.batteries + 1)
    levels[:2] = top, 1.0 - top
    return np.arange(star.batteries + 1.0), levels


def largest_eigenvalue(star: DephasedStar) -> float:
    """Largest eigenvalue r_1 of rho_B: population of the passive state's ground level."""
    return float(np.linalg.eigvalsh(star.steady_state().matrix)[-1])


def _matrix_map(matrix: NDArray[np.complex128] | Array) -> tuple[Array, Array, Array]:
    n = np.arange(float(len(matrix)))
    return n, n, np.abs(matrix)


_EXACT = "exact solution by singular values; rounding below 1e-9"
_FIT = "least squares of exact populations, no noise; the residual says how well the form holds"
_BEST = "simplex search: xi to 1e-7, the fidelity, stationary there, to rounding"
QUANTITIES = (
    Quantity.of(steady_populations, "1", _EXACT, kind="profile"),
    Quantity.of(steady_population, "1", _EXACT),
    Quantity.of(density_matrix, "1", _EXACT, kind="map"),
    Quantity.of(husimi_function, "1", _EXACT, kind="map"),
    Quantity.of(trial_populations, "1", _FIT, kind="profile"),
    Quantity.of(trial_differences, "1", _FIT, kind="profile"),
    Quantity.of(printed_populations, "1", "rounding of the printed parameters", kind="profile"),
    Quantity.of(printed_norm, "1", "rounding of the printed parameters"),
    Quantity.of(trial_parameter, "1", _FIT),
    Quantity.of(mixture_matrix, "1", _BEST, kind="map"),
    Quantity.of(mixture_populations, "1", _BEST, kind="profile"),
    Quantity.of(best_mixture_fidelity, "1", _BEST),
    Quantity.of(best_mixture_xi, "1", _BEST),
    Quantity.of(printed_mixture_fidelity, "1", "azimuth on a grid of 1 degree: 1e-4"),
    Quantity.of(passive_populations, "1", _EXACT, kind="profile"),
    Quantity.of(largest_eigenvalue, "1", _EXACT),
)
