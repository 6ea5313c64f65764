"""The exact prediction of a plan as a function of its registered numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.reconcile import RegisteredParameter
from nmrqb.studies.plan import Plan, make_simulator, simulate_plan
from nmrqb.studies.plan_parameters import PlanParameter

Array = NDArray[np.float64]


@dataclass(slots=True)
class ChangedPrediction:
    """The exact energies of a plan's rows at other values of its parameters.

    Each set of values is simulated once.

    Parameters
    ----------
    plan : Plan
    parameters : tuple of PlanParameter
    nominal : ndarray, shape (rows,)
        The energies at the registered values.
    """

    plan: Plan
    parameters: tuple[PlanParameter, ...]
    nominal: Array
    _known: dict[tuple[float, ...], Array] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._known[self._values] = self.nominal

    @property
    def registered(self) -> tuple[RegisteredParameter, ...]:
        """The parameters as a comparison sees them: within the range where they are looked for."""
        return tuple(
            RegisteredParameter(
                name=p.name,
                value=p.registered.value,
                stderr=p.registered.stderr or None,
                unit=p.unit,
                low=p.range[0],
                high=p.range[1],
                source=p.source,
            )
            for p in self.parameters
        )

    @property
    def _values(self) -> tuple[float, ...]:
        return tuple(p.registered.value for p in self.parameters)

    def __call__(self, values: Array) -> Array:
        """Return the energies at these values of all parameters, shape (rows,)."""
        key = tuple(float(v) for v in values)
        if key not in self._known:
            self._known[key] = self._energies(key)
        return self._known[key]

    def _energies(self, values: tuple[float, ...]) -> Array:
        changed = self.plan
        for parameter, value in zip(self.parameters, values, strict=True):
            if value != parameter.registered.value:
                changed = parameter.change(changed, value)
        return simulate_plan(changed, make_simulator(changed))[2].energy

    def slopes(self) -> Array:
        """Return the slopes of the energies in every parameter, shape (rows, parameters).

        Differences over one registered error to either side (1 % where there is none), so that
        they hold over the range that an error spans.
        """
        registered = np.array(self._values)
        columns = []
        for k, p in enumerate(self.registered):
            step = p.stderr or 0.01 * (abs(p.value) or 1.0)
            ends = registered.copy(), registered.copy()
            ends[0][k] = max(p.low, p.value - step)
            ends[1][k] = min(p.high, p.value + step)
            columns.append((self(ends[1]) - self(ends[0])) / (ends[1][k] - ends[0][k]))
        return np.array(columns).T
