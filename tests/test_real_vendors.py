"""Measured data of every vendor: axis, nucleus, direction and time origin, nothing typed."""

import numpy as np
import pytest

from nmrqb import fit_series, read_series
from nmrqb.analysis.processing import transform
from nmrqb.errors import InputError

BRUKER = "bruker_ir_cyclosporin/inversionRecovery2D/1"
VARIAN = "nmrpy_varian_31p_array/test1.fid"


def test_raw_points_are_the_integers_of_the_files(realdata):
    series = read_series(realdata / BRUKER)
    stored = np.fromfile(realdata / BRUKER / "ser", "<i4").reshape(10, -1)[:, :8192]
    np.testing.assert_array_equal(series.fids.real, stored[:, 0::2])
    np.testing.assert_array_equal(series.fids.imag, stored[:, 1::2])
    series = read_series(realdata / VARIAN)
    raw = np.fromfile(realdata / VARIAN / "fid", "u1")[32:].reshape(24, -1)[:, 28:]
    stored = np.ascontiguousarray(raw).view(">i4").astype(float)
    np.testing.assert_array_equal(series.fids.real, stored[:, 0::2])
    np.testing.assert_array_equal(series.fids.imag, -stored[:, 1::2])  # the other way round


@pytest.mark.parametrize(
    ("path", "nucleus", "rows", "delay_points", "axis"),
    [
        (BRUKER, "1H", 10, 67.985, [10, 5, 4, 3, 2, 1, 0.5, 0.25, 0.1, 0.01]),
        ("screamlab_dnp_buildup/Pseud2DTestFiles", "13C", 16, 76.0, None),
        (VARIAN, "31P", 24, 0.0, 139.201 * (np.arange(24) + 0.5)),
        ("nmrpy_varian_31p_array/test2.fid", "31P", 1, 0.0, [0]),
        ("nmredata_cf3_aniline/MP-TFM-aniline/11", "13C", 1, 76.0, [0]),
        ("nmredata_cf3_aniline/MP-trifluoromethyl-aniline", "19F", 1, 67.998, [0]),
        ("jeol_npm/Rutin_3080ug200uL_DMSOd6_13CNMR_400MHz_Jeol.jdf", "13C", 1, 19.656, [0]),
        ("jeol_npm/Rutin_3080ug200uL_DMSOd6_qHNMR_400MHz_Jeol.jdf", "1H", 1, 19.656, [0]),
        ("jeol_npm/fluorine.jdf", "19F", 1, 19.656, [0]),
        ("jeol_npm/phosphorus.jdf", "31P", 1, 19.656, [0]),
    ],
)
def test_a_measured_set_is_read_with_nothing_typed(
    realdata, path, nucleus, rows, delay_points, axis
):
    series = read_series(realdata / path)
    assert (series.nucleus, series.rows) == (nucleus, rows)
    assert series.time_origin_s / series.dwell_s == pytest.approx(delay_points, abs=0.01)
    if axis is not None:
        np.testing.assert_allclose(series.axis.values, axis, rtol=1e-5)


def test_a_list_of_21_entries_for_22_rows_is_explained_and_can_be_said(realdata, nmrqb):
    with pytest.raises(InputError, match=r"21 entries for 22 rows.*9e-05 s.*99\.\d %.*vplist"):
        read_series(realdata / "bruker_t1rho_1h")
    series = read_series(realdata / "bruker_t1rho_1h", axis="vplist")
    assert series.axis.values[21] == series.axis.values[0] == pytest.approx(90e-6)


@pytest.mark.parametrize(
    ("path", "ppm", "what"),
    [
        (VARIAN, (0.3, 0.8), "triethyl phosphate at 0.44 ppm"),
        ("jeol_npm/Rutin_3080ug200uL_DMSOd6_13CNMR_400MHz_Jeol.jdf", (38.5, 41.0), "DMSO, 13C"),
        ("jeol_npm/Rutin_3080ug200uL_DMSOd6_qHNMR_400MHz_Jeol.jdf", (2.3, 3.6), "DMSO, water, 1H"),
        ("nmredata_cf3_aniline/MP-TFM-aniline/11", (76.0, 78.5), "CDCl3, 13C"),
        (BRUKER, (2.3, 2.7), "DMSO, 1H"),
    ],
)
def test_the_known_line_lies_where_it_is_known_to_lie_and_not_mirrored(realdata, path, ppm, what):
    spectrum = transform(read_series(realdata / path), lorentzian_hz=2.0)
    low, high = ppm
    here = (spectrum.ppm > low) & (spectrum.ppm < high)
    shift = np.abs(spectrum.ppm - 2 * spectrum.carrier_ppm)
    mirrored = (shift > min(abs(low), abs(high))) & (shift < max(abs(low), abs(high))) & ~here
    height = np.abs(spectrum.values[0])
    assert height[here].max() > 2.5 * np.median(height), what
    assert height[here].max() > height[mirrored].max() if mirrored.any() else True


