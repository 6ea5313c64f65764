"""The star-topology register: one central spin, N equivalent satellites, perhaps a load."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from nmrqb.spins.nuclei import AVOGADRO, PLANCK, Nucleus, nucleus
from nmrqb.spins.recovery import Recovery
from nmrqb.units import FILE_CONFIG, Unit, format_quantity

Role = Literal["battery", "charger"]

#: The symmetric engine holds 4 C(N+3, 3) elements; 200 satellites are 5.5 million of them.
MAX_SATELLITES = 200
#: A state that pulses and drives have filled costs N^4: 64 satellites ten times as much as 36.
MAX_PULSED_SATELLITES = 64
#: T1 to "fully relaxed": the deviation has fallen to e^-5 = 0.7 %
FULL_RELAXATION = 5.0
#: A load makes every state four times as large.
MAX_SATELLITES_WITH_LOAD = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A number of the register with where it comes from.

    Attributes
    ----------
    value, stderr : float
        In the SI unit of the field that holds it; `stderr` is None where none was published.
    source : str or None
        Where it was measured or published; None where `nominal`.
    nominal : bool
        True for a plausible value that nobody measured on this sample.
    """

    value: float
    stderr: float | None = None
    source: str | None = None
    nominal: bool = False

    def __post_init__(self) -> None:
        if self.stderr is not None and not (math.isfinite(self.stderr) and self.stderr >= 0.0):
            raise ValueError(f"`stderr` must be at least 0, but is {self.stderr}")
        if self.nominal == (self.source is not None):
            raise ValueError("must have either a `source` or `nominal = true`, and not both")

    @classmethod
    def from_file(cls, table: object, unit: Unit) -> Measured:
        """Build from ``{value = "3.3 s", stderr = "0.1 s", source = "..."}``."""
        if isinstance(table, cls):
            unit.check(table.value)
            return table
        if not isinstance(table, Mapping):
            raise ValueError(
                'must be a table such as { value = "...", source = "..." } or '
                f'{{ value = "...", nominal = true }}, but is {table!r}'
            )
        allowed = ("value", "stderr", "source", "nominal")
        unknown = [str(k) for k in table if k not in allowed]
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r} (allowed: {', '.join(allowed)})")
        if "value" not in table:
            raise ValueError("`value` is missing")
        source, nominal = table.get("source"), table.get("nominal", False)
        if source is not None and not (isinstance(source, str) and source.strip()):
            raise ValueError(f"`source` must be text, but is {source!r}")
        if not isinstance(nominal, bool):
            raise ValueError(f"`nominal` must be true or false, but is {nominal!r}")
        stderr = table.get("stderr")
        try:
            spread = None if stderr is None else Unit(unit.dimension, at_least=0.0).parse(stderr)
        except ValueError as error:
            raise ValueError(f"`stderr` {error}") from None
        return cls(value=unit.parse(table["value"]), stderr=spread, source=source, nominal=nominal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spin:
    """What every spin of a register has: a nucleus, relaxation times, a line.

    Attributes
    ----------
    isotope : str
        A spin-1/2 isotope of the nuclei table.
    t1_s, t2_s : Measured
        Longitudinal and transverse relaxation times of one spin, T2 <= 2 T1.
    t2_star_s : Measured
        Decay of the free induction decay, T2* <= T2: the line width is 1/(pi T2*).
    shift_ppm : float
        Chemical shift of the line.
    """

    __pydantic_config__ = FILE_CONFIG

    isotope: str
    t1_s: Annotated[Measured, Unit("time", above=0.0, at_most=1e7)]
    t2_s: Annotated[Measured, Unit("time", above=0.0, at_most=1e7)]
    t2_star_s: Annotated[Measured, Unit("time", above=0.0, at_most=1e7)]
    shift_ppm: Annotated[float, Unit("chemical shift", at_least=-1e4, at_most=1e4)] = 0.0

    def __post_init__(self) -> None:
        nucleus(self.isotope)
        t1, t2, t2_star = self.t1_s.value, self.t2_s.value, self.t2_star_s.value
        if t2 > 2.0 * t1 * (1.0 + 1e-12):
            raise ValueError(
                f"`t2` must be at most 2 T1 = {format_quantity(2.0 * t1, 'time')}, "
                f"but is {format_quantity(t2, 'time')}"
            )
        if t2_star > t2 * (1.0 + 1e-12):
            raise ValueError(
                f"`t2_star` must be at most T2 = {format_quantity(t2, 'time')}, "
                f"but is {format_quantity(t2_star, 'time')}"
            )

    @property
    def nucleus(self) -> Nucleus:
        """Constants of the isotope."""
        return nucleus(self.isotope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Species(Spin):
    """One kind of spin of the star: the centre, or its satellites.

    Attributes
    ----------
    role : {"battery", "charger"}
    t1_rho_s : Measured or None
        Relaxation along a spin lock, T2 <= T1rho <= T1; T2, its lower limit, where None.
    recovery : Recovery or None
        Of chargers whose longitudinal recovery is not one exponential.
    """

    role: Role
    t1_rho_s: Annotated[Measured, Unit("time", above=0.0, at_most=1e7)] | None = None
    recovery: Recovery | None = None

    def __post_init__(self) -> None:
        Spin.__post_init__(self)  # super() does not know the class that slots made
        t1, t2 = self.t1_s.value, self.t2_s.value
        if self.t1_rho_s is not None:
            t1_rho = self.t1_rho_s.value
            if not t2 * (1.0 - 1e-12) <= t1_rho <= max(t1, t2) * (1.0 + 1e-12):
                raise ValueError(
                    f"`t1_rho` must be T2 to T1, {format_quantity(t2, 'time')} to "
                    f"{format_quantity(max(t1, t2), 'time')}, but is "
                    f"{format_quantity(t1_rho, 'time')}"
                )
        if self.recovery is not None:
            if self.role != "charger":
                raise ValueError("`recovery` belongs to the charger: a battery has one T1")
            fastest, _ = self.recovery.t1_range_s
            if t2 > 2.0 * fastest:
                raise ValueError(
                    "`t2` must be at most twice the fastest recovery time, "
                    f"{format_quantity(2.0 * fastest, 'time')}, but is "
                    f"{format_quantity(t2, 'time')}"
                )

    @property
    def spin_lock_t1_s(self) -> float:
        """T1rho, or T2 where it was not measured."""
        return self.t2_s.value if self.t1_rho_s is None else self.t1_rho_s.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Load(Spin):
    """One spin that a central battery discharges into, coupled to nothing else.

    Attributes
    ----------
    coupling_hz : Measured
        J between battery and load, Hz, sign included.
    charger_coupling_hz : Measured or None
        J between a charger and the load: 0 Hz, the one value that is simulated.
    """

    role: ClassVar[Literal["load"]] = "load"

    coupling_hz: Annotated[Measured, Unit("frequency", at_least=-1e5, at_most=1e5)]
    charger_coupling_hz: (
        Annotated[Measured, Unit("frequency", at_least=-1e5, at_most=1e5)] | None
    ) = None

    def __post_init__(self) -> None:
        Spin.__post_init__(self)
        other = self.charger_coupling_hz
        if other is not None and other.value != 0.0:
            raise ValueError(
                "`charger_coupling` must be 0 Hz, but is "
                f"{format_quantity(other.value, 'frequency')}: the chargers would feed such a load "
                "past the battery, which is not simulated"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpinRegister:
    """A star: a central spin coupled by one J to N equivalent satellites.

    Attributes
    ----------
    name : str
    center, satellite : Species
        One of them is the battery, the other the charger.
    satellites : int
        N >= 1.
    coupling_hz : Measured
        J between the centre and each satellite, Hz, sign included.
    field_tesla, temperature_kelvin : Measured
    dipolar_share : Measured or None
        Share (0 to 1) of the battery's 1/T1 that is dipolar relaxation by the chargers: the source
        of the nuclear Overhauser effect.  None: no such effect.
    isotopologue_share : Measured or None
        Share of the molecules that are this star; the natural abundance of the centre where None.
    concentration_molar : Measured or None
        Of the molecules, all isotopologues, mol/L: for radiation damping by the chargers.
    load : Load or None
        What the battery discharges into.
    """

    __pydantic_config__ = FILE_CONFIG

    name: str
    center: Species
    satellite: Species
    satellites: int
    coupling_hz: Annotated[Measured, Unit("frequency", at_least=-1e5, at_most=1e5)]
    field_tesla: Annotated[Measured, Unit("magnetic field", above=0.0, at_most=50.0)]
    temperature_kelvin: Annotated[Measured, Unit("temperature", above=0.0, at_most=1e4)]
    dipolar_share: Annotated[Measured, Unit("share", at_least=0.0, at_most=1.0)] | None = None
    isotopologue_share: Annotated[Measured, Unit("share", above=0.0, at_most=1.0)] | None = None
    concentration_molar: (
        Annotated[Measured, Unit("concentration", above=0.0, at_most=200.0)] | None
    ) = None
    load: Load | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.satellites <= MAX_SATELLITES:
            raise ValueError(
                f"`satellites` must be 1 to {MAX_SATELLITES}, but is {self.satellites}"
            )
        if {self.center.role, self.satellite.role} != {"battery", "charger"}:
            raise ValueError(
                "one species must be the battery and the other the charger, but both have "
                f"role {self.center.role!r}"
            )
        if self.center.isotope == self.satellite.isotope:
            raise ValueError(
                "centre and satellites must be different isotopes (the coupling is taken as "
                f"weak), but both are {self.center.isotope}"
            )
        if self.load is not None:
            self._check_load(self.load)
        # each battery relaxes its charger too, and that is part of the charger's T1
        partners = self.satellites if self.center.role == "charger" else 1
        rate = partners * self.pair_rate_per_s
        recovery = self.charger.recovery
        slowest = self.charger.t1_s.value if recovery is None else recovery.t1_range_s[1]
        if rate > 1.0 / max(slowest, self.charger.t1_s.value):
            raise ValueError(
                "`dipolar_share` must leave the charger its T1: the batteries alone would relax it "
                f"in {format_quantity(1.0 / rate, 'time')}"
            )

    def _check_load(self, load: Load) -> None:
        if self.center.role != "battery":
            raise ValueError(
                "`load` must belong to a central battery, but the battery is the satellites: one "
                "load would be coupled to one of them and break their equivalence"
            )
        if self.satellites > MAX_SATELLITES_WITH_LOAD:
            raise ValueError(
                f"`satellites` must be at most {MAX_SATELLITES_WITH_LOAD} beside a load, but is "
                f"{self.satellites}"
            )
        if load.isotope in (self.center.isotope, self.satellite.isotope):
            raise ValueError(
                "`load.isotope` must be another nucleus than those of battery and chargers (hard "
                f"pulses would turn both, and crushers leave their zero-quantum coherence), but is "
                f"{load.isotope}"
            )

    @property
    def battery(self) -> Species:
        """The species whose energy is stored."""
        return self.center if self.center.role == "battery" else self.satellite

    @property
    def batteries(self) -> int:
        """Number of batteries of one molecule."""
        return self.satellites if self.satellite.role == "battery" else 1

    @property
    def charger(self) -> Species:
        """The species that energises the battery."""
        return self.satellite if self.center.role == "battery" else self.center

    @property
    def equilibrium_ratio(self) -> float:
        """Battery equilibrium over charger equilibrium polarisation, |gamma_B / gamma_C|."""
        return abs(self.battery.nucleus.relative_gamma / self.charger.nucleus.relative_gamma)

    @property
    def battery_equilibrium(self) -> float:
        """p_eq: 2<S_z> of the battery in equilibrium, in units of eps, with the sign of gamma_B."""
        return self.battery.nucleus.sign * self.equilibrium_ratio

    @property
    def charger_equilibrium(self) -> float:
        """2<I_z> of the charger in equilibrium, in units of eps: the sign of gamma_C."""
        return float(self.charger.nucleus.sign)

    @property
    def load_equilibrium(self) -> float:
        """2<L_z> of the load in equilibrium, in units of eps, sign of gamma included; 0 if none."""
        if self.load is None:
            return 0.0
        return self.load.nucleus.relative_gamma / abs(self.charger.nucleus.relative_gamma)

    def equilibrium_of(self, role: Role | Literal["load"]) -> float:
        """Return 2<S_z> of a role in equilibrium, in units of eps, sign of gamma included."""
        return {
            "battery": self.battery_equilibrium,
            "charger": self.charger_equilibrium,
            "load": self.load_equilibrium,
        }[role]

    @property
    def must_invert_chargers(self) -> bool:
        """True where gamma_B gamma_C > 0: chargers left on +z would discharge the battery."""
        return self.battery.nucleus.sign * self.charger.nucleus.sign > 0

    @property
    def pair_rate_per_s(self) -> float:
        """Dipolar relaxation rate of one spin by one spin of the other species (1/s)."""
        if self.dipolar_share is None:
            return 0.0
        partners = self.satellites if self.center.role == "battery" else 1
        return self.dipolar_share.value / (partners * self.battery.t1_s.value)

    @property
    def star_share(self) -> float:
        """Share of the molecules of the sample that are this star."""
        if self.isotopologue_share is not None:
            return self.isotopologue_share.value
        return self.center.nucleus.abundance_percent / 100.0

    @property
    def pseudo_pure_amplitude(self) -> float:
        """Largest pseudo-pure amplitude a of rho = (1 - a)/d + a |g><g|, in units of eps.

        The populations but the largest are averaged: a = sum of the equilibrium polarisations
        over (2^(N+1) - 1), a load counted as one more spin.
        """
        satellite = self.satellite.role == "battery"
        n_battery, n_charger = (self.satellites, 1) if satellite else (1, self.satellites)
        total = n_battery * self.equilibrium_ratio + n_charger + abs(self.load_equilibrium)
        spins = self.satellites + (1 if self.load is None else 2)
        return float(total / (2.0**spins - 1.0))

    @property
    def charger_magnetisation(self) -> float | None:
        """Equilibrium magnetisation M0 of the charger nuclei of the whole sample, A/m."""
        if self.concentration_molar is None:
            return None
        spins = self.satellites if self.satellite.role == "charger" else 1
        # satellites are in all molecules, a central charger only in those of the star
        share = 1.0 if self.satellite.role == "charger" else self.star_share
        density = 1e3 * AVOGADRO * self.concentration_molar.value * spins * share
        moment = abs(self.charger.nucleus.gamma_rad_per_s_tesla) * PLANCK / (4.0 * math.pi)
        return density * moment * self.eps

    @property
    def eps(self) -> float:
        """Thermal polarisation of the charger: the unit of every polarisation of this register."""
        return self.charger.nucleus.thermal_polarisation(
            self.field_tesla.value, self.temperature_kelvin.value
        )

    @property
    def spins(self) -> tuple[Species | Load, ...]:
        """Centre, satellites and, where there is one, the load."""
        star = (self.center, self.satellite)
        return star if self.load is None else (*star, self.load)

    def of_role(self, role: Role | Literal["load"]) -> Species | Load:
        """Return the spins of a role.

        Raises
        ------
        ValueError
            For a load where the register has none.
        """
        for candidate in self.spins:
            if candidate.role == role:
                return candidate
        raise ValueError(f"register {self.name!r} has no {role}")

    def species(self, isotope: str) -> Species | Load:
        """Return the spins of an isotope.

        Raises
        ------
        ValueError
            Where the register holds no such isotope.
        """
        for candidate in self.spins:
            if candidate.isotope == isotope:
                return candidate
        have = ", ".join(spin.isotope for spin in self.spins)
        raise ValueError(f"must be an isotope of register {self.name!r} ({have}), not {isotope!r}")

    def __str__(self) -> str:
        lines = [
            (
                f"register {self.name}: {self.center.isotope} + {self.satellites} "
                f"{self.satellite.isotope}, J = {self.coupling_hz.value:g} Hz, "
                f"{self.field_tesla.value:g} T"
            )
        ]
        for place, spin in zip(("centre", "satellites", "load"), self.spins, strict=False):
            lines.append(
                f"  {place}: {spin.isotope} as {spin.role}, "
                f"T1 {format_quantity(spin.t1_s.value, 'time')}, "
                f"T2 {format_quantity(spin.t2_s.value, 'time')}, "
                f"T2* {format_quantity(spin.t2_star_s.value, 'time')}"
            )
        if self.load is not None:
            lines.append(f"  load coupled to the battery by {self.load.coupling_hz.value:g} Hz")
        sign = "must be inverted" if self.must_invert_chargers else "charge upward from +z"
        lines.append(f"  chargers {sign}; eps = {self.eps:.4g}")
        return "\n".join(lines)
