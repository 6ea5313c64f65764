"""Rows that drift: seen in every series, modelled where asked, signs kept."""

import numpy as np
import pytest
from fid_series import Moved, Planted, series_of
from scipy import stats

from nmrqb.analysis.series_fit import fit_series

LINE = [Planted(nu=10.0)]
REGION = [(-1.2, 1.4)]
TRUTH = np.array([60.0, 50.0, 30.0, 12.0, -12.0, -30.0, -50.0, -60.0])
ROWS = np.arange(8)
#: signal over noise of a row of amplitude 1: 1/sqrt(2 R dt)
PER_UNIT = 1.0 / np.sqrt(2 * np.pi * 2.0 * 1e-3)


def fitted(moved=None, *, lines=LINE, seed=0, **options):
    (fit,) = fit_series(series_of(TRUTH, lines, seed=seed, moved=moved), REGION, **options).regions
    return fit


def test_a_steady_series_is_called_steady():
    p_values = []
    for seed in range(60):
        fit = fitted(seed=seed)
        p_values += [p for d in fit.drift for p in (d.p_value, d.trend_p_value)]
        assert not any("drift" in w for w in fit.warnings) or min(p_values) < 5e-4
    # four probabilities a series, shift and phase correlated: uniform within what 60 series tell
    p_values = np.array(p_values).reshape(60, 4)
    for column in p_values.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-4
    assert (p_values < 5e-4).sum() <= 2  # expected 0.12 of 240


@pytest.mark.parametrize(
    ("moved", "quantity", "total"),
    [
        (Moved(shift_hz=0.05 * (ROWS - 3.5)), "shift", 0.35),
        (Moved(phase_rad=np.radians(3.0) * (ROWS - 3.5)), "phase", 21.0),
    ],
)
def test_a_drift_is_told_with_its_size_and_significance(moved, quantity, total):
    fit = fitted(moved)
    found = {d.quantity: d for d in fit.drift}
    assert found[quantity].is_significant
    assert abs(found[quantity].trend - total) < 4 * found[quantity].trend_stderr + 0.02 * total
    # the same straight line, seen as a scatter: length/sqrt(12) of even spacing, 8 points
    even = total * np.std(ROWS) / np.ptp(ROWS)
    assert found[quantity].scatter == pytest.approx(even, rel=0.35)  # weighted by amplitude
    (warning,) = (w for w in fit.warnings if "drift" in w)
    assert f"{quantity} by" in warning
    assert "p " in warning


def test_the_error_of_a_trend_is_its_scatter():
    trends, errors = [], []
    for seed in range(80):
        shift = fitted(Moved(shift_hz=0.02 * ROWS), seed=seed).drift[0]
        trends.append(shift.trend)
        errors.append(shift.trend_stderr)
    # 80 samples know a standard deviation to 8 %
    assert np.std(trends, ddof=1) == pytest.approx(np.mean(errors), rel=0.3)
    assert np.mean(trends) == pytest.approx(0.14, abs=4 * np.mean(errors) / np.sqrt(80) + 0.003)


def loss(fit):
    """Amplitudes over those of the strongest row, against the truth: what the drift has bent."""
    return fit.amplitudes / fit.amplitudes[0] / (TRUTH / TRUTH[0]) - 1.0


@pytest.mark.parametrize(
    ("moved", "drift"),
    [
        (Moved(shift_hz=0.25 * ROWS), "shift"),
        (Moved(phase_rad=np.radians(10.0) * ROWS), "phase"),
        (Moved(shift_hz=0.25 * ROWS, phase_rad=np.radians(8.0) * ROWS), ("shift", "phase")),
        (Moved(shift_hz=0.2 * ROWS, broadening_hz=0.1 * ROWS), ("shift", "width")),
    ],
)
def test_modelled_drift_gives_the_amplitudes_back(moved, drift):
    bent, straight = fitted(moved), fitted(moved, drift=drift)
    # amplitudes are those at time 0 where the width is a row's own; its price is sqrt 2
    error = straight.stderr / np.abs(straight.amplitudes)
    error = np.hypot(error, error[0])
    assert (np.abs(loss(straight)) < 4 * error + 1e-3).all()
    assert np.abs(loss(bent)).max() > 4 * error[np.argmax(np.abs(loss(bent)))]
    assert straight.reduced_chi2 < 1.1 < bent.reduced_chi2
    assert not any("drift" in w for w in straight.warnings)


def test_a_drifting_phase_turns_no_sign():
    """70 degrees to either side, and rows that are too weak to show their phase."""
    turned = Moved(phase_rad=np.radians(20.0) * (ROWS - 3.5))
    for seed in range(20):
        fit = fitted(turned, drift="phase", seed=seed)
        assert (np.sign(fit.amplitudes) == np.sign(TRUTH)).all()


def test_weak_rows_move_with_their_neighbours_and_stay_unbiased():
    truth = np.array([60.0, 60.0, 0.0, 60.0, 60.0])
    moved = Moved(shift_hz=0.3 * np.arange(5.0), phase_rad=np.radians(10.0) * np.arange(5.0))
    found = []
    for seed in range(60):
        series = series_of(truth, LINE, seed=seed, moved=moved)
        (fit,) = fit_series(series, REGION, drift=("shift", "phase")).regions
        found.append(fit.amplitudes[2] / fit.stderr[2])
        assert fit.rows.shift_hz[2] == pytest.approx(fit.rows.shift_hz[[1, 3]].mean())
    # an own phase would make every empty row positive, by sqrt(pi/2)
    assert abs(np.mean(found)) < 4 / np.sqrt(60)
    assert np.std(found, ddof=1) == pytest.approx(1.0, abs=4 * 0.092)


def test_shift_and_phase_of_rows_are_those_that_were_planted():
    moved = Moved(shift_hz=0.25 * ROWS, phase_rad=np.radians(8.0) * ROWS)
    rows = fitted(moved, drift=("shift", "phase")).rows
    strong = np.abs(TRUTH) > 25
    # one row knows nu to sqrt(8 R^3 v)/2 pi and the phase to sqrt(4 R v), v = sigma^2 dt/A^2
    rate, v = 2 * np.pi, 1e-3 / 30.0**2
    shift = rows.shift_hz - rows.shift_hz[0]
    phase = rows.phase_rad - rows.phase_rad[0]
    error = np.sqrt(2 * 8 * rate**3 * v) / (2 * np.pi)
    np.testing.assert_allclose(shift[strong], moved.shift_hz[strong], atol=4 * error)
    np.testing.assert_allclose(
        phase[strong], moved.phase_rad[strong], atol=4 * np.sqrt(2 * 4 * rate * v)
    )
