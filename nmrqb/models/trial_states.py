"""Trial forms for the steady state of a star: Bose-like populations, two spin-coherent states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import comb

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPopulations:
    """p_n = zeta + alpha/(e^(beta (n - mu)) - 1) + alpha/(e^(beta (N - n - mu)) - 1).

    For small beta the form tends to zeta - alpha + (alpha/beta) [1/(n - mu) + 1/(N - n - mu)]: then
    alpha/beta, mu and zeta - alpha are what populations can tell.

    Attributes
    ----------
    batteries : int
        N.
    beta, mu, zeta : float
        beta >= 0; mu < 0.
    strength : float
        alpha/beta, which stays finite at beta = 0.
    residual : float
        Root mean square of the differences from the fitted populations.
    """

    batteries: int
    beta: float
    mu: float
    zeta: float
    strength: float
    residual: float = 0.0

    @property
    def alpha(self) -> float:
        """The weight alpha = (alpha/beta) beta."""
        return self.strength * self.beta

    @property
    def floor(self) -> float:
        """The level zeta - alpha that small beta leaves."""
        return self.zeta - self.alpha

    def populations(self) -> Array:
        """Return p_n for n = 0..N."""
        return np.asarray(self.zeta + self.strength * _bose(self.batteries, self.beta, self.mu))

    @classmethod
    def fitted(cls, populations: Array, beta: float) -> TrialPopulations:
        """Return the least-squares fit of alpha, mu and zeta at a given beta.

        Parameters
        ----------
        populations : ndarray, shape (N + 1,)
        beta : float
            At least 0.
        """
        if not (np.isfinite(beta) and beta >= 0.0):
            raise ValueError(f"`beta` must be finite and at least 0, but is {beta}")
        p = np.asarray(populations, dtype=np.float64)
        batteries = len(p) - 1

        def linear(mu: float) -> tuple[Array, float]:
            columns = np.stack([np.ones(len(p)), _bose(batteries, beta, mu)], axis=1)
            found: Array = np.asarray(np.linalg.lstsq(columns, p)[0], dtype=np.float64)
            return found, float(np.sum((columns @ found - p) ** 2))

        best = minimize_scalar(
            lambda log: linear(-np.exp(log))[1], bounds=(-6.0, 4.0), method="bounded",
            options={"xatol": 1e-10},
        )  # fmt: skip
        mu = -float(np.exp(best.x))
        (zeta, strength), squares = linear(mu)
        return cls(
            batteries=batteries,
            beta=beta,
            mu=mu,
            zeta=float(zeta),
            strength=float(strength),
            residual=float(np.sqrt(squares / len(p))),
        )


def _bose(batteries: int, beta: float, mu: float) -> Array:
    """Return beta/(e^(beta (n - mu)) - 1) and its mirror image, summed; 1/(n - mu) at beta = 0."""
    n = np.arange(batteries + 1.0)
    if beta == 0.0:
        return np.asarray(1.0 / (n - mu) + 1.0 / (batteries - n - mu))
    return np.asarray(
        beta / np.expm1(beta * (n - mu)) + beta / np.expm1(beta * (batteries - n - mu))
    )


def coherent_pair(batteries: int, xi_full: complex, xi_empty: complex) -> ComplexArray:
    """Return A of the mixture A A^+ = (|psi1><psi1| + |psi2><psi2|)/2 in the Dicke states.

    psi1 ~ e^(xi_full S_-)|N/2, N/2> starts from the full battery and
    psi2 ~ e^(xi_empty S_+)|N/2, -N/2> from the empty one; both are normalised.

    Returns
    -------
    ndarray, shape (N + 1, 2)
        psi1/sqrt(2) and psi2/sqrt(2), n = 0..N excitations down.
    """
    k = np.arange(batteries + 1)
    columns = []
    for xi, order in ((xi_full, -1), (xi_empty, 1)):
        ket = np.sqrt(comb(batteries, k)) * np.asarray(xi, dtype=np.complex128) ** k
        columns.append(ket[::order] / np.linalg.norm(ket))
    return np.asarray(np.stack(columns, axis=1) / np.sqrt(2.0), dtype=np.complex128)


def pair_fidelity(rho: ComplexArray | Array, pair: ComplexArray) -> float:
    """Return tr sqrt(sqrt(rho) A A^+ sqrt(rho)), 1 for equal states (not its square).

    It is the sum of the singular values of sqrt(rho) A: no root of a rounded zero is taken.
    """
    values, vectors = np.linalg.eigh(rho)
    root = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.conj().T
    return float(np.sum(np.linalg.svd(root @ pair, compute_uv=False)))


def best_coherent_pair(rho: ComplexArray | Array) -> tuple[complex, complex, float]:
    """Return (xi_full, xi_empty, fidelity) of the mixture nearest to `rho`, over complex xi."""
    batteries = len(rho) - 1

    def infidelity(p: Array) -> float:
        return 1.0 - pair_fidelity(
            rho, coherent_pair(batteries, complex(p[0], p[1]), complex(p[2], p[3]))
        )

    # a start for either sign of the phase between drive and coupling
    starts = ((-0.3, 0.05, -0.2, -0.05), (0.3, 0.05, 0.2, -0.05))
    found = min(
        (
            minimize(
                infidelity,
                start,
                method="Nelder-Mead",
                options={"xatol": 1e-9, "fatol": 1e-15, "maxiter": 4000, "maxfev": 4000},
            )
            for start in starts
        ),
        key=lambda result: float(result.fun),
    )
    p = found.x
    return complex(p[0], p[1]), complex(p[2], p[3]), 1.0 - float(found.fun)
