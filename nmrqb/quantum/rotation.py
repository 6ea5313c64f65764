"""Collective rotations of N equivalent satellites in the symmetric Liouville space, exactly.

A rotation of every satellite acts on the occupation numbers (1, z, +, -) as the symmetric power
of one 3 x 3 rotation.  It is never built: by Euler's angles it is

    R = Rz(alpha) X Rz(beta) X^-1 Rz(gamma),     X the rotation by 90 degrees about x,

where Rz is diagonal, and X is a signed permutation once + and - have been exchanged for x and y.
That exchange acts at fixed (1, z) on the k = (+) + (-) remaining spins as the symmetric power of
one 2 x 2 unitary, a (k+1) x (k+1) matrix: 37 of them serve 36 satellites.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from nmrqb.quantum.star import StarSpace, star_space

Array = NDArray[np.float64]
Vector = NDArray[np.complex128]

#: rotations of stars up to this many satellites are kept as matrices (220 x 220 for 9)
_KEPT_SATELLITES = 9
#: and how many bytes of them
_KEPT_BYTES = 1 << 27
#: angles closer than this to a multiple of 90 degrees are taken as that multiple
_EXACT = 1e-14


def effective_rotation(
    angle_rad: float, phase_rad: float, precession_rad: float = 0.0
) -> tuple[float, float, float]:
    """Return Euler's angles (alpha, beta, gamma) of a pulse with an offset.

    The pulse is exp(-i (angle (S_x cos phase + S_y sin phase) + precession S_z)), and equals
    Rz(alpha) Ry(beta) Rz(gamma) with right-handed rotations, the rightmost first.

    Parameters
    ----------
    angle_rad : float
        Nutation frequency times length.
    phase_rad : float
        Phase of the pulse from x.
    precession_rad : float
        Offset (rad/s) times length.
    """
    total = float(np.hypot(angle_rad, precession_rad))
    if total == 0.0:
        return 0.0, 0.0, 0.0
    cos, sin = np.cos(total / 2.0), np.sin(total / 2.0)
    # u = [[a, b], [-b*, a*]] of SU(2)
    a = cos - 1j * sin * precession_rad / total
    b = -1j * sin * (angle_rad / total) * np.exp(-1j * phase_rad)
    beta = 2.0 * float(np.arctan2(abs(b), abs(a)))
    plus = -2.0 * float(np.angle(a)) if abs(a) > _EXACT else 0.0
    minus = -2.0 * float(np.angle(-b)) if abs(b) > _EXACT else 0.0
    return (plus + minus) / 2.0, beta, (plus - minus) / 2.0


@dataclass(slots=True)
class SatelliteRotations:
    """Rotates all satellites of states of one symmetric space.

    Parameters
    ----------
    space : StarSpace
    """

    space: StarSpace
    #: elements sorted by k, then by the occupation of z: each k is one contiguous stretch
    _sorted: NDArray[np.int64] = field(init=False, repr=False)
    _groups: list[tuple[int, int, Vector, Vector]] = field(init=False, repr=False)
    _order: NDArray[np.int64] = field(init=False, repr=False)
    _quarter: tuple[NDArray[np.int64], Array] = field(init=False, repr=False)
    _half: tuple[NDArray[np.int64], Array] = field(init=False, repr=False)
    _matrices: dict[tuple[float, float, float], Vector] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        space, n = self.space, self.space.satellites
        listed: list[int] = []
        self._groups = []
        for k in range(n + 1):
            start = len(listed)
            for z in range(n - k + 1):
                listed += [space.position(0, z, p, k - p) for p in range(k + 1)]
            if k:
                matrix = _symmetric_power(k)
                forth, back = np.ascontiguousarray(matrix.T), matrix.conj()
                self._groups.append((start, len(listed), forth, back))
        self._sorted = np.array(listed)
        place = np.empty(len(listed), dtype=np.int64)
        place[self._sorted] = np.arange(len(listed))
        _, z, plus, minus = space.occupations[self._sorted].T
        self._order = plus - minus
        rows = list(zip(z.tolist(), plus.tolist(), minus.tolist(), strict=True))
        # 90 degrees about x, in occupations of (1, z, x, y): y -> z, z -> -y
        quarter = place[[space.position(0, c, b, a) for a, b, c in rows]]
        self._quarter = (quarter, (-1.0) ** z)
        # 180 degrees about y: z -> -z, x -> -x: + -> -(-)
        half = place[[space.position(0, a, c, b) for a, b, c in rows]]
        self._half = (half, (-1.0) ** (z + plus + minus))

    def rotate(self, state: Vector, euler: tuple[float, float, float]) -> Vector:
        """Return the state after Rz(alpha) Ry(beta) Rz(gamma) of every satellite.

        Parameters
        ----------
        state : ndarray, shape (dimension,)
        euler : tuple (alpha, beta, gamma) in rad
        """
        if self.space.satellites > _KEPT_SATELLITES:
            return self._rotated(state, euler)
        if euler not in self._matrices:
            size = len(self._sorted)
            while 16 * size**2 * len(self._matrices) >= _KEPT_BYTES:
                self._matrices.pop(next(iter(self._matrices)))
            every = np.eye(size, dtype=np.complex128).ravel()
            self._matrices[euler] = self._rotated(every, euler).reshape(size, size)
        rows = state.reshape(-1, self.space.symmetric_dimension)
        return np.asarray((rows @ self._matrices[euler]).ravel())

    def _rotated(self, state: Vector, euler: tuple[float, float, float]) -> Vector:
        alpha, beta, gamma = euler
        parts = self._about_z(self._rows(state), gamma)
        beta = (beta + np.pi) % (2.0 * np.pi) - np.pi
        if abs(abs(beta) - np.pi) < _EXACT:
            parts = _permuted(parts, self._half)
        elif abs(abs(beta) - np.pi / 2.0) < _EXACT:
            # Ry(+-90) = Rz(+-90) X Rz(-+90)
            parts = self._about_z(self._about_x(self._about_z(parts, -beta)), beta)
        elif beta != 0.0:
            # Ry(beta) = X^-1 Rz(beta) X,  X^-1 = Rz(180) X Rz(180)
            parts = self._about_z(self._about_x(parts), beta + np.pi)
            parts = self._about_z(self._about_x(parts), np.pi)
        rotated = np.empty_like(parts)
        rotated[:, self._sorted] = self._about_z(parts, alpha)
        return np.asarray(rotated.reshape(-1), dtype=np.complex128)

    def _rows(self, state: Vector) -> Vector:
        """Return the satellites' elements, one row for each operator of centre and load."""
        return state.reshape(-1, self.space.symmetric_dimension)[:, self._sorted]

    def _about_z(self, parts: Vector, angle_rad: float) -> Vector:
        if angle_rad == 0.0:
            return parts
        n = self.space.satellites
        phases = np.exp(-1j * angle_rad * np.arange(-n, n + 1))
        return np.asarray(parts * phases[self._order + n])

    def _about_x(self, parts: Vector) -> Vector:
        """Return X applied to every satellite, X the rotation by 90 degrees about x."""
        cartesian = self._exchange(parts, conjugate=False)
        return self._exchange(_permuted(cartesian, self._quarter), conjugate=True)

    def _exchange(self, parts: Vector, *, conjugate: bool) -> Vector:
        """Return the state in occupations of (1, z, x, y), or back."""
        result = np.zeros_like(parts)
        first = self._groups[0][0]
        result[:, :first] = parts[:, :first]
        # of the other spins' operators those of one parity are often empty
        filled = np.logical_or.reduceat(parts != 0.0, [g[0] for g in self._groups], axis=1)
        for row, group in zip(*np.nonzero(filled), strict=True):
            start, stop, forth, back = self._groups[group]
            step = back if conjugate else forth
            shape = (-1, len(step))
            spins = parts[row, start:stop].reshape(shape)
            np.matmul(spins, step, out=result[row, start:stop].reshape(shape))
        return result


