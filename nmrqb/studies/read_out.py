"""What the rows of a plan show, on the scale of their reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmrqb.simulate.simulator import SimulatedSequence

if TYPE_CHECKING:
    from nmrqb.studies.plan import Plan


def read_out(
    plan: Plan, simulated: Sequence[SimulatedSequence], reference: SimulatedSequence | None
) -> NDArray[np.float64]:
    """Return r_z of simulated rows on the scale of the reference, shape (rows,)."""
    # the detected vector is z before the read-out pulse, apart from what the pulse and the dead
    # time lose; the reference loses the same
    if reference is not None and reference.detected is not None:
        scale = plan.reference_polarisation / reference.detected[0]
        return np.array([scale * s.detected[0] for s in simulated if s.detected is not None])
    levels = [s.polarisation(plan.observed.role)[-1] for s in simulated]
    return plan.observed.nucleus.sign * np.array(levels)
