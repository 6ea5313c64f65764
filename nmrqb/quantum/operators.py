"""Single-spin operators and their action on operators (superoperators).

Conventions: hbar = 1; |up> is the first basis vector, sigma_z|up> = +|up>, sigma_+ = |up><down|.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ComplexMatrix = NDArray[np.complex128]

IDENTITY: ComplexMatrix = np.eye(2, dtype=np.complex128)
SIGMA_Z: ComplexMatrix = np.diag([1.0, -1.0]).astype(np.complex128)
SIGMA_PLUS: ComplexMatrix = np.array([[0, 1], [0, 0]], dtype=np.complex128)
SIGMA_MINUS: ComplexMatrix = SIGMA_PLUS.T.copy()

#: Positions in the operator basis below.
ONE, Z, PLUS, MINUS = range(4)

#: Orthonormal under tr(A^dagger B): 1/sqrt2, sigma_z/sqrt2, sigma_+, sigma_-.  Every element has a
#: definite coherence order, so that conserved orders show as blocks of a generator.
BASIS: tuple[ComplexMatrix, ...] = (
    IDENTITY / np.sqrt(2.0),
    SIGMA_Z / np.sqrt(2.0),
    SIGMA_PLUS,
    SIGMA_MINUS,
)
#: Coherence order of each basis element.
ORDERS = np.array([0, 0, 1, -1])


def left(operator: ComplexMatrix) -> ComplexMatrix:
    """Return the 4 x 4 matrix of B -> A B in the operator basis."""
    return _matrix_of(lambda b: operator @ b)


def right(operator: ComplexMatrix) -> ComplexMatrix:
    """Return the 4 x 4 matrix of B -> B A in the operator basis."""
    return _matrix_of(lambda b: b @ operator)


def sandwich(operator: ComplexMatrix) -> ComplexMatrix:
    """Return the 4 x 4 matrix of B -> A B A^dagger in the operator basis."""
    return _matrix_of(lambda b: operator @ b @ operator.conj().T)


def rotation(angle_rad: float, phase_rad: float) -> ComplexMatrix:
    """Return the 4 x 4 matrix of rho -> U rho U^dagger for a pulse.

    U = exp(-i angle (S_x cos phase + S_y sin phase)): the right-handed rotation by `angle_rad`
    about the axis at `phase_rad` from x in the transverse plane.
    """
    axis = np.exp(-1j * phase_rad) * SIGMA_PLUS + np.exp(1j * phase_rad) * SIGMA_MINUS
    u = np.cos(angle_rad / 2.0) * IDENTITY - 1j * np.sin(angle_rad / 2.0) * axis
    return _matrix_of(lambda b: u @ b @ u.conj().T)


def euler_rotation(euler: tuple[float, float, float]) -> ComplexMatrix:
    """Return the 4 x 4 matrix of Rz(alpha) Ry(beta) Rz(gamma), right-handed rotations."""
    alpha, beta, gamma = euler
    turn = np.diag(np.exp(-1j * alpha * ORDERS)) @ rotation(beta, np.pi / 2.0)
    return np.asarray(turn @ np.diag(np.exp(-1j * gamma * ORDERS)), dtype=np.complex128)


def relaxation(t1_s: float, t2_s: float, equilibrium: float) -> ComplexMatrix:
    """Return the 4 x 4 generator of T1 and T2 relaxation of one spin.

    d<sigma_z>/dt = -(<sigma_z> - equilibrium)/T1 and d<sigma_+->/dt = -<sigma_+->/T2.  It is of
    Lindblad form for T2 <= 2 T1 and |equilibrium| <= 1.

    Parameters
    ----------
    t1_s, t2_s : float
        Relaxation times in seconds; infinity switches the process off.
    equilibrium : float
        Equilibrium of <sigma_z>.
    """
    generator = np.zeros((4, 4), dtype=np.complex128)
    generator[Z, Z] = -1.0 / t1_s
    generator[Z, ONE] = equilibrium / t1_s
    generator[PLUS, PLUS] = generator[MINUS, MINUS] = -1.0 / t2_s
    return generator


def _matrix_of(action: object) -> ComplexMatrix:
    images = [action(b) for b in BASIS]  # type: ignore[operator]
    return np.array([[np.vdot(a, image) for image in images] for a in BASIS])
