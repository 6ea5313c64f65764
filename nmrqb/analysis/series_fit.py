"""One shared line shape for a whole series, one signed amplitude for each row.

Within a region every row is a_r s(f) + (complex straight line), s a sum of lines or multiplets
whose positions, widths, couplings, relative intensities and phases are shared by all rows.  The
amplitudes and the straight lines (tails of neighbours, first-point errors) are linear and are
eliminated (`projection`); the shared parameters are found by least squares with analytic
derivatives.  The sign of a_r is the sign of the polarisation: no row is ever phased on its own.

Amplitudes are per scan.  The noise of a row of n scans is then that of one scan over sqrt(n): rows
are weighted with sqrt(n), which makes their noise equal again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nmrqb.analysis.drift import Drifting, drifting_of, fit_rows, moved_shape, without_drift
from nmrqb.analysis.line_finding import Wanted, find_lines
from nmrqb.analysis.line_parameters import check_names
from nmrqb.analysis.lines import Bins, spectrum_bins
from nmrqb.analysis.multiplets import Multiplet, parse_multiplet
from nmrqb.analysis.noise import noise_per_channel
from nmrqb.analysis.projection import Baseline, Projection
from nmrqb.analysis.region_fit import RegionFit, fitted_row, tell
from nmrqb.analysis.regions import detect_regions, scan_weights
from nmrqb.analysis.residuals import SUSPICIOUS, in_words
from nmrqb.analysis.shapes import LineShape, Profile
from nmrqb.signals.series import Series

if TYPE_CHECKING:
    import lmfit

#: smallest number of bins that a region must hold
MIN_BINS = 8


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
    shape: Profile | LineShape | Sequence[LineShape] = "lorentzian",
    multiplet: Multiplet | str | None = None,
    parameters: lmfit.Parameters | None = None,
    max_lines: int = 8,
    baseline: Baseline = "linear",
    drift: bool | Drifting | Collection[Drifting] | None = None,
) -> SeriesFit:
    """Fit one shared line shape with a signed amplitude for each row, region by region.

    Parameters
    ----------
    series : Series
    regions_ppm : sequence of (low, high), optional
        Without it the series' own integral regions, else one around each detected line.
    shape : {"lorentzian", "gaussian", "voigt"}, LineShape or sequence of LineShape
        The profile of the lines, whose number is found; or the lines of a region one by one.
    multiplet : Multiplet or str, optional
        With a profile: every region is one such multiplet.  ``"3:1/2"`` is split by three
        equivalent spins 1/2; ``"auto"`` takes the number and spin, or the single line, with the
        smallest Bayesian information criterion.
    parameters : lmfit.Parameters, optional
        Starting values, bounds, fixed values and expressions of some or all parameters of a
        region (their names: `RegionFit.numbers`), as a fit gives them back or your own.
    max_lines : int
        Lines of a profile are added in a region while the Bayesian information criterion asks for
        them, up to this number.
    baseline : {"linear", "none"}
        What is projected out of every row besides the lines.
    drift : bool, {"shift", "phase", "width"} or collection of these, optional
        What every row has of its own (``analysis.drift``); True means shift and width, and so
        does leaving it out where the axis of the series is the time of acquisition.

    Raises
    ------
    ValueError
        Where a region lies outside the spectrum or holds too few points, no line is found, or
        shape, multiplet and parameters do not go together.
    """
    wanted = _wanted(shape, multiplet, parameters, max_lines)
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
    drifting = drifting_of(drift)
    if drifting:
        fits = _fit_drifting(series, bins, noise, regions, wanted, baseline, drifting)
    else:
        fits = [_fit_region(series, bins, noise, r, wanted, baseline)[0] for r in regions]
    return SeriesFit(series=series, regions=tuple(_warned(f, drifting) for f in fits))


def _wanted(
    shape: Profile | LineShape | Sequence[LineShape],
    multiplet: Multiplet | str | None,
    given: lmfit.Parameters | None,
    max_lines: int,
) -> Wanted:
    shapes: tuple[LineShape, ...]
    most, choose = max_lines, multiplet == "auto"
    if isinstance(shape, str):
        kind = (
            parse_multiplet(multiplet) if isinstance(multiplet, str) and not choose else multiplet
        )
        shapes = (LineShape(profile=shape, multiplet=None if choose else kind),)  # type: ignore[arg-type]
    else:
        if multiplet is not None:
            raise ValueError("multiplet belongs to a profile: a LineShape holds its own")
        shapes = (shape,) if isinstance(shape, LineShape) else tuple(shape)
        if not shapes:
            raise ValueError("shape must hold at least one LineShape")
    if not isinstance(shape, str) or multiplet is not None:
        most = len(shapes)
    if given is not None:
        while isinstance(shape, str) and multiplet is None and f"shift{len(shapes) + 1}" in given:
            shapes = (*shapes, shapes[0])  # as many lines as there are parameters for
        most = len(shapes)
        check_names(given, shapes)
    return Wanted(shapes=shapes, most=most, choose=choose, given=given)


def _fit_region(
    series: Series,
    bins: Bins,
    noise: float,
    region_ppm: tuple[float, float],
    wanted: Wanted,
    baseline: Baseline,
) -> tuple[RegionFit, Bins]:
    low, high = series.offset_hz(np.array(region_ppm))
    local = bins.inside(low, high)
    place = f"region {region_ppm[0]:g}:{region_ppm[1]:g} ppm"
    if len(local.frequency_hz) < MIN_BINS:
        ends = series.ppm(bins.frequency_hz[[0, -1]])
        raise ValueError(
            f"{place} holds {len(local.frequency_hz)} points of the "
            f"spectrum ({ends[0]:.4g} to {ends[1]:.4g} ppm); {MIN_BINS} are needed"
        )
    phased = np.setdiff1d(np.arange(series.rows), series.unphased_rows)
    try:
        found = find_lines(
            series, replace(local, spectra=local.spectra[phased]), noise, wanted, baseline
        )
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return tell(found, series, region_ppm, noise, local.spectra), local


def _fit_drifting(
    series: Series,
    bins: Bins,
    noise: float,
    regions: Sequence[tuple[float, float]],
    wanted: Wanted,
    baseline: Baseline,
    drifting: Collection[Drifting],
) -> list[RegionFit]:
    """Fit a series whose field drifts: the strongest region shows where each row is."""
    first = []
    for region in regions:
        one = replace(wanted, most=len(wanted.shapes))
        fit, local = _fit_region(series, bins, noise, region, one, baseline)
        problem = Projection(series, local, fit.shapes, baseline)
        first.append((fit, fit_rows(problem, fit.parameters.valuesdict(), noise, drifting)))
    _, moved = max(
        first, key=lambda pair: float(np.abs(pair[1].amplitudes).max() / pair[0].width_hz.min())
    )
    steady = without_drift(series, moved.shift_hz, moved.phase_rad)
    bins = spectrum_bins(steady)
    weights = scan_weights(series)
    bins = replace(bins, spectra=bins.spectra * weights[:, None])
    fits = []
    for region, (before, _) in zip(regions, first, strict=True):
        fit, local = _fit_region(steady, bins, noise, region, wanted, baseline)
        problem = Projection(steady, local, fit.shapes, baseline)
        shape = fit.parameters.valuesdict()
        rows = fit_rows(problem, shape, noise, drifting)
        k = fit.picture.row
        moves = float(rows.shift_hz[k]), float(rows.phase_rad[k]), float(rows.broadening_per_s[k])
        own = moved_shape(problem, shape, *moves)
        fits.append(
            replace(
                fit,
                amplitudes=rows.amplitudes / weights,
                covariance=np.diag((rows.stderr / weights) ** 2),
                reduced_chi2=rows.reduced_chi2,
                picture=fitted_row(problem, local.spectra, own, k),
                drift=(
                    *(d for d in before.drift if d.quantity in drifting),
                    *(d for d in fit.drift if d.quantity not in drifting),
                ),
                rows=replace(
                    rows,
                    shift_hz=rows.shift_hz + moved.shift_hz,
                    phase_rad=rows.phase_rad + moved.phase_rad,
                ),
            )
        )
    return fits


def _warned(fit: RegionFit, drifting: Collection[Drifting]) -> RegionFit:
    """Return the fit with what a reader must know of its residuals and drifts."""
    warnings = list(fit.warnings)
    moved = [d for d in fit.drift if d.is_significant and d.quantity not in drifting]
    if moved:
        warnings.append(
            f"the rows drift: {'; '.join(str(d) for d in moved)}; not modelled unless drift "
            f"{' or '.join(d.quantity for d in moved)} is asked for"
        )
    if fit.whiteness_p_value is not None and fit.whiteness_p_value < SUSPICIOUS:
        warnings.append(
            "the residuals are not white from point to point "
            f"({in_words(fit.whiteness_p_value)}): the shape is not quite that of the "
            "line"
        )
    return replace(fit, warnings=tuple(warnings))
