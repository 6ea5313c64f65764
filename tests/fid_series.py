"""Series of FIDs with planted lines, multiplets, drifts and noise, made without any fit."""

from dataclasses import dataclass

import numpy as np

from nmrqb.signals.series import Axis, Series

#: one ppm is 100 Hz
CARRIER_HZ = 100e6


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A line or first-order multiplet; hertz, radians."""

    nu: float
    width: float = 2.0
    gaussian: float = 0.0
    intensity: complex = 1.0
    j: float = 0.0
    pattern: tuple = ((0.0, 1.0),)  # (m, weight)

    def fid(self, t):
        fall = np.pi * self.width * t + (np.pi * self.gaussian * t) ** 2 / (4.0 * np.log(2.0))
        lines = sum(w * np.exp(2j * np.pi * m * self.j * t) for m, w in self.pattern)
        return self.intensity * np.exp(2j * np.pi * self.nu * t - fall) * lines


def star(neighbours, spin):
    """Return the pattern of equivalent neighbours, counted state by state."""
    states = np.arange(-spin, spin + 0.5)
    total = np.array(np.meshgrid(*[states] * neighbours)).reshape(neighbours, -1).sum(axis=0)
    m, count = np.unique(total, return_counts=True)
    return tuple(zip(m, count / count.sum(), strict=True))


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What a row has of its own."""

    shift_hz: np.ndarray | float = 0.0
    phase_rad: np.ndarray | float = 0.0
    broadening_hz: np.ndarray | float = 0.0


def series_of(
    amplitudes, lines, *, points=1024, dwell=1e-3, sigma=1.0, seed=0, delay=0.0, phase=0.7,
    moved=None, axis=None,
):  # fmt: skip
    """Return FIDs of lines with signed row amplitudes and white noise of sigma per channel."""
    rng = np.random.default_rng(seed)
    moved = moved or Moved()
    t = (np.arange(points) - delay) * dwell
    shape = np.where(t >= 0, sum(line.fid(t) for line in lines), 0.0)
    amplitudes = np.asarray(amplitudes, float)
    rows = np.ones(len(amplitudes))
    angle = 2 * np.pi * np.outer(rows * moved.shift_hz, t) + (rows * moved.phase_rad)[:, None]
    fall = np.pi * np.outer(rows * moved.broadening_hz, t)
    fids = amplitudes[:, None] * shape * np.exp(1j * (phase + angle) - fall)
    fids = fids + sigma * (rng.normal(size=fids.shape) + 1j * rng.normal(size=fids.shape))
    values = np.arange(len(amplitudes), dtype=float) if axis is None else axis
    return Series(
        fids=fids, dwell_s=dwell, time_origin_s=delay * dwell, carrier_hz=CARRIER_HZ,
        carrier_ppm=0.0, nucleus="13C", scans=np.ones(len(amplitudes), int), reference_row=0,
        axis=Axis(name="delay", unit="s", values=values, source="test"),
    )  # fmt: skip
