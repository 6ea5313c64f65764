"""Spectra of a series: one row for each FID."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmrqb.signals.series import Axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """Spectra per scan, frequencies rising.

    Attributes
    ----------
    frequency_hz : ndarray, shape (bins,)
        Offsets from the carrier, evenly spaced.
    values : ndarray of complex, shape (rows, bins)
        Fourier integrals per scan: twice the real sum over a line times the spacing of the bins is
        its amplitude at time 0.
    noise : float
        Sigma of one channel of one point of one scan.
    weights : ndarray, shape (points,)
        What every point of the FID was multiplied by before the transform, s.
    carrier_ppm, reference_hz : float
        Chemical shift at the carrier; frequency at 0 ppm.
    nucleus : str
    axis : Axis
    scans : ndarray of int, shape (rows,)
    history : tuple of str
        What was done, in order.
    """

    frequency_hz: NDArray[np.float64]
    values: NDArray[np.complex128]
    noise: float
    weights: NDArray[np.float64]
    carrier_ppm: float
    reference_hz: float
    nucleus: str
    axis: Axis
    scans: NDArray[np.int64]
    history: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.complex128)
        frequency = np.array(self.frequency_hz, dtype=np.float64)
        if values.ndim != 2 or frequency.shape != values.shape[1:] or len(frequency) < 2:
            raise ValueError(
                f"values must have shape (rows, bins) with {len(frequency)} bins, but has "
                f"{values.shape}"
            )
        if not np.isfinite(values).all():
            raise ValueError("values must be finite")
        if not (np.diff(frequency) > 0.0).all():
            raise ValueError("frequency_hz must rise")
        for name, array in (("values", values), ("frequency_hz", frequency)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def rows(self) -> int:
        """Number of spectra."""
        return len(self.values)

    @property
    def spacing_hz(self) -> float:
        """Distance of the bins."""
        return float(self.frequency_hz[1] - self.frequency_hz[0])

    @property
    def ppm(self) -> NDArray[np.float64]:
        """Chemical shifts of the bins, shape (bins,)."""
        return np.asarray(self.carrier_ppm + self.frequency_hz / self.reference_hz * 1e6)

    def __str__(self) -> str:
        ends = self.ppm[[0, -1]]
        text = (
            f"{self.rows} spectra of {len(self.frequency_hz)} bins, {self.nucleus}, "
            f"{ends[0]:.4g} to {ends[1]:.4g} ppm"
        )
        return "\n".join([text, *(f"  {step}" for step in self.history)])
