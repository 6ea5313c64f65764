"""A measured inversion recovery against the vendor's own relaxation module."""

import re

import numpy as np
import pytest


@pytest.fixture(scope="module")
def vendor_t1_s(realdata):
    """T1 of the vendor's 13 regions, from the file that its module wrote."""
    path = realdata / "bruker_ir_cyclosporin/inversionRecovery2D/1/pdata/1/ct1t2.txt"
    found = re.findall(r"^T1\s+=\s+([\d.]+)(m|s)", path.read_text(), re.MULTILINE)
    assert len(found) == 13
    return np.array([float(v) * (1e-3 if unit == "m" else 1.0) for v, unit in found])


def test_twelve_of_thirteen_vendor_t1s_are_met_and_the_unconstrained_one_is_withheld(
    nmrqb, realdata, vendor_t1_s
):
    outcome = nmrqb("fit", realdata / "bruker_ir_cyclosporin", "--model", "recovery", "--json")
    assert outcome.code == 0
    result = outcome.json
    assert result["axis"]["values"] == [10, 5, 4, 3, 2, 1, 0.5, 0.25, 0.1, 0.01]
    assert "vdlist" in result["axis"]["source"]
    assert len(result["results"]) == 13
    met = 0
    for region, vendor in zip(result["results"], vendor_t1_s, strict=True):
        t1 = region["parameters"]["T1"]
        if vendor > 10.0:  # longer than the longest delay
            assert t1["value"] is None
            assert not region["identifiable"]
            assert "not identifiable" in t1["reason"]
            continue
        low, high = t1["ci95"]
        assert low < t1["value"] < high
        met += abs(t1["value"] - vendor) <= max(0.1 * vendor, 2 * t1["stderr"])
    assert met == 12


def test_regions_are_the_vendors(nmrqb, realdata):
    result = nmrqb("fit", realdata / "bruker_ir_cyclosporin", "--model", "recovery", "--json").json
    assert result["results"][0]["region_ppm"] == pytest.approx([4.2954, 4.3881], abs=1e-4)
    # the strongest line of every region lies inside it
    for region in result["results"]:
        low, high = region["region_ppm"]
        assert low <= region["shift_ppm"] <= high


def test_systematic_errors_of_these_lines_name_no_other_curve(nmrqb, realdata):
    # noise is 1e-4 of the lines and drifts of phase leave percents: any criterion would split T1
    words = ["fit", realdata / "bruker_ir_cyclosporin", "--model", "recovery", "--json"]
    compared = [r["model_comparison"] for r in nmrqb(*words).json["results"]]
    assert any(c["bic"] < m["candidates"][0]["bic"] - 10.0
               for m in compared for c in m["candidates"])  # fmt: skip
    for m in compared:
        assert m["preferred"] == "mono" or m["is_weak"]
        assert "clearly" not in m["words"]


def test_only_the_unconstrained_line_asked_for_is_a_no(nmrqb, realdata):
    outcome = nmrqb(
        "fit", realdata / "bruker_ir_cyclosporin", "--model", "recovery",
        "--region=2.47:2.54", "--json",
    )  # fmt: skip
    assert outcome.code == 1
    assert outcome.json["status"] == "no"
    assert outcome.json["results"][0]["parameters"]["T1"]["value"] is None


def test_phase_is_flat_because_the_group_delay_is_a_time_origin(realdata):
    # amplitudes at both ends of the spectrum share one phase without any first-order correction
    from nmrqb import fit_series, read_series

    series = read_series(realdata / "bruker_ir_cyclosporin")
    assert series.time_origin_s * series.spectral_width_hz == pytest.approx(67.9852, abs=1e-3)
    fits = fit_series(series, [series.regions_ppm[0], series.regions_ppm[12]]).regions
    phases = [np.angle(f.intensity.sum()) for f in fits]
    # lines 2170 Hz apart: a delay wrong by one point would turn them by 217 degrees against each
    # other; the vendor's own first-order correction of these data is 7.6 degrees over this range
    assert np.ptp(phases) < np.radians(15)


def test_a_list_that_does_not_match_the_rows_is_refused(nmrqb, realdata):
    outcome = nmrqb("fit", realdata / "bruker_t1rho_1h", "--model", "recovery")
    assert outcome.code == 2
    assert "21 entries for 22 rows" in outcome.complaint
    assert "--axis" in outcome.complaint


def test_report_of_a_fit_shows_the_withheld_line(nmrqb, realdata, tmp_path):
    outcome = nmrqb(
        "fit", realdata / "bruker_ir_cyclosporin", "--model", "recovery", "-o", tmp_path / "fit"
    )
    assert outcome.code == 0
    page = (tmp_path / "fit" / "report.html").read_text()
    assert "not identifiable" in page
    assert (tmp_path / "fit" / "SUCCESS").is_file()
