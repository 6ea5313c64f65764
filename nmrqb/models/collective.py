"""One charger for all batteries against one charger for each, at equal resources."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from nmrqb.battery.charging_time import Definition
from nmrqb.models.charging_times import ChargingTime
from nmrqb.models.dephased_star import DephasedStar

Resources = Literal["same-drive", "same-power"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveAdvantage:
    """Collective charging of N batteries beside N pairs that charge in parallel.

    Attributes
    ----------
    resources : {"same-drive", "same-power"}
        Each of the N chargers is driven with the star's F (N times its drive power), or with
        F/sqrt(N) (the same sum of F^2).
    collective, parallel : DephasedStar
        The star, and one of the N pairs.
    collective_time, parallel_time : ChargingTime
    time_ratio : float
        Parallel over collective: above 1 the collective charging is faster.
    power_ratio : float
        Of E(inf)/tau of all batteries, collective over parallel.
    ergotropy_ratio : float
        Of the steady ergotropies of all batteries, collective over parallel.
    """

    resources: Resources
    collective: DephasedStar
    parallel: DephasedStar
    collective_time: ChargingTime
    parallel_time: ChargingTime
    time_ratio: float
    power_ratio: float
    ergotropy_ratio: float


def collective_advantage(
    star: DephasedStar,
    *,
    resources: Resources = "same-power",
    definition: Definition = "threshold",
    n: float = 1.0,
) -> CollectiveAdvantage:
    """Compare `star` with N pairs of the same g and gamma.

    Parameters
    ----------
    star : DephasedStar
    resources : {"same-drive", "same-power"}
    definition, n
        Of the charging time.
    """
    if resources not in ("same-drive", "same-power"):
        raise ValueError(f"`resources` must be one of same-drive, same-power, but is {resources!r}")
    count = star.batteries
    drive = star.drive if resources == "same-drive" else star.drive / float(np.sqrt(count))
    pair = replace(star, batteries=1, drive=drive)
    together, apart = star.charging_time(definition, n), pair.charging_time(definition, n)
    final, final_pair = star.steady_state(), pair.steady_state()
    ratio = apart.value / together.value
    work = count * final_pair.ergotropy
    return CollectiveAdvantage(
        resources=resources,
        collective=star,
        parallel=pair,
        collective_time=together,
        parallel_time=apart,
        time_ratio=ratio,
        power_ratio=ratio * final.energy / (count * final_pair.energy),
        ergotropy_ratio=final.ergotropy / work if work > 0.0 else float("inf"),
    )
