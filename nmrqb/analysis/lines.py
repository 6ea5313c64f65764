"""Lorentzian lines of a sampled FID, exact for a finite record, with analytic derivatives.

A line is the FID exp(lambda t), lambda = 2 pi i nu - R.  Its unitary discrete Fourier transform
over M points from time t_0 is a geometric sum in closed form, truncation wiggles and the group
delay's phase included, so that nothing has to be cut, zero-filled or apodised before the fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from nmrqb.signals.series import Series


@dataclass(frozen=True, slots=True)
class Bins:
    """The bins of a unitary DFT that a fit uses.

    Attributes
    ----------
    frequency_hz : ndarray, shape (bins,)
        Offsets from the carrier.
    spectra : ndarray of complex, shape (rows, bins)
        Per scan; white noise of the FID stays white, with the same variance.
    start_s : float
        Time of the first point used, from the start of the precession.
    dwell_s : float
    points : int
        M.
    """

    frequency_hz: NDArray[np.float64]
    spectra: NDArray[np.complex128]
    start_s: float
    dwell_s: float
    points: int

    def inside(self, low_hz: float, high_hz: float) -> Bins:
        """Return the bins from `low_hz` to `high_hz`."""
        kept = (self.frequency_hz >= low_hz) & (self.frequency_hz <= high_hz)
        return replace(self, frequency_hz=self.frequency_hz[kept], spectra=self.spectra[:, kept])

    def of_fids(self, fids: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Return these bins of the unitary DFT of FIDs, shape (..., points), from `start_s` on."""
        # the length of an FID has large prime factors as often as not: scipy's FFT copes
        spectra = scipy.fft.fft(fids, axis=-1) / np.sqrt(self.points)
        place = np.rint(self.frequency_hz * self.points * self.dwell_s).astype(int)
        return np.asarray(spectra[..., place])


def spectrum_bins(series: Series) -> Bins:
    """Return every bin of the unitary DFT of a series, frequencies rising, FIDs per scan."""
    first = series.first_usable_point
    used = series.points - first
    if used < 16:
        raise ValueError(
            f"fids must have at least 16 points after the group delay, but have {used}"
        )
    fids = series.fids[:, first:] / (series.scans[:, None] * np.sqrt(used))
    spectra = np.fft.fftshift(scipy.fft.fft(fids, axis=1, overwrite_x=True), axes=1)
    frequency = np.fft.fftshift(np.fft.fftfreq(used, series.dwell_s))
    start = float(series.times_s[first])
    return Bins(frequency, spectra, start, series.dwell_s, used)


def lorentzian(
    bins: Bins, offset_hz: NDArray[np.float64], rate_per_s: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Return the lines exp((2 pi i nu - R) t) in the bins and their derivatives by lambda.

    L = e^{lambda t0} (1 - e^{lambda M dt}) / (1 - z) / sqrt(M), z = e^{(lambda - 2 pi i f) dt}.

    Parameters
    ----------
    bins : Bins
    offset_hz, rate_per_s : ndarray, shape (lines,)
        nu and R.

    Returns
    -------
    line, derivative : ndarray of complex, shape (lines, bins)
    """
    lam = (2j * np.pi * offset_hz - rate_per_s)[:, None]
    z = np.exp((lam - 2j * np.pi * bins.frequency_hz) * bins.dwell_s)
    length = bins.points * bins.dwell_s
    end = np.exp(lam * length)
    # bins sit on multiples of 1/length from the band edge: the phase of e^{-2 pi i f M dt}
    turn = np.exp(-2j * np.pi * bins.frequency_hz * length)
    line = np.exp(lam * bins.start_s) * (1.0 - end * turn) / (1.0 - z) / np.sqrt(bins.points)
    derivative = line * (
        bins.start_s - length * end * turn / (1.0 - end * turn) + bins.dwell_s * z / (1.0 - z)
    )
    return line, derivative
