"""The steps after the charging as events: storing, and the exchange of battery and load."""

from __future__ import annotations

import math

from nmrqb.compiler.elements import Elements
from nmrqb.compiler.translations import Translator
from nmrqb.protocol.discharge import Discharge
from nmrqb.sequence.events import Delay, Event, LoadExchange
from nmrqb.spins.register import Load, SpinRegister


def discharge_event(
    step: Discharge, key: str, register: SpinRegister, make: Elements, translator: Translator
) -> Event:
    """Return the exchange of battery and load.

    Raises
    ------
    ValueError
        Where the register has no load, or a transfer is asked for without a coupling.
    """
    load = load_of(register, key)
    coupling = abs(load.coupling_hz.value)
    if step.duration_s is not None:
        wanted = step.duration_s
    else:
        assert step.transfer is not None
        if coupling == 0.0 and step.transfer:
            raise ValueError(f"`{key}.transfer` needs a coupling, but J of the load is 0 Hz")
        angle = math.asin(math.sqrt(step.transfer))
        wanted = angle / (math.pi * coupling) if angle else 0.0
    same_sign = register.battery.nucleus.sign == load.nucleus.sign
    quanta = step.quanta
    if quanta == "auto":
        quanta = "zero" if same_sign else "double"
    if step.exchange == "native":
        assert step.steps is not None
        if wanted == 0.0:
            return Delay(ticks=0, label="exchange")
        return translator.native_load_exchange(load, wanted, step.steps, quanta, key)
    ticks = make.ticks(wanted, f"{key}.duration")
    return LoadExchange(ticks=ticks, quanta=quanta, relaxes=step.relax_during_exchange)


def load_of(register: SpinRegister, key: str) -> Load:
    """Return the load of a register; ValueError where it has none."""
    if register.load is None:
        raise ValueError(
            f"`{key}` needs a load, but register {register.name!r} has none (a table [load] with "
            "its coupling to the battery)"
        )
    return register.load
