"""Channels of one spin as affine maps of its Bloch vector, r -> M r + s.

A state is rho = (1 + r . sigma)/2 with |r| <= 1; M and s are real.  The maps of thermal NMR are
given with s in units of eps: `at_polarisation` makes a channel of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmrqb.quantum import operators as op
from nmrqb.quantum.operators import ComplexMatrix

Array = NDArray[np.float64]

#: sigma_x, sigma_y, sigma_z
PAULI: tuple[ComplexMatrix, ...] = (
    op.SIGMA_PLUS + op.SIGMA_MINUS,
    -1j * op.SIGMA_PLUS + 1j * op.SIGMA_MINUS,
    op.SIGMA_Z,
)
#: a fixed point is unique where 1 - M is better conditioned than this
_WORST_CONDITION = 1e12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlochChannel:
    """An affine map of the Bloch vector.

    Attributes
    ----------
    matrix : ndarray, shape (3, 3)
        M, in the order x, y, z.
    shift : ndarray, shape (3,)
        s.
    """

    matrix: Array
    shift: Array

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        shift = np.array(self.shift, dtype=np.float64)
        if matrix.shape != (3, 3) or shift.shape != (3,):
            raise ValueError(
                f"`matrix` must be 3 x 3 and `shift` of length 3, but are {matrix.shape} and "
                f"{shift.shape}"
            )
        if not (np.isfinite(matrix).all() and np.isfinite(shift).all()):
            raise ValueError("`matrix` and `shift` must be finite")
        for name, value in (("matrix", matrix), ("shift", shift)):
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    @classmethod
    def phase_covariant(
        cls, longitudinal: float, transverse: complex, shift: float
    ) -> BlochChannel:
        """Return z -> longitudinal z + shift, (x + i y) -> transverse (x + i y)."""
        m = complex(transverse)
        matrix = np.array([[m.real, -m.imag, 0.0], [m.imag, m.real, 0.0], [0.0, 0.0, longitudinal]])
        return cls(matrix=matrix, shift=np.array([0.0, 0.0, shift]))

    def __call__(self, bloch: ArrayLike) -> Array:
        """Return the Bloch vectors after the channel, shape (..., 3)."""
        return np.asarray(np.asarray(bloch, float) @ self.matrix.T + self.shift)

    def __matmul__(self, earlier: BlochChannel) -> BlochChannel:
        """Return this channel after an earlier one."""
        return BlochChannel(matrix=self.matrix @ earlier.matrix, shift=self(earlier.shift))

    def power(self, times: int) -> BlochChannel:
        """Return the channel applied `times` times."""
        if times < 0:
            raise ValueError(f"`times` must be at least 0, but is {times}")
        homogeneous = np.eye(4)
        homogeneous[:3, :3], homogeneous[:3, 3] = self.matrix, self.shift
        whole = np.linalg.matrix_power(homogeneous, times)
        return BlochChannel(matrix=whole[:3, :3], shift=whole[:3, 3])

    def at_polarisation(self, eps: float) -> BlochChannel:
        """Return the channel of absolute Bloch vectors where `shift` counts in units of eps."""
        return BlochChannel(matrix=self.matrix, shift=eps * self.shift)

    def fixed_point(self) -> Array | None:
        """Return the Bloch vector that the channel reproduces; None where it is not unique."""
        system = np.eye(3) - self.matrix
        if np.linalg.cond(system) > _WORST_CONDITION:
            return None
        return np.asarray(np.linalg.solve(system, self.shift))

    def choi(self) -> ComplexMatrix:
        """Return sum_ij C(|i><j|) x |i><j|, shape (4, 4): the channel's spin first, trace 2."""
        return np.asarray(0.5 * np.eye(4) + choi_of(self.matrix, self.shift))

    def is_physical(self, tolerance: float = 1e-12) -> bool:
        """Whether the map is completely positive: no eigenvalue of `choi` below -tolerance."""
        return bool(np.linalg.eigvalsh(self.choi())[0] >= -tolerance)

    def is_phase_covariant(self, tolerance: float = 1e-12) -> bool:
        """Whether rotations about z may be made before or after the map alike."""
        return is_phase_covariant(self.matrix, self.shift, tolerance)


def choi_of(matrix: Array, shift: Array) -> ComplexMatrix:
    """Return sum_ij D(|i><j|) x |i><j| of D(rho) = (A r + t tr rho) . sigma/2.

    Parameters
    ----------
    matrix : ndarray, shape (3, 3)
        A.
    shift : ndarray, shape (3,)
        t.
    """
    total = np.kron(matrix_along(shift), op.IDENTITY)
    for k, sigma in enumerate(PAULI):
        total = total + np.kron(matrix_along(matrix[:, k]), sigma.T)
    return np.asarray(0.5 * total)


def is_phase_covariant(matrix: Array, shift: Array, tolerance: float) -> bool:
    """Whether r -> A r + t commutes with rotations about z to `tolerance`."""
    wrong = (
        matrix[0, 0] - matrix[1, 1],
        matrix[0, 1] + matrix[1, 0],
        *matrix[:2, 2],
        *matrix[2, :2],
        *shift[:2],
    )
    return bool(np.abs(wrong).max() <= tolerance)


def matrix_along(vector: Array) -> ComplexMatrix:
    """Return v . sigma, shape (2, 2)."""
    return np.asarray(sum(v * sigma for v, sigma in zip(vector, PAULI, strict=True)))
