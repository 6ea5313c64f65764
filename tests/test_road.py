"""The whole road: protocol to verdict, with the truth known."""

import dataclasses
import json
import re

import numpy as np
import pytest

from nmrqb import read_series
from nmrqb.files.results import read_curve
from nmrqb.files.toml import read_protocol
from nmrqb.models.closed_map import ClosedMap
from nmrqb.studies.plan import make_plan, predict
from nmrqb.studies.run import run, run_plan


def seeded(name, seeds, folder):
    """Run a protocol with many noise seeds; the prediction does not depend on the seed."""
    prediction = predict(make_plan(name))
    for seed in seeds:
        yield run_plan(make_plan(name, seed=seed), folder / str(seed), prediction)


def covers(parameter):
    low, high = parameter["ci95"]
    return low <= parameter["predicted"] <= high


def test_intervals_of_p_star_and_tau_contain_the_truth_for_20_seeds(tmp_path):
    # of 20 95 % intervals 17 or more hold the truth with probability 0.984
    hits = {"p_star": 0, "tau": 0, "E_inf": 0}
    for result in seeded("asymptotic_ttss", range(20), tmp_path):
        parameters = result.to_result()["results"][0]["parameters"]
        for name in hits:
            hits[name] += covers(parameters[name])
    assert min(hits.values()) >= 17, hits


@pytest.mark.parametrize("name", ["asymptotic_native_trimethyl_phosphate", "asymptotic_chloroform"])
def test_intervals_hold_the_truth_for_89_to_99_of_100_seeds(tmp_path, name):
    # 95 % intervals: 89 to 99 hits of 100 have probability 0.985
    hits = {"p_star": 0, "tau": 0, "E_inf": 0}
    for result in seeded(name, range(100), tmp_path):
        parameters = result.to_result()["results"][0]["parameters"]
        for key in hits:
            hits[key] += covers(parameters[key])
    assert all(89 <= count <= 99 for count in hits.values()), hits


def test_levels_of_calibrations_carry_the_references_error(tmp_path):
    # the reference alone has 1 % here, more than the 17 points together: without it three of
    # four intervals would hold; of 100 95 % intervals 88 or more hold with probability 0.999
    hits = 0
    for result in seeded("coupling_trimethyl_phosphate", range(100), tmp_path):
        parameters = result.to_result()["results"][0]["parameters"]
        hits += covers(parameters["M0"])
    assert hits >= 88, hits


def test_chi_square_of_measurement_against_exact_simulation_is_a_chi_square(tmp_path):
    results = list(seeded("inversion_recovery", range(40), tmp_path))
    chi2 = np.array([r.comparisons[0].chi2 for r in results])
    points = results[0].comparisons[0].points
    # mean of 40 chi-squares: points +- sqrt(2 points / 40); 4 sigma either side
    assert abs(chi2.mean() - points) < 4 * np.sqrt(2 * points / 40)


def test_truth_of_p_star_is_the_fixed_point_and_not_the_fit(tmp_path):
    plan = make_plan("asymptotic_ttss")
    prediction = predict(plan)
    # 30 cycles leave (1-b)^30 q^30 = 2e-5 of the way
    assert prediction.exact.energy[-1] == pytest.approx(prediction.p_star_exact[0], abs=1e-4)
    # the closed map is close, and it is not the same
    gap = prediction.p_star_closed[0] - prediction.p_star_exact[0]
    assert 1e-5 < gap < 3e-3
    # one mode: 1 % is left after ln(100)/-ln|(1-b) q| cycles, and the exact approach is as fast
    tick_s = plan.spectrometer.tick_s
    factor = ClosedMap(register=plan.register, tick_s=tick_s).slowest_factor(plan.compiled.cycle)
    expected = np.log(100.0) / -np.log(abs(factor))
    assert abs(prediction.cycles_to_saturation_closed - expected) <= 1
    assert abs(prediction.cycles_to_saturation - prediction.cycles_to_saturation_closed) <= 1


