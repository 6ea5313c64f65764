"""Charger and batteries as two units: the general engine while all batteries act as one.

Qubit batteries without noise of their own stay in their N + 1 Dicke states, oscillators in one
bright mode; the state is a matrix of (charger levels) x (battery levels), its Liouvillian sparse.
Oscillators are cut at a number of levels that is raised until the answer stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from nmrqb.battery.ergotropy import Sector
from nmrqb.models.rates import Bath, Kind, StarRates
from nmrqb.quantum.propagation import DENSE_BLOCK, Generator

Array = NDArray[np.float64]
ComplexVector = NDArray[np.complex128]


def _kron(a: Array, b: Array) -> Array:
    return np.asarray(np.kron(a, b), dtype=np.float64)


def lowering(kind: Kind, levels: int) -> Array:
    """Return J_- of `levels` - 1 qubits in their Dicke states, or a of a cut oscillator."""
    n = np.arange(1, levels)
    elements = np.sqrt(n * (levels - n)) if kind == "qubit" else np.sqrt(n)
    return np.diag(elements.astype(np.float64), 1)


def collapse_operators(
    low: Array, number: Array, dephasing: float, bath: Bath, kind: Kind
) -> list[Array]:
    """Return the operators L (rates in them) of dephasing and of a bath on one unit."""
    loss, gain = bath.loss_and_gain(kind)
    pairs = [(loss, low), (gain, low.T), (dephasing + bath.pure_dephasing, number)]
    return [np.sqrt(rate) * operator for rate, operator in pairs if rate > 0.0]


@dataclass(frozen=True, slots=True)
class Bipartite:
    """A star cut at `charger_levels` x `battery_levels`.

    Parameters
    ----------
    rates : StarRates
    charger_levels, battery_levels : int
        2 for a qubit charger, N + 1 for N qubit batteries.
    """

    rates: StarRates
    charger_levels: int
    battery_levels: int
    generator: Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        one = sp.eye_array(self.dimension)
        i_h = sp.csr_array(-1j * self.hamiltonian())
        total = sp.csr_array(sp.kron(i_h, one) - sp.kron(one, i_h.T))
        for operator in self.collapse():
            o = sp.csr_array(operator)
            square = sp.csr_array(o.T @ o)
            loss = sp.kron(square, one) + sp.kron(one, square.T)
            total = total + sp.kron(o, o.conj()) - loss / 2.0
        matrix = sp.csr_array(total).astype(np.complex128)
        matrix.eliminate_zeros()
        object.__setattr__(self, "generator", Generator(matrix))

    @property
    def dimension(self) -> int:
        """Dimension of the state's matrix."""
        return self.charger_levels * self.battery_levels

    def operators(self) -> tuple[Array, Array, Array, Array]:
        """Return C, n_C, B, n_B on the common space (charger first)."""
        low_c = lowering(self.rates.charger, self.charger_levels)
        low_b = lowering(self.rates.battery, self.battery_levels)
        one_c, one_b = np.eye(self.charger_levels), np.eye(self.battery_levels)
        n_c = np.diag(np.arange(self.charger_levels) + 0.0)
        n_b = np.diag(np.arange(self.battery_levels) + 0.0)
        return (
            _kron(low_c, one_b),
            _kron(n_c, one_b),
            _kron(one_c, low_b),
            _kron(one_c, n_b),
        )

    def hamiltonian(self) -> Array:
        """Return H in the frame of the drive."""
        r = self.rates
        c, n_c, b, n_b = self.operators()
        bright = np.sqrt(r.batteries) if r.battery == "oscillator" else 1.0
        return np.asarray(
            r.battery_offset * n_b
            + r.charger_offset * n_c
            + bright * r.coupling * (c.T @ b + c @ b.T)
            + r.drive * (c + c.T)
        )

    def collapse(self) -> list[Array]:
        """Return the collapse operators."""
        r = self.rates
        c, n_c, b, n_b = self.operators()
        found = collapse_operators(c, n_c, r.dephasing, r.charger_bath, r.charger)
        if r.battery == "oscillator" or r.batteries == 1:
            return found + collapse_operators(
                b, n_b, r.collective_dephasing, r.battery_bath, r.battery
            )
        if r.collective_dephasing > 0.0:
            found.append(np.sqrt(r.collective_dephasing) * n_b)
        return found

    def start(self) -> ComplexVector:
        """Return the empty state."""
        vector = np.zeros(self.dimension**2, dtype=np.complex128)
        vector[0] = 1.0
        return vector

    def functional(self, operator: Array) -> ComplexVector:
        """Return the row f with f . rho = tr(operator rho)."""
        return np.asarray(operator.T.ravel(), dtype=np.complex128)

    def functionals(self) -> tuple[ComplexVector, ComplexVector, ComplexVector]:
        """Return the rows of tr rho, <n_C> and <n_B>."""
        _, n_c, _, n_b = self.operators()
        one = np.eye(self.dimension)
        return self.functional(one), self.functional(n_c), self.functional(n_b)

    def flux(self) -> ComplexVector:
        """Return the row of the quanta that the drive puts in per time, i F <C - C^+>."""
        c = self.operators()[0]
        return 1j * self.rates.drive * self.functional(c - c.T)

    def interaction(self) -> tuple[ComplexVector, ComplexVector]:
        """Return the rows of <H_CB> and <H_drive>."""
        c, _, b, _ = self.operators()
        r = self.rates
        bright = np.sqrt(r.batteries) if r.battery == "oscillator" else 1.0
        exchange = bright * r.coupling * (c.T @ b + c @ b.T)
        return self.functional(exchange), self.functional(r.drive * (c + c.T))

    def states(self, times: Array) -> Iterator[ComplexVector]:
        """Yield the state at each of the rising `times`."""
        yield from march(self.generator, self.start(), times)

    def sectors(self, state: ComplexVector) -> list[Sector]:
        """Return the batteries' state, one sector."""
        return [Sector(matrix=self.battery(state), excitations=np.arange(self.battery_levels))]

    def battery(self, state: ComplexVector) -> NDArray[np.complex128]:
        """Return rho_B."""
        c, b = self.charger_levels, self.battery_levels
        rho: NDArray[np.complex128] = np.einsum("iaib->ab", state.reshape(c, b, c, b))
        return np.asarray((rho + rho.conj().T) / 2.0, dtype=np.complex128)