@lru_cache(maxsize=4)
def satellite_rotations(satellites: int, has_load: bool = False) -> SatelliteRotations:
    """Return the rotations of a space, which all registers of its size share."""
    return SatelliteRotations(star_space(satellites, has_load))


def _permuted(parts: Vector, signed: tuple[NDArray[np.int64], Array]) -> Vector:
    target, sign = signed
    turned = np.empty_like(parts)
    turned[:, target] = parts * sign
    return turned


def _symmetric_power(k: int) -> Vector:
    """Return <x^(k-m) y^m | +^p -^(k-p)>: rows by occupation of x, columns by that of +.

    One spin: sigma_+- = (sigma_x +- i sigma_y)/2, that is |+-> = (|x> +- i |y>)/sqrt2 in
    orthonormal operators.  The 2 x 2 unitary is exponentiated as a spin k/2.
    """
    one = np.array([[1.0, 1.0], [1.0j, -1.0j]]) / np.sqrt(2.0)  # rows x, y; columns +, -
    logarithm = scipy.linalg.logm(one)
    p = np.arange(k + 1)
    generator = np.zeros((k + 1, k + 1), dtype=np.complex128)
    generator[p, p] = logarithm[0, 0] * p + logarithm[1, 1] * (k - p)
    up, down = np.sqrt((p[:-1] + 1.0) * (k - p[:-1])), np.sqrt(p[1:] * (k - p[1:] + 1.0))
    generator[p[1:], p[:-1]] = logarithm[0, 1] * up
    generator[p[:-1], p[1:]] = logarithm[1, 0] * down
    return np.asarray(scipy.linalg.expm(generator), dtype=np.complex128)
