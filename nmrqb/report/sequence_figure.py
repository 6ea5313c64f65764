"""The picture of a pulse sequence as a spectroscopist draws it; not to scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nmrqb.report.figures import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION
from nmrqb.sequence.dummy_pulses import DummyPulses
from nmrqb.sequence.events import (
    Acquire,
    Crusher,
    Delay,
    DrivenExchange,
    Event,
    Exchange,
    Inversion,
    LoadExchange,
    Loop,
    PhaseFlip,
    PseudoPure,
    Pulse,
    PulseSequence,
    Saturation,
    Segment,
    SimultaneousPulses,
    SpinLock,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: a segment with more events than this is one box
_OPEN_SEGMENT = 12
_PHASES = {0: "x", 90: "y", 180: "-x", 270: "-y"}


def draw_sequence(sequence: PulseSequence, ax: Axes) -> None:
    """Draw channels, gradient, loop brackets; a long native exchange is one box."""
    nuclei = list(dict.fromkeys(n for event, _ in sequence.walk() for n in nuclei_of(event)))
    pen = _Pen(ax, {name: len(nuclei) - k for k, name in enumerate(nuclei)}, sequence.tick_s)
    end = pen.draw(sequence.events, 0.3)
    for name, y in {**pen.rows, "gradient": 0}.items():
        ax.plot([0, end + 0.3], [y, y], color=BLACK, linewidth=0.8, zorder=1)
        ax.annotate(name, (-0.1, y), ha="right", va="center", fontsize=9)
    ax.set_xlim(-1.2, end + 0.4)
    ax.set_ylim(-0.5, max(pen.rows.values(), default=0) + 1.25)
    ax.axis("off")


def nuclei_of(event: Event) -> tuple[str, ...]:
    """Return the nuclei that an event acts on or detects."""
    match event:
        case Acquire():
            return (event.nucleus, *event.decoupled)
        case Pulse() | Inversion() | Saturation() | PhaseFlip() | DummyPulses():
            return (event.nucleus,)
        case SimultaneousPulses():
            return tuple(pulse.nucleus for pulse in event.pulses)
        case SpinLock():
            return event.nuclei
        case _:
            return ()


def _is_short(segment: Segment) -> bool:
    flat = not any(isinstance(event, (Loop, Segment)) for event in segment.body)
    return flat and len(segment.body) <= _OPEN_SEGMENT


class _Pen:
    def __init__(self, ax: Axes, rows: dict[str, int], tick_s: float) -> None:
        self.ax, self.rows, self.tick_s = ax, rows, tick_s
        self.top = max(rows.values(), default=0)

    def draw(self, events: tuple[Event, ...], x: float) -> float:
        """Draw events from x to the right and return where they end."""
        for event in events:
            if isinstance(event, Loop):
                x = self._loop(event, x)
            elif isinstance(event, Segment) and _is_short(event):
                x = self.draw(event.body, x)
            else:
                x += self._event(event, x) + 0.08
        return x

    def _loop(self, loop: Loop, x: float) -> float:
        end = self.draw(loop.body, x + 0.15) + 0.05
        for side, inward in ((x, 0.12), (end, -0.12)):
            self.ax.plot(
                [side + inward, side, side, side + inward],
                [self.top + 0.85, self.top + 0.85, -0.35, -0.35],
                color=VERMILION,
                linewidth=1.2,
            )
        self.ax.annotate(
            f"x {loop.count}", (end + 0.05, self.top + 0.8), color=VERMILION, fontsize=10
        )
        return end + 0.3

    def _event(self, event: Event, x: float) -> float:
        seconds = event.ticks * self.tick_s
        match event:
            case Delay():
                return self._delay(event, seconds, x)
            case Pulse():
                self._pulse(event, x)
                return 0.45
            case SimultaneousPulses():
                for pulse in event.pulses:
                    self._pulse(pulse, x)
                return 0.45
            case Inversion():
                y = self.rows[event.nucleus]
                sweep = np.linspace(0.0, 1.0, 30)
                self.ax.fill_between(
                    x + 0.6 * sweep, y, y + 0.5 * np.sin(np.pi * sweep) ** 0.5, color=BLACK
                )
                words = f"inv. {100 * event.efficiency:.3g} %"
                self.ax.annotate(words, (x + 0.3, y + 0.58), ha="center", fontsize=7)
                return 0.6
            case Crusher():
                arch = np.linspace(0, np.pi, 30)
                self.ax.fill_between(
                    x + 0.6 * arch / np.pi, 0.0, 0.45 * np.sin(arch), color=GREEN, zorder=2
                )
                return 0.6
            case Saturation():
                self._field(event.nucleus, x, 1.3, f"saturate\n{short_time(seconds)}")
                return 1.3
            case DummyPulses():
                khz = f"{event.offset_hz / 1e3:.3g} kHz off"
                self._field(event.nucleus, x, 1.3, f"{event.count} dummies\n{khz}")
                return 1.3
            case SpinLock():
                for isotope in event.nuclei:
                    words = f"lock {event.nutation_hz:g} Hz\n{short_time(seconds)}"
                    self._field(isotope, x, 1.3, words)
                return 1.3
            case Exchange():
                self._box(x, 1.3, f"ideal XY\n{short_time(seconds)}")
                return 1.3
            case LoadExchange():
                words = f"ideal {event.quanta} quanta\nwith the load, {short_time(seconds)}"
                self._box(x, 2.0, words)
                return 2.0
            case DrivenExchange():
                words = (
                    f"ideal XY, drive {event.nutation_hz:g} Hz\ndephasing "
                    f"{event.dephasing_per_s:g} /s\n{short_time(seconds)}"
                )
                self._box(x, 2.6, words)
                return 2.6
            case PhaseFlip():
                y = self.rows.get(event.nucleus, 1)
                self.ax.annotate("$\\phi$?", (x + 0.15, y + 0.1), ha="center", fontsize=8)
                return 0.3
            case PseudoPure():
                self._box(x, 1.3, "pseudo-\npure")
                return 1.3
            case Segment():
                self._box(x, 2.6, event.label.replace(" of ", "\n", 1).replace(" in ", "\n", 1))
                return 2.6
            case Acquire():
                return self._acquire(event, x)
            case Loop():
                return 0.0

    def _delay(self, event: Delay, seconds: float, x: float) -> float:
        if event.label == "dead time":
            return 0.1
        coupling = event.label == "coupling"
        words = short_time(seconds) if coupling else f"{short_time(seconds)}\n{event.label}"
        width = 0.8 if coupling else 1.5
        self.ax.annotate(
            words, (x + width / 2, 0.5), ha="center", va="center", fontsize=7, color=GREY
        )
        return width

    def _pulse(self, pulse: Pulse, x: float) -> None:
        from matplotlib.patches import Rectangle

        angle, y = np.degrees(pulse.angle_rad), self.rows[pulse.nucleus]
        span = 0.36 if angle > 135 else 0.2
        self.ax.add_patch(Rectangle((x + (0.45 - span) / 2, y), span, 0.55, color=BLACK, zorder=2))
        phase = _PHASES.get(round(np.degrees(pulse.phase_rad)) % 360, "")
        self.ax.annotate(
            f"{angle:.0f}°$_{{{phase}}}$", (x + 0.225, y + 0.58), ha="center", fontsize=7
        )

    def _field(self, isotope: str, x: float, width: float, words: str) -> None:
        from matplotlib.patches import Rectangle

        y = self.rows[isotope]
        self.ax.add_patch(
            Rectangle((x, y), width, 0.45, facecolor="#f7e3b5", edgecolor=ORANGE, zorder=2)
        )
        self.ax.annotate(
            words, (x + width / 2, y + 0.22), ha="center", va="center", fontsize=6.5, zorder=3
        )

    def _box(self, x: float, width: float, words: str) -> None:
        from matplotlib.patches import Rectangle

        low, high = min(self.rows.values(), default=1), self.top
        self.ax.add_patch(
            Rectangle(
                (x, low - 0.1),
                width,
                high - low + 0.6,
                facecolor="#cfe3f3",
                edgecolor=BLUE,
                zorder=2,
            )
        )
        self.ax.annotate(
            words,
            (x + width / 2, (low + high) / 2 + 0.2),
            ha="center",
            va="center",
            fontsize=7,
            zorder=3,
        )

    def _acquire(self, event: Acquire, x: float) -> float:
        from matplotlib.patches import Rectangle

        y, width = self.rows[event.nucleus], 2.0
        t = np.linspace(0, 1, 200)
        self.ax.plot(
            x + width * t,
            y + 0.5 * np.exp(-3 * t) * np.cos(40 * t),
            color=BLUE,
            linewidth=0.9,
            zorder=2,
        )
        for name in event.decoupled:
            self.ax.add_patch(
                Rectangle(
                    (x, self.rows[name]), width, 0.35, facecolor="#eeeeee", edgecolor=GREY, zorder=2
                )
            )
            self.ax.annotate(
                "decouple",
                (x + width / 2, self.rows[name] + 0.17),
                ha="center",
                va="center",
                fontsize=7,
                zorder=3,
            )
        return width


def short_time(seconds: float) -> str:
    """Return a time with four digits and the unit that reads best."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.4g} {unit}"
    return f"{seconds:.2g} s"
