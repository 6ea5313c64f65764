"""Bad entries of ``nmrqb reproduce``: one line that names file, key, value and limit."""

import re

import pytest

ENTRY = """schema = "nmrqb/reproduce/1"
title = "Ergotropy over energy"
source = "arXiv:2508.13497, Fig. 3"
units = "omega = g = 1"
caption = "Steady state."

[[panel]]
x_label = "N"
y_label = "W/E"

[[panel.curve]]
quantity = "steady-ratio"
star = { drive = 0.5 }
along = { key = "batteries", values = [1, 2, 3] }
label = "weak"

[[row]]
name = "a at F/g = 10"
source = "Fig. 3"
published = 1.38
quantity = "locked-energy-fit"
star = { drive = 10.0 }
arguments = { first = 4, last = 12 }
tolerance = 0.01
tolerance_reason = "the last digit"
"""


@pytest.fixture
def changed(tmp_path):
    """Return a function that writes the entry with replacements and returns its path."""

    def write(*changes):
        text = ENTRY
        for pattern, replacement in changes:
            text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
            assert count, f"{pattern!r} is not in the entry"
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


#: (what is wrong, changes, words that the one line must hold)
ENTRIES = [
    ("unknown key", [(r"^caption = ", "captoin = ")], ["captoin", "did you mean caption?"]),
    ("another schema", [(r"^schema = .*", 'schema = "nmrqb/protocol/1"')],
     ["schema", "nmrqb/reproduce/1"]),
    ("unknown quantity", [(r'^quantity = "locked-energy-fit"', 'quantity = "locked-energi"')],
     ["row.0.quantity", "must be one of", "locked-energy-fit", "'locked-energi'"]),
    ("unknown key of a star", [(r"drive = 10.0", "drif = 10.0")],
     ["row.0.star.drif", "unknown key", "did you mean drive?"]),
    ("a star that cannot be",
     [(r"drive = 10.0", "drive = -1.0")],
     ["row.0.star", "`drive` must be finite and at least 0, but is -1"]),
    ("no star", [(r"^star = \{ drive = 10.0 \}\n", "")],
     ["row.0.star", "needs a star"]),
    ("unknown argument", [(r"first = 4", "furst = 4")],
     ["row.0.arguments.furst", "unknown key (allowed: first, last)"]),
    ("missing argument", [(r"first = 4, ", "")], ["row.0.arguments.first", "is missing"]),
    ("argument of another type", [(r"first = 4", 'first = "4"')],
     ["row.0.arguments.first", "valid integer", "'4'"]),
    ("half a battery", [(r"first = 4", "first = 4.5")],
     ["row.0.arguments.first", "valid integer", "4.5"]),
    ("sweep of nothing", [(r"values = \[1, 2, 3\]", "values = []")],
     ["panel.0.curve.0.along", "`values` must hold 1 to 2000 numbers"]),
    ("sweep of half a battery", [(r"values = \[1, 2, 3", "values = [1, 2.5, 3")],
     ["panel.0.curve.0.along", "`batteries` must be a whole number, but is 2.5"]),
    ("sweep of a missing key", [(r'key = "batteries"', 'key = "bateries"')],
     ["panel.0.curve.0.along", "must be one of batteries, coupling", "bateries"]),
    ("a profile for a number",
     [(r'"locked-energy-fit"', '"steady-populations"'), (r"^arg.*\n", "")],
     ["row.0.quantity", "must be a number", "steady-populations is a profile"]),
    ("a profile with an axis",
     [(r'"steady-ratio"', '"steady-populations"')],
     ["panel.0.curve.0.along", "steady-populations has its own axis"]),
    ("published without tolerance", [(r"^tolerance = .*\n", "")],
     ["row.0", "`tolerance` must be positive"]),
    ("published without a source", [(r'^source = "Fig. 3"\n', "")], ["row.0", "`source`"]),
    ("neither published nor why", [(r"^published = .*\n", "")],
     ["row.0", "`unpublished` must say why"]),
    ("a cause without words", [(r"^tolerance = ", 'cause = "window"\ntolerance = ')],
     ["row.0", "`cause` and `explanation`"]),
    ("an unknown cause", [(r"^tolerance = ", 'cause = "bad luck"\ntolerance = ')],
     ["row.0.cause", "'window'", "'bad luck'"]),
    ("text for a number", [(r"^published = 1.38", 'published = "1.38"')],
     ["row.0.published", "valid number", "1.38"]),
    ("a panel without anything", [(r"(?s)^\[\[panel.curve\]\].*?(?=\n\[\[row)", "")],
     ["panel.0", "`curve` is missing"]),
    ("a name of its own", [(r"^title = ", 'name = "other"\ntitle = ')],
     ["name", "that of the file"]),
    ("an argument that is swept, too",
     [(r'"steady-ratio"', '"power-law"'),
      (r"star = \{ drive = 0.5 \}",
       "arguments = { batteries = 3, prefactor = 1.0, exponent = 2.0 }")],
     ["panel.0.curve.0.along", "batteries has a value already"]),
    ("no rows", [(r"(?s)^\[\[row\]\].*", "")], ["row", "missing"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"), [e[1:] for e in ENTRIES], ids=[e[0] for e in ENTRIES]
)
def test_a_bad_entry_is_refused_in_one_line(nmrqb, changed, changes, words):
    path = changed(*changes)
    outcome = nmrqb("reproduce", path)
    assert outcome.code == 2
    assert outcome.out == ""
    for word in (*words, path.name):
        assert word in outcome.complaint


def test_an_entry_that_is_not_there_names_those_that_are(nmrqb):
    outcome = nmrqb("reproduce", "purkait_fig33", "--json")
    assert outcome.code == 2
    assert outcome.json["status"] == "error"
    assert "purkait_fig3" in outcome.json["error"]["limit"]


def test_an_entry_asked_for_twice_is_refused(nmrqb, changed, tmp_path):
    outcome = nmrqb("reproduce", changed(), tmp_path / "mine.toml", "-o", tmp_path / "out")
    assert outcome.code == 2
    assert "asked for twice" in outcome.complaint


def test_a_label_that_cannot_be_drawn_is_said_and_nothing_is_left(nmrqb, changed, tmp_path):
    path = changed((r'"W/E"', r'"$\\\\frac{$"'))
    outcome = nmrqb("reproduce", path, "-o", tmp_path / "out")
    assert outcome.code == 2
    assert "mine.toml: cannot be drawn" in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_list_of_some_entries_is_refused(nmrqb):
    outcome = nmrqb("reproduce", "purkait_fig3", "--list")
    assert outcome.code == 2
    assert "--list" in outcome.complaint


def test_a_full_folder_is_refused_before_anything_is_computed(nmrqb, tmp_path):
    (tmp_path / "mine").write_text("keep")
    outcome = nmrqb("reproduce", "purkait_fig3", "-o", tmp_path, "--overwrite")
    assert outcome.code == 2
    assert "not a result of nmrqb" in outcome.complaint
    assert (tmp_path / "mine").read_text() == "keep"


def test_an_unexplained_disagreement_is_exit_code_one_with_the_full_table(nmrqb, changed):
    path = changed((r"^published = 1.38", "published = 1.17"))
    outcome = nmrqb("reproduce", path, "--json")
    assert outcome.code == 1
    assert outcome.json["status"] == "no"
    (row,) = (r for r in outcome.json["results"] if r["agrees"] is False)
    assert row["verdict"] == "no, not explained"
    assert abs(row["computed"] - row["published"]) > row["tolerance"]


def test_a_withheld_number_is_null_with_its_reason(nmrqb, changed):
    # without dephasing the energy never settles
    path = changed(
        (r'"locked-energy-fit"', '"charging-time"'),
        (r"drive = 10.0", "drive = 10.0, dephasing = 0.0"),
        (r"first = 4, last = 12", 'definition = "slowest-mode"'),
    )
    outcome = nmrqb("reproduce", path, "--json")
    assert outcome.code == 1
    row = outcome.json["results"][0]
    assert row["computed"] is None
    assert "`dephasing` must be positive" in row["reason"]
