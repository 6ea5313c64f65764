"""The three charging times of a measured curve, each by its definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.curve_fit import CurveFit, FittedParameter
from nmrqb.analysis.curves import fit_charging
from nmrqb.battery.charging_time import (
    DEFINITIONS,
    Definition,
    exponential_approach,
    threshold_time,
)

Array = NDArray[np.float64]

#: how a measured curve gives each of them
HOW: dict[Definition, str] = {
    "fit": "one exponential fitted to all points",
    "threshold": "n = 1, between the measured points, E(inf) from the fit; error by Monte Carlo",
    "slowest-mode": "one exponential fitted to the points after half of the way",
}
_DRAWS = 2000
#: a point this many standard errors below the threshold is seen as below it
_CLEAR = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredTimes:
    """Charging times of one measured curve by definition; each may be withheld."""

    tau: dict[Definition, FittedParameter]

    def to_result(self) -> list[dict[str, Any]]:
        """Return one entry a definition for result.json."""
        return [
            {
                "definition": name,
                "definition_text": DEFINITIONS[name],
                "how": HOW[name],
                "tau": {
                    "value": p.value,
                    "stderr": p.stderr,
                    "ci95": list(p.ci95),
                    "unit": p.unit,
                    "reason": p.reason,
                },
            }
            for name, p in self.tau.items()
        ]

    def __str__(self) -> str:
        return "\n".join(f"  tau [{name}] = {p}" for name, p in self.tau.items())


def measured_times(
    times_s: Array, energy: Array, own_covariance: Array, fit: CurveFit, rng: np.random.Generator
) -> MeasuredTimes:
    """Return tau by "fit", "threshold" (n = 1) and "slowest-mode".

    Parameters
    ----------
    times_s, energy : ndarray, shape (points,)
        In any order.
    own_covariance : ndarray, shape (points, points)
        Without the common factor of the reference, which changes no time.
    fit : CurveFit
        Of the charging model to all points.
    rng : Generator
        Of the Monte Carlo errors.
    """
    order = np.argsort(times_s, kind="stable")
    t, y = np.asarray(times_s, float)[order], np.asarray(energy, float)[order]
    own = np.asarray(own_covariance, float)[np.ix_(order, order)]
    found = fit.parameters["tau"]
    if found.value is None:
        same = _withheld(f"the fit of all points: {found.reason}")
        return MeasuredTimes(tau={"fit": found, "threshold": same, "slowest-mode": same})
    return MeasuredTimes(
        tau={
            "fit": found,
            "threshold": _threshold(t, y, own, fit, rng),
            "slowest-mode": _slowest(t, y, own, fit),
        }
    )


def _withheld(reason: str) -> FittedParameter:
    return FittedParameter(value=None, stderr=None, ci95=(None, None), unit="s", reason=reason)


def _threshold(
    t: Array, y: Array, own: Array, fit: CurveFit, rng: np.random.Generator
) -> FittedParameter:
    tau, e_inf, e_0 = (fit.value(n) for n in ("tau", "E_inf", "E_0"))
    start = exponential_approach(t[:1], e_inf, e_0, tau)[0]
    bound = abs(start - e_inf) / np.e
    worst = float(np.sqrt(np.diag(own)).max())
    if _CLEAR * worst > bound:
        return _withheld(
            f"not identifiable: points of {worst:.2g} do not show when the curve stays within "
            f"{bound:.2g} of its limit"
        )
    # how the fitted start and limit follow the points, to first order
    fall = np.exp(-t / tau)
    slopes = np.stack([(e_0 - e_inf) * fall * t / tau**2, 1.0 - fall, fall], axis=1)
    weighted = np.linalg.solve(own, slopes)
    gain = np.linalg.solve(slopes.T @ weighted, weighted.T)

    def crossing(points: Array) -> float | None:
        d_tau, d_inf, d_0 = gain @ (points - y)
        first = exponential_approach(t[:1], e_inf + d_inf, e_0 + d_0, tau + d_tau)
        # the first point is E(0): the fitted one is the better known
        curve = np.concatenate([first, points[1:]])
        return threshold_time(t, curve, e_inf + d_inf)

    value = crossing(y)
    draws = y + rng.standard_normal((_DRAWS, len(y))) @ np.linalg.cholesky(own).T
    found = [c for c in (crossing(points) for points in draws) if c is not None]
    if value is None or len(found) < 0.975 * _DRAWS:
        return _withheld("not identifiable: the curve does not stay within 1/e of its limit")
    shift = np.array(found) - t[0]
    value -= float(t[0])
    low, high = np.quantile(shift, [0.025, 0.975])
    return FittedParameter(
        value=value, stderr=float(shift.std()), ci95=(float(low), float(high)), unit="s"
    )


def _slowest(t: Array, y: Array, own: Array, fit: CurveFit) -> FittedParameter:
    late = t >= t[0] + np.log(2.0) * fit.value("tau")
    if late.sum() < 5:
        return _withheld(
            f"not identifiable: {int(late.sum())} points after half of the way; 5 are needed"
        )
    try:
        tail = fit_charging(t[late], y[late], own[np.ix_(late, late)])
    except ValueError as error:
        return _withheld(str(error))
    return tail.parameters["tau"]
