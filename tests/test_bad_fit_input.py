"""Bad input to ``nmrqb fit`` of numbered experiments: one line, exit code 2, nothing dropped."""

import shutil

import numpy as np
import pytest
from numbered_experiments import PROGRAM, set_array, set_parameter, write_experiments

from nmrqb.analysis.buildup import build_up

COUNTS = [1, 2, 4, 8, 16, 32, 48]
CURVE = build_up(0.25 * np.array(COUNTS), 3.0, 50.0)


def drop(key):
    def damage(d):
        path = d / "3" / "acqus"
        lines = path.read_text().split("\n##")
        path.write_text("\n##".join(x for x in lines if not x.startswith(f"${key}=")))

    return damage


def programs(text):
    def damage(d):
        for folder in d.iterdir():
            (folder / "pulseprogram").write_text(text)

    return damage


def cut(d):
    ser = d / "4" / "ser"
    ser.write_bytes(ser.read_bytes()[:1000])


#: (what is wrong, damage or None, options, words that the one line must hold)
SERIES = [
    ("unknown rule", None, ["--axis", "X[20]*D[20]"], ["--axis", "'X[20]*D[20]'", "L[n]"]),
    ("a sum for a rule", None, ["--axis", "(1+L[20])*D[20]"], ["--axis", "product"]),
    ("an area for a rule", None, ["--axis", "D[1]*D[20]"], ["--axis", "at most one"]),
    ("a rule without end", None, ["--axis", "L[1]*" * 2000], ["--axis", "product", "..."]),
    ("neither rule nor file", None, ["--axis", "delays"], ["delays", "no such file"]),
    ("index out of range", None, ["--axis", "L[40]*D[20]"],
     ["1/acqus", "L[40]", "L[0] to L[21]"]),
    ("a rule that never changes", None, ["--axis", "D[20]"], ["D[20]", "0.25", "every experiment"]),
    ("a rule that is no time", None, ["--axis", "L[20]"], ["axis must be a time", "L[20]"]),
    ("L missing", drop("L"), [], ["3/acqus", "L", "missing"]),
    ("D missing", drop("D"), ["--axis", "L[20]*D[20]"], ["3/acqus", "D", "missing"]),
    ("words in L", lambda d: set_parameter(d / "3", "L", "(0..1)\n<a> <b>"), [],
     ["3/acqus", "L", "list of numbers"]),
    ("a negative delay", lambda d: set_array(d / "3", "D", [-0.25] * 21), [],
     ["3/acqus", "at least 0"]),
    ("a list that is too short", lambda d: (d.parent / "axis").write_text("1s\n2s\n"),
     ["--axis", "AXIS"], ["axis", "2 values for 7 rows"]),
    ("a row out of range", None, ["--rows", "1"], ["--rows", "0 to 0", "'1'"]),
    ("a difference out of range", None, ["--rows", "0-2"], ["--rows", "0 to 0", "'0-2'"]),
    ("a difference of nothing", None, ["--rows", "0-0"], ["--rows", "zero"]),
    ("words for rows", None, ["--rows", "both"], ["--rows", "'both'"]),
    ("mixed nuclei", lambda d: set_parameter(d / "2", "NUC1", "<1H>"), [],
     ["2/acqus", "NUC1", "1H instead of 13C"]),
    ("no nucleus in one", lambda d: set_parameter(d / "2", "NUC1", "<off>"), [],
     ["2/acqus", "NUC1", "off"]),
    ("mixed gains", lambda d: set_parameter(d / "2", "RG", "203"), [],
     ["2/acqus", "RG", "203 instead of 101"]),
    ("mixed widths", lambda d: set_parameter(d / "2", "SW_h", "500.0"), [], ["2/acqus", "SW_h"]),
    ("another pulse program", lambda d: set_parameter(d / "2", "PULPROG", "<zg>"), [],
     ["2/acqus", "PULPROG", "zg instead of"]),
    ("no scans", lambda d: set_parameter(d / "2", "NS", "0"), [], ["2/acqus", "NS"]),
    ("a carrier far away", lambda d: set_parameter(d / "2", "SFO1", "100.0003"), [],
     ["2/acqus", "SFO1", "quarter of the spectral width"]),
    ("one truncated", cut, [], ["4/ser", "truncated"]),
    ("one without points", lambda d: (d / "4" / "ser").unlink(), [], ["4", "no acqus with ser"]),
    ("one without parameters", lambda d: (d / "4" / "acqus").unlink(), [],
     ["4", "no acqus with ser"]),
    ("one with binary parameters", lambda d: (d / "4" / "acqus").write_bytes(bytes(range(256))),
     [], ["4/acqus"]),
    ("an empty number", lambda d: (d / "9").mkdir(), [], ["9", "move it away"]),
    ("a stranger among the numbers", lambda d: shutil.copytree(d / "4", d / "old4"), [],
     ["8 data sets", "name one"]),
    ("two products that change", programs(PROGRAM + '"x=l20*d20*2"\n'), [],
     ["tbup = L[20]*D[20]", "x = 2*L[20]*D[20]", "more than one", "--axis"]),
    ("no product", programs("go=2\n"), [], ["7 data sets", "--axis", "L[20]*D[20]"]),
    ("no product, rows said", programs("go=2\n"), ["--rows", "0"], ["none changes", "--axis"]),
    ("programs that differ", lambda d: (d / "5" / "pulseprogram").write_text('"tbup=l1*d20"\n'),
     [], ["5/pulseprogram", "--axis"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "options", "words"), [s[1:] for s in SERIES], ids=[s[0] for s in SERIES]
)
def test_a_bad_series_gets_one_line(nmrqb, tmp_path, damage, options, words):
    data = write_experiments(tmp_path / "d", COUNTS, CURVE)
    if damage is not None:
        damage(data)
    options = [str(tmp_path / "axis") if w == "AXIS" else w for w in options]
    out = tmp_path / "out"
    outcome = nmrqb("fit", data, "--model", "buildup", *options, "-o", out, "--json")
    assert outcome.code == 2
    for word in words:
        assert word in outcome.complaint
    assert outcome.json["status"] == "error"
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rows", "0"], ["--rows", "one experiment"]),
        (["--axis", "L[20]*D[20]"], ["--axis", "one value for each experiment"]),
        (["--register", "ttss"], ["--register", "charging"]),
    ],
)
def test_options_of_a_series_do_not_fit_one_experiment(nmrqb, tmp_path, options, words):
    data = write_experiments(tmp_path / "d", COUNTS, CURVE)
    outcome = nmrqb("fit", data / "3", "--model", "buildup", *options)
    assert outcome.code == 2
    for word in words:
        assert word in outcome.complaint


