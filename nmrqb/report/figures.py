"""Pictures of value objects; the values themselves know nothing of matplotlib.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.charging import ChargingCurve
from nmrqb.sequence.events import (
    Acquire,
    Crusher,
    Delay,
    Event,
    Exchange,
    Loop,
    Pulse,
    PulseSequence,
)
from nmrqb.signals.series import Series
from nmrqb.simulate.simulator import SimulatedSequence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLACK, ORANGE, BLUE, GREEN, VERMILION, PURPLE = (
    "#000000",
    "#E69F00",
    "#0072B2",
    "#009E73",
    "#D55E00",
    "#CC79A7",
)
GREY = "#7f7f7f"

Drawable = PulseSequence | ChargingCurve | Series | SimulatedSequence


def draw(value: Drawable, ax: Axes | None = None) -> Axes:
    """Draw a pulse sequence, a charging curve, a series or a simulated sequence.

    Parameters
    ----------
    value : PulseSequence, ChargingCurve, Series or SimulatedSequence
    ax : matplotlib Axes, optional
        Drawn into; a new figure's axes without it.

    Raises
    ------
    TypeError
        For a value that has no picture.
    """
    from matplotlib.figure import Figure

    if ax is None:
        ax = Figure(figsize=(7.0, 4.0), layout="constrained").add_subplot()
    match value:
        case PulseSequence():
            draw_sequence(value, ax)
        case ChargingCurve():
            draw_curve(value, ax)
        case Series():
            draw_spectra(value, ax)
        case SimulatedSequence():
            draw_polarisation(value, ax)
        case _:
            raise TypeError(f"{type(value).__name__} has no picture")
    return ax


def draw_curve(curve: ChargingCurve, ax: Axes, *, label: str | None = None) -> None:
    """Draw the energy of a curve: points with 95 % bars where it has errors, else a line."""
    if curve.energy_stderr is None:
        ax.plot(curve.times, curve.energy, color=BLUE, label=label)
    else:
        ax.errorbar(
            curve.times,
            curve.energy,
            yerr=1.96 * curve.energy_stderr,
            fmt="o",
            color=BLACK,
            markersize=4,
            capsize=2,
            label=label,
        )
    ax.axhline(0.0, color=GREY, linewidth=0.6)
    ax.set_xlabel(f"charging time ({curve.time_unit})")
    ax.set_ylabel("stored energy\n(" + curve.energy_unit.replace(", ", ",\n") + ")")


def draw_polarisation(result: SimulatedSequence, ax: Axes) -> None:
    """Draw the polarisations of battery and charger against time."""
    ax.plot(result.times_s, result.battery_z, ".-", color=BLUE, label="battery")
    ax.plot(result.times_s, result.charger_z, ".-", color=ORANGE, label="charger")
    ax.axhline(0.0, color=GREY, linewidth=0.6)
    ax.set_xlabel("time from the start of the scan (s)")
    ax.set_ylabel("polarisation $2\\langle S_z\\rangle$ (eps, spin label)")
    ax.legend(frameon=False)


def draw_spectra(
    series: Series,
    ax: Axes,
    *,
    phase_rad: float | None = None,
    region_ppm: tuple[float, float] | None = None,
) -> None:
    """Draw the spectra of a series one above the other, all with one phase.

    The phase is the given one, else that of the reference row (or the strongest row) at t = 0:
    rows keep their sign relative to it.
    """
    first = series.first_usable_point
    fids = series.fids[:, first:] / series.scans[:, None]
    t = series.times_s[first:]
    if phase_rad is None:
        row = series.reference_row
        if row is None:
            row = int(np.argmax(np.abs(fids[:, :8].sum(axis=1))))
        phase_rad = float(np.angle(fids[row, :8].sum()))
    window = np.exp(-3.0 * (t - t[0]) / (t[-1] - t[0]))
    size = 4 * len(t)  # zero-filled for the eye only; no number is taken from here
    spectra = np.fft.fftshift(np.fft.fft(fids * window, size, axis=1), axes=1)
    frequency = np.fft.fftshift(np.fft.fftfreq(size, series.dwell_s))
    spectra = spectra * np.exp(-1j * phase_rad) * np.exp(-2j * np.pi * frequency * t[0])
    real: NDArray[np.float64] = spectra.real
    ppm = series.ppm(frequency)
    inside = np.ones(len(ppm), bool)
    if region_ppm is not None:
        inside = (ppm >= region_ppm[0]) & (ppm <= region_ppm[1])
    step = 0.35 * float(np.abs(real[:, inside]).max())
    for k, spectrum in enumerate(real):
        reference = k == series.reference_row
        colour = VERMILION if reference else BLUE
        ax.plot(ppm[inside], spectrum[inside] + k * step, color=colour, linewidth=0.8)
        name = "reference" if reference else f"{series.axis.values[k]:g} {series.axis.unit}"
        ax.annotate(
            name.strip(),
            (1.01, k * step),
            xycoords=("axes fraction", "data"),
            fontsize=7,
            color=colour,
            va="center",
        )
    ax.invert_xaxis()
    ax.set_yticks([])
    ax.set_xlabel(f"{series.nucleus} chemical shift (ppm)")
    unit = f" ({series.axis.unit})" if series.axis.unit else ""
    ax.set_title(f"rows: {series.axis.name}{unit}", fontsize=9, loc="right")


_WIDTH = {Delay: 1.5, Pulse: 0.45, Crusher: 0.6, Exchange: 1.3, Acquire: 2.0}


def draw_sequence(sequence: PulseSequence, ax: Axes) -> None:
    """Draw a sequence as a spectroscopist does: channels, gradient, loop brackets; not to scale."""
    nuclei = list(
        dict.fromkeys(
            name
            for event, _ in sequence.walk()
            for name in (
                (event.nucleus, *event.decoupled)
                if isinstance(event, Acquire)
                else ((event.nucleus,) if isinstance(event, Pulse) else ())
            )
        )
    )
    rows = {name: len(nuclei) - k for k, name in enumerate(nuclei)}
    end = _draw_events(sequence.events, 0.3, sequence.tick_s, rows, ax)
    for name, y in {**rows, "gradient": 0}.items():
        ax.plot([0, end + 0.3], [y, y], color=BLACK, linewidth=0.8, zorder=1)
        ax.annotate(name, (-0.1, y), ha="right", va="center", fontsize=9)
    ax.set_xlim(-1.2, end + 0.4)
    ax.set_ylim(-0.5, max(rows.values(), default=0) + 1.25)
    ax.axis("off")


def _draw_events(
    events: tuple[Event, ...], x: float, tick_s: float, rows: dict[str, int], ax: Axes
) -> float:
    from matplotlib.patches import Rectangle

    top = max(rows.values(), default=0)
    for event in events:
        if isinstance(event, Loop):
            end = _draw_events(event.body, x + 0.15, tick_s, rows, ax) + 0.05
            for side, inward in ((x, 0.12), (end, -0.12)):
                ax.plot(
                    [side + inward, side, side, side + inward],
                    [top + 0.85, top + 0.85, -0.35, -0.35],
                    color=VERMILION,
                    linewidth=1.2,
                )
            ax.annotate(f"x {event.count}", (end + 0.05, top + 0.8), color=VERMILION, fontsize=10)
            x = end + 0.3
            continue
        width = _WIDTH[type(event)]
        seconds = event.ticks * tick_s
        match event:
            case Delay():
                if event.label != "dead time":
                    ax.annotate(
                        f"{_short_time(seconds)}\n{event.label}",
                        (x + width / 2, 0.5),
                        ha="center",
                        va="center",
                        fontsize=7,
                        color=GREY,
                    )
                else:
                    width = 0.1
            case Pulse():
                angle = np.degrees(event.angle_rad)
                span = width * (0.8 if angle > 135 else 0.45)
                y = rows[event.nucleus]
                ax.add_patch(
                    Rectangle((x + (width - span) / 2, y), span, 0.55, color=BLACK, zorder=2)
                )
                phase = {0: "x", 90: "y", 180: "-x", 270: "-y"}.get(
                    round(np.degrees(event.phase_rad)) % 360, ""
                )
                ax.annotate(
                    f"{angle:.0f}°$_{{{phase}}}$",
                    (x + width / 2, y + 0.58),
                    ha="center",
                    fontsize=7,
                )
            case Crusher():
                xs = np.linspace(0, np.pi, 30)
                ax.fill_between(
                    x + width * xs / np.pi, 0.0, 0.45 * np.sin(xs), color=GREEN, zorder=2
                )
            case Exchange():
                low, high = min(rows.values()), max(rows.values())
                ax.add_patch(
                    Rectangle(
                        (x, low - 0.1),
                        width,
                        high - low + 0.6,
                        facecolor="#cfe3f3",
                        edgecolor=BLUE,
                        zorder=2,
                    )
                )
                ax.annotate(
                    f"ideal XY\n{_short_time(seconds)}",
                    (x + width / 2, (low + high) / 2 + 0.2),
                    ha="center",
                    va="center",
                    fontsize=7,
                    zorder=3,
                )
            case Acquire():
                y = rows[event.nucleus]
                t = np.linspace(0, 1, 200)
                ax.plot(
                    x + width * t,
                    y + 0.5 * np.exp(-3 * t) * np.cos(40 * t),
                    color=BLUE,
                    linewidth=0.9,
                    zorder=2,
                )
                for name in event.decoupled:
                    ax.add_patch(
                        Rectangle(
                            (x, rows[name]),
                            width,
                            0.35,
                            facecolor="#eeeeee",
                            edgecolor=GREY,
                            zorder=2,
                        )
                    )
                    ax.annotate(
                        "decouple",
                        (x + width / 2, rows[name] + 0.17),
                        ha="center",
                        va="center",
                        fontsize=7,
                        zorder=3,
                    )
        x += width + 0.08
    return x


def _short_time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.4g} {unit}"
    return f"{seconds:.2g} s"
