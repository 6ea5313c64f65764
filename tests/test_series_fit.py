"""Shared line shapes: exact lines, signed amplitudes, honest noise."""

import numpy as np
import pytest

from nmrqb.analysis.lines import Bins, lorentzian, spectrum_bins
from nmrqb.analysis.noise import noise_per_channel
from nmrqb.analysis.series_fit import fit_series
from nmrqb.signals.series import Axis, Series

DWELL = 1e-3


def series_of(amplitudes, lines, *, points=1024, sigma=1.0, seed=0, delay=0.0, phase=0.7):
    """FIDs of Lorentzian lines (offset, width, intensity) with signed row amplitudes."""
    rng = np.random.default_rng(seed)
    t = np.arange(points) * DWELL - delay * DWELL
    shape = sum(c * np.exp((2j * np.pi * nu - np.pi * w) * t) for nu, w, c in lines)
    shape = np.where(t >= 0, shape, 0.0)
    fids = np.outer(amplitudes, shape) * np.exp(1j * phase)
    fids = fids + sigma * (rng.normal(size=fids.shape) + 1j * rng.normal(size=fids.shape))
    rows = len(amplitudes)
    return Series(
        fids=fids, dwell_s=DWELL, time_origin_s=delay * DWELL, carrier_hz=100e6, carrier_ppm=0.0,
        nucleus="13C", axis=Axis(name="delay", unit="s", values=np.arange(rows), source="test"),
        scans=np.ones(rows, int), reference_row=0,
    )  # fmt: skip


@pytest.mark.parametrize("delay", [0.0, 67.985])
@pytest.mark.parametrize("nu", [-480.3, -33.3, 0.0, 12.5, 401.7])
def test_a_line_in_the_bins_is_the_dft_of_its_sampled_fid(nu, delay):
    series = series_of([1.0], [(nu, 2.0, 1.0)], sigma=0.0, delay=delay, phase=0.0)
    bins = spectrum_bins(series)
    line, _ = lorentzian(bins, np.array([nu]), np.array([2.0 * np.pi]))
    np.testing.assert_allclose(line[0], bins.spectra[0], atol=1e-10)


def test_the_derivative_of_a_line_is_its_derivative():
    bins = spectrum_bins(series_of([1.0], [(10.0, 2.0, 1.0)], delay=5.3))
    nu, rate, h = np.array([17.3]), np.array([9.1]), 1e-5
    _, slope = lorentzian(bins, nu, rate)
    up, _ = lorentzian(bins, nu, rate + h)
    down, _ = lorentzian(bins, nu, rate - h)
    np.testing.assert_allclose(-slope, (up - down) / (2 * h), atol=1e-7)


def test_the_jacobian_of_the_projected_fit_is_its_jacobian():
    bins = spectrum_bins(series_of([5.0, -3.0, 1.0], [(20.0, 2.0, 1.0), (28.0, 3.0, 0.4j)]))
    near = np.abs(bins.frequency_hz - 24.0) < 30.0
    XXX


def test_signed_amplitudes_scatter_as_their_errors_say():
    truth = np.array([40.0, -30.0, 15.0, 0.0, -5.0])
    found = []
    for seed in range(120):
        fit = fit_series(series_of(truth, [(35.0, 2.0, 1.0)], seed=seed), [(0.05, 0.65)]).regions[0]
        found.append(fit.amplitudes)  # the true noise is 1
    found = np.array(found)
    # matched filter: A |s|/sigma with |s| what a straight line leaves of the line in the region
    bins = spectrum_bins(series_of([1.0], [(35.0, 2.0, 1.0)], sigma=0.0))
    inside = (bins.frequency_hz >= 5.0) & (bins.frequency_hz <= 65.0)
    line, ramp = bins.spectra[0, inside], np.vander(bins.frequency_hz[inside], 2)
    rest = line - ramp @ np.linalg.lstsq(ramp, line, rcond=None)[0]
    expected = truth * np.linalg.norm(rest)
    # the whole FID would give A/sqrt(2 R dt): the straight line may cost 10 % of that
    assert np.linalg.norm(rest) > 0.9 / np.sqrt(2 * np.pi * 2.0 * DWELL)
    np.testing.assert_allclose(found.mean(axis=0)[[0, 1]], expected[[0, 1]], atol=4 / np.sqrt(120))
    # unit scatter: 120 samples know a standard deviation to 6.5 %
    np.testing.assert_allclose(found.std(axis=0, ddof=1), 1.0, atol=4 * 0.065)
    # the empty row is unbiased: no |.| anywhere
    assert abs(found.mean(axis=0)[3]) < 4 / np.sqrt(120)


