"""Where the lines of a series are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.lines import Bins, spectrum_bins
from nmrqb.analysis.noise import noise_per_channel
from nmrqb.signals.series import Series

#: share of the spectrum that a detected region may fill
_WIDEST = 0.25


def scan_weights(series: Series) -> NDArray[np.float64]:
    """Return what brings the noise of every row to one size: the root of its scans, at most 1."""
    weights: NDArray[np.float64] = np.sqrt(series.scans / series.scans.max())
    return weights


def detect_regions(series: Series, bins: Bins, noise: float) -> tuple[tuple[float, float], ...]:
    """Return one region around each group of lines that stands out of the noise.

    The root mean square over the rows is smoothed over three bins; a region holds the bins above
    ten times the noise, widened by 24 bins on either side.  Where a region would fill more than a
    quarter of the spectrum the threshold is raised.

    Raises
    ------
    ValueError
        Where no bin stands out.
    """
    power = np.mean(np.abs(bins.spectra) ** 2, axis=0) / 2.0
    power = np.convolve(power, np.ones(3) / 3.0, mode="same")
    floor = (1.0 + 10.0 * np.sqrt(1.0 / (3.0 * len(bins.spectra)))) * noise**2
    if not (power > floor).any():
        raise ValueError("no line stands out of the noise: name a region")
    while True:
        wide = np.convolve((power > floor).astype(int), np.ones(49, dtype=int), mode="same") > 0
        edges = np.flatnonzero(np.diff(np.concatenate([[0], wide.astype(int), [0]])))
        widest = int((edges[1::2] - edges[::2]).max())
        # feet of a tall line fill a spectrum: a region is where the lines are
        if widest <= _WIDEST * len(power) or floor > 0.05 * power.max():
            break
        floor *= 4.0
    ppm = series.ppm(bins.frequency_hz)
    found = []
    for start, stop in edges.reshape(-1, 2):
        if power[start:stop].max() > 25.0 * noise**2 / len(bins.spectra) + noise**2:
            found.append((float(ppm[start]), float(ppm[stop - 1])))
    if not found:
        raise ValueError("no line stands out of the noise: name a region")
    return tuple(found)


def detected_regions(series: Series) -> tuple[tuple[float, float], ...]:
    """Return one region (low, high in ppm) around each group of lines of a series.

    Raises
    ------
    ValueError
        Where no line stands out of the noise.
    """
    bins = spectrum_bins(series)
    bins = replace(bins, spectra=bins.spectra * scan_weights(series)[:, None])
    return detect_regions(series, bins, noise_per_channel(bins))
