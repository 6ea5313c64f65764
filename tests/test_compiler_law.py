"""The compiler law: a compiled protocol strays from its ideal target by no more than was stated."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import HypothesisProvider
from legal_protocols import charging_plans

from nmrqb.errors import LimitError
from nmrqb.files.pulse_programs.export import export
from nmrqb.protocol.steps import DrivenExchangeStep
from nmrqb.studies.error_bound import FLOOR, error_bound
from nmrqb.studies.plan import make_plan, plan_of
from nmrqb.studies.rungs import rungs_of
from nmrqb.studies.verdict import verdict_on

PARTS, EXAMPLES = 8, 260


def deviation(plan):
    rungs = rungs_of(plan)
    return np.abs(rungs[-1].polarisations(plan) - rungs[0].polarisations(plan))


@pytest.mark.parametrize("part", range(PARTS))
def test_no_protocol_strays_further_than_stated_and_the_statement_is_tight(part, monkeypatch):
    # constants of modules that happen to be loaded would change the examples from run to run
    monkeypatch.setattr(HypothesisProvider, "_maybe_draw_constant", lambda *_, **__: None)
    ratios, broken = [], []

    @seed(1000 + part)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(charging_plans())
    def law(plan):
        if plan is None:
            return
        stated = error_bound(plan)
        actual = deviation(plan)
        broken.extend(
            f"{plan.protocol.cycle} x {plan.protocol.cycles} of {plan.register.satellites} "
            f"satellites, row {k}: {actual[k]:.3g} > {stated.rows[k]:.3g}"
            for k in np.flatnonzero(actual > stated.rows)
        )
        ratios.append(stated.largest / max(float(actual.max()), 1e-6))
        console = "bruker" if len(ratios) % 2 else "varian"
        if not isinstance(plan.protocol.cycle[0], DrivenExchangeStep) and not isinstance(
            plan.protocol.cycle[1], DrivenExchangeStep
        ):
            # reads the text back and compares it tick by tick before it returns
            export(plan.compiled, plan.register, plan.spectrometer, console)

    law()
    assert not broken, "\n".join(broken)
    assert len(ratios) > 0.9 * EXAMPLES
    assert np.median(ratios) <= 5.0
    assert np.quantile(ratios, 0.95) <= 50.0


@seed(7)
@settings(max_examples=60, deadline=None, database=None, phases=[Phase.generate])
@given(charging_plans(), st.floats(0.01, 0.95))
def test_nothing_that_violates_a_limit_is_exported(plan, share):
    if plan is None:
        return
    tight = dataclasses.replace(
        plan.spectrometer, maximum_duration_s=share * plan.compiled.duration_s
    )
    broken = plan_of(plan.protocol, plan.register, tight, "tight")
    assert broken.compiled.violations
    for console in ("bruker", "varian"):
        with pytest.raises(LimitError, match="the whole experiment must be at most"):
            export(broken.compiled, plan.register, tight, console)


def test_the_causes_add_up_to_the_whole_deviation():
    verdict = verdict_on(make_plan("asymptotic_native_trimethyl_phosphate"))
    whole = verdict.compiled.energy - verdict.target.energy
    assert sum(verdict.by_cause.values()) == pytest.approx(whole, abs=1e-12)
    for cause, part in verdict.by_cause.items():
        allowed = verdict.bound.by_cause[cause] + verdict.bound.memory + FLOOR
        assert (np.abs(part) <= allowed).all(), cause


def test_each_cause_vanishes_with_what_makes_it():
    plan = make_plan("single_shot_native_trimethyl_phosphate")
    register, console = plan.register, plan.spectrometer
    lasting = {
        place: dataclasses.replace(
            getattr(register, place),
            **{
                name: dataclasses.replace(getattr(getattr(register, place), name), value=1e6)
                for name in ("t1_s", "t2_s", "t2_star_s")
            },
            t1_rho_s=None,
        )
        for place in ("center", "satellite")
    }
    still = plan_of(plan.protocol, dataclasses.replace(register, **lasting), console, "still")
    found = verdict_on(still).by_cause
    assert np.abs(found["relaxation"]).max() < 1e-4 * np.abs(found["exchange steps"]).max()
    steps = [
        dataclasses.replace(s, steps=2 * s.steps) if getattr(s, "steps", None) else s
        for s in plan.protocol.cycle
    ]
    finer = plan_of(
        dataclasses.replace(plan.protocol, cycle=tuple(steps)), register, console, "finer"
    )
    coarse, fine = (np.abs(verdict_on(p).by_cause["exchange steps"]).max() for p in (plan, finer))
    # Strang steps are of second order
    assert coarse / fine == pytest.approx(4.0, rel=0.2)
