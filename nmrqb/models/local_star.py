"""Qubit charger and N qubit batteries with T1 and T2 on each, in symmetric Liouville space.

The engine of the relaxing star (`StarSpace`), with drive, detuning, dephasing of the charger and
collective dephasing of the batteries added.  |up> is the excited state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from nmrqb.battery.ergotropy import Sector, spin_multiplicity
from nmrqb.models.bipartite import march
from nmrqb.models.rates import Bath, StarRates
from nmrqb.quantum import operators as op
from nmrqb.quantum.propagation import Generator
from nmrqb.quantum.star import StarSpace
from nmrqb.quantum.total_spin import total_spin_blocks

Array = NDArray[np.float64]
ComplexVector = NDArray[np.complex128]

_NUMBER = np.diag([1.0, 0.0]).astype(np.complex128)
_TURN = op.left(_NUMBER) - op.right(_NUMBER)  # B -> [n, B]


def _relaxation(bath: Bath) -> NDArray[np.complex128]:
    return op.relaxation(bath.t1, bath.t2, bath.polarisation)


@dataclass(frozen=True, slots=True)
class LocalStar:
    """A star of qubits.

    Parameters
    ----------
    rates : StarRates
    is_thermal : bool
        Start in thermal equilibrium instead of empty.
    """

    rates: StarRates
    is_thermal: bool
    space: StarSpace = field(init=False, repr=False)
    generator: Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        r = self.rates
        space = StarSpace(r.batteries)
        drive = op.SIGMA_PLUS + op.SIGMA_MINUS
        exchange: list[tuple[complex, op.ComplexMatrix, op.ComplexMatrix]] = [
            (r.coupling, op.SIGMA_PLUS, op.SIGMA_MINUS),
            (r.coupling, op.SIGMA_MINUS, op.SIGMA_PLUS),
        ]
        center = (
            -1j * r.drive * (op.left(drive) - op.right(drive))
            - 1j * r.charger_offset * _TURN
            - r.dephasing / 2.0 * (_TURN @ _TURN)
            + _relaxation(r.charger_bath)
        )
        each = -1j * r.battery_offset * _TURN + _relaxation(r.battery_bath)
        total = space.commutator(exchange) + space.on_center(center) + space.on_satellites(each)
        if r.collective_dephasing > 0.0:
            turn = space.on_satellites(_TURN)
            total = total - r.collective_dephasing / 2.0 * (turn @ turn)
        matrix = sp.csr_array(total)
        matrix.eliminate_zeros()
        object.__setattr__(self, "space", space)
        object.__setattr__(self, "generator", Generator(matrix))

    def start(self) -> ComplexVector:
        """Return the empty (or thermal) state."""
        r = self.rates
        if self.is_thermal:
            return self.space.state(
                r.charger_bath.polarisation, r.battery_bath.polarisation, "exact"
            )
        return self.space.state(-1.0, -1.0, "exact")

    def states(self, times: Array) -> Iterator[ComplexVector]:
        """Yield the state at each of the rising `times`."""
        yield from march(self.generator, self.start(), times)

    def functionals(self) -> tuple[ComplexVector, ComplexVector, ComplexVector]:
        """Return the rows of tr rho, <n_C> and <sum_j n_j>."""
        space, n = self.space, self.rates.batteries
        trace, charger, battery = np.zeros((3, space.dimension), dtype=np.complex128)
        one = space.position(op.ONE)
        trace[one] = 1.0
        charger[one], charger[space.position(op.Z)] = 0.5, 0.5
        battery[one], battery[space.position(op.ONE, z=1)] = n / 2.0, np.sqrt(n) / 2.0
        return trace, charger, battery

    def flux(self) -> ComplexVector:
        """Return the row of the quanta that the drive puts in per time, -2 F Im <sigma_->."""
        # <sigma_-> = (x - i y)/2 and the coefficient of sigma_+ is (x - i y)/sqrt2
        row = np.zeros(self.space.dimension, dtype=np.complex128)
        half = self.rates.drive / np.sqrt(2.0)
        row[self.space.position(op.PLUS)] = 1j * half
        row[self.space.position(op.MINUS)] = -1j * half
        return row

    def interaction(self) -> tuple[ComplexVector, ComplexVector]:
        """Return the rows of <H_CB> and <H_drive>."""
        space, r = self.space, self.rates
        coupling, drive = np.zeros((2, space.dimension), dtype=np.complex128)
        # tr(sigma_+ sigma_j^-) reads the coefficient of sigma_- sigma_j^+, an element of norm 1/2
        share = r.coupling * np.sqrt(r.batteries) / 2.0
        coupling[space.position(op.MINUS, plus=1)] = share
        coupling[space.position(op.PLUS, minus=1)] = share
        drive[space.position(op.PLUS)] = drive[space.position(op.MINUS)] = r.drive / np.sqrt(2.0)
        return coupling, drive

    def sectors(self, state: ComplexVector) -> list[Sector]:
        """Return the batteries' state in all sectors of total spin."""
        n = self.rates.batteries
        return [
            Sector(
                # rising excitations; the engine lists numbers of spins up the same way
                matrix=(block + block.conj().T) / 2.0,
                excitations=(n - twice_j) // 2 + np.arange(twice_j + 1),
                multiplicity=spin_multiplicity(n, twice_j),
            )
            for twice_j, block in total_spin_blocks(self.space, state)
        ]
