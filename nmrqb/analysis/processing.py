"""From FIDs to spectra for people: apodisation, zero-filling, phase, baseline, shifts, integrals.

Fits do without all of this (``series_fit``).  The phase is set once, on the reference row, and
never row by row: the sign of a line is what was stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.lines import spectrum_bins
from nmrqb.analysis.noise import noise_per_channel
from nmrqb.signals.series import Series
from nmrqb.signals.spectrum import Spectrum

_MAX_BINS = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Integrals:
    """Integrals of regions in every row.

    Attributes
    ----------
    regions_ppm : tuple of (low, high)
    values, stderr : ndarray, shape (rows, regions)
        Amplitudes at time 0 per scan.
    """

    regions_ppm: tuple[tuple[float, float], ...]
    values: NDArray[np.float64]
    stderr: NDArray[np.float64]


def transform(
    series: Series, *, lorentzian_hz: float = 0.0, gaussian_hz: float = 0.0, zero_fill: int = 2
) -> Spectrum:
    """Return the spectra of a series, with the phase that the time origin gives and no other.

    S(nu) = dt sum_k w_k x_k e^(-2 pi i nu t_k) over all points, t_k from the start of the
    precession: the build-up of a digital filter before it belongs to its response and stays.  A
    first point at time 0 counts half (trapezium), else the whole baseline is lifted.

    Parameters
    ----------
    series : Series
    lorentzian_hz, gaussian_hz : float
        Widths added to the lines: weights e^(-pi L t) and e^(-(pi G t)^2 / (4 ln 2)).
    zero_fill : int
        The points are filled up to the next power of two, times this number.

    Raises
    ------
    ValueError
        Where a width is negative or the filling out of range.
    """
    for name, width in (("lorentzian_hz", lorentzian_hz), ("gaussian_hz", gaussian_hz)):
        if not (np.isfinite(width) and width >= 0.0):
            raise ValueError(f"{name} must be at least 0 Hz, but is {width:g} Hz")
    bins = zero_fill * 2 ** int(np.ceil(np.log2(series.points)))
    if zero_fill < 1 or bins > _MAX_BINS:
        raise ValueError(f"zero_fill must be 1 to {_MAX_BINS // series.points}, but is {zero_fill}")
    t = series.times_s
    after = np.maximum(t, 0.0)
    weight = np.exp(-np.pi * lorentzian_hz * after)
    weight *= np.exp(-((np.pi * gaussian_hz * after) ** 2) / (4.0 * np.log(2.0)))
    if abs(t[0]) < 1e-3 * series.dwell_s:
        weight[0] *= 0.5
    fids = series.fids / series.scans[:, None] * (weight * series.dwell_s)
    frequency = np.fft.fftshift(np.fft.fftfreq(bins, series.dwell_s))
    values = np.fft.fftshift(np.fft.fft(fids, bins, axis=1), axes=1)
    values *= np.exp(-2j * np.pi * frequency * t[0])
    used = spectrum_bins(series)
    # of one scan: the noise of the mean of n is smaller by the root of n
    one_scan = replace(used, spectra=used.spectra * np.sqrt(series.scans)[:, None])
    steps = [f"Fourier transform of {series.points} points to {bins} bins"]
    if lorentzian_hz or gaussian_hz:
        steps.insert(
            0, f"apodisation: {lorentzian_hz:g} Hz Lorentzian, {gaussian_hz:g} Hz Gaussian"
        )
    return Spectrum(
        frequency_hz=frequency,
        values=values,
        noise=noise_per_channel(one_scan),
        weights=weight * series.dwell_s,
        carrier_ppm=series.carrier_ppm,
        reference_hz=series.reference_hz,
        nucleus=series.nucleus,
        axis=series.axis,
        scans=series.scans,
        history=tuple(steps),
    )


def phased(
    spectrum: Spectrum,
    *,
    row: int,
    region_ppm: tuple[float, float] | None = None,
    p1_deg: float = 0.0,
) -> Spectrum:
    """Return spectra phased by one angle, the same for all rows, that makes `row` positive.

    The angle is that of the integral over a window around the tallest line of that row (or over
    `region_ppm`): dispersion cancels in it.

    Parameters
    ----------
    spectrum : Spectrum
    row : int
        The reference row.
    region_ppm : (low, high), optional
    p1_deg : float
        Phase that changes linearly by this angle over the width, zero at the carrier.

    Raises
    ------
    ValueError
        Where there is no such row or the region is empty.
    """
    if not 0 <= row < spectrum.rows:
        raise ValueError(f"row must be 0 to {spectrum.rows - 1}, but is {row}")
    width = len(spectrum.frequency_hz) * spectrum.spacing_hz
    turned = spectrum.values * np.exp(1j * np.radians(p1_deg) * spectrum.frequency_hz / width)
    inside = _window(turned[row]) if region_ppm is None else _inside(spectrum, region_ppm)
    total = turned[row, inside].sum()
    angle = float(np.angle(total))
    step = f"phase: {-np.degrees(angle):.4g} degrees for all rows, set on row {row}"
    if p1_deg:
        step += f"; {p1_deg:g} degrees over the width"
    return replace(spectrum, values=turned * np.exp(-1j * angle), history=(*spectrum.history, step))


def _window(row: NDArray[np.complex128]) -> NDArray[np.bool_]:
    """Return a symmetric window around the tallest line: out to 4 % of its height."""
    height = np.abs(row)
    top = int(np.argmax(height))
    low = height < 0.04 * height[top]
    left = np.flatnonzero(low[:top])
    right = np.flatnonzero(low[top:])
    reach = max(top - left[-1] if left.size else top, right[0] if right.size else len(row) - top, 4)
    index = np.arange(len(row))
    return np.asarray(np.abs(index - top) <= min(reach, len(row) // 8))


def _inside(spectrum: Spectrum, region_ppm: tuple[float, float]) -> NDArray[np.bool_]:
    low, high = sorted(region_ppm)
    inside = (spectrum.ppm >= low) & (spectrum.ppm <= high)
    if inside.sum() < 2:
        ends = spectrum.ppm[[0, -1]]
        raise ValueError(
            f"region {low:g}:{high:g} ppm holds {inside.sum()} bins of the spectrum "
            f"({ends[0]:.4g} to {ends[1]:.4g} ppm)"
        )
    return inside


def without_baseline(spectrum: Spectrum, *, order: int = 3) -> Spectrum:
    """Return spectra from whose real parts a polynomial through the empty regions is taken.

    What is baseline is found by the squared slope of the smoothed spectrum (Dietrich), which is
    blind to the sign of lines; the regions are those of the mean power of all rows.

    References
    ----------
    W. Dietrich, C. H. Rudel and M. Neumann, J. Magn. Reson. 91, 1 (1991); pybaselines.
    """
    from pybaselines import Baseline

    if not 0 <= order <= 12:
        raise ValueError(f"order must be 0 to 12, but is {order}")
    x = np.linspace(-1.0, 1.0, len(spectrum.frequency_hz))
    finder = Baseline(x_data=x)
    smooth = max(3, len(x) // 512)
    _, found = finder.dietrich(
        np.sqrt(np.mean(spectrum.values.real**2, axis=0)),
        smooth_half_window=smooth,
        num_std=3.0,
        poly_order=order,
        min_length=max(2, smooth),
    )
    empty = np.asarray(found["mask"], dtype=bool)
    if empty.sum() < 8 * (order + 1):
        raise ValueError("the spectrum holds too little empty baseline: choose a lower order")
    basis = np.polynomial.legendre.legvander(x, order)
    coefficients, *_ = np.linalg.lstsq(basis[empty], spectrum.values.real[:, empty].T, rcond=None)
    step = f"baseline: polynomial of order {order} through {100.0 * empty.mean():.0f} % of the bins"
    return replace(
        spectrum,
        values=spectrum.values - (basis @ coefficients).T,
        history=(*spectrum.history, step),
    )


def referenced(spectrum: Spectrum, *, found_ppm: float, true_ppm: float) -> Spectrum:
    """Return spectra whose shifts are moved so that a line at `found_ppm` lies at `true_ppm`."""
    if not (np.isfinite(found_ppm) and np.isfinite(true_ppm)):
        raise ValueError("found_ppm and true_ppm must be finite")
    shift = true_ppm - found_ppm
    carrier_hz = spectrum.reference_hz * (1.0 + spectrum.carrier_ppm * 1e-6)
    carrier_ppm = spectrum.carrier_ppm + shift
    return replace(
        spectrum,
        carrier_ppm=carrier_ppm,
        reference_hz=carrier_hz / (1.0 + carrier_ppm * 1e-6),
        history=(*spectrum.history, f"shifts: {found_ppm:g} ppm is {true_ppm:g} ppm"),
    )


def integrate(spectrum: Spectrum, regions_ppm: Sequence[tuple[float, float]]) -> Integrals:
    """Return the integrals of the real part over regions, with standard errors from the noise.

    Raises
    ------
    ValueError
        Where a region lies outside the spectrum.
    """
    values, errors = [], []
    for region in regions_ppm:
        inside = _inside(spectrum, region)
        values.append(2.0 * spectrum.values.real[:, inside].sum(axis=1) * spectrum.spacing_hz)
        # the integral is linear in the points: sum_k c_k x_k, whatever was filled or apodised
        window = np.fft.fft(inside)[: len(spectrum.weights)] * spectrum.spacing_hz
        error = 2.0 * spectrum.noise * float(np.linalg.norm(np.abs(window) * spectrum.weights))
        errors.append(error / np.sqrt(spectrum.scans))
    return Integrals(
        regions_ppm=tuple((min(r), max(r)) for r in regions_ppm),
        values=np.array(values).T.reshape(spectrum.rows, -1),
        stderr=np.array(errors).T.reshape(spectrum.rows, -1),
    )
