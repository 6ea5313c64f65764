"""What stands for a dephased charger: phase flips, crushers, crushers in a share of the scans.

Gamma = gamma_C/2 is the decay of a charger coherence.  Every translation cuts the exchange into
slices of model time d:

phase-flips
    The charger's frame is turned by 180 degrees after a slice in a share (1 - e^{-Gamma d})/2 of
    the scans.  Any Gamma, any drive; needs scans with different patterns.
crushers
    A gradient crusher after every slice, in every scan; d follows from Gamma (below Gamma = 4 g
    there is none).  Kills the battery's coherence too, so that it needs an undriven charger.
poisson-crushers
    A crusher after a slice in a share 1 - e^{-Gamma d} of the scans: any Gamma, undriven.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from nmrqb.models.dephasing import crusher_dephasing, crusher_interval, longest_crusher_interval
from nmrqb.protocol.steps import DrivenExchangeStep
from nmrqb.sequence.events import Crusher, Event, Loop, Segment
from nmrqb.spins.register import SpinRegister
from nmrqb.units import format_quantity

#: angle g sqrt(N) d or F d of one slice that a choice of slices keeps below: errors of about 1 %
_SMALL_SLICE_RAD = 0.2
#: above Gamma = this times g sqrt(N) crushers every d stand for 2/d whatever N is
_ZENO = 20.0
_MOST_SLICES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A translation that the compiler chose, and why.

    Attributes
    ----------
    step : DrivenExchangeStep
        The step with `by` and `slices` filled in.
    reason : str
        A sentence without its full stop.
    """

    step: DrivenExchangeStep
    reason: str


def choose(step: DrivenExchangeStep, register: SpinRegister, crusher_s: float) -> Choice:
    """Return the translation of a step with by = "auto".

    Crushers where they are exact enough, need no averaging over scans and take no longer than the
    exchange itself; else phase flips.
    """
    g = math.pi * abs(register.coupling_hz.value)
    gamma = 0.5 * step.dephasing_per_s
    count = slices_of_crushers(step, g)
    takes = 2.0 if step.exchange == "native" else 1.0
    undriven = step.drive_hz == 0.0
    one_pair = register.satellites == 1 and gamma >= 4.0 * g
    zeno = gamma >= _ZENO * g * math.sqrt(register.satellites)
    if undriven and (one_pair or zeno) and g > 0.0:
        assert count is not None
        crushers_s = count * crusher_s
        if crushers_s <= takes * step.duration_s:
            words = (
                f"crushers: the charger is not driven and Gamma = {gamma:.4g} /s is at least "
                f"4 g = {4.0 * g:.4g} /s, so that {count} crushers do it in every single scan"
            )
            return Choice(step=replace(step, by="crushers"), reason=words)
        why = (
            f"{count} crushers would take {format_quantity(crushers_s, 'time')}, longer than the "
            "exchange"
        )
    elif not undriven:
        why = "crushers would kill the coherence of the battery that the drive makes"
    else:
        why = (
            f"Gamma = {gamma:.4g} /s is below what full crushers stand for (4 g = {4.0 * g:.4g} /s "
            f"for one pair, {_ZENO:g} g sqrt(N) else)"
        )
    largest = max(g * math.sqrt(register.satellites), math.pi * step.drive_hz)
    slices = min(_MOST_SLICES, max(1, math.ceil(largest * step.duration_s / _SMALL_SLICE_RAD)))
    return Choice(
        step=replace(step, by="phase-flips", slices=slices),
        reason=f"phase flips in {slices} slices: {why}",
    )


def slices_of_crushers(step: DrivenExchangeStep, g: float) -> int | None:
    """Return how many full crushers stand for the step's dephasing, or None where none do."""
    gamma = 0.5 * step.dephasing_per_s
    if not (g > 0.0 and gamma >= 4.0 * g * (1.0 - 1e-12) and step.duration_s > 0.0):
        return None
    return max(1, round(step.duration_s / crusher_interval(g, gamma)))


def by_crushers(
    step: DrivenExchangeStep, g: float, exchange: Callable[[float], Event], crusher: Crusher
) -> tuple[Segment, float]:
    """Return [exchange for d, crusher] x K and the Gamma that it stands for.

    K is the whole number nearest to duration/d.

    Raises
    ------
    ValueError
        Below Gamma = 4 g, where no full crushers stand for the dephasing.
    """
    count = slices_of_crushers(step, g)
    if count is None:
        raise ValueError(
            f"`dephasing` must be at least 8 g = {8.0 * g:.6g} /s (Gamma = 4 g) for full crushers, "
            f"but is {step.dephasing_per_s:.6g} /s: use phase-flips or poisson-crushers"
        )
    d = step.duration_s / count
    # a rounded count may stretch the interval past the critical one, where the forms meet at 4 g
    realised = float(crusher_dephasing(g, min(d, longest_crusher_interval(g))))
    body = (exchange(d), crusher)
    words = f"dephased exchange of {format_quantity(step.duration_s, 'time')}, {count} crusher(s)"
    return Segment(label=words, body=(Loop(count=count, body=body),), action=(0.0,) * 4), realised


def by_poisson_crushers(
    step: DrivenExchangeStep, exchange: Callable[[float], Event], crusher: Crusher
) -> Segment:
    """Return [exchange for d, a crusher in a share 1 - e^{-Gamma d} of the scans] x slices."""
    assert step.slices is not None
    d = step.duration_s / step.slices
    share = -math.expm1(-0.5 * step.dephasing_per_s * d)
    killed = (replace(crusher, share=share),) if share else ()
    words = f"dephased exchange of {format_quantity(step.duration_s, 'time')}, Poisson crushers"
    loop = Loop(count=step.slices, body=(exchange(d), *killed))
    return Segment(label=words, body=(loop,), action=(0.0,) * 4)
