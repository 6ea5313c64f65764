"""To and from QuTiP.  The only importer of qutip in the package, and only when called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import qutip

Matrix = NDArray[np.complex128] | NDArray[np.float64]


def to_qobj(matrix: Matrix, dimensions: Sequence[int]) -> qutip.Qobj:
    """Return a square matrix as a Qobj on the tensor product of `dimensions`."""
    import qutip

    dims = [list(dimensions), list(dimensions)]
    return qutip.Qobj(np.asarray(matrix, dtype=np.complex128), dims=dims).to("CSR")


def from_qobj(operator: qutip.Qobj) -> NDArray[np.complex128]:
    """Return a Qobj as a matrix; a ket becomes its projector."""
    import qutip

    if operator.isket:
        operator = qutip.ket2dm(operator)
    return np.asarray(operator.full(), dtype=np.complex128)


def on_spin(operator: qutip.Qobj, place: int, spins: int) -> qutip.Qobj:
    """Return a one-spin operator in the full space of `spins` spins-1/2."""
    import qutip

    return qutip.tensor([operator if k == place else qutip.qeye(2) for k in range(spins)])


def one_spin() -> tuple[qutip.Qobj, qutip.Qobj]:
    """Return sigma_- and the number of excitations in the basis (empty, excited)."""
    import qutip

    return qutip.destroy(2), qutip.num(2)


def product_state(excited: Sequence[float]) -> qutip.Qobj:
    """Return the product of diagonal one-spin states with the given excited populations."""
    import qutip

    return qutip.tensor([qutip.qdiags([1.0 - p, p], 0) for p in excited])


def on_place(operator: Matrix, place: int, dimensions: Sequence[int]) -> qutip.Qobj:
    """Return an operator of one factor in the full space."""
    import qutip

    return qutip.tensor(
        [to_qobj(operator, [d]) if k == place else qutip.qeye(d) for k, d in enumerate(dimensions)]
    )


def empty_state(dimensions: Sequence[int]) -> qutip.Qobj:
    """Return the projector on the lowest state of every factor."""
    import qutip

    return qutip.tensor([qutip.fock_dm(d, 0) for d in dimensions])


def solve_master_equation(
    hamiltonian: qutip.Qobj,
    collapse: list[qutip.Qobj],
    start: qutip.Qobj,
    times: NDArray[np.float64],
) -> list[qutip.Qobj]:
    """Return QuTiP's states at `times`, to about 1e-9 a step."""
    import qutip

    options = {"atol": 1e-11, "rtol": 1e-9, "nsteps": 1_000_000, "store_states": True}
    return list(qutip.mesolve(hamiltonian, start, times, collapse, options=options).states)
