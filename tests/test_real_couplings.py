"""Couplings of star multiplets from measured FIDs: 13C beside 19F and 2H."""

import lmfit
import numpy as np
import pytest

from nmrqb import fit_series, read_series
from nmrqb.analysis.shapes import LineShape

ANILINE = "nmredata_cf3_aniline/MP-TFM-aniline/11"
RUTIN = "jeol_npm/Rutin_3080ug200uL_DMSOd6_13CNMR_400MHz_Jeol.jdf"

#: data set, region (ppm), neighbours, J from the maxima of the magnitude spectrum (Hz)
COUPLINGS = {
    "1J(CF) of CF3": (ANILINE, (119.0, 128.0), "3:1/2", 272.60),
    "2J(CF) of C-CF3": (ANILINE, (131.9, 133.1), "3:1/2", 33.00),
    "1J(CD) of CDCl3": (ANILINE, (76.4, 77.65), "1:1", 32.09),
    "1J(CD) of DMSO-d6": (RUTIN, (38.5, 41.5), "3:1", 21.26),
}
COUPLING = pytest.mark.parametrize("name", COUPLINGS)


def fitted(realdata, name, **options):
    data, region, multiplet, _ = COUPLINGS[name]
    series = read_series(realdata / data)
    (fit,) = fit_series(series, [region], multiplet=multiplet, **options).regions
    return series, fit


@COUPLING
def test_couplings_are_those_of_the_magnitude_spectrum_within_five_per_cent(realdata, name):
    _, fit = fitted(realdata, name, shape="voigt")
    coupling = fit.numbers["J"]
    assert coupling.value == pytest.approx(COUPLINGS[name][3], rel=0.05)
    assert 0.0 < coupling.stderr < 0.02


@pytest.mark.parametrize(
    ("name", "literature"), [("1J(CD) of CDCl3", 32.0), ("1J(CD) of DMSO-d6", 21.0)]
)
def test_couplings_of_solvents_are_those_of_solvent_tables(realdata, name, literature):
    """NMR solvent data charts (Cambridge Isotope Laboratories) give 1J(CD) to 0.5 Hz."""
    _, fit = fitted(realdata, name, shape="voigt")
    assert fit.numbers["J"].value == pytest.approx(literature, abs=0.25)


def magnitude_maxima(fid, dwell, places, zero_filling=4):
    """Return the maxima of |FFT| near some places, from a parabola through three points."""
    size = zero_filling * len(fid)
    frequency = np.fft.fftshift(np.fft.fftfreq(size, dwell))
    height = np.abs(np.fft.fftshift(np.fft.fft(fid, size)))
    found = []
    for place in places:
        near = np.flatnonzero(np.abs(frequency - place) < 4.0)
        k = near[np.argmax(height[near])]
        below, top, above = height[k - 1 : k + 2]
        move = 0.5 * (below - above) / (below - 2 * top + above)
        found.append(frequency[k] + move * (frequency[1] - frequency[0]))
    return np.array(found)


@pytest.mark.parametrize("name", ["2J(CF) of C-CF3", "1J(CD) of CDCl3", "1J(CD) of DMSO-d6"])
def test_maxima_of_a_magnitude_spectrum_are_pushed_apart_by_their_neighbours_tails(realdata, name):
    """Why the fitted J is smaller: a line beside the tail of another has its maximum further out.

    Maxima of the measured magnitude spectrum give a J that is too large, and so do those of the
    fitted shape itself, whose J is known.
    """
    series, fit = fitted(realdata, name)
    multiplet, p = fit.shapes[0].multiplet, fit.parameters
    places = float(series.offset_hz(p["shift"].value)) + multiplet.orders * p["J"].value
    first = series.first_usable_point
    t = series.times_s[first:]
    lines = np.exp(np.outer(2j * np.pi * places - np.pi * p["width"].value, t))
    apparent = [
        np.polyfit(multiplet.orders, magnitude_maxima(fid, series.dwell_s, places), 1)[0]
        for fid in (series.fids[0, first:], multiplet.weights @ lines)
    ]
    pushed = np.array(apparent) - p["J"].value
    assert (pushed > 4 * fit.numbers["J"].stderr).all()
    assert pushed[0] == pytest.approx(pushed[1], rel=0.5)


