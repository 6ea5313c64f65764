"""Every shipped protocol walks the whole road."""

import numpy as np
import pytest

from nmrqb.files.shipped import shipped_names
from nmrqb.files.toml import read_register
from nmrqb.models.exchange import exchange_transfer
from nmrqb.studies.plan import make_plan, predict


@pytest.mark.parametrize("name", shipped_names("protocol"))
def test_every_protocol_runs_within_the_limits_and_agrees_with_its_prediction(
    nmrqb, tmp_path, name
):
    outcome = nmrqb("run", name, "-o", tmp_path / "out", "--json", "--seed", "3")
    assert outcome.code == 0, outcome.err
    assert outcome.json["status"] == "ok"
    assert outcome.json["plan"]["violations"] == []
    for row in outcome.json["results"]:
        for parameter in row["parameters"].values():
            # an error without a scale is worse than none
            if parameter["stderr"] is not None:
                assert parameter["stderr"] > 1e-6 * abs(parameter["value"])


@pytest.mark.parametrize(
    "name",
    ["single_shot_chloroform", "single_shot_acetonitrile", "single_shot_trimethyl_phosphate",
     "single_shot_ttss"],
)  # fmt: skip
def test_single_shots_follow_b_n_of_their_star(name):
    plan = make_plan(name)
    prediction = predict(plan)
    durations = np.array(plan.protocol.sweep.values)
    jt = durations * plan.register.coupling_hz.value
    b = exchange_transfer(plan.register.satellites, jt)
    # from a saturated battery with full chargers E = b; relaxation during up to 0.1 s of a
    # coherence that lives 3 s or longer costs a few percent (chloroform: 5 ms of 0.3 s)
    sign = -plan.register.battery.nucleus.sign
    charger = sign * (-1 if plan.register.must_invert_chargers else 1)
    assert charger == 1
    assert prediction.exact.energy == pytest.approx(b, abs=0.05)
    assert prediction.p_star_exact is None


def test_the_register_template_is_a_register():
    from nmrqb.files.shipped import shipped_folder

    template = shipped_folder("register").parent / "templates" / "register.toml"
    register = read_register(template)
    assert register.satellites == 9
    assert register.coupling_hz.stderr == 0.1
