"""What an experiment pays and remembers: speed, quality, price, zero-quantum memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.charging_time import Definition
from nmrqb.files.toml import read_register
from nmrqb.models.dephased_star import DephasedStar
from nmrqb.models.price import pseudo_pure_price, thermal_price
from nmrqb.models.zero_quantum import RememberingStar
from nmrqb.studies.reproduce.quantity import Quantity, check_at_least

Array = NDArray[np.float64]


def charging_time_decades(star: DephasedStar, definition: Definition, n: float = 1.0) -> float:
    """log10 of the charging time in the named definition."""
    return float(np.log10(star.charging_time(definition, n).value))


def quality_against_speed(
    star: DephasedStar, lowest: float, highest: float, points: int
) -> tuple[Array, Array]:
    """W/E of the steady state against the shortest charging time, F/g from lowest to highest."""
    if not 0.0 < lowest < highest:
        raise ValueError(f"`lowest` must be positive and below `highest`, but is {lowest}")
    check_at_least(2, points=points)
    stars = [
        replace(star, drive=float(f) * star.coupling) for f in np.geomspace(lowest, highest, points)
    ]
    times = [s.optimal_dephasing("slowest-mode").charging_time.value for s in stars]
    states = [s.steady_state() for s in stars]
    return np.array(times), np.array([s.ergotropy / s.energy for s in states])


def charging_seconds(star: DephasedStar, coupling_hz: float) -> float:
    """Shortest slowest-mode charging time in seconds where each battery is coupled by J."""
    if not coupling_hz > 0.0:
        raise ValueError(f"`coupling_hz` must be positive, but is {coupling_hz}")
    time = star.optimal_dephasing("slowest-mode").charging_time.value
    # lambda of the model is pi J
    return float(time * star.collective_coupling / (np.pi * coupling_hz))


def price_minutes(
    register: str,
    batteries: int,
    charging_s: float,
    error: float,
    reference_snr: float,
    start: Literal["thermal", "pseudo-pure"],
) -> float:
    """Spectrometer minutes of one point, for the register as if it had `batteries` satellites."""
    star = replace(read_register(register), satellites=batteries)
    price = pseudo_pure_price if start == "pseudo-pure" else thermal_price
    return price(star, charging_s=charging_s, error=error, reference_snr=reference_snr).minutes


def pseudo_pure_share(register: str, batteries: int) -> float:
    """Pseudo-pure amplitude over the thermal polarisation, for `batteries` satellites."""
    star = replace(read_register(register), satellites=batteries)
    return star.pseudo_pure_amplitude / star.equilibrium_ratio


def remembered_point(
    chargers: int, transfer: float, delay_s: float, charger_t2_s: float, cycles: int
) -> float:
    """Polarisation after `cycles` exchanges, exact: chargers correlated by the former ones."""
    return float(_ttss(chargers, transfer, delay_s, charger_t2_s).polarisations(cycles)[-1])


def closed_map_point(chargers: int, transfer: float, delay_s: float, cycles: int) -> float:
    """Polarisation after `cycles` exchanges by the closed map: uncorrelated chargers."""
    return float(_ttss(chargers, transfer, delay_s, 1.0).closed_map(cycles)[-1])


def memory_loss(
    chargers: int, transfer: float, delay_s: float, charger_t2_s: float, cycles: int
) -> float:
    """Closed map minus exact polarisation after `cycles` exchanges."""
    star = _ttss(chargers, transfer, delay_s, charger_t2_s)
    return float(star.closed_map(cycles)[-1] - star.polarisations(cycles)[-1])


def remembered_fixed_point(
    chargers: int, transfer: float, delay_s: float, charger_t2_s: float
) -> float:
    """p* of re-energised charging, exact."""
    return _ttss(chargers, transfer, delay_s, charger_t2_s).fixed_point()


def closed_map_fixed_point(chargers: int, transfer: float, delay_s: float) -> float:
    """p* of re-energised charging by the closed map."""
    return _ttss(chargers, transfer, delay_s, 1.0).closed_fixed_point()


def zero_quantum_order(chargers: int, transfer: float) -> float:
    """Norm of the zero-quantum order over that of the whole deviation, after the first exchange."""
    return _ttss(chargers, transfer, 1.0, 1.0).zero_quantum_order()


def _ttss(chargers: int, transfer: float, delay_s: float, charger_t2_s: float) -> RememberingStar:
    """Return a star with the nuclei and T1 of TTSS: 29Si charged by 1H left as they are."""
    register = read_register("ttss")
    return RememberingStar(
        chargers=chargers,
        transfer=transfer,
        delay_s=delay_s,
        charger_t1_s=register.charger.t1_s.value,
        charger_t2_s=charger_t2_s,
        battery_t1_s=register.battery.t1_s.value,
        battery_equilibrium=register.battery_equilibrium,
    )


_CYCLES = "exact for independent relaxation and ideal exchange; rounding below 1e-10"
_PRICE = "exact count; the signal-to-noise ratio of the reference is the assumption"
QUANTITIES = (
    Quantity.of(charging_time_decades, "log10(1/g)", "as the charging time"),
    Quantity.of(quality_against_speed, "1", "exact modes and states", kind="profile"),
    Quantity.of(charging_seconds, "s", "exact modes"),
    Quantity.of(price_minutes, "min", _PRICE),
    Quantity.of(pseudo_pure_share, "1", "closed form"),
    Quantity.of(remembered_point, "eps", _CYCLES),
    Quantity.of(closed_map_point, "eps", "closed form of uncorrelated chargers"),
    Quantity.of(memory_loss, "eps", _CYCLES),
    Quantity.of(remembered_fixed_point, "eps", _CYCLES),
    Quantity.of(closed_map_fixed_point, "eps", "closed form of uncorrelated chargers"),
    Quantity.of(zero_quantum_order, "1", _CYCLES),
)
