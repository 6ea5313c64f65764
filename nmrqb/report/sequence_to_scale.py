"""The picture of a pulse sequence to scale, on a time axis broken where waits dwarf the rest.

Within a stretch between two breaks every length is true to one scale, told by a bar; a broken wait
is drawn short and says how long it is.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nmrqb.report.figures import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION
from nmrqb.report.sequence_figure import draw_sequence, nuclei_of, short_time
from nmrqb.sequence.dummy_pulses import DummyPulses
from nmrqb.sequence.events import (
    Acquire,
    Crusher,
    Delay,
    Event,
    Inversion,
    Loop,
    Pulse,
    PulseSequence,
    Saturation,
    Segment,
    SimultaneousPulses,
    SpinLock,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: what is longer than all that is shorter together, and than so many of the shortest, is broken
_DWARFS = 300.0
#: share of the picture that one break takes
_BREAK = 0.09
_NAMES: dict[type, str] = {
    Acquire: "acquire",
    Saturation: "saturate",
    SpinLock: "spin lock",
    Inversion: "inversion",
    DummyPulses: "dummy pulses",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """Begin (+1) or end (-1) of a loop."""

    side: int
    count: int


def draw_sequence_to_scale(sequence: PulseSequence, ax: Axes) -> None:
    """Draw a sequence with lengths true to scale; a loop's body is drawn once."""
    parts = list(_once(sequence.events))
    events = [part for part in parts if not isinstance(part, _Mark) and part.ticks]
    cut = _longest_unbroken([event.ticks for event in events])
    unbroken = sum(event.ticks for event in events if event.ticks <= cut)
    breaks = sum(event.ticks > cut for event in events)
    gap = _BREAK * unbroken / max(0.2, 1.0 - _BREAK * breaks)
    nuclei = list(dict.fromkeys(n for event in events for n in nuclei_of(event)))
    pen = _Pen(ax, {name: len(nuclei) - k for k, name in enumerate(nuclei)}, sequence.tick_s)
    x = 0.0
    for part in parts:
        if isinstance(part, _Mark):
            pen.bracket(part, x, unbroken + breaks * gap)
        elif part.ticks > cut:
            pen.event(part, x, gap, broken=True)
            x += gap
        elif part.ticks:
            pen.event(part, x, float(part.ticks), broken=False)
            x += part.ticks
    for name, y in {**pen.rows, "gradient": 0}.items():
        ax.plot([0, x], [y, y], color=BLACK, linewidth=0.8, zorder=1)
        ax.annotate(
            name,
            (0.0, y),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=9,
        )
    pen.scale_bar(x, unbroken)
    ax.set_xlim(-0.02 * x, 1.02 * x)
    ax.set_ylim(-1.15, pen.top + 1.3)
    ax.axis("off")


def sequence_pictures(sequence: PulseSequence) -> dict[str, bytes]:
    """Return PNG files of a sequence, schematic and to scale: name -> bytes."""
    from matplotlib.figure import Figure

    pictures = {}
    for name, draw in (("schematic", draw_sequence), ("to_scale", draw_sequence_to_scale)):
        figure = Figure(figsize=(11.0, 3.4), layout="constrained")
        draw(sequence, figure.add_subplot())
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=130)
        pictures[f"sequence_{name}.png"] = stream.getvalue()
    return pictures


def _once(events: tuple[Event, ...]) -> Iterator[Event | _Mark]:
    for event in events:
        if isinstance(event, Loop):
            if event.count:
                yield _Mark(side=1, count=event.count)
                yield from _once(event.body)
                yield _Mark(side=-1, count=event.count)
        elif isinstance(event, Segment):
            yield from _once(event.body)
        else:
            yield event


def _longest_unbroken(ticks: list[int]) -> int:
    """Return the longest length that is drawn to scale."""
    ordered = sorted(ticks)
    total = 0
    for k, length in enumerate(ordered):
        if length > max(total, _DWARFS * ordered[0]) and k:
            return ordered[k - 1]
        total += length
    return ordered[-1]