def test_maxima_between_the_bins_of_a_transform_do_not_know_the_second_digit_of_a_coupling(
    realdata,
):
    """Why the fitted 1J(CF), 272.53 Hz, is not the 272.60 Hz of the maxima.

    Bins are 1.24 Hz wide and the lines 1.07 Hz.  Where each maximum lies between them depends on
    how many points are dropped: for a quartet of known J, without noise, and for the measured one,
    whose values reach from below the fitted J to 272.60 Hz and above.
    """
    series, fit = fitted(realdata, "1J(CF) of CF3")
    multiplet, p = fit.shapes[0].multiplet, fit.parameters
    places = float(series.offset_hz(p["shift"].value)) + multiplet.orders * p["J"].value
    measured, known = [], []
    for first in (24, *range(series.first_usable_point, 186, 10)):
        t = series.times_s[first:]
        lines = np.exp(np.outer(2j * np.pi * places - np.pi * p["width"].value, t))
        for found, fid in (
            (measured, series.fids[0, first:]),
            (known, np.where(t >= 0.0, multiplet.weights @ lines, 0.0)),
        ):
            at = magnitude_maxima(fid, series.dwell_s, places, zero_filling=1)
            found.append(np.polyfit(multiplet.orders, at, 1)[0])
    off = np.array(known) - p["J"].value
    assert np.abs(off).max() > 0.07
    assert min(measured) < p["J"].value < 272.60 < max(measured)


@COUPLING
def test_lines_that_are_free_to_be_anywhere_lie_at_equal_distances(realdata, name):
    """The error of J holds against positions that know nothing of a common J."""
    series, fit = fitted(realdata, name)
    multiplet, p = fit.shapes[0].multiplet, fit.parameters
    hz_per_ppm = 1e-6 * series.reference_hz
    strongest = list(np.argsort(-multiplet.weights, kind="stable"))
    table = lmfit.Parameters()
    for k, line in enumerate(strongest):
        n = "" if k == 0 else str(k + 1)
        place = p["shift"].value + multiplet.orders[line] * p["J"].value / hz_per_ppm
        table.add(f"shift{n}", value=place, min=place - 3 / hz_per_ppm, max=place + 3 / hz_per_ppm)
        if k == 0:
            table.add("width", value=p["width"].value, min=0.01)
            table.add("phase", value=p["phase"].value)
        else:
            table.add(f"width{n}", expr="width")
            table.add(f"phase{n}", expr="phase")
            ratio = multiplet.weights[line] / multiplet.weights[strongest[0]]
            table.add(f"intensity{n}", value=ratio)
    shapes = [LineShape()] * len(strongest)
    (free,) = fit_series(series, [fit.region_ppm], shape=shapes, parameters=table).regions
    names = [f"shift{'' if k == 0 else k + 1}" for k in range(len(strongest))]
    found = np.array([free.numbers[n].value for n in names]) * hz_per_ppm
    error = np.array([free.numbers[n].stderr for n in names]) * hz_per_ppm
    orders = multiplet.orders[strongest]
    slope, start = np.polyfit(orders, found, 1, w=1 / error)
    chi2 = np.sum(((found - start - slope * orders) / error) ** 2)
    degrees = len(orders) - 2
    assert chi2 < degrees + 4 * np.sqrt(2 * degrees)
    assert slope == pytest.approx(p["J"].value, abs=2 * fit.numbers["J"].stderr)


