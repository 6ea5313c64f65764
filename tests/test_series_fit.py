"""Shared line shapes: exact lines, signed amplitudes, honest noise."""

import numpy as np
import pytest
from fid_series import Planted, series_of

from nmrqb.analysis.lines import lorentzian, spectrum_bins
from nmrqb.analysis.multiplets import Multiplet
from nmrqb.analysis.noise import noise_per_channel
from nmrqb.analysis.projection import Projection
from nmrqb.analysis.series_fit import fit_series
from nmrqb.analysis.shapes import LineShape
from nmrqb.signals.series import Series

DWELL = 1e-3


def lorentzians(*lines):
    """Return planted lines of (offset, width, intensity)."""
    return [Planted(nu=nu, width=w, intensity=c) for nu, w, c in lines]


@pytest.mark.parametrize("delay", [0.0, 67.985])
@pytest.mark.parametrize("nu", [-480.3, -33.3, 0.0, 12.5, 401.7])
def test_a_line_in_the_bins_is_the_dft_of_its_sampled_fid(nu, delay):
    series = series_of([1.0], lorentzians((nu, 2.0, 1.0)), sigma=0.0, delay=delay, phase=0.0)
    bins = spectrum_bins(series)
    line, _ = lorentzian(bins, np.array([nu]), np.array([2.0 * np.pi]))
    np.testing.assert_allclose(line[0], bins.spectra[0], atol=1e-10)


def test_the_derivative_of_a_line_is_its_derivative():
    bins = spectrum_bins(series_of([1.0], lorentzians((10.0, 2.0, 1.0)), delay=5.3))
    nu, rate, h = np.array([17.3]), np.array([9.1]), 1e-5
    _, slope = lorentzian(bins, nu, rate)
    up, _ = lorentzian(bins, nu, rate + h)
    down, _ = lorentzian(bins, nu, rate - h)
    np.testing.assert_allclose(-slope, (up - down) / (2 * h), atol=1e-7)


def test_the_jacobian_of_the_projected_fit_is_its_jacobian():
    """Projected amplitudes and all, against differences of the residual of every row and bin."""
    lines = lorentzians((20.0, 2.0, 1.0), (28.0, 3.0, 0.4j))
    series = series_of([5.0, -3.0, 1.0], lines)
    bins = spectrum_bins(series).inside(-6.0, 54.0)
    quartet = LineShape(profile="voigt", multiplet=Multiplet(neighbours=3))
    problem = Projection(series, bins, (quartet, LineShape()), "linear")
    values = {
        "shift": 0.201, "width": 2.2, "gaussian_width": 1.3, "J": 4.0, "phase": 40.0,
        "shift2": 0.282, "width2": 2.6, "phase2": 110.0, "intensity2": -0.4,
    }  # fmt: skip

    def residual(**moved):
        rest, _ = problem.residual(values | moved)
        return rest.view(float).ravel()

    columns = []
    for name in problem.names:
        h = 1e-5 * abs(values[name])
        up, down = residual(**{name: values[name] + h}), residual(**{name: values[name] - h})
        columns.append((up - down) / (2 * h))
    jacobian = np.array(columns).T
    equations = problem.normal_equations(values)
    size = np.linalg.norm(jacobian, axis=0)
    # central differences: truncation 1e-10 of the slope, rounding 1e-16/1e-5 of the residual
    close = {"atol": 1e-8}
    norms = np.outer(size, size)
    np.testing.assert_allclose(equations.hessian / norms, jacobian.T @ jacobian / norms, **close)
    rest = residual()
    length = np.linalg.norm(rest)
    np.testing.assert_allclose(
        equations.gradient / size / length, jacobian.T @ rest / size / length, **close
    )
    assert equations.squares == pytest.approx(rest @ rest, rel=1e-12)


