"""Measurements of molecules and pulses that are not what was registered."""

from dataclasses import replace

from nmrqb.spins.register import Measured
from nmrqb.studies.measurement import simulate_measurement
from nmrqb.studies.plan import make_plan, plan_of, predict
from nmrqb.studies.plan_parameters import plan_parameters
from nmrqb.studies.run import analyse

SOURCE = "registered for this test"


def registered(value, stderr):
    """Return a number with a registered standard error."""
    return Measured(value=value, stderr=stderr, source=SOURCE)


def plan_with_errors(name, *, coupling=0.01, t1=0.02, t2=0.1, **simulation):
    """Return a shipped plan whose J, T1 and T2 have registered relative errors."""
    plan = make_plan(name)
    register = plan.register

    def species(s):
        return replace(
            s,
            t1_s=registered(s.t1_s.value, t1 * s.t1_s.value),
            t2_s=registered(s.t2_s.value, t2 * s.t2_s.value),
        )

    j = register.coupling_hz.value
    register = replace(
        register,
        center=species(register.center),
        satellite=species(register.satellite),
        coupling_hz=registered(j, abs(coupling * j)),
    )
    protocol = replace(plan.protocol, simulation=replace(plan.protocol.simulation, **simulation))
    return plan_of(protocol, register, plan.spectrometer, name)


def changed(plan, **values):
    """Return the plan with other true values, its sequences as they were compiled."""
    found = {p.name: p for p in plan_parameters(plan)}
    for name, value in values.items():
        plan = found[name].change(plan, value)
    return plan


def registered_truth(plan, rng):
    """Return a plan with true values drawn from the registered errors."""
    values = {}
    for p in plan_parameters(plan):
        if p.registered.stderr:
            drawn = p.registered.value + p.registered.stderr * rng.standard_normal()
            values[p.name] = min(max(drawn, p.range[0]), p.range[1])
    return changed(plan, **values)


def measured_curves(plan, truth, seeds):
    """Yield the curve that a spectrometer with these true spins gives, for each seed of noise."""
    prediction = predict(truth)
    for seed in seeds:
        series = simulate_measurement(truth, prediction, seed)
        yield analyse(plan, prediction, series, seed).measured
