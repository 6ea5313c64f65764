"""How a repeated cycle approaches its fixed point, exactly and by the closed map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.charging_time import slowest_mode_time, threshold_time
from nmrqb.compiler.compile import compile_protocol
from nmrqb.models.closed_map import ClosedMap
from nmrqb.sequence.events import Event, Loop, Segment
from nmrqb.simulate.ensemble import EnsembleSimulator
from nmrqb.simulate.simulator import StarSimulator

if TYPE_CHECKING:
    from nmrqb.studies.plan import Plan

Array = NDArray[np.float64]

#: saturated: within 1 % of the way from the start to the fixed point
SATURATION = 0.01
_MAX_EXTENDED_CYCLES = 2000


def segments_of(events: tuple[Event, ...]) -> Iterator[Segment]:
    """Yield every segment of events, those within loops too."""
    for event in events:
        if isinstance(event, Segment):
            yield event
        elif isinstance(event, Loop):
            yield from segments_of(event.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """How the first row's cycle approaches its fixed point, as Prediction says it."""

    cycles: int | None = None
    cycles_closed: int | None = None
    tau: dict[str, float | None] = field(
        default_factory=lambda: {"threshold": None, "slowest-mode": None}
    )


def approach_fixed_point(
    plan: Plan,
    simulator: StarSimulator | EnsembleSimulator,
    closed_map: ClosedMap,
    p_exact: float,
    p_closed: float,
) -> Approach:
    """Follow the first row's cycle, exactly and by the closed map, to its fixed points."""
    factor = abs(closed_map.slowest_factor(plan.compiled.cycle))
    if not factor < 1.0:
        return Approach()
    needed = 1 if factor < 1e-12 else math.ceil(-math.log(1e-8) / -math.log(factor))
    count = max(8, min(needed, _MAX_EXTENDED_CYCLES))
    if any(True for _ in segments_of(plan.compiled.cycle)):
        # each pulse train of a many-spin cycle costs tenths of a second: what the sweep needs
        longest = max(plan.protocol.at(row).cycles for row in range(plan.protocol.rows))
        count = max(8, min(count, longest))
    once = replace(plan.protocol.at(0), sweep=None)
    none, extended = (
        compile_protocol(replace(once, cycles=n), plan.register, plan.spectrometer).sequences[0]
        for n in (0, count)
    )
    events = extended.events
    # preparation, perhaps the first repetition apart, the loop of all others, read-out
    where = max(k for k, e in enumerate(events) if isinstance(e, Loop))
    loop = events[where]
    assert isinstance(loop, Loop)
    before = where - (len(events) - len(none.events) - 1)
    first = [where] if before < where else []
    ends = [before, *first, *range(where + 1, where + 1 + loop.count)]
    simulated = simulator.simulate(extended)
    times, p = simulated.times_s[ends], simulated.battery_z[ends]

    modes = closed_map.approach(events[:before], events[before:where], loop.body)
    closed = modes.levels(len(ends))
    return Approach(
        cycles=_cycles_to_saturation(p, p_exact),
        cycles_closed=_cycles_to_saturation(closed, p_closed),
        tau={
            "threshold": threshold_time(times - times[0], p, p_exact),
            "slowest-mode": slowest_mode_time(times - times[0], p, p_exact),
        },
    )


def _cycles_to_saturation(p: Array, p_star: float) -> int | None:
    """Return the cycles after which p stays within SATURATION of the way to p*, if it does."""
    distance = np.abs(p - p_star)
    far = np.flatnonzero(distance > SATURATION * distance[0])
    if not len(far) or far[-1] == len(p) - 1:
        return None
    return int(far[-1]) + 1
