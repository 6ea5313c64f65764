"""Re-energised charging by the closed map over whole grids: millions of candidates a minute.

One cycle takes (p, z, 1), the polarisations of battery and charger in spin labels, through the
remnant's treatment, the wait, the inversion and the exchange; the maps are those of the closed
map, event by event, and n cycles are n products, all candidates at once.  Pulses and crushers
take no time here.  What the closed map neglects is neglected here: re-simulate the best.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from nmrqb.models.exchange import exchange_transfer
from nmrqb.spins.register import SpinRegister

Array = NDArray[np.float64]
Recovery = Literal["left", "saturated", "flipped-back"]
#: energy (hbar |omega_B| eps/2) that a further cycle must gain to be counted as better
WORTH_A_CYCLE = 1e-4
RECOVERIES: tuple[Recovery, ...] = ("left", "saturated", "flipped-back")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReenergisedGrid:
    """Candidates of [remnant, wait Delta, inversion, exchange] x n on one register.

    Attributes
    ----------
    register : SpinRegister
    recovery : {"left", "saturated", "flipped-back"}
    jt : ndarray, shape (transfers,)
        Length of the exchange times J.
    delay_s : ndarray, shape (delays,)
        Delta.
    laboratory : float
        Laboratory time of an exchange over its model time: 2 for native blocks or a spin lock.
    """

    register: SpinRegister
    recovery: Recovery
    jt: Array
    delay_s: Array
    laboratory: float = 2.0

    def __post_init__(self) -> None:
        if self.recovery == "flipped-back" and not self.register.must_invert_chargers:
            raise ValueError("`recovery` flipped-back needs inverted chargers")
        for name in ("jt", "delay_s"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.ndim != 1 or not len(values) or not (values >= 0.0).all():
                raise ValueError(f"`{name}` must be a list of numbers of at least 0")
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    @property
    def candidates(self) -> int:
        """Number of pairs (transfer, delay)."""
        return len(self.jt) * len(self.delay_s)

    @property
    def cycle_s(self) -> Array:
        """Length of a cycle, shape (transfers, delays)."""
        exchange = self.laboratory * self.jt / abs(self.register.coupling_hz.value)
        return np.asarray(exchange[:, None] + self.delay_s[None, :])

    def cycle_maps(self) -> Array:
        """Return the affine map of one cycle on (battery, charger), (transfers, delays, 2, 3)."""
        register = self.register
        sign = -1.0 if register.must_invert_chargers else 1.0
        remnant = {"left": 1.0, "saturated": 0.0, "flipped-back": -1.0}[self.recovery]
        equilibrium = np.array([register.battery_equilibrium, register.charger_equilibrium])
        wait = np.zeros((len(self.delay_s), 2, 3))
        for k, delay in enumerate(self.delay_s):
            decay = scipy.linalg.expm(-self._rates(float(delay)) * delay)
            wait[k, :, 2] = equilibrium - decay @ equilibrium
            wait[k, :, :2] = decay
        wait[:, :, 1] *= remnant
        wait[:, 1, :] *= sign
        b = exchange_transfer(register.satellites, self.jt)
        n = register.satellites
        # the centre takes b of a satellite's polarisation and gives each satellite b/N of its own
        to_battery, to_charger = (b, b / n) if register.center.role == "battery" else (b / n, b)
        exchange = np.zeros((len(self.jt), 2, 2))
        exchange[:, 0, 0], exchange[:, 0, 1] = 1.0 - to_battery, to_battery
        exchange[:, 1, 0], exchange[:, 1, 1] = to_charger, 1.0 - to_charger
        return np.asarray(np.einsum("bij,djk->bdik", exchange, wait))

    def fixed_points(self) -> Array:
        """Return p* of the battery (spin label), shape (transfers, delays)."""
        maps = self.cycle_maps()
        system = np.eye(2) - maps[..., :2]
        return np.asarray(np.linalg.solve(system, maps[..., 2:])[..., 0, 0])

    def decay_factors(self) -> Array:
        """Return the slowest factor |lambda| of one cycle, shape (transfers, delays)."""
        return np.asarray(np.abs(np.linalg.eigvals(self.cycle_maps()[..., :2])).max(axis=-1))

    def best_within(self, budget_s: float, battery: float = 0.0) -> tuple[Array, NDArray[np.int64]]:
        """Return the largest energy -r_z that whole cycles reach within a time, and their number.

        Parameters
        ----------
        budget_s : float
            Time of all cycles.
        battery : float
            Polarisation of the battery at the start (0: saturated); chargers start in equilibrium.

        Returns
        -------
        energy, cycles : ndarray, shape (transfers, delays)
        """
        maps = self.cycle_maps()
        most = np.floor(budget_s / np.maximum(self.cycle_s, 1e-9) + 1e-9).astype(np.int64)
        sign = -float(self.register.battery.nucleus.sign)
        p = np.full(most.shape, battery)
        z = np.full(most.shape, self.register.charger_equilibrium)
        best, cycles = sign * p, np.zeros(most.shape, dtype=np.int64)
        a = np.ascontiguousarray(np.moveaxis(maps, (2, 3), (0, 1)))
        for k in range(1, int(most.max(initial=0)) + 1):
            p, z = a[0, 0] * p + a[0, 1] * z + a[0, 2], a[1, 0] * p + a[1, 1] * z + a[1, 2]
            better = (sign * p > best + WORTH_A_CYCLE) & (k <= most)
            best = np.where(better, sign * p, best)
            cycles = np.where(better, k, cycles)
        return best, cycles

    def _rates(self, delay_s: float) -> Array:
        """Return the relaxation matrix of (battery, charger), cross-relaxation in it."""
        register = self.register
        recovery = register.charger.recovery
        t1 = register.charger.t1_s.value if recovery is None else recovery.effective_t1_s(delay_s)
        cross = register.pair_rate_per_s / 2.0
        n_b, n_c = (
            (register.satellites, 1)
            if register.center.role == "battery"
            else (
                1,
                register.satellites,
            )
        )
        return np.array([[1.0 / register.battery.t1_s.value, n_b * cross], [n_c * cross, 1.0 / t1]])
