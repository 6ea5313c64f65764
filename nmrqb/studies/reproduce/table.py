"""The fixed table of quantities that entries may name."""

from __future__ import annotations

from nmrqb.studies.reproduce import charging_quantities, state_quantities, steady_quantities
from nmrqb.studies.reproduce.quantity import Quantity

QUANTITIES: dict[str, Quantity] = {
    q.name: q
    for module in (steady_quantities, state_quantities, charging_quantities)
    for q in module.QUANTITIES
}
