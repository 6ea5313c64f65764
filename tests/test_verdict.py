"""The verdict command: target, compiled sequence, causes, channel, in one object and one report."""

import numpy as np
import pytest

from nmrqb.studies.error_bound import error_bound, why_no_bound
from nmrqb.studies.plan import make_plan
from nmrqb.studies.verdict import verdict_on


def test_the_command_writes_what_it_prints(nmrqb, tmp_path):
    out = tmp_path / "verdict"
    done = nmrqb("verdict", "asymptotic_chloroform", "-o", out, "--json")
    assert done.code == 0
    result = done.json
    assert (out / "result.json").read_text(encoding="utf-8") == done.out
    assert (out / "SUCCESS").exists()
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in report
    assert {"target.json", "compiled.json"} == {p.name for p in (out / "curves").iterdir()}
    for row in result["results"]:
        whole = row["compiled_energy"] - row["target_energy"]
        assert sum(row["by_cause"].values()) == pytest.approx(whole, abs=1e-12)
        assert abs(whole) <= row["bound"]
        assert row["compiled_ergotropy"] == pytest.approx(2.0 * max(0.0, row["compiled_energy"]))
    assert result["channel"] is not None
    assert nmrqb("verdict", "asymptotic_chloroform", "-o", out).code == 2


def test_scans_follow_from_the_reference(nmrqb):
    # the reference shows p_eq; a hundredth of eps takes (p_eq/(snr 0.01))^2 of the scans it had
    plan = make_plan("asymptotic_chloroform")
    snr, scans = plan.protocol.simulation.reference_snr, plan.protocol.scans
    wanted = scans * (plan.register.equilibrium_ratio / (snr * 0.01)) ** 2
    found = verdict_on(plan).scans_for_wanted_error
    assert found == max(1, int(np.ceil(wanted)))


def test_violated_limits_are_part_of_the_verdict(nmrqb, edited):
    slow = edited(
        "data/spectrometers/generic.toml",
        (r"^maximum_duration = .*$", 'maximum_duration = "1 s"'),
        name="slow.toml",
    )
    protocol = edited(
        "protocols/asymptotic_chloroform.toml",
        (r'^spectrometer = "generic"', f'spectrometer = "{slow.name}"'),
    )
    done = nmrqb("verdict", protocol, "--json")
    assert done.code == 1
    assert done.json["status"] == "no"
    assert "whole experiment" in done.json["violations"][0]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("driven_compiled_trimethyl_phosphate", "pseudo-pure"),
        ("spin_lock_mismatch_chloroform", "fields differ"),
    ],
)
def test_no_bound_is_stated_where_none_is_known(name, why):
    plan = make_plan(name)
    assert why in why_no_bound(plan)
    with pytest.raises(ValueError, match=why):
        error_bound(plan)


def test_a_verdict_needs_a_reference(nmrqb, edited):
    protocol = edited(
        "protocols/charger_t1_trimethyl_phosphate.toml",
        (r'\n\[reference\]\nkind = "thermal"\n', "\n"),
    )
    done = nmrqb("verdict", protocol)
    assert done.code == 2
    assert "a verdict needs a reference" in done.complaint
