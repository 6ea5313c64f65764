"""``nmrqb fit`` with curves, protocols and kinds of errors: what is asked for is what is done."""

import numpy as np
import pytest
from numbered_experiments import write_experiments

from nmrqb.analysis.biexponential import two_exponentials
from nmrqb.analysis.buildup import build_up
from nmrqb.analysis.curves import decay_to_offset
from nmrqb.analysis.stretched import stretched_recovery

LINE = ["--region", "0.35:0.85"]
COUNTS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
TIMES = 0.25 * np.array(COUNTS)


@pytest.fixture(scope="module")
def charged(tmp_path_factory):
    """A simulated charging of chloroform: J = 209 Hz, T1 of the proton 5 s, SNR of the plan."""
    from nmrqb.cli.main import main

    folder = tmp_path_factory.mktemp("charged") / "run"
    with pytest.raises(SystemExit) as stop:
        main(["simulate", "asymptotic_chloroform", "-o", str(folder), "--seed", "5"])
    assert stop.value.code == 0
    return folder / "data"


def test_a_build_up_is_fitted_by_the_curve_that_was_asked_for(nmrqb, tmp_path):
    curve = 300.0 * two_exponentials(TIMES, 0.5, 5.0, 1.0, 0.5)
    data = write_experiments(tmp_path / "d", COUNTS, curve)
    outcome = nmrqb("fit", data, "--model", "buildup", "--curve", "bi-exponential", *LINE, "--json")
    assert outcome.code == 0
    assert outcome.json["curve"] == "bi-exponential"
    assert outcome.json["intervals"]["method"] == "profile"
    region = outcome.json["results"][0]
    for name, value in (("T_fast", 0.5), ("T_slow", 5.0), ("fast_share", 0.5)):
        low, high = region["parameters"][name]["ci95"]
        # one data set: its 95 % interval widened by half
        middle, half = 0.5 * (low + high), 0.75 * (high - low)
        assert abs(middle - value) < half
    comparison = region["model_comparison"]
    assert comparison["preferred"] == "bi-exponential"
    assert [c["curve"] for c in comparison["candidates"]] == ["mono", "stretched", "bi-exponential"]
    assert all(c["bic"] is not None for c in comparison["candidates"])
    assert comparison["candidates"][2]["F_p_value"] < 1e-3


@pytest.mark.parametrize(
    ("model", "curve", "clean", "numbers"),
    [
        ("recovery", "stretched", stretched_recovery(TIMES, 2.0, 1.0, 0.9, 0.6),
         {"T1": 2.0, "beta": 0.6}),
        ("decay", "offset", -decay_to_offset(TIMES, 2.0, 0.8, 0.2), {"T2": 2.0, "M0": None}),
    ],
)  # fmt: skip
def test_a_curve_of_a_recovery_or_decay_is_fitted_and_named_in_the_report(
    nmrqb, tmp_path, model, curve, clean, numbers
):
    data = write_experiments(tmp_path / "d", COUNTS, 300.0 * clean)
    words = ["fit", data, "--model", model, *LINE]
    outcome = nmrqb(*words, "--curve", curve, "--json", "-o", tmp_path / "out")
    assert outcome.code == 0
    region = outcome.json["results"][0]
    for name, value in numbers.items():
        p = region["parameters"][name]
        if value is None:  # without a row that knows the sign it is positive
            assert p["value"] > 0.0
        else:
            assert abs(p["value"] - value) < 5.0 * p["stderr"]
    comparison = region["model_comparison"]
    assert curve in (comparison["preferred"], *comparison["alike"])
    assert comparison["is_weak"] is False
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Curves compared:" in page
    assert f"{comparison['preferred']} is" in page
    # the default stays one exponential, and says that it is not what the points ask for
    plain = nmrqb(*words)
    assert plain.code == 0
    assert "curves: " + comparison["preferred"] in plain.out


