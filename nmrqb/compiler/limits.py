"""Every limit of a spectrometer that a sequence breaks, with the nearest legal value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nmrqb.sequence.events import (
    Acquire,
    Delay,
    Exchange,
    Inversion,
    Pulse,
    PulseSequence,
    Saturation,
    SimultaneousPulses,
    SpinLock,
)
from nmrqb.spectrometer.spectrometer import Spectrometer
from nmrqb.units import format_quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A limit that is broken.

    Attributes
    ----------
    what : str
    value, limit : str
        With units; the limit is the nearest legal value.
    """

    what: str
    value: str
    limit: str

    def __str__(self) -> str:
        return f"{self.what} must be {self.limit}, but is {self.value}"


def check_limits(
    sequences: Sequence[PulseSequence], scans: int, spectrometer: Spectrometer
) -> tuple[Violation, ...]:
    """Return every limit of the spectrometer that the sequences break, each once."""
    found: dict[str, Violation] = {}

    def broken(what: str, value: str, limit: str) -> None:
        found.setdefault(f"{what} {value}", Violation(what=what, value=value, limit=limit))

    def time(seconds: float) -> str:
        return format_quantity(seconds, "time")

    for sequence in sequences:
        _check_sequence(sequence, spectrometer, broken, time)
    total = scans * sum(s.duration_s for s in sequences)
    if total > spectrometer.maximum_duration_s:
        broken(
            "the whole experiment",
            f"{total / 3600:.4g} h",
            f"at most {spectrometer.maximum_duration_s / 3600:.4g} h",
        )
    if len(sequences) > spectrometer.maximum_list:
        broken("the number of rows", str(len(sequences)), f"at most {spectrometer.maximum_list}")
    return tuple(found.values())


def _check_sequence(
    sequence: PulseSequence,
    spectrometer: Spectrometer,
    broken: Callable[[str, str, str], None],
    time: Callable[[float], str],
) -> None:
    busy: dict[str, float] = {}

    def on_channel(isotope: str, what: str, seconds: float, power: float, longest: float) -> None:
        channel = spectrometer.channel(isotope)
        if seconds > longest:
            broken(what, time(seconds), f"at most {time(longest)}")
        if power > channel.maximum_power_watt * (1 + 1e-9):
            broken(
                f"the power of {what}",
                f"{power:.4g} W",
                f"at most {channel.maximum_power_watt:g} W",
            )
        if seconds < spectrometer.minimum_delay_s:
            broken(what, time(seconds), f"at least {time(spectrometer.minimum_delay_s)}")

    for event, times in sequence.walk():
        seconds = event.ticks * sequence.tick_s
        match event:
            case Pulse() | SimultaneousPulses():
                pulses = event.pulses if isinstance(event, SimultaneousPulses) else (event,)
                for pulse in pulses:
                    channel = spectrometer.channel(pulse.nucleus)
                    length = pulse.ticks * sequence.tick_s
                    busy[pulse.nucleus] = busy.get(pulse.nucleus, 0.0) + times * length
                    power = channel.pulse_power_watt * pulse.amplitude_scale**2
                    what = f"the {pulse.nucleus} pulse ({pulse.label})"
                    on_channel(pulse.nucleus, what, length, power, channel.maximum_pulse_s)
            case Inversion():
                busy[event.nucleus] = busy.get(event.nucleus, 0.0) + times * seconds
                what = f"the {event.nucleus} pulse ({event.label})"
                # a measured inversion has its own length; power and duty bind it
                on_channel(event.nucleus, what, seconds, event.power_watt, seconds)
            case SpinLock():
                for isotope in event.nuclei:
                    channel = spectrometer.channel(isotope)
                    longest, strongest = channel.maximum_spin_lock_s, channel.strongest_spin_lock_hz
                    what = f"the {isotope} spin lock"
                    if longest is None or strongest is None:
                        broken(what, time(seconds), "0 s (no spin lock on this channel)")
                        continue
                    power = channel.power_at(event.nutation_hz)
                    # weak RF counts by its power: duty limits what the amplifier delivers
                    full = power / channel.pulse_power_watt
                    busy[isotope] = busy.get(isotope, 0.0) + times * seconds * full
                    on_channel(isotope, what, seconds, power, longest)
                    if event.nutation_hz > strongest:
                        broken(what, f"{event.nutation_hz:g} Hz", f"at most {strongest:g} Hz")
            case Saturation():
                channel = spectrometer.channel(event.nucleus)
                what = f"the {event.nucleus} saturation"
                if channel.maximum_saturation_s is None or channel.saturation_power_watt is None:
                    broken(what, time(seconds), "0 s (no saturation on this channel)")
                else:
                    on_channel(
                        event.nucleus,
                        what,
                        seconds,
                        channel.saturation_power_watt,
                        channel.maximum_saturation_s,
                    )
            case Delay() | Exchange():
                if times and 0.0 < seconds < spectrometer.minimum_delay_s:
                    label = event.label if isinstance(event, Delay) else "exchange"
                    broken(
                        f"the delay ({label})",
                        time(seconds),
                        f"0 s or at least {time(spectrometer.minimum_delay_s)}",
                    )
            case Acquire():
                if event.points > spectrometer.maximum_points:
                    broken(
                        "the number of points",
                        str(event.points),
                        f"at most {spectrometer.maximum_points}",
                    )
                dwell = event.dwell_ticks * sequence.tick_s
                if dwell < spectrometer.minimum_dwell_s:
                    broken(
                        "the dwell time",
                        time(dwell),
                        f"at least {time(spectrometer.minimum_dwell_s)}",
                    )
                for isotope in event.decoupled:
                    channel = spectrometer.channel(isotope)
                    if seconds > channel.maximum_decoupling_s:
                        broken(
                            f"the {isotope} decoupling during acquisition",
                            time(seconds),
                            f"at most {time(channel.maximum_decoupling_s)}",
                        )
            case _:
                pass
    for isotope, seconds in busy.items():
        duty = seconds / sequence.duration_s
        limit = spectrometer.channel(isotope).maximum_duty
        if duty > limit:
            broken(f"the duty of the {isotope} channel", f"{duty:.3g}", f"at most {limit:g}")
