"""Names, units and bounds of line-shape parameters: lmfit's `Parameters` and `Model` of a spectrum.

The first line of a region has `shift` (ppm), `width` and `gaussian_width` (Hz, full widths at half
height of the Lorentzian and Gaussian part), `J` (Hz) where it is a multiplet, and `phase` (degrees
at time 0).  Further lines carry their number, `shift2`, ..., and `intensity2`, the amplitude at
time 0 relative to the first line, signed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.lines import Bins
from nmrqb.analysis.shapes import LineShape, shape_in_bins
from nmrqb.signals.series import Series

if TYPE_CHECKING:
    import lmfit

UNITS = {
    "shift": "ppm",
    "width": "Hz",
    "gaussian_width": "Hz",
    "J": "Hz",
    "phase": "deg",
    "intensity": "",
}


def numbered(name: str, line: int) -> str:
    """Return the parameter's name for a line counted from 0: ``shift``, ``shift2``, ..."""
    return name if line == 0 else f"{name}{line + 1}"


def unit_of(name: str) -> str:
    """Return the unit of a numbered parameter."""
    return UNITS[name.rstrip("0123456789")]


def names_of_line(shape: LineShape, line: int) -> tuple[str, ...]:
    """Return the parameter names of one line, in the order of `spectrum_of_lines`' slopes."""
    extra = ("phase",) if line == 0 else ("phase", "intensity")
    return tuple(numbered(n, line) for n in (*shape.names, *extra))


def names_of_lines(shapes: Sequence[LineShape]) -> tuple[str, ...]:
    """Return the parameter names of all lines of a region."""
    return tuple(n for k, shape in enumerate(shapes) for n in names_of_line(shape, k))


def spectrum_of_lines(
    bins: Bins, series: Series, shapes: Sequence[LineShape], values: Mapping[str, float]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Return the sum of the lines for amplitude 1, and its derivatives.

    Parameters
    ----------
    bins : Bins
    series : Series
        Whose scale of chemical shifts holds.
    shapes : sequence of LineShape
    values : mapping
        One value for each of `names_of_lines`.

    Returns
    -------
    spectrum : ndarray of complex, shape (bins,)
    slopes : ndarray of complex, shape (names, bins)
        By each of the names, per unit of it.
    """
    total = np.zeros(len(bins.frequency_hz), complex)
    columns: list[NDArray[np.complex128]] = []
    hz_per_ppm = 1e-6 * series.reference_hz
    for k, shape in enumerate(shapes):
        own = {n: values[numbered(n, k)] for n in shape.names}
        own["shift"] = float(series.offset_hz(own["shift"]))
        line, slopes = shape_in_bins(bins, shape, own)
        turn = np.exp(1j * np.radians(values[numbered("phase", k)]))
        factor = turn * (1.0 if k == 0 else values[numbered("intensity", k)])
        total += factor * line
        slopes = factor * slopes
        slopes[0] *= hz_per_ppm
        columns += [*slopes, 1j * np.radians(1.0) * factor * line]
        if k > 0:
            columns.append(turn * line)
    return total, np.array(columns)


def bounded(
    series: Series,
    bins: Bins,
    shapes: Sequence[LineShape],
    values: Mapping[str, float],
    given: lmfit.Parameters | None,
) -> lmfit.Parameters:
    """Return `values` as lmfit Parameters with bounds; what is `given` replaces them.

    Shifts stay inside the region, J below its width, widths between a hundredth of a bin and ten
    times the region.
    """
    import lmfit

    low, high = sorted(series.ppm(bins.frequency_hz[[0, -1]]).tolist())
    bin_hz = 1.0 / (bins.points * bins.dwell_s)
    span = float(np.ptp(bins.frequency_hz))
    limits = {
        "shift": (low, high),
        "width": (0.01 * bin_hz, 10.0 * span),
        "gaussian_width": (0.01 * bin_hz, 10.0 * span),
        "J": (0.0, span),
    }
    names = names_of_lines(shapes)
    table = lmfit.Parameters()
    tied: dict[str, str] = {}
    for name in names:
        least, most = limits.get(name.rstrip("0123456789"), (-np.inf, np.inf))
        p = None if given is None or name not in given else given[name]
        if p is None or p.expr:
            # a number that an expression will replace needs no good start
            start = values.get(name, 0.0) if p is not None else values[name]
            table.add(name, value=start, min=least, max=most)
        else:
            table.add(name, value=p.value, vary=p.vary, min=p.min, max=p.max)
        if p is not None and p.expr:
            tied[name] = p.expr
    for name, expression in tied.items():
        # of a line that is still to be found nothing can be told
        if all(n in names for n in re.findall(r"[A-Za-z_]\w*", expression) if _is_name(n)):
            table[name].set(expr=expression, min=-np.inf, max=np.inf)
    return table


def _is_name(word: str) -> bool:
    return re.fullmatch(rf"(?:{'|'.join(UNITS)})\d*", word) is not None


def at_bound(parameter: lmfit.Parameter, stderr: float) -> str | None:
    """Return the reason to withhold a parameter that ends at a bound, within 5 % of its error."""
    for bound, word in ((parameter.min, "lower"), (parameter.max, "upper")):
        near = max(0.05 * stderr, 1e-9 * abs(bound))
        if np.isfinite(bound) and abs(parameter.value - bound) <= near:
            return f"not identifiable: the fit ends at its {word} bound {bound:.6g}"
    return None


def check_names(given: Iterable[str], shapes: Sequence[LineShape]) -> None:
    """Refuse given parameters that the lines do not have.

    Raises
    ------
    ValueError
    """
    known = names_of_lines(shapes)
    unknown = [n for n in given if n not in known]
    if unknown:
        raise ValueError(
            f"parameters must be among {', '.join(known)}, but hold {', '.join(unknown)}"
        )


def line_model(series: Series, shapes: Sequence[LineShape]) -> lmfit.Model:
    """Return an lmfit Model of one row's spectrum, for fits of your own.

    Its independent variable is `bins`, those of `spectrum_bins`, of a region or whole; its value is
    complex, shape (bins,).  Parameters are those of `fit_series` and `amplitude`, the amplitude at
    time 0 of the first line.

    Parameters
    ----------
    series : Series
    shapes : sequence of LineShape
    """
    import lmfit

    names = names_of_lines(shapes)

    def lines(bins: Bins, **values: float) -> NDArray[np.complex128]:
        return values["amplitude"] * spectrum_of_lines(bins, series, shapes, values)[0]

    # lmfit reads the names of the arguments of a function that is made at run time here
    lines.argnames = ["bins", "amplitude", *names]  # type: ignore[attr-defined]
    lines.kwargs = []  # type: ignore[attr-defined]
    return lmfit.Model(lines, independent_vars=["bins"])