def test_the_spread_of_the_rf_field_comes_back_from_simulated_pulses(nmrqb, tmp_path):
    from nmrqb import read_spectrometer

    spread = read_spectrometer("generic").channel("1H").b1_spread
    run = tmp_path / "run"
    assert nmrqb("simulate", "pulse_calibration_trimethyl_phosphate", "-o", run).code == 0
    words = ["fit", run / "data", "--model", "nutation", "--curve", "gaussian", "--json"]
    (region,) = nmrqb(*words).json["results"]
    found = region["parameters"]["b1_spread"]
    # five nodes are exact to 5! x^10/10! = 2e-7, x = 2 pi frequency spread t of the longest pulse
    assert abs(found["value"] - spread) < 4.0 * found["stderr"]
    assert found["stderr"] < 0.05 * spread
    assert region["model_comparison"]["preferred"] == "gaussian"


def test_a_curve_that_a_model_does_not_have_is_refused_with_those_it_has(nmrqb, tmp_path):
    data = write_experiments(tmp_path / "d", COUNTS, 50.0 * build_up(TIMES, 3.0, 1.0))
    outcome = nmrqb("fit", data, "--model", "decay", "--curve", "damped", *LINE)
    assert outcome.code == 2
    for word in ("--curve", "mono, gaussian, stretched, bi-exponential, offset"):
        assert word in outcome.complaint


def test_an_outlier_is_named_with_its_row(nmrqb, tmp_path):
    curve = 300.0 * build_up(TIMES, 3.0, 1.0)
    curve[5] *= 1.2
    data = write_experiments(tmp_path / "d", COUNTS, curve)
    region = nmrqb("fit", data, "--model", "buildup", *LINE, "--json").json["results"][0]
    (outlier,) = region["outliers"]
    assert outlier["row"] == 5
    assert outlier["x"] == TIMES[5]
    assert outlier["standard_errors"] > 3.0


@pytest.mark.parametrize("method", ["monte-carlo", "bootstrap"])
def test_random_errors_are_made_from_the_seed_that_is_recorded(nmrqb, tmp_path, method):
    data = write_experiments(tmp_path / "d", COUNTS, 50.0 * build_up(TIMES, 3.0, 1.0))
    words = ["fit", data, "--model", "decay", *LINE, "--errors", method, "--json"]
    drawn = nmrqb(*words).json
    seed = drawn["intervals"]["seed"]
    assert isinstance(seed, int)
    assert drawn["intervals"]["method"] == method
    again = nmrqb(*words, "--seed", str(seed)).json
    assert again["results"] == drawn["results"]


def test_j_and_t1_of_the_charger_come_from_the_charging_rows(nmrqb, charged):
    from nmrqb import read_register

    register = read_register("chloroform_13c")
    outcome = nmrqb("fit", charged, "--model", "charging", "--curve", "simulated",
                    "--protocol", "asymptotic_chloroform", "--free", "J", "--free", "T1_charger",
                    "--json")  # fmt: skip
    assert outcome.code == 0
    region = outcome.json["results"][0]
    for name, truth in (
        ("J", register.coupling_hz.value), ("T1_charger", register.charger.t1_s.value)
    ):  # fmt: skip
        p = region["parameters"][name]
        assert abs(p["value"] - truth) < 4.0 * p["stderr"]
    assert region["held"]["T1_battery"] == register.battery.t1_s.value
    # 25 of them for the response surface
    assert region["simulations"] < 80
    # what the shipped protocol itself gives is what its simulated rows give back
    from nmrqb.studies.plan import make_plan, predict

    predicted = predict(make_plan("asymptotic_chloroform"))
    tau, energy = (region["parameters"][n] for n in ("tau", "E_inf"))
    assert region["definitions"] == {"tau": "slowest-mode", "tau_threshold": "threshold"}
    assert tau["unit"] == "s"
    assert abs(tau["value"] - predicted.tau["slowest-mode"]) < 4.0 * tau["stderr"]
    assert abs(energy["value"] + predicted.p_star_exact[0]) < 4.0 * energy["stderr"]


