"""Oscillator batteries on a driven, dephased charger, on resonance, from empty: exact.

N equal oscillators on one charger are one bright mode with the coupling lambda; the others stay
empty.  The displacement b = a + alpha, alpha = F/lambda, takes the drive out of the Hamiltonian.

*Qubit charger.*  K = F + lambda a = lambda b: its singular vectors are displaced number states v_n
with s_n = lambda sqrt(n), u_n = v_(n-1), and |0> is a coherent state of b, c_n^2 = Pois(n; B) with
B = alpha^2.

*Oscillator charger.*  The number of quanta n_a + n_b is conserved.  On the operators between n and
n' quanta the Liouvillian is made of the total angular momentum of n/2 and n'/2 alone,
-2 i lambda T_x - (gamma/2)(T_z + (n - n')/2)^2: each irreducible part l moves by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.special import gammaln, pdtrc

from nmrqb.models.damped import ModeSum, damped_oscillator

Array = NDArray[np.float64]

#: weight of a Poisson distribution that may be left out: squared norm of a coherent state
DISCARDED_WEIGHT = 1e-26
#: quanta up to which states (not energies) are computed
MOST_QUANTA_OF_STATE = 600
MOST_QUANTA_OF_OSCILLATOR_CHARGER = 80


def coherent_amplitudes(mean: float) -> Array:
    """Return sqrt(Pois(n; B)) for n = 0.. as far as the weight left out is below 1e-26.

    Parameters
    ----------
    mean : float
        B, the mean number of quanta.
    """
    levels = int(np.ceil(mean + 12.0 * np.sqrt(mean) + 25.0))
    while pdtrc(levels - 1, mean) > DISCARDED_WEIGHT:
        levels = int(1.1 * levels) + 1
    needed = 1 + int(np.count_nonzero(pdtrc(np.arange(levels), mean) > DISCARDED_WEIGHT))
    n = np.arange(max(2, needed))
    log = n * np.log(mean) - mean - gammaln(n + 1.0) if mean > 0.0 else np.where(n, -np.inf, 0.0)
    return np.asarray(np.exp(log / 2.0), dtype=np.float64)


def displaced_states(alpha: float, count: int) -> Array:
    """Return <m|v_n>: number states of b = a + alpha in number states of a.

    Returns
    -------
    ndarray, shape (levels, count)
        Enough levels for all columns to hold their norm to 1e-12; <0|v_n> > 0.
    """
    levels = int(np.ceil((np.sqrt(count) + alpha + 6.0) ** 2)) + 10
    # b^+ b = a^+ a + alpha (a + a^+) + alpha^2 is tridiagonal
    n = np.arange(levels)
    diagonal, off = n + alpha**2, alpha * np.sqrt(n[1:])
    _, vectors = scipy.linalg.eigh_tridiagonal(
        diagonal, off, select="i", select_range=(0, count - 1)
    )
    return np.asarray(vectors * np.where(vectors[0] < 0.0, -1.0, 1.0), dtype=np.float64)


def _checked(levels: int, most: int) -> None:
    if levels > most:
        raise ValueError(
            f"the state of this oscillator battery needs {levels} displaced levels, but states are "
            f"computed up to {most}: lower drive/coupling (energies have no such limit)"
        )


@dataclass(frozen=True, slots=True)
class QubitChargedOscillator:
    """Qubit charger, oscillator battery.

    Parameters
    ----------
    drive, coupling, dephasing : float
        F, lambda > 0 and gamma in one angular unit.

    Attributes
    ----------
    weights : ndarray
        c_n = <v_n|0>.
    excitations, charger : ModeSum
        Mean number of quanta in the battery, of excitations in the charger.
    """

    drive: float
    coupling: float
    dephasing: float
    weights: Array = field(init=False, repr=False)
    excitations: ModeSum = field(init=False, repr=False)
    charger: ModeSum = field(init=False, repr=False)

    def __post_init__(self) -> None:
        alpha = self.drive / self.coupling
        mean = alpha**2
        c = coherent_amplitudes(mean)
        n = np.arange(1, len(c))
        s = self.coupling * np.sqrt(n)
        # <n_a> = b^+ b - alpha (b + b^+) + B between v_k, v_(k+1), and between u_k, u_(k+1)
        twice = 2.0 * s
        diagonal = c[1:] ** 2 / 2.0  # (k + B) - (k - 1 + B) = 1, of D(2 s_k)
        k = np.arange(len(c) - 1)
        between = -alpha * c[:-1] * c[1:]
        up, low = np.sqrt(k + 1.0), np.sqrt(k)
        s_low = self.coupling * np.sqrt(k)
        total = ModeSum(
            final=2.0 * mean + (np.exp(-mean) - 1.0) / 2.0,
            amplitudes=np.concatenate([diagonal, between * (up + low), between * (up - low)]),
            frequencies=np.concatenate([twice, s - s_low, s + s_low]),
            dephasing=self.dephasing,
        )
        charger = ModeSum(
            final=-np.expm1(-mean) / 2.0,
            amplitudes=-diagonal,
            frequencies=twice,
            dephasing=self.dephasing,
        )
        object.__setattr__(self, "weights", c)
        object.__setattr__(self, "excitations", total.pruned(1e-14 * (1.0 + mean))[0])
        object.__setattr__(self, "charger", charger)

    def number_states(self) -> Array:
        """Return <m|v_n>, from displaced number states to number states.

        Raises
        ------
        ValueError
            For more than 600 displaced levels.
        """
        _checked(len(self.weights), MOST_QUANTA_OF_STATE)
        return displaced_states(self.drive / self.coupling, len(self.weights))

    def displaced(self, times: Array) -> Iterator[Array]:
        """Yield rho_B in the displaced number states at each time."""
        c = self.weights
        s = self.coupling * np.sqrt(np.arange(len(c)))
        cc = np.outer(c, c)
        for t in np.asarray(times, dtype=np.float64):
            less = damped_oscillator(np.abs(s[:, None] - s[None, :]), self.dephasing, t)
            more = damped_oscillator(s[:, None] + s[None, :], self.dephasing, t)
            rho = cc * (less + more) / 2.0
            # charger excited: u_k = v_(k-1)
            rho[:-1, :-1] += (cc * (less - more) / 2.0)[1:, 1:]
            yield rho

    def steady_displaced(self) -> Array:
        """Return the diagonal rho_B for t -> infinity in the displaced number states."""
        p = self.weights**2
        steady = p / 2.0
        steady[0] += p[0] / 2.0
        steady[:-1] += p[1:] / 2.0
        return np.diag(steady)


@dataclass(frozen=True, slots=True)
class OscillatorChargedOscillator:
    """Oscillator charger, oscillator battery: parameters and attributes as above."""

    drive: float
    coupling: float
    dephasing: float
    weights: Array = field(init=False, repr=False)
    excitations: ModeSum = field(init=False, repr=False)
    charger: ModeSum = field(init=False, repr=False)

    def __post_init__(self) -> None:
        mean = (self.drive / self.coupling) ** 2
        g = self.coupling
        battery = ModeSum(
            final=1.5 * mean,
            amplitudes=np.array([-2.0 * mean, mean / 2.0]),
            frequencies=np.array([g, 2.0 * g]),
            dephasing=self.dephasing,
        )
        charger = ModeSum(
            final=mean / 2.0,
            amplitudes=np.array([-mean / 2.0]),
            frequencies=np.array([2.0 * g]),
            dephasing=self.dephasing,
        )
        object.__setattr__(self, "weights", coherent_amplitudes(mean))
        object.__setattr__(self, "excitations", battery)
        object.__setattr__(self, "charger", charger)

    def number_states(self) -> Array:
        """Return <m|v_n>, from displaced number states to number states.

        Raises
        ------
        ValueError
            For more than 80 displaced levels.
        """
        _checked(len(self.weights), MOST_QUANTA_OF_OSCILLATOR_CHARGER)
        return displaced_states(self.drive / self.coupling, len(self.weights))

    def displaced(self, times: Array) -> Iterator[Array]:
        """Yield rho_B in the displaced number states at each time."""
        levels = len(self.weights)
        times = np.asarray(times, dtype=np.float64)
        c = self.weights
        rho = np.zeros((len(times), levels, levels))
        for d in range(levels):
            returns = [
                self._return_amplitude(twice_l, d, times) for twice_l in range(d, 2 * levels - d, 2)
            ]
            for low in range(levels - d):
                shape = _irreducible_shape(low + d, low)
                # sum over l of <k|l> <l|0> G_l(t): shape (times, k)
                moved = np.array(returns[: low + 1]).T @ (shape[0][:, None] * shape.T)
                k = np.arange(low + 1)
                rho[:, low + d - k, low - k] += c[low + d] * c[low] * moved
        for matrix in rho:
            yield np.tril(matrix) + np.tril(matrix, -1).T

    def _return_amplitude(self, twice_l: int, difference: int, times: Array) -> Array:
        """Return G_l(t) = <l, -d/2| exp(L t) |l, -d/2>, shape of `times`."""
        spin = twice_l / 2.0
        m = np.arange(-spin, spin + 0.5)
        # the phases i^m make -2 i lambda T_x real and antisymmetric
        off = self.coupling * np.sqrt(spin * (spin + 1.0) - m[:-1] * (m[:-1] + 1.0))
        generator = np.diag(-self.dephasing / 2.0 * (m + difference / 2.0) ** 2)
        generator += np.diag(off, 1) - np.diag(off, -1)
        start = (twice_l - difference) // 2
        vector = np.zeros(len(m))
        vector[start] = 1.0
        result = np.empty(len(times))
        steps = np.diff(times, prepend=0.0)
        cache: dict[float, Array] = {}
        for i, step in enumerate(steps):
            key = float(f"{step:.12g}")
            if key not in cache:
                cache[key] = scipy.linalg.expm(generator * step)
            vector = cache[key] @ vector
            result[i] = vector[start]
        return result

    def steady_displaced(self) -> Array:
        """Return the diagonal rho_B for t -> infinity: every block of n quanta fully mixed."""
        p = self.weights**2 / np.arange(1.0, len(self.weights) + 1.0)
        return np.diag(np.cumsum(p[::-1])[::-1])


def _irreducible_shape(n: int, other: int) -> Array:
    """Return <k|l>: operators |k><k'| with equal quanta in the charger, in irreducible parts.

    Rows k = 0..min(n, n'), columns rising l: eigenvectors of T^2, tridiagonal in k.
    """
    k = np.arange(min(n, other) + 1)
    diagonal = n * (n + 2) / 4.0 + other * (other + 2) / 4.0 - 2.0 * (k - n / 2.0) * (k - other / 2)
    off = -(k[:-1] + 1.0) * np.sqrt((n - k[:-1]) * (other - k[:-1] + 0.0))
    if len(k) == 1:
        return np.ones((1, 1))
    return np.asarray(scipy.linalg.eigh_tridiagonal(diagonal, off)[1], dtype=np.float64)
