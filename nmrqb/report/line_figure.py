"""Pictures of fitted lines: the strongest row of a region, its fit, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nmrqb.analysis.region_fit import FittedRow
from nmrqb.report import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: residuals are drawn this many times larger where the fit is that good
_MAGNIFIED = (1, 5, 20, 100)


def draw_lines(fitted: FittedRow, ax: Axes) -> None:
    """Draw a row in absorption with its fit, and the residual below, enlarged where it is small.

    Parameters
    ----------
    fitted : FittedRow
    ax : matplotlib Axes
    """
    data, fit = fitted.spectrum.real, fitted.fit.real
    height = float(np.abs(data).max()) or 1.0
    rest = (data - fit) / height
    reach = max(float(np.abs(rest).max()), 1e-9)
    factor = max(m for m in _MAGNIFIED if m == 1 or m * reach < 0.2)
    low = min(float(fit.min()), float(data.min()), 0.0) / height
    ax.plot(fitted.ppm, data / height, ".", color=figures.BLACK, markersize=2.0)
    ax.plot(fitted.ppm, fit / height, color=figures.GREEN, linewidth=0.9)
    ax.plot(
        fitted.ppm, low - 1.2 * factor * reach + factor * rest, color=figures.VERMILION,
        linewidth=0.7,
    )  # fmt: skip
    ax.annotate(
        f"residual x {factor}" if factor > 1 else "residual",
        (0.02, 0.02),
        xycoords="axes fraction",
        fontsize=6,
        color=figures.VERMILION,
    )
    ax.set_xlim(float(fitted.ppm.max()), float(fitted.ppm.min()))
    ax.set_yticks([])
    ax.tick_params(labelsize=7)
