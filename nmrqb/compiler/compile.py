"""Compile a protocol to pulse sequences on the spectrometer's clock, within its limits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from nmrqb.compiler.hazards import find_hazards, rf_energy
from nmrqb.compiler.limits import Violation, check_limits
from nmrqb.compiler.signs import inept_sign, sign_warnings
from nmrqb.compiler.translations import Translator
from nmrqb.models.exchange import shortest_exchange
from nmrqb.protocol.protocol import Protocol
from nmrqb.protocol.steps import (
    BatterySaturated,
    Crush,
    CycleStep,
    DrivenExchangeStep,
    Echo,
    ExchangeStep,
    Inept,
    Invert,
    PrepareStep,
    PseudoPurePreparation,
    PulseKind,
    PulseStep,
    ReadFid,
    ReadoutStep,
    Reenergise,
    Saturate,
    Target,
    Thermal,
    Wait,
)
from nmrqb.sequence.events import (
    Acquire,
    Crusher,
    Delay,
    DrivenExchange,
    Event,
    Exchange,
    Inversion,
    Loop,
    PseudoPure,
    Pulse,
    PulseSequence,
    Saturation,
    Segment,
)
from nmrqb.spectrometer.spectrometer import Spectrometer
from nmrqb.spins.register import MAX_PULSED_SATELLITES, Species, SpinRegister
from nmrqb.units import format_quantity

#: a Strang step above this angle pi J h sqrt(N) changes the transfer by more than about 1 %
_LARGE_STEP_RAD = 1.0
#: "fully relaxed": the deviation has fallen to e^-5 = 0.7 %
FULL_RELAXATION = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """A requested value that the clock changed."""

    key: str
    requested_s: float
    realised_s: float

    def __str__(self) -> str:
        return (
            f"{self.key}: {format_quantity(self.requested_s, 'time')} became "
            f"{format_quantity(self.realised_s, 'time')} "
            f"(off by {abs(self.realised_s - self.requested_s):.2g} s)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledProtocol:
    """The pulse sequences of a protocol, one for each row of its sweep, and their price.

    Attributes
    ----------
    protocol : Protocol
    sequences : tuple of PulseSequence
    reference : PulseSequence or None
    charging_s : tuple of float
        Time that the cycles of each row take.
    cycle : tuple of events
        One repetition of the cycle in the steady loop (of the first row); empty without a cycle.
    roundings : tuple of Rounding
    violations : tuple of Violation
        Limits that the protocol breaks: nothing with an entry here may go to a console.
    warnings : tuple of str
    rf_energy_joule : tuple of dict
        Of one scan of each row: nucleus -> energy sent to the probe, decoupling included.
    """

    protocol: Protocol
    sequences: tuple[PulseSequence, ...]
    reference: PulseSequence | None
    charging_s: tuple[float, ...]
    cycle: tuple[Event, ...]
    roundings: tuple[Rounding, ...]
    violations: tuple[Violation, ...]
    warnings: tuple[str, ...]
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

    def __str__(self) -> str:
        lines = [
            (
                f"compiled {self.protocol.name}: {len(self.sequences)} sequence(s)"
                f"{' and a reference' if self.reference else ''}, "
                f"{self.protocol.scans} scan(s), {self.duration_s / 3600:.3g} h in all"
            )
        ]
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
    compiler = _Compiler(register, spectrometer)
    rows = [protocol.at(row) for row in range(protocol.rows)]
    longest = max(rows, key=lambda row: row.cycles)
    if any(isinstance(step, Inept) for step in protocol.cycle):
        compiler.inept_sign = inept_sign(compiler.sequence(longest), register)
    sequences = []
    for k, row in enumerate(rows):
        try:
            sequences.append(compiler.sequence(row))
        except ValueError as error:
            if protocol.sweep is None:
                raise
            raise ValueError(f"row {k} of the sweep (sweep.values.{k}): {error}") from None
    reference = compiler.reference(protocol) if protocol.reference else None
    cycle = compiler.repetition(rows[0], after_exchange=True)
    everything = [*sequences, reference] if reference else sequences
    pulsed = any(isinstance(step, PulseStep) for step in protocol.cycle)
    signs = [] if pulsed else sign_warnings(compiler.sequence(longest), register)
    hazards = find_hazards(protocol, register, spectrometer, everything)
    return CompiledProtocol(
        protocol=protocol,
        sequences=tuple(sequences),
        reference=reference,
        charging_s=tuple(compiler.charging_s(row) for row in rows),
        cycle=cycle,
        roundings=tuple(compiler.roundings.values()),
        violations=check_limits(everything, protocol.scans, spectrometer),
        warnings=tuple(dict.fromkeys([*signs, *compiler.warnings, *hazards])),
        rf_energy_joule=tuple(rf_energy(s, spectrometer) for s in sequences),
    )


class _Compiler:
    def __init__(self, register: SpinRegister, spectrometer: Spectrometer) -> None:
        self.register = register
        self.spectrometer = spectrometer
        self.roundings: dict[str, Rounding] = {}
        self.warnings: list[str] = []
        self.inept_sign = 1
        self.translator = Translator(
            register=register, spectrometer=spectrometer, pulse=self._pulse
        )
        spectrometer.channel(register.battery.isotope)
        spectrometer.channel(register.charger.isotope)

    def _check_size(self, what: str) -> None:
        n = self.register.satellites
        if n > MAX_PULSED_SATELLITES:
            raise ValueError(
                f"{what} fills the state of all satellites with coherence and is simulated for at "
                f"most {MAX_PULSED_SATELLITES} of them, but the register has {n}"
            )

    def sequence(self, protocol: Protocol) -> PulseSequence:
        events: list[Event] = []
        for k, prepare in enumerate(protocol.prepare):
            events += self._prepare(prepare, f"prepare.{k}")
        events += self.cycles(protocol)
        for k, readout in enumerate(protocol.readout):
            events += self._readout(readout, f"readout.{k}")
        return self._finished(events, protocol.name)

    def cycles(self, protocol: Protocol) -> list[Event]:
        """Return all cycles: one loop, with its first repetition apart where that one differs."""
        if not protocol.cycle or not protocol.cycles:
            return []
        first = self.repetition(protocol, after_exchange=False)
        later = self.repetition(protocol, after_exchange=True)
        if first == later:
            return [Loop(count=protocol.cycles, body=later)]
        rest = [Loop(count=protocol.cycles - 1, body=later)] if protocol.cycles > 1 else []
        return [*first, *rest]

    def charging_s(self, protocol: Protocol) -> float:
        """Return the time that all cycles take."""
        return sum(event.ticks for event in self.cycles(protocol)) * self.spectrometer.tick_s

    def reference(self, protocol: Protocol) -> PulseSequence:
        assert protocol.reference is not None
        step: PrepareStep = Thermal(relaxation_s=protocol.reference.relaxation_s)
        if protocol.reference.kind == "pseudo-pure":
            step = PseudoPurePreparation(relaxation_s=protocol.reference.relaxation_s)
        events = self._prepare(step, "reference")
        for k, readout in enumerate(protocol.readout):
            excited = replace(readout, excitation="90") if isinstance(readout, ReadFid) else readout
            events += self._readout(excited, f"readout.{k}")
        return self._finished(events, f"{protocol.name}: {protocol.reference.kind} reference")

    def repetition(self, protocol: Protocol, *, after_exchange: bool) -> tuple[Event, ...]:
        """Return one cycle; a flip back acts only on a remnant that an exchange has left."""
        events: list[Event] = []
        exchanged = after_exchange
        for k, step in enumerate(protocol.cycle):
            events += self._cycle(step, f"cycle.{k}", exchanged)
            exchanged = exchanged or isinstance(step, (ExchangeStep, Inept))
        return tuple(events)

    def _finished(self, events: list[Event], name: str) -> PulseSequence:
        return PulseSequence(tick_s=self.spectrometer.tick_s, events=tuple(events), name=name)

    def _prepare(self, step: PrepareStep, key: str) -> list[Event]:
        register = self.register
        match step:
            case Thermal() | PseudoPurePreparation():
                slowest = max(register.center.t1_s.value, register.satellite.t1_s.value)
                full = FULL_RELAXATION * slowest
                wanted = step.relaxation_s if step.relaxation_s is not None else full
                if wanted < full * (1 - 1e-9):
                    self.warnings.append(
                        f"{key}: {wanted:g} s is less than 5 T1 = {full:g} s; the simulation "
                        "starts from full equilibrium all the same"
                    )
                delay: list[Event] = [self._delay(wanted, f"{key}.relaxation", "relaxation")]
                if isinstance(step, PseudoPurePreparation):
                    # spins along the battery's ground state; no pulses are planned for it
                    delay.append(PseudoPure(ticks=1, sign=register.battery.nucleus.sign))
                return delay
            case BatterySaturated():
                full = FULL_RELAXATION * register.charger.t1_s.value
                wanted = step.relaxation_s if step.relaxation_s is not None else full
                if wanted < full * (1 - 1e-9):
                    self.warnings.append(
                        f"{key}: {wanted:g} s is less than 5 T1 of the charger = {full:g} s; the "
                        "simulation starts from full equilibrium all the same"
                    )
                return [
                    self._delay(wanted, f"{key}.relaxation", "relaxation"),
                    self._pulse(register.battery.isotope, 90.0, 0.0, "saturate the battery"),
                    self._crusher(),
                ]
            case Invert() | Wait() | Saturate():
                return self._anywhere(step, key)

    def _anywhere(self, step: Invert | Wait | Saturate, key: str) -> list[Event]:
        match step:
            case Invert():
                return self._inversion(
                    self._species(step.target), step.pulse, f"invert the {step.target}"
                )
            case Wait():
                return [self._delay(step.delay_s, f"{key}.delay", "wait")]
            case Saturate():
                ticks = self._ticks(step.duration_s, f"{key}.duration")
                isotope = self._species(step.target).isotope
                return [Saturation(nucleus=isotope, ticks=ticks)] if ticks else []

    def _cycle(self, step: CycleStep, key: str, exchanged: bool) -> list[Event]:
        match step:
            case ExchangeStep():
                return [self._exchange(step, key)]
            case Crush():
                return [self._crusher()]
            case Reenergise():
                return self._reenergise(step, key, exchanged)
            case Inept():
                self._check_size("INEPT")
                return [self.translator.inept(self.inept_sign, key)]
            case DrivenExchangeStep():
                self._check_size("a driven exchange")
                if step.slices is not None and step.duration_s > 0.0:
                    return [self._driven_by_flips(step, key)]
                return [
                    DrivenExchange(
                        ticks=self._ticks(step.duration_s, f"{key}.duration"),
                        nutation_hz=step.drive_hz,
                        dephasing_per_s=step.dephasing_per_s,
                        relaxes=step.relax_during_exchange,
                    )
                ]
            case PulseStep():
                return self._pulse_of(step, key)
            case Echo():
                self._check_size("an echo")
                return [
                    self.translator.echo(
                        self._species(step.target).isotope, step.duration_s, f"{key}.duration"
                    )
                ]
            case Invert() | Wait() | Saturate():
                return self._anywhere(step, key)

    def _pulse_of(self, step: PulseStep, key: str) -> list[Event]:
        isotope = self._species(step.target).isotope
        ticks = self._ticks(step.length_s, f"{key}.length")
        if not ticks:
            return []
        realised_s = ticks * self.spectrometer.tick_s
        nominal = self.spectrometer.channel(isotope).pulse_90_s
        angle = math.pi / 2.0 * realised_s / nominal
        return [
            Pulse(
                nucleus=isotope,
                ticks=ticks,
                angle_rad=angle,
                phase_rad=step.phase_rad,
                label="pulse of the protocol",
            )
        ]

    def _reenergise(self, step: Reenergise, key: str, exchanged: bool) -> list[Event]:
        charger = self.register.charger.isotope
        must = self.register.must_invert_chargers
        inverted = step.inversion == "ideal" or (step.inversion == "auto" and must)
        events: list[Event] = []
        if step.recovery == "saturated":
            events += [self._pulse(charger, 90.0, 0.0, "saturate the chargers"), self._crusher()]
        elif step.recovery == "flipped-back":
            if not inverted:
                raise ValueError(
                    f"`{key}.recovery` must be left or saturated where the chargers are not "
                    f"inverted ({self.register.battery.isotope} battery, {charger} chargers: "
                    "flipping chargers that point along +z would invert them), but is flipped-back"
                )
            if exchanged:
                events += self._inversion(
                    self.register.charger, step.pulse, "flip the chargers back"
                )
        recovery = self.register.charger.recovery
        if recovery is not None and step.delay_s > recovery.longest_s:
            raise ValueError(
                f"`{key}.delay` must be within the measured recovery curve of the chargers, at "
                f"most {format_quantity(recovery.longest_s, 'time')}, but is "
                f"{format_quantity(step.delay_s, 'time')}"
            )
        events.append(self._delay(step.delay_s, f"{key}.delay", "re-energise"))
        if inverted:
            events += self._inversion(self.register.charger, step.pulse, "invert the chargers")
        return events

    def _exchange(self, step: ExchangeStep, key: str) -> Event:
        coupling = abs(self.register.coupling_hz.value)
        if step.duration_s is not None:
            wanted = step.duration_s
        else:
            assert step.transfer is not None
            jt = shortest_exchange(self.register.satellites, step.transfer)
            if coupling == 0.0 and jt > 0.0:
                raise ValueError(f"`{key}.transfer` needs a coupling, but J is 0 Hz")
            wanted = jt / coupling if jt else 0.0
        if step.exchange == "native":
            assert step.steps is not None
            self._check_size("a native exchange")
            if wanted == 0.0:
                return Delay(ticks=0, label="exchange")
            self._warn_of_few_steps(wanted, step.steps, key)
            return self.translator.native_exchange(wanted, step.steps, key)
        if step.exchange == "hartmann-hahn":
            assert step.spin_lock_hz is not None
            if wanted == 0.0:
                return Delay(ticks=0, label="exchange")
            return self.translator.spin_lock(wanted, step.spin_lock_hz)
        ticks = self._ticks(wanted, f"{key}.duration")
        return Exchange(ticks=ticks, relaxes=step.relax_during_exchange)

    def _driven_by_flips(self, step: DrivenExchangeStep, key: str) -> Segment:
        assert step.slices is not None

        def exchange(model_s: float) -> Event:
            if step.exchange == "native":
                return self.translator.native_exchange(model_s, 1, key)
            ticks = self._ticks(model_s, f"{key} slice")
            return Exchange(ticks=ticks, relaxes=step.relax_during_exchange)

        return self.translator.driven_by_flips(
            step.duration_s, step.slices, step.drive_hz, step.dephasing_per_s, exchange
        )

    def _warn_of_few_steps(self, model_s: float, steps: int, key: str) -> None:
        register = self.register
        turn = math.pi * abs(register.coupling_hz.value) * model_s * math.sqrt(register.satellites)
        # one step of N = 9 at its optimum (1.9 rad) is 5 % wrong, two steps 1 %
        if register.satellites > 1 and turn / steps > _LARGE_STEP_RAD:
            enough = math.ceil(turn / _LARGE_STEP_RAD)
            self.warnings.append(
                f"{key}: {steps} Strang step(s) are few for this exchange, whose transfer is off "
                f"by percents or more: take {enough} or more"
            )

    def _readout(self, step: ReadoutStep, key: str) -> list[Event]:
        match step:
            case Crush():
                return [self._crusher()]
            case ReadFid():
                register = self.register
                observed = register.battery if step.target == "battery" else register.charger
                other = register.charger if step.target == "battery" else register.battery
                dwell = self.spectrometer.ticks(1.0 / step.spectral_width_hz)
                if dwell < 1:
                    raise ValueError(
                        f"`{key}.spectral_width` must be at most "
                        f"{1.0 / self.spectrometer.tick_s:g} Hz (one tick), but is "
                        f"{step.spectral_width_hz:g} Hz"
                    )
                self._note(f"{key}.dwell", 1.0 / step.spectral_width_hz, dwell)
                dead = self.spectrometer.ticks(self.spectrometer.dead_time_s)
                pulses = [self._pulse(observed.isotope, 90.0, 90.0, "read")]
                return [
                    *(pulses if step.excitation == "90" else []),
                    Delay(ticks=dead, label="dead time"),
                    Acquire(
                        nucleus=observed.isotope,
                        points=step.points,
                        dwell_ticks=dwell,
                        decoupled=(other.isotope,),
                    ),
                ]

    def _species(self, target: Target) -> Species:
        return self.register.battery if target == "battery" else self.register.charger

    def _inversion(self, species: Species, kind: PulseKind, label: str) -> list[Event]:
        isotope = species.isotope
        measured = self.spectrometer.channel(isotope).inversion(kind)
        if measured is not None:
            return [
                Inversion(
                    nucleus=isotope,
                    ticks=max(1, self._ticks(measured.length_s, f"{isotope} {kind} inversion")),
                    efficiency=measured.efficiency.value,
                    power_watt=measured.power_watt,
                    label=f"{label} ({kind})",
                )
            ]
        if kind == "adiabatic":
            raise ValueError(
                f"spectrometer {self.spectrometer.name!r} lists no adiabatic inversion of "
                f"{isotope}: give its measured efficiency under `inversions`"
            )
        if kind == "composite":
            return [self.translator.composite_inversion(isotope, label)]
        return [self._pulse(isotope, 180.0, 0.0, label)]

    def _pulse(self, isotope: str, angle_deg: float, phase_deg: float, label: str) -> Pulse:
        exact = self.spectrometer.channel(isotope).pulse_90_s * angle_deg / 90.0
        ticks = max(1, self.spectrometer.ticks(exact))
        self._note(f"{isotope} {angle_deg:g} degree pulse", exact, ticks)
        return Pulse(
            nucleus=isotope,
            ticks=ticks,
            angle_rad=math.radians(angle_deg),
            phase_rad=math.radians(phase_deg),
            amplitude_scale=exact / (ticks * self.spectrometer.tick_s),
            label=label,
        )

    def _crusher(self) -> Crusher:
        whole = self.spectrometer.crusher_s + self.spectrometer.crusher_recovery_s
        return Crusher(
            ticks=max(1, self.spectrometer.ticks(whole)),
            residual=self.spectrometer.crusher_residual,
        )

    def _delay(self, duration_s: float, key: str, label: str) -> Delay:
        return Delay(ticks=self._ticks(duration_s, key), label=label)

    def _ticks(self, duration_s: float, key: str) -> int:
        ticks = self.spectrometer.ticks(duration_s)
        self._note(key, duration_s, ticks)
        return ticks

    def _note(self, key: str, requested_s: float, ticks: int) -> None:
        realised = ticks * self.spectrometer.tick_s
        if not np.isclose(realised, requested_s, rtol=1e-9, atol=1e-15):
            rounding = Rounding(key=key, requested_s=requested_s, realised_s=realised)
            self.roundings[f"{key} {requested_s!r}"] = rounding
