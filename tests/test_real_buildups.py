"""Measured DNP build-ups against the vendor's module and an independent analysis.

13C build-ups on a 400 MHz spectrometer (F. Taube, screamlab, BSD-2-Clause): a pseudo-2D with a
delay list, and experiments recorded one by one with their build-up time in L[20]*D[20].
"""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

# the chemical shifts of the alanine series are those of its processing parameters, which put the
# methyl line at -16.3 ppm, 21.2 ppm from the carrier
METHYL = "--region=-45:10"


@pytest.fixture
def pseudo_2d(realdata):
    return realdata / "screamlab_dnp_buildup/Pseud2DTestFiles/1"


@pytest.fixture
def alanine(realdata):
    return realdata / "screamlab_dnp_buildup/SCREAM_Test_Files/Alanin"


def test_five_vendor_build_up_times_are_met_within_5_percent(nmrqb, pseudo_2d):
    text = (pseudo_2d / "pdata/1/ct1t2.txt").read_text()
    vendor = [float(v) for v in re.findall(r"^T1\s+=\s+([\d.]+)s", text, re.MULTILINE)]
    assert vendor == [2.882, 2.942, 2.948, 2.944, 2.937]
    outcome = nmrqb("fit", pseudo_2d, "--model", "buildup", "--json")
    assert outcome.code == 0
    results = outcome.json["results"]
    assert len(results) == 5
    assert "vdlist" in outcome.json["axis"]["source"]
    for region, expected in zip(results, vendor, strict=True):
        t = region["parameters"]["T"]
        assert t["value"] == pytest.approx(expected, rel=0.05)
        low, high = t["ci95"]
        assert low <= expected <= high


def test_a_stretch_of_five_percent_is_told_as_what_it_is(nmrqb, pseudo_2d):
    for region in nmrqb("fit", pseudo_2d, "--model", "buildup", "--json").json["results"]:
        comparison = region["comparison"]
        # statistically no exponential (noise is 1e-4 of the signal), practically one
        assert comparison["verdict"] == "nearly mono-exponential"
        assert comparison["p_value"] < 1e-3
        assert comparison["largest_difference"] < 0.02
        assert "beta" not in region["parameters"]
        mono, stretched = comparison["models"]
        assert mono["T"] == region["parameters"]["T"]["value"]
        # the independent analysis by integration: beta 1.04 to 1.05 with errors of 0.01
        assert stretched["beta"] == pytest.approx(1.045, abs=0.03)
        assert stretched["bic"] < mono["bic"]
        (said,) = (w for w in region["warnings"] if "not quite mono-exponential" in w)
        assert f"beta = {stretched['beta']:.4g}" in said


def test_the_alanine_series_is_not_mono_exponential(nmrqb, alanine):
    outcome = nmrqb("fit", alanine, "--model", "buildup", "--rows", "0-1", METHYL, "--json")
    assert outcome.code == 0
    table = outcome.json
    assert table["axis"]["values"] == [0.25, 0.5, 1, 2, 4, 8, 16, 32]
    assert "L[20]*D[20]" in table["axis"]["source"]
    assert "pulse program: tbup" in table["axis"]["source"]
    assert table["scans"] == [128, 128, 128, 64, 64, 32, 32, 16]
    region = table["results"][0]
    comparison = region["comparison"]
    assert comparison["verdict"] == "not mono-exponential"
    assert comparison["p_value"] < 1e-6
    assert any("NOT mono-exponential" in w for w in region["warnings"])
    # independent integration of the whole line: T = 15.2 s, beta = 1.21, one exponential 21.6 s.
    # The line has a broad foot that builds up more slowly and whose first 0.24 ms are not fitted
    # here: integrated without them the same data give 14.1 s and 1.19
    assert region["parameters"]["T"]["value"] == pytest.approx(15.16, rel=0.15)
    assert region["parameters"]["beta"]["value"] == pytest.approx(1.211, abs=0.06)
    mono, stretched = comparison["models"]
    assert mono["T"] > 1.25 * stretched["T"]
    assert mono["chi2"] > 10 * stretched["chi2"]


@pytest.mark.parametrize("rows", ["0", "1"])
def test_neither_row_of_the_alanine_series_alone_is_mono_exponential(nmrqb, alanine, rows):
    table = nmrqb("fit", alanine, "--model", "buildup", "--rows", rows, METHYL, "--json").json
    region = table["results"][0]
    assert region["comparison"]["verdict"] == "not mono-exponential"
    # direct polarisation starts late (beta > 1), the saturated one fast (beta < 1)
    beta = region["parameters"]["beta"]["value"]
    assert (beta > 1.2) if rows == "0" else (beta < 0.8)