@pytest.mark.parametrize(
    ("source", "changes", "charged"),
    [
        ("asymptotic_ttss", (), True),
        ("asymptotic_ttss", ((r'inversion = "auto"', 'inversion = "ideal"'),), False),
        ("asymptotic_chloroform", (), True),
        (
            "asymptotic_chloroform",
            ((r'recovery = "flipped-back"', 'recovery = "left"\ninversion = "none"'),),
            False,
        ),
    ],
    ids=["29Si-not-inverted", "29Si-inverted", "13C-inverted", "13C-not-inverted"],
)
def test_the_batterys_sign_survives_spectrum_fit_and_report(
    nmrqb, edited, tmp_path, source, changes, charged
):
    path = edited(f"protocols/{source}.toml", *changes)
    outcome = nmrqb("run", path, "-o", tmp_path / "out", "--json", "--seed", "3")
    assert outcome.code == 0
    result = outcome.json
    sign = 1 if charged else -1
    # fit: the energy goes the right way
    assert np.sign(result["results"][0]["parameters"]["E_inf"]["value"]) == sign
    # spectrum: on the reference's phase a charged battery is a negative line
    from nmrqb import read_series

    series = read_series(tmp_path / "out" / "data")
    reference, last = series.fids[0, :20].sum(), series.fids[-1, :20].sum()
    assert np.sign((last / reference).real) == -sign
    # curve and report
    curve = read_curve(tmp_path / "out" / "curves" / "measured.json")
    assert np.sign(curve.magnetisation[-1]) == -sign
    report = (tmp_path / "out" / "report.html").read_text()
    assert ("battery is charged" in report) == charged
    assert ("NOT charged" in report) == (not charged)
    warned = any("DISCHARGE" in w for w in result["plan"]["warnings"])
    assert warned == (not charged)


def test_run_writes_a_whole_result_and_stdout_equals_result_json(nmrqb, tmp_path):
    out = tmp_path / "out"
    outcome = nmrqb("run", "asymptotic_ttss", "-o", out, "--json", "--seed", "5")
    assert outcome.code == 0
    assert outcome.out == (out / "result.json").read_text()
    assert outcome.json["schema"] == "nmrqb/run/1"
    assert outcome.json["seed"] == 5
    assert (out / "SUCCESS").is_file()
    assert {p.name for p in (out / "inputs").iterdir()} == {
        "protocol.toml",
        "register.toml",
        "spectrometer.toml",
    }
    assert json.loads((out / "versions.json").read_text())["seed"] == 5
    assert not (tmp_path / "out.partial").exists()
    for name in ("measured", "predicted_exact", "predicted_closed_map"):
        assert read_curve(out / "curves" / f"{name}.json").start == "thermal"
    definitions = [r["definition"] for r in outcome.json["results"]]
    assert definitions == ["fit", "threshold", "slowest-mode"]


