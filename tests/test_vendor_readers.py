"""Every vendor's files give back the FIDs, the axis, the direction and the time origin."""

import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from vendor_files import (
    CARRIER_PPM,
    DELAYS_S,
    POINTS,
    WIDTH_HZ,
    lines_fids,
    parameters,
    write_bruker,
    write_jcampdx,
    write_jeol,
    write_magritek,
    write_nmrpipe,
    write_varian,
)

from nmrqb import read_series
from nmrqb.errors import InputError

JEOL_DELAY = 0.5 * (53 / 16 + 72 / 2)  # two FIR filters: 54 taps then /8, 73 taps then /2

#: name -> (writer of fids into a path, delay of the FIDs in points, dead time)
KINDS = {
    "bruker": (write_bruker, 67.98, 0.0),
    "bruker-big": (lambda p, f: write_bruker(p, f, order=">"), 67.98, 0.0),
    "bruker-float": (lambda p, f: write_bruker(p, f, kind="f8"), 67.98, 0.0),
    "bruker-table": (
        lambda p, f: write_bruker(p, f, grpdly=-1, extra={"DSPFVS": 12, "DECIM": 16}), 71.625, 0.0,
    ),
    "varian": (write_varian, 0.0, 0.0),
    "varian-float": (lambda p, f: write_varian(p, f, kind=">f4"), 0.0, 0.0),
    "jeol": (write_jeol, JEOL_DELAY, 2e-5),
    "jeol-big-float32": (lambda p, f: write_jeol(p, f, order=">", f32=True), JEOL_DELAY, 2e-5),
    "jeol-listed": (lambda p, f: write_jeol(p, f, listed=True), JEOL_DELAY, 2e-5),
    "magritek": (write_magritek, 0.0, 0.0),
    "jcampdx": (lambda p, f: write_jcampdx(p, f, delay=67.98), 67.98, 0.0),
    "jcampdx-packed": (lambda p, f: write_jcampdx(p, f, form="asdf", delay=67.98), 67.98, 0.0),
    "nmrpipe": (lambda p, f: write_nmrpipe(p, f, delay=67.98), 67.98, 0.0),
    "nmrpipe-big": (lambda p, f: write_nmrpipe(p, f, order=">"), 0.0, 0.0),
}  # fmt: skip
FLOAT32 = ("varian-float", "jeol-big-float32", "magritek", "nmrpipe", "nmrpipe-big")


def made(kind, path, rows):
    writer, delay, dead = KINDS[kind]
    fids = lines_fids(rows=rows, delay_points=delay, dead_s=dead)
    return fids, writer(path, fids), delay, dead


@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_points_equal_the_vendors_integers_and_parameters_their_files(tmp_path, kind, rows):
    fids, path, delay, dead = made(kind, tmp_path / "x", rows)
    series = read_series(path, axis="row" if kind.startswith("nmrpipe") and rows > 1 else None)
    # 24 bits hold every whole number of these FIDs: float32 rounds none
    assert np.abs(fids.view(float)).max() < 2**24
    np.testing.assert_array_equal(series.fids, fids)
    assert series.dwell_s == pytest.approx(1 / WIDTH_HZ, rel=1e-6)
    assert series.time_origin_s / series.dwell_s == pytest.approx(delay, abs=1e-4)
    assert series.dead_time_s == pytest.approx(dead)
    assert series.carrier_ppm == pytest.approx(CARRIER_PPM, abs=1e-4)
    assert series.nucleus == ("31P" if kind.startswith("varian") else "1H")
    assert series.points == POINTS


@pytest.mark.parametrize("kind", [k for k in KINDS if not k.startswith("nmrpipe")])
def test_the_array_axis_is_found_with_no_argument(tmp_path, kind):
    _, path, _, _ = made(kind, tmp_path / "x", 6)
    axis = read_series(path).axis
    expected = np.linspace(0.1, 3.2, 6) if kind in ("jeol", "jeol-big-float32") else DELAYS_S
    np.testing.assert_allclose(axis.values, expected, rtol=1e-6)
    assert axis.unit == "s"


