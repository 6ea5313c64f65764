"""Undriven NMR stars: exchange, re-energised charging, storage, discharge into a load.

Energies are those of a thermal start, in hbar |omega_B| eps/2 from the identity level.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.compiler.compile import CompiledProtocol, compile_protocol
from nmrqb.files.toml import read_protocol, read_register, read_spectrometer
from nmrqb.models import exchange
from nmrqb.models.dephased_star import DephasedStar
from nmrqb.models.discharge import discharge_to_loads
from nmrqb.models.screening import ReenergisedGrid
from nmrqb.protocol.protocol import Protocol
from nmrqb.protocol.steps import ExchangeStep, Inversion, Recovery, Reenergise
from nmrqb.sequence.events import Loop
from nmrqb.simulate.simulator import StarSimulator
from nmrqb.spins.register import SpinRegister
from nmrqb.studies.reproduce.quantity import Quantity

Array = NDArray[np.float64]


def exchange_transfer(satellites: int, jt: Array) -> Array:
    """Energy b_N(Jt) that ideal exchange with N thermal chargers stores in a saturated battery."""
    return exchange.exchange_transfer(satellites, jt)


def pure_transfer(satellites: int, jt: Array) -> Array:
    """Excitation sin^2(sqrt(N) pi J t) that fully polarised chargers store in an empty battery."""
    return np.asarray(np.sin(np.sqrt(satellites) * np.pi * jt) ** 2)


def dawson_transfer(satellites: int, jt: Array) -> Array:
    """Energy 2 x Dawson(x), x = pi J t sqrt(N/2): exchange with very many thermal chargers."""
    from scipy.special import dawsn

    x = np.pi * np.asarray(jt) * np.sqrt(satellites / 2.0)
    return np.asarray(2.0 * x * dawsn(x), dtype=np.float64)


def best_transfer(satellites: int) -> float:
    """Largest b_N: energy of the best single exchange with thermal chargers."""
    return exchange.first_maximum(satellites)[1]


def best_exchange(satellites: int) -> float:
    """Length J t of the best single exchange with thermal chargers."""
    return exchange.first_maximum(satellites)[0]


def full_exchange(satellites: int) -> float:
    """Shortest J t with b_N = 1: the battery at the chargers' polarisation."""
    return exchange.shortest_exchange(satellites, 1.0)


def speed_up(satellites: int, definition: Literal["time", "average-power", "pure-time"]) -> float:
    """Speed-up of N chargers against one, in the named definition.

    "time" of the best exchange of thermal chargers, its "average-power" b/(J t), or the time of
    pure chargers, sqrt(N).
    """
    if definition == "pure-time":
        return float(np.sqrt(satellites))
    time = best_exchange(1) / best_exchange(satellites)
    return time if definition == "time" else time * best_transfer(satellites) / best_transfer(1)


def inept_transfer(satellites: int) -> float:
    """Energy of refocused INEPT from N thermal chargers: sqrt(N) (1 - 1/N)^((N - 1)/2)."""
    return exchange.inept_transfer(satellites, to_center=True)


def unitary_transfer(satellites: int) -> float:
    """Largest energy that any unitary takes from N thermal chargers to the centre."""
    return exchange.unitary_bound(satellites)


def asymptotic_energy(register: str, recovery: Recovery, transfer: float, delay_s: Array) -> Array:
    """Energy of re-energised charging after very many cycles, by the closed map."""
    star = read_register(register)
    jt = np.array([exchange.shortest_exchange(star.satellites, transfer)])
    grid = ReenergisedGrid(register=star, recovery=recovery, jt=jt, delay_s=np.asarray(delay_s))
    return np.asarray(-star.battery.nucleus.sign * grid.fixed_points()[0])


@lru_cache(maxsize=64)  # curves and rows ask for the same delays, a second each
def simulated_asymptotic_energy(
    register: str,
    recovery: Recovery,
    transfer: float,
    delay_s: float,
    inversion: Inversion = "auto",
) -> float:
    """Energy of re-energised charging after very many cycles, simulated with T1, T2 everywhere."""
    star, compiled = _reenergised(register, recovery, inversion, transfer, delay_s, 1)
    p_star = StarSimulator(star).fixed_point(compiled.cycle, compiled.sequences[0].tick_s)
    return -star.battery.nucleus.sign * p_star


def asymptotic_charging(
    register: str,
    recovery: Recovery,
    transfer: float,
    delay_s: float,
    cycles: int,
    inversion: Inversion = "auto",
) -> tuple[Array, Array]:
    """Stored energy against charging time, at the end of each cycle from a saturated battery."""
    if cycles < 2:
        raise ValueError(f"`cycles` must be at least 2, but is {cycles}")
    star, compiled = _reenergised(register, recovery, inversion, transfer, delay_s, cycles)
    sequence = compiled.sequences[0]
    seen = StarSimulator(star).simulate(sequence)
    # checkpoints: the start, each event before the loop, each repetition, what follows
    before = next(k for k, e in enumerate(sequence.events) if isinstance(e, Loop))
    kept = slice(before, before + cycles + 1)
    times = seen.times_s[kept] - seen.times_s[before]
    return times, -star.battery.nucleus.sign * seen.battery_z[kept]