def test_titles_and_programs_with_escape_sequences_reach_no_terminal_and_no_page(nmrqb, tmp_path):
    data = write_experiments(tmp_path / "d", COUNTS, CURVE)
    hostile = "\x1b]0;owned\x07<script>alert(1)</script>"
    for folder in data.iterdir():
        (folder / "pdata" / "1" / "title").write_text(hostile)
        (folder / "pulseprogram").write_text(f'{PROGRAM}"tbup=l20*d20+{hostile}"\n')
    outcome = nmrqb("fit", data, "--model", "buildup", "-o", tmp_path / "out")
    assert outcome.code == 0
    page = (tmp_path / "out" / "report.html").read_text()
    for text in (outcome.out, outcome.err, page):
        assert "\x1b" not in text
        assert "\x07" not in text
    assert "<script>" not in page


def test_pulse_lengths_without_a_unit_are_refused(nmrqb, tmp_path):
    data = write_experiments(tmp_path / "d", [1], [50.0], rows=2) / "1"
    (data / "pulseprogram").write_text("vp\n")
    (data / "vplist").write_text("10\n20\n")
    outcome = nmrqb("fit", data, "--model", "nutation")
    assert outcome.code == 2
    assert "vplist" in outcome.complaint
    assert "10u" in outcome.complaint
