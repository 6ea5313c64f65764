"""The steps of a protocol.  Every class is one `kind` of a file's step table."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, TypeAlias

from nmrqb.protocol.discharge import Discharge, Store
from nmrqb.units import FILE_CONFIG, Unit

Target = Literal["battery", "charger"]
#: what an FID may read
Observed = Literal["battery", "charger", "load"]
Recovery = Literal["left", "saturated", "flipped-back"]
Inversion = Literal["auto", "ideal", "none"]
PulseKind = Literal["hard", "composite", "adiabatic"]

_Delay = Annotated[float, Unit("time", at_least=0.0, at_most=1e6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thermal:
    """Wait until every spin is in thermal equilibrium; by default 5 T1 of the slowest spin."""

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "thermal"

    relaxation_s: Annotated[float, Unit("time", above=0.0, at_most=1e6)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatterySaturated:
    """Let the chargers recover (by default 5 T1 of the charger), then empty the battery's
    polarisation by a 90 degree pulse and a crusher: p = 0 without waiting for its T1.
    """

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "battery-saturated"

    relaxation_s: Annotated[float, Unit("time", above=0.0, at_most=1e6)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoPurePreparation:
    """Prepare the pseudo-pure state with every spin along the battery's ground state.

    Ideal, simulation only.  Every later signal is the difference of scans from it and from
    saturated spins.
    """

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "pseudo-pure"

    relaxation_s: Annotated[float, Unit("time", above=0.0, at_most=1e6)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invert:
    """Invert the battery or the charger.

    Attributes
    ----------
    target : {"battery", "charger"}
    pulse : {"hard", "composite", "adiabatic"}
        A hard 180, 90x-180y-90x, or the spectrometer's adiabatic pulse.  Where the spectrometer
        lists a measured efficiency of that kind it is used instead of the ideal rotation.
    """

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "invert"

    target: Target
    pulse: PulseKind = "hard"


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseStep:
    """One hard pulse of a given length at the calibrated power."""

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "pulse"

    target: Target
    length_s: Annotated[float, Unit("time", at_least=0.0, at_most=1.0)]
    phase_rad: Annotated[float, Unit("angle", at_least=-100.0, at_most=100.0)] = math.pi / 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """Spin echo with 180s on both species: J evolves for `duration_s`, then back to z.

    z becomes z f(t)^n exp(-t/T2) with n partners, f = cos(pi J t) where those do not relax: a
    measurement of J.
    """

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "echo"

    target: Target
    duration_s: Annotated[float, Unit("time", at_least=0.0, at_most=100.0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturate:
    """Keep a species saturated by weak RF for `duration_s` while the other one relaxes."""

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "saturate"

    target: Target
    duration_s: Annotated[float, Unit("time", at_least=0.0, at_most=1e6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A delay without RF."""

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "wait"

    delay_s: _Delay


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeStep:
    """XY exchange between battery and charger.

    Its length is either `duration_s` or follows from `transfer`, the share b_N(Jt) of the
    chargers' polarisation that one exchange moves (the shortest time that reaches it).  Both are
    the model time of the ideal exchange; the two translations take twice as long.

    Attributes
    ----------
    exchange : {"ideal", "native", "hartmann-hahn"}
        "ideal": the effective Hamiltonian 2 pi J (Sx Ix + Sy Iy), simulation only.  "native":
        XX and YY blocks of the weak coupling between collective 90 degree pulses, refocused, in
        `steps` Strang steps.  "hartmann-hahn": one matched spin lock at `spin_lock_hz`.
    steps : int
        Strang steps of a native exchange.
    spin_lock_hz : float
        Nutation frequency of the lock.
    relax_during_exchange : bool
        False only for the ideal exchange.
    """

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "exchange"

    exchange: Literal["ideal", "native", "hartmann-hahn"]
    duration_s: Annotated[float, Unit("time", at_least=0.0, at_most=1e3)] | None = None
    transfer: float | None = None
    steps: int | None = None
    spin_lock_hz: Annotated[float, Unit("frequency", above=0.0, at_most=1e5)] | None = None
    relax_during_exchange: bool = True

    def __post_init__(self) -> None:
        if (self.duration_s is None) == (self.transfer is None):
            raise ValueError("must have either `duration` or `transfer`, and not both")
        if self.transfer is not None and not 0.0 <= self.transfer < 1.29:
            raise ValueError(
                f"`transfer` must be 0 to 1.28 (no first maximum is higher), but is {self.transfer}"
            )
        if (self.steps is not None) != (self.exchange == "native"):
            raise ValueError('`steps` must be given for exchange = "native", and only there')
        if self.steps is not None and not 1 <= self.steps <= 200:
            raise ValueError(f"`steps` must be 1 to 200, but is {self.steps}")
        if (self.spin_lock_hz is not None) != (self.exchange == "hartmann-hahn"):
            raise ValueError(
                '`spin_lock` must be given for exchange = "hartmann-hahn", and only there'
            )
        if self.exchange != "ideal" and not self.relax_during_exchange:
            raise ValueError('`relax_during_exchange` must be true unless exchange = "ideal"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Inept:
    """Refocused INEPT from charger to battery: one shot that replaces what the battery held.

    Delays are the best ones for the star; the last pulse has the phase that charges, so that the
    chargers need no inversion.
    """

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "inept"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrivenExchangeStep:
    """Exchange while the charger is driven on resonance and dephased.

    H = g (S+ I- + S- I+) + F (C+ + C-) with g = pi J and F = pi `drive_hz`, C the charger; its
    coherences decay at `dephasing_per_s`/2 (gamma_C/2) besides its T2.

    Attributes
    ----------
    drive_hz : float
        Nutation frequency of the charger, F/pi.
    dephasing_per_s : float
        gamma_C.
    duration_s : float
        Model time.
    by : {"ideal", "phase-flips", "crushers", "poisson-crushers", "auto"}
        "ideal": this Hamiltonian and Lindblad operator, simulation only.  "phase-flips":
        `slices` times [half of the drive's angle, exchange, half of the drive's angle, frame of
        the charger flipped with probability (1 - e^{-gamma_C d/2})/2], d = duration/slices.
        "crushers": full gradient crushers whose interval follows from gamma_C >= 8 g;
        "poisson-crushers": a crusher after each of `slices` slices with probability
        1 - e^{-gamma_C d/2}.  Both need drive = 0.  "auto": the compiler picks and says why.
    slices : int or None
        For "phase-flips" and "poisson-crushers".
    exchange : {"ideal", "native"}
        Of each slice; native: one Strang step.
    """

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "driven-exchange"

    drive_hz: Annotated[float, Unit("frequency", at_least=0.0, at_most=1e6)]
    dephasing_per_s: Annotated[float, Unit("rate", at_least=0.0, at_most=1e9)]
    duration_s: Annotated[float, Unit("time", at_least=0.0, at_most=1e3)]
    by: Literal["ideal", "phase-flips", "crushers", "poisson-crushers", "auto"] = "ideal"
    slices: int | None = None
    exchange: Literal["ideal", "native"] = "ideal"
    relax_during_exchange: bool = True

    def __post_init__(self) -> None:
        if (self.slices is not None) != (self.by in ("phase-flips", "poisson-crushers")):
            raise ValueError(
                '`slices` must be given for by = "phase-flips" or "poisson-crushers", and only '
                "there"
            )
        if self.by in ("crushers", "poisson-crushers") and self.drive_hz > 0.0:
            raise ValueError(
                f'`drive` must be 0 Hz for by = "{self.by}" (a gradient kills the coherence of the '
                f'battery too), but is {self.drive_hz:g} Hz: use "phase-flips"'
            )
        if self.slices is not None and not 1 <= self.slices <= 2000:
            raise ValueError(f"`slices` must be 1 to 2000, but is {self.slices}")
        if self.exchange == "native" and self.by == "ideal":
            raise ValueError('`exchange` = "native" needs `by` other than "ideal"')
        if self.exchange == "native" and not self.relax_during_exchange:
            raise ValueError('`relax_during_exchange` must be true for exchange = "native"')

    @property
    def ideal(self) -> DrivenExchangeStep:
        """The Hamiltonian and Lindblad operator that the step stands for, for as long."""
        return replace(self, by="ideal", slices=None, exchange="ideal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crush:
    """A gradient crusher: coherences die, homonuclear zero-quantum order survives."""

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "crush"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reenergise:
    """Let the chargers recover by T1 for `delay_s` without RF, then invert them if called for.

    Attributes
    ----------
    delay_s : float
        Delta.
    recovery : {"left", "saturated", "flipped-back"}
        What happens to the chargers' remnant before the wait: nothing, 90 degrees and a crusher,
        or 180 degrees.  A flip back needs inverted chargers and acts only after an exchange.
    saturation_pulses : int
        Of a saturation train: [90 degrees, crusher] so many times, about x and y in turn.
    zero_quantum : {"kept", "rank-2-removed"}
        Saturated chargers may get a magic-angle pulse and a crusher after the train, which removes
        the rank 2 of their homonuclear zero-quantum order.  Rank 0 survives every such rotation.
    inversion : {"auto", "ideal", "none"}
        "auto" inverts where gamma_battery gamma_charger > 0.
    pulse : {"hard", "composite", "adiabatic"}
        How they are inverted and flipped back (see Invert).
    """

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "re-energise"

    delay_s: _Delay
    recovery: Recovery
    inversion: Inversion = "auto"
    pulse: PulseKind = "hard"
    saturation_pulses: int = 1
    zero_quantum: Literal["kept", "rank-2-removed"] = "kept"

    def __post_init__(self) -> None:
        if not 1 <= self.saturation_pulses <= 64:
            raise ValueError(
                f"`saturation_pulses` must be 1 to 64, but is {self.saturation_pulses}"
            )
        if self.recovery != "saturated" and (
            self.saturation_pulses != 1 or self.zero_quantum != "kept"
        ):
            raise ValueError(
                '`saturation_pulses` and `zero_quantum` belong to recovery = "saturated" (a '
                "magic-angle pulse costs polarisation that is left), but recovery is "
                f'"{self.recovery}"'
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFid:
    """Hard 90 degree pulse and acquisition, coupled nuclei decoupled during it only.

    Attributes
    ----------
    target : {"battery", "charger", "load"}
    spectral_width_hz : float
    points : int
        Complex points.
    carrier_ppm : float or None
        By default the shift of the line.
    excitation : {"90", "none"}
        "none": what the last pulse of the cycle made is detected as it is (the reference still
        gets its 90 degree pulse).
    """

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "fid"

    spectral_width_hz: Annotated[float, Unit("frequency", above=0.0, at_most=1e7)]
    points: int
    target: Observed = "battery"
    carrier_ppm: Annotated[float, Unit("chemical shift", at_least=-1e4, at_most=1e4)] | None = None
    excitation: Literal["90", "none"] = "90"

    def __post_init__(self) -> None:
        if not 64 <= self.points <= 2**22:
            raise ValueError(f"`points` must be 64 to {2**22}, but is {self.points}")


PrepareStep: TypeAlias = (
    Thermal | BatterySaturated | PseudoPurePreparation | Invert | Wait | Saturate
)
CycleStep: TypeAlias = (
    ExchangeStep
    | Inept
    | DrivenExchangeStep
    | Crush
    | Reenergise
    | Invert
    | Wait
    | PulseStep
    | Echo
    | Saturate
)
DischargeStep: TypeAlias = Store | Discharge | Crush
ReadoutStep: TypeAlias = Crush | ReadFid

#: section of the file -> the kinds of step it may hold
STEP_KINDS: dict[str, tuple[type, ...]] = {
    "prepare": (Thermal, BatterySaturated, PseudoPurePreparation, Invert, Wait, Saturate),
    "cycle": (
        ExchangeStep,
        Crush,
        Reenergise,
        Invert,
        Wait,
        Inept,
        DrivenExchangeStep,
        PulseStep,
        Echo,
        Saturate,
    ),
    "discharge": (Store, Discharge, Crush),
    "readout": (Crush, ReadFid),
}