def test_charging_has_the_papers_parameters_and_their_units(nmrqb, charged):
    words = ["fit", charged, "--model", "charging", "--register", "chloroform_13c", "--json"]
    region = nmrqb(*words).json["results"][0]
    parameters = region["parameters"]
    assert parameters["tau"]["unit"] == "s"
    assert "hbar |omega_B|" in parameters["E_inf"]["unit"]
    assert parameters["omega"]["value"] == 0.0
    assert "not oscillatory" in parameters["omega"]["reason"]
    assert parameters["phi"]["value"] is None
    assert parameters["phi"]["reason"]
    assert region["model_comparison"]["preferred"] == "exponential"
    free = nmrqb(*words, "--curve", "damped-cosine")
    # a monotonic charging has no frequency: the damped cosine is withheld, and that is a no
    assert free.code == 1
    assert "no oscillation" in free.json["results"][0]["parameters"]["omega"]["reason"]


def test_the_map_gives_b_and_a_report(nmrqb, charged, tmp_path):
    outcome = nmrqb("fit", charged, "--model", "charging", "--curve", "map",
                    "--protocol", "asymptotic_chloroform", "-o", tmp_path / "out")  # fmt: skip
    assert outcome.code == 0
    assert "b = 0.5" in outcome.out
    assert "; tau = " in outcome.out
    report = (tmp_path / "out" / "report.html").read_text()
    for word in ("profile likelihood", "tau_threshold (s)", "E_inf (hbar"):
        assert word in report


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--curve", "stretched", "--register", "chloroform_13c"], ["--curve", "exponential"]),
        (["--curve", "map"], ["--protocol", "needed"]),
        (["--free", "J", "--register", "chloroform_13c"], ["--free", "--curve map"]),
        (["--curve", "map", "--protocol", "asymptotic_ttss"], ["13C", "29Si"]),
        (["--curve", "map", "--protocol", "asymptotic_chloroform", "--free", "x"],
         ["--free", "b, J"]),
        (["--curve", "map", "--protocol", "single_shot_chloroform"], ["rows", "protocol"]),
        (["--curve", "map", "--protocol", "asymptotic_chloroform", "--register", "ttss"],
         ["--register", "protocol"]),
        (["--register", "chloroform_13c", "--seed", "3"], ["--seed", "--errors"]),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_together_get_one_line(nmrqb, charged, options, words):
    outcome = nmrqb("fit", charged, "--model", "charging", *options)
    assert outcome.code == 2
    for word in words:
        assert word in outcome.complaint


def test_no_curve_but_a_single_exponential_goes_into_a_register(nmrqb, tmp_path, edited):
    register = edited("data/registers/chloroform_13c.toml", name="mine.toml")
    data = write_experiments(tmp_path / "d", COUNTS, 50.0 * build_up(TIMES, 3.0, 1.0))
    outcome = nmrqb("fit", data, "--model", "buildup", "--curve", "bi-exponential", *LINE,
                    "--into", register, "--spin", "charger")  # fmt: skip
    assert outcome.code == 2
    assert "--curve bi-exponential" in outcome.complaint
    assert "no T1 or T2" in outcome.complaint


def test_a_time_goes_into_no_register_where_the_points_ask_for_another_curve(
    nmrqb, tmp_path, edited
):
    register = edited("data/registers/chloroform_13c.toml", name="mine.toml")
    before = register.read_bytes()
    curve = 300.0 * stretched_recovery(TIMES, 2.0, 1.0, 0.9, 0.5)
    data = write_experiments(tmp_path / "d", COUNTS, curve)
    words = ["fit", data, "--model", "recovery", *LINE, "--into", register, "--spin", "battery"]
    outcome = nmrqb(*words, "--json")
    assert outcome.code == 1
    assert "another curve than one exponential" in outcome.json["into"]["reason"]
    assert register.read_bytes() == before
    assert nmrqb(*words, "--curve", "mono").code == 0
    assert register.read_bytes() != before
