"""Channels, clock and limits of a spectrometer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from nmrqb.spins.nuclei import nucleus
from nmrqb.units import FILE_CONFIG, Unit, format_quantity


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
    description: str = ""

    def __post_init__(self) -> None:
        if not self.channels:
            raise ValueError("`channels` must list at least one channel")
        listed = [c.nucleus for c in self.channels]
        if len(set(listed)) != len(listed):
            raise ValueError(f"`channels` must name each nucleus once, but names {listed}")
        if self.maximum_points < 1 or self.maximum_list < 1:
            raise ValueError("`maximum_points` and `maximum_list` must be at least 1")

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
