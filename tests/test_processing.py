"""Processing keeps amplitudes, signs and shifts; integrals have the errors that they state."""

import numpy as np
import pytest

from nmrqb.analysis.processing import integrate, phased, referenced, transform, without_baseline
from nmrqb.signals.series import Axis, Series

WIDTH, POINTS = 2000.0, 4096
OFFSETS, RATES = np.array([-700.0, 120.0, 650.0]), np.array([8.0, 10.0, 9.0])


def make_series(amplitudes, *, delay=0.0, phase=0.6, sigma=0.0, seed=0, scans=1, dead_s=0.0):
    amplitudes = np.atleast_2d(amplitudes)
    t = (np.arange(POINTS) - delay) / WIDTH + dead_s
    lines = np.where(t >= 0.0, np.exp((2j * np.pi * OFFSETS[:, None] - RATES[:, None]) * t), 0.0)
    if delay > 0.0:  # a receiver's filter passes half of a step at its middle
        lines *= np.heaviside(t, 0.5)
    rng = np.random.default_rng(seed)
    shape = (len(amplitudes), POINTS)
    noise = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    rows = len(amplitudes)
    return Series(
        fids=scans * amplitudes @ lines * np.exp(1j * phase) + np.sqrt(scans) * sigma * noise,
        dwell_s=1 / WIDTH, time_origin_s=delay / WIDTH, dead_time_s=dead_s, carrier_hz=400.002e6,
        carrier_ppm=5.0, nucleus="1H", scans=np.full(rows, scans),
        axis=Axis(name="delay", unit="s", values=np.arange(rows) + 0.0, source="test"),
    )  # fmt: skip


def regions(reach_hz=150.0):
    return [(5.0 + (o - reach_hz) / 400.0, 5.0 + (o + reach_hz) / 400.0) for o in OFFSETS]


#: of a Lorentzian, what lies within +-150 Hz: 2/pi atan(2 pi 150 / R)
INSIDE = 2 / np.pi * np.arctan(2 * np.pi * 150.0 / RATES)


@pytest.mark.parametrize("delay", [0.0, 20.0])
def test_integrals_are_the_amplitudes_at_time_zero_with_their_signs(delay):
    amplitudes = np.array([[3.0, -2.0, 1.0], [-1.5, 1.0, -0.5]])
    spectrum = phased(transform(make_series(amplitudes, delay=delay)), row=0)
    found = integrate(spectrum, regions()).values
    # tails of the neighbours and the cut-off of the record: below a per cent of the tallest
    np.testing.assert_allclose(found, amplitudes * INSIDE, atol=0.04)


def test_one_phase_for_all_rows_keeps_an_inverted_row_inverted():
    amplitudes = np.array([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]])
    spectrum = phased(transform(make_series(amplitudes, phase=2.0)), row=0)
    np.testing.assert_allclose(spectrum.values[1], -spectrum.values[0], atol=1e-12)
    assert (integrate(spectrum, regions()).values[0] > 0.9).all()
    with pytest.raises(ValueError, match="row must be 0 to 1"):
        phased(spectrum, row=2)


def test_a_stated_dead_time_turns_no_phase_over_the_width():
    angles = []
    for k, offset in enumerate(OFFSETS):
        spectrum = transform(make_series(np.eye(3)[k], dead_s=3.3e-4, phase=0.6))
        near = abs(spectrum.frequency_hz - offset) < 60.0
        angles.append(np.degrees(np.angle(spectrum.values[0, near].sum())))
    # without it the phases would spread over 160 degrees
    np.testing.assert_allclose(angles, np.degrees(0.6), atol=2.0)


@pytest.mark.parametrize(("lorentzian", "fill"), [(0.0, 1), (0.0, 4), (5.0, 2)])
def test_stated_errors_of_integrals_are_the_scatter_of_repeated_measurements(lorentzian, fill):
    values = []
    for seed in range(60):
        series = make_series(np.ones((4, 3)), sigma=0.3, seed=seed, scans=4)
        spectrum = transform(series, lorentzian_hz=lorentzian, zero_fill=fill)
        integrals = integrate(spectrum, regions())
        values.append(integrals.values)
    scatter = np.array(values).reshape(-1, 3).std(axis=0, ddof=1)
    # 240 values give a scatter to 4.6 %; the ends of a region add some of their own
    np.testing.assert_allclose(integrals.stderr[0], scatter, rtol=0.2)


def test_apodisation_adds_its_width_to_a_line():
    spectrum = transform(make_series([[0.0, 1.0, 0.0]], phase=0.0), lorentzian_hz=4.0, zero_fill=8)
    real = spectrum.values[0].real
    wide = spectrum.frequency_hz[real > real.max() / 2]
    assert np.ptp(wide) == pytest.approx(RATES[1] / np.pi + 4.0, abs=2 * spectrum.spacing_hz)


def test_a_rolling_baseline_is_taken_off_and_lines_of_either_sign_stay():
    amplitudes = np.array([[3.0, -2.0, 1.0]])
    clean = transform(make_series(amplitudes, phase=0.0, sigma=1e-3))
    x = np.linspace(-1, 1, len(clean.frequency_hz))
    roll = 0.02 * (1 + x - 2 * x**2)
    import dataclasses

    rolled = dataclasses.replace(clean, values=clean.values + roll)
    before = integrate(rolled, regions()).values
    after = integrate(without_baseline(rolled), regions()).values
    wanted = amplitudes * INSIDE
    assert np.abs(before - wanted).max() > 3.0
    assert np.abs(after - wanted).max() < 0.15  # the tails of the lines are baseline too


def test_referencing_moves_a_line_to_its_shift_and_keeps_its_frequency():
    spectrum = referenced(transform(make_series([[1.0, 1.0, 1.0]])), found_ppm=5.3, true_ppm=0.0)
    top = spectrum.ppm[np.argmax(np.where(abs(spectrum.frequency_hz - 120) < 50,
                                          abs(spectrum.values[0]), 0))]  # fmt: skip
    assert top == pytest.approx(0.0, abs=0.01)
    assert spectrum.reference_hz * (1 + spectrum.carrier_ppm * 1e-6) == pytest.approx(400.002e6)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"lorentzian_hz": -1.0}, "lorentzian_hz"), ({"gaussian_hz": np.nan}, "gaussian_hz"),
     ({"zero_fill": 0}, "zero_fill"), ({"zero_fill": 10**6}, "zero_fill")],
)  # fmt: skip
def test_bad_processing_is_refused_by_name(change, words):
    with pytest.raises(ValueError, match=words):
        transform(make_series([[1.0, 1.0, 1.0]]), **change)
