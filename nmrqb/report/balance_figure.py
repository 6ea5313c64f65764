"""Pictures of an energy balance: the flow of one row, and the energies against what was swept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nmrqb.report.figures import BLUE, GREEN, GREY, ORANGE, PURPLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: quantity -> what is written below its bar, colour
_BARS = {
    "drawn_from_chargers": ("drawn from\nchargers", ORANGE),
    "gained_by_battery": ("gained by\nbattery", BLUE),
    "stored": ("stored", BLUE),
    "lost_in_store": ("lost in\nstore", GREY),
    "at_discharge": ("at\ndischarge", BLUE),
    "given_by_battery": ("given by\nbattery", BLUE),
    "delivered_to_load": ("delivered\nto load", GREEN),
    "discharge_work": ("work of\nRF field", PURPLE),
    "left_in_battery": ("left in\nbattery", BLUE),
}
#: quantity -> line's name, colour, style
_LINES = {
    "stored": ("battery, charged", BLUE, "-"),
    "at_discharge": ("battery, before the discharge", BLUE, "--"),
    "left_in_battery": ("battery, at the end", BLUE, ":"),
    "delivered_to_load": ("delivered to the load", GREEN, "-"),
    "discharge_work": ("work of the RF field", PURPLE, "-"),
}


def draw_flow(values: Mapping[str, float], ax: Axes, unit: str) -> None:
    """Draw the energies of one row as bars, in the order in which they flow.

    Parameters
    ----------
    values : mapping
        Quantity of the balance -> energy in `unit`.
    """
    shown = {name: bar for name, bar in _BARS.items() if name in values}
    for k, (name, (_, colour)) in enumerate(shown.items()):
        value = values[name]
        ax.bar(k, value, color=colour, width=0.7)
        up = value >= 0.0
        ax.annotate(
            f"{value:.3g}",
            (k, value),
            xytext=(0, 2 if up else -2),
            textcoords="offset points",
            ha="center",
            va="bottom" if up else "top",
            fontsize=7,
        )
    ax.axhline(0.0, color=GREY, linewidth=0.6)
    ax.set_xticks(range(len(shown)), [words for words, _ in shown.values()], fontsize=7)
    ax.margins(y=0.12)
    ax.set_ylabel(f"energy ({unit})")


def draw_energies(
    x: Sequence[float], rows: Sequence[Mapping[str, float]], ax: Axes, label: str, unit: str
) -> None:
    """Draw the energies of every row against the swept quantity.

    Parameters
    ----------
    x : sequence of float
    rows : sequence of mappings
        Of each row: quantity of the balance -> energy in `unit`.
    label : str
        Of the abscissa.
    """
    order = np.argsort(x)
    for name, (words, colour, style) in _LINES.items():
        y = np.array([row[name] for row in rows])
        ax.plot(np.array(x)[order], y[order], style, color=colour, label=words, marker=".")
    ax.axhline(0.0, color=GREY, linewidth=0.6)
    ax.set_xlabel(label)
    ax.set_ylabel(f"energy ({unit})")
    ax.legend(frameon=False, fontsize=7, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
