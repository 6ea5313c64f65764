"""Single runs of a dephased star, whose average is its master equation.

Two physical pictures of the same dephasing L = sqrt(gamma) n_C:

- *noisy field*: n_C sees white noise; in a step dt the charger turns by a Gaussian angle of
  variance gamma dt.  As H' = B(t) sigma_z this is <B(t) B(t')> = (gamma/4) delta(t - t').
- *weak measurement* of n_C: the record dy = 2 sqrt(gamma) <n_C> dt + dW acts back by the factor
  exp(sqrt(gamma) n dy - gamma n^2 dt), normalised.

Both steps are sampled exactly (no Euler step: norm and positivity hold, and their average is the
dephasing over dt without error).  What is left is the splitting between H and the dephasing,
symmetric and of order dt^2; `bias` is this error of the mean energy, computed, not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from nmrqb.models.dephased_star import DephasedStar

Array = NDArray[np.float64]
ComplexMatrix = NDArray[np.complex128]
Picture = Literal["noisy-field", "weak-measurement"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectories:
    """Runs of one star.

    Attributes
    ----------
    times : ndarray, shape (points,)
    energy : ndarray, shape (runs, points)
        Stored energy of each run.
    charger : ndarray, shape (runs, points)
        Excitations of the charger.
    record : ndarray, shape (runs, points) or None
        Integrated measurement record y(t); None for a noisy field.
    bias : float
        Largest error of the mean energy from the finite step.
    step : float
        Longest step dt.
    picture : {"noisy-field", "weak-measurement"}
    """

    times: Array
    energy: Array
    charger: Array
    record: Array | None
    bias: float
    step: float
    picture: Picture

    @property
    def mean_energy(self) -> Array:
        """Average over the runs, shape (points,)."""
        return np.asarray(self.energy.mean(axis=0), dtype=np.float64)

    @property
    def energy_stderr(self) -> Array:
        """Standard error of the average, shape (points,)."""
        spread = self.energy.std(axis=0, ddof=1)
        return np.asarray(spread / np.sqrt(len(self.energy)), dtype=np.float64)


def unravel(
    star: DephasedStar,
    times: ArrayLike,
    *,
    runs: int,
    rng: np.random.Generator,
    picture: Picture = "noisy-field",
    step: float | None = None,
) -> Trajectories:
    """Return single runs of `star` from empty.

    Parameters
    ----------
    star : DephasedStar
        Qubits, dephasing of the charger its only loss; detunings are allowed.
    times : array_like, shape (points,)
        Rising, in the inverse unit of the rates.
    runs : int
        Number of runs, at least 2.
    rng : numpy.random.Generator
        The only source of randomness.
    picture : {"noisy-field", "weak-measurement"}
    step : float, optional
        Longest dt; by default a twentieth of the inverse of the fastest rate.

    Raises
    ------
    ValueError
        For stars with other losses (their runs are not of this form).
    """
    if picture not in ("noisy-field", "weak-measurement"):
        raise ValueError(
            f"`picture` must be one of noisy-field, weak-measurement, but is {picture!r}"
        )
    if runs < 2:
        raise ValueError(f"`runs` must be at least 2, but is {runs}")
    engine = star.dicke_engine()
    times = np.atleast_1d(np.asarray(times, dtype=np.float64))
    energies = star.energy(times)  # checks the times
    hamiltonian = engine.hamiltonian()
    fastest = float(np.max(np.abs(np.linalg.eigvalsh(hamiltonian)))) + star.dephasing
    longest = step if step is not None else 0.05 / max(fastest, 1e-300)
    if not longest > 0.0:
        raise ValueError(f"`step` must be positive, but is {step}")
    _, n_c, _, n_b = (np.diag(o) for o in engine.operators())
    gamma = star.dephasing
    psi = np.zeros((runs, engine.dimension), dtype=np.complex128)
    psi[:, 0] = 1.0
    rho = np.zeros((engine.dimension,) * 2, dtype=np.complex128)
    rho[0, 0] = 1.0
    record = np.zeros(runs)
    seen: list[tuple[Array, Array, Array]] = []
    bias = 0.0
    before = 0.0
    for t, energy in zip(times, energies, strict=True):
        steps = int(np.ceil((t - before) / longest * (1.0 - 1e-12)))
        if steps:
            dt = (t - before) / steps
            half = scipy.linalg.expm(-0.5j * hamiltonian * dt)
            decay = np.exp(-gamma * dt / 2.0 * np.subtract.outer(n_c, n_c) ** 2)
            for _ in range(steps):
                psi = psi @ half.T
                if picture == "noisy-field":
                    angle = rng.normal(scale=np.sqrt(gamma * dt), size=(runs, 1))
                    psi = psi * np.exp(-1j * angle * n_c)
                else:
                    psi, dy = _measured(psi, n_c, gamma, dt, rng)
                    record = record + dy
                psi = psi @ half.T
                rho = half @ (decay * (half @ rho @ half.conj().T)) @ half.conj().T
        before = float(t)
        weight = np.abs(psi) ** 2
        seen.append((weight @ n_b, weight @ n_c, record))
        bias = max(bias, abs(star.omega * float(np.diag(rho).real @ n_b) - float(energy)))
    battery, charger, records = (np.stack(column, axis=1) for column in zip(*seen, strict=True))
    return Trajectories(
        times=times,
        energy=star.omega * battery,
        charger=charger,
        record=records if picture == "weak-measurement" else None,
        bias=bias,
        step=longest,
        picture=picture,
    )


def _measured(
    psi: ComplexMatrix, n_c: Array, gamma: float, dt: float, rng: np.random.Generator
) -> tuple[ComplexMatrix, Array]:
    """Return the states after a weak measurement of n_C and its records dy."""
    # the record is a Gaussian of variance dt about 2 sqrt(gamma) n dt, n drawn from the state
    chosen = (np.cumsum(np.abs(psi) ** 2, axis=1) < rng.random((len(psi), 1))).sum(axis=1)
    n = n_c[np.minimum(chosen, len(n_c) - 1)]
    dy = 2.0 * np.sqrt(gamma) * n * dt + np.sqrt(dt) * rng.normal(size=len(psi))
    psi = psi * np.exp(np.sqrt(gamma) * np.outer(dy, n_c) - gamma * dt * n_c**2)
    return psi / np.linalg.norm(psi, axis=1, keepdims=True), dy
