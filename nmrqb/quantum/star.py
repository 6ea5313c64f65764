"""A star of 1 + N spins-1/2 in permutation-symmetric Liouville space: exact, with relaxation.

Equivalent satellites under collective pulses and identical local relaxation stay symmetric under
their permutations.  A symmetric operator on N spins is then a vector over the occupation numbers
(n_1, n_z, n_+, n_-) of the four single-spin basis operators, sum n = N: C(N+3, 3) elements instead
of 4^N (9,139 at N = 36), times 4 for the centre.  One-body superoperators M are bosonic quadratic
forms: sum_j M_j -> sum_ab M_ab a_a^+ a_b.  A load, one more spin coupled to the centre alone,
breaks no permutation of the satellites: it multiplies the centre's four operators by its own four.

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

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from nmrqb.quantum import operators as op
from nmrqb.quantum.operators import ComplexMatrix

Array = NDArray[np.float64]
Equilibrium = Literal["linear", "exact"]

#: largest space whose couplings are kept: 36 satellites have 36,556 elements, 200 have 5 million
_KEPT_DIMENSION = 50_000


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

    Elements are ordered by the centre's operator, then the load's, then the satellites'.

    Attributes
    ----------
    satellites : int
        N.
    has_load : bool
        True with one more spin, coupled to the centre alone.
    occupations : ndarray, shape (C(N+3, 3), 4)
        Occupation numbers of (1, z, +, -).
    """

    satellites: int
    has_load: bool = False
    occupations: NDArray[np.int64] = field(init=False, repr=False)
    _index: NDArray[np.int64] = field(init=False, repr=False)
    _orders: NDArray[np.int64] = field(init=False, repr=False)
    _uncrushed: dict[str, NDArray[np.bool_]] = field(init=False, repr=False)
    _couplings: dict[str, sp.csr_array] = field(init=False, repr=False, default_factory=dict)

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
        orders = self._coherence_orders()
        orders.flags.writeable = False
        object.__setattr__(self, "_orders", orders)
        zero = orders == 0
        uncrushed = {"both": zero.all(axis=1), "center": zero[:, 0], "satellite": zero[:, 1]}
        object.__setattr__(self, "_uncrushed", uncrushed)

    @property
    def symmetric_dimension(self) -> int:
        """Number of symmetric satellite operators, C(N+3, 3)."""
        return len(self.occupations)

    @property
    def load_operators(self) -> int:
        """Number of the load's operators: 4, or 1 without a load."""
        return 4 if self.has_load else 1

    @property
    def dimension(self) -> int:
        """Number of elements of a state, 4 C(N+3, 3), and 4 times that with a load."""
        return 4 * self.load_operators * self.symmetric_dimension

    def position(
        self, center: int, z: int = 0, plus: int = 0, minus: int = 0, load: int = op.ONE
    ) -> int:
        """Return the index of centre operator `center` times the symmetric satellite operator."""
        pair = center * self.load_operators + load
        return int(pair * self.symmetric_dimension + self._index[z, plus, minus])

    @property
    def orders(self) -> NDArray[np.int64]:
        """Coherence orders of every element: centre, satellites and, with a load, the load.

        Shape (dimension, 2), or (dimension, 3) with a load.
        """
        return self._orders

    def _coherence_orders(self) -> NDArray[np.int64]:
        satellite = self.occupations[:, op.PLUS] - self.occupations[:, op.MINUS]
        loads, n = self.load_operators, self.symmetric_dimension
        columns = [np.repeat(op.ORDERS, loads * n), np.tile(satellite, 4 * loads)]
        if self.has_load:
            columns.append(np.tile(np.repeat(op.ORDERS, n), 4))
        return np.stack(columns, axis=1)

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
        rest = sp.eye_array(self.load_operators * self.symmetric_dimension)
        return sp.csr_array(sp.kron(sp.csr_array(matrix), rest))

    def on_satellites(self, matrix: ComplexMatrix) -> sp.csr_array:
        """Return sum_j M_j on the whole space."""
        return sp.csr_array(sp.kron(sp.eye_array(4 * self.load_operators), self.collective(matrix)))

    def on_load(self, matrix: ComplexMatrix) -> sp.csr_array:
        """Return a superoperator of the load on the whole space."""
        return self.with_load(np.eye(4, dtype=np.complex128), matrix)

    def product(self, center: ComplexMatrix, satellite: ComplexMatrix) -> sp.csr_array:
        """Return (centre superoperator) times (collective satellite superoperator)."""
        both = sp.kron(sp.csr_array(center), sp.eye_array(self.load_operators))
        return sp.csr_array(sp.kron(both, self.collective(satellite)))

    def with_load(self, center: ComplexMatrix, load: ComplexMatrix) -> sp.csr_array:
        """Return (centre superoperator) times (load superoperator)."""
        if not self.has_load:
            raise ValueError("this star has no load")
        both = sp.kron(sp.csr_array(center), sp.csr_array(load))
        return sp.csr_array(sp.kron(both, sp.eye_array(self.symmetric_dimension)))

    def commutator(
        self, terms: list[tuple[complex, ComplexMatrix, ComplexMatrix]], *, load: bool = False
    ) -> sp.csr_array:
        """Return rho -> -i [H, rho], H = sum of c A_centre (sum_j B_j), or of c A_centre B_load."""
        product = self.with_load if load else self.product
        total = sp.csr_array((self.dimension, self.dimension), dtype=np.complex128)
        for c, a, b in terms:
            total = total - 1j * c * product(op.left(a), op.left(b))
            total = total + 1j * c * product(op.right(a), op.right(b))
        total.eliminate_zeros()
        return total

    def exchange(self, coupling_hz: float) -> sp.csr_array:
        """Return the generator of XY exchange, H = 2 pi J (Sx Ix + Sy Iy)."""
        up, down = op.SIGMA_PLUS, op.SIGMA_MINUS
        return self._coupled("xy", coupling_hz, [(np.pi, up, down), (np.pi, down, up)])

    def weak_coupling(self, coupling_hz: float) -> sp.csr_array:
        """Return the generator of the native weak coupling, H = 2 pi J Sz Iz."""
        return self._coupled("zz", coupling_hz, [(np.pi / 2.0, op.SIGMA_Z, op.SIGMA_Z)])

    def _coupled(
        self,
        name: str,
        coupling_hz: float,
        of_one_hz: list[tuple[complex, ComplexMatrix, ComplexMatrix]],
    ) -> sp.csr_array:
        """Return the commutator with a coupling; that with 1 Hz is kept in spaces of some size."""
        of_one = self._couplings.get(name)
        if of_one is None:
            of_one = self.commutator(of_one_hz)
            if self.dimension <= _KEPT_DIMENSION:
                self._couplings[name] = of_one
        scaled = coupling_hz * of_one
        scaled.eliminate_zeros()
        return sp.csr_array(scaled)

    def relaxation(
        self,
        center: SpinRelaxation,
        satellite: SpinRelaxation,
        equilibrium: Equilibrium,
        pair_rate_per_s: float = 0.0,
    ) -> sp.csr_array:
        """Return the generator of T1 and T2 on every spin towards its equilibrium.

        With ``"linear"`` the relaxation is that of infinite temperature plus the first-order
        drive: a source from the identity element to sigma_z of each spin.

        Parameters
        ----------
        center, satellite : SpinRelaxation
            T1 and T2 are totals: what the pairs contribute is part of them.
        equilibrium : {"linear", "exact"}
        pair_rate_per_s : float
            Dipolar relaxation rate rho = W0 + 2 W1 + W2 of one spin by one partner, in the
            extreme-narrowing limit W0 : W1 : W2 = 2 : 3 : 12.  It makes the nuclear Overhauser
            effect: the cross-relaxation rate is W2 - W0 = rho/2.

        References
        ----------
        I. Solomon, Phys. Rev. 99, 559 (1955).
        """
        if pair_rate_per_s:
            if equilibrium == "exact":
                raise ValueError("cross-relaxation is offered to first order in eps only (linear)")
            return self._relaxation_with_pairs(center, satellite, pair_rate_per_s)
        if equilibrium == "exact":
            for spin in (center, satellite):
                if abs(spin.equilibrium) > 1.0:
                    raise ValueError("an exact equilibrium polarisation lies within -1..1")
            one = op.relaxation(center.t1_s, center.t2_s, center.equilibrium)
            each = op.relaxation(satellite.t1_s, satellite.t2_s, satellite.equilibrium)
            total = sp.csr_array(self.on_center(one) + self.on_satellites(each))
        else:
            total = self._linear_relaxation(center, satellite)
        total.eliminate_zeros()
        return total

    def _linear_relaxation(self, center: SpinRelaxation, satellite: SpinRelaxation) -> sp.csr_array:
        """Return decays of every element, and a source of sigma_z of each spin."""
        one, each = (op.relaxation(s.t1_s, s.t2_s, 0.0).diagonal() for s in (center, satellite))
        decays = np.add.outer(np.repeat(one, self.load_operators), self.occupations @ each).ravel()
        sources = [
            center.equilibrium / center.t1_s,
            satellite.equilibrium * np.sqrt(self.satellites) / satellite.t1_s,
        ]
        every = np.arange(self.dimension)
        rows = np.append(every, [self.position(op.Z), self.position(op.ONE, z=1)])
        columns = np.append(every, [self.position(op.ONE)] * 2)
        entries = (np.append(decays, sources), (rows, columns))
        return sp.csr_array(sp.coo_array(entries, shape=(self.dimension, self.dimension)))

    def _relaxation_with_pairs(
        self, center: SpinRelaxation, satellite: SpinRelaxation, pair_rate_per_s: float
    ) -> sp.csr_array:
        w0, w2 = 0.1 * pair_rate_per_s, 0.6 * pair_rate_per_s
        flips, cross = w0 + w2, w2 - w0

        def rest(spin: SpinRelaxation, partners: int, equilibrium: float) -> SpinRelaxation:
            # what T1 and T2 leave for each spin alone; the single flips W1 belong to it
            longitudinal = 1.0 / spin.t1_s - partners * flips
            transverse = 1.0 / spin.t2_s - partners * flips / 2.0
            if longitudinal <= 0.0:
                raise ValueError(
                    f"dipolar relaxation by {partners} partner(s) at {pair_rate_per_s:g} /s each "
                    f"must be slower than 1/T1 = {1.0 / spin.t1_s:g} /s"
                )
            return SpinRelaxation(
                t1_s=1.0 / longitudinal, t2_s=1.0 / transverse, equilibrium=equilibrium
            )

        n = self.satellites
        # sources as seen by each spin alone, so that the totals come out as
        # dp/dt = -(p - p_eq)/T1 - sum of cross (z - z_eq)
        eq_c, eq_s = center.equilibrium, satellite.equilibrium
        alone_c = rest(center, n, 0.0)
        alone_s = rest(satellite, 1, 0.0)
        alone_c = replace(
            alone_c, equilibrium=alone_c.t1_s * (eq_c / center.t1_s + n * cross * eq_s)
        )
        alone_s = replace(
            alone_s, equilibrium=alone_s.t1_s * (eq_s / satellite.t1_s + cross * eq_c)
        )
        total = self.relaxation(alone_c, alone_s, "linear")
        up, down = op.SIGMA_PLUS, op.SIGMA_MINUS
        for rate, a, b in ((w2, up, up), (w2, down, down), (w0, up, down), (w0, down, up)):
            total = total + rate * self.product(op.sandwich(a), op.sandwich(b))
            for side in (op.left, op.right):
                total = total - 0.5 * rate * self.product(
                    side(a.conj().T @ a), side(b.conj().T @ b)
                )
        total = sp.csr_array(total)
        total.data[np.abs(total.data) < 1e-15 * np.abs(total.data).max()] = 0.0
        total.eliminate_zeros()
        return total

    def drive(self, on: Literal["center", "satellite"], nutation_rad_per_s: float) -> sp.csr_array:
        """Return the generator of a resonant drive, H = nutation S_x of the spins of a species."""
        axis = nutation_rad_per_s / 2.0 * (op.SIGMA_PLUS + op.SIGMA_MINUS)
        one = -1j * (op.left(axis) - op.right(axis))
        return self.on_center(one) if on == "center" else self.on_satellites(one)

    def precession(self, center_rad_per_s: float, satellite_rad_per_s: float) -> Array:
        """Return the frequency of every element in rad/s, shape (dimension,), for offsets."""
        frequency = self.orders[:, :2] @ np.array([center_rad_per_s, satellite_rad_per_s])
        return np.asarray(frequency, dtype=np.float64)

    def state(
        self, center: float, satellite: float, equilibrium: Equilibrium, load: float = 0.0
    ) -> NDArray[np.complex128]:
        """Return the state of polarisations `center`, `satellite`, `load`, shape (dimension,).

        "exact": the product state (absolute polarisations); "linear": identity plus the
        first-order deviation (polarisations in units of eps).
        """
        vector = np.zeros(self.dimension, dtype=np.complex128)
        n = self.satellites
        if equilibrium == "linear":
            vector[self.position(op.ONE)] = 1.0
            vector[self.position(op.Z)] = center
            vector[self.position(op.ONE, z=1)] = satellite * np.sqrt(n)
            if self.has_load:
                vector[self.position(op.ONE, load=op.Z)] = load
            return vector
        weight = 1.0  # sqrt(C(n, k)) p^k by recursion: no factorial overflows
        for k in range(n + 1):
            vector[self.position(op.ONE, z=k)] = weight
            vector[self.position(op.Z, z=k)] = weight * center
            if self.has_load:
                vector[self.position(op.ONE, z=k, load=op.Z)] = weight * load
                vector[self.position(op.Z, z=k, load=op.Z)] = weight * center * load
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

    def bloch_load(self, state: NDArray[np.complex128]) -> tuple[float, float, float]:
        """Return <sigma_x>, <sigma_y>, <sigma_z> of the load."""
        plus = state[self.position(op.ONE, load=op.PLUS)] * np.sqrt(2.0)
        z = state[self.position(op.ONE, load=op.Z)]
        return float(plus.real), float(-plus.imag), float(z.real)

    def crush(
        self,
        state: NDArray[np.complex128],
        residual: float = 0.0,
        only: Literal["center", "satellite", "both"] = "both",
    ) -> NDArray[np.complex128]:
        """Return the state after a gradient crusher that leaves `residual` of what it crushes.

        `only` restricts it to the order of one species (an RF field of unknown phase).

        Only elements of order zero of every nucleus remain: the nuclei precess at different rates
        in a gradient, so heteronuclear zero-quantum coherence dies.  The
        homonuclear zero-quantum order between satellites survives, as it does in the sample.
        """
        kept: NDArray[np.complex128] = np.where(self._uncrushed[only], state, residual * state)
        return kept

    def only_without(self, on: Literal["center", "satellite"]) -> NDArray[np.bool_]:
        """Return where an element holds no operator of a species, shape (dimension,)."""
        if on == "satellite":
            empty = self.occupations[:, op.ONE] == self.satellites
            return np.tile(empty, 4 * self.load_operators)
        return np.repeat(np.arange(4) == op.ONE, self.load_operators * self.symmetric_dimension)

    def without(self, on: Literal["center", "satellite"], generator: sp.csr_array) -> sp.csr_array:
        """Return a generator restricted to operators without spins of one species.

        The limit of strong saturation and decoupling: every operator of that species is gone at
        all times.
        """
        keep = sp.diags_array(self.only_without(on).astype(np.complex128))
        restricted = sp.csr_array(keep @ generator @ keep)
        restricted.eliminate_zeros()
        return restricted


@lru_cache(maxsize=4)
def star_space(satellites: int, has_load: bool = False) -> StarSpace:
    """Return a space that all registers of its size share, with the couplings that it keeps."""
    return StarSpace(satellites, has_load)
