"""Compile a protocol to pulse sequences on the spectrometer's clock, within its limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nmrqb.compiler.elements import Rounding
from nmrqb.compiler.hazards import find_hazards, rf_energy
from nmrqb.compiler.heating import equal_heating
from nmrqb.compiler.limits import Violation, check_limits
from nmrqb.compiler.signs import inept_sign, sign_warnings
from nmrqb.compiler.steps import StepCompiler
from nmrqb.protocol.protocol import Protocol
from nmrqb.protocol.steps import (
    Inept,
    PulseStep,
)
from nmrqb.sequence.events import (
    Event,
    Inversion,
    Loop,
    PulseSequence,
    Stage,
)
from nmrqb.spectrometer.spectrometer import Spectrometer
from nmrqb.spins.register import SpinRegister


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledProtocol:
    """The pulse sequences of a protocol, one for each row of its sweep, and their price.

    Attributes
    ----------
    protocol : Protocol
    sequences : tuple of PulseSequence
    reference : PulseSequence or None
    stages : tuple of tuples of Stage
        What each sequence consists of.
    charging_s : tuple of float
        Time from the preparation to the read-out of each row: the cycles, and the discharge where
        there is one.
    cycle : tuple of events
        One repetition of the cycle in the steady loop (of the first row); empty without a cycle.
    roundings : tuple of Rounding
    violations : tuple of Violation
        Limits that the protocol breaks: nothing with an entry here may go to a console.
    warnings : tuple of str
    choices : tuple of str
        What the compiler picked where it was asked to, and why.
    rf_energy_joule : tuple of dict
        Of one scan of each row: nucleus -> energy sent to the probe, decoupling included.
    """

    protocol: Protocol
    sequences: tuple[PulseSequence, ...]
    reference: PulseSequence | None
    stages: tuple[tuple[Stage, ...], ...]
    charging_s: tuple[float, ...]
    cycle: tuple[Event, ...]
    roundings: tuple[Rounding, ...]
    violations: tuple[Violation, ...]
    warnings: tuple[str, ...]
    choices: tuple[str, ...]
    rf_energy_joule: tuple[dict[str, float], ...]

    @property
    def duration_s(self) -> float:
        """Wall-clock time of all rows, the reference and all scans."""
        once = sum(s.duration_s for s in self.sequences)
        once += self.reference.duration_s if self.reference else 0.0
        return once * self.protocol.scans

    @property
    def cycle_s(self) -> float:
        """Length of one cycle of the first row."""
        return sum(e.ticks for e in self.cycle) * self.sequences[0].tick_s

    def with_efficiencies(self, spectrometer: Spectrometer) -> CompiledProtocol:
        """Return the same sequences, every inversion as good as `spectrometer` has it."""
        efficiencies: dict[tuple[str, str], float] = {
            (channel.nucleus, inversion.kind): inversion.efficiency.value
            for channel in spectrometer.channels
            for inversion in channel.inversions
        }

        # stages and sequences hold the same objects: each is changed once
        known: dict[int, Event] = {}

        def of_event(event: Event) -> Event:
            if not isinstance(event, Inversion | Loop):
                return event
            if id(event) not in known:
                if isinstance(event, Inversion):
                    of_kind = efficiencies[event.nucleus, event.kind]
                    known[id(event)] = replace(event, efficiency=of_kind)
                else:
                    known[id(event)] = replace(event, body=changed(event.body))
            return known[id(event)]

        def changed(events: tuple[Event, ...]) -> tuple[Event, ...]:
            return tuple(of_event(event) for event in events)

        def of_sequence(sequence: PulseSequence) -> PulseSequence:
            return replace(sequence, events=changed(sequence.events))

        return replace(
            self,
            sequences=tuple(of_sequence(s) for s in self.sequences),
            reference=of_sequence(self.reference) if self.reference else None,
            stages=tuple(
                tuple(replace(stage, events=changed(stage.events)) for stage in row)
                for row in self.stages
            ),
            cycle=changed(self.cycle),
        )

    def __str__(self) -> str:
        lines = [
            (
                f"compiled {self.protocol.name}: {len(self.sequences)} sequence(s)"
                f"{' and a reference' if self.reference else ''}, "
                f"{self.protocol.scans} scan(s), {self.duration_s / 3600:.3g} h in all"
            )
        ]
        lines += [f"  chosen: {c}" for c in self.choices]
        lines += [f"  rounding: {r}" for r in self.roundings]
        lines += [f"  warning: {w}" for w in self.warnings]
        lines += [f"  LIMIT VIOLATED: {v}" for v in self.violations]
        return "\n".join(lines)


def compile_protocol(
    protocol: Protocol, register: SpinRegister, spectrometer: Spectrometer
) -> CompiledProtocol:
    """Translate every row of a protocol, and its reference, to the spectrometer's clock.

    Every limit that is broken is listed in the result's `violations`, not only the first.

    Raises
    ------
    ValueError
        Where the protocol contradicts the register or the spectrometer (a channel that is not
        there, a transfer that the star cannot reach, a flip back of chargers on +z).
    """
    compiler = StepCompiler(register, spectrometer)
    rows = [protocol.at(row) for row in range(protocol.rows)]
    longest = max(rows, key=lambda row: row.cycles)
    if any(isinstance(step, Inept) for step in protocol.cycle):
        compiler.inept_sign = inept_sign(compiler.sequence(longest), register)
    sequences, stages = [], []
    for k, row in enumerate(rows):
        try:
            stages.append(compiler.stages(row))
            sequences.append(compiler.joined(stages[-1], row.name))
        except ValueError as error:
            if protocol.sweep is None:
                raise
            raise ValueError(f"row {k} of the sweep (sweep.values.{k}): {error}") from None
    reference = compiler.reference(protocol) if protocol.reference else None
    cycle = compiler.repetition(rows[0], after_exchange=True)
    everything = [*sequences, reference] if reference else sequences
    notes: tuple[str, ...] = ()
    if protocol.heating == "equal":
        equal = equal_heating(everything, register, spectrometer)
        everything, notes = list(equal.sequences), equal.notes
        sequences = everything[: len(rows)]
        reference = everything[-1] if reference else None
    pulsed = any(isinstance(step, PulseStep) for step in protocol.cycle)
    signs = [] if pulsed else sign_warnings(compiler.sequence(longest), register)
    hazards = find_hazards(protocol, register, spectrometer, everything)
    return CompiledProtocol(
        protocol=protocol,
        sequences=tuple(sequences),
        reference=reference,
        stages=tuple(stages),
        charging_s=tuple(
            sum(stage.ticks for stage in row[1:-1]) * spectrometer.tick_s for row in stages
        ),
        cycle=cycle,
        roundings=tuple(compiler.make.roundings.values()),
        violations=check_limits(everything, protocol.scans, spectrometer),
        warnings=tuple(dict.fromkeys([*signs, *compiler.warnings, *notes, *hazards])),
        choices=tuple(dict.fromkeys(compiler.choices)),
        rf_energy_joule=tuple(rf_energy(s, spectrometer) for s in sequences),
    )