@pytest.mark.parametrize("kind", KINDS)
def test_a_phase_is_flat_to_one_degree_over_90_percent_of_the_width(tmp_path, kind):
    """From the time origin alone: each line's phase at time 0 is that of all."""
    _, path, _, _ = made(kind, tmp_path / "x", 1)
    series = read_series(path)
    first = series.first_usable_point
    t = series.times_s[first:]
    offsets = np.array([-0.45, 0.005, 0.45]) * WIDTH_HZ
    basis = np.exp((2j * np.pi * offsets - 12.0) * t[:, None])
    amplitude, *_ = np.linalg.lstsq(basis, series.fids[0, first:], rcond=None)
    # the noise of 20 in 2e5 leaves 0.02 degrees
    assert np.abs(np.degrees(np.angle(amplitude))).max() < 1.0
    assert (amplitude.real > 1.9e5).all()  # and the lines are where they were put


@pytest.mark.parametrize("kind", KINDS)
def test_nmrglue_reads_the_same_numbers_where_it_can(tmp_path, kind):
    import nmrglue

    fids, path, _, _ = made(kind, tmp_path / "x", 6)
    if kind.startswith("varian"):
        _, data = nmrglue.varian.read(str(path))
        np.testing.assert_array_equal(np.conj(data), fids)
    elif kind.startswith("nmrpipe"):
        _, data = nmrglue.pipe.read(str(path))
        np.testing.assert_array_equal(data, fids)
    elif kind.startswith("jeol") and "big" not in kind:
        _, data = nmrglue.jeol.read(str(path))
        np.testing.assert_array_equal(data, fids)


def test_a_spinsolve_file_with_its_time_axis_is_read(tmp_path):
    fids = lines_fids()
    series = read_series(write_magritek(tmp_path / "x", fids, kind=504))
    np.testing.assert_array_equal(series.fids, fids)


def test_a_jcampdx_file_turns_as_its_maker_does_or_says_that_it_may_be_mirrored(tmp_path):
    fids = lines_fids()
    for maker, expected, warned in (
        ("Magritek", np.conj(fids), False),
        ("Bruker BioSpin GmbH", fids, False),
        ("somebody", fids, True),
    ):
        path = write_jcampdx(tmp_path / "x.dx", fids, extra={"ORIGIN": maker})
        series = read_series(path)
        np.testing.assert_array_equal(series.fids, expected)
        assert any("mirrored" in w for w in series.warnings) == warned


@pytest.mark.parametrize("pack", ["zip", "tar.gz"])
def test_an_archive_is_read_as_its_contents(tmp_path, pack):
    fids, path, _, _ = made("bruker", tmp_path / "set" / "7", 6)
    packed = tmp_path / f"data.{pack}"
    if pack == "zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(path.rglob("*")):
                archive.write(file, file.relative_to(tmp_path))
    else:
        with tarfile.open(packed, "w:gz") as archive:
            archive.add(path, "set/7")
    np.testing.assert_array_equal(read_series(packed).fids, fids)


def test_an_error_inside_an_archive_names_the_archive(tmp_path):
    _, path, _, _ = made("bruker", tmp_path / "set" / "7", 6)
    (path / "vdlist").write_text("1\n2\n")
    packed = tmp_path / "data.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(path, "set/7")
    with pytest.raises(InputError, match=r"data\.tar\.gz/set/7/vdlist.*2 entries for 6 rows"):
        read_series(packed)


def test_echoes_of_a_spinsolve_are_an_axis_in_time(tmp_path):
    extra = {"echoesperstep": 128, "techo": 500}
    path = write_magritek(
        tmp_path / "x", lines_fids(rows=6), extra=extra, drop=("minDelay", "maxDelay")
    )
    np.testing.assert_allclose(read_series(path).axis.values, 0.064 * np.arange(6))


def test_a_stopped_experiment_is_read_with_a_warning(tmp_path):
    fids, path, _, _ = made("bruker", tmp_path / "x", 6)
    ser = path / "ser"
    ser.write_bytes(ser.read_bytes()[: 4 * POINTS * 8])
    series = read_series(path)
    np.testing.assert_array_equal(series.fids, fids[:4])
    np.testing.assert_allclose(series.axis.values, DELAYS_S[:4])
    assert any("4 of the 6 rows" in w for w in series.warnings)


