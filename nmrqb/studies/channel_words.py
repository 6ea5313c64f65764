"""A comparison of channels in words and as a JSON-ready object."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from nmrqb.quantum.channels import BlochChannel
from nmrqb.units import format_quantity

if TYPE_CHECKING:
    from nmrqb.studies.channel_cycle import CycleRates
    from nmrqb.studies.channel_distance import ChannelDistance, TargetChannel

#: smaller differences than this are not worth a sentence
_NOTHING = 1e-9


def channel_sentences(found: ChannelDistance) -> list[str]:
    """Return what a comparison of channels says, one sentence an entry, with numbers."""
    said = [] if found.rates is None else [_rates(found.rates)]
    for target in found.targets:
        said += _target(found, target)
    said += _coherence(found)
    if found.missing_target:
        said.append(_capital(found.missing_target) + ".")
    said += _ends(found)
    return said + _memory(found)


def channel_result(found: ChannelDistance) -> dict[str, Any]:
    """Return the comparison as a JSON-ready object: matrices as lists, infinity as null."""
    memory = found.memory
    return {
        "protocol": found.protocol,
        "register": found.register,
        "row": found.row,
        "start": found.start,
        "scale": found.scale,
        "scale_unit": "polarisation (2<S>) that counts as 1 in shifts, levels and ends",
        "cycles": found.cycles,
        "cycle_s": found.cycle_s,
        "rates": None if found.rates is None else _finite(found.rates),
        "compiled": [_channel(c) for c in found.compiled],
        "targets": [
            {
                "name": target.name,
                "words": target.words,
                "channels": [_channel(c) for c in target.channels],
                "separations": [asdict(s) for s in target.separations],
                "without_losses": asdict(target.without_losses),
                "end": target.end,
            }
            for target in found.targets
        ],
        "missing_target": found.missing_target,
        "end": found.end,
        "fixed_point_of_one_cycle": found.own_fixed_point,
        "memory": {
            "charger_levels": memory.charger_levels.tolist(),
            "one_cycle": [_channel(c) for c in memory.one_cycle],
            "power_error": memory.power_error.tolist(),
            "composition_error": memory.composition_error.tolist(),
            "correlation_error": memory.correlation_error.tolist(),
            "revival": memory.revival,
        },
        "sentences": channel_sentences(found),
    }


def _rates(rates: CycleRates) -> str:
    renewal = (
        f"renews {100.0 * rates.reset:.4g} % of the chargers' deviation"
        if rates.reset <= 1.0
        else "brings the chargers' deviation back with its sign changed, "
        f"{rates.reset - 1.0:.4g} of it"
    )
    r1 = rates.repolarisation_per_s
    repolarised = f" and R1 = {r1:.4g} /s" if 0.0 < r1 < math.inf else ""
    time = (
        f"1/k = {format_quantity(rates.charging_time_s, 'time')} of model time"
        if math.isfinite(rates.charging_time_s)
        else "without end"
    )
    return (
        f"A cycle exchanges for {format_quantity(rates.duration_s, 'time')} of model time (b = "
        f"{rates.transfer:.4g}) and {renewal}; it keeps the exchange rate of chargers with Gamma = "
        f"{rates.dephasing_per_s:.4g} /s{repolarised}: integrated charging time "
        f"{time}, for uncorrelated chargers and a battery that does not relax."
    )


def _target(found: ChannelDistance, target: TargetChannel) -> list[str]:
    said = []
    for n in sorted({1, found.cycles}):
        apart = target.separations[n - 1]
        within = f"{apart.population:.3g} for populations, {apart.trace:.3g} with coherence"
        if found.start == "thermal":
            within = f"{within} (in eps, battery states within eps)"
            within += f"; {apart.trace_any:.3g} over all battery states"
        said.append(
            f"After {n} cycle{'s' if n > 1 else ''} the battery's channel is off {target.words} "
            f"by, in trace norm, {within}; diamond norm {apart.diamond:.4g}."
        )
    alone = target.without_losses
    without = "nothing relaxed" if target.name == "driven" else "the battery did not relax"
    said.append(
        f"If {without}, one cycle would be off it by {alone.population:.3g} for populations, "
        f"{alone.trace:.3g} with coherence, {alone.diamond:.3g} in diamond norm."
    )
    return said


def _coherence(found: ChannelDistance) -> list[str]:
    """Say what the cycle leaves of the battery's coherence, where its target leaves more."""
    kept, wanted = (
        float(np.linalg.norm(c.matrix[:2, :2]) / math.sqrt(2.0))
        for c in (found.compiled[0], found.targets[0].channels[0])
    )
    if wanted - kept < 1e-3:
        return []
    words = (
        f"A cycle leaves {kept:.3g} of the battery's coherence where its target leaves "
        f"{wanted:.3g}: crushers act on the battery too."
    )
    return [words]


