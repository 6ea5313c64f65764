"""What is exported comes back, here and in independent programs."""

import dataclasses
import json

import numpy as np
import pytest
from vendor_files import DELAYS_S, WIDTH_HZ, lines_fids

from nmrqb import read_series
from nmrqb.errors import InputError
from nmrqb.files.export import FORMATS, export_series
from nmrqb.signals.series import Axis, Series


def make_series(rows=6, scale=1.0):
    return Series(
        fids=scale * lines_fids(rows=rows, delay_points=67.98),
        dwell_s=1 / WIDTH_HZ, time_origin_s=67.98 / WIDTH_HZ, carrier_hz=79.4512e6,
        carrier_ppm=-12.5, nucleus="29Si", scans=np.full(rows, 1), provenance="test",
        axis=Axis(name="delay", unit="s", values=DELAYS_S[:rows], source="test"),
    )  # fmt: skip


@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_series_comes_back(tmp_path, kind, rows):
    series = make_series(rows)
    back = read_series(export_series(tmp_path, series, kind))
    np.testing.assert_array_equal(back.fids, series.fids)  # whole numbers below 2^24
    for name in ("dwell_s", "time_origin_s", "carrier_hz", "carrier_ppm", "dead_time_s"):
        # float32 headers of NMRPipe hold 6e-8
        rel = 1e-6 if kind == "nmrpipe" else 1e-12
        # a shift is the difference of two frequencies: 1e-16 of 79 MHz is 1e-10 ppm
        assert getattr(back, name) == pytest.approx(getattr(series, name), rel=rel, abs=1e-9)
    assert back.nucleus == "29Si"
    np.testing.assert_array_equal(back.scans, series.scans)
    np.testing.assert_allclose(
        back.axis.values, series.axis.values if rows > 1 else back.axis.values
    )
    assert back.axis.unit == "s" or rows == 1


def test_numbers_that_are_not_whole_come_back_within_the_bits_of_the_format(tmp_path):
    series = make_series(scale=np.pi)
    largest = np.abs(series.fids.view(float)).max()
    for kind, bits in (("nmrpipe", 24), ("jcamp-dx", 31), ("csdm", 53)):
        back = read_series(export_series(tmp_path, series, kind))
        assert np.abs((back.fids - series.fids).view(float)).max() <= 2.0**-bits * largest


def test_an_axis_that_is_no_time_and_has_no_order_comes_back(tmp_path):
    axis = Axis(name="power", unit="", values=np.array([3.0, -1.0, 2.0, 5.0, 5.0, 0.5]), source="t")
    series = dataclasses.replace(make_series(), axis=axis)
    for kind in FORMATS:
        back = read_series(export_series(tmp_path, series, kind)).axis
        np.testing.assert_array_equal(back.values, axis.values)
        assert (back.unit, back.name) == ("", "power")


def test_nmrglue_reads_what_is_exported(tmp_path):
    import nmrglue

    series = make_series()
    dic, data = nmrglue.pipe.read(str(export_series(tmp_path, series, "nmrpipe")))
    np.testing.assert_array_equal(data, series.fids)
    assert nmrglue.pipe.guess_udic(dic, data)[1]["sw"] == pytest.approx(WIDTH_HZ)
    single = make_series(1)
    _, (real, imaginary) = nmrglue.jcampdx.read(str(export_series(tmp_path, single, "jcamp-dx")))
    np.testing.assert_allclose(real + 1j * imaginary, single.fids[0])


def test_the_csdm_file_follows_the_published_model(tmp_path):
    series = make_series()
    model = json.loads(export_series(tmp_path, series, "csdm").read_text())["csdm"]
    assert model["version"] == "1.0"
    assert [d["type"] for d in model["dimensions"]] == ["linear", "monotonic"]


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nmrpipe, jcamp-dx, csdm.*'varian'"):
        export_series(tmp_path, make_series(), "varian")