@pytest.mark.parametrize(
    ("program", "lists", "unit", "values"),
    [
        ("lo to 2 times c\nivc\n", [("vclist", "2\n4\n8\n")], "", [2, 4, 8]),
        ("(vp pl1 ph1):f1\nivp\n", [("vplist", "10u\n20u\n40u\n")], "s", [1e-5, 2e-5, 4e-5]),
        ("vd\nivd\n", [("lists/vd/mine", "1\n2m\n3u\n")], "s", [1, 2e-3, 3e-6]),
        ("define list<delay> tau = <$VDLIST>\ntau\n", [("vdlist", "1\n2\n3\n")], "s", [1, 2, 3]),
        ("define list<delay> tau = {0.1 20m 3}\ntau\n", [("note", "")], "s", [0.1, 0.02, 3]),
        (";@ axis_rule: VC*D[20]*2\nvc\n", [("vclist", "1\n2\n3\n")], "s", [0.02, 0.04, 0.06]),
        (
            ";@ dimensions: [relaxation.duration, f1]\n;@ relaxation: {duration: <$VDLIST>}\n",
            [("vdlist", "1\n2\n3\n")], "s", [1, 2, 3],
        ),
        ("go=2 ph31 lo to 2 times td1 ;vp\nva\niva\n", [("valist", "dB\n-3\n0\n6\n")], "",
         [-3, 0, 6]),
    ],
)  # fmt: skip
def test_lists_of_every_kind_and_place(tmp_path, program, lists, unit, values):
    d = "(0..31)\n" + " ".join(["0"] * 20 + ["0.01"] + ["0"] * 11)
    fids = lines_fids(rows=3, delay_points=67.98)
    path = write_bruker(
        tmp_path / "x", fids, program=program, lists=lists, extra={"VDLIST": "<mine>", "D": d}
    )
    axis = read_series(path).axis
    np.testing.assert_allclose(axis.values, values)
    assert axis.unit == unit


def test_a_list_that_is_too_short_is_explained_and_can_be_said(tmp_path):
    fids = lines_fids(rows=3, delay_points=67.98)
    path = write_bruker(tmp_path / "x", fids, lists=[("vdlist", "1\n2\n")])
    with pytest.raises(InputError, match=r"2 entries for 3 rows.*starts over.*--axis vdlist"):
        read_series(path)
    axis = read_series(path, axis="vdlist").axis
    np.testing.assert_array_equal(axis.values, [1, 2, 1])
    assert "started over" in axis.source


def test_rows_of_a_console_that_does_not_pad_are_read(tmp_path):
    fids = lines_fids(rows=3, points=300, delay_points=67.98)
    path = write_bruker(tmp_path / "x", fids, kind="f8")
    (path / "ser").write_bytes(fids.tobytes())
    np.testing.assert_array_equal(read_series(path).fids, fids)


def test_repeated_acquisitions_can_be_said_to_follow_the_clock(tmp_path):
    d = "(0..1)\n0 2"
    path = write_bruker(tmp_path / "x", lines_fids(rows=3), program="go=2\n", lists=[("n", "")],
                        extra={"D": d})  # fmt: skip
    axis = read_series(path, axis="time").axis
    np.testing.assert_allclose(axis.values, 8 * (2 + POINTS / WIDTH_HZ) * np.array([0.5, 1.5, 2.5]))


def test_a_stale_list_that_no_program_uses_is_not_taken(tmp_path):
    fids = lines_fids(rows=3, delay_points=67.98)
    path = write_bruker(
        tmp_path / "x",
        fids,
        program="go=2\nlo to 2 times td1\n",
        lists=[("vplist", "1u\n2u\n3u\n")],
    )
    with pytest.raises(InputError, match=r"no list.*vplist, which may be stale.*--axis"):
        read_series(path)


def test_two_places_of_a_list_that_disagree_are_asked_about(tmp_path):
    lists = [("vdlist", "1\n2\n3\n"), ("lists/vd/mine", "3\n2\n1\n")]
    path = write_bruker(tmp_path / "x", lines_fids(rows=3), lists=lists, extra={"VDLIST": "<mine>"})
    with pytest.raises(InputError, match=r"disagree.*--axis"):
        read_series(path)


