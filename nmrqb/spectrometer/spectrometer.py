"""Channels, clock and limits of a spectrometer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from nmrqb.spins.nuclei import nucleus
from nmrqb.spins.register import Measured
from nmrqb.units import FILE_CONFIG, Unit, format_quantity

InversionKind = Literal["hard", "composite", "adiabatic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InversionPulse:
    """An inversion pulse as it was measured on this probe: z becomes -efficiency z.

    Attributes
    ----------
    kind : {"hard", "composite", "adiabatic"}
    efficiency : Measured
        0 to 1: minus the polarisation just after the pulse over that before.
    length_s : float
    power_watt : float
        Peak power.
    """

    __pydantic_config__ = FILE_CONFIG

    kind: InversionKind
    efficiency: Annotated[Measured, Unit("share", above=0.0, at_most=1.0)]
    length_s: Annotated[float, Unit("time", above=0.0, at_most=1.0)]
    power_watt: Annotated[float, Unit("power", above=0.0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One RF channel with its calibrated pulse and its limits.

    Attributes
    ----------
    nucleus : str
    pulse_90_s : float
        Length of the calibrated 90 degree pulse at `pulse_power_watt`.
    pulse_power_watt, maximum_power_watt : float
    maximum_pulse_s : float
        Longest single pulse at full power.
    maximum_duty : float
        Largest share of one scan with pulses on this channel.
    decoupling_power_watt : float
        Power of broadband decoupling.
    maximum_decoupling_s : float
        Longest decoupling of one scan.
    inversions : tuple of InversionPulse
        Measured inversions.  A hard or composite inversion that is not listed is simulated from
        its pulses; an adiabatic one must be listed.
    b1_spread : float
        Relative standard deviation of the RF field over the sample.
    maximum_spin_lock_s, strongest_spin_lock_hz : float or None
        Longest and strongest spin lock (nutation frequency); None: no spin lock on this channel.
    saturation_power_watt, maximum_saturation_s : float or None
        Weak RF that saturates the nucleus during waits; None: none on this channel.
    maximum_mean_power_watt : float or None
        Mean RF power over one scan above which the sample or the probe heats noticeably.
    filling_quality : float or None
        Filling factor times quality factor of the coil, for radiation damping.
    reversed_phase : bool
        True where a test has shown that phases of this channel turn against those of the others.
    """

    __pydantic_config__ = FILE_CONFIG

    nucleus: str
    pulse_90_s: Annotated[float, Unit("time", above=0.0, at_most=1.0)]
    pulse_power_watt: Annotated[float, Unit("power", above=0.0)]
    maximum_power_watt: Annotated[float, Unit("power", above=0.0)]
    maximum_pulse_s: Annotated[float, Unit("time", above=0.0)]
    maximum_duty: float
    decoupling_power_watt: Annotated[float, Unit("power", above=0.0)]
    maximum_decoupling_s: Annotated[float, Unit("time", at_least=0.0)]
    inversions: tuple[InversionPulse, ...] = ()
    b1_spread: float = 0.0
    maximum_spin_lock_s: Annotated[float, Unit("time", above=0.0)] | None = None
    strongest_spin_lock_hz: Annotated[float, Unit("frequency", above=0.0)] | None = None
    saturation_power_watt: Annotated[float, Unit("power", above=0.0)] | None = None
    maximum_saturation_s: Annotated[float, Unit("time", above=0.0)] | None = None
    maximum_mean_power_watt: Annotated[float, Unit("power", above=0.0)] | None = None
    filling_quality: float | None = None
    reversed_phase: bool = False

    def __post_init__(self) -> None:
        nucleus(self.nucleus)
        if not 0.0 < self.maximum_duty <= 1.0:
            raise ValueError(
                f"`maximum_duty` must be above 0 and at most 1, but is {self.maximum_duty}"
            )
        if self.pulse_power_watt > self.maximum_power_watt:
            raise ValueError(
                f"`pulse_power` must be at most maximum_power = {self.maximum_power_watt} W, "
                f"but is {self.pulse_power_watt} W"
            )
        kinds = [inversion.kind for inversion in self.inversions]
        if len(set(kinds)) != len(kinds):
            raise ValueError(f"`inversions` must list each kind once, but lists {kinds}")
        if not 0.0 <= self.b1_spread <= 0.3:
            raise ValueError(f"`b1_spread` must be 0 to 0.3, but is {self.b1_spread}")
        if (self.maximum_spin_lock_s is None) != (self.strongest_spin_lock_hz is None):
            raise ValueError("`maximum_spin_lock` and `strongest_spin_lock` must be given together")
        if (self.saturation_power_watt is None) != (self.maximum_saturation_s is None):
            raise ValueError("`saturation_power` and `maximum_saturation` must be given together")
        if self.filling_quality is not None and not 0.0 < self.filling_quality < 1e5:
            raise ValueError(
                f"`filling_quality` must be above 0 and below 1e5, but is {self.filling_quality}"
            )

    def inversion(self, kind: InversionKind) -> InversionPulse | None:
        """Return the measured inversion pulse of a kind, if there is one."""
        return next((pulse for pulse in self.inversions if pulse.kind == kind), None)

    @property
    def is_phase_mirrored(self) -> bool:
        """True where the phase f of a pulse in the frame of the spins is -f on the console.

        A field cos(w t + f) turns with the spins where gamma has one sign and against them where
        it has the other: between nuclei of opposite signs y of one is -y of the other.

        References
        ----------
        M. H. Levitt, J. Magn. Reson. 126, 164 (1997).
        """
        return (nucleus(self.nucleus).sign < 0) != self.reversed_phase

    def power_at(self, nutation_hz: float) -> float:
        """Return the power in watt of a nutation frequency, from the calibrated pulse."""
        calibrated_hz = 1.0 / (4.0 * self.pulse_90_s)
        return self.pulse_power_watt * (nutation_hz / calibrated_hz) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrometer:
    """A console with its probe.

    Attributes
    ----------
    tick_s : float
        Clock period: every duration is a whole number of ticks.
    minimum_delay_s : float
        Shortest delay or pulse.
    maximum_duration_s : float
        Longest experiment.
    crusher_s, crusher_recovery_s : float
        Length of a gradient crusher and of the recovery after it.
    minimum_dwell_s, dead_time_s : float
        Receiver: shortest dwell time, wait between pulse and acquisition.
    maximum_points, maximum_list : int
        Complex points of one FID, entries of one list.
    crusher_residual : float
        What a crusher leaves of the signal that it should destroy.
    crusher_gradient_tesla_per_m, maximum_gradient_tesla_per_m : float or None
        Strength of a crusher and of the full gradient.
    maximum_gradient_duty : float or None
        Largest share of one scan with a gradient.
    maximum_phase_list : int
        Entries of one phase list or real-time table; 8192 is a cautious choice, not a vendor's.
    maximum_loop_count, maximum_events : int or None
        Largest count of a hardware loop; most events of one scan, loops not unrolled.
    """

    __pydantic_config__ = FILE_CONFIG

    name: str
    channels: tuple[Channel, ...]
    tick_s: Annotated[float, Unit("time", above=0.0, at_most=1e-3)]
    minimum_delay_s: Annotated[float, Unit("time", above=0.0)]
    maximum_duration_s: Annotated[float, Unit("time", above=0.0)]
    crusher_s: Annotated[float, Unit("time", above=0.0)]
    crusher_recovery_s: Annotated[float, Unit("time", at_least=0.0)]
    minimum_dwell_s: Annotated[float, Unit("time", above=0.0)]
    dead_time_s: Annotated[float, Unit("time", at_least=0.0)]
    maximum_points: int
    maximum_list: int
    crusher_residual: float = 0.0
    crusher_gradient_tesla_per_m: Annotated[float, Unit("field gradient", above=0.0)] | None = None
    maximum_gradient_tesla_per_m: Annotated[float, Unit("field gradient", above=0.0)] | None = None
    maximum_gradient_duty: float | None = None
    maximum_phase_list: int = 8192
    maximum_loop_count: int | None = None
    maximum_events: int | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if not self.channels:
            raise ValueError("`channels` must list at least one channel")
        listed = [c.nucleus for c in self.channels]
        if len(set(listed)) != len(listed):
            raise ValueError(f"`channels` must name each nucleus once, but names {listed}")
        for name in ("maximum_points", "maximum_list", "maximum_phase_list"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, but is {getattr(self, name)}")
        if not 0.0 <= self.crusher_residual <= 0.5:
            raise ValueError(f"`crusher_residual` must be 0 to 0.5, but is {self.crusher_residual}")
        duty = self.maximum_gradient_duty
        if duty is not None and not 0.0 < duty <= 1.0:
            raise ValueError(
                f"`maximum_gradient_duty` must be above 0 and at most 1, but is {duty}"
            )
        for name in ("maximum_loop_count", "maximum_events"):
            most = getattr(self, name)
            if most is not None and most < 1:
                raise ValueError(f"`{name}` must be at least 1, but is {most}")

    def channel(self, isotope: str) -> Channel:
        """Return the channel of a nucleus.

        Raises
        ------
        ValueError
            Where the spectrometer has no such channel.
        """
        for channel in self.channels:
            if channel.nucleus == isotope:
                return channel
        have = ", ".join(c.nucleus for c in self.channels)
        raise ValueError(f"spectrometer {self.name!r} has no {isotope} channel (it has {have})")

    def ticks(self, duration_s: float) -> int:
        """Return the nearest whole number of ticks."""
        return round(duration_s / self.tick_s)

    def __str__(self) -> str:
        lines = [
            (
                f"spectrometer {self.name}: tick {format_quantity(self.tick_s, 'time')}, "
                f"shortest delay {format_quantity(self.minimum_delay_s, 'time')}"
            )
        ]
        for c in self.channels:
            lines.append(
                f"  {c.nucleus}: 90 degrees in {format_quantity(c.pulse_90_s, 'time')} "
                f"at {c.pulse_power_watt:g} W"
            )
        return "\n".join(lines)
