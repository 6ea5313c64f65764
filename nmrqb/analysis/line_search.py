"""Where to start the fit of a line or multiplet: matched filters over positions and couplings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from nmrqb.analysis.line_parameters import bounded
from nmrqb.analysis.lines import Bins, lorentzian
from nmrqb.analysis.multiplets import Multiplet
from nmrqb.analysis.projection import Minimum, Projection, Spectra
from nmrqb.analysis.shapes import LineShape, shape_in_bins

#: resolution cells of a region that couplings are tried on
_CELLS = 1500
#: couplings that are tried by least squares
_COMBS = 4
#: relative change of the squares at which a fit is good enough to start another from
_COARSE = 1e-4
#: share of the best overlap (power) below which a coupling is not tried
_RIVAL = 0.5
#: share of the best overlap (amplitude) from which a narrower line is preferred
_NEAR = 0.6


def leading_spectrum(bins: Bins) -> Spectra:
    """Return the rows added so that the line with the largest matched filter stands out.

    With z_r the overlap of row r with a line, signed amplitudes and one unknown phase make
    (sum |z_r|^2 + |sum z_r^2|)/2 largest; its amplitudes are the weights of the rows.  Singular
    vectors would not do: noise in thousands of bins hides a line that stands in a few.
    """
    best = (-1.0, np.ones(len(bins.spectra)))
    for width in _ladder(bins, 16.0):
        z = _filtered(bins, bins.spectra, width)
        square = np.sum(z**2, axis=0)
        score = (np.sum(np.abs(z) ** 2, axis=0) + np.abs(square)) / _norm2(bins, width)
        k = int(np.argmax(score))
        if score[k] > best[0]:
            best = (float(score[k]), np.real(z[:, k] * np.exp(-0.5j * np.angle(square[k]))))
    weights = best[1]
    return np.asarray(weights @ bins.spectra / np.linalg.norm(weights))


def _ladder(bins: Bins, step: float) -> list[float]:
    """Return widths in hertz from two bins up to half the region, each `step` times the last."""
    bin_hz = 1.0 / (bins.points * bins.dwell_s)
    widest = max(2.0 * bin_hz, 0.5 * float(np.ptp(bins.frequency_hz)))
    return [
        2.0 * bin_hz * step**k for k in range(1 + int(np.log(widest / bin_hz / 2.0) / np.log(step)))
    ]


def _norm2(bins: Bins, width_hz: float) -> float:
    """Return the squared norm of a line in the middle of the bins."""
    middle = bins.frequency_hz[len(bins.frequency_hz) // 2 :][:1]
    line, _ = lorentzian(bins, middle, np.array([np.pi * width_hz]))
    return float(np.vdot(line, line).real)


def line_start(
    problem: Projection, coherent: Spectra, shape: LineShape, given: Mapping[str, float]
) -> tuple[dict[str, float], complex] | None:
    """Return starting values of one line in hertz and its complex amplitude.

    The positions, couplings and widths that overlap most with one spectrum that holds the line are
    fitted to it as Lorentzian lines; the best gives the start.  None where nothing overlaps.

    Parameters
    ----------
    problem : Projection
    coherent : ndarray of complex, shape (bins,)
    shape : LineShape
    given : mapping
        Known values in hertz, of `shape.names`.
    """
    bins = problem.bins
    widths = _ladder(bins, 4.0)
    if shape.multiplet is None:
        places = [{"shift": given.get("shift", _highest(bins, coherent, widths))}]
    else:
        places = _combs(bins, coherent, shape.multiplet, given)
    lorentzian_line = replace(shape, profile="lorentzian")
    alone = Projection(
        problem.series, replace(bins, spectra=coherent[None]), (lorentzian_line,), problem.baseline
    )
    best: Minimum | None = None
    for place in places:
        tried = []
        for width in widths:
            values = place | {"width": width}
            _, score = _overlap(problem, coherent, lorentzian_line, values)
            tried.append((score, values))
        score, values = max(tried, key=lambda one: one[0])
        if not (np.isfinite(score) and score > 0.0):
            continue
        c, _ = _overlap(problem, coherent, lorentzian_line, values)
        values["shift"] = float(problem.series.ppm(values["shift"]))
        values["phase"] = float(np.degrees(np.angle(c)))
        start = bounded(problem.series, bins, (lorentzian_line,), values, None)
        for name in set(given) & set(lorentzian_line.names):
            start[name].vary = False
        fit = alone.minimise(start, tolerance=_COARSE)
        if best is None or fit.squares < best.squares:
            best = fit
    if best is None:
        return None
    found = dict(best.parameters.valuesdict())
    found["shift"] = float(problem.series.offset_hz(found["shift"]))
    width = found.pop("width")
    # a Voigt line of two equal parts is 1.64 times as wide as each
    share = 1.0 if len(shape.widths) == 1 else 1.0 / 1.64
    values = {n: given.get(n, share * width) for n in shape.widths}
    values |= {n: found[n] for n in ("shift", "J") if n in found}
    return values, _overlap(problem, coherent, shape, values)[0]


def _overlap(
    problem: Projection, coherent: Spectra, shape: LineShape, values: Mapping[str, float]
) -> tuple[complex, float]:
    """Return the complex amplitude of a line in a spectrum, and it in units of the line's norm."""
    line, _ = shape_in_bins(problem.bins, shape, values)
    line = problem.without_baseline(line[None])[0]
    norm = float(np.linalg.norm(line))
    product = complex(np.vdot(line, coherent))
    return (product / norm**2, abs(product) / norm) if norm > 0.0 else (0.0, 0.0)


