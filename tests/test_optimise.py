"""The search for the best re-energised charging."""

import dataclasses
import math

import numpy as np
import pytest

from nmrqb.studies import optimise as search
from nmrqb.studies.optimise import optimise, with_candidate
from nmrqb.studies.plan import make_plan, plan_of, predict


@pytest.fixture
def coarse(monkeypatch):
    monkeypatch.setattr(search, "GRID", (60, 60))


def chloroform(edited, target):
    return make_plan(
        edited(
            "protocols/asymptotic_chloroform.toml",
            (r"^\[sweep\]", f"[target]\n{target}\n\n[sweep]"),
            name="p.toml",
        )
    )


def test_the_best_candidate_is_no_worse_than_a_search_by_hand(edited, coarse):
    plan = chloroform(edited, 'goal = "energy"\nwithin = "60 s"\ntransfer = [0.1, 0.95]')
    found = optimise(plan)
    assert len(found.best) > 3
    assert found.screened == 3 * 60 * 60
    best = found.best[0].energy_exact
    assert best == max(c.energy_exact for c in found.best)
    # by hand, exactly: a few waits and cycles that fit within a minute
    for delay, cycles in ((5.0, 11), (10.0, 5), (15.0, 3), (20.0, 2)):
        candidate = dataclasses.replace(found.best[0], delay_s=delay, cycles=cycles)
        made = plan_of(
            with_candidate(plan.protocol, candidate), plan.register, plan.spectrometer, "p"
        )
        assert predict(made).exact.energy[0] <= best + 0.01
    assert all(c.charging_s <= 60.0 for c in found.best)


def test_closed_map_and_exact_simulation_of_the_best_are_compared(edited, coarse):
    plan = chloroform(edited, 'goal = "energy"\nwithin = "60 s"')
    found = optimise(plan)
    gaps = [abs(c.energy_closed - c.energy_exact) for c in found.best]
    assert found.largest_error == max(gaps)
    assert 0.0 < found.largest_error < 0.05


def test_the_shortest_charging_time_keeps_its_share_of_the_energy(edited, coarse):
    plan = chloroform(edited, 'goal = "charging-time"\nwithin = "10 min"\nat_least = "70 %"')
    found = optimise(plan)
    merits = np.concatenate([-m[np.isfinite(m)] for *_, m in found.grids])
    assert min(c.tau_s for c in found.best) == pytest.approx(merits.min())
    energies = []
    for recovery in ("left", "saturated", "flipped-back"):
        grid = search.ReenergisedGrid(
            register=plan.register, recovery=recovery,
            jt=np.array([search.shortest_exchange(1, b) for b in np.linspace(0.02, 1.0, 60)]),
            delay_s=np.linspace(1.0, 40.0, 60),
        )  # fmt: skip
        energies.append(-grid.fixed_points().min())
    assert all(c.energy_closed >= 0.7 * max(energies) - 1e-9 for c in found.best)


def test_the_reason_names_the_end_of_the_range_where_the_optimum_lies_there(edited, coarse):
    narrow = 'goal = "energy"\nwithin = "200 s"\ndelay = ["0.5 s", "1.5 s"]\nrecovery = '
    reason = optimise(chloroform(edited, narrow + '["saturated"]')).reason
    assert "upper end of its range, 1.5 s" in reason
    # left alone, the full chargers of the start give their best at once
    assert "one cycle is best" in optimise(chloroform(edited, narrow + '["left"]')).reason


def test_inept_is_always_in_the_comparison(edited, coarse):
    found = optimise(chloroform(edited, 'goal = "energy"\nwithin = "60 s"'))
    assert found.inept_energy == pytest.approx(1.0)
    assert "INEPT" in str(found)


def test_the_command_writes_report_map_and_result(nmrqb, tmp_path, coarse):
    outcome = nmrqb("optimise", "optimise_ttss", "-o", tmp_path / "best", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["schema"] == "nmrqb/optimise/1"
    first = outcome.json["results"][0]
    assert first["energy_exact"] == max(c["energy_exact"] for c in outcome.json["results"])
    assert math.isfinite(outcome.json["closed_map_error"])
    page = (tmp_path / "best" / "report.html").read_text()
    assert "refocused INEPT" in page
    assert "data:image/png" in page
    assert (tmp_path / "best" / "SUCCESS").is_file()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ('goal = "speed"\nwithin = "60 s"', ["target.goal", "'energy'", "'charging-time'"]),
        ('goal = "energy"', ["target.within", "missing"]),
        ('goal = "energy"\nwithin = "60"', ["target.within", "time"]),
        ('goal = "energy"\nwithin = "1 h"\ndelay = ["9 s", "1 s"]', ["`delay` must be [low"]),
        ('goal = "energy"\nwithin = "1 min"\ntransfer = [0.1, 2.0]', ["`transfer` must be below"]),
        ('goal = "energy"\nwithin = "1 ms"', ["nothing charges the battery within the target"]),
        ('goal = "charging-time"\nwithin = "1 min"\nat_least = "150 %"', ["at most 100 %"]),
    ],
)  # fmt: skip
def test_a_bad_target_gets_one_line(nmrqb, edited, coarse, target, words):
    path = edited(
        "protocols/asymptotic_chloroform.toml",
        (r"^\[sweep\]", f"[target]\n{target}\n\n[sweep]"),
        name="p.toml",
    )
    outcome = nmrqb("optimise", path, "--json")
    assert outcome.code == 2
    for word in ("p.toml", *words):
        assert word in outcome.err


def test_a_protocol_without_target_or_exchange_cannot_be_optimised(nmrqb):
    assert "target: is missing" in nmrqb("optimise", "asymptotic_ttss", "--json").err
    assert nmrqb("optimise", "inversion_recovery", "--json").code == 2