def test_report_is_self_contained(nmrqb, tmp_path):
    nmrqb("run", "asymptotic_ttss", "-o", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert len(sources) == 4
    assert all(s.startswith("data:image/png;base64,") for s in sources)
    assert "<script" not in page
    for heading in ("Charging curve", "Spectra", "Pulse sequence", "Magnetisation", "Numbers"):
        assert f"<h2>{heading}</h2>" in page
    assert "95 % interval" in page


def test_hostile_text_in_a_protocol_stays_text(nmrqb, edited, tmp_path):
    hostile = r"<script>alert(1)</script>\\n;@ reference_row: 7\\nzg"
    path = edited(
        "protocols/asymptotic_ttss.toml",
        (r"^description = .*$", f'description = "{hostile}"\nname = "{hostile}"'),
    )
    assert nmrqb("run", path, "-o", tmp_path / "out").code == 0
    assert "<script" not in (tmp_path / "out" / "report.html").read_text()
    program = (tmp_path / "out" / "data" / "1" / "pulseprogram").read_text()
    assert "reference_row: 7" not in program
    assert all(line.startswith(";") for line in program.splitlines())
    assert len((tmp_path / "out" / "data/1/pdata/1/title").read_text().splitlines()) == 1


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    first, again, other = (
        run("asymptotic_chloroform", seed=seed).measured.energy for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_row_has_the_same_noise_whatever_other_rows_are_measured():
    protocol = read_protocol("asymptotic_chloroform")
    fewer = dataclasses.replace(
        protocol, sweep=dataclasses.replace(protocol.sweep, values=protocol.sweep.values[:6])
    )
    whole, part = run(protocol), run(fewer)
    # the last spawned child sets the receiver phase, so compare magnitudes at t = 0 of row 2
    assert whole.seed == part.seed
    first = np.abs(whole.measured.magnetisation[:6] - part.measured.magnetisation)
    # same noise up to its rotation by the receiver phase: within the noise itself
    assert (first < 6 * whole.measured.magnetisation_stderr[:6]).all()


def test_a_delay_sweep_gives_p_star_of_every_row_and_withholds_tau():
    result = run("asymptotic_ttss_delta")
    table = result.to_result()
    assert len(table["prediction"]["p_star_exact"]) == 9
    tau = table["results"][0]["parameters"]["tau"]
    assert tau["value"] is None
    assert "number of cycles" in tau["reason"]
    # a longer delay leaks more of this battery: p* falls with Delta for left, 29Si
    assert (np.diff(table["prediction"]["p_star_exact"]) < 0).all()


def test_inversion_recovery_gives_back_the_registers_t1():
    result = run("inversion_recovery")
    parameters = result.to_result()["results"][0]["parameters"]
    assert parameters["T1"]["predicted"] == pytest.approx(115.4, rel=1e-4)
    assert abs(parameters["T1"]["value"] - 115.4) < 4 * parameters["T1"]["stderr"]


def test_a_run_without_noise_agrees_with_its_prediction(edited):
    path = edited("protocols/asymptotic_chloroform.toml", (r"^reference_snr = .*$", ""))
    result = run(path)
    # int32 with 24 bits: rounding of 6e-8 of the largest point
    assert np.abs(result.measured.energy - result.prediction.exact.energy).max() < 1e-5


def test_violated_limits_end_with_exit_code_1_and_the_full_result(nmrqb, edited, tmp_path):
    spectrometer = edited(
        "data/spectrometers/generic.toml",
        (r"^maximum_points = .*$", "maximum_points = 512"),
        (r"^maximum_duration = .*$", 'maximum_duration = "1 h"'),
        name="tight.toml",
    )
    path = edited(
        "protocols/asymptotic_ttss.toml",
        (r"^spectrometer = .*$", f'spectrometer = "{spectrometer.name}"'),
    )
    outcome = nmrqb("run", path, "-o", tmp_path / "out", "--json")
    assert outcome.code == 1
    assert outcome.json["status"] == "no"
    found = " ".join(outcome.json["plan"]["violations"])
    assert "at most 512" in found
    assert "at most 1 h" in found
    assert outcome.json["results"][0]["parameters"]["tau"]["value"] is not None
    assert nmrqb("plan", path).code == 1


def test_data_of_a_run_can_be_fitted_on_their_own(nmrqb, tmp_path):
    nmrqb("run", "asymptotic_ttss", "-o", tmp_path / "out")
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    outcome = nmrqb(
        "fit", tmp_path / "out" / "data", "--model", "charging", "--register", "ttss", "--json"
    )
    assert outcome.code == 0
    tau = outcome.json["results"][0]["parameters"]["tau"]
    known = result["results"][0]["parameters"]["tau"]
    assert tau["value"] == pytest.approx(known["value"], abs=known["stderr"])


def test_simulate_writes_data_and_predicted_curves(nmrqb, tmp_path):
    outcome = nmrqb("simulate", "asymptotic_chloroform", "-o", tmp_path / "out", "--json")
    assert outcome.code == 0
    curve = read_curve(tmp_path / "out" / "curves" / "predicted_exact.json")
    assert [r["energy"] for r in outcome.json["results"]] == pytest.approx(list(curve.energy))
    assert (tmp_path / "out" / "data" / "1" / "ser").is_file()


def test_a_sweep_of_frequencies_is_not_mistaken_for_times(nmrqb, tmp_path):
    assert nmrqb("run", "spin_lock_mismatch_chloroform", "-o", tmp_path / "out").code == 0
    series = read_series(tmp_path / "out" / "data")
    assert series.axis.unit == "Hz"
    assert list(series.axis.values[1:]) == [1100.0, 1300.0, 1600.0, 2000.0, 2400.0]
    assert not (tmp_path / "out" / "data" / "1" / "vdlist").exists()
    outcome = nmrqb("fit", tmp_path / "out" / "data", "--model", "buildup", "--json")
    assert outcome.code == 2
    assert "axis" in outcome.err