@pytest.mark.parametrize(
    ("array", "arrays", "values", "unit"),
    [
        ("tau", {"tau": (1, 1, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2])}, DELAYS_S, "s"),
        ("pw", {"pw": (6, 1, [1, 2, 3, 4, 5, 6])}, 1e-6 * np.arange(1, 7), "s"),
        ("nt", {"nt": (7, 1, [4] * 6)}, 4 * 2.128 * (np.arange(6) + 0.5), "s"),
        ("(d2,p1)", {"d2": (3, 1, list(DELAYS_S)), "p1": (6, 1, [9.0] * 6)}, DELAYS_S, "s"),
        ("d2,p1", {"d2": (3, 1, [1, 2, 3]), "p1": (6, 1, [9.0, 9.0])}, [1, 1, 2, 2, 3, 3], "s"),
    ],
)
def test_procpar_arrays_under_any_name(tmp_path, array, arrays, values, unit):
    path = write_varian(tmp_path / "x", lines_fids(rows=6), array=array, arrays=arrays)
    axis = read_series(path).axis
    np.testing.assert_allclose(axis.values, values)
    assert axis.unit == unit


def test_two_arrays_that_both_change_are_asked_about_and_one_can_be_named(tmp_path):
    arrays = {"d2": (3, 1, [1, 2, 3]), "p1": (6, 1, [9.0, 18.0])}
    path = write_varian(tmp_path / "x", lines_fids(rows=6), array="d2,p1", arrays=arrays)
    with pytest.raises(InputError, match=r"d2, p1 all change.*--axis NAME"):
        read_series(path)
    np.testing.assert_allclose(read_series(path, axis="d2").axis.values, [1, 1, 2, 2, 3, 3])


def test_a_wrong_nucleus_label_is_reported_and_the_frequency_believed(tmp_path):
    path = write_bruker(
        tmp_path / "x", lines_fids(delay_points=67.98), nucleus="1H", mhz=100.6,
        extra={"NUC2": "<1H>", "BF2": 400.06},
    )  # fmt: skip
    series = read_series(path)
    assert series.nucleus == "13C"
    assert any("13C is taken" in w for w in series.warnings)


def test_single_fids_of_one_folder_are_joined_by_their_dates(tmp_path):
    for k, name in enumerate(("9", "10", "11")):
        fids = lines_fids(delay_points=JEOL_DELAY, dead_s=2e-5)
        write_jeol(tmp_path / f"{name}.jdf", fids, extra={"actual_start_time": 1e9 + 60.0 * k})
    with pytest.raises(InputError, match=r"holds 3 data sets.*--axis"):
        read_series(tmp_path)
    np.testing.assert_allclose(read_series(tmp_path, axis="date").axis.values, [0, 60, 120])


def test_a_three_dimensional_experiment_is_refused(tmp_path):
    path = write_bruker(tmp_path / "x", lines_fids(rows=6))
    (path / "acqu3s").write_text(parameters({"TD": 4}))
    with pytest.raises(InputError, match="three dimensions"):
        read_series(path)


def test_placeholders_are_refused(tmp_path):
    for place in (100, 119):
        path = write_nmrpipe(tmp_path / "x.fid", lines_fids(), extra={place: 999.99, 101: 0})
        with pytest.raises(InputError, match="placeholder"):
            read_series(path)


def test_hostile_archives_are_refused_and_write_nothing_outside(tmp_path):
    evil = tmp_path / "evil.zip"
    for name in (
        "../out.txt",
        "/nowhere/out.txt",
        "a/../../out.txt",
        "C:\\out.txt",
        "a\\..\\..\\b",
    ):
        with zipfile.ZipFile(evil, "w") as archive:
            archive.writestr(name, "x")
        with pytest.raises(InputError, match="leave the folder"):
            read_series(evil)
    link = tmp_path / "link.tar"
    with tarfile.open(link, "w") as archive:
        info = tarfile.TarInfo("acqus")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(InputError, match="link"):
        read_series(link)
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ser", bytes(2**25))
    with pytest.raises(InputError, match="far more"):
        read_series(bomb)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bomb.zip", "evil.zip", "link.tar"]


def test_links_out_of_a_data_set_are_refused_and_links_within_are_not(tmp_path):
    path = write_bruker(tmp_path / "x", lines_fids(delay_points=67.98))
    (path / "audita.txt").symlink_to(path / "acqus")
    assert read_series(path).rows == 1
    shutil.move(path / "fid", tmp_path / "elsewhere")
    (path / "fid").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="leaves the data set"):
        read_series(path)
