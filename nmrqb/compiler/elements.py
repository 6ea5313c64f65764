"""Elementary events on a spectrometer's clock: pulses, crushers, delays; roundings are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from nmrqb.sequence.events import Crusher, Delay, Pulse
from nmrqb.spectrometer.spectrometer import Spectrometer
from nmrqb.units import format_quantity


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
class Elements:
    """Makes the events that a spectrometer runs by itself.

    Attributes
    ----------
    spectrometer : Spectrometer
    roundings : dict
        What the clock changed so far; filled by every method.
    """

    spectrometer: Spectrometer
    roundings: dict[str, Rounding] = field(default_factory=dict)

    def pulse(self, isotope: str, angle_deg: float, phase_deg: float, label: str) -> Pulse:
        """Return a hard pulse; where its length is rounded the amplitude keeps the angle."""
        exact = self.spectrometer.channel(isotope).pulse_90_s * angle_deg / 90.0
        ticks = max(1, self.spectrometer.ticks(exact))
        self.note(f"{isotope} {angle_deg:g} degree pulse", exact, ticks)
        return Pulse(
            nucleus=isotope,
            ticks=ticks,
            angle_rad=math.radians(angle_deg),
            phase_rad=math.radians(phase_deg),
            amplitude_scale=exact / (ticks * self.spectrometer.tick_s),
            label=label,
        )

    def crusher(self) -> Crusher:
        """Return the spectrometer's crusher gradient with its recovery."""
        whole = self.spectrometer.crusher_s + self.spectrometer.crusher_recovery_s
        return Crusher(
            ticks=max(1, self.spectrometer.ticks(whole)),
            residual=self.spectrometer.crusher_residual,
        )

    def delay(self, duration_s: float, key: str, label: str) -> Delay:
        """Return a delay; `key` is the protocol's key that a rounding is reported under."""
        return Delay(ticks=self.ticks(duration_s, key), label=label)

    def ticks(self, duration_s: float, key: str) -> int:
        """Return a time in ticks."""
        ticks = self.spectrometer.ticks(duration_s)
        self.note(key, duration_s, ticks)
        return ticks

    def note(self, key: str, requested_s: float, ticks: int) -> None:
        """Keep a rounding where `ticks` are not the time that was asked for."""
        realised = ticks * self.spectrometer.tick_s
        if abs(realised - requested_s) > 1e-15 + 1e-9 * abs(requested_s):
            rounding = Rounding(key=key, requested_s=requested_s, realised_s=realised)
            self.roundings[f"{key} {requested_s!r}"] = rounding
