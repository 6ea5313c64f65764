"""Pictures of value objects; the values themselves know nothing of matplotlib.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.charging import ChargingCurve
from nmrqb.sequence.events import PulseSequence
from nmrqb.signals.series import Series
from nmrqb.simulate.simulator import SimulatedSequence
from nmrqb.units import format_quantity

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
            from nmrqb.report.sequence_figure import draw_sequence

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
    """Draw the polarisations of battery, charger and load against time."""
    ax.plot(result.times_s, result.battery_z, ".-", color=BLUE, label="battery")
    ax.plot(result.times_s, result.charger_z, ".-", color=ORANGE, label="charger")
    if result.load_z is not None:
        ax.plot(result.times_s, result.load_z, ".-", color=GREEN, label="load")
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
    shown = real[:, inside]
    # upright lines may overlap the row above; inverted ones get the room they need
    step = 0.35 * float(np.abs(shown).max()) + max(0.0, -float(shown.min()))
    for k, spectrum in enumerate(real):
        reference = k == series.reference_row
        colour = VERMILION if reference else BLUE
        ax.plot(ppm[inside], spectrum[inside] + k * step, color=colour, linewidth=0.8)
        name = "reference" if reference else _row_name(series, k)
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
    ax.set_title(f"rows: {series.axis.name}", fontsize=9, loc="right")


def _row_name(series: Series, row: int) -> str:
    """Return the swept value of a row with the unit that reads best."""
    value = float(series.axis.values[row])
    if series.axis.unit == "s":
        return format_quantity(value, "time")
    return f"{value:g} {series.axis.unit}"