def test_the_sign_is_that_of_the_reference_whatever_the_receiver_phase():
    for phase in np.linspace(0, 2 * np.pi, 9):
        series = series_of([20.0, -20.0], [(35.0, 2.0, 1.0)], phase=phase)
        fit = fit_series(series, [(0.05, 0.65)]).regions[0]
        assert fit.amplitudes[0] > 0 > fit.amplitudes[1]


def test_the_group_delay_changes_no_amplitude():
    truth = [50.0, -25.0, 10.0]
    plain = fit_series(series_of(truth, [(35.0, 2.0, 1.0)], sigma=1e-3), [(0.05, 0.65)])
    late = fit_series(
        series_of(truth, [(35.0, 2.0, 1.0)], sigma=1e-3, delay=67.985), [(0.05, 0.65)]
    )
    ratio = [f.regions[0].amplitudes / f.regions[0].amplitudes[0] for f in (plain, late)]
    np.testing.assert_allclose(ratio[0], [1, -0.5, 0.2], atol=1e-4)
    np.testing.assert_allclose(ratio[1], [1, -0.5, 0.2], atol=1e-4)


def test_a_multiplet_gets_as_many_lines_as_it_has():
    lines = [(20.0, 1.5, 1.0), (27.0, 1.5, 2.0), (34.0, 1.5, 1.0)]
    fit = fit_series(series_of([60.0, -40.0, 5.0], lines), [(-0.2, 0.8)]).regions[0]
    assert len(fit.shift_ppm) == 3
    np.testing.assert_allclose(np.sort(fit.shift_ppm * 100), [20, 27, 34], atol=0.2)
    assert fit.reduced_chi2 == pytest.approx(1.0, abs=0.25)


def test_noise_is_found_beside_strong_lines():
    # 16 rows x 16 blocks of 64 bins: variance known to 2 %, sigma to 1 %
    rows = np.linspace(-500, 500, 16)
    series = series_of(rows, [(35.0, 2.0, 1.0), (-200.0, 5.0, 3.0)], sigma=2.5)
    assert noise_per_channel(spectrum_bins(series)) == pytest.approx(2.5, rel=0.04)


def test_scans_are_divided_out():
    series = series_of([20.0, 10.0], [(35.0, 2.0, 1.0)], sigma=1e-3)
    more = Series(
        **{
            name: getattr(series, name)
            for name in Series.__dataclass_fields__
            if name not in ("fids", "scans")
        },
        fids=series.fids * np.array([[4.0], [8.0]]),
        scans=np.array([4, 8]),
    )
    fits = [fit_series(s, [(0.05, 0.65)]).regions[0].amplitudes for s in (series, more)]
    np.testing.assert_allclose(fits[0] / fits[0][0], fits[1] / fits[1][0], rtol=1e-4)


def test_lines_are_detected_where_no_region_is_given():
    series = series_of([30.0, -20.0], [(35.0, 2.0, 1.0), (-300.0, 2.0, 1.0)])
    regions = [f.region_ppm for f in fit_series(series).regions]
    assert len(regions) == 2
    assert regions[0][0] < -3.0 < regions[0][1]
    assert regions[1][0] < 0.35 < regions[1][1]


def test_pure_noise_has_no_line():
    with pytest.raises(ValueError, match="no line"):
        fit_series(series_of([0.0, 0.0, 0.0], [(35.0, 2.0, 1.0)]))


def test_a_region_outside_the_spectrum_is_refused():
    with pytest.raises(ValueError, match="points of the spectrum"):
        fit_series(series_of([20.0], [(35.0, 2.0, 1.0)]), [(50.0, 60.0)])
