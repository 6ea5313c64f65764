"""Experiments recorded one by one are one series: axis by rule, rows by name, weights by scans."""

import shutil

import numpy as np
import pytest
from numbered_experiments import PROGRAM, set_array, set_parameter, write_experiments

from nmrqb import fit_series, read_series
from nmrqb.analysis.buildup import build_up
from nmrqb.errors import InputError
from nmrqb.files.vendors.axis_rule import parse_rule, program_products
from nmrqb.files.vendors.bruker_parameters import Parameters

COUNTS = [1, 2, 4, 8, 16, 32, 48]
TIMES = 0.25 * np.array(COUNTS)
REGION = [(0.35, 0.85)]


@pytest.fixture
def experiments(tmp_path):
    return write_experiments(tmp_path / "buildup", COUNTS, build_up(TIMES, 3.0, 50.0))


def amplitudes(series):
    return fit_series(series, REGION).regions[0].amplitudes


def test_the_pulse_programs_product_of_counter_and_delay_is_the_axis(experiments):
    series = read_series(experiments)
    np.testing.assert_allclose(series.axis.values, TIMES)
    assert series.axis.unit == "s"
    assert series.axis.source == "L[20]*D[20] of acqus (pulse program: tbup)"
    assert "experiments 1, 2, 3, 4, 5, 6, 7" in series.provenance


def test_a_folder_is_found_from_within_and_from_a_file_in_it(nmrqb, experiments, monkeypatch):
    (experiments / "notes.txt").write_text("good")
    assert read_series(experiments / "notes.txt").rows == 7
    monkeypatch.chdir(experiments)
    assert read_series(".").provenance.startswith("Bruker buildup, experiments 1, 2")
    assert read_series(experiments.parent).rows == 7


def test_the_axis_can_be_the_dates_of_acquisition(experiments):
    with pytest.raises(InputError, match="does not state when"):
        read_series(experiments, axis="date")
    for k in range(1, 8):
        path = experiments / str(k) / "acqus"
        dated = f"##$DATE= {1_600_000_000 + 90 * k}\n##END="
        path.write_text(path.read_text().replace("##END=", dated))
    axis = read_series(experiments, axis="date").axis
    np.testing.assert_allclose(axis.values, 90.0 * np.arange(7))


def test_experiments_come_in_rising_number(experiments):
    shutil.move(experiments / "2", experiments / "10")
    np.testing.assert_allclose(read_series(experiments).axis.values, TIMES[[0, 2, 3, 4, 5, 6, 1]])


@pytest.mark.parametrize(
    ("rule", "values", "unit", "name"),
    [
        ("L[20]*D[20]", TIMES, "s", "delay"),
        ("l[20] * d[20]", TIMES, "s", "delay"),
        ("D[20]*L[20]*2", 2 * TIMES, "s", "delay"),
        ("0.5*L[20]*D[1]", 0.5 * np.array(COUNTS), "s", "delay"),
        ("L[20]*P[1]", 1e-5 * np.array(COUNTS), "s", "pulse length"),
        ("L[20]*D[20]*CNST[2]", 0.5 * TIMES, "s", "delay"),
        ("L[20]", COUNTS, "", "L[20]"),
    ],
)
def test_a_rule_multiplies_parameters_in_seconds(experiments, rule, values, unit, name):
    axis = read_series(experiments, axis=rule).axis
    np.testing.assert_allclose(axis.values, values, rtol=1e-12)
    assert (axis.unit, axis.name) == (unit, name)
    assert "--axis" in axis.source


def test_a_file_gives_one_value_for_each_experiment(experiments, tmp_path):
    path = tmp_path / "L[1]*times"  # a file is a file, whatever its name
    path.write_text("1s\n2s\n3s\n4s\n5s\n6s\n7s\n")
    np.testing.assert_array_equal(read_series(experiments, axis=str(path)).axis.values, range(1, 8))


@pytest.mark.parametrize(
    "text",
    ["L[20]*", "L20*D20", "L[20]+D[20]", "L[-1]", "2*3", "1e999*L[1]", "D[1]*P[1]", "L[20]*nan",
     "0*L[1]", "L[99999]", "CNST[]"],
)  # fmt: skip
def test_what_is_no_product_of_parameters_is_no_rule(text):
    with pytest.raises(InputError, match="must be a product"):
        parse_rule(text)


