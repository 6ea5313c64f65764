"""Noise of a series, from the parts of its spectrum that hold no signal."""

from __future__ import annotations

import numpy as np

from nmrqb.analysis.lines import Bins

#: bins in one block; a block gives the variance to sqrt(2/118), 13 %
_BLOCK = 64


def noise_per_channel(bins: Bins) -> float:
    """Return the noise sigma of one channel (real or imaginary) of one point, common to all rows.

    Every row's spectrum is cut into blocks, a cubic is taken from each, and the blocks whose
    variance is compatible with the quietest quarter (within 3.5 sigma of its spread) are
    averaged.  Signal-bearing blocks fall out.  White noise is assumed.
    """
    count = max(1, bins.points // _BLOCK)
    size = bins.points // count
    spectra = bins.spectra[:, : count * size].reshape(-1, count, size)
    x = np.linspace(-1.0, 1.0, size)
    basis, _ = np.linalg.qr(np.vander(x, 4))
    dof = 2 * (size - basis.shape[1])
    taken = np.sum(np.abs(spectra @ basis) ** 2, axis=-1)
    variance = (np.einsum("...k,...k->...", spectra, spectra.conj()).real - taken).ravel() / dof
    # of a noise-free series the difference may round below zero
    variance = np.maximum(variance, 0.0)
    spread = np.sqrt(2.0 / dof)
    # lower quartile of chi-square/dof is 1 - 0.67 spread: undo it for the starting value
    level = float(np.quantile(variance, 0.25)) / max(1.0 - 0.6745 * spread, 0.1)
    for _ in range(20):
        quiet = variance[variance <= level * (1.0 + 3.5 * spread)]
        updated = float(quiet.mean()) if quiet.size else level
        if abs(updated - level) <= 1e-9 * level:
            break
        level = updated
    return float(np.sqrt(level))
