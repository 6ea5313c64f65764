"""What the spectrometer does in place of an ideal exchange: native blocks, spin lock, INEPT.

Times are model times of the ideal exchange, H = 2 pi J (Sx Ix + Sy Iy); native blocks and spin
lock take twice as long.  The pulses' own lengths are taken out of the delays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.models.dephasing import flip_probability
from nmrqb.models.exchange import exchange_transfer, inept_transfer
from nmrqb.sequence.events import (
    Delay,
    Event,
    Loop,
    PhaseFlip,
    Pulse,
    Segment,
    SimultaneousPulses,
    SpinLock,
)
from nmrqb.spectrometer.spectrometer import Spectrometer
from nmrqb.spins.register import Load, SpinRegister
from nmrqb.units import format_quantity

#: phases of pulses, degrees
X, Y, MINUS_X, MINUS_Y = 0.0, 90.0, 180.0, 270.0

#: weakest spin lock over J sqrt(N): the transfer is then right to (1/20)^2 = 0.25 %
_STRONG_LOCK = 5.0

PulseMaker = Callable[[str, float, float, str], Pulse]
#: two isotopes that are pulsed together, each with what is added to its phases in degrees
Pair = tuple[tuple[str, float], tuple[str, float]]
Quanta = Literal["zero", "double"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Translator:
    """Builds segments on one spectrometer for one register.

    Attributes
    ----------
    register : SpinRegister
    spectrometer : Spectrometer
    pulse : callable (nucleus, angle in degrees, phase in degrees, label) -> Pulse
    """

    register: SpinRegister
    spectrometer: Spectrometer
    pulse: PulseMaker

    def native_exchange(self, model_s: float, steps: int, key: str) -> Segment:
        """Return XX and YY blocks of the weak coupling in Strang steps.

        X(h/2) [Y(h) X(h)] x (steps - 1) Y(h) X(h/2), h = model_s/steps.  Each block is
        90 - d - 180 - d - 90 on both species with the 180 along the 90s, so that offsets are
        refocused and errors of the RF field cancel (-90 + 180 - 90 degrees).

        Raises
        ------
        ValueError
            Where a block is shorter than its pulses.
        """
        body = self._strang(model_s, steps, key, self._star, self._star)
        words = f"native exchange of {format_quantity(model_s, 'time')} in {steps} Strang step(s)"
        return Segment(label=words, body=body, action=self._exchange_action(model_s))

    def native_load_exchange(
        self, load: Load, model_s: float, steps: int, quanta: Quanta, key: str
    ) -> Segment:
        """Return XX and YY blocks of the weak coupling between a central battery and its load.

        As `native_exchange`; the 180s on the battery refocus its coupling to the chargers, which
        see no pulse.  Double quanta need XX - YY: in the YY blocks the load's pulses are turned by
        180 degrees.
        """
        battery = self.register.battery.isotope
        plain: Pair = ((battery, 0.0), (load.isotope, 0.0))
        turned: Pair = ((battery, 0.0), (load.isotope, 180.0))
        body = self._strang(model_s, steps, key, plain, plain if quanta == "zero" else turned)
        kept = math.cos(math.pi * load.coupling_hz.value * model_s) ** 2
        words = (
            f"discharge ({'0Q' if quanta == 'zero' else '2Q'}) of "
            f"{format_quantity(model_s, 'time')} in {steps} Strang step(s)"
        )
        # a map of battery and chargers knows no load: this is what it leaves of the battery
        return Segment(label=words, body=body, action=(kept, 0.0, 0.0, 1.0))

    def _strang(
        self, model_s: float, steps: int, key: str, in_x: Pair, in_y: Pair
    ) -> tuple[Event, ...]:
        """Return X(h/2) [Y(h) X(h)] x (steps - 1) Y(h) X(h/2) with the pairs of X and Y blocks."""
        h = model_s / steps
        events: list[Event] = []
        for k in range(steps):
            events += self._block(h / 2 if k == 0 else h, Y, steps, key, in_x)
            events += self._block(h, X, steps, key, in_y)
        events += self._block(h / 2, Y, steps, key, in_x)
        return tuple(events)

    def _exchange_action(self, model_s: float) -> tuple[float, float, float, float]:
        n = self.register.satellites
        b = float(exchange_transfer(n, abs(self.register.coupling_hz.value) * model_s))
        return 1.0 - b, b, b / n, 1.0 - b / n

    def _block(
        self, coupled_s: float, axis_deg: float, steps: int, key: str, pair: Pair
    ) -> list[Event]:
        opposite = axis_deg + 180.0
        # z to x needs the 90 about -y first, seen from the spins; z to y the 90 about +x
        quarter = self._both(90.0, opposite, pair)
        half = self._both(180.0, axis_deg, pair)
        # a 90 turns the coupling into the block's while it lasts, a 180 away and back
        in_pulses = 2.0 * self._coupled_s(quarter, np.sin) + self._coupled_s(half, np.cos)
        delay = (coupled_s - in_pulses) / 2.0
        ticks = self.spectrometer.ticks(delay)
        shortest = self.spectrometer.minimum_delay_s
        if ticks * self.spectrometer.tick_s < shortest:
            pulses_s = in_pulses + 2.0 * shortest
            what = "`{key}.steps` must be smaller: {steps} steps leave"
            if steps == 1:
                what = "`{key}` must exchange for longer: it leaves"
            raise ValueError(
                f"{what.format(key=key, steps=steps)} blocks of "
                f"{format_quantity(coupled_s, 'time')}, shorter than their pulses and delays "
                f"({format_quantity(pulses_s, 'time')})"
            )
        wait = Delay(ticks=ticks, label="coupling")
        return [quarter, wait, half, wait, quarter]

    def driven_by_flips(
        self,
        model_s: float,
        slices: int,
        nutation_hz: float,
        dephasing_per_s: float,
        exchange: Callable[[float], Event],
    ) -> Segment:
        """Return a driven, dephased exchange in slices with phase flips of the charger.

        [drive/2, exchange, drive/2, flip] x slices: second order in the slice, and the flips make
        the decay e^{-gamma_C d/2} of each slice exactly, whatever its length.

        Parameters
        ----------
        model_s : float
        slices : int
        nutation_hz : float
            Of the drive: each slice turns the charger by 2 pi nutation model_s/slices about x.
        dephasing_per_s : float
            gamma_C.
        exchange : callable (model time of a slice) -> event
        """
        d = model_s / slices
        charger = self.register.charger.isotope
        angle = math.degrees(math.pi * nutation_hz * d)
        drive = [self.weak_pulse(charger, angle, X, "drive")] if angle else []
        probability = float(flip_probability(0.5 * dephasing_per_s, d))
        flip = [PhaseFlip(nucleus=charger, probability=probability)] if probability else []
        body = (*drive, exchange(d), *drive, *flip)
        words = f"driven exchange of {format_quantity(model_s, 'time')} in {slices} slice(s)"
        # what it does to z alone is not a closed map: drive and exchange mix everything
        return Segment(label=words, body=(Loop(count=slices, body=body),), action=(0.0,) * 4)

    def weak_pulse(self, isotope: str, angle_deg: float, phase_deg: float, label: str) -> Pulse:
        """Return a pulse that is at least as long as the spectrometer's shortest, and weaker."""
        pulse = self.pulse(isotope, angle_deg, phase_deg, label)
        least = math.ceil(self.spectrometer.minimum_delay_s / self.spectrometer.tick_s - 1e-9)
        if pulse.ticks >= least:
            return pulse
        exact = pulse.ticks * pulse.amplitude_scale
        return replace(pulse, ticks=least, amplitude_scale=exact / least)

    def spin_lock(self, model_s: float, nutation_hz: float) -> Segment:
        """Return a matched spin lock along x between 90 degree pulses about y.

        Raises
        ------
        ValueError
            Where the lock is so weak that more than the planar part of the coupling acts: what is
            neglected changes the transfer by about (J sqrt(N)/(4 nutation))^2.
        """
        register = self.register
        least = _STRONG_LOCK * abs(register.coupling_hz.value) * math.sqrt(register.satellites)
        words = "J sqrt(N)"
        if register.load is not None:
            of_load = _STRONG_LOCK * abs(register.load.coupling_hz.value)
            least, words = max((least, words), (of_load, "J of the load"))
        if nutation_hz < least:
            raise ValueError(
                f"`spin_lock` must be at least {_STRONG_LOCK:g} {words} = "
                f"{format_quantity(least, 'frequency')} to leave the planar coupling alone, but is "
                f"{format_quantity(nutation_hz, 'frequency')}"
            )
        ticks = max(1, self.spectrometer.ticks(2.0 * model_s))
        nuclei = (self.register.center.isotope, self.register.satellite.isotope)
        lock = SpinLock(nuclei=nuclei, ticks=ticks, nutation_hz=nutation_hz)
        words = f"Hartmann-Hahn exchange of {format_quantity(model_s, 'time')}"
        return Segment(
            label=words,
            body=(
                self._both(90.0, Y, self._star),
                lock,
                self._both(90.0, MINUS_Y, self._star),
            ),
            action=self._exchange_action(model_s),
        )

    def inept(self, sign: int, key: str) -> Segment:
        """Return refocused INEPT from charger to battery.

        A charger polarisation z becomes a battery polarisation sign z A, in spin labels and for
        either sign of J (it enters twice), with A = sqrt(N) (1 - 1/N)^((N-1)/2) for a central
        battery and A/N for satellites.
        """
        register = self.register
        n, coupling = register.satellites, register.coupling_hz.value
        if coupling == 0.0:
            raise ValueError(f"`{key}`: INEPT needs a coupling, but J is 0 Hz")
        to_centre = 1.0 / (2.0 * abs(coupling))
        with_many = math.asin(1.0 / math.sqrt(n)) / (math.pi * abs(coupling))
        central = register.center.role == "battery"
        best = inept_transfer(n, to_center=central)
        first, second = (to_centre, with_many) if central else (with_many, to_centre)
        charger, battery = register.charger.isotope, register.battery.isotope
        excite = self.pulse(charger, 90.0, X, "INEPT")
        both = SimultaneousPulses(
            pulses=(
                self.pulse(charger, 90.0, Y, "INEPT"),
                self.pulse(battery, 90.0, X, "INEPT"),
            )
        )
        last = MINUS_Y if sign > 0 else Y
        store = self.pulse(battery, 90.0, last, "store")
        return Segment(
            label="refocused INEPT",
            body=(
                excite,
                *self._echo(first, excite, both, key),
                both,
                *self._echo(second, both, store, key),
                store,
            ),
            action=(0.0, sign * best, 0.0, 0.0) if central else (0.0, 0.0, sign * best, 0.0),
        )

    def composite_inversion(self, isotope: str, label: str) -> Segment:
        """Return 90x 180y 90x on one species."""
        parts = ((90.0, X), (180.0, Y), (90.0, X))
        turned = self.register.center.isotope == isotope
        return Segment(
            label=f"{label} (composite)",
            body=tuple(self.pulse(isotope, angle, phase, "composite") for angle, phase in parts),
            action=(-1.0, 0.0, 0.0, 1.0) if turned else (1.0, 0.0, 0.0, -1.0),
        )

    def echo(self, isotope: str, duration_s: float, key: str) -> Segment:
        """Return 90 - t/2 - 180 on both - t/2 - 90 on one species."""
        first = self.pulse(isotope, 90.0, X, "excite")
        last = self.pulse(isotope, 90.0, X, "store")
        central = isotope == self.register.center.isotope
        turn = math.pi * self.register.coupling_hz.value * duration_s
        kept = math.cos(turn) ** (self.register.satellites if central else 1)
        return Segment(
            label=f"echo of {format_quantity(duration_s, 'time')}",
            body=(first, *self._echo(duration_s, first, last, key), last),
            action=(kept, 0.0, 0.0, -1.0) if central else (-1.0, 0.0, 0.0, kept),
        )

    def _echo(self, whole_s: float, before: Event, after: Event, key: str) -> tuple[Event, ...]:
        half = self._both(180.0, X, self._star)
        edges = [self._seconds(event) / 2.0 for event in (before, after)]
        middle = self._seconds(half) / 2.0
        shortest = self.spectrometer.minimum_delay_s
        waits = []
        for edge in edges:
            ticks = self.spectrometer.ticks(whole_s / 2.0 - edge - middle)
            if ticks * self.spectrometer.tick_s < shortest:
                least = 2.0 * (max(edges) + middle + shortest)
                raise ValueError(
                    f"`{key}`: J must evolve for at least {format_quantity(least, 'time')} (the "
                    f"pulses' own length), but is given {format_quantity(whole_s, 'time')}"
                )
            waits.append(Delay(ticks=ticks, label="coupling"))
        return waits[0], half, waits[1]

    @property
    def _star(self) -> Pair:
        return (self.register.center.isotope, 0.0), (self.register.satellite.isotope, 0.0)

    def _both(self, angle_deg: float, phase_deg: float, pair: Pair) -> SimultaneousPulses:
        return SimultaneousPulses(
            pulses=tuple(
                self.pulse(isotope, angle_deg, (phase_deg + turned) % 360.0, "exchange")
                for isotope, turned in pair
            )
        )

    def _coupled_s(
        self, pulses: SimultaneousPulses, share: Callable[[NDArray[np.float64]], Any]
    ) -> float:
        """Return how long the coupling of a block acts during its pulses.

        The integral of share(theta_S) share(theta_I) over the angles turned so far: half of the
        length where both pulses are equally long.
        """
        turns = tuple((pulse.ticks, pulse.angle_rad) for pulse in pulses.pulses)
        return _coupled_ticks(turns, share) * self.spectrometer.tick_s

    def _seconds(self, event: Event) -> float:
        return event.ticks * self.spectrometer.tick_s


@lru_cache(maxsize=256)
def _coupled_ticks(
    turns: tuple[tuple[int, float], ...], share: Callable[[NDArray[np.float64]], Any]
) -> float:
    """Return for how many ticks a coupling acts during pulses of (ticks, angle) with one middle."""
    whole = max(ticks for ticks, _ in turns)
    steps = 2000
    middle = (np.arange(steps) + 0.5) * whole / steps
    product = np.ones(steps)
    for ticks, angle_rad in turns:
        begin = (whole - ticks) / 2.0
        product = product * share(angle_rad * np.clip((middle - begin) / ticks, 0.0, 1.0))
    return float(product.mean()) * whole
