"""A star of 1 + N spins-1/2 in permutation-symmetric Liouville space: exact, with relaxation.

Equivalent satellites under collective pulses and identical local relaxation stay symmetric under
their permutations.  A symmetric operator on N spins is then a vector over the occupation numbers
(n_1, n_z, n_+, n_-) of the four single-spin basis operators, sum n = N: C(N+3, 3) elements instead
of 4^N (9,139 at N = 36), times 4 for the centre.  One-body superoperators M are bosonic quadratic
forms: sum_j M_j -> sum_ab M_ab a_a^+ a_b.

Vectors are coefficients in the orthonormal symmetric operator basis, scaled so that the identity
element is 1: a polarisation p of the centre is the coefficient of sigma_z, and a common satellite
polarisation p has coefficient p sqrt(N).

Two equilibria are offered.  "linear" is the high-temperature limit, exact to first order in eps:
relaxation drives each spin towards its equilibrium from the identity element only, and
polarisations are in units of eps.  "exact" keeps the full thermal Lindbladian, polarisations are
absolute.

References
----------
Shammah et al., Phys. Rev. A 98, 063815 (2018), on permutational symmetry of open spin ensembles.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from nmrqb.quantum import operators as op
from nmrqb.quantum.operators import ComplexMatrix

Equilibrium = Literal["linear", "exact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpinRelaxation:
    """T1, T2 (s) and equilibrium polarisation of one spin; units of the polarisation as above."""

    t1_s: float
    t2_s: float
    equilibrium: float

    def __post_init__(self) -> None:
        if not (self.t1_s > 0.0 and self.t2_s > 0.0):
            raise ValueError("T1 and T2 must be positive")
        if self.t2_s > 2.0 * self.t1_s * (1.0 + 1e-12):
            raise ValueError(f"T2 must be at most 2 T1 = {2 * self.t1_s} s, but is {self.t2_s} s")


@dataclass(frozen=True, slots=True)
class StarSpace:
    """The symmetric Liouville space of a star with `satellites` equivalent spins.

    Attributes
    ----------
    satellites : int
        N.
    occupations : ndarray, shape (C(N+3, 3), 4)
        Occupation numbers of (1, z, +, -).
    """

    satellites: int
    occupations: NDArray[np.int64] = field(init=False, repr=False)
    _index: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n = self.satellites
        if n < 1:
            raise ValueError(f"satellites must be at least 1, but is {n}")
        z, p, m = np.meshgrid(*(np.arange(n + 1),) * 3, indexing="ij")
        keep = z + p + m <= n
        listed = np.stack([n - (z + p + m)[keep], z[keep], p[keep], m[keep]], axis=1)
        index = np.full((n + 1,) * 3, -1, dtype=np.int64)
        index[keep] = np.arange(len(listed))
        object.__setattr__(self, "occupations", listed)
        object.__setattr__(self, "_index", index)

    @property
    def symmetric_dimension(self) -> int:
        """Number of symmetric satellite operators, C(N+3, 3)."""
        return len(self.occupations)

    @property
    def dimension(self) -> int:
        """Number of elements of a state, 4 C(N+3, 3)."""
        return 4 * self.symmetric_dimension

    def position(self, center: int, z: int = 0, plus: int = 0, minus: int = 0) -> int:
        """Return the index of centre operator `center` times the symmetric satellite operator."""
        return int(center * self.symmetric_dimension + self._index[z, plus, minus])

    @property
    def orders(self) -> NDArray[np.int64]:
        """Coherence orders of every element, shape (dimension, 2): centre, satellites."""
        satellite = self.occupations[:, op.PLUS] - self.occupations[:, op.MINUS]
        center = np.repeat(op.ORDERS, self.symmetric_dimension)
        return np.stack([center, np.tile(satellite, 4)], axis=1)

    def collective(self, matrix: ComplexMatrix) -> sp.csr_array:
        """Return sum_j M_j over the satellites: sum_ab M_ab a_a^+ a_b, shape (D, D)."""
        n = self.symmetric_dimension
        occupation = self.occupations
        rows: list[NDArray[np.int64]] = []
        cols: list[NDArray[np.int64]] = []
        data: list[NDArray[np.complex128]] = []
        everything = np.arange(n)
        for a, b in zip(*np.nonzero(matrix), strict=True):
            if a == b:
                rows.append(everything)
                cols.append(everything)
                data.append(matrix[a, a] * occupation[:, a])
                continue
            source = np.flatnonzero(occupation[:, b] > 0)
            target = occupation[source].copy()
            target[:, b] -= 1
            target[:, a] += 1
            rows.append(self._index[target[:, 1], target[:, 2], target[:, 3]])
            cols.append(source)
            data.append(matrix[a, b] * np.sqrt(occupation[source, b] * target[:, a]))
        if not rows:
            return sp.csr_array((n, n), dtype=np.complex128)
        entries = (np.concatenate(data), (np.concatenate(rows), np.concatenate(cols)))
        return sp.csr_array(sp.coo_array(entries, shape=(n, n)))

    def on_center(self, matrix: ComplexMatrix) -> sp.csr_array:
        """Return a superoperator of the central spin on the whole space."""
        return sp.csr_array(sp.kron(sp.csr_array(matrix), sp.eye_array(self.symmetric_dimension)))

    def on_satellites(self, matrix: ComplexMatrix) -> sp.csr_array:
        """Return sum_j M_j on the whole space."""
        return sp.csr_array(sp.kron(sp.eye_array(4), self.collective(matrix)))

    def product(self, center: ComplexMatrix, satellite: ComplexMatrix) -> sp.csr_array:
        """Return (centre superoperator) times (collective satellite superoperator)."""
        return sp.csr_array(sp.kron(sp.csr_array(center), self.collective(satellite)))

    def commutator(self, terms: list[tuple[complex, ComplexMatrix, ComplexMatrix]]) -> sp.csr_array:
        """Return rho -> -i [H, rho] for H = sum of c A_centre (sum_j B_j)."""
        total = sp.csr_array((self.dimension, self.dimension), dtype=np.complex128)
        for c, a, b in terms:
            total = total - 1j * c * self.product(op.left(a), op.left(b))
            total = total + 1j * c * self.product(op.right(a), op.right(b))
        total.eliminate_zeros()
        return total

    def exchange(self, coupling_hz: float) -> sp.csr_array:
        """Return the generator of XY exchange, H = 2 pi J (Sx Ix + Sy Iy)."""
        g = np.pi * coupling_hz
        return self.commutator(
            [(g, op.SIGMA_PLUS, op.SIGMA_MINUS), (g, op.SIGMA_MINUS, op.SIGMA_PLUS)]
        )

    def weak_coupling(self, coupling_hz: float) -> sp.csr_array:
        """Return the generator of the native weak coupling, H = 2 pi J Sz Iz."""
        return self.commutator([(np.pi * coupling_hz / 2.0, op.SIGMA_Z, op.SIGMA_Z)])

    def relaxation(
        self, center: SpinRelaxation, satellite: SpinRelaxation, equilibrium: Equilibrium
    ) -> sp.csr_array:
        """Return the generator of T1 and T2 on every spin towards its equilibrium.

        With ``"linear"`` the relaxation is that of infinite temperature plus the first-order
        drive: a source from the identity element to sigma_z of each spin.
        """
        if equilibrium == "exact":
            for spin in (center, satellite):
                if abs(spin.equilibrium) > 1.0:
                    raise ValueError("an exact equilibrium polarisation lies within -1..1")
        p_center, p_satellite = (
            (center.equilibrium, satellite.equilibrium) if equilibrium == "exact" else (0.0, 0.0)
        )
        total = self.on_center(op.relaxation(center.t1_s, center.t2_s, p_center))
        total = total + self.on_satellites(
            op.relaxation(satellite.t1_s, satellite.t2_s, p_satellite)
        )
        if equilibrium == "linear":
            source = [self.position(op.Z), self.position(op.ONE, z=1)]
            rate = [
                center.equilibrium / center.t1_s,
                satellite.equilibrium * np.sqrt(self.satellites) / satellite.t1_s,
            ]
            identity = [self.position(op.ONE)] * 2
            shape = (self.dimension, self.dimension)
            total = total + sp.coo_array((rate, (source, identity)), shape=shape)
        total = sp.csr_array(total)
        total.eliminate_zeros()
        return total

    def rotation(self, on: Literal["center", "satellite"], matrix: ComplexMatrix) -> sp.csr_array:
        """Return the generator whose exponential applies `matrix` (a rotation) to every spin.

        The generator is the principal logarithm of the 4 x 4 rotation, so that one collective
        pulse is the propagation of this generator for unit time.
        """
        values, vectors = np.linalg.eig(matrix)
        logarithm = (vectors * np.log(values.astype(np.complex128))) @ np.linalg.inv(vectors)
        logarithm[np.abs(logarithm) < 1e-14] = 0.0
        return self.on_center(logarithm) if on == "center" else self.on_satellites(logarithm)

    def state(
        self, center: float, satellite: float, equilibrium: Equilibrium
    ) -> NDArray[np.complex128]:
        """Return the state of polarisations `center` and `satellite`, shape (dimension,).

        "exact": the product state (absolute polarisations); "linear": identity plus the
        first-order deviation (polarisations in units of eps).
        """
        vector = np.zeros(self.dimension, dtype=np.complex128)
        n = self.satellites
        if equilibrium == "linear":
            vector[self.position(op.ONE)] = 1.0
            vector[self.position(op.Z)] = center
            vector[self.position(op.ONE, z=1)] = satellite * np.sqrt(n)
            return vector
        weight = 1.0  # sqrt(C(n, k)) p^k by recursion: no factorial overflows
        for k in range(n + 1):
            vector[self.position(op.ONE, z=k)] = weight
            vector[self.position(op.Z, z=k)] = weight * center
            weight *= satellite * np.sqrt((n - k) / (k + 1.0))
        return vector

    def bloch_center(self, state: NDArray[np.complex128]) -> tuple[float, float, float]:
        """Return <sigma_x>, <sigma_y>, <sigma_z> of the central spin.

        From rho = (1 + x sx + y sy + z sz)/2: the coefficient of sigma_+ is (x - i y)/sqrt2.
        """
        plus = state[self.position(op.PLUS)] * np.sqrt(2.0)
        return float(plus.real), float(-plus.imag), float(state[self.position(op.Z)].real)

    def bloch_satellite(self, state: NDArray[np.complex128]) -> tuple[float, float, float]:
        """Return <sigma_x>, <sigma_y>, <sigma_z> of one satellite."""
        scale = 1.0 / np.sqrt(self.satellites)
        plus = state[self.position(op.ONE, plus=1)] * np.sqrt(2.0) * scale
        z = state[self.position(op.ONE, z=1)] * scale
        return float(plus.real), float(-plus.imag), float(z.real)

    def crush(self, state: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Return the state after an ideal gradient crusher.

        Only elements of order zero of the centre AND of the satellites remain: the nuclei precess
        at different rates in a gradient, so heteronuclear zero-quantum coherence dies.  The
        homonuclear zero-quantum order between satellites survives, as it does in the sample.
        """
        kept: NDArray[np.complex128] = np.where((self.orders == 0).all(axis=1), state, 0.0)
        return kept
