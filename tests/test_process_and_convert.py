"""The commands ``process`` and ``convert``, from any vendor's files to results."""

import numpy as np
import pytest
from vendor_files import lines_fids, write_bruker, write_jeol, write_varian

from nmrqb import read_series


def test_process_writes_spectra_integrals_and_figures(nmrqb, tmp_path):
    data = write_bruker(tmp_path / "x", lines_fids(rows=6, delay_points=67.98))
    out = tmp_path / "out"
    outcome = nmrqb("process", data, "--baseline", "2", "--lb", "3", "-o", out, "--json")
    assert outcome.code == 0, outcome.err
    result = outcome.json
    assert result["schema"] == "nmrqb/process/1"
    assert (out / "SUCCESS").is_file()
    assert "data:image/png" in (out / "report.html").read_text()
    assert np.loadtxt(out / "spectra.csv", delimiter=",", skiprows=1).shape[1] == 7
    for region in result["results"]:  # an inversion recovery: negative first, positive last
        assert region["integrals"][0] < 0 < region["integrals"][-1]


def test_process_moves_shifts_and_takes_regions(nmrqb, tmp_path):
    data = write_jeol(tmp_path / "x.jdf", lines_fids(delay_points=19.65625, dead_s=2e-5))
    words = ["--reference", "5.05:0", "--region=-0.3:0.3", "--phase", "row:0"]
    outcome = nmrqb("process", data, *words, "--json")
    assert outcome.code == 0, outcome.err
    (region,) = outcome.json["results"]
    # the middle line (20 Hz from the carrier at 5 ppm) of 2e5 a.u. and 8 scans, now at 0 ppm
    assert region["integrals"][0] == pytest.approx(2e5 / 8, rel=0.1)


@pytest.mark.parametrize("kind", ["nmrpipe", "jcamp-dx", "csdm"])
def test_convert_keeps_points_and_axis(nmrqb, tmp_path, kind):
    fids = lines_fids(rows=6)
    data = write_varian(tmp_path / "x", fids)
    outcome = nmrqb("convert", data, "--to", kind, "-o", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    back = read_series(outcome.json["file"])
    np.testing.assert_array_equal(back.fids, fids)
    np.testing.assert_allclose(back.axis.values, read_series(data).axis.values)
    again = nmrqb("convert", data, "--to", kind, "-o", tmp_path / "out")
    assert (again.code, "not empty" in again.complaint) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["process", "--phase", "0"], "--phase"),
        (["process", "--phase", "row:9"], "row must be 0 to 0"),
        (["process", "--reference", "1"], "--reference"),
        (["process", "--lb", "-1"], "lorentzian_hz"),
        (["process", "--zero-fill", "0"], "zero_fill"),
        (["process", "--region", "90:91"], "90:91"),
        (["process", "--baseline", "99"], "order"),
        (["convert", "--to", "nmrpipe"], "-o"),
    ],
)
def test_a_bad_option_gets_one_line(nmrqb, tmp_path, words, said):
    data = write_bruker(tmp_path / "x", lines_fids(delay_points=67.98))
    outcome = nmrqb(words[0], data, *words[1:])
    assert outcome.code == 2
    assert said in outcome.complaint
