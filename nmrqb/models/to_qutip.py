"""A star in QuTiP's terms: H, collapse operators and start state, charger first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nmrqb.battery.ergotropy import Sector
from nmrqb.models.bipartite import Bipartite
from nmrqb.models.rates import Bath, StarRates
from nmrqb.quantum import qutip_bridge as bridge

if TYPE_CHECKING:
    import qutip

#: spins up to which the full space is handed over: a density matrix of 4^11 elements
MOST_SPINS = 11


def levels_of(rates: StarRates) -> tuple[int, int]:
    """Return the levels of charger and battery; oscillators hold their resonant displacement."""
    bright = np.sqrt(rates.batteries) * rates.coupling
    reach = (2.0 * rates.drive / bright) ** 2 if bright > 0.0 else 0.0
    cut = int(np.ceil(reach + 8.0 * np.sqrt(reach) + 12.0))
    charger = 2 if rates.charger == "qubit" else cut
    return charger, rates.batteries + 1 if rates.battery == "qubit" else cut


def is_local(rates: StarRates, is_thermal: bool) -> bool:
    """Whether the star needs the full space: each of several batteries has its own state."""
    several = rates.batteries > 1 and rates.battery == rates.charger == "qubit"
    return several and (is_thermal or not rates.battery_bath.is_silent)


def star_to_qutip(
    rates: StarRates, *, is_thermal: bool
) -> tuple[qutip.Qobj, list[qutip.Qobj], qutip.Qobj]:
    """Return H, collapse operators and start state."""
    if is_local(rates, is_thermal):
        return _full_space(rates, is_thermal)
    charger, battery = levels_of(rates)
    star = Bipartite(rates, charger, battery)
    dims = [charger, battery]
    start = np.asarray(star.start().reshape((star.dimension,) * 2))
    if is_thermal:
        share = [(1.0 + b.polarisation) / 2.0 for b in (rates.charger_bath, rates.battery_bath)]
        populations = np.outer([1 - share[0], share[0]], [1 - share[1], share[1]]).ravel()
        start = np.diag(populations).astype(np.complex128)
    collapse = [bridge.to_qobj(c, dims) for c in star.collapse()]
    return bridge.to_qobj(star.hamiltonian(), dims), collapse, bridge.to_qobj(start, dims)


def _full_space(
    rates: StarRates, is_thermal: bool
) -> tuple[qutip.Qobj, list[qutip.Qobj], qutip.Qobj]:
    spins = rates.batteries + 1
    if spins > MOST_SPINS:
        raise ValueError(
            f"noise on each battery needs QuTiP's full space of 2^{spins} states, handed over up "
            f"to {MOST_SPINS} spins; nmrqb's own engine holds it in C(N + 3, 3) elements"
        )
    minus, number = bridge.one_spin()
    low = [bridge.on_spin(minus, k, spins) for k in range(spins)]
    n = [bridge.on_spin(number, k, spins) for k in range(spins)]
    exchange = sum(low[0].dag() * low[k] + low[0] * low[k].dag() for k in range(1, spins))
    hamiltonian = (
        rates.charger_offset * n[0]
        + rates.battery_offset * sum(n[1:])
        + rates.coupling * exchange
        + rates.drive * (low[0] + low[0].dag())
    )
    collapse = _losses(low[0], n[0], rates.charger_bath, rates.dephasing)
    for k in range(1, spins):
        collapse += _losses(low[k], n[k], rates.battery_bath, 0.0)
    if rates.collective_dephasing > 0.0:
        collapse.append(np.sqrt(rates.collective_dephasing) * sum(n[1:]))
    baths = [rates.charger_bath] + [rates.battery_bath] * rates.batteries
    excited = [(1.0 + b.polarisation) / 2.0 if is_thermal else 0.0 for b in baths]
    return hamiltonian, collapse, bridge.product_state(excited)


def _losses(low: qutip.Qobj, number: qutip.Qobj, bath: Bath, dephasing: float) -> list[qutip.Qobj]:
    loss, gain = bath.loss_and_gain("qubit")
    pairs = [(loss, low), (gain, low.dag()), (dephasing + bath.pure_dephasing, number)]
    return [np.sqrt(rate) * operator for rate, operator in pairs if rate > 0.0]


def sectors_from_qutip(state: qutip.Qobj) -> tuple[tuple[Sector, ...], float]:
    """Return the batteries' state and the charger's excitations from QuTiP's state of a star.

    Parameters
    ----------
    state : Qobj
        On the spaces of `star_to_qutip`: (charger, battery) or 1 + N qubits.
    """
    rho = bridge.from_qobj(state)
    dims = list(state.dims[0])
    charger = dims[0]
    battery = len(rho) // charger
    parts = rho.reshape(charger, battery, charger, battery)
    reduced = np.einsum("iaib->ab", parts)
    levels = np.einsum("iaia->i", parts).real
    excitations = np.zeros(1, dtype=np.int64)
    for d in dims[1:]:
        excitations = np.add.outer(excitations, np.arange(d)).ravel()
    sector = Sector(matrix=(reduced + reduced.conj().T) / 2.0, excitations=excitations)
    return (sector,), float(levels @ np.arange(charger))
