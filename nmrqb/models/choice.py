"""Which engine solves a star."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from nmrqb.models.charging_times import Modes
from nmrqb.models.damped import ModeSum
from nmrqb.models.resonant_oscillators import OscillatorChargedOscillator, QubitChargedOscillator
from nmrqb.models.resonant_qubits import ResonantQubits
from nmrqb.models.solvers import General, Resonant, Solver
from nmrqb.models.uncharged import Uncharged

if TYPE_CHECKING:
    from nmrqb.models.dephased_star import DephasedStar


def decaying_modes(star: DephasedStar) -> Modes:
    """Return the modes of the stored energy.

    Raises
    ------
    ValueError
        Where nothing decays or nothing is stored.
    """
    modes = solver_of(star).modes()
    if isinstance(modes, ModeSum) and modes.dephasing == 0.0:
        raise ValueError("`dephasing` must be positive: without it the energy never settles")
    if modes.final <= 0.0 or len(modes.significant(1e-3 * modes.final).rates()) == 0:
        raise ValueError("nothing is stored: without drive and coupling there is no charging")
    return modes


@lru_cache(maxsize=16)
def factorised_star(
    batteries: int, drive: float, coupling: float, shared_by: int
) -> ResonantQubits:
    """Return the resonant star for any dephasing: a sweep of rates factorises once."""
    return ResonantQubits(batteries, drive, coupling, shared_by, 1.0)


@lru_cache(maxsize=16)
def solver_of(star: DephasedStar) -> Solver:
    """Return the engine for a star: the exact solution where it holds, else the general one."""
    bare = star.charger_detuning == 0.0 and star.drive_detuning == 0.0
    baths = [star.bath("charger"), star.bath("battery")]
    silent = all(b.is_silent for b in baths)
    dark = star.drive == 0.0 and all(b.quanta == 0.0 or b.is_silent for b in baths)
    if star.start == "empty" and (dark or (star.coupling == 0.0 and bare and silent)):
        return Uncharged(star.batteries, star.battery, star.charger, star.drive, star.dephasing)
    reasons = [
        text
        for text, holds in (
            ("off resonance", not bare),
            ("the charger relaxes", not baths[0].is_silent),
            ("each battery relaxes", not baths[1].is_silent),
            ("collective dephasing", star.collective_dephasing > 0.0),
            ("thermal start", star.start == "thermal"),
            (
                "qubit batteries on an oscillator charger",
                star.charger == "oscillator" and star.battery == "qubit",
            ),
        )
        if holds
    ]
    if reasons:
        thermal = star.start == "thermal"
        return General(rates=star.rates(), reason=", ".join(reasons), is_thermal=thermal)
    solution: ResonantQubits | QubitChargedOscillator | OscillatorChargedOscillator
    if star.battery == "qubit":
        shared = star.batteries if star.normalisation == "kac" else 1
        factorised = factorised_star(star.batteries, star.drive, star.coupling, shared)
        solution = factorised.with_dephasing(star.dephasing)
    else:
        bright = star.collective_coupling * float(np.sqrt(star.batteries))
        kind = QubitChargedOscillator if star.charger == "qubit" else OscillatorChargedOscillator
        solution = kind(star.drive, bright, star.dephasing)
    return Resonant(solution, star.dephasing)
