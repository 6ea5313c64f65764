"""The verdict on a translation: what a compiled protocol does beside the ideal that it stands for.

Target and compiled sequences are simulated exactly, and so is every rung between them
(``studies.rungs``): the differences of successive rungs add up to the whole deviation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.charging import ChargingCurve
from nmrqb.compiler.limits import rf_duty
from nmrqb.errors import InputError
from nmrqb.studies.channel_distance import ChannelDistance, channel_distance
from nmrqb.studies.error_bound import ErrorBound, error_bound, why_no_bound
from nmrqb.studies.plan import Plan, curve_of, row_times
from nmrqb.studies.rungs import Rung, rungs_of

Array = NDArray[np.float64]

#: the energy error that scans are counted for, in the unit of the energy
WANTED_STDERR = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a translation makes of its target.

    Attributes
    ----------
    plan : Plan
    target, compiled : ChargingCurve
        The ideal protocol, and the compiled one, both simulated exactly.
    by_cause : dict
        Cause -> change of the energy of each row, shape (rows,); they add up to
        compiled - target.
    bound : ErrorBound or None
        What was known before the simulation; None with `bound_reason`.
    channel : ChannelDistance or None
        The channel of the longest row's cycles on the battery beside what they stand for; None
        with `channel_reason`.
    """

    plan: Plan
    target: ChargingCurve
    compiled: ChargingCurve
    by_cause: dict[str, Array]
    bound: ErrorBound | None
    bound_reason: str | None
    channel: ChannelDistance | None
    channel_reason: str | None

    @property
    def energy_deviation(self) -> float:
        """Largest difference of the energies of any row."""
        return float(np.abs(self.compiled.energy - self.target.energy).max())

    @property
    def ergotropy_deviation(self) -> float:
        """Largest difference of the ergotropies of any row."""
        return float(np.abs(self.compiled.ergotropy - self.target.ergotropy).max())

    @property
    def status(self) -> str:
        """Return "no" where a limit of the spectrometer is violated, else "ok"."""
        return "no" if self.plan.compiled.violations else "ok"

    @property
    def scans_for_wanted_error(self) -> int | None:
        """Scans a row until the noise of its energy is WANTED_STDERR; None without a known SNR.

        The matched amplitude of the reference, p_ref, is SNR times its noise with the protocol's
        scans, and the noise falls with their root.
        """
        snr = self.plan.protocol.simulation.reference_snr
        if snr is None:
            return None
        stderr = abs(self.plan.reference_polarisation) / snr
        if self.plan.protocol.start == "pseudo-pure":
            from nmrqb.studies.measurement import pseudo_pure_signal

            stderr *= 0.5 / pseudo_pure_signal(self.plan)
        return max(1, math.ceil(self.plan.protocol.scans * (stderr / WANTED_STDERR) ** 2))

    def words(self) -> list[str]:
        """Return the verdict, one sentence each."""
        unit = self.compiled.energy_unit
        said = [
            (
                f"The compiled sequences follow their ideal target within "
                f"{self.energy_deviation:.2g} in energy and {self.ergotropy_deviation:.2g} in "
                f"{self.compiled.ergotropy_kind} ergotropy ({unit}); start: {self.compiled.start}."
            )
        ]
        largest = max(self.by_cause, key=lambda c: float(np.abs(self.by_cause[c]).max()))
        size = float(np.abs(self.by_cause[largest]).max())
        if size > 0.0:
            said.append(f"Most of it comes from {largest}: up to {size:.2g}.")
        if self.bound is not None:
            said.append(f"Known beforehand: no row strays by more than {self.bound.largest:.2g}.")
        else:
            said.append(f"No bound is stated beforehand: {self.bound_reason}.")
        scans = self.scans_for_wanted_error
        compiled = self.plan.compiled
        if scans is not None:
            once = compiled.duration_s / self.plan.protocol.scans
            said.append(
                f"With the stated reference {scans} scan(s) a row bring the noise of the energy to "
                f"{WANTED_STDERR:g}: {scans * once / 3600.0:.3g} h for all rows."
            )
        if self.channel is not None:
            said += self.channel.sentences()
        else:
            said.append(f"No channel distance is given: {self.channel_reason}.")
        said += [f"LIMIT VIOLATED: {v}." for v in compiled.violations]
        said += [f"{w}." for w in compiled.warnings]
        return said

    def to_result(self) -> dict[str, Any]:
        """Return the object of result.json."""
        compiled = self.plan.compiled
        bound = None if self.bound is None else self.bound.rows
        return {
            "schema": "nmrqb/verdict/1",
            "status": self.status,
            "protocol": self.plan.protocol.name,
            "register": self.plan.register.name,
            "start": self.compiled.start,
            "energy_unit": self.compiled.energy_unit,
            "ergotropy_kind": self.compiled.ergotropy_kind,
            "largest_energy_deviation": self.energy_deviation,
            "largest_ergotropy_deviation": self.ergotropy_deviation,
            "bound": None if self.bound is None else self.bound.largest,
            "bound_reason": self.bound_reason,
            "channel": None if self.channel is None else self.channel.to_result(),
            "channel_reason": self.channel_reason,
            "duration_s": compiled.duration_s,
            "scans_for_energy_error_0.01": self.scans_for_wanted_error,
            "results": [
                {
                    "row": k,
                    "time_s": float(self.compiled.times[k]),
                    "target_energy": float(self.target.energy[k]),
                    "compiled_energy": float(self.compiled.energy[k]),
                    "target_ergotropy": float(self.target.ergotropy[k]),
                    "compiled_ergotropy": float(self.compiled.ergotropy[k]),
                    "by_cause": {cause: float(part[k]) for cause, part in self.by_cause.items()},
                    "bound": None if bound is None else float(bound[k]),
                    "rf_energy_joule": compiled.rf_energy_joule[k],
                    "rf_duty": rf_duty(compiled.sequences[k]),
                }
                for k in range(self.plan.protocol.rows)
            ],
            "roundings": [str(r) for r in compiled.roundings],
            "violations": [str(v) for v in compiled.violations],
            "verdict": self.words(),
        }

    def __str__(self) -> str:
        lines = [f"verdict on {self.plan.protocol.name}: {self.status}"]
        lines += [f"  {w}" for w in self.words()]
        lines.append("  largest change of the energy by cause:")
        for cause, part in self.by_cause.items():
            where = int(np.abs(part).argmax())
            known = "" if self.bound is None else f", bound {self.bound.by_cause[cause].max():.2g}"
            lines.append(f"    {cause:15} {part[where]:+.3g}{known}")
        return "\n".join(lines)


