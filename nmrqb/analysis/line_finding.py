"""Which lines a region has: one after the other, while they are worth it, or those asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, permutations
from typing import TYPE_CHECKING

import numpy as np

from nmrqb.analysis.line_parameters import bounded, names_of_lines, numbered
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
#: relative change of the squares at which fits are compared
_COARSE = 1e-7
#: orders in which different lines are looked for
_ORDERS = 24


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

    @property
    def degrees_of_freedom(self) -> int:
        """Degrees of freedom of the residuals."""
        free = sum(p.vary for p in self.minimum.parameters.values())
        return self.problem.degrees_of_freedom(free)


def find_lines(
    series: Series, bins: Bins, noise: float, wanted: Wanted, baseline: Baseline
) -> Found:
    """Fit the lines that are wanted to the bins of a region, of phased rows.

    Raises
    ------
    ValueError
        Where there is nothing that a line could start from.
    """
    search = _Search(series, bins, noise, baseline, wanted.given)
    if wanted.choose:
        (profile,) = {s.profile for s in wanted.shapes}
        tried = [LineShape(profile=profile)]
        tried += [LineShape(profile=profile, multiplet=m) for m in CANDIDATES]
        fits = [search.asked((shape,)) for shape in tried]
        best = min(fits, key=lambda f: f.criterion)
        others = {
            str(f.problem.shapes[0]): f.criterion - best.criterion for f in fits if f is not best
        }
        return replace(search.polished(best), alternatives=others)
    found = search.asked(wanted.shapes)
    count = 2 * bins.spectra.size
    while len(found.problem.shapes) < wanted.most:
        if found.minimum.squares / noise**2 / count < 1.0 + 2.0 * np.sqrt(2.0 / count):
            break
        more = search.with_another(found, wanted.shapes[0])
        # more than half of the noise fitted away is no description
        if more is not None and more.degrees_of_freedom < count / 2:
            break
        if more is None or more.criterion > found.criterion - _WORTH:
            break
        found = more
    return search.polished(found)


@dataclass(frozen=True, slots=True)
class _Search:
    """Fits of one region, line after line."""

    series: Series
    bins: Bins
    noise: float
    baseline: Baseline
    given: lmfit.Parameters | None

    def asked(self, shapes: tuple[LineShape, ...]) -> Found:
        """Return the fit of these lines, which are looked for in every order."""
        if self.given is not None and set(names_of_lines(shapes)) <= set(self.given):
            return self.judged(self.problem(shapes), {})
        found = [self.one_by_one(shapes, order) for order in _orders(shapes)]
        fits = [f for f in found if f is not None]
        if not fits:
            raise ValueError("no line found")
        return min(fits, key=lambda f: f.minimum.squares)

    def one_by_one(self, shapes: tuple[LineShape, ...], order: Sequence[int]) -> Found | None:
        """Return the fit of lines that are looked for in an order of `shapes`."""
        if list(order) != list(range(len(shapes))) and self.given is not None:
            return None  # given numbers belong to lines by their place
        found: Found | None = None
        for k in order:
            found = self.with_another(found, shapes[k])
            if found is None:
                return None
        assert found is not None
        if list(order) == list(range(len(shapes))):
            return found
        values = _in_order(found, [list(order).index(k) for k in range(len(shapes))])
        return None if values is None else self.judged(self.problem(shapes), values)

    def with_another(self, found: Found | None, shape: LineShape) -> Found | None:
        """Return the fit with one more line, where the present residual is largest."""
        before: dict[str, float] = {}
        shapes: tuple[LineShape, ...] = (shape,)
        if found is not None:
            shapes = (*found.problem.shapes, shape)
            before = dict(found.minimum.parameters.valuesdict())
        problem, k = self.problem(shapes), len(shapes) - 1
        if found is None:
            coherent = leading_spectrum(problem.bins)
        else:
            rest, a = found.problem.residual(before)
            coherent = np.asarray((a @ rest) / (a @ a))
        given = self.given or {}
        own = {n: given.get(numbered(n, k)) for n in shape.names}
        known = {n: float(p.value) for n, p in own.items() if p is not None and not p.expr}
        if "shift" in known:
            known["shift"] = float(self.series.offset_hz(known["shift"]))
        start = line_start(problem, coherent, shape, known)
        if start is None:
            return None
        hertz, c = start
        values = before | {numbered(n, k): v for n, v in hertz.items()}
        values[numbered("shift", k)] = float(self.series.ppm(hertz["shift"]))
        values[numbered("phase", k)] = float(np.degrees(np.angle(c)))
        if k > 0:
            values[numbered("intensity", k)] = abs(c)
        return self.judged(problem, values)

    def problem(self, shapes: tuple[LineShape, ...]) -> Projection:
        """Return the projection of the region for these lines."""
        return Projection(self.series, self.bins, shapes, self.baseline)

    def judged(self, problem: Projection, values: Mapping[str, float]) -> Found:
        """Return the fit from a start, with its Bayesian information criterion.

        That counts absolute noise, but never below what the shape leaves: an imperfect shape at
        high signal-to-noise must not collect lines for ever.
        """
        start = bounded(self.series, problem.bins, problem.shapes, values, self.given)
        free = sum(p.vary for p in start.values())
        if problem.degrees_of_freedom(free) < 1:
            raise ValueError(
                f"{len(problem.bins.frequency_hz)} points of {len(problem.spectra)} row(s) cannot "
                f"determine {free} parameters of lines beside amplitudes and baselines"
            )
        minimum = problem.minimise(start, tolerance=_COARSE)
        count = 2 * problem.spectra.size
        misfit = max(minimum.squares / self.noise**2 / count, 1e-12)
        criterion = float(count * np.log(misfit) + free * np.log(count))
        return Found(problem=problem, minimum=minimum, criterion=criterion)

    def polished(self, found: Found) -> Found:
        """Return the fit brought to its minimum."""
        return replace(found, minimum=found.problem.minimise(found.minimum.parameters))


def _orders(shapes: tuple[LineShape, ...]) -> list[tuple[int, ...]]:
    """Return the orders of lines that differ, all for few kinds, the given one first."""
    differing: dict[tuple[LineShape, ...], tuple[int, ...]] = {}
    for order in islice(permutations(range(len(shapes))), _ORDERS):
        differing.setdefault(tuple(shapes[k] for k in order), order)
    return list(differing.values())


def _in_order(found: Found, places: Sequence[int]) -> dict[str, float] | None:
    """Return the values of a fit with its lines renumbered; None where the first has no height."""
    values = {"intensity": 1.0} | dict(found.minimum.parameters.valuesdict())
    first = values[numbered("intensity", places[0])]
    if first == 0.0:
        return None
    renumbered: dict[str, float] = {}
    for k, place in enumerate(places):
        for name in (*found.problem.shapes[place].names, "phase"):
            renumbered[numbered(name, k)] = values[numbered(name, place)]
        if k > 0:
            renumbered[numbered("intensity", k)] = values[numbered("intensity", place)] / first
    return renumbered
