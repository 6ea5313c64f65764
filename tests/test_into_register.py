"""Measurement feeds the plan: a fitted T1 or T2 goes into a register, whole or not at all."""

import os
import tomllib

import numpy as np
import pytest
from conftest import ROOT
from numbered_experiments import write_experiments

from nmrqb import read_register
from nmrqb.analysis.buildup import build_up
from nmrqb.files.register_edit import edited_register, replace_file
from nmrqb.files.shipped import shipped_folder
from nmrqb.spins.register import Measured

COUNTS = [1, 2, 4, 8, 16, 32, 48]
TIMES = 0.25 * np.array(COUNTS)
REGISTER = "data/registers/chloroform_13c.toml"
T1 = r't1 = \{ value = "20 s", nominal = true \}'
COMMENTED = 't1 = { value = "20 s", nominal = true }  # guess'
FALL = 50.0 * np.exp(-TIMES / 3.0)
LINE = ["--region", "0.35:0.85"]


@pytest.fixture
def register(edited):
    return edited(REGISTER, (T1, COMMENTED), name="mine.toml")


@pytest.fixture
def buildup(tmp_path):
    return write_experiments(tmp_path / "rise", COUNTS, build_up(TIMES, 3.0, 50.0))


@pytest.mark.parametrize(
    ("model", "curve", "main", "key"),
    [
        ("buildup", build_up(TIMES, 3.0, 50.0), "T", "t1_s"),
        ("saturation", build_up(TIMES, 3.0, 50.0), "T1", "t1_s"),
        ("recovery", 50.0 * (1 - 1.9 * np.exp(-TIMES / 3.0)), "T1", "t1_s"),
        ("decay", FALL, "T2", "t2_s"),
    ],
)
def test_a_measured_time_is_read_back_with_error_and_source(
    nmrqb, register, tmp_path, model, curve, main, key
):
    data = write_experiments(tmp_path / "data set", COUNTS, curve)
    before = read_register(register)
    outcome = nmrqb("fit", data, "--model", model, *LINE, "--into", register, "--spin", "center",
                    "--json")  # fmt: skip
    assert outcome.code == 0
    fitted = outcome.json["results"][0]["parameters"][main]
    into = outcome.json["into"]
    assert into["written"] is True
    assert into["key"] == f"center.{key[:2]}"
    after = read_register(register)
    measured = getattr(after.center, key)
    assert measured.value == pytest.approx(fitted["value"], rel=1e-5)  # six digits in the file
    assert measured.stderr == pytest.approx(fitted["stderr"], rel=1e-5)
    assert measured.value == pytest.approx(3.0, rel=0.05)
    for word in ("data set", model, "0.35 to 0.85 ppm"):
        assert word in measured.source
    assert not measured.nominal
    assert after.satellite == before.satellite
    assert after.center.isotope == before.center.isotope


