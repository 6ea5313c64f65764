"""Pictures of spectra: stacked rows over the chemical shift, high shifts to the left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nmrqb.signals.spectrum import Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: rows of one picture
_MAX_ROWS = 24
_MAX_POINTS = 8192


def draw_spectrum(
    spectrum: Spectrum, ax: Axes, region_ppm: tuple[float, float] | None = None
) -> None:
    """Draw the real parts of the rows, each lifted above the one before, on one scale.

    Parameters
    ----------
    spectrum : Spectrum
    ax : matplotlib Axes
    region_ppm : (low, high), optional
        The part to draw.
    """
    ppm = spectrum.ppm
    low, high = region_ppm or (float(ppm[0]), float(ppm[-1]))
    inside = np.flatnonzero((ppm >= low) & (ppm <= high))
    step = max(1, len(inside) // _MAX_POINTS)
    shown = np.unique(np.linspace(0, spectrum.rows - 1, min(spectrum.rows, _MAX_ROWS)).astype(int))
    real = spectrum.values.real[shown][:, inside]
    height = float(np.abs(real).max()) or 1.0
    lift = 0.0 if len(shown) == 1 else 0.12 * height
    for k, row in enumerate(real):
        # the tallest point of every step, or lines would be lost between the points drawn
        whole = row[: len(row) // step * step].reshape(-1, step)
        tallest = np.take_along_axis(whole, np.abs(whole).argmax(axis=1)[:, None], axis=1)[:, 0]
        place = ppm[inside][: len(tallest) * step : step]
        ax.plot(place, tallest + k * lift, color="#0072B2", linewidth=0.7)
    ax.set_xlim(high, low)
    ax.set_xlabel(f"{spectrum.nucleus} chemical shift (ppm)")
    ax.set_yticks([])
    ax.set_ylabel(
        f"{spectrum.axis.name}, {len(shown)} of {spectrum.rows} rows" if spectrum.rows > 1 else ""
    )