def _highest(bins: Bins, coherent: Spectra, widths: Sequence[float]) -> float:
    """Return where a line overlaps most with a spectrum, in units of its norm.

    The narrowest width counts that comes near the best: a broad one overlaps with several lines.
    """
    tried = []
    for width in widths:
        overlap = np.abs(_filtered(bins, coherent, width)) / np.sqrt(_norm2(bins, width))
        best = int(np.argmax(overlap))
        tried.append((float(overlap[best]), float(bins.frequency_hz[best])))
    top = max(score for score, _ in tried)
    return next(place for score, place in tried if score >= _NEAR * top)


def _combs(
    bins: Bins, coherent: Spectra, multiplet: Multiplet, given: Mapping[str, float]
) -> list[dict[str, float]]:
    """Return the positions and couplings whose multiplets overlap most with a spectrum."""
    bin_hz = 1.0 / (bins.points * bins.dwell_s)
    stride = max(1, len(bins.frequency_hz) // _CELLS)
    place = bins.frequency_hz[::stride]
    filtered = _filtered(bins, coherent, 2.0 * stride * bin_hz)[::stride]
    cell = stride * bin_hz
    # what the filter makes of one line of its own width: by how much neighbouring lines overlap
    middle = float(bins.frequency_hz[len(bins.frequency_hz) // 2])
    one, _ = lorentzian(bins, np.array([middle]), np.array([np.pi * 2.0 * cell]))
    overlap = _filtered(bins, one[0], 2.0 * cell)
    overlap = np.abs(overlap) / np.abs(overlap).max()
    orders, weights = multiplet.orders, multiplet.weights
    if "J" in given:
        couplings = np.array([given["J"]])
    else:
        couplings = np.arange(1.0, len(place) / 2.0) * cell / orders[-1]
    found = []
    for coupling in couplings:
        moves = np.rint(orders * coupling / cell).astype(int)
        total = np.zeros(len(place), complex)
        for move, weight in zip(moves, weights, strict=True):
            if abs(move) < len(place):
                low, high = max(0, -move), min(len(place), len(place) - move)
                total[low:high] += weight * filtered[low + move : high + move]
        apart = np.rint(np.abs(np.subtract.outer(orders, orders)) * coupling / bin_hz).astype(int)
        centre = int(np.argmax(overlap))
        beside = centre + np.minimum(apart, len(overlap) - 1 - centre)
        norm2 = max(float(weights @ overlap[beside] @ weights), 1e-12)
        best = int(np.argmax(np.abs(total)))
        if "shift" in given:
            best = int(np.argmin(np.abs(place - given["shift"])))
        found.append((float(np.abs(total[best]) ** 2 / norm2), float(coupling), float(place[best])))
    found.sort(reverse=True)
    kept: list[tuple[float, float, float]] = []
    for one_comb in found:
        if one_comb[0] < _RIVAL * found[0][0]:
            break
        if all(abs(one_comb[1] - other[1]) > 0.1 * other[1] for other in kept):
            kept.append(one_comb)
        if len(kept) == _COMBS:
            break
    return [{"shift": given.get("shift", nu), "J": coupling} for _, coupling, nu in kept]


def _filtered(bins: Bins, spectra: Spectra, width_hz: float) -> NDArray[np.complex128]:
    """Return overlaps with a line at each bin, turned to phase 0 at time 0, shape (..., bins)."""
    size = len(bins.frequency_hz)
    steps = np.arange(1 - size, size) / (bins.points * bins.dwell_s)
    around = Bins(
        steps, np.empty((0, 2 * size - 1), complex), bins.start_s, bins.dwell_s, bins.points
    )
    line, _ = lorentzian(around, np.zeros(1), np.array([np.pi * width_hz]))
    mirrored = line[0, ::-1].conj().reshape((1,) * (spectra.ndim - 1) + (-1,))
    overlap = scipy.signal.fftconvolve(spectra, mirrored, axes=-1)
    turn = np.exp(-2j * np.pi * bins.frequency_hz * bins.start_s)
    return np.asarray(turn * overlap[..., size - 1 : 2 * size - 1])