def test_the_short_residual_steps_like_the_long_one():
    series = series_of([5.0, -3.0, 1.0], lorentzians((20.0, 2.0, 1.0), (28.0, 3.0, 0.4j)))
    problem = Projection(series, spectrum_bins(series), (LineShape(), LineShape()), "none")
    values = {"shift": 0.2, "width": 2.2, "phase": 40.0}
    values |= {"shift2": 0.28, "width2": 2.6, "phase2": 110.0, "intensity2": 0.4}
    equations = problem.normal_equations(values)
    residual, jacobian = equations.compressed(np.eye(len(problem.names)))
    scale = np.abs(equations.hessian).max()
    np.testing.assert_allclose(jacobian.T @ jacobian, equations.hessian, atol=1e-12 * scale)
    np.testing.assert_allclose(
        jacobian.T @ residual, equations.gradient, atol=1e-9 * np.abs(equations.gradient).max()
    )
    assert residual @ residual == pytest.approx(equations.squares, rel=1e-12)


def test_signed_amplitudes_scatter_as_their_errors_say():
    truth = np.array([40.0, -30.0, 15.0, 0.0, -5.0])
    found = []
    for seed in range(120):
        fit = fit_series(
            series_of(truth, lorentzians((35.0, 2.0, 1.0)), seed=seed), [(0.05, 0.65)]
        ).regions[0]
        found.append(fit.amplitudes)  # the true noise is 1
    found = np.array(found)
    # matched filter: A |s|/sigma with |s| what a straight line leaves of the line in the region
    bins = spectrum_bins(series_of([1.0], lorentzians((35.0, 2.0, 1.0)), sigma=0.0))
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
        series = series_of([20.0, -20.0], lorentzians((35.0, 2.0, 1.0)), phase=phase)
        fit = fit_series(series, [(0.05, 0.65)]).regions[0]
        assert fit.amplitudes[0] > 0 > fit.amplitudes[1]


def test_the_group_delay_changes_no_amplitude():
    truth = [50.0, -25.0, 10.0]
    plain = fit_series(series_of(truth, lorentzians((35.0, 2.0, 1.0)), sigma=1e-3), [(0.05, 0.65)])
    late = fit_series(
        series_of(truth, lorentzians((35.0, 2.0, 1.0)), sigma=1e-3, delay=67.985), [(0.05, 0.65)]
    )
    ratio = [f.regions[0].amplitudes / f.regions[0].amplitudes[0] for f in (plain, late)]
    np.testing.assert_allclose(ratio[0], [1, -0.5, 0.2], atol=1e-4)
    np.testing.assert_allclose(ratio[1], [1, -0.5, 0.2], atol=1e-4)


def test_a_multiplet_gets_as_many_lines_as_it_has():
    lines = lorentzians((20.0, 1.5, 1.0), (27.0, 1.5, 2.0), (34.0, 1.5, 1.0))
    fit = fit_series(series_of([60.0, -40.0, 5.0], lines), [(-0.2, 0.8)]).regions[0]
    assert len(fit.shift_ppm) == 3
    np.testing.assert_allclose(np.sort(fit.shift_ppm * 100), [20, 27, 34], atol=0.2)
    assert fit.reduced_chi2 == pytest.approx(1.0, abs=0.25)


def test_noise_is_found_beside_strong_lines():
    # 16 rows x 16 blocks of 64 bins: variance known to 2 %, sigma to 1 %
    rows = np.linspace(-500, 500, 16)
    series = series_of(rows, lorentzians((35.0, 2.0, 1.0), (-200.0, 5.0, 3.0)), sigma=2.5)
    assert noise_per_channel(spectrum_bins(series)) == pytest.approx(2.5, rel=0.04)


def test_scans_are_divided_out():
    series = series_of([20.0, 10.0], lorentzians((35.0, 2.0, 1.0)), sigma=1e-3)
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
    series = series_of([30.0, -20.0], lorentzians((35.0, 2.0, 1.0), (-300.0, 2.0, 1.0)))
    regions = [f.region_ppm for f in fit_series(series).regions]
    assert len(regions) == 2
    assert regions[0][0] < -3.0 < regions[0][1]
    assert regions[1][0] < 0.35 < regions[1][1]