def march(generator: Generator, state: ComplexVector, times: Array) -> Iterator[ComplexVector]:
    """Yield the state at each of the rising `times`, from step to step.

    Short evolutions of large generators go by their Taylor series, the others by the generator's
    own exponentials; equal steps (to 12 digits) are one step, whose exponential it keeps.
    """
    times = np.asarray(times, dtype=np.float64)
    matrix = generator.matrix
    column = np.bincount(matrix.indices, weights=np.abs(matrix.data), minlength=len(state))
    norm = float(np.max(column, initial=0.0))
    block = generator.block_sizes(state)[0]
    steps = len({f"{s:.12g}" for s in np.diff(times, prepend=0.0)})
    # seconds, roughly: 9 products a unit of norm against 15 dense products a new step
    series = 9.0 * norm * float(np.max(times, initial=0.0)) * (1e-5 + 4e-9 * matrix.nnz)
    dense = steps * 15.0 * 8.0 * block**3 / 5e9 if block <= DENSE_BLOCK else np.inf
    before = 0.0
    for t in times:
        if t > before and series < dense:
            state = taylor_step(matrix, state, float(t) - before, norm)
        elif t > before:
            state = generator.propagate(state, float(f"{t - before:.12g}"))
        before = float(t)
        yield state


def taylor_step(
    matrix: sp.csr_array, state: ComplexVector, duration: float, norm: float
) -> ComplexVector:
    """Return exp(L t) state by Taylor series over pieces of |L t| <= 3.

    Pieces of that size lose no digits (e^3 of rounding) and need about 27 terms.

    Parameters
    ----------
    norm : float
        Largest column sum of |L|.
    """
    pieces = max(1, int(np.ceil(norm * duration / 3.0)))
    scaled = matrix * (duration / pieces)
    for _ in range(pieces):
        term: ComplexVector = state
        total = state.copy()
        small = 1e-17 * float(np.abs(state).max())
        for k in range(1, 60):
            term = np.asarray(scaled @ term, dtype=np.complex128)
            term /= k
            total += term
            # looking costs as much as a term
            if k % 4 == 0 and float(np.abs(term).max()) < small:
                break
        state = total
    return state