def test_comments_and_sums_are_no_products():
    program = '"a=l1*d2"\n"b=(1+l1)*d2"\n"c=d1*2"\n"a=(1+l1)*d2"\n"a=d2*l1"\n"A=d2*d3"\n'
    products, others = program_products(program)
    assert {name: str(rule) for name, rule in products.items()} == {"a": "L[1]*D[2]"}
    assert others == [("a", "(1+l1)*d2"), ("a", "d2*l1")]


def test_a_contradicting_definition_is_warned_about(experiments):
    for folder in experiments.iterdir():
        (folder / "pulseprogram").write_text(PROGRAM + '"tbup=(1+l20)*d20"\n')
    (warning,) = read_series(experiments).warnings
    assert "tbup=(1+l20)*d20" in warning


def test_two_products_that_change_are_ambiguous(experiments):
    for k, folder in enumerate(sorted(experiments.iterdir())):
        (folder / "pulseprogram").write_text(PROGRAM + '"other=l21*d20"\n')
        set_array(folder, "L", [*[1] * 20, COUNTS[k], k])
    with pytest.raises(InputError, match=r"tbup = .*other = .*more than one changes"):
        read_series(experiments)
    np.testing.assert_allclose(read_series(experiments, axis="L[20]*D[20]").axis.values, TIMES)


def test_two_rows_are_asked_about_and_their_difference_is_taken(tmp_path):
    folder = write_experiments(tmp_path / "b", COUNTS, build_up(TIMES, 3.0, 50.0), rows=2)
    with pytest.raises(InputError, match=r"hold 2 rows each: say which.*--rows 0-1"):
        read_series(folder)
    both = [amplitudes(read_series(folder, rows=r)) for r in ("0", "1", "0-1")]
    scale = both[2][-1]
    # row 0 is twice row 1; noise of 1/sqrt(8) per scan against amplitudes of 50 and a line norm
    # of 1/sqrt(4 pi 3 Hz 1 ms) = 5.2 or so: 0.3 % of the last, shape errors are of second order
    np.testing.assert_allclose(both[0] / scale, 2 * both[1] / scale, atol=0.02)
    np.testing.assert_allclose(both[2] / scale, both[1] / scale, atol=0.02)
    assert ", row 0 - row 1" in read_series(folder, rows="0-1").provenance


def test_rows_that_the_file_holds_beyond_acqu2s_are_read_and_told(tmp_path):
    folder = write_experiments(tmp_path / "b", COUNTS, build_up(TIMES, 3.0, 50.0), rows=2)
    set_parameter(folder / "2", "TD", 1, file="acqu2s")
    series = read_series(folder, rows="1")
    assert series.rows == 7
    (warning,) = series.warnings
    assert "2/acqu2s says TD = 1" in warning
    assert "2 rows" in warning
    # but a file that is no whole number of rows is refused
    ser = folder / "2" / "ser"
    ser.write_bytes(ser.read_bytes() + bytes(512))
    with pytest.raises(InputError, match="another data set"):
        read_series(folder, rows="1")


def test_scans_and_nc_are_divided_out(tmp_path):
    truth = build_up(TIMES, 3.0, 50.0)
    scans = [64, 64, 32, 16, 8, 4, 2]
    folder = write_experiments(tmp_path / "b", COUNTS, truth, scans=scans, sigma=0.01)
    series = read_series(folder)
    np.testing.assert_array_equal(series.scans, scans)
    found = amplitudes(series)
    np.testing.assert_allclose(found / found[-1], truth / truth[-1], atol=1e-3)


