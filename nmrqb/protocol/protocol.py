"""A protocol: preparation, a repeated cycle, a discharge, read-out, one sweep, a reference."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal

import numpy as np

from nmrqb.protocol.discharge import Discharge
from nmrqb.protocol.steps import (
    CycleStep,
    DischargeStep,
    Echo,
    PrepareStep,
    PseudoPurePreparation,
    PulseStep,
    ReadFid,
    ReadoutStep,
    Recovery,
)
from nmrqb.units import FILE_CONFIG, Unit, file_key

Model = Literal["charging", "recovery", "nutation", "coupling"]
Heating = Literal["as-is", "equal"]
HEATINGS: tuple[Heating, ...] = ("as-is", "equal")
MODELS: tuple[Model, ...] = ("charging", "recovery", "nutation", "coupling")
#: places in the sample that are simulated one by one
MAX_MEMBERS = 1000
#: keys of steps that are whole numbers
COUNTED = frozenset({"steps", "slices"})
MAX_CYCLES = 100_000
MAX_POINTS_OF_SWEEP = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What changes from row to row.

    Attributes
    ----------
    key : str
        ``"cycles"``, or section, step (counted from 0) and key: ``"cycle.0.delay"``.
    values : tuple of float
        In SI units.
    unit : str
        SI unit of the values; "" for numbers.
    """

    key: str
    values: tuple[float, ...]
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The reference: full relaxation, for "pseudo-pure" its preparation, then the same read-out.

    `relaxation_s` is by default 5 T1 of the slowest spin.
    """

    __pydantic_config__ = FILE_CONFIG

    kind: Literal["thermal", "pseudo-pure"]
    relaxation_s: Annotated[float, Unit("time", above=0.0, at_most=1e6)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What an optimisation of re-energised charging is to find.

    Attributes
    ----------
    goal : {"energy", "ergotropy", "charging-time"}
        The largest stored energy or ergotropy within `within_s` (both are largest together: with
        nothing but populations W = 2 max(0, E)), or the shortest tau (slowest mode) among those
        whose limit E(inf) is at least `at_least` of the largest one.
    within_s : float
        Time of all cycles of one scan.
    at_least : float
        0 to 1.
    delay_s, transfer : tuple (low, high)
        Ranges of Delta and b; by default 0.2 T1 to 8 T1 of the charger, and 0.02 to the star's
        first maximum.
    recovery : tuple of {"left", "saturated", "flipped-back"}
        By default all that the signs of gamma allow.
    """

    __pydantic_config__ = FILE_CONFIG

    goal: Literal["energy", "ergotropy", "charging-time"]
    within_s: Annotated[float, Unit("time", above=0.0, at_most=1e6)]
    at_least: Annotated[float, Unit("share", above=0.0, at_most=1.0)] = 0.8
    delay_s: tuple[Annotated[float, Unit("time", at_least=0.0, at_most=1e6)], ...] | None = None
    transfer: tuple[float, ...] | None = None
    recovery: tuple[Recovery, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("delay_s", "transfer"):
            ends = getattr(self, name)
            if ends is not None and not (len(ends) == 2 and 0.0 <= ends[0] <= ends[1]):
                raise ValueError(f"`{file_key(name)}` must be [low, high], but is {list(ends)}")
        if self.transfer is not None and not self.transfer[1] < 1.29:
            raise ValueError(
                "`transfer` must be below 1.29 (no first maximum is higher), but is "
                f"{self.transfer[1]}"
            )
        if self.recovery is not None and not self.recovery:
            raise ValueError("`recovery` must list at least one variant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """How the experiment is simulated.

    Attributes
    ----------
    engine : {"auto", "symmetric"}
        The permutation-symmetric engine is exact for every star register; "auto" takes it.
    seed : int or None
        Of the noise; drawn and recorded where None.
    reference_snr : float or None
        Signal-to-noise ratio of the thermal reference: height over rms noise of its spectrum
        after matched (exponential) apodisation, all scans together.  None: no noise is added.
    b1_points : int
        Odd number of Gauss-Hermite nodes of the RF field of each channel (its `b1_spread`).
    offset_points : int
        Odd number of equally weighted offsets of the field over the sample, from T2*.
    battery_offset_hz, charger_offset_hz : float
        Offsets of the lines from the transmitters, during pulses and delays.
    """

    __pydantic_config__ = FILE_CONFIG

    engine: Literal["auto", "symmetric"] = "auto"
    seed: int | None = None
    reference_snr: float | None = None
    b1_points: int = 1
    offset_points: int = 1
    battery_offset_hz: Annotated[float, Unit("frequency", at_least=-1e6, at_most=1e6)] = 0.0
    charger_offset_hz: Annotated[float, Unit("frequency", at_least=-1e6, at_most=1e6)] = 0.0

    def __post_init__(self) -> None:
        for name in ("b1_points", "offset_points"):
            number = getattr(self, name)
            if number % 2 == 0 or not 1 <= number <= 31:
                raise ValueError(f"`{name}` must be odd and 1 to 31, but is {number}")
        members = self.b1_points**2 * self.offset_points
        if members > MAX_MEMBERS:
            raise ValueError(
                f"`b1_points`^2 x `offset_points` must be at most {MAX_MEMBERS} runs, but is "
                f"{members}"
            )
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise ValueError(f"`seed` must be 0 to 2^63 - 1, but is {self.seed}")
        if self.reference_snr is not None and not (
            math.isfinite(self.reference_snr) and 0.1 <= self.reference_snr <= 1e6
        ):
            raise ValueError(f"`reference_snr` must be 0.1 to 1e6, but is {self.reference_snr}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """What the experimenter wants.

    Attributes
    ----------
    name, description : str
    register, spectrometer : str
        Names of shipped files or paths.
    prepare, cycle, discharge, readout : tuples of steps
        The cycle is repeated `cycles` times, the discharge follows once; the read-out ends with
        one FID.
    cycles, scans : int
    sweep : Sweep or None
    reference : Reference or None
    simulation : Simulation
    target : Target or None
        What ``optimise`` is asked for.
    model : {"charging", "recovery", "nutation", "coupling"}
        What is fitted to the result.
    heating : {"as-is", "equal"}
        "equal": pulses far off resonance, early in the relaxation delay, give every scan the same
        RF energy.
    """

    name: str
    register: str
    spectrometer: str
    prepare: tuple[PrepareStep, ...]
    cycle: tuple[CycleStep, ...]
    readout: tuple[ReadoutStep, ...]
    discharge: tuple[DischargeStep, ...] = ()
    cycles: int = 1
    scans: int = 1
    sweep: Sweep | None = None
    reference: Reference | None = None
    simulation: Simulation = Simulation()
    target: Target | None = None
    model: Model = "charging"
    heating: Heating = "as-is"
    description: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.cycles <= MAX_CYCLES:
            raise ValueError(f"`cycles` must be 0 to {MAX_CYCLES}, but is {self.cycles}")
        if self.heating not in HEATINGS:
            raise ValueError(
                f"`heating` must be one of {', '.join(HEATINGS)}, but is {self.heating!r}"
            )
        if not 1 <= self.scans <= 10**6:
            raise ValueError(f"`scans` must be 1 to 1000000, but is {self.scans}")
        if not self.prepare:
            raise ValueError("`prepare` must hold at least one step")
        if not self.readout or not isinstance(self.readout[-1], ReadFid):
            raise ValueError('`readout` must end with a step of kind "fid"')
        if any(isinstance(step, ReadFid) for step in self.readout[:-1]):
            raise ValueError('`readout` must hold one step of kind "fid"')
        if self.reference is None and self.fid.target != "charger" and self.model == "charging":
            raise ValueError(
                "`reference` is missing: without a thermal reference no polarisation and no "
                "energy can be given"
            )
        if self.start == "pseudo-pure" and self.fid.target != "battery":
            raise ValueError(
                "`target` of the fid must be battery after a pseudo-pure start: energies count "
                "from the battery's ground level"
            )
        if self.start == "pseudo-pure" and self.discharge:
            raise ValueError(
                "`discharge` needs a thermal start: its energies count from the identity level, "
                "those of a pseudo-pure start from the ground level"
            )
        if self.fid.excitation == "none" and self.model != "nutation":
            raise ValueError(
                '`excitation` = "none" belongs to the nutation model: without a read-out pulse a '
                "polarisation along z gives no signal"
            )
        self._check_model()
        if self.reference is not None and self.reference.kind != self.start:
            raise ValueError(
                f"`reference.kind` must be {self.start!r} like the start of the experiment, but "
                f"is {self.reference.kind!r}"
            )

    def _check_model(self) -> None:
        """Refuse a model that the sweep does not feed."""
        if self.sweep is None or self.model == "charging":
            return
        key = self.sweep.key
        step: Any = None
        if key != "cycles":
            section, position, _ = sweep_target(self, key)
            step = getattr(self, section)[position]
        wanted, fits = {
            "recovery": ("a swept time", self.sweep.unit == "s"),
            "nutation": (
                "a swept `length` of a pulse on the species that is read without a read-out pulse",
                isinstance(step, PulseStep)
                and step.target == self.fid.target
                and self.fid.excitation == "none"
                and len(self.readout) == 1,
            ),
            "coupling": (
                "a swept `duration` of an echo on the species that is read",
                isinstance(step, Echo) and step.target == self.fid.target,
            ),
        }[self.model]
        if not fits:
            raise ValueError(f"`analysis.model` {self.model} needs {wanted}, but sweeps {key}")

    @property
    def start(self) -> Literal["thermal", "pseudo-pure"]:
        """The state that the experiment starts from."""
        pure = any(isinstance(step, PseudoPurePreparation) for step in self.prepare)
        return "pseudo-pure" if pure else "thermal"

    @property
    def has_load(self) -> bool:
        """True where a load is discharged into or read."""
        discharged = any(isinstance(step, Discharge) for step in self.discharge)
        return discharged or self.fid.target == "load"

    @property
    def fid(self) -> ReadFid:
        """The FID of the read-out."""
        last = self.readout[-1]
        assert isinstance(last, ReadFid)
        return last

    @property
    def rows(self) -> int:
        """Number of rows of the sweep, the reference not counted."""
        return len(self.sweep.values) if self.sweep else 1

    def at(self, row: int) -> Protocol:
        """Return the protocol of one row of the sweep, without a sweep."""
        if self.sweep is None:
            return self
        value = self.sweep.values[row]
        plain = replace(self, sweep=None)
        if self.sweep.key == "cycles":
            return replace(plain, cycles=round(value))
        section, position, name = sweep_target(self, self.sweep.key)
        steps: list[Any] = list(getattr(self, section))
        steps[position] = replace(
            steps[position], **{name: round(value) if name in COUNTED else value}
        )
        changed: dict[str, Any] = {section: tuple(steps)}
        return replace(plain, **changed)

    def axis_name(self) -> str:
        """Return the name of the swept quantity."""
        if self.sweep is None:
            return "row"
        return "cycles" if self.sweep.key == "cycles" else self.sweep.key.rsplit(".", 1)[-1]

    def __str__(self) -> str:
        lines = [f"protocol {self.name}: register {self.register}, {self.spectrometer}"]
        for section in ("prepare", "cycle", "discharge", "readout"):
            if section == "discharge" and not self.discharge:
                continue
            steps = ", ".join(type(s).KIND for s in getattr(self, section))
            times = f" x {self.cycles}" if section == "cycle" else ""
            lines.append(f"  {section}{times}: {steps or 'nothing'}")
        if self.sweep:
            values = np.array(self.sweep.values)
            lines.append(
                f"  sweep of {self.sweep.key}: {len(values)} values, "
                f"{values.min():g} to {values.max():g}"
            )
        return "\n".join(lines)


def sweep_target(protocol: Protocol, key: str) -> tuple[str, int, str]:
    """Return section, position and field that a dotted sweep key names.

    Raises
    ------
    ValueError
        Where the key names nothing that can be swept; the message lists what can.
    """
    found: dict[str, tuple[str, int, str]] = {}
    for section in ("prepare", "cycle", "discharge"):
        for position, step in enumerate(getattr(protocol, section)):
            for f in fields(step):
                if f.name.endswith(("_s", "_hz", "_rad")) or f.name in COUNTED | {"transfer"}:
                    if getattr(step, f.name) is None:
                        continue
                    found[f"{section}.{position}.{file_key(f.name)}"] = (section, position, f.name)
    if key not in found:
        listed = ", ".join(["cycles", *found])
        raise ValueError(f"must be one of {listed}, but is {key!r}")
    return found[key]
