"""What each step of a protocol becomes: events of one scan, in the order of the protocol."""

from __future__ import annotations

import math
from dataclasses import replace

from nmrqb.compiler.dephased import by_crushers, by_poisson_crushers, choose
from nmrqb.compiler.discharge import discharge_event, load_of
from nmrqb.compiler.elements import Elements
from nmrqb.compiler.translations import Translator
from nmrqb.models.exchange import shortest_exchange
from nmrqb.protocol.discharge import Discharge, Store
from nmrqb.protocol.protocol import Protocol
from nmrqb.protocol.steps import (
    BatterySaturated,
    Crush,
    CycleStep,
    DischargeStep,
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
    Stage,
)
from nmrqb.spectrometer.spectrometer import Spectrometer
from nmrqb.spins.register import FULL_RELAXATION, MAX_PULSED_SATELLITES, Species, SpinRegister
from nmrqb.units import format_quantity

#: a Strang step above this angle pi J h sqrt(N) changes the transfer by more than about 1 %
_LARGE_STEP_RAD = 1.0
#: P2(cos) = 0: a rotation by it leaves nothing of rank 2 and order 0 at rank 2 and order 0
MAGIC_ANGLE_DEG = math.degrees(math.acos(1.0 / math.sqrt(3.0)))


class StepCompiler:
    """Turns the steps of a protocol into events, one method a kind of step."""

    def __init__(self, register: SpinRegister, spectrometer: Spectrometer) -> None:
        self.register = register
        self.spectrometer = spectrometer
        self.make = Elements(spectrometer=spectrometer)
        self.warnings: list[str] = []
        self.choices: list[str] = []
        self.inept_sign = 1
        self.translator = Translator(
            register=register, spectrometer=spectrometer, pulse=self.make.pulse
        )
        for spin in register.spins:
            spectrometer.channel(spin.isotope)

    def _check_size(self, what: str) -> None:
        n = self.register.satellites
        if n > MAX_PULSED_SATELLITES:
            raise ValueError(
                f"{what} fills the state of all satellites with coherence and is simulated for at "
                f"most {MAX_PULSED_SATELLITES} of them, but the register has {n}"
            )

    def sequence(self, protocol: Protocol) -> PulseSequence:
        """Return one scan of a protocol without a sweep."""
        return self.joined(self.stages(protocol), protocol.name)

    def joined(self, stages: tuple[Stage, ...], name: str) -> PulseSequence:
        """Return the scan that stages make up."""
        return self._finished([event for stage in stages for event in stage.events], name)

    def stages(self, protocol: Protocol) -> tuple[Stage, ...]:
        """Return one scan of a protocol without a sweep, stage by stage."""
        prepared: list[Event] = []
        for k, prepare in enumerate(protocol.prepare):
            prepared += self._prepare(prepare, f"prepare.{k}")
        found = [("prepare", prepared), ("charge", self.cycles(protocol))]
        for k, step in enumerate(protocol.discharge):
            found.append((type(step).KIND, self._discharge(step, f"discharge.{k}")))
        read: list[Event] = []
        for k, readout in enumerate(protocol.readout):
            read += self._readout(readout, f"readout.{k}")
        found.append(("read", read))
        return tuple(Stage(name=name, events=tuple(events)) for name, events in found)

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

    def _discharge(self, step: DischargeStep, key: str) -> list[Event]:
        match step:
            case Store():
                return [self.make.delay(step.delay_s, f"{key}.delay", "store")]
            case Discharge():
                return [discharge_event(step, key, self.register, self.make, self.translator)]
            case Crush():
                return [self.make.crusher()]

    def reference(self, protocol: Protocol) -> PulseSequence:
        """Return the scan of the reference: the same read-out after full preparation."""
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
                slowest = max(spin.t1_s.value for spin in register.spins)
                full = FULL_RELAXATION * slowest
                wanted = step.relaxation_s if step.relaxation_s is not None else full
                if wanted < full * (1 - 1e-9):
                    self.warnings.append(
                        f"{key}: {wanted:g} s is less than 5 T1 = {full:g} s; the simulation "
                        "starts from full equilibrium all the same"
                    )
                delay: list[Event] = [self.make.delay(wanted, f"{key}.relaxation", "relaxation")]
                if isinstance(step, PseudoPurePreparation):
                    # spins along the battery's ground state; no pulses are planned for it
                    delay.append(PseudoPure(ticks=1, sign=register.battery.nucleus.sign))
                return delay
            case BatterySaturated():
                slower = max(
                    (spin for spin in register.spins if spin.role != "battery"),
                    key=lambda spin: spin.t1_s.value,
                )
                full = FULL_RELAXATION * slower.t1_s.value
                wanted = step.relaxation_s if step.relaxation_s is not None else full
                if wanted < full * (1 - 1e-9):
                    self.warnings.append(
                        f"{key}: {wanted:g} s is less than 5 T1 of the {slower.role} = {full:g} s; "
                        "the simulation starts from full equilibrium all the same"
                    )
                return [
                    self.make.delay(wanted, f"{key}.relaxation", "relaxation"),
                    self.make.pulse(register.battery.isotope, 90.0, 0.0, "saturate the battery"),
                    self.make.crusher(),
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
                return [self.make.delay(step.delay_s, f"{key}.delay", "wait")]
            case Saturate():
                ticks = self.make.ticks(step.duration_s, f"{key}.duration")
                isotope = self._species(step.target).isotope
                return [Saturation(nucleus=isotope, ticks=ticks)] if ticks else []

    def _cycle(self, step: CycleStep, key: str, exchanged: bool) -> list[Event]:
        match step:
            case ExchangeStep():
                return [self._exchange(step, key)]
            case Crush():
                return [self.make.crusher()]
            case Reenergise():
                return self._reenergise(step, key, exchanged)
            case Inept():
                self._check_size("INEPT")
                return [self.translator.inept(self.inept_sign, key)]
            case DrivenExchangeStep():
                self._check_size("a driven exchange")
                if step.by != "ideal" and step.duration_s > 0.0:
                    return [self._dephased(step, key)]
                return [
                    DrivenExchange(
                        ticks=self.make.ticks(step.duration_s, f"{key}.duration"),
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
        ticks = self.make.ticks(step.length_s, f"{key}.length")
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
            events += self._saturation_train(step)
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
        events.append(self.make.delay(step.delay_s, f"{key}.delay", "re-energise"))
        if inverted:
            events += self._inversion(self.register.charger, step.pulse, "invert the chargers")
        return events

    def _saturation_train(self, step: Reenergise) -> list[Event]:
        charger = self.register.charger.isotope
        events: list[Event] = []
        for k in range(step.saturation_pulses):
            phase = 90.0 * (k % 2)
            events.append(self.make.pulse(charger, 90.0, phase, "saturate the chargers"))
            events.append(self.make.crusher())
        if step.zero_quantum == "rank-2-removed":
            events.append(self.make.pulse(charger, MAGIC_ANGLE_DEG, 0.0, "magic angle"))
            events.append(self.make.crusher())
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
        ticks = self.make.ticks(wanted, f"{key}.duration")
        return Exchange(ticks=ticks, relaxes=step.relax_during_exchange)

    def _dephased(self, step: DrivenExchangeStep, key: str) -> Segment:
        register = self.register
        if register.satellites > 1 and register.center.role == "battery":
            self.warnings.append(
                f"{key}: flips and crushers dephase all {register.satellites} chargers together, "
                "by one field; the target dephases each by its own"
            )
        crusher = self.make.crusher()
        g = math.pi * abs(register.coupling_hz.value)
        if step.by == "auto":
            choice = choose(step, register, crusher.ticks * self.spectrometer.tick_s)
            self.choices.append(f"{key}: {choice.reason}")
            step = choice.step

        def exchange(model_s: float) -> Event:
            if step.exchange == "native":
                return self.translator.native_exchange(model_s, 1, key)
            ticks = self.make.ticks(model_s, f"{key} slice")
            return Exchange(ticks=ticks, relaxes=step.relax_during_exchange)

        if step.by == "crushers":
            segment, realised = by_crushers(step, g, exchange, crusher)
            wanted = 0.5 * step.dephasing_per_s
            if abs(realised - wanted) > 0.01 * wanted:
                self.warnings.append(
                    f"{key}: a whole number of crushers stands for Gamma = {realised:.4g} /s "
                    f"instead of {wanted:.4g} /s"
                )
            return segment
        if step.by == "poisson-crushers":
            return by_poisson_crushers(step, exchange, crusher)
        assert step.slices is not None
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
                return [self.make.crusher()]
            case ReadFid():
                if step.target == "load":
                    load_of(self.register, f"{key}.target")
                observed = self.register.of_role(step.target)
                # chargers and load are coupled to the battery alone
                others = [s for s in self.register.spins if s is not observed]
                if step.target != "battery":
                    others = [self.register.battery]
                dwell = self.spectrometer.ticks(1.0 / step.spectral_width_hz)
                if dwell < 1:
                    raise ValueError(
                        f"`{key}.spectral_width` must be at most "
                        f"{1.0 / self.spectrometer.tick_s:g} Hz (one tick), but is "
                        f"{step.spectral_width_hz:g} Hz"
                    )
                self.make.note(f"{key}.dwell", 1.0 / step.spectral_width_hz, dwell)
                dead = self.spectrometer.ticks(self.spectrometer.dead_time_s)
                pulses = [self.make.pulse(observed.isotope, 90.0, 90.0, "read")]
                return [
                    *(pulses if step.excitation == "90" else []),
                    Delay(ticks=dead, label="dead time"),
                    Acquire(
                        nucleus=observed.isotope,
                        points=step.points,
                        dwell_ticks=dwell,
                        decoupled=tuple(other.isotope for other in others),
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
                    ticks=max(1, self.make.ticks(measured.length_s, f"{isotope} {kind} inversion")),
                    efficiency=measured.efficiency.value,
                    power_watt=measured.power_watt,
                    kind=kind,
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
        return [self.make.pulse(isotope, 180.0, 0.0, label)]
