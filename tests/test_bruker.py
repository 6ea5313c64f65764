"""Bruker data: what is written is read back, and the format's variants are understood."""

import dataclasses

import numpy as np
import pytest

from nmrqb import read_series
from nmrqb.errors import InputError
from nmrqb.files.bruker import write_bruker
from nmrqb.files.vendors.axis import parse_list
from nmrqb.signals.series import Axis, Series


def make_series(points=300, rows=3, seed=1):
    rng = np.random.default_rng(seed)
    fids = rng.normal(size=(rows, points)) + 1j * rng.normal(size=(rows, points))
    return Series(
        fids=1e3 * fids,
        dwell_s=1e-3,
        time_origin_s=0.0,
        carrier_hz=79.4e6,
        carrier_ppm=-134.0,
        nucleus="29Si",
        axis=Axis(name="delay", unit="s", values=np.arange(rows) / 8, source="test"),
        scans=np.full(rows, 4),
        reference_row=0,
        row_times_s=np.arange(rows) * 0.5,
    )


def written(folder, series, kind="vd"):
    write_bruker(folder, series, list_kind=kind, register_name="r", title="t")
    return folder


def set_key(folder, key, value, file="acqus"):
    path = folder / file
    lines = path.read_text().splitlines()
    found = [k for k, line in enumerate(lines) if line.startswith(f"##${key}=")]
    assert found
    lines[found[0]] = f"##${key}= {value}"
    path.write_text("\n".join(lines) + "\n")


def test_a_written_series_comes_back_to_rounding(tmp_path):
    series = make_series()
    back = read_series(written(tmp_path / "1", series))
    scale = 2.0**back.stored_exponent
    assert np.abs(back.fids * scale - series.fids).max() <= scale  # half a count in each channel
    assert back.dwell_s == pytest.approx(series.dwell_s, rel=1e-12)
    assert back.carrier_ppm == pytest.approx(series.carrier_ppm, abs=1e-6)
    assert (back.nucleus, back.reference_row, back.time_origin_s) == ("29Si", 0, 0.0)
    np.testing.assert_allclose(back.axis.values, series.axis.values)
    np.testing.assert_allclose(back.row_times_s, series.row_times_s)
    assert (back.scans == 4).all()


def test_nmrglue_reads_what_is_written(tmp_path):
    import nmrglue

    series = make_series(points=256)
    folder = written(tmp_path / "1", series)
    _, data = nmrglue.bruker.read(str(folder))
    ours = read_series(folder).fids
    np.testing.assert_array_equal(data, ours)


def test_rows_padded_to_1024_bytes_lose_their_padding(tmp_path):
    # 300 complex points are 2400 bytes in rows of 3072
    folder = written(tmp_path / "1", make_series(points=300))
    assert (folder / "ser").stat().st_size == 3 * 3072
    assert read_series(folder).points == 300


@pytest.mark.parametrize(("order", "code"), [("<", 0), (">", 1)])
@pytest.mark.parametrize(("kind", "dtypa"), [("i4", 0), ("f8", 2)])
def test_both_byte_orders_and_both_number_types_are_read(tmp_path, order, code, kind, dtypa):
    folder = written(tmp_path / "1", make_series(points=256))
    before = read_series(folder).fids
    numbers = before.view(float).astype(order + kind)
    (folder / "ser").write_bytes(numbers.tobytes())
    set_key(folder, "BYTORDA", code)
    set_key(folder, "DTYPA", dtypa)
    np.testing.assert_array_equal(read_series(folder).fids, before)


@pytest.mark.parametrize(
    ("grpdly", "decim", "dspfvs", "points"),
    [(67.98, 2500, 20, 67.98), (-1, 16, 12, 71.625), (-1, 1, 12, 0.0), (0, 16, 12, 0.0)],
)
def test_group_delay_is_a_time_origin_from_grpdly_or_from_the_table(
    tmp_path, grpdly, decim, dspfvs, points
):
    folder = written(tmp_path / "1", make_series())
    for key, value in (("GRPDLY", grpdly), ("DECIM", decim), ("DSPFVS", dspfvs)):
        set_key(folder, key, value)
    series = read_series(folder)
    assert series.time_origin_s / series.dwell_s == pytest.approx(points, abs=0.3)
    assert series.points == 300  # nothing was cut


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s\n5s\n", [10, 5]),
        ("10ms\n250u\n1\n", [0.01, 250e-6, 1]),
        ("# made by hand\n\n1.5 s ; longest\n20m\n", [1.5, 0.02]),
        ("1e-3\r\n2E-3s\r\n", [1e-3, 2e-3]),
    ],
)
def test_delay_lists_in_any_syntax(tmp_path, text, seconds):
    path = tmp_path / "vdlist"
    path.write_bytes(text.encode())
    np.testing.assert_allclose(parse_list(path, "delay"), seconds)


@pytest.mark.parametrize("text", ["", "abc\n", "1 h\n", "-1\n", "nan\n", "1e999\n", "1 2\n"])
def test_a_list_that_is_no_list_names_its_line(tmp_path, text):
    path = tmp_path / "vdlist"
    path.write_text(text)
    with pytest.raises(InputError, match="vdlist"):
        parse_list(path, "delay")


def test_a_users_axis_replaces_the_one_of_the_data(tmp_path):
    folder = written(tmp_path / "1", make_series())
    axis = tmp_path / "axis.txt"
    axis.write_text("1 s\n2 s\n3 s\n")
    np.testing.assert_array_equal(read_series(folder, axis=str(axis)).axis.values, [1, 2, 3])


def test_a_folder_with_two_data_sets_asks_which(tmp_path):
    for name in ("1", "2"):
        written(tmp_path / name, make_series())
    with pytest.raises(InputError, match="holds 2 data sets"):
        read_series(tmp_path)
    assert read_series(tmp_path / "2").rows == 3


def test_an_offset_towards_higher_ppm_is_a_positive_frequency():
    series = make_series()
    assert float(series.offset_hz(series.carrier_ppm + 1.0)) == pytest.approx(79.41, abs=0.01)
    assert float(series.ppm(series.offset_hz(-120.0))) == pytest.approx(-120.0)


def test_a_series_refuses_what_is_no_series():
    good = make_series()
    for change in (
        {"dwell_s": 0.0},
        {"dwell_s": np.nan},
        {"time_origin_s": -1.0},
        {"scans": np.array([1, 2])},
        {"scans": np.array([0, 1, 1])},
        {"reference_row": 3},
        {"fids": np.full((3, 4), np.nan + 0j)},
        {"fids": np.zeros(3, complex)},
        {"carrier_hz": -1.0},
        {"row_times_s": np.zeros(2)},
    ):
        with pytest.raises(ValueError, match=r"\w"):
            dataclasses.replace(good, **change)
