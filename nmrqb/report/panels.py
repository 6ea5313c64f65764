"""Figures of computed curves and maps: labels, units, colours that everyone can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.report import figures
from nmrqb.units import FILE_CONFIG

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Scale = Literal["linear", "log"]
Style = Literal["line", "dashed", "dotted", "points", "line-points", "bars"]

COLOURS = (
    figures.BLUE,
    figures.VERMILION,
    figures.GREEN,
    figures.ORANGE,
    figures.PURPLE,
    figures.BLACK,
    "#56B4E9",
)
_MARKERS = "os^Dv<>"
_LINES: dict[str, str] = {"line": "-", "line-points": "-", "dashed": "--", "dotted": ":"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Title, labels, scales and limits of a panel; text may hold mathematics between dollars."""

    __pydantic_config__ = FILE_CONFIG

    x_label: str
    y_label: str
    title: str = ""
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    legend: Literal["best", "upper left", "upper right", "lower left", "lower right", "none"] = (
        "best"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnCurve:
    """One curve; points that could not be computed are NaN and leave a gap.

    Attributes
    ----------
    x, y : ndarray, shape (points,)
        x empty: a level at y[0] across the panel.
    label : str
        Empty: not in the legend.
    style : {"line", "dashed", "dotted", "points", "line-points", "bars"}
    colour : int or None
        Place in COLOURS; None: the place of the curve in its panel.
    """

    x: Array
    y: Array
    label: str
    style: Style
    colour: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnMap:
    """A map of z over x and y, z of shape (len(y), len(x)); `label` is that of z."""

    x: Array
    y: Array
    z: Array
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPanel:
    """A frame with what is drawn into it."""

    frame: Frame
    curves: tuple[DrawnCurve, ...] = ()
    map: DrawnMap | None = None


def draw_panels(panels: Sequence[DrawnPanel], columns: int = 2) -> Figure:
    """Return a figure of all panels, lettered where there are several."""
    from matplotlib.figure import Figure

    wide = min(columns, len(panels))
    high = -(-len(panels) // wide)
    picture = Figure(figsize=(3.6 * wide + 0.4, 3.0 * high + 0.2), layout="constrained")
    places = picture.subplots(high, wide, squeeze=False).ravel()
    for k, (ax, panel) in enumerate(zip(places, panels, strict=False)):
        _draw_panel(ax, panel)
        letter = f"({chr(ord('a') + k)}) " if len(panels) > 1 else ""
        ax.set_title(letter + panel.frame.title, fontsize=9, loc="left")
    for ax in places[len(panels) :]:
        ax.set_axis_off()
    return picture


def save_figure(picture: Figure, stem: Path) -> None:
    """Write a figure as STEM.pdf, STEM.svg and STEM.png, the same bytes for the same figure."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "nmrqb", "pdf.fonttype": 42}):
        picture.savefig(stem.with_suffix(".pdf"), metadata={"CreationDate": None})
        picture.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
        picture.savefig(stem.with_suffix(".png"), dpi=200, metadata={"Software": None})


def _draw_panel(ax: Axes, panel: DrawnPanel) -> None:
    from matplotlib.ticker import MaxNLocator

    frame = panel.frame
    ax.set_xscale(frame.x_scale)
    ax.set_yscale(frame.y_scale)
    if panel.map is not None:
        _draw_map(ax, panel.map)
    bars = sum(curve.style == "bars" for curve in panel.curves)
    drawn_bars = 0
    for k, curve in enumerate(panel.curves):
        place = (k if curve.colour is None else curve.colour) % len(COLOURS)
        colour, marker = COLOURS[place], _MARKERS[place]
        label = curve.label or None
        if len(curve.x) == 0:
            line = _LINES.get(curve.style, "-")
            ax.axhline(float(curve.y[0]), linestyle=line, color=colour, linewidth=1.0, label=label)
        elif curve.style == "bars":
            step = float(np.min(np.diff(curve.x))) if len(curve.x) > 1 else 1.0
            width = 0.8 * step / bars
            offset = (drawn_bars - (bars - 1) / 2.0) * width
            ax.bar(curve.x + offset, curve.y, width, color=colour, label=label)
            drawn_bars += 1
        elif curve.style == "points":
            ax.plot(curve.x, curve.y, marker, color=colour, markersize=4, label=label)
        else:
            shown = marker if curve.style == "line-points" else ""
            ax.plot(
                curve.x, curve.y, _LINES[curve.style], marker=shown, color=colour,
                markersize=3.5, linewidth=1.3, label=label,
            )  # fmt: skip
    if frame.x_limits is not None:
        ax.set_xlim(*frame.x_limits)
    if frame.y_limits is not None:
        ax.set_ylim(*frame.y_limits)
    ax.set_xlabel(frame.x_label, fontsize=9)
    ax.set_ylabel(frame.y_label, fontsize=9)
    ax.tick_params(labelsize=8)
    for axis, scale in ((ax.xaxis, frame.x_scale), (ax.yaxis, frame.y_scale)):
        if scale == "log":
            _label_log_axis(axis)
    x = np.concatenate([np.zeros(0), *(curve.x for curve in panel.curves)])
    if frame.x_scale == "linear" and len(x) and (x == np.rint(x)).all() and np.ptp(x) > 2.0:
        # numbers of batteries, chargers, loads: no ticks between them
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if frame.legend != "none" and any(curve.label for curve in panel.curves):
        ax.legend(frameon=False, fontsize=7.5, loc=frame.legend)


def _label_log_axis(axis: Axis) -> None:
    """Label a short logarithmic axis 1, 2, 5, 10 instead of by powers of ten alone."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    axis.set_minor_formatter(NullFormatter())
    if high < 150.0 * low and low > 0.05 and high < 2e4:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FormatStrFormatter("%g"))


def _draw_map(ax: Axes, shown: DrawnMap) -> None:
    from matplotlib.figure import Figure

    finite = shown.z[np.isfinite(shown.z)]
    top = float(np.abs(finite).max()) if len(finite) else 1.0
    # a map with both signs has its zero in the middle of a diverging scale
    is_signed = bool(np.any(finite < -1e-12 * top) and np.any(finite > 1e-12 * top))
    low, high = (-top, top) if is_signed else (None, None)
    mesh = ax.pcolormesh(
        shown.x, shown.y, shown.z, cmap="RdBu_r" if is_signed else "viridis",
        shading="nearest", rasterized=True, vmin=low, vmax=high,
    )  # fmt: skip
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    bar = figure.colorbar(mesh, ax=ax)
    bar.set_label(shown.label, fontsize=9)
    bar.ax.tick_params(labelsize=8)
