"""`nmrqb compare`: folders and files, exit codes, one-line refusals, what is written."""

import json
import shutil

import numpy as np
import pytest

from nmrqb.files.results import read_curve, write_curve


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return folders of plan, simulate, fit and run of one protocol."""
    import contextlib

    from nmrqb.cli.main import main

    root = tmp_path_factory.mktemp("finished")
    for words in (
        ["plan", "asymptotic_chloroform", "-o", str(root / "plan")],
        ["simulate", "asymptotic_chloroform", "-o", str(root / "fids"), "--seed", "4"],
        ["fit", str(root / "fids" / "data"), "--model", "charging", "--register",
         "chloroform_13c", "-o", str(root / "fit")],
        ["run", "asymptotic_chloroform", "-o", str(root / "run"), "--seed", "5"],
    ):  # fmt: skip
        with contextlib.suppress(SystemExit):
            main(words)
        assert (root / words[words.index("-o") + 1] / "SUCCESS").is_file()
    return root


@pytest.mark.parametrize(
    ("predicted", "measured"),
    [
        ("plan", "fit"),
        ("fids", "fit"),
        ("run", "run"),
        ("run/curves/predicted_exact.json", "run/curves/measured.json"),
        ("fids", "fit/curves/measured_0.json"),
        ("run", "fit"),
        ("fit", "run"),
    ],
)
def test_a_measurement_agrees_with_the_prediction_of_the_same_spins(
    nmrqb, finished, predicted, measured
):
    outcome = nmrqb("compare", finished / predicted, finished / measured, "--json")
    assert outcome.code == 0, outcome.err
    table = outcome.json
    assert table["schema"] == "nmrqb/compare/1"
    assert table["status"] == "ok"
    assert table["p_value"] >= 0.001
    assert table["points"] == len(table["points_compared"]) == 9


def test_a_comparison_leaves_report_result_and_both_curves(nmrqb, finished, tmp_path):
    folder = tmp_path / "verdict"
    outcome = nmrqb("compare", finished / "plan", finished / "fit", "-o", folder, "--json")
    assert json.loads((folder / "result.json").read_text()) == outcome.json
    report = (folder / "report.html").read_text()
    assert "data:image/png" in report
    assert "chi-square" in report
    for name in ("predicted", "measured"):
        assert len(read_curve(folder / "curves" / f"{name}.json").times) == 9
    assert nmrqb("compare", finished / "plan", finished / "fit", "-o", folder).code == 2


def test_a_contradiction_is_exit_code_1_and_names_what_would_reconcile(
    nmrqb, finished, edited, tmp_path
):
    # J is registered a tenth too small: every planned exchange is too long for the molecule
    register = edited(
        "data/registers/chloroform_13c.toml",
        (r"coupling = .*", 'coupling = { value = "188 Hz", stderr = "2 Hz", source = "test" }'),
        name="r.toml",
    )
    protocol = edited(
        "protocols/asymptotic_chloroform.toml",
        (r"register = .*", f'register = "{register.name}"'),
        # the length that the measured sequence had, 1/(4 J) at 209 Hz: sin^2(pi J t) = 1/2
        (r"transfer = 0.5", 'duration = "1.19617 ms"'),
        name="p.toml",
    )
    assert nmrqb("plan", protocol, "-o", tmp_path / "planned").code == 0
    outcome = nmrqb("compare", tmp_path / "planned", finished / "fit", "--json")
    assert outcome.code == 1
    table = outcome.json
    assert (table["status"], table["verdict"]) == ("no", "contradict")
    best = table["results"][0]
    assert best["reconciles"]
    (found,) = best["parameters"].values()
    assert list(best["parameters"]) == ["J"]
    assert abs(found["value"] - 209.0) < 3.0 * found["stderr"]
    assert found["cost"] == pytest.approx((found["value"] - 188.0) / 2.0)
    known = {p["parameter"]: p for p in table["prediction_uncertainty"]}
    assert known["J"]["largest_part"] > 0.0
    assert known["T1 of the charger"]["reason"] == "no standard error is registered"


def test_a_result_folder_goes_on_with_its_own_inputs(nmrqb, finished, edited, tmp_path):
    # the protocol named a register beside it, which is gone when the folder is compared
    edited("data/registers/chloroform_13c.toml", name="mine.toml")
    protocol = edited(
        "protocols/asymptotic_chloroform.toml", (r"register = .*", 'register = "mine.toml"')
    )
    assert nmrqb("plan", protocol, "-o", tmp_path / "planned").code == 0
    (tmp_path / "mine.toml").unlink()
    assert nmrqb("compare", tmp_path / "planned", finished / "fit").code == 0


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("no-success", "SUCCESS"),
        ("no-measurement", "holds no measured curve"),
        ("several", "holds several curves"),
        ("other-inputs", "not that of the inputs"),
        ("no-curve", "not a charging curve"),
        ("absent", "cannot be read"),
    ],
)
def test_what_cannot_be_compared_gives_one_line(nmrqb, finished, tmp_path, damage, words):
    predicted, measured = finished / "plan", finished / "fit"
    copy = tmp_path / "copy"
    match damage:
        case "no-success":
            shutil.copytree(measured, copy)
            (copy / "SUCCESS").unlink()
            measured = copy
        case "no-measurement":
            measured = finished / "fids"
        case "several":
            shutil.copytree(measured, copy)
            shutil.copyfile(
                copy / "curves" / "measured_0.json", copy / "curves" / "measured_1.json"
            )
            measured = copy
        case "other-inputs":
            shutil.copytree(predicted, copy)
            path = copy / "inputs" / "register.toml"
            path.write_text(path.read_text().replace("209 Hz", "215 Hz"))
            predicted = copy
        case "no-curve":
            measured = tmp_path / "x.json"
            measured.write_text("{}")
        case "absent":
            measured = tmp_path / "nothing.json"
    outcome = nmrqb("compare", predicted, measured)
    assert outcome.code == 2
    assert words in outcome.complaint


def test_files_of_two_units_are_refused(nmrqb, finished, tmp_path):
    from dataclasses import replace

    curve = read_curve(finished / "fit" / "curves" / "measured_0.json")
    other = replace(curve, energy_unit="joule", energy=np.asarray(curve.energy) * 1e-30)
    write_curve(tmp_path / "joule.json", other)
    outcome = nmrqb("compare", finished / "plan", tmp_path / "joule.json")
    assert outcome.code == 2
    assert "energy_unit" in outcome.complaint
