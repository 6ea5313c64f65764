"""The fixed table of quantities that entries may name."""

from __future__ import annotations

from nmrqb.studies.reproduce import (
    charging_quantities,
    crossover_quantities,
    experiment_quantities,
    nmr_quantities,
    pair_quantities,
    state_quantities,
    steady_quantities,
)
from nmrqb.studies.reproduce.quantity import Quantity

_MODULES = (
    steady_quantities,
    state_quantities,
    charging_quantities,
    nmr_quantities,
    pair_quantities,
    crossover_quantities,
    experiment_quantities,
)
QUANTITIES: dict[str, Quantity] = {q.name: q for module in _MODULES for q in module.QUANTITIES}
