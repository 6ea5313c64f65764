"""Are the residuals of a region white?  A portmanteau test of neighbouring bins.

White noise of an FID is white in the bins of its unitary DFT: residuals of neighbouring bins are
independent, but for what the fit took out.  A shape that is not the line's, a neighbour's tail or a
bent baseline leave residuals that go the same way over several bins.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from nmrqb.analysis.projection import Array, Spectra

#: bins over which residuals are held against each other
_LAGS = 8
#: probability below which residuals are called not white
SUSPICIOUS = 1e-3


def whiteness(residual: Spectra, removed: Spectra, removed_twice: Array) -> float | None:
    """Return the probability of autocorrelations at least as large in white noise.

    None where the fit took out more than half of the noise.

    With c_l = sum_k e*_k e_(k+l) over l = 1 ... L, Q = sum_l |c_l - <c_l>|^2/<|c_l|^2> times two is
    chi-square with 2 L degrees of freedom (Ljung and Box, Biometrika 65, 297 (1978), for complex
    noise).  <c_l> is not zero because the fit took directions out of the noise, and is exact.

    Parameters
    ----------
    residual : ndarray of complex, shape (bins,)
    removed : ndarray of complex, shape (directions, bins)
        Orthonormal for real inner products: what the fit took out, one real number each.
    removed_twice : ndarray, shape (bins, columns)
        Orthonormal: taken out with complex numbers (the baseline).
    """
    size = len(residual)
    lags = min(_LAGS, size // 4)
    free = 2.0 * size - len(removed) - 2.0 * removed_twice.shape[1]
    if free < size:
        return None
    variance = float(np.vdot(residual, residual).real) / free
    q = 0.0
    for lag in range(1, lags + 1):
        c = np.vdot(residual[:-lag], residual[lag:])
        expected = -variance * (
            np.sum(removed[:, :-lag].conj() * removed[:, lag:])
            + 2.0 * np.sum(removed_twice[:-lag] * removed_twice[lag:])
        )
        # of c: 2 variance^2 for its real and imaginary part, each, times the pairs
        q += float(np.abs(c - expected) ** 2) / (2.0 * variance**2 * (size - lag))
    return float(stats.chi2.sf(q, 2 * lags))


def in_words(p_value: float) -> str:
    """Return ``p = 0.03``, or ``p < 1e-99`` where it no longer matters."""
    return f"p = {p_value:.1g}" if p_value >= 1e-99 else "p < 1e-99"