@lru_cache(maxsize=64)
def _reenergised(
    register: str,
    recovery: Recovery,
    inversion: Inversion,
    transfer: float,
    delay_s: float,
    cycles: int,
) -> tuple[SpinRegister, CompiledProtocol]:
    """Return register and compiled [re-energise, exchange, crush] x cycles."""
    shipped = read_protocol("asymptotic_ttss")
    step = Reenergise(delay_s=delay_s, recovery=recovery, inversion=inversion)
    given, crush = shipped.cycle[1:]
    assert isinstance(given, ExchangeStep)
    cycle = (step, replace(given, transfer=transfer), crush)
    protocol: Protocol = replace(shipped, register=register, sweep=None, cycles=cycles, cycle=cycle)
    star = read_register(register)
    return star, compile_protocol(protocol, star, read_spectrometer("generic"))


def battery_equilibrium_energy(register: str) -> float:
    """Energy of the battery in thermal equilibrium, -|gamma_battery/gamma_charger|."""
    return -read_register(register).equilibrium_ratio


def stored_share(register: str, time_s: Array) -> Array:
    """Share e^(-t/T1) of what is stored that is left after a wait."""
    return np.asarray(np.exp(-np.asarray(time_s) / read_register(register).battery.t1_s.value))


def loaded_energy(satellites: int, jt: Array) -> Array:
    """Energy of a load spin after exchange with a battery that N thermal chargers charged best."""
    return best_transfer(satellites) * exchange.exchange_transfer(1, jt)


def energy_left(satellites: int, jt: Array) -> Array:
    """Energy left in the battery while the load takes its share."""
    return best_transfer(satellites) - loaded_energy(satellites, jt)


def load_sequence(star: DephasedStar, contact_time: float, loads: int) -> tuple[Array, Array]:
    """Energy that empty loads take one after the other from the steady state of a star."""
    taken = discharge_to_loads(star.steady_state(), star.coupling, contact_time, loads)
    return np.arange(1.0, loads + 1.0), taken.energy


def load_ergotropies(star: DephasedStar, contact_time: float, loads: int) -> tuple[Array, Array]:
    """Ergotropy of each of those loads alone."""
    taken = discharge_to_loads(star.steady_state(), star.coupling, contact_time, loads)
    return np.arange(1.0, loads + 1.0), taken.ergotropy


def energy_after_loads(star: DephasedStar, contact_time: float, loads: int) -> float:
    """Energy left in the batteries after a number of loads."""
    return discharge_to_loads(star.steady_state(), star.coupling, contact_time, loads).left


def energy_of_first_load(star: DephasedStar, contact_time: float) -> float:
    """Energy that the first load takes."""
    return float(discharge_to_loads(star.steady_state(), star.coupling, contact_time, 1).energy[0])


_UNIT = "hbar |omega_B| eps/2"
_CLOSED = "closed form; rounding only"
_MAP = "closed map: takes chargers as uncorrelated at each start, up to 5e-3 for T2C = T1C"
_EXACT = "exact for equivalent chargers; linear solver to 1e-10; T2 is nominal"
QUANTITIES = (
    Quantity.of(exchange_transfer, _UNIT, _CLOSED, over="jt"),
    Quantity.of(pure_transfer, "1", _CLOSED, over="jt"),
    Quantity.of(dawson_transfer, _UNIT, "limit of many chargers: error of order 1/N", over="jt"),
    Quantity.of(best_transfer, _UNIT, "maximum of a closed form, to 1e-12"),
    Quantity.of(best_exchange, "1/J", "maximum of a closed form, to 1e-8"),
    Quantity.of(full_exchange, "1/J", "root of a closed form, to 1e-15"),
    Quantity.of(speed_up, "1", "maxima of closed forms, to 1e-8"),
    Quantity.of(inept_transfer, _UNIT, _CLOSED),
    Quantity.of(unitary_transfer, _UNIT, _CLOSED),
    Quantity.of(asymptotic_energy, _UNIT, _MAP, over="delay_s"),
    Quantity.of(simulated_asymptotic_energy, _UNIT, _EXACT),
    Quantity.of(asymptotic_charging, _UNIT, _EXACT, kind="profile"),
    Quantity.of(battery_equilibrium_energy, _UNIT, "tabulated frequency ratios, 1e-8"),
    Quantity.of(
        stored_share, "1", "closed form; T1 is the published one, without error", over="time_s"
    ),
    Quantity.of(loaded_energy, _UNIT, _CLOSED, over="jt"),
    Quantity.of(energy_left, _UNIT, _CLOSED, over="jt"),
    Quantity.of(load_sequence, "omega", "exact in the Dicke states; rounding", kind="profile"),
    Quantity.of(load_ergotropies, "omega", "exact in the Dicke states; rounding", kind="profile"),
    Quantity.of(energy_after_loads, "omega", "exact in the Dicke states; rounding"),
    Quantity.of(energy_of_first_load, "omega", "exact in the Dicke states; rounding"),
)
