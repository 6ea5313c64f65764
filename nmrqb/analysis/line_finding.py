"""Which lines a region has: one after the other, while they are worth it, or those asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from nmrqb.analysis.line_parameters import bounded, names_of_line, numbered
from nmrqb.analysis.line_search import leading_spectrum, line_start
from nmrqb.analysis.lines import Bins
from nmrqb.analysis.multiplets import CANDIDATES
from nmrqb.analysis.projection import Baseline, Minimum, Projection
from nmrqb.analysis.shapes import LineShape
from nmrqb.signals.series import Series

if TYPE_CHECKING:
    import lmfit

#: a Bayesian information criterion must improve by this much for one more line
_WORTH = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What lines a region shall have.

    Attributes
    ----------
    shapes : tuple of LineShape
    most : int
        Lines of the first shape are added up to this number, while they are worth it.
    choose : bool
        Whether the multiplet of the one shape is chosen among `CANDIDATES` (or none).
    given : lmfit.Parameters or None
        Starting values, bounds, fixed values.
    """

    shapes: tuple[LineShape, ...]
    most: int
    choose: bool = False
    given: lmfit.Parameters | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The least-squares fit of one region, before it is told."""

    problem: Projection
    minimum: Minimum
    criterion: float
    alternatives: dict[str, float] = field(default_factory=dict)


def find_lines(
    series: Series, bins: Bins, noise: float, wanted: Wanted, baseline: Baseline
) -> Found:
    """Fit the lines that are wanted to the bins of a region, of phased rows."""
    if wanted.choose:
        (profile,) = {s.profile for s in wanted.shapes}
        tried = [LineShape(profile=profile)]
        tried += [LineShape(profile=profile, multiplet=m) for m in CANDIDATES]
        fits = []
        for shape in tried:
            alone = replace(wanted, shapes=(shape,), most=1, choose=False)
            fits.append(find_lines(series, bins, noise, alone, baseline))
        best = min(fits, key=lambda f: f.criterion)
        others = {
            str(f.problem.shapes[0]): f.criterion - best.criterion for f in fits if f is not best
        }
        return replace(best, alternatives=others)
    shapes: tuple[LineShape, ...] = ()
    found: Found | None = None
    for k in range(max(wanted.most, len(wanted.shapes))):
        asked = k < len(wanted.shapes)
        shapes = (*shapes, wanted.shapes[k] if asked else wanted.shapes[0])
        one = _with_another_line(series, bins, noise, shapes, baseline, found, wanted.given)
        if one is None:
            break
        if not asked and found is not None and one.criterion > found.criterion - _WORTH:
            break
        found = one
        count = 2 * bins.spectra.size
        if k + 1 >= len(wanted.shapes) and (
            found.minimum.squares / noise**2 / count < 1.0 + 2.0 * np.sqrt(2.0 / count)
        ):
            break
    if found is None or len(found.problem.shapes) < len(wanted.shapes):
        raise ValueError("no line found")
    return found


def _with_another_line(
    series: Series,
    bins: Bins,
    noise: float,
    shapes: tuple[LineShape, ...],
    baseline: Baseline,
    found: Found | None,
    given: lmfit.Parameters | None,
) -> Found | None:
    """Return the best fit with one more line where the present residual is largest."""
    problem = Projection(series, bins, shapes, baseline)
    k = len(shapes) - 1
    before: dict[str, float] = {}
    if found is None:
        coherent = leading_spectrum(problem.spectra)
    else:
        before = dict(found.minimum.parameters.valuesdict())
        rest, a = found.problem.residual(before)
        coherent = np.asarray((a @ rest) / (a @ a))
    known = {} if given is None else {n: given[n].value for n in given}
    own = {n: known[numbered(n, k)] for n in shapes[k].names if numbered(n, k) in known}
    if "shift" in own:
        own["shift"] = float(series.offset_hz(own["shift"]))
    start = line_start(problem, coherent, shapes[k], own)
    if start is None:
        return None
    hertz, c = start
    values = before | {numbered(n, k): v for n, v in hertz.items()}
    values[numbered("shift", k)] = float(series.ppm(hertz["shift"]))
    values[numbered("phase", k)] = float(np.degrees(np.angle(c)))
    if k > 0:
        values[numbered("intensity", k)] = abs(c)
    best = problem.minimise(bounded(series, problem.bins, shapes, values, _of(given, shapes)))
    # absolute noise, but never below what the present shape leaves: an imperfect shape at
    # high signal-to-noise must not collect lines for ever
    count = 2 * bins.spectra.size
    free = sum(p.vary for p in best.parameters.values())
    criterion = count * np.log(max(best.squares / noise**2 / count, 1e-12)) + free * np.log(count)
    return Found(problem=problem, minimum=best, criterion=float(criterion))


def _of(given: lmfit.Parameters | None, shapes: Sequence[LineShape]) -> lmfit.Parameters | None:
    """Return those of the given parameters that belong to some lines."""
    import lmfit

    if given is None:
        return None
    names = {n for k, shape in enumerate(shapes) for n in names_of_line(shape, k)}
    part = lmfit.Parameters()
    part.add_many(*(p for n, p in given.items() if n in names))
    return part
