"""Steps after the charging: store what the battery holds, then discharge it into a load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from nmrqb.units import FILE_CONFIG, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Keep the battery's energy for `delay_s` without RF; it leaks with T1."""

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "store"

    delay_s: Annotated[float, Unit("time", at_least=0.0, at_most=1e6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Discharge:
    """Exchange between battery and load, both ways: a full one swaps them.

    Its length is either `duration_s` or follows from `transfer`, sin^2(pi J t).  Both are the
    model time of the ideal exchange; pulses take twice as long.

    Attributes
    ----------
    exchange : {"ideal", "native"}
        "ideal": the effective Hamiltonian, simulation only.  "native": XX and YY blocks of the
        weak coupling between hard pulses on battery and load, refocused, in `steps` Strang steps.
    steps : int
        Of a native exchange; one is exact but for relaxation and finite pulses.
    quanta : {"auto", "zero", "double"}
        Whether the two spins flip against each other (zero quanta) or together (double).  Energy
        flows from an excited battery into the load by "zero" where their gammas have the same
        sign, else by "double": "auto" takes that one.
    relax_during_exchange : bool
        False only for the ideal exchange.
    """

    __pydantic_config__ = FILE_CONFIG
    KIND: ClassVar[str] = "discharge"

    exchange: Literal["ideal", "native"]
    duration_s: Annotated[float, Unit("time", at_least=0.0, at_most=1e3)] | None = None
    transfer: float | None = None
    steps: int | None = None
    quanta: Literal["auto", "zero", "double"] = "auto"
    relax_during_exchange: bool = True

    def __post_init__(self) -> None:
        if (self.duration_s is None) == (self.transfer is None):
            raise ValueError("must have either `duration` or `transfer`, and not both")
        if self.transfer is not None and not 0.0 <= self.transfer <= 1.0:
            raise ValueError(f"`transfer` must be 0 to 1, but is {self.transfer}")
        if (self.steps is not None) != (self.exchange == "native"):
            raise ValueError('`steps` must be given for exchange = "native", and only there')
        if self.steps is not None and not 1 <= self.steps <= 200:
            raise ValueError(f"`steps` must be 1 to 200, but is {self.steps}")
        if self.exchange == "native" and not self.relax_during_exchange:
            raise ValueError('`relax_during_exchange` must be true for exchange = "native"')