def _ends(found: ChannelDistance) -> list[str]:
    said = []
    own = found.own_fixed_point
    ideal = found.targets[0].channels[0].fixed_point()
    if found.rates is None:
        if own is not None and ideal is not None:
            said.append(
                f"With the charger renewed before each cycle the compiled channel reproduces "
                f"{_level(found, own)}, its target {_level(found, float(ideal[2]))}."
            )
        return said
    if found.end is None:
        return ["No battery state is reproduced by the cycle: nothing relaxes to one."]
    renewed = "no single state" if own is None else _level(found, own)
    said.append(
        f"The cycle ends at {_level(found, found.end)}, in eps and hbar |omega_B| eps/2; with the "
        f"chargers of the first cycle each time it would end at {renewed}."
    )
    for target in found.targets:
        if target.end is None:
            continue
        gap = abs(target.end - found.end)
        if target.name == "dephased":
            said.append(
                "A reset is not pure dephasing: that would end at "
                f"{_level(found, target.end)}, battery and chargers having shared what both held "
                f"when it began; the difference is {gap:.3g}."
            )
        else:
            said.append(
                "Chargers that repolarise to their level take a battery that does not relax there, "
                f"to {_level(found, target.end)}; the cycle stays {gap:.3g} away, as the spins "
                f"relax for {found.cycle_s:.4g} s in each."
            )
    return said


def _memory(found: ChannelDistance) -> list[str]:
    memory, n = found.memory, found.cycles
    if n == 1:
        return []
    levels = memory.charger_levels
    shifts = [float(c.shift[2]) for c in memory.one_cycle]
    first = (
        f"The chargers stand at {levels[0]:.4g} before the first cycle and at {levels[-1]:.4g} "
        f"before cycle {n}; the shift of a single cycle's channel goes from {shifts[0]:.4g} to "
        f"{shifts[-1]:.4g} with them."
    )
    said = [first]
    power, product = float(memory.power_error.max()), float(memory.composition_error.max())
    if power > _NOTHING:
        said.append(
            "Cycles do not compose: powers of the first cycle's channel miss the channel of n "
            f"cycles by up to {power:.3g}, and the product of every cycle's own channel by up to "
            f"{product:.3g} (trace norm): the chargers remember what the battery gave them."
        )
    else:
        said.append("Powers of one cycle's channel give the channel of n cycles.")
    lost = float(memory.correlation_error.max())
    if lost > _NOTHING:
        said.append(
            "Order between battery and chargers, which no channel of the battery knows, moves a "
            f"cycle's result by up to {lost:.2g}."
        )
    if memory.revival > _NOTHING:
        said.append(
            "Two states of the battery become easier to tell apart again, by up to "
            f"{memory.revival:.3g} from one cycle to the next: the evolution is not Markovian."
        )
    return said


def _level(found: ChannelDistance, p: float) -> str:
    r_z = found.battery_sign * p
    if found.start == "thermal":
        return f"p = {p:.4g} (E = {-r_z:.4g})"
    return f"p = {p:.4g} (E = {(1.0 - r_z) / 2.0:.4g} hbar omega_B)"


def _channel(channel: BlochChannel) -> dict[str, Any]:
    return {"matrix": channel.matrix.tolist(), "shift": channel.shift.tolist()}


def _finite(rates: CycleRates) -> dict[str, float | str | None]:
    values: dict[str, float | str | None] = asdict(rates)
    reasons = {
        "repolarisation_per_s": "complete resets: the chargers keep nothing from cycle to cycle",
        "charging_time_s": "nothing renews the chargers",
    }
    for name, reason in reasons.items():
        if not math.isfinite(getattr(rates, name)):
            values |= {name: None, f"{name}_reason": reason}
    return values


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
