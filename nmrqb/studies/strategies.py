"""One candidate of an optimisation by every way of exchanging that the spectrometer can do."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from nmrqb.errors import InputError
from nmrqb.models.exchange import shortest_exchange
from nmrqb.protocol.protocol import Protocol
from nmrqb.protocol.steps import CycleStep, ExchangeStep, Inept
from nmrqb.spectrometer.spectrometer import Spectrometer
from nmrqb.spins.register import SpinRegister
from nmrqb.studies.plan import Plan, make_simulator, plan_of

#: angle pi J h sqrt(N) of one Strang step: its error is then below about 1 %
_STEP_RAD = 0.6
#: a lock this many times J sqrt(N) leaves the planar coupling alone to 1e-4
_LOCK = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """One way to carry a candidate out on the console.

    Attributes
    ----------
    name : str
    protocol : Protocol
    energy : float or None
        -r_z at the end by exact simulation, relaxation everywhere; None with `reason`.
    duration_s : float or None
        Of all cycles of one scan.
    rf_energy_joule : float or None
        Of one scan, all channels.
    reason : str or None
        Why it cannot be used: a limit of the spectrometer, or of the translation.
    """

    name: str
    protocol: Protocol
    energy: float | None
    duration_s: float | None
    rf_energy_joule: float | None
    reason: str | None

    def __str__(self) -> str:
        if self.energy is None:
            return f"{self.name:24} not possible: {self.reason}"
        return (
            f"{self.name:24} E = {self.energy:.5f}, {self.duration_s:.4g} s of cycles, "
            f"{self.rf_energy_joule:.3g} J of RF a scan"
        )


def strategies_for(plan: Plan, protocol: Protocol) -> tuple[Strategy, ...]:
    """Return native exchange, spin lock and INEPT in place of a protocol's exchange, best first.

    Parameters
    ----------
    plan : Plan
        Register and spectrometer.
    protocol : Protocol
        Of one candidate, without a sweep; its cycle holds one exchange with `transfer`.
    """
    register, console = plan.register, plan.spectrometer
    once = next(s for s in protocol.cycle if isinstance(s, ExchangeStep))
    ways: list[tuple[str, CycleStep]] = [
        ("native exchange", _native(once, register)),
        *_locked(once, register, console),
        ("refocused INEPT", Inept()),
    ]
    found = [_tried(plan, name, _with(protocol, step)) for name, step in ways]
    return tuple(sorted(found, key=lambda s: -math.inf if s.energy is None else s.energy)[::-1])


def _native(step: ExchangeStep, register: SpinRegister) -> ExchangeStep:
    assert step.transfer is not None
    turn = math.pi * shortest_exchange(register.satellites, step.transfer)
    steps = max(1, math.ceil(turn * math.sqrt(register.satellites) / _STEP_RAD))
    return replace(
        step, exchange="native", steps=steps, spin_lock_hz=None, relax_during_exchange=True
    )


def _locked(
    step: ExchangeStep, register: SpinRegister, console: Spectrometer
) -> list[tuple[str, CycleStep]]:
    """Return the spin lock, where the spectrometer has one on both channels."""
    isotopes = (register.center.isotope, register.satellite.isotope)
    strongest = [console.channel(i).strongest_spin_lock_hz for i in isotopes]
    if any(s is None for s in strongest):
        return []
    field = _LOCK * abs(register.coupling_hz.value) * math.sqrt(register.satellites)
    nutation = min(field, *(s for s in strongest if s is not None))
    lock = replace(
        step,
        exchange="hartmann-hahn",
        steps=None,
        spin_lock_hz=nutation,
        relax_during_exchange=True,
    )
    return [("Hartmann-Hahn lock", lock)]


def _with(protocol: Protocol, step: CycleStep) -> Protocol:
    cycle = tuple(step if isinstance(s, ExchangeStep) else s for s in protocol.cycle)
    return replace(protocol, cycle=cycle, sweep=None)


def _tried(plan: Plan, name: str, protocol: Protocol) -> Strategy:
    def impossible(reason: str) -> Strategy:
        return Strategy(
            name=name,
            protocol=protocol,
            energy=None,
            duration_s=None,
            rf_energy_joule=None,
            reason=reason,
        )

    try:
        made = plan_of(protocol, plan.register, plan.spectrometer, plan.file)
    except InputError as error:
        return impossible(error.problems[0].message)
    if made.compiled.violations:
        return impossible(str(made.compiled.violations[0]))
    simulated = make_simulator(made).simulate(made.compiled.sequences[0])
    # the last event before the read-out pulse, the dead time and the acquisition
    p = float(simulated.battery_z[-3])
    return Strategy(
        name=name,
        protocol=protocol,
        energy=-plan.register.battery.nucleus.sign * p,
        duration_s=made.compiled.charging_s[0],
        rf_energy_joule=float(np.sum(list(made.compiled.rf_energy_joule[0].values()))),
        reason=None,
    )
