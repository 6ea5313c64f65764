"""What a sequence does to one battery: its channel, with the chargers traced out.

The chargers start in a given state without correlation to the battery.  Two kinds of start:

- "thermal": first order in eps.  The chargers are 1 + eps (deviation), and the battery's Bloch
  vector, counted in units of eps, goes to M r + s.  M needs the identity of the chargers only, s
  their deviation and the thermal source of relaxation.
- "pseudo-pure": the chargers' whole state counts, and relaxation leads to the identity, as it does
  in the difference of scans that makes a pseudo-pure experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.quantum import operators as op
from nmrqb.quantum.channels import BlochChannel
from nmrqb.quantum.propagation import Generator, Vector
from nmrqb.quantum.star import SpinRelaxation, StarSpace
from nmrqb.spins.register import SpinRegister

Start = Literal["thermal", "pseudo-pure"]
Step = Callable[[Vector], Vector]

_HALF = 1.0 / np.sqrt(2.0)
#: sigma_x, sigma_y, sigma_z by their components (1, z, +, -), the identity having component 1
_PAULI = np.array([[0, 0, _HALF, _HALF], [0, 0, -1j * _HALF, 1j * _HALF], [0, 1, 0, 0]])
#: where the operators 1, z, +, - of a single satellite stand
_SATELLITE = [StarSpace(1).position(op.ONE, *one) for one in ((0, 0, 0), *np.eye(3, dtype=int))]


@dataclass(frozen=True, slots=True)
class OneBattery:
    """The single battery of a star beside its chargers.

    Attributes
    ----------
    register : SpinRegister
        With a central battery, or with one satellite; without a load.
    """

    register: SpinRegister

    def __post_init__(self) -> None:
        if self.register.load is not None:
            raise ValueError(
                "the channel of a battery is that of battery and chargers, but register "
                f"{self.register.name!r} has a load besides: leave its [load] out"
            )
        if not self._is_central and self.register.satellites != 1:
            raise ValueError(
                f"the channel of a battery needs one battery, but register {self.register.name!r} "
                f"has {self.register.satellites} satellites as batteries, which share one state"
            )

    @property
    def chargers(self) -> int:
        """Number of chargers."""
        return self.register.satellites if self._is_central else 1

    def chargers_of(self, state: Vector) -> Vector:
        """Return the chargers' reduced state, shape (charger operators,), identity component 1."""
        found: Vector = self._split(state)[op.ONE].copy()
        found[0] = 1.0
        return found

    def level(self, chargers: Vector) -> float:
        """Return the chargers' mean polarisation, spin label."""
        n = self.chargers
        where = StarSpace(n).position(op.ONE, z=1) if self._is_central else op.Z
        return float(chargers[where].real / np.sqrt(n))

    def joined(self, battery: Vector, chargers: Vector) -> Vector:
        """Return the product of a battery's components (1, z, +, -) and a state of the chargers."""
        table = np.outer(battery, chargers)
        if not self._is_central:
            ordered = np.empty_like(table)
            ordered[:, _SATELLITE] = table.T
            table = ordered
        return np.asarray(table.ravel())

    def channels(
        self, steps: Iterable[Step], chargers: Vector, start: Start
    ) -> Iterator[BlochChannel]:
        """Yield the battery's channel from the beginning to the end of each step.

        Parameters
        ----------
        steps : iterable of (state -> state)
            What happens, one after the other.
        chargers : ndarray
            As `chargers_of` returns them.
        start : {"thermal", "pseudo-pure"}
        """
        identity = np.zeros_like(chargers)
        identity[0] = 1.0
        beside = identity if start == "thermal" else chargers
        states = [self.joined(sigma, beside) for sigma in _PAULI]
        states.append(self.joined(np.eye(4)[op.ONE], chargers))
        if start == "pseudo-pure":
            # without the identity no thermal polarisation grows: it cancels in the difference
            states[-1] = states[-1] - self.joined(np.eye(4)[op.ONE], identity)
        for step in steps:
            states = [step(state) for state in states]
            *columns, shift = (self.bloch(state) for state in states)
            yield BlochChannel(matrix=np.array(columns).T, shift=shift)

    def bloch(self, state: Vector) -> NDArray[np.float64]:
        """Return the battery's Bloch vector, shape (3,)."""
        _, z, plus, _ = self._split(state)[:, 0]
        return np.array([plus.real / _HALF, -plus.imag / _HALF, z.real])

    @property
    def _is_central(self) -> bool:
        return self.register.center.role == "battery"

    def _split(self, state: Vector) -> NDArray[np.complex128]:
        """Return a state as a table, shape (4, charger operators); column 0 is their identity."""
        table = state.reshape(4, -1)
        return np.asarray(table if self._is_central else table[:, _SATELLITE].T)


def dephased_exchange(
    register: SpinRegister,
    *,
    coherence_rate_per_s: float,
    repolarisation_per_s: float = 0.0,
    level: float = 0.0,
) -> Generator:
    """Return the generator of ideal exchange with chargers that dephase and repolarise meanwhile.

    Each charger's coherence decays at `coherence_rate_per_s` (Gamma) and its polarisation at
    `repolarisation_per_s` (R1) towards `level` (spin label, units of eps).  The battery does not
    relax.

    Raises
    ------
    ValueError
        Where R1 > 2 Gamma: no spin relaxes so.
    """
    gamma, r1 = coherence_rate_per_s, repolarisation_per_s
    if r1 > 2.0 * gamma:
        raise ValueError(
            f"repolarisation at {r1:.6g} /s needs a coherence decay of at least half of it, but "
            f"that is {gamma:.6g} /s"
        )
    charger = SpinRelaxation(
        t1_s=1.0 / r1 if r1 else np.inf, t2_s=1.0 / gamma if gamma else np.inf, equilibrium=level
    )
    battery = SpinRelaxation(t1_s=np.inf, t2_s=np.inf, equilibrium=0.0)
    pair = (battery, charger) if register.center.role == "battery" else (charger, battery)
    space = StarSpace(register.satellites)
    total = space.exchange(register.coupling_hz.value) + space.relaxation(*pair, "linear")
    total.eliminate_zeros()
    return Generator(total)
