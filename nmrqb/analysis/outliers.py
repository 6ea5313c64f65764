"""Points that the others contradict.

A point's deleted residual is its distance from the curve that the other points give, over the
standard error of that distance, r_i/sqrt(1 - h_i) with the leverage h_i.  Where the other points
scatter more than their stated errors, their own scatter is the error.

References
----------
R. D. Cook and S. Weisberg, Residuals and Influence in Regression (Chapman and Hall, 1982).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from nmrqb.analysis.least_squares import Minimum, Problem

#: probability that a series without an outlier has one named
FALSE_ALARM = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """A point that the others contradict.

    Attributes
    ----------
    x, y : float
    deviation : float
        Deleted residual in standard errors, positive above the curve.
    """

    x: float
    y: float
    deviation: float

    def __str__(self) -> str:
        side = "above" if self.deviation > 0.0 else "below"
        return (
            f"the point at {self.x:.6g} is an outlier: {abs(self.deviation):.3g} standard errors "
            f"{side} the curve that the others give"
        )


def find_outliers(
    problem: Problem, minimum: Minimum, least_scatter: float = 1.0
) -> tuple[Outlier, ...]:
    """Return the outliers of a fit, none where the points' errors are correlated.

    The chance of a false alarm is `FALSE_ALARM` for all points together (Bonferroni).

    Parameters
    ----------
    problem : Problem
    minimum : Minimum
    least_scatter : float
        Smallest standard deviation of the whitened residuals that is believed: 1 where the errors
        of the points are stated, 0 where they are taken from the scatter.
    """
    # a parameter at its bound follows no point
    free = [
        k
        for k, name in enumerate(problem.names)
        if problem.at_bound(name, minimum.values[name]) is None
    ]
    points = len(problem.y)
    left = points - len(free) - 1
    if not problem.errors.is_diagonal or left < 1:
        return ()
    jacobian, _ = problem.jacobian(minimum.values)
    if jacobian is None:
        return ()
    basis, _ = np.linalg.qr(jacobian[:, free])
    room = 1.0 - np.sum(basis**2, axis=1)
    rest = problem.residual(minimum.values)
    found = []
    # a point that a parameter follows has no residual; one without a place is no point of the
    # curve (the reference of a protocol fit)
    for k in np.flatnonzero((room > 1e-6) & ~np.isnan(problem.x)):
        t = float(rest[k] / np.sqrt(room[k]))
        scatter = float(np.sqrt(max(minimum.chi2 - t**2, 0.0) / left))
        if scatter > least_scatter:
            t /= scatter
            chance = 2.0 * float(stats.t.sf(abs(t), left))
        else:
            chance = 2.0 * float(stats.norm.sf(abs(t)))
        if chance * points < FALSE_ALARM:
            found.append(Outlier(x=float(problem.x[k]), y=float(problem.y[k]), deviation=t))
    return tuple(found)
