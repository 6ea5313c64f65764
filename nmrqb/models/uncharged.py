"""A star without drive or without coupling: the batteries stay empty, exactly and for all times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.ergotropy import Sector
from nmrqb.models.damped import ModeSum, damped_oscillator
from nmrqb.models.rates import Kind
from nmrqb.models.solvers import Moment

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Uncharged:
    """A resonant star, from empty, with F = 0 or g = 0; only its charger may move."""

    batteries: int
    battery: Kind
    charger: Kind
    drive: float
    dephasing: float

    @property
    def description(self) -> str:
        """Which engine this is and why it ran."""
        return "closed form: without drive or coupling nothing reaches the batteries"

    def excitations(self, times: Array) -> Array:
        """Return zeros."""
        return np.zeros(len(times))

    def largest_eigenvalues(self, times: Array) -> Array | None:
        """Return ones: the state is pure."""
        return np.ones(len(times))

    def _charger(self, times: Array) -> Array:
        f, rate = self.drive, self.dephasing / 2.0
        if f == 0.0:
            return np.zeros(len(times))
        if self.charger == "qubit":
            return (1.0 - damped_oscillator(np.array(2.0 * f), self.dephasing, times)) / 2.0
        if rate == 0.0:
            return (f * times) ** 2
        # d<a>/dt = -i F - rate <a>, dn/dt = -2 F Im <a>; t + expm1(-x)/rate = t (x/2 - x^2/6 ...)
        x = rate * times
        early = x**2 / 2.0 - x**3 / 6.0 + x**4 / 24.0
        return 2.0 * (f / rate) ** 2 * np.where(x < 1e-3, early, x + np.expm1(-x))

    def _moment(self, charger: float) -> Moment:
        levels = self.batteries + 1 if self.battery == "qubit" else 2
        rho = np.zeros((levels, levels))
        rho[0, 0] = 1.0
        sector = Sector(matrix=rho, excitations=np.arange(levels))
        return Moment(sectors=(sector,), battery=0.0, charger=charger)

    def moments(self, times: Array) -> Iterator[Moment]:
        """Yield the empty battery at each time."""
        for charger in self._charger(times):
            yield self._moment(float(charger))

    def steady(self) -> Moment:
        """Return the empty battery.

        Raises
        ------
        ValueError
            For a driven charger that never settles.
        """
        if self.drive == 0.0:
            return self._moment(0.0)
        if self.charger == "oscillator" or self.dephasing == 0.0:
            raise ValueError(
                "the batteries stay empty, but their driven charger has no steady state: it "
                + ("turns for ever" if self.charger == "qubit" else "gains energy for ever")
            )
        return self._moment(0.5)

    def modes(self) -> ModeSum:
        """Return no modes."""
        none = np.zeros(0)
        return ModeSum(final=0.0, amplitudes=none, frequencies=none, dephasing=self.dephasing)

    def drive_quanta(self, times: Array) -> Array:
        """Return the charger's quanta: all that the drive has put in."""
        return self._charger(times)

    def interaction(self, times: Array) -> tuple[Array, Array]:
        """Return zeros: the charger's coherence is imaginary."""
        return np.zeros(len(times)), np.zeros(len(times))
