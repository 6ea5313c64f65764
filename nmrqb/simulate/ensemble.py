"""The sample as an ensemble: RF fields and offsets differ from place to place, signals add."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

from nmrqb.battery.cycle_modes import CycleModes
from nmrqb.quantum.star import Equilibrium
from nmrqb.sequence.events import Event, PulseSequence
from nmrqb.simulate.dynamics import Conditions
from nmrqb.simulate.simulator import SimulatedSequence, StarSimulator
from nmrqb.spins.register import Species, SpinRegister

Array = NDArray[np.float64]


def b1_nodes(spread: float, points: int) -> tuple[Array, Array]:
    """Return relative RF fields and weights: Gauss-Hermite nodes of N(1, spread^2)."""
    if points == 1 or spread == 0.0:
        return np.ones(1), np.ones(1)
    nodes, weights = hermegauss(points)
    return 1.0 + spread * nodes, weights / weights.sum()


def field_offsets(species: Species, points: int) -> Array:
    """Return offsets (Hz) of equal weight that broaden a line from T2 to T2*.

    The middles of `points` equal shares of a Lorentzian of half width (1/T2* - 1/T2)/(2 pi) Hz.
    The heavy ends of the Lorentzian are represented by their medians.
    """
    rate = 1.0 / species.t2_star_s.value - 1.0 / species.t2_s.value
    if points == 1 or rate <= 0.0:
        return np.zeros(points)
    share = (np.arange(points) + 0.5) / points
    return np.asarray(rate / (2.0 * np.pi) * np.tan(np.pi * (share - 0.5)))


def ensemble(
    register: SpinRegister,
    *,
    b1_spread: tuple[float, float] = (0.0, 0.0),
    b1_points: int = 1,
    offset_points: int = 1,
    offset_hz: tuple[float, float] = (0.0, 0.0),
) -> tuple[tuple[float, Conditions], ...]:
    """Return (weight, conditions) of a sample's members.

    Parameters
    ----------
    register : SpinRegister
    b1_spread : tuple (centre, satellites)
        Relative standard deviations; the two channels' fields vary independently.
    b1_points, offset_points : int
        Nodes of each RF field and of the static field.  The static field shifts both species at
        once: the same share of each line, in the direction of gamma, as wide as its own T2*.
    offset_hz : tuple (centre, satellites)
        Of the lines' middles from their transmitters.
    """
    members = []
    offsets = [
        np.sign(s.nucleus.sign) * field_offsets(s, offset_points)
        for s in (register.center, register.satellite)
    ]
    count = len(offsets[0])
    center_nodes, satellite_nodes = (b1_nodes(s, b1_points) for s in b1_spread)
    for c, wc in zip(*center_nodes, strict=True):
        for s, ws in zip(*satellite_nodes, strict=True):
            for oc, os in zip(*offsets, strict=True):
                conditions = Conditions(
                    b1_center=float(c),
                    b1_satellite=float(s),
                    offset_center_hz=offset_hz[0] + float(oc),
                    offset_satellite_hz=offset_hz[1] + float(os),
                )
                members.append((float(wc * ws) / count, conditions))
    return tuple(members)


@dataclass(slots=True)
class EnsembleSimulator:
    """Simulates every member of a sample and adds their signals with their weights.

    The same questions as of one StarSimulator; molecules do not move between members.
    """

    register: SpinRegister
    members: tuple[tuple[float, Conditions], ...]
    equilibrium: Equilibrium = "linear"
    _simulators: list[StarSimulator] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._simulators = [
            StarSimulator(self.register, self.equilibrium, conditions=conditions)
            for _, conditions in self.members
        ]

    @property
    def engine(self) -> str:
        """What computed it."""
        return f"{self._simulators[0].engine}, mean of {len(self.members)} places in the sample"

    def simulate(self, sequence: PulseSequence) -> SimulatedSequence:
        """Return the weighted mean over the sample."""
        results = [s.simulate(sequence) for s in self._simulators]
        weights = np.array([w for w, _ in self.members])
        detected = None
        if results[0].detected is not None:
            vectors = np.array([r.detected for r in results])
            x, y, z = (float(v) for v in weights @ vectors)
            detected = (x, y, z)
        return replace(
            results[0],
            battery_z=weights @ np.array([r.battery_z for r in results]),
            charger_z=weights @ np.array([r.charger_z for r in results]),
            detected=detected,
            engine=self.engine,
        )

    def fixed_point(self, body: tuple[Event, ...], tick_s: float) -> float:
        """Return the mean over the sample of the members' fixed points."""
        points = [s.fixed_point(body, tick_s) for s in self._simulators]
        return float(np.array([w for w, _ in self.members]) @ np.array(points))

    def approach(
        self,
        prepare: tuple[Event, ...],
        first: tuple[Event, ...],
        body: tuple[Event, ...],
        tick_s: float,
    ) -> CycleModes:
        """Return how the mean over the sample approaches its fixed point: all members' modes."""
        found = [s.approach(prepare, first, body, tick_s) for s in self._simulators]
        shares = [w for w, _ in self.members]
        before = [np.array(m.before) * w for w, m in zip(shares, found, strict=True)]
        weights = [m.weights * w for w, m in zip(shares, found, strict=True)]
        return CycleModes(
            limit=sum(w * m.limit for w, m in zip(shares, found, strict=True)),
            before=tuple(np.sum(before, axis=0).tolist()),
            factors=np.concatenate([m.factors for m in found]),
            weights=np.concatenate(weights),
        )