class _Pen:
    def __init__(self, ax: Axes, rows: dict[str, int], tick_s: float) -> None:
        self.ax, self.rows, self.tick_s = ax, rows, tick_s
        self.top = max(rows.values(), default=0)
        #: loops that ended at each place so far: nested ones write their counts above each other
        self.ended: dict[float, int] = {}

    def bracket(self, mark: _Mark, x: float, whole: float) -> None:
        inward = mark.side * 0.006 * whole
        self.ax.plot(
            [x + inward, x, x, x + inward],
            [self.top + 0.8, self.top + 0.8, -0.3, -0.3],
            color=VERMILION,
            linewidth=1.2,
        )
        if mark.side < 0:
            inner = self.ended.get(x, 0)
            self.ended[x] = inner + 1
            y = self.top + 0.85 + 0.22 * inner
            self.ax.annotate(f"x {mark.count}", (x, y), color=VERMILION, fontsize=9, ha="right")

    def event(self, event: Event, x: float, width: float, *, broken: bool) -> None:
        """Draw one event from x on; a broken one is `width` wide however long it is."""
        match event:
            case Pulse():
                self._block(event.nucleus, x, width, BLACK)
            case SimultaneousPulses():
                for pulse in event.pulses:
                    share = width * pulse.ticks / event.ticks
                    self._block(pulse.nucleus, x + (width - share) / 2.0, share, BLACK)
            case Inversion():
                self._block(event.nucleus, x, width, GREY)
            case SpinLock():
                for isotope in event.nuclei:
                    self._block(isotope, x, width, ORANGE)
            case Saturation() | DummyPulses():
                self._block(event.nucleus, x, width, ORANGE, height=0.3)
            case Crusher():
                arch = np.linspace(0.0, np.pi, 40)
                self.ax.fill_between(
                    x + width * arch / np.pi, 0.0, 0.45 * np.sin(arch), color=GREEN, zorder=2
                )
            case Acquire():
                self._acquire(event, x, width)
            case Delay():
                pass
            case _:
                for isotope in self.rows:
                    self._block(isotope, x, width, BLUE, height=0.3)
        if broken:
            self._break(x, width, event)

    def _block(
        self, isotope: str, x: float, width: float, colour: str, height: float = 0.5
    ) -> None:
        from matplotlib.patches import Rectangle

        y = self.rows[isotope]
        # the edge keeps a pulse of microseconds visible
        self.ax.add_patch(
            Rectangle((x, y), width, height, facecolor=colour, edgecolor=colour, linewidth=0.6)
        )

    def _acquire(self, event: Acquire, x: float, width: float) -> None:
        t = np.linspace(0.0, 1.0, 300)
        y = self.rows[event.nucleus]
        self.ax.plot(
            x + width * t,
            y + 0.5 * np.exp(-3.0 * t) * np.cos(60.0 * t),
            color=BLUE,
            linewidth=0.8,
            zorder=2,
        )
        for isotope in event.decoupled:
            self._block(isotope, x, width, "#cccccc", height=0.3)

    def _break(self, x: float, width: float, event: Event) -> None:
        middle, slant = x + width / 2.0, 0.05 * width
        for y in (*self.rows.values(), 0):
            for side in (-1.0, 1.0):
                place = middle + side * 0.06 * width
                self.ax.plot(
                    [place - slant, place + slant],
                    [y - 0.12, y + 0.12],
                    color=BLACK,
                    linewidth=1.0,
                    zorder=4,
                )
        words = event.label if isinstance(event, Delay) else _NAMES.get(type(event), "")
        self.ax.annotate(
            f"{short_time(event.ticks * self.tick_s)}\n{words}".strip(),
            (middle, -0.28),
            ha="center",
            va="top",
            fontsize=7,
            color=GREY,
        )

    def scale_bar(self, whole: float, unbroken: float) -> None:
        """Draw a bar of a round length, about a tenth of what is to scale."""
        wanted = 0.12 * unbroken * self.tick_s
        power = 10.0 ** math.floor(math.log10(wanted))
        seconds = power * max(f for f in (1.0, 2.0, 5.0) if f * power <= wanted)
        length = seconds / self.tick_s
        self.ax.plot(
            [whole - length, whole],
            [-0.85, -0.85],
            color=BLACK,
            linewidth=2.0,
            solid_capstyle="butt",
        )
        self.ax.annotate(
            short_time(seconds), (whole - length / 2.0, -0.9), ha="center", va="top", fontsize=8
        )