def test_comments_and_every_other_line_stay(nmrqb, register, buildup):
    before = register.read_text().splitlines()
    assert nmrqb("fit", buildup, "--model", "buildup", *LINE, "--into", register, "--spin",
                 "battery").code == 0  # fmt: skip
    after = register.read_text().splitlines()
    changed = [k for k, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert len(changed) == 1
    line = after[changed[0]]
    assert line.startswith('t1 = { value = "3.')
    assert line.endswith("  # guess")
    assert "nominal" not in line


def test_the_plan_uses_the_measured_time(nmrqb, register, edited, buildup):
    protocol = edited(
        "protocols/asymptotic_chloroform.toml",
        (r'^register = "chloroform_13c"', 'register = "mine.toml"'),
        name="p.toml",
    )
    guess = nmrqb("plan", protocol, "--json").json
    assert nmrqb("fit", buildup, "--model", "buildup", *LINE, "--into", register, "--spin",
                 "battery").code == 0  # fmt: skip
    measured = nmrqb("plan", protocol, "--json").json
    assert measured["p_star_closed_map"] != guess["p_star_closed_map"]
    # and it is the plan of a register in which the same T1 was written by hand
    value = tomllib.loads(register.read_text())["center"]["t1"]["value"]
    edited(REGISTER, (T1, f't1 = {{ value = "{value}", nominal = true }}'), name="mine.toml")
    assert nmrqb("plan", protocol, "--json").json == measured


TABLE = """[center.t1]  # of the 13C
value = "20 s"
nominal = true  # guess
"""


@pytest.mark.parametrize("layout", ["inline", "table", "dotted", "crlf", "bom"])
def test_every_layout_of_toml_is_edited_in_place(edited, layout):
    swaps = {
        "table": [(T1, ""), (r"^\[satellite\]", TABLE + "\n[satellite]")],
        "dotted": [(T1, 't1.value = "20 s"\nt1.nominal = true')],
    }
    path = edited(REGISTER, *swaps.get(layout, []), name="mine.toml")
    if layout == "crlf":
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    if layout == "bom":
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    old = path.read_bytes()
    new = edited_register(
        path, "center", "t1", Measured(value=3.25, stderr=0.125, source='he said "3 s" \\ twice')
    )
    assert path.read_bytes() == old  # nothing is written yet
    path.write_bytes(new)
    t1 = read_register(path).center.t1_s
    assert (t1.value, t1.stderr, t1.source) == (3.25, 0.125, 'he said "3 s" \\ twice')
    if layout == "table":
        assert b"# of the 13C" in new
        assert b"# guess" in new
    if layout == "crlf":
        assert new.count(b"\r\n") == new.count(b"\n")
    assert new.startswith(b"\xef\xbb\xbf") == (layout == "bom")


def test_a_second_measurement_replaces_the_first(nmrqb, register, buildup):
    words = ["fit", buildup, *LINE, "--into", register, "--spin", "center"]
    assert nmrqb(*words, "--model", "buildup").code == 0
    assert nmrqb(*words, "--model", "saturation").code == 0
    assert "saturation" in read_register(register).center.t1_s.source
    assert register.read_text().count("stderr") == 1


def test_permissions_and_links_stay(nmrqb, register, buildup, tmp_path):
    register.chmod(0o600)
    link = tmp_path / "link.toml"
    link.symlink_to(register)
    words = ["--model", "buildup", *LINE, "--into", link, "--spin", "center"]
    assert nmrqb("fit", buildup, *words).code == 0
    assert link.is_symlink()
    assert register.stat().st_mode & 0o777 == 0o600
    assert read_register(register).center.t1_s.source is not None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.toml", "mine.toml", "rise"]


def test_a_full_disk_leaves_the_register_and_nothing_else(register, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    before = register.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(register, b"half")
    assert register.read_bytes() == before
    assert [p.name for p in register.parent.iterdir()] == ["mine.toml"]


def test_result_and_report_come_with_the_written_register(nmrqb, register, buildup, tmp_path):
    out = tmp_path / "out"
    outcome = nmrqb("fit", buildup, "--model", "buildup", *LINE, "--into", register, "--spin",
                    "center", "-o", out)  # fmt: skip
    assert outcome.code == 0
    assert "is now" in outcome.out
    assert tomllib.loads(register.read_text())["center"]["t1"]["value"].startswith("3.")
    assert '"written": true' in (out / "result.json").read_text()


@pytest.mark.parametrize(
    ("model", "curve", "reason"),
    [
        ("buildup", build_up(TIMES, 60.0, 50.0), "shorter than T"),
        ("buildup", build_up(TIMES, 3.0, 200.0, 0.6), "not mono-exponential"),
        ("decay", np.array([50.0, 50.1, 49.9, 50, 50, 50, 50]), "not identifiable"),
    ],
)
def test_a_withheld_time_is_a_no_and_nothing_is_written(
    nmrqb, register, tmp_path, model, curve, reason
):
    data = write_experiments(tmp_path / "d", COUNTS, curve)
    before = register.read_bytes()
    outcome = nmrqb("fit", data, "--model", model, *LINE, "--into", register, "--spin", "center",
                    "--json")  # fmt: skip
    assert outcome.code == 1
    assert outcome.json["status"] == "no"
    assert outcome.json["into"]["written"] is False
    assert outcome.json["into"]["value"] is None
    assert reason in outcome.json["into"]["reason"]
    assert outcome.json["results"]  # the full result all the same
    assert register.read_bytes() == before


#: (what is wrong, changes of the setting, options, words that the one line must hold)
REFUSED = [
    ("a shipped register by name", {}, ["--into", "ttss"], ["--into", "'ttss'", "copy"]),
    ("a shipped register by path", {}, ["--into", "SHIPPED"], ["shipped register", "copy"]),
    ("a file that is not there", {}, ["--into", "nowhere.toml"], ["nowhere.toml", "no such file"]),
    ("a folder", {}, ["--into", "FOLDER"], ["is a folder"]),
    ("a file that is no register", {}, ["--into", "OTHER"], ["other.toml", "schema"]),
    ("a read-only register", {"mode": 0o444}, [], ["mine.toml", "read-only"]),
    ("a wrong spin word", {}, ["--spin", "proton"], ["--spin", "proton"]),
    ("no spin", {}, ["--spin", None], ["--spin", "needed"]),
    ("a spin without register", {}, ["--into", None], ["--spin", "--into"]),
    ("another nucleus", {}, ["--spin", "charger"], ["13C", "charger is 1H"]),
    ("two regions", {}, ["--region", "0.1:0.4"], ["2 regions", "--region"]),
    ("a model that measures no time", {}, ["--model", "nutation"], ["nutation", "recovery"]),
    ("T1 below half of T2", {"changes": [(r'(?s)"0.3 s"(.*?\[sat)', r'"8 s"\1')]}, [],
     ["T1 = ", "`t2` must be at most 2 T1 = ", "8 s"]),
    ("T2 below T2*",
     {"curve": FALL, "changes": [(r'(?s)"0.3 s"(.*?)"0.2 s"', r'"5 s"\1"4 s"')]},
     ["--model", "decay"], ["T2 = ", "`t2_star` must be at most T2 = ", "4 s"]),
    ("T2 above 2 T1", {"curve": FALL, "changes": [(r'"20 s"', '"1 s"')]},
     ["--model", "decay"], ["T2 = ", "`t2` must be at most 2 T1 = 2 s"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "options", "words"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_cannot_go_into_a_register_gets_one_line_and_changes_nothing(
    nmrqb, edited, tmp_path, setting, options, words
):
    register = edited(REGISTER, *setting.get("changes", []), name="mine.toml")
    register.chmod(setting.get("mode", 0o644))
    other = tmp_path / "other.toml"
    other.write_text('schema = "nmrqb/protocol/1"\n')
    (tmp_path / "folder.toml").mkdir()
    data = write_experiments(
        tmp_path / "d", COUNTS, setting.get("curve", build_up(TIMES, 3.0, 50.0))
    )
    named = {
        "SHIPPED": str(shipped_folder("register") / "ttss.toml"),
        "FOLDER": str(tmp_path / "folder.toml"),
        "OTHER": str(other),
    }
    given = {"--model": "buildup", "--into": str(register), "--spin": "center"}
    more = []
    for key, value in zip(options[::2], options[1::2], strict=True):
        if key == "--region":
            more += [key, value]
        else:
            given[key] = named.get(value, value)
    before = register.read_bytes()
    out = tmp_path / "out"
    flat = [w for key, value in given.items() if value is not None for w in (key, value)]
    outcome = nmrqb("fit", data, *LINE, *more, *flat, "-o", out, "--json")
    assert outcome.code == 2
    for word in words:
        assert word in outcome.complaint
    assert outcome.json["status"] == "error"
    assert register.read_bytes() == before
    assert not out.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d", "folder.toml", "mine.toml",
                                                         "other.toml"]  # fmt: skip


def test_a_hostile_name_of_a_data_set_stays_a_source_text(nmrqb, register, tmp_path):
    name = 'x", nominal = true } # \x1b[31m\nt2 = { value = "9 s" '
    data = write_experiments(tmp_path / name, COUNTS, build_up(TIMES, 3.0, 50.0))
    outcome = nmrqb("fit", data, "--model", "buildup", *LINE, "--into", register, "--spin",
                    "center", "-o", tmp_path / "out")  # fmt: skip
    assert outcome.code == 0
    after = read_register(register)
    assert after.center.t2_s == read_register(ROOT / REGISTER).center.t2_s
    assert "\x1b" not in register.read_text()
    assert "\x1b" not in outcome.out
    assert "nominal = true }" in after.center.t1_s.source


def test_a_t1_is_not_put_beside_a_recovery_that_overrides_it(nmrqb, tmp_path):
    from nmrqb.files.shipped import shipped_folder

    text = (shipped_folder("register").parent / "templates" / "register.toml").read_text()
    table = 'recovery = { t1_fast = "2 s", t1_slow = "6 s", fast_share = "60 %", nominal = true }'
    path = tmp_path / "r.toml"
    path.write_text(text + table + "\n")
    outcome = nmrqb("fit", tmp_path, "--model", "recovery", "--into", path, "--spin", "charger")
    assert outcome.code == 2
    assert "satellite.recovery" in outcome.complaint
    assert path.read_text() == text + table + "\n"