def verdict_on(plan: Plan, progress: Callable[[str], None] = lambda _: None) -> Verdict:
    """Simulate target, compiled sequences and every rung between them.

    Raises
    ------
    ValueError
        Where the plan has no reference.
    """
    rungs = rungs_of(plan)
    reason = why_no_bound(plan)
    bound = None
    if reason is None:
        progress("bounding the error")
        bound = error_bound(plan)
    curves = []
    for rung in rungs:
        progress(f"simulating: {rung.cause}")
        curves.append(_curve(plan, rung))
    energies = [curve.energy for curve in curves]
    by_cause = {
        rung.cause: after - before
        for rung, before, after in zip(rungs[1:], energies, energies[1:], strict=False)
    }
    channel, no_channel = None, None
    progress("comparing the battery's channel")
    try:
        channel = channel_distance(plan, row=_longest(plan))
    except (InputError, ValueError) as error:
        no_channel = error.problems[0].message if isinstance(error, InputError) else str(error)
    return Verdict(
        plan=plan,
        channel=channel,
        channel_reason=no_channel,
        target=curves[0],
        compiled=curves[-1],
        by_cause=by_cause,
        bound=bound,
        bound_reason=reason,
    )


def _longest(plan: Plan) -> int:
    """Return the row with most cycles."""
    return max(range(plan.protocol.rows), key=lambda row: plan.protocol.at(row).cycles)


def _curve(plan: Plan, rung: Rung) -> ChargingCurve:
    return curve_of(plan, rung.polarisations(plan), row_times(plan), rung.cause)
