"""A series of free induction decays with its array axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The array axis of a series: what was changed from row to row.

    Attributes
    ----------
    name : str
        ``"delay"``, ``"cycles"``, ...
    unit : str
        ``"s"`` for times, ``""`` for counts.
    values : ndarray, shape (rows,)
    source : str
        Where the values were found.
    """

    name: str
    unit: str
    values: NDArray[np.float64]
    source: str

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        if values.ndim != 1 or not np.isfinite(values).all():
            raise ValueError("axis values must be a list of finite numbers")
        values.setflags(write=False)
        object.__setattr__(self, "values", values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Free induction decays of one nucleus, one row per value of the array axis.

    A line at offset nu (Hz, positive towards higher ppm) is exp(+2 pi i nu t) in every row,
    whatever the vendor's convention.  The time of point k is ``k * dwell_s - time_origin_s +
    dead_time_s``: the group delay of a digital filter is kept as a time origin and never cut off.

    Attributes
    ----------
    fids : ndarray of complex, shape (rows, points)
        In the receiver's units, as recorded.
    dwell_s : float
        Time between complex points.
    time_origin_s : float
        Group delay of the receiver: time from the first stored point to the one that shows the
        start of the acquisition, >= 0.
    dead_time_s : float
        Time from the pulse to the start of the acquisition, where the data set states it.
    carrier_hz : float
        Frequency of the carrier.
    carrier_ppm : float
        Chemical shift at the carrier (zero offset).
    nucleus : str
    axis : Axis
    scans : ndarray of int, shape (rows,)
    gain : float
        Receiver gain, common to all rows.
    stored_exponent : int
        `fids` times 2^this are what was received (NC of Bruker): for comparing data sets.
    reference_row : int or None
        The row that holds the thermal reference.
    unphased_rows : tuple of int
        Rows whose receiver phase against the others is not known: their signed amplitudes mean
        nothing.
    row_times_s : ndarray, shape (rows,), or None
        Charging time of each row, where the data set states it.
    regions_ppm : tuple of (low, high)
        Integral regions that came with the data.
    recorded_unix_s : float or None
        When it was recorded, seconds since 1970, where the data set states it.
    provenance : str
    warnings : tuple of str
        What the reader noticed.
    """

    fids: NDArray[np.complex128]
    dwell_s: float
    time_origin_s: float
    carrier_hz: float
    carrier_ppm: float
    nucleus: str
    axis: Axis
    scans: NDArray[np.int64]
    gain: float = 1.0
    stored_exponent: int = 0
    dead_time_s: float = 0.0
    reference_row: int | None = None
    unphased_rows: tuple[int, ...] = ()
    row_times_s: NDArray[np.float64] | None = None
    regions_ppm: tuple[tuple[float, float], ...] = ()
    recorded_unix_s: float | None = None
    provenance: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        fids = np.array(self.fids, dtype=np.complex128)
        scans = np.array(self.scans, dtype=np.int64)
        if fids.ndim != 2 or 0 in fids.shape:
            raise ValueError(f"fids must have shape (rows, points), but has {fids.shape}")
        if not np.isfinite(fids).all():
            raise ValueError("fids must be finite, but hold NaN or infinity")
        if len(self.axis.values) != len(fids) or scans.shape != (len(fids),):
            raise ValueError(
                f"axis and scans must have one value for each of {len(fids)} rows, but have "
                f"{len(self.axis.values)} and {scans.size}"
            )
        if not (np.isfinite(self.dwell_s) and self.dwell_s > 0.0):
            raise ValueError(f"dwell_s must be positive, but is {self.dwell_s} s")
        if not (np.isfinite(self.time_origin_s) and self.time_origin_s >= 0.0):
            raise ValueError(f"time_origin_s must be at least 0 s, but is {self.time_origin_s} s")
        if not (np.isfinite(self.dead_time_s) and self.dead_time_s >= 0.0):
            raise ValueError(f"dead_time_s must be at least 0 s, but is {self.dead_time_s} s")
        if not (np.isfinite(self.carrier_hz) and self.carrier_hz > 0.0):
            raise ValueError(f"carrier_hz must be positive, but is {self.carrier_hz} Hz")
        if (scans < 1).any():
            raise ValueError("scans must be at least 1 in every row")
        if self.reference_row is not None and not 0 <= self.reference_row < len(fids):
            raise ValueError(
                f"reference_row must be 0 to {len(fids) - 1}, but is {self.reference_row}"
            )
        if any(not 0 <= row < len(fids) for row in self.unphased_rows):
            raise ValueError(
                f"unphased_rows must be rows from 0 to {len(fids) - 1}, but are "
                f"{self.unphased_rows}"
            )
        if len(set(self.unphased_rows)) >= len(fids):
            raise ValueError("unphased_rows must leave at least one row")
        if self.row_times_s is not None:
            times = np.array(self.row_times_s, dtype=np.float64)
            if times.shape != (len(fids),) or not np.isfinite(times).all():
                raise ValueError("row_times_s must hold one finite time for each row")
            times.setflags(write=False)
            object.__setattr__(self, "row_times_s", times)
        for array in (fids, scans):
            array.setflags(write=False)
        object.__setattr__(self, "fids", fids)
        object.__setattr__(self, "scans", scans)

    @property
    def rows(self) -> int:
        """Number of FIDs."""
        return len(self.fids)

    @property
    def points(self) -> int:
        """Complex points of each FID."""
        return int(self.fids.shape[1])

    @property
    def spectral_width_hz(self) -> float:
        """1 / dwell_s."""
        return 1.0 / self.dwell_s

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Time of each point from the start of the free precession, shape (points,)."""
        points = np.arange(self.points, dtype=np.float64)
        return np.asarray(
            points * self.dwell_s - self.time_origin_s + self.dead_time_s, dtype=np.float64
        )

    @property
    def reference_hz(self) -> float:
        """Frequency at 0 ppm: one ppm is this many microhertz times 1e6."""
        return self.carrier_hz / (1.0 + self.carrier_ppm * 1e-6)

    def ppm(self, offset_hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return the chemical shift at an offset from the carrier in Hz."""
        offset = np.asarray(offset_hz, dtype=np.float64)
        return np.asarray(self.carrier_ppm + offset / self.reference_hz * 1e6)

    def offset_hz(self, ppm: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return the offset from the carrier in Hz of a chemical shift."""
        shift = np.asarray(ppm, dtype=np.float64)
        return np.asarray((shift - self.carrier_ppm) * self.reference_hz * 1e-6)

    @property
    def first_usable_point(self) -> int:
        """First point after the group delay and the settling of the digital filter."""
        delay = int(np.ceil(self.time_origin_s / self.dwell_s - 1e-9))
        return delay + 10 if delay > 0 else 0

    def __str__(self) -> str:
        values = self.axis.values
        unit = f" {self.axis.unit}" if self.axis.unit else ""
        text = (
            f"series of {self.rows} FIDs of {self.points} points, {self.nucleus}, "
            f"spectral width {self.spectral_width_hz:.6g} Hz at {self.carrier_ppm:.4g} ppm\n"
            f"  axis {self.axis.name}: {values.min():g} to {values.max():g}{unit} "
            f"(from {self.axis.source})"
        )
        if self.reference_row is not None:
            text += f"\n  thermal reference: row {self.reference_row}"
        return "\n".join([text, *(f"  warning: {w}" for w in self.warnings)])
