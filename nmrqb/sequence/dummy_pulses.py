"""Pulses far off resonance that heat the sample and leave the spins alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: largest (nutation/offset)^2 of a pulse that counts as far off resonance
MAX_EXCITATION = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class DummyPulses:
    """A train of pulses far off resonance, which makes the RF energy of every scan the same.

    A wait, `count` times [pulse, wait], a wait: the waits next to the train switch the frequency.
    To the spins it is a delay, apart from what `excitation` bounds.

    Attributes
    ----------
    nucleus : str
    count : int
        0: nothing but the two waits.
    on_ticks, off_ticks : int
        Of each pulse and of each wait.
    amplitude_scale : float
        Nutation frequency over that of the channel's calibrated pulse.
    nutation_hz, offset_hz : float
        Nutation frequency, and distance of the pulses from the carrier.
    """

    nucleus: str
    count: int
    on_ticks: int
    off_ticks: int
    amplitude_scale: float
    nutation_hz: float
    offset_hz: float

    def __post_init__(self) -> None:
        for name, least in (("count", 0), ("on_ticks", 1), ("off_ticks", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(
                    f"`{name}` must be a whole number of at least {least}, but is {value!r}"
                )
        for name in ("amplitude_scale", "nutation_hz", "offset_hz"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"`{name}` must be positive and finite, but is {value}")

    @property
    def ticks(self) -> int:
        """Length of the train with the waits around it."""
        return 2 * self.off_ticks + self.count * (self.on_ticks + self.off_ticks)

    @property
    def excitation(self) -> float:
        """(nutation/offset)^2 of one pulse.

        The field about which the spins turn is tilted by nutation/offset: z falls by at most twice
        that squared, and a line on the carrier is shifted by half of it times the offset
        (Bloch and Siegert) while a pulse lasts.
        """
        return (self.nutation_hz / self.offset_hz) ** 2
