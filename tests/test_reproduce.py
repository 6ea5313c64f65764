"""Every shipped entry of ``nmrqb reproduce`` gives its figure and a table that explains itself."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from reproductions import computed
from steady_states import passive_energy

from nmrqb.files.shipped import shipped_folder, shipped_names
from nmrqb.studies.reproduce.compute import compute_entry
from nmrqb.studies.reproduce.entry import read_entry
from nmrqb.studies.reproduce.table import QUANTITIES


@pytest.mark.parametrize("name", shipped_names("reproduction"))
def test_every_entry_computes_its_figure_and_explains_its_disagreements(name):
    made = computed(name)
    for panel in made.panels:
        assert panel.curves or panel.map is not None
    for row in made.rows:
        assert row.is_explained, f"{row.row.name}: {row.value} against {row.row.published}"
        # an explanation of a disagreement that is none is as wrong as a missing one
        assert (row.row.cause is not None) == (row.agrees is False), row.row.name
        assert row.value is None or np.isfinite(row.value)


def test_the_folder_holds_table_figures_numbers_and_inputs(nmrqb, tmp_path):
    out = tmp_path / "out"
    outcome = nmrqb("reproduce", "purkait_fig3", "-o", out, "--json")
    assert outcome.code == 0
    assert outcome.err == ""
    assert outcome.json == json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert outcome.json["schema"] == "nmrqb/reproduce/1"
    assert (out / "figures" / "purkait_fig3.pdf").read_bytes().startswith(b"%PDF")
    assert (out / "figures" / "purkait_fig3.png").read_bytes().startswith(b"\x89PNG")
    drawn = ET.parse(out / "figures" / "purkait_fig3.svg").getroot()  # noqa: S314 -- our own file
    assert drawn.tag.endswith("svg")
    page = (out / "index.html").read_text(encoding="utf-8")
    table = (out / "rows.md").read_text(encoding="utf-8")
    for row in outcome.json["results"]:
        assert row["name"] in table
        assert f"{row['computed']:.5g}" in page
        assert row["accuracy"]
        assert row["published"] is not None or row["unpublished"]
    shown = json.loads((out / "numbers" / "purkait_fig3.json").read_text(encoding="utf-8"))
    assert shown["panels"][0]["curves"][0]["x"]
    assert read_entry(out / "inputs" / "purkait_fig3.toml") == read_entry("purkait_fig3")


def test_progress_goes_to_stderr_and_the_table_to_stdout(nmrqb):
    outcome = nmrqb("reproduce", "purkait_fig3")
    assert "nmrqb: purkait_fig3" in outcome.err
    assert "published 1.38" in outcome.out


def test_the_list_names_every_shipped_entry(nmrqb):
    table = nmrqb("reproduce", "--list", "--json").json
    assert [e["name"] for e in table["results"]] == list(shipped_names("reproduction"))


def test_every_quantity_has_meaning_unit_and_accuracy():
    for quantity in QUANTITIES.values():
        assert quantity.meaning.endswith((".", ")")), quantity.name
        assert quantity.unit
        assert quantity.accuracy


def test_an_axis_of_values_and_one_of_ends_are_the_same_axis():
    from nmrqb.studies.reproduce.entry import Axis

    listed = Axis(key="time", values=(1.0, 10.0, 100.0)).array()
    spaced = Axis(key="time", start=1.0, stop=100.0, points=3, spacing="log").array()
    np.testing.assert_allclose(listed, spaced, rtol=1e-15)


def test_a_figure_is_the_same_file_every_time(tmp_path):
    from nmrqb.report.panels import draw_panels, save_figure

    panels = computed("purkait_bounds").panels
    for name in ("first", "second"):
        save_figure(draw_panels(panels), tmp_path / name)
    for kind in ("pdf", "svg", "png"):
        first, second = (tmp_path / f"{name}.{kind}" for name in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


def test_a_map_of_two_axes_holds_the_number_of_every_pair(tmp_path):
    text = (shipped_folder("reproduction") / "purkait_bounds.toml").read_text(encoding="utf-8")
    head, rows = text.split("[[panel]]")[0], text[text.index("[[row]]") :]
    panel = """[[panel]]
x_label = "N"
y_label = "F/g"

[panel.map]
quantity = "steady-ergotropy"
star = {}
along_x = { key = "batteries", values = [1, 2, 5] }
along_y = { key = "drive", values = [0.5, 3.0] }
label = "W"

"""
    path = tmp_path / "mine.toml"
    path.write_text(head + panel + rows, encoding="utf-8")
    shown = compute_entry(read_entry(path)).panels[0].map
    for k, drive in enumerate((0.5, 3.0)):
        for m, batteries in enumerate((1, 2, 5)):
            # E - W = 1 - r_1 by an independent decomposition
            work = batteries / 2.0 - passive_energy(batteries, drive)
            assert shown.z[k, m] == pytest.approx(work, abs=1e-10)
