"""One shared line shape for a whole series, one signed amplitude for each row.

Within a region every row is a_r s(f) + (complex straight line), s a sum of Lorentzian lines whose
positions, widths, relative intensities and phases are shared by all rows.  The amplitudes and the
straight lines (tails of neighbours, first-point errors) are linear and are eliminated (variable
projection); the shared parameters are found by least squares with analytic derivatives.  The sign
of a_r is the sign of the polarisation: no row is ever phased on its own.

Amplitudes are per scan.  The noise of a row of n scans is then that of one scan over sqrt(n): rows
are weighted with sqrt(n), which makes their noise equal again.

References
----------
G. H. Golub and V. Pereyra, Inverse Problems 19, R1 (2003), on variable projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from nmrqb.analysis.drift import RowFits, fit_rows, without_drift
from nmrqb.analysis.lines import Bins, lorentzian, spectrum_bins
from nmrqb.analysis.noise import noise_per_channel
from nmrqb.analysis.regions import detect_regions, scan_weights
from nmrqb.signals.series import Series

Baseline = Literal["none", "linear"]
#: smallest number of bins that a region must hold
MIN_BINS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionFit:
    """The shared line shape of one region and the signed amplitudes of its rows.

    Attributes
    ----------
    region_ppm : tuple of (low, high)
    shift_ppm, width_hz : ndarray, shape (lines,)
        Positions and full widths at half height, R/pi.
    intensity : ndarray of complex, shape (lines,)
        Relative intensities with their phases; the first is a pure phase.
    amplitudes : ndarray, shape (rows,)
        Signed, for each scan, in units of the shape's norm (matched-filter amplitudes): divided
        by `noise` they are signal-to-noise ratios.
    covariance : ndarray, shape (rows, rows)
        noise^2 times the unit matrix: errors of the shared shape change these amplitudes only in
        second order.
    noise : float
        Sigma of one channel of one point.
    reduced_chi2 : float
        Of the region; above 1 where the shape does not describe the line within the noise.
    """

    region_ppm: tuple[float, float]
    shift_ppm: NDArray[np.float64]
    width_hz: NDArray[np.float64]
    intensity: NDArray[np.complex128]
    amplitudes: NDArray[np.float64]
    covariance: NDArray[np.float64]
    noise: float
    reduced_chi2: float

    @property
    def stderr(self) -> NDArray[np.float64]:
        """Standard errors of the amplitudes."""
        return np.sqrt(np.diag(self.covariance))

    def __str__(self) -> str:
        low, high = self.region_ppm
        return (
            f"{low:.4g} to {high:.4g} ppm: {len(self.shift_ppm)} line(s), strongest at "
            f"{self.shift_ppm[0]:.5g} ppm, width {self.width_hz[0]:.3g} Hz, reduced chi-square "
            f"{self.reduced_chi2:.3g}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFit:
    """Fits of all regions of one series."""

    series: Series
    regions: tuple[RegionFit, ...]

    def __str__(self) -> str:
        head = f"{len(self.regions)} region(s) of {self.series.rows} rows"
        return "\n".join([head, *(f"  {r}" for r in self.regions)])


def fit_series(
    series: Series,
    regions_ppm: Sequence[tuple[float, float]] | None = None,
    *,
    max_lines: int = 8,
    baseline: Baseline = "linear",
    drift: bool | None = None,
) -> SeriesFit:
    """Fit one shared line shape with a signed amplitude for each row, region by region.

    Parameters
    ----------
    series : Series
    regions_ppm : sequence of (low, high), optional
        Without it the series' own integral regions, else one around each detected line.
    max_lines : int
        Lines are added in a region while the Bayesian information criterion asks for them, up to
        this number.
    baseline : {"linear", "none"}
        What is projected out of every row besides the lines.
    drift : bool, optional
        Whether every row has a shift and a broadening of its own (``analysis.drift``); without it
        where the axis of the series is the time of acquisition.

    Raises
    ------
    ValueError
        Where a region lies outside the spectrum or holds too few points, or no line is found.
    """
    bins = spectrum_bins(series)
    bins = replace(bins, spectra=bins.spectra * scan_weights(series)[:, None])
    noise = noise_per_channel(bins)
    if noise <= 0.0:
        raise ValueError("fids must contain noise: its level sets every standard error")
    regions = tuple(regions_ppm) if regions_ppm is not None else series.regions_ppm
    if not regions:
        regions = detect_regions(series, bins, noise)
    if drift is None:
        drift = series.axis.name == "time" and series.rows > 1
    if drift:
        return _fit_drifting(series, bins, noise, regions, max_lines, baseline)
    fits = [_fit_region(series, bins, noise, r, max_lines, baseline)[0] for r in regions]
    return SeriesFit(series=series, regions=tuple(fits))


def _fit_drifting(
    series: Series,
    bins: Bins,
    noise: float,
    regions: Sequence[tuple[float, float]],
    max_lines: int,
    baseline: Baseline,
) -> SeriesFit:
    """Fit a series whose field drifts: the strongest region shows where each row is."""
    first = [_fit_region(series, bins, noise, r, 1, baseline) for r in regions]
    _, drifting = max(
        zip(first, (_rows_of(*one, series, noise) for one in first), strict=True),
        key=lambda pair: float(np.abs(pair[1].amplitudes).max() / pair[0][0].width_hz.min()),
    )
    steady = without_drift(series, drifting.shift_hz)
    bins = spectrum_bins(steady)
    bins = replace(bins, spectra=bins.spectra * scan_weights(series)[:, None])
    fits = []
    for region in regions:
        fit, local, problem, x = _fit_region(steady, bins, noise, region, max_lines, baseline)
        rows = _rows_of(fit, local, problem, x, steady, noise)
        weights = scan_weights(series)
        fits.append(
            replace(
                fit,
                amplitudes=rows.amplitudes / weights,
                covariance=np.diag((rows.stderr / weights) ** 2),
                reduced_chi2=rows.reduced_chi2,
            )
        )
    return SeriesFit(series=series, regions=tuple(fits))


def _rows_of(
    fit: RegionFit,
    local: Bins,
    problem: _Projection,
    x: NDArray[np.float64],
    series: Series,
    noise: float,
) -> RowFits:
    offset, rate, intensity = problem.unpack(x)
    norm = float(np.linalg.norm(problem.shape(x)))
    sign = 1.0 if np.vdot(fit.intensity[0], intensity[0]).real > 0.0 else -1.0
    start = fit.amplitudes * scan_weights(series) / norm
    return fit_rows(local, problem.nuisance, (offset, rate, sign * intensity), start, noise)


def _fit_region(
    series: Series,
    bins: Bins,
    noise: float,
    region_ppm: tuple[float, float],
    max_lines: int,
    baseline: Baseline,
) -> tuple[RegionFit, Bins, _Projection, NDArray[np.float64]]:
    low, high = series.offset_hz(np.array(region_ppm))
    inside = (bins.frequency_hz >= low) & (bins.frequency_hz <= high)
    if inside.sum() < MIN_BINS:
        ends = series.ppm(bins.frequency_hz[[0, -1]])
        raise ValueError(
            f"region {region_ppm[0]:g}:{region_ppm[1]:g} ppm holds {inside.sum()} points of the "
            f"spectrum ({ends[0]:.4g} to {ends[1]:.4g} ppm); {MIN_BINS} are needed"
        )
    local = Bins(
        bins.frequency_hz[inside], bins.spectra[:, inside], bins.start_s, bins.dwell_s, bins.points
    )
    phased = np.setdiff1d(np.arange(series.rows), series.unphased_rows)
    problem = _Projection(replace(local, spectra=local.spectra[phased]), baseline)
    best: tuple[float, NDArray[np.float64]] | None = None
    x = np.empty(0)
    for lines in range(1, max_lines + 1):
        start = problem.with_another_line(x)
        if start is None:
            break
        solution = least_squares(
            problem.residual,
            start,
            jac=problem.jacobian,
            method="trf",
            x_scale="jac",
            bounds=problem.bounds(lines),
            max_nfev=60,
        )
        x = solution.x
        # absolute noise, but never below what the present shape leaves: an imperfect shape at
        # high signal-to-noise must not collect lines for ever
        chi2 = 2.0 * solution.cost / noise**2
        count = 2 * local.spectra.size
        bic = count * np.log(max(chi2 / count, 1e-12)) + len(x) * np.log(count)
        if best is not None and bic > best[0] - 10.0:
            break
        best = (bic, x)
        if chi2 / count < 1.0 + 2.0 * np.sqrt(2.0 / count):
            break
    if best is None:
        raise ValueError(f"no line found in region {region_ppm[0]:g}:{region_ppm[1]:g} ppm")
    fit = problem.result(series, region_ppm, best[1], noise, local.spectra)
    return fit, local, problem, best[1]


class _Projection:
    """Variable projection of one region; parameters: per line nu, ln R, Re c, Im c.

    The first line's intensity is a pure phase, so that its Re c and Im c are replaced by one
    phase: x = (nu_1, ln R_1, phase, nu_2, ln R_2, Re c_2, Im c_2, ...).
    """

    def __init__(self, bins: Bins, baseline: Baseline) -> None:
        self.bins = bins
        size = len(bins.frequency_hz)
        if baseline == "linear":
            ramp = np.vander(np.linspace(-1.0, 1.0, size), 2)
            self.nuisance, _ = np.linalg.qr(ramp)
        else:
            self.nuisance = np.zeros((size, 0))
        self.spectra = self._project(bins.spectra)
        self.bin_hz = 1.0 / (bins.points * bins.dwell_s)

    def _project(self, rows: NDArray[np.complex128]) -> NDArray[np.complex128]:
        projected: NDArray[np.complex128] = rows - (rows @ self.nuisance) @ self.nuisance.T
        return projected

    def unpack(
        self, x: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.complex128]]:
        """Return offsets (Hz), rates (1/s) and complex intensities of the lines."""
        rest = x[3:].reshape(-1, 4)
        offset = np.concatenate([x[:1], rest[:, 0]])
        rate = np.exp(np.concatenate([x[1:2], rest[:, 1]]))
        intensity = np.concatenate([[np.exp(1j * x[2])], rest[:, 2] + 1j * rest[:, 3]])
        return offset, rate, intensity

    def bounds(self, lines: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        edge = self.bins.frequency_hz
        slowest, fastest = np.log(0.05 * self.bin_hz), np.log(10.0 * np.pi * np.ptp(edge))
        low = [edge[0], slowest, -np.inf] + [edge[0], slowest, -np.inf, -np.inf] * (lines - 1)
        high = [edge[-1], fastest, np.inf] + [edge[-1], fastest, np.inf, np.inf] * (lines - 1)
        return np.array(low), np.array(high)

    def with_another_line(self, x: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return starting values with one more line, where the present residual is largest."""
        frequency = self.bins.frequency_hz
        rate = np.pi * 2.0 * self.bin_hz
        if len(x) == 0:
            power = np.sum(np.abs(self.spectra) ** 2, axis=0)
            nu = frequency[int(np.argmax(power))]
            line, _ = lorentzian(self.bins, np.array([nu]), np.array([rate]))
            overlap = self.spectra @ self._project(line)[0].conj()
            strongest = overlap[int(np.argmax(np.abs(overlap)))]
            return np.array([nu, np.log(rate), float(np.angle(strongest))])
        shape, _ = self._shape(x)
        amplitude = self._amplitudes(shape)
        residual = self.spectra - amplitude[:, None] * shape
        coherent = (amplitude @ residual) / (amplitude @ amplitude)
        nu = frequency[int(np.argmax(np.abs(coherent)))]
        line, _ = lorentzian(self.bins, np.array([nu]), np.array([rate]))
        projected = self._project(line)[0]
        c = (projected.conj() @ coherent) / np.vdot(projected, projected).real
        if not np.isfinite(c) or c == 0.0:
            return None
        return np.concatenate([x, [nu, np.log(rate), c.real, c.imag]])

    def shape(self, x: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Return the projected shape, shape (bins,)."""
        return self._shape(x)[0]

    def _shape(
        self, x: NDArray[np.float64]
    ) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Return the projected shape s, shape (bins,), and ds/dx, shape (parameters, bins)."""
        offset, rate, intensity = self.unpack(x)
        line, derivative = lorentzian(self.bins, offset, rate)
        columns: list[NDArray[np.complex128]] = []
        for k, c in enumerate(intensity):
            columns.append(2j * np.pi * c * derivative[k])
            columns.append(-rate[k] * c * derivative[k])
            columns += [1j * c * line[k]] if k == 0 else [line[k], 1j * line[k]]
        shape = self._project((intensity @ line)[None])[0]
        return shape, self._project(np.array(columns))

    def _amplitudes(self, shape: NDArray[np.complex128]) -> NDArray[np.float64]:
        norm = np.vdot(shape, shape).real
        result: NDArray[np.float64] = (self.spectra @ shape.conj()).real / norm
        return result

    def residual(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        shape, _ = self._shape(x)
        rest = self.spectra - self._amplitudes(shape)[:, None] * shape
        return np.ascontiguousarray(rest).view(np.float64).ravel()

    def jacobian(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        shape, slope = self._shape(x)
        norm = np.vdot(shape, shape).real
        a = self._amplitudes(shape)
        result = np.empty((2 * self.spectra.size, len(x)))
        for k, ds in enumerate(slope):
            da = ((self.spectra @ ds.conj()).real - 2.0 * a * np.vdot(shape, ds).real) / norm
            change = -a[:, None] * ds - da[:, None] * shape
            result[:, k] = np.ascontiguousarray(change).view(np.float64).ravel()
        return result

    def result(
        self,
        series: Series,
        region_ppm: tuple[float, float],
        x: NDArray[np.float64],
        noise: float,
        spectra: NDArray[np.complex128],
    ) -> RegionFit:
        """Return the fit: the shape is that of the phased rows, amplitudes are of all `spectra`."""
        shape, _ = self._shape(x)
        # in units of the shape's norm: an error of the shared shape is then orthogonal to the
        # shape and changes no amplitude to first order, so that the rows are uncorrelated
        weights = scan_weights(series)
        amplitude = (self._project(spectra) @ shape.conj()).real / np.linalg.norm(shape) / weights
        covariance = np.diag((noise / weights) ** 2)
        offset, rate, intensity = self.unpack(x)
        row = series.reference_row
        if row is None:
            phased = np.setdiff1d(np.arange(series.rows), series.unphased_rows)
            row = int(phased[np.argmax(series.axis.values[phased])])
        if amplitude[row] < 0.0:  # the phase is known up to pi: the reference row is positive
            amplitude, intensity = -amplitude, -intensity
        order = np.concatenate([[0], 1 + np.argsort(-np.abs(intensity[1:]))])
        chi2 = float(np.sum(self.residual(x) ** 2)) / noise**2
        rows = len(self.spectra)
        free = 2 * self.spectra.size - len(x) - rows * (1 + 2 * self.nuisance.shape[1])
        return RegionFit(
            region_ppm=region_ppm,
            shift_ppm=series.ppm(offset[order]),
            width_hz=rate[order] / np.pi,
            intensity=intensity[order],
            amplitudes=amplitude,
            covariance=covariance,
            noise=noise,
            reduced_chi2=chi2 / free,
        )