def test_errors_of_the_rows_are_those_of_their_scans(tmp_path):
    # amplitudes of 0 apart from the first row: what scatters is noise alone
    scans = np.array([256, 64, 64, 16, 16, 4, 4])
    found, stated = [], []
    for seed in range(40):
        folder = write_experiments(
            tmp_path / str(seed), COUNTS, [20.0, 10, 0, 5, 0, 2, 20.0], scans=scans, seed=seed
        )
        fit = fit_series(read_series(folder), REGION).regions[0]
        unit = 2.0 ** Parameters(folder / "1" / "acqus").number("NC")  # of experiment 1
        found.append(fit.amplitudes * unit)
        stated.append(fit.stderr * unit)
    stated = np.mean(stated, axis=0)
    np.testing.assert_allclose(stated / stated[0], np.sqrt(scans[0] / scans), rtol=1e-12)
    # one scan of sigma 1: noise is known to 1 % of seven rows of eight blocks of 64 bins or so
    np.testing.assert_allclose(stated, 1.0 / np.sqrt(scans), rtol=0.03)
    # 40 samples know a standard deviation to 11 %: four of those
    np.testing.assert_allclose(np.std(found, axis=0, ddof=1) / stated, 1.0, atol=0.45)


def test_intervals_of_a_series_with_unequal_scans_hold_at_their_rate(nmrqb, tmp_path):
    hits = 0
    for seed in range(100):
        folder = write_experiments(
            tmp_path / str(seed), COUNTS, build_up(TIMES, 3.0, 10.0), seed=seed,
            scans=[64, 64, 32, 16, 8, 4, 2],
        )  # fmt: skip
        result = nmrqb("fit", folder, "--model", "buildup", "--region", "0.35:0.85", "--json").json
        low, high = result["results"][0]["parameters"]["T"]["ci95"]
        hits += low <= 3.0 <= high
    assert 89 <= hits <= 99


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("NUC1", "<1H>", "nucleus: 1H instead of 13C"),
        ("SW_h", "500.0", "spectral width: 500 Hz instead of 1000 Hz"),
        ("RG", "64", "receiver gain: 64 instead of 101"),
        ("GRPDLY", "68", "group delay"),
        ("PULPROG", "<zg>", "pulse program: zg instead of nmrqb_simulated"),
        ("TD", "1022", "points: 511 instead of 512"),
    ],
)
def test_an_experiment_that_differs_is_refused_by_name(experiments, key, value, words):
    set_parameter(experiments / "3", key, value)
    if key == "SW_h":
        set_parameter(experiments / "3", "SW", "5.0")  # the same in ppm
    with pytest.raises(InputError, match=words) as error:
        read_series(experiments)
    assert error.value.problems[0].file.endswith("3/acqus")
    assert error.value.problems[0].key == key


def test_an_experiment_at_another_carrier_is_aligned_and_not_fitted(nmrqb, experiments):
    # the same sample from a carrier 40 Hz higher: all lines 40 Hz lower, with a phase of their own
    folder = experiments / "5"
    set_parameter(folder, "SFO1", repr(100.00004))
    points = np.frombuffer((folder / "ser").read_bytes(), "<i4").reshape(1, -1)[:, :1024]
    fid = points.astype(float).view(complex) * np.exp(-2j * np.pi * 40.0 * np.arange(512) * 1e-3)
    turned = np.rint((fid * np.exp(2j)).view(float)).astype("<i4")
    (folder / "ser").write_bytes(turned.tobytes())
    outcome = nmrqb("fit", experiments, "--model", "buildup", "--region", "0.35:0.85", "--json")
    assert outcome.code == 0
    assert outcome.json["rows_not_fitted"] == [4]
    assert any("experiment 5" in w and "not fitted" in w for w in outcome.json["warnings"])
    t = outcome.json["results"][0]["parameters"]["T"]
    assert t["ci95"][0] <= 3.0 <= t["ci95"][1]
    # aligned: the line lies in the region, turned by 2 rad
    found = np.array(outcome.json["results"][0]["amplitudes"])
    expected = build_up(TIMES, 3.0, 1.0)
    assert found[4] / found[6] == pytest.approx(np.cos(2.0) * expected[4] / expected[6], abs=0.02)


def test_experiments_without_a_rule_ask_how_they_are_one_series(experiments):
    for folder in experiments.iterdir():
        (folder / "pulseprogram").write_text("1 ze\n2 d1\ngo=2 ph31\nexit\n")
    with pytest.raises(InputError, match=r"holds 7 data sets .*--axis"):
        read_series(experiments)
    np.testing.assert_allclose(read_series(experiments, axis="L[20]*D[20]").axis.values, TIMES)
