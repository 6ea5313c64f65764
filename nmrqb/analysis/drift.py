"""Rows whose field or phase drifts: found in every series, modelled where asked.

A shape common to all rows takes a drift for a change of amplitude (a line that is moved or
broadened overlaps less with it).  To first order a row that is moved by d hertz and turned by f
radians leaves the residual a (d ds/dnu + f i s) of the common fit: `find_drift` reads d and f of
every row from it.  `fit_rows` fits the rows each with a shift, a phase or a broadening of its own.
The price is the honest one: with a width free the variance of ln a doubles.

A phase of its own would take a row's sign away: a turn by 180 degrees is a change of sign.  Phases
are therefore taken to change by less than 90 degrees from one visible row to the next, and rows too
weak to show theirs take it from their neighbours: no sign is lost, no amplitude made positive.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats
from scipy.optimize import least_squares

from nmrqb.analysis.line_parameters import numbered
from nmrqb.analysis.projection import Array, Projection, Spectra, inner
from nmrqb.analysis.residuals import in_words
from nmrqb.signals.series import Series

Drifting = Literal["shift", "phase", "width"]
DRIFTING: tuple[Drifting, ...] = ("shift", "phase", "width")

#: rows weaker than this many standard errors do not show where they are
_VISIBLE = 10.0
#: probability below which a drift is told
SIGNIFICANT = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How one quantity moves along a series, to first order about the common shape.

    Attributes
    ----------
    quantity : {"shift", "phase"}
    unit : str
        Hz or degrees.
    scatter : float
        Root mean square over the visible rows about their mean, noise taken off.
    trend, trend_stderr : float
        Change from the first to the last visible row, of the weighted straight line.
    p_value : float
        Of the visible rows' scatter, were the quantity constant (chi-square).
    trend_p_value : float
        Of the trend, were there none.
    """

    quantity: Drifting
    unit: str
    scatter: float
    trend: float
    trend_stderr: float
    p_value: float
    trend_p_value: float

    @property
    def is_significant(self) -> bool:
        """True where either probability, doubled for the two that are looked at, is below 0.001."""
        return 2.0 * min(self.p_value, self.trend_p_value) < SIGNIFICANT

    def __str__(self) -> str:
        least = min(self.p_value, self.trend_p_value)
        return (
            f"{self.quantity} by {self.trend:.2g} +- {self.trend_stderr:.1g} {self.unit} from the "
            f"first row to the last, scatter {self.scatter:.2g} {self.unit} ({in_words(least)})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFits:
    """What the rows of one region are, each with its own shift, phase or broadening.

    Attributes
    ----------
    amplitudes : ndarray, shape (rows,)
        At time 0, times the norm of the shared shape; per scan.
    stderr : ndarray, shape (rows,)
    shift_hz, phase_rad, broadening_per_s : ndarray, shape (rows,)
        Against the common shape; those of rows too weak are interpolated.
    reduced_chi2 : float
    """

    amplitudes: Array
    stderr: Array
    shift_hz: Array
    phase_rad: Array
    broadening_per_s: Array
    reduced_chi2: float


def find_drift(problem: Projection, values: Mapping[str, float], noise: float) -> tuple[Drift, ...]:
    """Return how shift and phase move along the rows; nothing where fewer than three are visible.

    Parameters
    ----------
    problem : Projection
        Of the rows whose phases are known.
    values : mapping
        The fitted shape.
    noise : float
        Sigma of one channel of one bin.
    """
    shape, slopes = problem.shape(values)
    rest, a = problem.residual(values)
    norm2 = np.vdot(shape, shape).real
    tangent = np.array([_moved(problem, slopes, "shift"), _moved(problem, slopes, "phase")])
    tangent -= np.outer(inner(tangent, shape[None])[:, 0] / norm2, shape)
    rows = np.flatnonzero(np.abs(a) * np.sqrt(norm2) > _VISIBLE * noise)
    gram = inner(tangent, tangent)
    # a region of a few bins may not tell a shift from a turn
    if len(rows) < 3 or np.linalg.det(gram) < 1e-9 * gram[0, 0] * gram[1, 1]:
        return ()
    metric = np.linalg.inv(gram)
    moved = inner(rest[rows], tangent) @ metric / a[rows, None]
    found = []
    for k, (quantity, unit, scale) in enumerate(
        (("shift", "Hz", 1.0), ("phase", "deg", np.degrees(1.0)))
    ):
        weight = (a[rows] / noise) ** 2 / metric[k, k]
        mean = float(weight @ moved[:, k] / weight.sum())
        chi2 = float(weight @ (moved[:, k] - mean) ** 2)
        order = rows - weight @ rows / weight.sum()
        curvature = float(weight @ order**2)
        slope = float(weight @ (order * moved[:, k]) / curvature)
        length = float(np.ptp(rows))
        excess = (chi2 - (len(rows) - 1)) / weight.sum()
        found.append(
            Drift(
                quantity=quantity,  # type: ignore[arg-type]
                unit=unit,
                scatter=scale * float(np.sqrt(max(excess, 0.0))),
                trend=scale * slope * length,
                trend_stderr=scale * length / float(np.sqrt(curvature)),
                p_value=float(stats.chi2.sf(chi2, len(rows) - 1)),
                trend_p_value=float(2.0 * stats.norm.sf(abs(slope) * np.sqrt(curvature))),
            )
        )
    return tuple(found)


def _moved(problem: Projection, slopes: Spectra, quantity: Drifting) -> Spectra:
    """Return the slope by a change of all lines together, per hertz, radian or 1/s (of R)."""
    total = np.zeros(slopes.shape[1], complex)
    for k, shape in enumerate(problem.shapes):
        name = quantity if quantity != "width" else shape.widths[0]
        slope = slopes[problem.names.index(numbered(name, k))]
        if quantity == "shift":
            total += slope / (1e-6 * problem.series.reference_hz)
        elif quantity == "phase":
            total += slope / np.radians(1.0)
        else:
            total += slope / np.pi
    return total


def fit_rows(
    problem: Projection,
    values: Mapping[str, float],
    noise: float,
    drifting: Collection[Drifting],
) -> RowFits:
    """Fit amplitude and what drifts of every row.

    Parameters
    ----------
    problem : Projection
        Of all rows.
    values : mapping
        The shared shape.
    noise : float
        Sigma of one channel of one bin.
    drifting : collection of {"shift", "phase", "width"}
    """
    names = [n for n in DRIFTING if n in drifting]
    slowest = np.pi * min(values[numbered(s.widths[0], k)] for k, s in enumerate(problem.shapes))

    def moved(x: Array) -> dict[str, float]:
        own = dict(zip(names, x, strict=True))
        # R + broadening stays positive
        wider = float(slowest * np.expm1(own.get("width", 0.0)))
        return moved_shape(problem, values, own.get("shift", 0.0), own.get("phase", 0.0), wider)

    def jacobian(x: Array, a: float) -> Spectra:
        shape, slopes = problem.shape(moved(x))
        columns = [shape]
        for n, value in zip(names, x, strict=True):
            chain = slowest * np.exp(value) if n == "width" else 1.0
            columns.append(a * chain * _moved(problem, slopes, n))
        return np.array(columns, dtype=np.complex128)

    shape, _ = problem.shape(values)
    norm = float(np.linalg.norm(shape))
    overlap = problem.spectra @ shape.conj() / norm**2
    found = np.zeros((len(overlap), len(names)))
    limit = np.full(len(names), np.inf)
    if "phase" in names:
        k = names.index("phase")
        visible = np.flatnonzero(np.abs(overlap) * norm >= _VISIBLE * noise)
        found[visible, k] = _continuous(np.angle(overlap[visible]), np.abs(overlap[visible]))
        limit[k] = np.pi / 2.0
        start = np.real(overlap * np.exp(-1j * found[:, k]))
    else:
        start = overlap.real
        visible = np.flatnonzero(np.abs(start) * norm >= _VISIBLE * noise)
    for row in visible:
        data = problem.spectra[row]

        def residual(x: Array, data: Spectra = data) -> Array:
            rest = x[0] * problem.shape(moved(x[1:]))[0] - data
            return np.asarray(rest.view(np.float64) / noise)

        def slope(x: Array) -> Array:
            return np.asarray(jacobian(x[1:], float(x[0])).view(np.float64).T / noise)

        fit = least_squares(
            residual,
            [start[row], *found[row]],
            jac=slope,
            bounds=(np.append(-np.inf, found[row] - limit), np.append(np.inf, found[row] + limit)),
            x_scale="jac",
            max_nfev=50,
        )
        found[row] = fit.x[1:]
    # a row that does not show where it is, is where its neighbours are
    weak = np.setdiff1d(np.arange(len(start)), visible)
    if len(visible):
        for k in range(len(names)):
            found[weak, k] = np.interp(weak, visible, found[visible, k])
    amplitudes, errors, cost = np.zeros(len(start)), np.zeros(len(start)), 0.0
    for k, data in enumerate(problem.spectra):
        columns = jacobian(found[k], float(start[k]))
        own = columns[0]
        amplitudes[k] = inner(data[None], own[None])[0, 0] / np.vdot(own, own).real
        free = columns if k in visible else columns[:1]
        errors[k] = noise * np.sqrt(np.linalg.pinv(inner(free, free))[0, 0])
        rest = data - amplitudes[k] * own
        cost += float(np.vdot(rest, rest).real) / noise**2
    dof = 2 * problem.spectra.size - len(start) * (1 + 2 * problem.nuisance.shape[1])
    dof -= len(visible) * len(names)
    own_values = {n: found[:, k] for k, n in enumerate(names)}
    none = np.zeros(len(start))
    return RowFits(
        amplitudes=amplitudes * norm,
        stderr=errors * norm,
        shift_hz=own_values.get("shift", none),
        phase_rad=own_values.get("phase", none),
        broadening_per_s=slowest * np.expm1(own_values.get("width", none)),
        reduced_chi2=cost / max(dof, 1),
    )


def _continuous(angle: Array, weight: Array) -> Array:
    """Return angles, known up to half turns, that change least from one to the next.

    The one of the largest weight lies within 90 degrees of 0.
    """
    if len(angle) == 0:
        return angle
    smooth = np.unwrap(angle, period=np.pi)
    turns = np.rint(smooth[int(np.argmax(weight))] / np.pi)
    return np.asarray(smooth - turns * np.pi)


def moved_shape(
    problem: Projection,
    values: Mapping[str, float],
    shift_hz: float,
    phase_rad: float,
    broadening_per_s: float,
) -> dict[str, float]:
    """Return the parameters of all lines moved, turned and broadened together."""
    changed = dict(values)
    for k, shape in enumerate(problem.shapes):
        changed[numbered("shift", k)] += shift_hz / (1e-6 * problem.series.reference_hz)
        changed[numbered("phase", k)] += float(np.degrees(phase_rad))
        changed[numbered(shape.widths[0], k)] += broadening_per_s / np.pi
    return changed


def without_drift(series: Series, shift_hz: Array, phase_rad: Array) -> Series:
    """Return a series whose rows are shifted and turned back, arguments of shape (rows,)."""
    angle = 2.0 * np.pi * shift_hz[:, None] * series.times_s + phase_rad[:, None]
    return replace(series, fids=series.fids * np.exp(-1j * angle))


def drifting_of(asked: str | Collection[str] | bool) -> frozenset[Drifting]:
    """Return what is modelled: True stands for shift and width.

    Raises
    ------
    ValueError
        For a name that is not known.
    """
    if isinstance(asked, bool):
        return frozenset(("shift", "width")) if asked else frozenset()
    names = {asked} if isinstance(asked, str) else set(asked)
    known: dict[str, Drifting] = {n: n for n in DRIFTING}
    unknown = sorted(names - set(known))
    if unknown:
        raise ValueError(f"drift must be of {', '.join(DRIFTING)}, but is of {', '.join(unknown)}")
    return frozenset(known[n] for n in names)
