"""Pictures of a collective spin on its sphere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import comb

Array = NDArray[np.float64]


def husimi(matrix: NDArray[np.complex128] | Array, cosines: Array, azimuths: Array) -> Array:
    """Return Q(theta, phi) = (N + 1)/(4 pi) <theta, phi|rho|theta, phi>, whose integral is 1.

    |theta, phi> is the spin-coherent state with the Bloch vector (sin theta cos phi, sin theta
    sin phi, cos theta), cos theta = 1 for all batteries excited.

    Parameters
    ----------
    matrix : ndarray, shape (N + 1, N + 1)
        rho in the Dicke states of n = 0..N excitations.
    cosines : ndarray, shape (rows,)
        cos theta.
    azimuths : ndarray, shape (columns,)
        phi, rad.

    Returns
    -------
    ndarray, shape (rows, columns)
    """
    batteries = len(matrix) - 1
    n = np.arange(batteries + 1)
    half = np.arccos(np.clip(cosines, -1.0, 1.0))[:, None] / 2.0
    amplitude = np.sqrt(comb(batteries, n)) * np.cos(half) ** n * np.sin(half) ** (batteries - n)
    # one qubit is cos(theta/2) e^(-i phi/2)|excited> + sin(theta/2) e^(i phi/2)|empty>
    phase = np.exp(-1j * np.multiply.outer(np.asarray(azimuths), n))
    ket = amplitude[:, None, :] * phase[None, :, :]
    value = np.einsum("rcm,mn,rcn->rc", ket.conj(), matrix, ket).real
    return np.asarray((batteries + 1) / (4.0 * np.pi) * value, dtype=np.float64)
