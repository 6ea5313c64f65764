"""The steps of a protocol.  Every class is one `kind` of a file's step table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from nmrqb.units import FILE_CONFIG, Unit

Target = Literal["battery", "charger"]
Recovery = Literal["left", "saturated", "flipped-back"]
Inversion = Literal["auto", "ideal", "none"]

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
class Invert:
    """A hard 180 degree pulse on the battery or the charger."""

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "invert"

    target: Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A delay without RF."""

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "wait"

    delay_s: _Delay


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeStep:
    """XY exchange between battery and charger.

    ``exchange = "ideal"`` is the effective Hamiltonian 2 pi J (Sx Ix + Sy Iy), simulation only.
    Its length is either `duration_s` or follows from `transfer`, the share b_N(Jt) of the
    chargers' polarisation that one exchange moves (the shortest time that reaches it).
    """

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "exchange"

    exchange: Literal["ideal"]
    duration_s: Annotated[float, Unit("time", at_least=0.0, at_most=1e3)] | None = None
    transfer: float | None = None
    relax_during_exchange: bool = True

    def __post_init__(self) -> None:
        if (self.duration_s is None) == (self.transfer is None):
            raise ValueError("must have either `duration` or `transfer`, and not both")
        if self.transfer is not None and not 0.0 <= self.transfer < 1.29:
            raise ValueError(
                f"`transfer` must be 0 to 1.28 (no star transfers more), but is {self.transfer}"
            )


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
    inversion : {"auto", "ideal", "none"}
        "auto" inverts where gamma_battery gamma_charger > 0.
    """

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "re-energise"

    delay_s: _Delay
    recovery: Recovery
    inversion: Inversion = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFid:
    """Hard 90 degree pulse and acquisition, the other nuclei decoupled during it only.

    Attributes
    ----------
    target : {"battery", "charger"}
    spectral_width_hz : float
    points : int
        Complex points.
    carrier_ppm : float or None
        By default the shift of the line.
    """

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "fid"

    spectral_width_hz: Annotated[float, Unit("frequency", above=0.0, at_most=1e7)]
    points: int
    target: Target = "battery"
    carrier_ppm: Annotated[float, Unit("chemical shift", at_least=-1e4, at_most=1e4)] | None = None

    def __post_init__(self) -> None:
        if not 64 <= self.points <= 2**22:
            raise ValueError(f"`points` must be 64 to {2**22}, but is {self.points}")


PrepareStep: TypeAlias = Thermal | BatterySaturated | Invert | Wait
CycleStep: TypeAlias = ExchangeStep | Crush | Reenergise | Invert | Wait
ReadoutStep: TypeAlias = Crush | ReadFid

#: section of the file -> the kinds of step it may hold
STEP_KINDS: dict[str, tuple[type, ...]] = {
    "prepare": (Thermal, BatterySaturated, Invert, Wait),
    "cycle": (ExchangeStep, Crush, Reenergise, Invert, Wait),
    "readout": (Crush, ReadFid),
}