def test_pure_noise_has_no_line():
    with pytest.raises(ValueError, match="no line"):
        fit_series(series_of([0.0, 0.0, 0.0], lorentzians((35.0, 2.0, 1.0))))


def test_a_region_outside_the_spectrum_is_refused():
    with pytest.raises(ValueError, match="points of the spectrum"):
        fit_series(series_of([20.0], lorentzians((35.0, 2.0, 1.0))), [(50.0, 60.0)])


def test_one_line_is_fitted_to_the_cramer_rao_bound():
    """Rife and Boorstyn: of A exp(i phi) exp((2 pi i nu - R) t), v = sigma^2 dt/A^2."""
    width, amplitude = 2.0, 40.0
    rate, v = np.pi * width, DWELL / amplitude**2
    found, errors, heights = [], [], []
    for seed in range(100):
        # 2.048 s are 12.9/R: what truncation leaves out is e^-26
        series = series_of([amplitude], lorentzians((35.0, width, 1.0)), points=2048, seed=seed)
        (fit,) = fit_series(series, [(-5.0, 5.0)], baseline="none").regions
        p = fit.parameters
        found.append([p["shift"].value * 100.0, p["width"].value, np.radians(p["phase"].value)])
        errors.append([p["shift"].stderr * 100.0, p["width"].stderr, np.radians(p["phase"].stderr)])
        unit = series_of([1.0], lorentzians((35.0, p["width"].value, 1.0)), points=2048, sigma=0.0)
        heights.append(fit.amplitudes[0] / np.linalg.norm(unit.fids))
    bound = np.sqrt([8 * rate**3 * v / (2 * np.pi) ** 2, 8 * rate**3 * v / np.pi**2, 4 * rate * v])
    # sums over samples are integrals to R dt = 0.6 %, errors scatter with sigma and shape by 3 %
    np.testing.assert_allclose(np.mean(errors, axis=0), bound, rtol=0.02)
    # 100 samples know a standard deviation to 7 %
    np.testing.assert_allclose(np.std(found, axis=0, ddof=1), bound, rtol=0.25)
    np.testing.assert_allclose(np.std(np.log(heights), ddof=1), np.sqrt(4 * rate * v), rtol=0.25)
    assert np.mean(heights) == pytest.approx(amplitude, abs=4 * amplitude * bound[2] / np.sqrt(100))


def test_amplitudes_of_rows_scatter_by_the_bound_of_a_known_shape():
    """Strong rows tell R to all: var(ln A) falls from 4 R v to 2 R v."""
    width, weak = 2.0, 20.0
    truth = np.array([200.0, weak, -weak, -200.0])
    relative = []
    for seed in range(80):
        series = series_of(truth, lorentzians((35.0, width, 1.0)), points=2048, seed=seed)
        (fit,) = fit_series(series, [(-5.0, 5.0)], baseline="none").regions
        relative.append(fit.amplitudes / fit.amplitudes[0] * 200.0)
        assert (np.sign(fit.amplitudes) == np.sign(truth)).all()
    scatter = np.std(np.array(relative)[:, 1:3], axis=0, ddof=1) / weak
    bound = np.sqrt(
        2 * np.pi * width * DWELL / weak**2 * (1 + 0.1**2)
    )  # + the row it is divided by
    # two rows of 80 samples: 5.6 %
    np.testing.assert_allclose(np.sqrt(np.mean(scatter**2)), bound, rtol=0.18)


def test_a_fit_uses_each_recorded_point_once():
    """Zero-filling would correlate the noise: the bins are as many as the points, and no more."""
    series = series_of([20.0], lorentzians((35.0, 2.0, 1.0)), delay=67.985)
    bins = spectrum_bins(series)
    assert bins.points == bins.spectra.shape[1] == series.points - series.first_usable_point
    power = np.sum(np.abs(series.fids[0, series.first_usable_point :]) ** 2)
    assert np.sum(np.abs(bins.spectra) ** 2) == pytest.approx(power, rel=1e-12)
