"""From a protocol file to compiled sequences and their exact and closed prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.charging import ChargingCurve
from nmrqb.battery.energy import ENERGY_UNITS
from nmrqb.compiler.compile import CompiledProtocol, compile_protocol
from nmrqb.errors import InputError
from nmrqb.files.toml import read_protocol, read_register, read_spectrometer
from nmrqb.models.closed_map import ClosedMap
from nmrqb.models.exchange import first_maximum, inept_transfer, unitary_bound
from nmrqb.protocol.protocol import Protocol
from nmrqb.protocol.steps import DrivenExchangeStep, ExchangeStep, Inept, PulseStep, Reenergise
from nmrqb.sequence.events import Event, Loop, PulseSequence
from nmrqb.simulate.dynamics import Conditions
from nmrqb.simulate.ensemble import EnsembleSimulator, ensemble
from nmrqb.simulate.simulator import SimulatedSequence, StarSimulator
from nmrqb.spectrometer.spectrometer import Spectrometer
from nmrqb.spins.register import Load, Species, SpinRegister
from nmrqb.studies.approach import Approach, approach_fixed_point, segments_of
from nmrqb.studies.energy_balance import EnergyBalance, energy_balances, load_warnings
from nmrqb.studies.read_out import read_out

Array = NDArray[np.float64]
Simulator = StarSimulator | EnsembleSimulator

#: closed map and exact simulation that differ by more are worth a word (hbar |omega_B| eps/2)
_MAP_FAILS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A protocol with its register, its spectrometer and its compiled sequences."""

    protocol: Protocol
    register: SpinRegister
    spectrometer: Spectrometer
    compiled: CompiledProtocol
    file: str

    @property
    def is_charging(self) -> bool:
        """True where the cycle holds a transfer from the charger."""
        kinds = (ExchangeStep, Inept, DrivenExchangeStep)
        return any(isinstance(s, kinds) for s in self.protocol.cycle)

    @property
    def is_driven(self) -> bool:
        """True where the charger is driven while it exchanges: no closed map applies."""
        return any(isinstance(s, DrivenExchangeStep) for s in self.protocol.cycle)

    @property
    def is_reenergised(self) -> bool:
        """True where the cycle renews the chargers, so that repeating it leads to a fixed point."""
        return self.is_charging and any(isinstance(s, Reenergise) for s in self.protocol.cycle)

    @property
    def has_closed_map(self) -> bool:
        """True where populations alone describe the plan: no drive, no coherence, no pure start."""
        pulsed = any(isinstance(step, PulseStep) for step in self.protocol.cycle)
        pure = self.protocol.start == "pseudo-pure"
        unread = self.protocol.fid.excitation == "none"
        return not (self.is_driven or pulsed or pure or unread or self.protocol.has_load)

    @property
    def observed(self) -> Species | Load:
        """The species whose FID is read."""
        return self.register.of_role(self.protocol.fid.target)

    @property
    def carrier_ppm(self) -> float:
        """The receiver's carrier: as the protocol says, else on the line."""
        said = self.protocol.fid.carrier_ppm
        return self.observed.shift_ppm if said is None else said

    @property
    def line_offset_hz(self) -> float:
        """Offset of the observed line from the carrier, positive towards higher ppm."""
        base_hz = self.observed.nucleus.larmor_hz(self.register.field_tesla.value)
        return (self.observed.shift_ppm - self.carrier_ppm) * base_hz * 1e-6

    @property
    def partners(self) -> int:
        """Number of spins that one observed spin is coupled to."""
        return self.register.satellites if self.observed is self.register.center else 1

    @property
    def partner(self) -> Species:
        """The species of the star that the observed one is coupled to."""
        register = self.register
        return register.charger if self.observed.role == "battery" else register.battery

    @property
    def reference_polarisation(self) -> float:
        """Polarisation r_z of the reference, in eps or in the pseudo-pure amplitude."""
        if self.protocol.start == "pseudo-pure":
            return 1.0
        return abs(self.register.equilibrium_of(self.observed.role))

    def __str__(self) -> str:
        return f"{self.protocol}\n{self.register}\n{self.compiled}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the plan predicts, exactly and by the closed map.

    Attributes
    ----------
    simulated : tuple of SimulatedSequence
    reference : SimulatedSequence or None
    exact : ChargingCurve
        One point for each row.
    closed : ChargingCurve or None
        By the closed map; None where it does not apply (a pseudo-pure start, a driven charger, a
        discharge, single pulses, which leave coherence).
    target : ChargingCurve or None
        What the plan's driven exchange stands for, where it is compiled to slices and flips.
    translation_error : float or None
        Largest difference in energy of compiled sequence and target, both without relaxation:
        what slices, Strang steps and finite pulses cost.
    other_transfers : dict
        What other ways of charging move at best in one shot, beside the exchange of the plan, in
        units of the chargers' polarisation (per battery).
    p_star_exact, p_star_closed : ndarray, shape (rows,), or None
        Fixed point of each row's cycle (spin label, units of eps, at the end of the cycle).
    cycles_to_saturation, cycles_to_saturation_closed : int or None
        Cycles of the first row's cycle from its start to within 1 % of the fixed point, exactly
        and by the closed map.
    tau : dict
        Definition -> time in seconds or None ("threshold" with n = 1, "slowest-mode").
    balances : tuple of EnergyBalance, or None
        Of every row, where a load takes part.
    """

    simulated: tuple[SimulatedSequence, ...]
    reference: SimulatedSequence | None
    exact: ChargingCurve
    closed: ChargingCurve | None
    target: ChargingCurve | None
    translation_error: float | None
    other_transfers: dict[str, float]
    p_star_exact: Array | None
    p_star_closed: Array | None
    cycles_to_saturation: int | None
    cycles_to_saturation_closed: int | None
    tau: dict[str, float | None]
    balances: tuple[EnergyBalance, ...] | None = None

    @property
    def target_error(self) -> float | None:
        """Largest difference of the energies of compiled sequence and target."""
        if self.target is None:
            return None
        return float(np.abs(self.exact.energy - self.target.energy).max())

    def warnings(self) -> list[str]:
        """Say so where the closed map fails, or where the load is not charged."""
        if self.closed is None:
            return load_warnings(self.balances)
        gap = float(np.abs(self.exact.energy - self.closed.energy).max())
        if gap <= _MAP_FAILS:
            return []
        words = (
            f"The closed map is off by up to {gap:.2g} here: it neglects relaxation during "
            "transfers and order between spins; the exact simulation holds."
        )
        return [words]


def make_plan(protocol: str | Path | Protocol, *, seed: int | None = None) -> Plan:
    """Read a protocol with its register and spectrometer, and compile it.

    Parameters
    ----------
    protocol : str, Path or Protocol
        A shipped name, a path, or a Protocol.
    seed : int, optional
        Overrides the protocol's.

    Raises
    ------
    InputError
        Where a file or a combination of files cannot be used.
    """
    file = protocol.name if isinstance(protocol, Protocol) else str(protocol)
    if not isinstance(protocol, Protocol):
        protocol = read_protocol(protocol)
    if seed is not None:
        try:
            protocol = replace(protocol, simulation=replace(protocol.simulation, seed=seed))
        except ValueError as error:
            raise InputError(str(error), key="--seed", value=seed) from None
    register = read_register(_name_or_path(protocol.register))
    spectrometer = read_spectrometer(_name_or_path(protocol.spectrometer))
    return plan_of(protocol, register, spectrometer, file)


def plan_of(
    protocol: Protocol, register: SpinRegister, spectrometer: Spectrometer, file: str
) -> Plan:
    """Compile a protocol for a register and a spectrometer; `file` is for messages.

    Raises
    ------
    InputError
        Where they contradict each other.
    """
    try:
        compiled = compile_protocol(protocol, register, spectrometer)
    except ValueError as error:
        raise InputError(str(error), file=file) from None
    plan = Plan(
        protocol=protocol,
        register=register,
        spectrometer=spectrometer,
        compiled=compiled,
        file=file,
    )
    places = max(protocol.simulation.b1_points, protocol.simulation.offset_points)
    if places > 1 and register.load is not None:
        raise InputError(
            f"must be 1 with a load, whose RF field is not varied, but is {places}",
            file=file,
            key="simulation.b1_points, simulation.offset_points",
            value=places,
            limit="1",
        )
    width_hz = protocol.fid.spectral_width_hz
    if abs(plan.line_offset_hz) > 0.4 * width_hz:
        raise InputError(
            f"the line at {plan.observed.shift_ppm:g} ppm lies {plan.line_offset_hz:.4g} Hz from "
            f"the carrier, outside 80 % of the spectral width {width_hz:.4g} Hz",
            file=file,
            key="readout.carrier",
            value=f"{plan.carrier_ppm:g} ppm",
        )
    return plan


def _name_or_path(text: str) -> str | Path:
    return Path(text) if text.endswith(".toml") else text


def make_simulator(plan: Plan) -> Simulator:
    """Return the simulator of a plan: one molecule, or the sample as the plan describes it."""
    wanted, register = plan.protocol.simulation, plan.register
    offsets = (wanted.battery_offset_hz, wanted.charger_offset_hz)
    center_hz, satellite_hz = offsets if register.center.role == "battery" else offsets[::-1]
    if wanted.b1_points == 1 and wanted.offset_points == 1:
        here = Conditions(offset_center_hz=center_hz, offset_satellite_hz=satellite_hz)
        return StarSimulator(register, conditions=here)
    spread = tuple(
        plan.spectrometer.channel(s.isotope).b1_spread
        for s in (register.center, register.satellite)
    )
    members = ensemble(
        register,
        b1_spread=(spread[0], spread[1]),
        b1_points=wanted.b1_points,
        offset_points=wanted.offset_points,
        offset_hz=(center_hz, satellite_hz),
    )
    return EnsembleSimulator(register, members)


def make_closed_map(plan: Plan) -> ClosedMap:
    """Return the closed map, with what each segment of the plan does by itself."""
    alone = StarSimulator(plan.register, relaxes=False)
    tick_s = plan.spectrometer.tick_s
    sequences = [*plan.compiled.sequences, *([r] if (r := plan.compiled.reference) else [])]
    found: dict[Event, Array] = {}
    for events in (plan.compiled.cycle, *(s.events for s in sequences)):
        for segment in segments_of(events):
            if segment not in found:
                found[segment] = alone.transfer(segment, tick_s)
    return ClosedMap(register=plan.register, tick_s=tick_s, measured=found)


def curve_of(
    plan: Plan,
    r_z: Array,
    times: Array,
    provenance: str,
    covariance: Array | None = None,
) -> ChargingCurve:
    """Return polarisations of a plan's rows as its kind of charging curve.

    Parameters
    ----------
    plan : Plan
    r_z : ndarray, shape (rows,)
        Energy label; units of eps, or of the pseudo-pure amplitude.
    times : ndarray, shape (rows,)
    provenance : str
    covariance : ndarray, shape (rows, rows), optional
    """
    cycles = np.array([plan.protocol.at(row).cycles for row in range(plan.protocol.rows)])
    if plan.protocol.start == "pseudo-pure":
        register = plan.register
        return ChargingCurve.from_pseudo_pure(
            times=times,
            r_z=r_z,
            batteries=register.satellites if register.satellite.role == "battery" else 1,
            cycles=cycles,
            covariance=covariance,
            provenance=provenance,
        )
    return ChargingCurve.from_magnetisation(
        times=times,
        r_z=r_z,
        cycles=cycles,
        covariance=covariance,
        start="thermal",
        provenance=provenance,
        energy_unit=ENERGY_UNITS[plan.protocol.fid.target],
    )


def simulate_plan(
    plan: Plan, simulator: Simulator, progress: Callable[[str], None] = lambda _: None
) -> tuple[tuple[SimulatedSequence, ...], SimulatedSequence | None, ChargingCurve]:
    """Return every row and the reference as simulated, and the exact curve of the rows."""
    compiled = plan.compiled
    rows = []
    for k, sequence in enumerate(compiled.sequences, start=1):
        progress(
            f"simulating row {k} of {len(compiled.sequences)}, {plan.register.satellites + 1} spins"
        )
        rows.append(simulator.simulate(sequence))
    simulated = tuple(rows)
    reference = simulator.simulate(compiled.reference) if compiled.reference else None
    r_exact = read_out(plan, simulated, reference)
    provenance = f"exact simulation: {simulator.engine}"
    return simulated, reference, curve_of(plan, r_exact, row_times(plan), provenance)


def predict(
    plan: Plan,
    simulator: Simulator | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Prediction:
    """Simulate every row exactly, and by the closed map beside it; `progress` is told each row."""
    compiled, register = plan.compiled, plan.register
    simulator = simulator or make_simulator(plan)
    simulated, reference, exact = simulate_plan(plan, simulator, progress)
    observed_battery = plan.protocol.fid.target == "battery"
    times = exact.times
    closed = p_exact = p_closed = None
    approach = Approach(tau={})
    if plan.has_closed_map:
        closed_map = make_closed_map(plan)
        role = plan.observed.role
        assert role != "load"  # has_load
        closed_p = np.array([closed_map.detected(s, role) for s in compiled.sequences])
        closed = curve_of(plan, plan.observed.nucleus.sign * closed_p, times, "closed map")
        if plan.is_reenergised and observed_battery:
            tick = plan.spectrometer.tick_s
            bodies = [_steady_cycle(s) or compiled.cycle for s in compiled.sequences]
            kept = {
                body: (simulator.fixed_point(body, tick), closed_map.fixed_point(body))
                for body in dict.fromkeys(bodies)
            }
            pairs = np.array([kept[body] for body in bodies])
            p_exact, p_closed = pairs[:, 0], pairs[:, 1]
            approach = approach_fixed_point(
                plan, simulator, closed_map, float(p_exact[0]), float(p_closed[0])
            )
    ideal = _ideal_twin(plan)
    target = None
    if ideal is not None:
        target = replace(predict(ideal).exact, provenance="target: ideal driven, dephased exchange")
    return Prediction(
        target=target,
        translation_error=None if ideal is None else _translation_error(plan, ideal),
        simulated=simulated,
        reference=reference,
        exact=exact,
        closed=closed,
        other_transfers=_other_transfers(register) if plan.is_charging else {},
        p_star_exact=p_exact,
        p_star_closed=p_closed,
        cycles_to_saturation=approach.cycles,
        cycles_to_saturation_closed=approach.cycles_closed,
        balances=_balances(plan, simulator),
        tau=approach.tau,
    )


def _balances(plan: Plan, simulator: Simulator) -> tuple[EnergyBalance, ...] | None:
    if not plan.protocol.has_load:
        return None
    assert isinstance(simulator, StarSimulator)
    return energy_balances(plan.compiled, plan.register, simulator.conditions)


def _ideal_twin(plan: Plan) -> Plan | None:
    """Return the plan with the ideal driven exchange that it was compiled from, if it was."""
    steps = plan.protocol.cycle
    if not any(isinstance(s, DrivenExchangeStep) and s.by != "ideal" for s in steps):
        return None
    ideal = tuple(s.ideal if isinstance(s, DrivenExchangeStep) else s for s in steps)
    protocol = replace(plan.protocol, cycle=ideal)
    return plan_of(protocol, plan.register, plan.spectrometer, plan.file)


def _translation_error(plan: Plan, ideal: Plan) -> float:
    """Return the largest difference of two plans' energies without relaxation."""
    alone = StarSimulator(plan.register, relaxes=False)
    sign = plan.register.battery.nucleus.sign

    def curve(which: Plan) -> Array:
        levels = [alone.simulate(s).battery_z[-3] for s in which.compiled.sequences]
        times = row_times(which)
        return curve_of(which, sign * np.array(levels), times, "without relaxation").energy

    return float(np.abs(curve(plan) - curve(ideal)).max())


def _other_transfers(register: SpinRegister) -> dict[str, float]:
    """Return the best single shots of exchange and INEPT, and the bound of any unitary."""
    central = register.center.role == "battery"
    n = register.satellites
    share = 1.0 if central else 1.0 / n
    found = {
        "exchange": share * first_maximum(n)[1],
        "refocused INEPT": inept_transfer(n, to_center=central),
    }
    if central:
        found["bound of any unitary"] = unitary_bound(n)
    return found


def row_times(plan: Plan) -> Array:
    """Return the time of each row in seconds: the charging time, or the swept delay."""
    sweep = plan.protocol.sweep
    if plan.protocol.model != "charging" and sweep is not None and sweep.unit == "s":
        return np.array(sweep.values)
    return np.array(plan.compiled.charging_s)


def _steady_cycle(sequence: PulseSequence) -> tuple[Any, ...] | None:
    loops = [event.body for event in sequence.events if isinstance(event, Loop)]
    return loops[-1] if loops else None
