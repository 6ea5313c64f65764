"""Charging measurements: transverse read-outs, references of their own, undecoupled multiplets."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from test_manifolds import multiplet

from nmrqb import read_register
from nmrqb.analysis.quantities import battery_quantities
from nmrqb.files.bruker import write_bruker
from nmrqb.signals.series import Axis, Series

P_EQ = read_register("trimethyl_phosphate").equilibrium_ratio
TIMES = np.array([0.0, 3.0, 6.0, 9.0, 15.0, 25.0, 40.0])


def charging_rows():
    """Return r_z of a battery that charges to -0.5 with tau = 8 s."""
    return 0.1 - 0.6 * (1.0 - np.exp(-TIMES / 8.0))


def series_of(signals, noise, seed, *, phase=0.7, scans=None, gain=1.0):
    """Return 31P FIDs of complex polarisations; row 0 is the reference."""
    rng = np.random.default_rng(seed)
    points, dwell = 2048, 5e-4
    t = np.arange(points) * dwell
    scans = np.ones(len(signals), int) if scans is None else np.asarray(scans)
    line = np.exp(2j * np.pi * 40.0 * t - t / 0.15 + 1j * phase)
    drawn = rng.standard_normal((len(signals), points, 2)) @ [1.0, 1j]
    fids = np.asarray(signals)[:, None] * line + noise * drawn / np.sqrt(scans)[:, None]
    axis = np.concatenate([[0.0], TIMES]) if len(signals) > 1 else np.zeros(1)
    return Series(
        fids=gain * fids * scans[:, None],
        dwell_s=dwell,
        time_origin_s=0.0,
        carrier_hz=161.9e6,
        carrier_ppm=2.0,
        nucleus="31P",
        axis=Axis(name="delay", unit="s", values=axis[: len(signals)], source="test"),
        scans=scans,
        gain=gain,
        reference_row=0,
    )


def written(series, folder):
    write_bruker(
        folder / "1",
        series,
        list_kind="vd",
        register_name="trimethyl_phosphate",
        title="test",
    )
    return folder


def fit(nmrqb, *words):
    outcome = nmrqb("fit", *words, "--model", "charging", "--register", "trimethyl_phosphate",
                    "--json")  # fmt: skip
    assert outcome.code == 0, outcome.err
    return outcome.json["results"][0]


def test_transverse_read_outs_give_the_coherent_ergotropy(nmrqb, tmp_path):
    r_z = charging_rows()
    across = 0.25 * np.exp(1j * np.linspace(0.0, 4.0, len(r_z)))
    z = written(series_of([P_EQ, *r_z], 0.02, 1), tmp_path / "z")
    # another receiver phase: the reference of the same data set takes it away
    xy = written(series_of([P_EQ, *across], 0.02, 2, phase=2.9), tmp_path / "xy")
    found = fit(nmrqb, z, "--transverse", xy)["quantities"]["rows"]
    for row, z_true, xy_true in zip(found, r_z, across, strict=True):
        truth = np.array([xy_true.real, xy_true.imag, z_true])
        assert (abs(np.array(row["r"]) - truth) < 4.5 * np.array(row["r_stderr"])).all()
        length = np.linalg.norm(truth)
        coherent, total = row["coherent_ergotropy"], row["ergotropy"]
        for estimate, true in ((coherent, length - abs(z_true)), (total, length - z_true)):
            assert abs(estimate["value"] - true) < 4.5 * estimate["stderr"]
            assert estimate["lower95"] < estimate["value"] < estimate["upper95"]
        assert row["incoherent_ergotropy"]["value"] + coherent["value"] == pytest.approx(
            total["value"], abs=1e-12
        )


def test_a_z_read_out_alone_says_that_it_misses_the_coherent_part(nmrqb, tmp_path):
    z = written(series_of([P_EQ, *charging_rows()], 0.02, 1), tmp_path / "z")
    result = fit(nmrqb, z)
    row = result["quantities"]["rows"][-1]
    assert row["coherent_ergotropy"]["value"] is None
    assert "transverse" in row["coherent_ergotropy"]["reason"]
    assert "incoherent" in result["quantities"]["ergotropy_is"]
    passive = result["quantities"]["rows"][0]["incoherent_ergotropy"]
    assert passive["stderr"] is None
    assert passive["upper95"] >= 0.0


def test_three_charging_times_of_one_exponential_are_one(nmrqb, tmp_path):
    z = written(series_of([P_EQ, *charging_rows()], 0.01, 3), tmp_path / "z")
    times = {t["definition"]: t["tau"] for t in fit(nmrqb, z)["charging_times"]}
    assert set(times) == {"fit", "threshold", "slowest-mode"}
    assert abs(times["fit"]["value"] - 8.0) < 4.0 * times["fit"]["stderr"]
    assert abs(times["slowest-mode"]["value"] - 8.0) < 4.0 * times["slowest-mode"]["stderr"]
    # between the points ln(distance) is a line: exact for one exponential
    assert abs(times["threshold"]["value"] - 8.0) < 4.0 * times["threshold"]["stderr"]


def test_a_reference_of_more_scans_and_its_own_data_set_gives_the_same_scale(nmrqb, tmp_path):
    r_z = charging_rows()
    rows = series_of([P_EQ, *r_z], 0.02, 4)
    rows = replace(rows, fids=rows.fids[1:], scans=rows.scans[1:], reference_row=None,
                   axis=replace(rows.axis, values=rows.axis.values[1:]))  # fmt: skip
    data = written(rows, tmp_path / "rows")
    alone = written(series_of([P_EQ], 0.02, 5, scans=[16]), tmp_path / "reference")
    found = fit(nmrqb, data, "--reference", alone)
    curve = found["curve"]
    distance = (np.array(curve["magnetisation"]) - r_z) / np.array(curve["magnetisation_stderr"])
    # 7 normal numbers and a common one: none beyond 4
    assert abs(distance).max() < 4.0
    budget = {s["source"]: s["stderr"][-1] for s in found["error_budget"]}
    assert budget["total"] == pytest.approx(
        np.sqrt(sum(e**2 for n, e in budget.items() if n != "total"))
    )


def test_another_receiver_gain_is_refused_until_its_ratio_was_measured(nmrqb, tmp_path):
    r_z = charging_rows()
    rows = series_of([P_EQ, *r_z], 0.02, 4)
    rows = replace(rows, fids=rows.fids[1:], scans=rows.scans[1:], reference_row=None,
                   axis=replace(rows.axis, values=rows.axis.values[1:]))  # fmt: skip
    data = written(rows, tmp_path / "rows")
    alone = written(series_of([P_EQ], 0.02, 5, gain=4.0), tmp_path / "reference")
    words = ("fit", data, "--model", "charging", "--register", "trimethyl_phosphate",
             "--reference", alone, "--json")  # fmt: skip
    refused = nmrqb(*words)
    assert refused.code == 2
    assert "gain" in refused.complaint
    stated = tmp_path / "reference.toml"
    stated.write_text('schema = "nmrqb/reference/1"\ngain_ratio = 4.0\ngain_ratio_stderr = 0.08\n')
    result = nmrqb(*words, "--reference-conditions", stated)
    assert result.code == 0
    found = result.json["results"][0]
    curve = found["curve"]
    distance = (np.array(curve["magnetisation"]) - r_z) / np.array(curve["magnetisation_stderr"])
    assert abs(distance).max() < 4.0
    shares = {s["source"]: np.array(s["stderr"]) for s in found["error_budget"]}
    np.testing.assert_allclose(
        shares["receiver gain"], 0.02 * abs(np.array(curve["magnetisation"])), rtol=1e-9
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('schema = "nmrqb/reference/1"\nflip_angle = "190 deg"\n', "180 degrees"),
        ('schema = "nmrqb/reference/1"\nflip_angle = 30\n', "unit"),
        ('schema = "nmrqb/reference/1"\nrelaxation = "3 s"\n', "unknown key"),
        ('schema = "nmrqb/reference/1"\ndecoupling = "continuous"\n', "dipolar_share"),
    ],
    ids=["angle-beyond-180", "bare-number", "unknown-key", "unknown-overhauser-effect"],
)
def test_reference_conditions_that_cannot_hold_give_one_line(nmrqb, tmp_path, text, words):
    z = written(series_of([P_EQ, *charging_rows()], 0.02, 1), tmp_path / "z")
    stated = tmp_path / "reference.toml"
    stated.write_text(text)
    refused = nmrqb("fit", z, "--model", "charging", "--register", "trimethyl_phosphate",
                    "--reference-conditions", stated)  # fmt: skip
    assert refused.code == 2
    assert words in refused.complaint
    assert "reference.toml" in refused.complaint


def test_an_undecoupled_multiplet_charges_like_the_decoupled_line(nmrqb, tmp_path):
    r_z = charging_rows()
    rng = np.random.default_rng(6)
    rows = [np.full(10, r) for r in r_z]
    series = multiplet(rows, 9, 11.0, 1, 0.01, rng)
    # the multiplet's reference is at 0.25: bring it to that of the register
    fids = series.fids.copy()
    fids[0] *= P_EQ / 0.25
    series = replace(
        series,
        fids=fids,
        axis=Axis(name="delay", unit="s", values=np.concatenate([[0.0], TIMES]), source="test"),
    )
    data = written(series, tmp_path / "coupled")
    found = fit(nmrqb, data, "--undecoupled", "--region=-1.0:1.3")
    curve = found["curve"]
    distance = (np.array(curve["magnetisation"]) - r_z) / np.array(curve["magnetisation_stderr"])
    assert abs(distance).max() < 4.0
    manifolds = found["manifolds"]
    assert abs(manifolds["coupling_hz"] - 11.0) < 4.0 * manifolds["coupling_stderr_hz"]
    assert any("no correlation with 1 charger" in w for w in manifolds["words"])
    assert json.dumps(manifolds, allow_nan=False)


def test_magnetisation_of_nine_batteries_shows_a_lower_bound_and_says_so():
    found = battery_quantities(np.zeros(1), np.array([-0.5]), np.array([0.01]), 0.0, batteries=9)
    assert "lower bound of the collective" in found.kind
    alone = battery_quantities(np.zeros(1), np.array([-0.5]), np.array([0.01]), 0.0)
    assert "local and collective are the same" in alone.kind


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("no-reference", "thermal reference of its own"),
        ("other-rows", "rows of the z read-out"),
        ("no-region", "--region"),
        ("central-charger", "centre of the star"),
        ("both", "undecoupled multiplet"),
        ("other-model", "belongs to --model charging"),
    ],
)
def test_read_outs_that_do_not_fit_together_give_one_line(nmrqb, tmp_path, case, words):
    z = written(series_of([P_EQ, *charging_rows()], 0.02, 1), tmp_path / "z")
    across = series_of([P_EQ, *charging_rows()], 0.02, 2)
    match case:
        case "no-reference":
            across = replace(across, reference_row=None)
        case "other-rows":
            across = replace(across, axis=replace(across.axis, values=across.axis.values * 1.5))
    xy = written(across, tmp_path / "xy")
    options = {
        "no-reference": ["--transverse", xy],
        "other-rows": ["--transverse", xy],
        "no-region": ["--undecoupled"],
        "central-charger": ["--undecoupled", "--region=-1:3"],
        "both": ["--undecoupled", "--region=-1:3", "--transverse", xy],
        "other-model": ["--transverse", xy],
    }[case]
    register, model = "trimethyl_phosphate", "charging"
    if case == "central-charger":
        register = tmp_path / "r.toml"
        source = ROOT / "data" / "registers" / "trimethyl_phosphate_central_charger.toml"
        text = source.read_text(encoding="utf-8")
        swapped = text.replace('"31P"', '"X"').replace('"1H"', '"31P"').replace('"X"', '"1H"')
        register.write_text(swapped, encoding="utf-8")
    if case == "other-model":
        refused = nmrqb("fit", z, "--model", "decay", *options)
    else:
        refused = nmrqb("fit", z, "--model", model, "--register", register, *options)
    assert refused.code == 2
    assert words in refused.complaint
