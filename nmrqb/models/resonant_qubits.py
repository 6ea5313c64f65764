"""N qubit batteries on one driven, dephased charger qubit, on resonance, from empty: exact.

In the frame of the drive H = sigma_+ K + sigma_- K^T with the bidiagonal K = F + lambda J_- on the
N + 1 Dicke states.  K K^T (charger excited) and K^T K (charger empty) commute with H and with the
dephasing, so that with K = sum_k s_k |u_k><v_k| the master equation falls apart into damped
oscillators: a = ee + gg and b = ee - gg between k and l obey x'' + (gamma/2) x' + w^2 x = 0 with
w = |s_k - s_l| for a and s_k + s_l for b.

Two steps keep double precision enough.  K is persymmetric, so A = K upside down is real symmetric
with eigenvalues mu_k = +-s_k and eigenvectors v_k, u_k = sign(mu_k) times v_k upside down: singular
values that come in nearly equal pairs at weak drive have opposite signs here.  And in the order
0, N, 1, N-1, 2, ... A is tridiagonal (a path through all Dicke states: F, lambda sqrt(N), F, ...),
which needs O(N^2) work and proves that no two mu are equal unless F or lambda is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field, replace
from decimal import localcontext

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from nmrqb.battery.ergotropy import Sector
from nmrqb.models.damped import ModeSum, damped_oscillator
from nmrqb.models.long_phases import long_oscillators, refined_roots

Array = NDArray[np.float64]

#: norm of the part of the start state that may be left out
DISCARDED_NORM = 1e-13

#: Dicke states up to which the whole of rho_B is diagonalised
_DENSE = 150


def folded_drive(batteries: int, drive: float, coupling: float) -> tuple[Array, Array, Array]:
    """Return diagonal, off-diagonal and order of A as a tridiagonal matrix.

    Parameters
    ----------
    batteries : int
        N.
    drive, coupling : float
        F and lambda, where H = lambda (sigma_+ J_- + h.c.) + F (sigma_+ + sigma_-).

    Returns
    -------
    diagonal : ndarray, shape (N + 1,)
        Zero but for the last element, where the path ends on itself.
    off_diagonal : ndarray, shape (N,)
    order : ndarray of int, shape (N + 1,)
        Excitations of the Dicke state at each place: 0, N, 1, N - 1, ...
    """
    n = np.arange(batteries + 1)
    order = np.where(n % 2 == 0, n // 2, batteries - n // 2)
    m = np.arange(1, batteries + 1)
    lowering = coupling * np.sqrt(m * (batteries - m + 1.0))
    steps = np.arange(batteries)
    off = np.where(steps % 2 == 0, drive, lowering[steps // 2])
    diagonal = np.zeros(batteries + 1)
    diagonal[-1] = drive if batteries % 2 == 0 else lowering[batteries // 2]
    return diagonal, off, order


@dataclass(frozen=True, slots=True)
class ResonantQubits:
    """The exact solution.

    Parameters
    ----------
    batteries : int
        N >= 1.
    drive, coupling : float
        F and g, in one angular unit.
    shared_by : int
        lambda = g/sqrt(shared_by): N for the Kac normalisation, 1 for g per battery.
    dephasing : float
        gamma.

    Attributes
    ----------
    roots : ndarray, shape (k,)
        Signed singular values mu that carry weight.
    weights : ndarray, shape (k,)
        c_k = <v_k|0>.
    vectors : ndarray, shape (N + 1, k)
        v_k in the Dicke states of n = 0..N excitations.
    discarded : float
        Norm of the part of the start state left out.
    excitations : ModeSum
        Mean number of excitations in the batteries.
    pairs : ndarray of int, shape (modes, 2)
        The k, l of each of its modes, w = |mu_k + mu_l|.
    charger : ModeSum
        Mean number of excitations in the charger.
    error : float
        Bound on the error of `excitations` from everything left out.
    """

    batteries: int
    drive: float
    coupling: float
    shared_by: int
    dephasing: float
    roots: Array = field(init=False, repr=False)
    weights: Array = field(init=False, repr=False)
    vectors: Array = field(init=False, repr=False)
    discarded: float = field(init=False)
    excitations: ModeSum = field(init=False, repr=False)
    pairs: NDArray[np.int64] = field(init=False, repr=False)
    charger: ModeSum = field(init=False, repr=False)
    error: float = field(init=False)

    def __post_init__(self) -> None:
        n = self.batteries
        diagonal, off, order = folded_drive(n, self.drive, self.coupling / np.sqrt(self.shared_by))
        roots, folded = scipy.linalg.eigh_tridiagonal(diagonal, off)
        weight = folded[0]
        by_weight = np.argsort(np.abs(weight))
        tail = np.sqrt(np.cumsum(weight[by_weight] ** 2))
        left_out = int(np.searchsorted(tail, DISCARDED_NORM))
        kept = np.sort(by_weight[left_out:])
        vectors = np.empty((n + 1, len(kept)))
        vectors[order] = folded[:, kept]
        put = object.__setattr__
        put(self, "roots", roots[kept])
        put(self, "weights", weight[kept])
        put(self, "vectors", vectors)
        put(self, "discarded", float(tail[left_out - 1]) if left_out else 0.0)
        if self.drive == 0.0 or self.coupling == 0.0:
            # nothing reaches the batteries; the charger alone turns at the drive
            nothing = np.zeros(0)
            empty = ModeSum(
                final=0.0, amplitudes=nothing, frequencies=nothing, dephasing=self.dephasing
            )
            put(self, "excitations", empty)
            put(self, "pairs", np.zeros((0, 2), dtype=np.int64))
        else:
            modes, pairs = self._battery_modes()
            pruned, kept = modes.pruned(1e-13 * n)
            put(self, "excitations", pruned)
            put(self, "pairs", pairs[kept])
        put(self, "charger", self._charger_modes())
        # 0 <= n <= N holds in the Heisenberg picture at every time, so |<a|n(t)|b>| <= N |a| |b|
        put(self, "error", n * (2.0 * self.discarded + self.discarded**2 + 1e-13))

    def _battery_modes(self) -> tuple[ModeSum, NDArray[np.int64]]:
        # E = N/2 (1 - sum_k c_k^2 D(2 mu_k)) + sum_kl <v_k|n|v_l> c_k c_l D(mu_k + mu_l)
        c, mu, v = self.weights, self.roots, self.vectors
        number = (v.T * np.arange(self.batteries + 1)) @ v
        amplitude = 2.0 * number * np.outer(c, c)
        np.fill_diagonal(amplitude, (np.diag(number) - self.batteries / 2.0) * c**2)
        upper = np.triu_indices(len(mu))
        modes = ModeSum(
            final=self.batteries / 2.0,
            amplitudes=amplitude[upper],
            frequencies=np.abs(mu[:, None] + mu[None, :])[upper],
            dephasing=self.dephasing,
        )
        return modes, np.stack(upper, axis=1)

    def _charger_modes(self) -> ModeSum:
        moving = self.roots != 0.0
        share = self.weights[moving] ** 2 / 2.0
        return ModeSum(
            final=float(np.sum(share)),
            amplitudes=-share,
            frequencies=2.0 * np.abs(self.roots[moving]),
            dephasing=self.dephasing,
        )

    def with_dephasing(self, dephasing: float) -> ResonantQubits:
        """Return the same star under another dephasing: nothing is factorised again."""
        other = copy(self)
        put = object.__setattr__
        put(other, "dephasing", dephasing)
        put(other, "excitations", self.excitations.with_dephasing(dephasing))
        put(other, "charger", self.charger.with_dephasing(dephasing))
        return other

    def energy_quanta(self, times: Array) -> Array:
        """Return `excitations` at `times`, with phases carried in decimals where doubles lose them.

        Doubles hold a mode to 8 roundings of w t until it has decayed at 4/gamma; beyond an error
        of 1e-9 the undamped and weakly damped modes are followed by `long_phases`.
        """
        times = np.asarray(times, dtype=np.float64)
        modes = self.excitations
        top = float(np.max(modes.frequencies, initial=0.0))
        alive = times if self.dephasing == 0.0 else np.minimum(times, 40.0 / self.dephasing)
        late = 8.0 * np.finfo(float).eps * top * alive > 1e-9
        result = np.empty(len(times))
        result[~late] = modes(times[~late])
        if late.any():
            turns = modes.turning() > 0.0
            creeping = replace(
                modes,
                amplitudes=modes.amplitudes[~turns],
                frequencies=modes.frequencies[~turns],
            )
            roots = refined_roots(
                self.roots.tolist(), self.drive, self.coupling, self.shared_by, self.batteries
            )
            with localcontext() as context:
                context.prec = 60
                exact = [abs(roots[k] + roots[m]) for k, m in self.pairs[turns]]
            result[late] = creeping(times[late]) + long_oscillators(
                modes.amplitudes[turns], exact, self.dephasing, times[late]
            )
        return result

    def spectrum(self) -> NDArray[np.complex128]:
        """Return all 4 (N + 1)^2 eigenvalues of the symmetric sector's Liouvillian."""
        n = self.batteries
        diagonal, off, _ = folded_drive(n, self.drive, self.coupling / np.sqrt(self.shared_by))
        mu = scipy.linalg.eigvalsh_tridiagonal(diagonal, off)
        w = np.concatenate([(mu[:, None] - mu).ravel(), (mu[:, None] + mu).ravel()])
        d = self.dephasing / 4.0
        root = np.sqrt(((d - w) * (d + w)).astype(np.complex128))
        # the slow root without cancellation: w^2/(d + q)
        fast = -d - root
        slow = np.divide(-(w * w), d + root, out=-d + root, where=np.abs(d + root) > 0.0)
        return np.concatenate([fast, slow])

    def _factors(self, time: float) -> tuple[Array, Array]:
        """Return X, Y with rho_B = flip(V X V^T) + V Y V^T (charger excited, charger empty)."""
        mu, c = self.roots, self.weights
        upper = np.triu_indices(len(mu))
        k, m = upper
        t = np.array(time)
        cc = c[k] * c[m] / 2.0
        difference = cc * damped_oscillator(np.abs(mu[k] - mu[m]), self.dephasing, t)
        total = cc * damped_oscillator(np.abs(mu[k] + mu[m]), self.dephasing, t)
        excited, empty = np.empty((2, len(mu), len(mu)))
        excited[upper], empty[upper] = difference - total, difference + total
        excited.T[upper], empty.T[upper] = excited[upper], empty[upper]
        return excited, empty

    def _steady_factors(self) -> tuple[Array, Array]:
        if self.drive == 0.0 or self.coupling == 0.0:
            # the batteries stay empty: whatever the charger does, |0><0|
            whole = np.outer(self.weights, self.weights)
            return np.zeros_like(whole), whole
        half = np.diag(self.weights**2) / 2.0
        return half, half

    def _battery(self, factors: tuple[Array, Array]) -> Array:
        excited, empty = factors
        v = self.vectors
        rho = v @ empty @ v.T + (v @ excited @ v.T)[::-1, ::-1]
        return np.asarray((rho + rho.T) / 2.0, dtype=np.float64)

    def sectors(self, times: Array) -> Iterator[list[Sector]]:
        """Yield the state of the batteries in the Dicke basis at each time."""
        for t in np.asarray(times, dtype=np.float64):
            yield self._sector(self._battery(self._factors(float(t))))

    def steady_sectors(self) -> list[Sector]:
        """Return the state of the batteries for t -> infinity (gamma > 0)."""
        return self._sector(self._battery(self._steady_factors()))

    def _sector(self, rho: Array) -> list[Sector]:
        return [Sector(matrix=rho, excitations=np.arange(self.batteries + 1))]

    def largest_eigenvalues(self, times: Array) -> Array:
        """Return the largest eigenvalue r_1 of rho_B at each time.

        The ground level and the N-fold first level hold all N + 1 eigenvalues of a state of the
        symmetric sector, so that its ergotropy is W = E - omega (1 - r_1).  Where the weights
        allow it, the eigenvalue is found in the span of the kept u_k and v_k.
        """
        v = self.vectors
        k = v.shape[1]
        if len(v) <= _DENSE:
            rhos = (self._battery(self._factors(float(t))) for t in np.asarray(times))
            return np.array([float(np.linalg.eigvalsh(rho)[-1]) for rho in rhos])
        factor: Array = np.linalg.qr(np.hstack([v[::-1], v]))[1]
        left, right = np.ascontiguousarray(factor[:, :k]), np.ascontiguousarray(factor[:, k:])
        start = right @ self.weights
        result = np.empty(len(times))
        for i, t in enumerate(np.asarray(times, dtype=np.float64)):
            result[i], start = _top_eigenvalue((left, right), self._factors(float(t)), start)
        return result


def _top_eigenvalue(
    spans: tuple[Array, Array], factors: tuple[Array, Array], start: Array
) -> tuple[float, Array]:
    """Return the largest eigenvalue and its vector, by Lanczos from the last time's vector."""
    (left, right), (excited, empty) = spans, factors

    def apply(x: Array) -> Array:
        x = x.reshape(-1)
        result: Array = left @ (excited @ (left.T @ x)) + right @ (empty @ (right.T @ x))
        return result

    rho = LinearOperator((len(left),) * 2, matvec=apply, dtype=np.float64)
    values, vectors = eigsh(rho, k=1, which="LA", v0=start, tol=1e-11, ncv=min(12, len(left)))
    return float(values[0]), vectors[:, 0]
