"""The ChargingCurve: the one type in which prediction and measurement meet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmrqb.battery.energy import (
    NMR_ENERGY_UNIT,
    PSEUDO_PURE_ENERGY_UNIT,
    ergotropy_upper_limit,
    incoherent_ergotropy,
    stored_energy,
)

Array = NDArray[np.float64]
Start = Literal["pure", "pseudo-pure", "thermal"]
ErgotropyKind = Literal["collective", "local", "incoherent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingCurve:
    """Energy and ergotropy of a battery against time.

    Attributes
    ----------
    times : ndarray, shape (points,)
    time_unit : {"s", "model"}
    cycles : ndarray of int, shape (points,), or None
        Charging cycles done at each point.
    magnetisation : ndarray, shape (points,), or None
        r_z in units of eps, energy label: negative = charged.
    energy, ergotropy : ndarray, shape (points,)
        In `energy_unit`.
    ergotropy_kind : {"collective", "local", "incoherent"}
    energy_stderr, ergotropy_stderr, magnetisation_stderr : ndarray or None
        None for a prediction without errors; NaN entries are withheld: the ergotropy's where it
        is not two standard errors above zero (`ergotropy_upper95` holds there).
    ergotropy_upper95 : ndarray or None
        One-sided 95 % upper limits.
    covariance : ndarray, shape (points, points), or None
        Of the energy.
    scale_error : float
        Relative standard error of a factor common to all points (the reference); part of
        `covariance`.
    start : {"pure", "pseudo-pure", "thermal"}
    provenance : str
    """

    times: Array
    time_unit: Literal["s", "model"]
    energy: Array
    energy_unit: str
    ergotropy: Array
    ergotropy_kind: ErgotropyKind
    start: Start
    provenance: str
    cycles: NDArray[np.int64] | None = None
    magnetisation: Array | None = None
    energy_stderr: Array | None = None
    ergotropy_stderr: Array | None = None
    ergotropy_upper95: Array | None = None
    magnetisation_stderr: Array | None = None
    covariance: Array | None = None
    scale_error: float = 0.0

    def __post_init__(self) -> None:
        points = len(np.asarray(self.times))
        if points == 0:
            raise ValueError("a charging curve must hold at least one point")
        optional_nan = ("ergotropy_stderr",)
        for name in (
            "times",
            "energy",
            "ergotropy",
            "magnetisation",
            "energy_stderr",
            "ergotropy_stderr",
            "ergotropy_upper95",
            "magnetisation_stderr",
        ):
            value = getattr(self, name)
            if value is None:
                continue
            array = np.array(value, dtype=np.float64)
            if array.shape != (points,):
                raise ValueError(f"{name} must have shape ({points},), but has {array.shape}")
            if name not in optional_nan and not np.isfinite(array).all():
                raise ValueError(f"{name} must be finite")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if self.covariance is not None:
            matrix = np.array(self.covariance, dtype=np.float64)
            if matrix.shape != (points, points) or not np.isfinite(matrix).all():
                raise ValueError(f"covariance must be finite and of shape ({points}, {points})")
            scale = np.sqrt(np.outer(np.diag(matrix), np.diag(matrix)))
            if (np.diag(matrix) < 0).any() or (abs(matrix - matrix.T) > 1e-9 * scale).any():
                raise ValueError("covariance must be symmetric with a diagonal of at least 0")
            matrix.setflags(write=False)
            object.__setattr__(self, "covariance", matrix)
        if not (math.isfinite(self.scale_error) and self.scale_error >= 0.0):
            raise ValueError(f"scale_error must be at least 0, but is {self.scale_error}")
        if self.cycles is not None:
            cycles = np.array(self.cycles, dtype=np.int64)
            if cycles.shape != (points,):
                raise ValueError(f"cycles must have shape ({points},), but has {cycles.shape}")
            cycles.setflags(write=False)
            object.__setattr__(self, "cycles", cycles)
        if (self.ergotropy < -1e-9).any():
            raise ValueError("ergotropy must be at least 0")

    @classmethod
    def from_magnetisation(
        cls,
        *,
        times: Array,
        r_z: Array,
        start: Start,
        provenance: str,
        cycles: NDArray[np.int64] | None = None,
        covariance: Array | None = None,
        energy_unit: str = NMR_ENERGY_UNIT,
    ) -> ChargingCurve:
        """Build the curve of a battery that was read along z.

        Energy and incoherent ergotropy follow from r_z; transverse polarisation is not in it.

        Parameters
        ----------
        times : ndarray, shape (points,)
            Seconds.
        r_z : ndarray, shape (points,)
            Units of eps, energy label.
        covariance : ndarray, shape (points, points), optional
            Of `r_z`; None for a prediction.
        energy_unit : str
            Where another species than the battery was read.
        """
        r_z = np.asarray(r_z, dtype=np.float64)
        stderr = limit = work_stderr = None
        work = incoherent_ergotropy(r_z)
        if covariance is not None:
            stderr = np.sqrt(np.diag(covariance))
            limit = ergotropy_upper_limit(r_z, stderr)
            work_stderr = np.where(-r_z > 2.0 * stderr, 2.0 * stderr, np.nan)
        return cls(
            times=times,
            time_unit="s",
            cycles=cycles,
            magnetisation=r_z,
            energy=stored_energy(r_z),
            energy_unit=energy_unit,
            ergotropy=work,
            ergotropy_kind="incoherent",
            magnetisation_stderr=stderr,
            energy_stderr=stderr,
            ergotropy_stderr=work_stderr,
            ergotropy_upper95=limit,
            covariance=covariance,
            start=start,
            provenance=provenance,
        )

    @classmethod
    def from_pseudo_pure(
        cls,
        *,
        times: Array,
        r_z: Array,
        batteries: int,
        provenance: str,
        cycles: NDArray[np.int64] | None = None,
        covariance: Array | None = None,
    ) -> ChargingCurve:
        """Build the curve of N qubit batteries from a pseudo-pure start, read along z.

        E = (N/2)(1 - r_z) from the ground level; the ergotropy is the local one of the
        populations, N max(0, -r_z): coherence and correlations between batteries are not in r_z.

        Parameters
        ----------
        times : ndarray, shape (points,)
            Seconds.
        r_z : ndarray, shape (points,)
            Mean over the batteries in units of the pseudo-pure amplitude: 1 is the start.
        batteries : int
            N.
        covariance : ndarray, shape (points, points), optional
            Of `r_z`; None for a prediction.
        """
        r_z = np.asarray(r_z, dtype=np.float64)
        n = batteries
        stderr = limit = work_stderr = spread = None
        if covariance is not None:
            stderr = np.sqrt(np.diag(covariance))
            spread = 0.5 * n * stderr
            limit = 0.5 * n * ergotropy_upper_limit(r_z, stderr)
            work_stderr = np.where(-r_z > 2.0 * stderr, n * stderr, np.nan)
        return cls(
            times=times,
            time_unit="s",
            cycles=cycles,
            magnetisation=r_z,
            energy=0.5 * n * (1.0 - r_z),
            energy_unit=PSEUDO_PURE_ENERGY_UNIT,
            ergotropy=0.5 * n * incoherent_ergotropy(r_z),
            ergotropy_kind="local",
            magnetisation_stderr=stderr,
            energy_stderr=spread,
            ergotropy_stderr=work_stderr,
            ergotropy_upper95=limit,
            covariance=None if covariance is None else (0.5 * n) ** 2 * covariance,
            start="pseudo-pure",
            provenance=provenance,
        )

    @property
    def scaled_energy(self) -> Array:
        """The part of the energy that is proportional to the polarisation, shape (points,).

        What a common factor of all signals multiplies: E itself where it counts from the identity
        level, E - N/2 where it counts from the ground level.
        """
        if self.start == "pseudo-pure" and self.magnetisation is not None:
            fullest = int(np.argmax(np.abs(self.energy)))
            # N/2, from E = (N/2)(1 - r_z) where E is largest
            half = self.energy[fullest] / (1.0 - self.magnetisation[fullest])
            return np.asarray(-half * self.magnetisation)
        return self.energy

    def __str__(self) -> str:
        best = int(np.argmax(self.energy))
        spread = "" if self.energy_stderr is None else f" +- {self.energy_stderr[best]:.2g}"
        return (
            f"charging curve, {len(self.times)} points, {self.times[0]:g} to {self.times[-1]:g} "
            f"{self.time_unit}, start {self.start}\n"
            f"  largest energy {self.energy[best]:.5g}{spread} at {self.times[best]:g} "
            f"{self.time_unit} ({self.energy_unit})\n"
            f"  {self.ergotropy_kind} ergotropy there {self.ergotropy[best]:.5g}"
        )