@pytest.mark.parametrize(
    ("name", "kind"), [("2J(CF) of C-CF3", "3 x spin 1/2"), ("1J(CD) of DMSO-d6", "3 x spin 1")]
)
def test_the_criterion_counts_fluorines_and_deuterons(realdata, name, kind):
    data, region, _, _ = COUPLINGS[name]
    (fit,) = fit_series(read_series(realdata / data), [region], multiplet="auto").regions
    assert kind in str(fit.shapes[0])
    assert min(fit.alternatives.values()) > 10.0


def test_six_fluorines_make_a_septet_of_four_hertz(realdata):
    series = read_series(realdata / ANILINE)
    (fit,) = fit_series(series, [(111.27, 111.95)], multiplet="6:1/2", shape="voigt").regions
    # 3J of C4 with both CF3: maxima of the inner lines are 4.149 Hz apart, pushed as above
    assert fit.numbers["J"].value == pytest.approx(4.149, rel=0.05)


def test_the_command_gives_j_of_a_single_fid_with_its_error(nmrqb, realdata, tmp_path):
    outcome = nmrqb(
        "fit", realdata / RUTIN, "--model", "lines", "--multiplet", "3:1", "--shape", "voigt",
        "--region=38.5:41.5", "-o", tmp_path / "out", "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (region,) = outcome.json["results"]
    coupling = region["parameters"]["J"]
    assert coupling["unit"] == "Hz"
    assert coupling["ci95"][0] < coupling["value"] < coupling["ci95"][1]
    assert coupling["value"] == pytest.approx(21.26, rel=0.05)
    assert region["identifiable"] is True
    assert region["shapes"] == ["voigt multiplet of 3 x spin 1"]
    assert 0.0 <= region["residuals_white_p_value"] <= 1.0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "J (Hz)" in page
    assert "<h2>Lines</h2>" in page
    assert "<h2>Curves</h2>" not in page
    words = nmrqb("fit", realdata / RUTIN, "--model", "lines", "--multiplet", "3:1",
                  "--region=38.5:41.5")  # fmt: skip
    assert "J = 20.99" in words.out or "J = 21.0" in words.out


def test_a_region_of_noise_has_no_line_and_the_exit_code_says_so(nmrqb, realdata):
    outcome = nmrqb("fit", realdata / RUTIN, "--model", "lines", "--region=225:232", "--json")
    assert outcome.code == 1
    (region,) = outcome.json["results"]
    assert region["reason"] == "no line stands out of the noise"
    assert region["identifiable"] is False


def test_a_measured_drift_of_phase_is_the_same_on_every_line(realdata):
    """Lines up to 2170 Hz apart of one inversion recovery: one receiver, one phase."""
    series = read_series(realdata / "bruker_ir_cyclosporin")
    fits = fit_series(series, [series.regions_ppm[k] for k in (1, 4, 6, 7, 11)]).regions
    drifts = [d for f in fits for d in f.drift if d.quantity == "phase"]
    assert all(d.is_significant for d in drifts)
    trends = np.array([d.trend for d in drifts])
    # degrees; a quarter of it for shapes that are not quite those of the lines
    assert (trends > 0).all()
    assert np.std(trends) < 0.25 * np.mean(trends)
    for fit in fits:
        assert any("the rows drift" in w for w in fit.warnings)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--multiplet", "3:1/3"], ["--multiplet", "N:SPIN", "3:1/3"]),
        (["--multiplet", "0:1/2"], ["--multiplet", "1 to 60"]),
        (["--antiphase"], ["--antiphase", "--multiplet"]),
        (["--multiplet", "auto", "--antiphase"], ["--antiphase", "--multiplet"]),
        (["--drift", "none", "--drift", "shift"], ["--drift", "none"]),
        (["--shape", "triangular"], ["--shape", "triangular"]),
    ],
)
def test_options_that_cannot_be_are_one_line_and_exit_code_2(nmrqb, realdata, options, words):
    outcome = nmrqb("fit", realdata / RUTIN, "--model", "lines", *options)
    assert outcome.code == 2
    for word in words:
        assert word in outcome.complaint
