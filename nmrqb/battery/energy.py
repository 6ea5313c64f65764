"""Energy and ergotropy of a qubit battery from its Bloch vector.

r_z > 0 is the ground state (energy label), so that E = (omega/2)(1 - r_z) from the ground level.
NMR starts from the identity: energies are then given from the identity level in units of
hbar |omega_B| eps/2, where eps is the chargers' thermal polarisation and r is in units of eps:

    E = -r_z,    W = |r| - r_z,    incoherent part 2 max(0, -r_z).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]

#: the unit of every NMR energy and ergotropy of the project
NMR_ENERGY_UNIT = "hbar |omega_B| eps/2, from the identity level"
#: of each species, where it is the one that is read
ENERGY_UNITS = {
    "battery": NMR_ENERGY_UNIT,
    "charger": "hbar |omega_C| eps/2, from the identity level",
    "load": "hbar |omega_L| eps/2, from the identity level",
}
#: of all batteries of a pseudo-pure molecule
PSEUDO_PURE_ENERGY_UNIT = (
    "hbar |omega_B|, all batteries of a pseudo-pure molecule, from the ground level"
)


def stored_energy(r_z: Array) -> Array:
    """Return E = -r_z, shape of `r_z`, in the NMR energy unit (from the identity level)."""
    return -np.asarray(r_z, dtype=np.float64)


def incoherent_ergotropy(r_z: Array) -> Array:
    """Return the ergotropy of the populations, 2 max(0, -r_z), in the NMR energy unit.

    A state with r_z >= 0 is passive.
    """
    return 2.0 * np.maximum(0.0, -np.asarray(r_z, dtype=np.float64))


def ergotropy(r: Array) -> Array:
    """Return W = |r| - r_z for Bloch vectors of shape (..., 3), in the NMR energy unit."""
    r = np.asarray(r, dtype=np.float64)
    result: Array = np.linalg.norm(r, axis=-1) - r[..., 2]
    return result


def ergotropy_upper_limit(r_z: Array, stderr: Array) -> Array:
    """Return the one-sided 95 % upper limit of the incoherent ergotropy, 2 max(0, -r_z + 1.645 s).

    The estimate 2 max(0, -r_z) is one-sided near r_z = 0, where a standard error means nothing;
    the limit stays valid there (Gaussian errors of r_z).
    """
    return 2.0 * np.maximum(0.0, -np.asarray(r_z) + 1.6448536269514722 * np.asarray(stderr))


def incoherent_bias(r_z: Array | float, stderr: Array | float) -> Array:
    """Return the mean of the estimate 2 max(0, -r_z) minus the truth, for Gaussian errors.

    2 [s phi(x) - |r_z| Phi(-x)], x = |r_z|/s: 0.80 s at r_z = 0, below 0.02 s beyond two standard
    errors.  It is the price of an estimate that is never negative, and not taken off.
    """
    s = np.asarray(stderr, dtype=np.float64)
    distance = np.abs(np.asarray(r_z, dtype=np.float64))
    x = distance / s
    density = np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi)
    return np.asarray(2.0 * (s * density - distance * ndtr(-x)))
