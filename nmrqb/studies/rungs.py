"""From the ideal target of a protocol to its compiled sequences, one cause of error after another.

Each rung adds one cause to the rung above it:

    ideal target      ideal XY exchange (or ideal driven, dephased exchange) of the exact model
                      time, without relaxation while it lasts; pulses and crushers take no time;
                      waits are exact, with T1 and T2
    exchange steps    the exchange as it was compiled: Strang steps, slices, spin lock
    pulse lengths     pulses of their real length
    relaxation        T1 and T2 also during exchanges; crushers of their real length
    field and tips    measured inversion efficiencies, what crushers leave, RF fields and offsets
                      that differ over the sample
    rounding          durations on the console's clock: the compiled protocol itself
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nmrqb.compiler.compile import compile_protocol
from nmrqb.protocol.discharge import Discharge
from nmrqb.protocol.protocol import Protocol
from nmrqb.protocol.steps import CycleStep, DischargeStep, DrivenExchangeStep, ExchangeStep
from nmrqb.sequence.events import PulseSequence
from nmrqb.simulate.simulator import StarSimulator
from nmrqb.spectrometer.spectrometer import Channel, InversionPulse, Spectrometer
from nmrqb.spins.register import Measured
from nmrqb.studies.plan import Plan, Simulator, make_simulator

Array = NDArray[np.float64]
Step: TypeAlias = CycleStep | DischargeStep
#: keys of steps that belong to a translation: the ideal exchange has none of them
_TRANSLATED = frozenset({"steps", "slices", "spin_lock"})
#: a clock that rounds nothing and a length that is none
_INSTANT_S = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step of the way from the target to the compiled protocol.

    Attributes
    ----------
    cause : str
        What this rung adds; "ideal target" for the first.
    sequences : tuple of PulseSequence
        One for each row.
    reference : PulseSequence
    simulator : StarSimulator or EnsembleSimulator
        Keeps what it has computed; rungs may share it.
    """

    cause: str
    sequences: tuple[PulseSequence, ...]
    reference: PulseSequence
    simulator: Simulator

    def polarisations(self, plan: Plan) -> Array:
        """Return the polarisation r_z of every row as its FID shows it, energy label.

        In units of eps or of the pseudo-pure amplitude, calibrated on this rung's reference.
        """
        simulator = self.simulator
        scale = plan.reference_polarisation / _signal(simulator, self.reference)
        return np.array([scale * _signal(simulator, s) for s in self.sequences])


def _signal(simulator: Simulator, sequence: PulseSequence) -> float:
    detected = simulator.simulate(sequence).detected
    assert detected is not None
    return detected[0]


def rungs_of(plan: Plan) -> tuple[Rung, ...]:
    """Return the rungs of a plan, the ideal target first, the compiled protocol last.

    Raises
    ------
    ValueError
        Where the plan has no reference, so that its rows have no scale.
    """
    if plan.compiled.reference is None:
        raise ValueError("an error budget needs a reference")
    console, register = plan.spectrometer, plan.register
    instant = _instant(console)
    timed = replace(
        instant,
        channels=tuple(
            replace(c, pulse_90_s=console.channel(c.nucleus).pulse_90_s) for c in instant.channels
        ),
        minimum_delay_s=console.minimum_delay_s,
    )
    crushed = replace(
        timed, crusher_s=console.crusher_s, crusher_recovery_s=console.crusher_recovery_s
    )
    unrounded = replace(console, tick_s=_INSTANT_S)

    # rungs share simulators, which keep what they have computed
    quiet, loud = StarSimulator(register, quiet_segments=True), StarSimulator(register)
    plain = plan.protocol.simulation
    nominal = plain.b1_points == plain.offset_points == 1
    offsets = plain.battery_offset_hz or plain.charger_offset_hz
    real = loud if nominal and not offsets else make_simulator(plan)

    def rung(
        cause: str,
        change: Callable[[Step], Step],
        spectrometer: Spectrometer,
        simulator: Simulator,
    ) -> Rung:
        protocol = plan.protocol
        # the sweep may be over what an ideal step does not have, such as Strang steps
        alone = protocol.sweep is not None and protocol.axis_name() in _TRANSLATED
        parts = [protocol.at(k) for k in range(protocol.rows)] if alone else [protocol]
        compiled = [
            compile_protocol(
                _with_steps(part, change),
                register,
                spectrometer,
            )
            for part in parts
        ]
        reference = compiled[0].reference
        assert reference is not None
        return Rung(
            cause=cause,
            sequences=tuple(s for c in compiled for s in c.sequences),
            reference=reference,
            simulator=simulator,
        )

    return (
        rung("ideal target", _ideal, instant, quiet),
        rung("exchange steps", _without_relaxation, instant, quiet),
        rung("pulse lengths", _without_relaxation, timed, quiet),
        rung("relaxation", _unchanged, crushed, loud),
        rung("field and tips", _unchanged, unrounded, real),
        Rung(
            cause="rounding",
            sequences=plan.compiled.sequences,
            reference=plan.compiled.reference,
            simulator=real,
        ),
    )


def _instant(console: Spectrometer) -> Spectrometer:
    """Return a console whose pulses and crushers take no time and do what they should."""
    return replace(
        console,
        channels=tuple(_instant_channel(c) for c in console.channels),
        tick_s=_INSTANT_S,
        minimum_delay_s=_INSTANT_S,
        crusher_s=_INSTANT_S,
        crusher_recovery_s=0.0,
        crusher_residual=0.0,
        dead_time_s=0.0,
    )


def _instant_channel(channel: Channel) -> Channel:
    perfect = tuple(
        InversionPulse(
            kind=i.kind,
            efficiency=Measured(value=1.0, nominal=True),
            length_s=_INSTANT_S,
            power_watt=i.power_watt,
        )
        for i in channel.inversions
    )
    return replace(channel, pulse_90_s=_INSTANT_S, inversions=perfect)


def _with_steps(protocol: Protocol, change: Callable[[Step], Step]) -> Protocol:
    changed: dict[str, Any] = {
        section: tuple(change(step) for step in getattr(protocol, section))
        for section in ("cycle", "discharge")
    }
    return replace(protocol, **changed)


def _unchanged(step: Step) -> Step:
    return step


def _without_relaxation(step: Step) -> Step:
    """Return a step that, where it is ideal, does not relax; segments are silenced later."""
    exchanges = ExchangeStep | DrivenExchangeStep | Discharge
    if isinstance(step, exchanges) and step.exchange == "ideal":
        return replace(step, relax_during_exchange=False)
    return step


def _ideal(step: Step) -> Step:
    """Return a step with its ideal exchange, without relaxation while that lasts."""
    match step:
        case ExchangeStep():
            return replace(
                step, exchange="ideal", steps=None, spin_lock_hz=None, relax_during_exchange=False
            )
        case Discharge():
            return replace(step, exchange="ideal", steps=None, relax_during_exchange=False)
        case DrivenExchangeStep():
            return replace(step.ideal, relax_during_exchange=False)
        case _:
            return step