def test_integrals_of_the_same_points_give_the_alanine_build_up_too(alanine):
    # a second route without line shapes: phased integrals of the spectra, no weights
    from scipy.optimize import curve_fit

    from nmrqb import fit_series, read_series
    from nmrqb.analysis.buildup import build_up, fit_build_up
    from nmrqb.analysis.lines import spectrum_bins

    series = read_series(alanine, rows="0-1")
    rows = np.arange(1, 8)  # the first is unphased
    bins = spectrum_bins(series)
    spectra = bins.spectra * np.exp(2j * np.pi * bins.frequency_hz * bins.start_s)
    near = np.abs(series.ppm(bins.frequency_hz) + 16.3) < 8.0
    integral = spectra[:, near].sum(axis=1)
    real = (integral * np.exp(-1j * np.angle(integral[-1]))).real[rows]
    t = series.axis.values[rows]
    (tau, _, beta), _ = curve_fit(build_up, t, real / real[-1], (15.0, 1.0, 1.1))
    line = fit_series(series, [(-45.0, 10.0)]).regions[0]
    fit = fit_build_up(t, line.amplitudes[rows], line.covariance[np.ix_(rows, rows)])
    # the line-shape fit weights the narrow part of the line more than its foot
    assert fit.value("T") == pytest.approx(tau, rel=0.08)
    assert fit.value("beta") == pytest.approx(beta, abs=0.04)


def test_noise_of_the_alanine_experiments_goes_with_their_scans(alanine):
    from nmrqb import read_series
    from nmrqb.analysis.lines import spectrum_bins
    from nmrqb.analysis.noise import noise_per_channel

    series = read_series(alanine, rows="0")
    bins = spectrum_bins(series)
    own = [noise_per_channel(replace(bins, spectra=row[None])) for row in bins.spectra]
    per_scan = np.array(own) * np.sqrt(series.scans)
    # one row's variance is known to 13 % / sqrt(15 blocks), its sigma to 2 %: four of those
    np.testing.assert_allclose(per_scan / per_scan.mean(), 1.0, atol=0.08)


def test_two_rows_are_asked_about(nmrqb, alanine):
    outcome = nmrqb("fit", alanine, "--model", "buildup", METHYL)
    assert outcome.code == 2
    for word in ("8 experiments hold 2 rows", "--rows 0", "--rows 1", "--rows 0-1"):
        assert word in outcome.complaint


def test_the_rule_said_is_the_rule_found(nmrqb, alanine):
    words = ["fit", alanine, "--model", "buildup", "--rows", "0-1", METHYL, "--json"]
    found, said = nmrqb(*words).json, nmrqb(*words, "--axis", "L[20]*D[20]").json
    assert found["axis"]["values"] == said["axis"]["values"]
    assert found["results"] == said["results"]
    # the pulse program sets tbup twice: found by itself, that is told
    assert any("tbup=(1+l20)*d20" in w for w in found["warnings"])


def test_the_experiment_at_another_carrier_is_shown_and_not_fitted(nmrqb, alanine):
    table = nmrqb("fit", alanine, "--model", "buildup", "--rows", "0-1", METHYL, "--json").json
    assert table["rows_not_fitted"] == [0]
    assert any("experiment 1" in w and "1760 Hz" in w for w in table["warnings"])
    assert len(table["results"][0]["amplitudes"]) == 8


def test_a_change_of_carrier_turns_the_receivers_phase(alanine):
    # why that experiment is not fitted: brought to the common carrier, its methyl line is turned
    # against the next one by the same large angle in either row
    from nmrqb import read_series
    from nmrqb.analysis.lines import spectrum_bins

    turned = []
    for rows in ("0", "1"):
        series = read_series(alanine, rows=rows)
        bins = spectrum_bins(series)
        near = np.abs(series.ppm(bins.frequency_hz) + 16.3) < 4.0
        first, second = (row[near] for row in bins.spectra[:2])
        turned.append(np.degrees(np.angle(np.vdot(second, first))))
    # signal-to-noise of 10 or so: angles known to 10 degrees
    assert turned[0] == pytest.approx(turned[1], abs=40)
    assert min(np.abs(turned)) > 60


def test_one_damaged_experiment_stops_the_series(nmrqb, alanine, tmp_path):
    copy = tmp_path / "a"
    shutil.copytree(alanine, copy)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (copy / "5" / "ser").unlink()
    outcome = nmrqb("fit", copy, "--model", "buildup", "--rows", "0-1", METHYL)
    assert outcome.code == 2
    assert str(copy / "5") in outcome.complaint


def test_a_stretched_time_goes_into_no_register(nmrqb, alanine, edited):
    register = edited("data/registers/chloroform_13c.toml", name="mine.toml")
    before = register.read_bytes()
    outcome = nmrqb("fit", alanine, "--model", "buildup", "--rows", "0-1", METHYL,
                    "--into", register, "--spin", "center", "--json")  # fmt: skip
    assert outcome.code == 1
    assert "not mono-exponential" in outcome.json["into"]["reason"]
    assert register.read_bytes() == before


def test_a_nearly_mono_exponential_time_goes_into_a_register(nmrqb, pseudo_2d, edited):
    from nmrqb import read_register

    register = edited("data/registers/chloroform_13c.toml", name="mine.toml")
    outcome = nmrqb("fit", pseudo_2d, "--model", "buildup", "--region=52.3:65.5",
                    "--into", register, "--spin", "center")  # fmt: skip
    assert outcome.code == 0
    t1 = read_register(register).center.t1_s
    assert t1.value == pytest.approx(2.942, rel=0.05)
    assert "Pseud2DTestFiles/1" in t1.source