def test_the_internal_standard_is_constant_within_its_errors(realdata):
    series = read_series(realdata / VARIAN)
    standard, sugar = fit_series(series, [(0.2, 1.0), (3.9, 4.5)]).regions
    relative = standard.stderr.mean() / standard.amplitudes.mean()
    assert relative < 0.02
    chi2 = np.sum(((standard.amplitudes - standard.amplitudes.mean()) / standard.stderr) ** 2)
    assert chi2 < 23 + 3 * np.sqrt(2 * 23)
    slope, constant = np.polyfit(series.axis.values, standard.amplitudes, 1)
    assert abs(slope * np.ptp(series.axis.values) / constant) < 3 * relative
    # and what is consumed is: fructose-6-phosphate falls to its residual level of about a fifth
    assert 0.1 < sugar.amplitudes[-4:].mean() / sugar.amplitudes[:2].mean() < 0.4


def test_a_shape_common_to_drifting_rows_would_not_keep_it_constant(realdata):
    series = read_series(realdata / VARIAN)
    (region,) = fit_series(series, [(0.2, 1.0)], drift=False).regions
    chi2 = np.sum(((region.amplitudes - region.amplitudes.mean()) / region.stderr) ** 2)
    assert chi2 > 100


def test_group_delay_and_dead_time_of_a_jeol_receiver_leave_a_third_of_a_point(realdata):
    """31P lines at both ends of 11.7 kHz: what slope of the phase is left over?"""
    series = read_series(realdata / "jeol_npm/phosphorus.jdf")
    first = series.first_usable_point
    t = series.times_s[first:]
    angles, places = [], []
    for guess in (-5089.9, 1359.8, 6595.7):
        turned = series.fids[0, first:] * np.exp(-2j * np.pi * guess * t)
        spectrum = np.fft.fftshift(np.fft.fft(turned * np.exp(-25.0 * t)))
        frequency = np.fft.fftshift(np.fft.fftfreq(len(t), series.dwell_s))
        near = np.abs(frequency) < 25.0
        offset = guess + frequency[near][np.argmax(np.abs(spectrum[near]))]
        # the value at the first point used, turned back to time 0
        angle = np.angle(spectrum[near].sum()) - 2 * np.pi * (offset - guess) * t[0]
        angles.append(angle)
        places.append(offset)
    slope = np.polyfit(places, np.unwrap(angles), 1)[0] / (2 * np.pi * series.dwell_s)
    # delay of the filter 19.66, acquisition delay 2.07 and half of the pulse 0.25 points
    assert abs(slope) < 0.15


def test_decays_and_build_ups_in_time_are_fitted_from_every_vendor(nmrqb, realdata):
    outcome = nmrqb("fit", realdata / VARIAN, "--model", "buildup", "--region", "4.5:4.9", "--json")
    assert outcome.code == 0, outcome.err
    t = outcome.json["results"][0]["parameters"]["T"]
    # published: k = 1.93(17)e-3 /s
    assert t["ci95"][0] < 1 / 1.93e-3 * 1.4
    assert t["ci95"][1] > 1 / 1.93e-3 * 0.6
    # fructose-6-phosphate falls to an equilibrium: published k = 1.80(13)e-3 /s, a level above 0
    words = ["--model", "decay", "--region", "3.9:4.5", "--curve", "offset", "--json"]
    (region,) = nmrqb("fit", realdata / VARIAN, *words).json["results"]
    t, level = region["parameters"]["T2"], region["parameters"]["offset"]
    assert t["ci95"][0] < 1.0 / 1.67e-3
    assert t["ci95"][1] > 1.0 / 1.93e-3
    assert level["ci95"][0] > 0.0
    assert region["model_comparison"]["preferred"] == "offset"
    words = ["--model", "decay", "--axis", "vplist", "--region", "1:6", "--json"]
    outcome = nmrqb("fit", realdata / "bruker_t1rho_1h", *words)
    assert outcome.code == 0, outcome.err
    t1rho = outcome.json["results"][0]["parameters"]["T2"]["value"]
    assert t1rho == pytest.approx(68e-3, rel=0.2)  # by integration, one exponential: 68(2) ms
