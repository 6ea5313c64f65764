"""The writer of NMRPipe files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nmrqb.files.vendors.nmrpipe import HEADER_BYTES, LABEL_BYTES, ORDER, POSITIONS
from nmrqb.signals.series import Series

#: the number 0xeeeeeeee that says "IEEE" in FDFLTFORMAT
_IEEE = np.array([0xEEEEEEEE], dtype="<u4").view("<f4")[0]


def write_nmrpipe(path: Path, series: Series) -> None:
    """Write a series as one NMRPipe file, its axis beside it as ``NAME.axis``."""
    rows, points = series.fids.shape
    observed = series.reference_hz / 1e6
    width, ppm = series.spectral_width_hz, series.carrier_ppm
    delay = series.time_origin_s / series.dwell_s
    header = np.zeros(HEADER_BYTES // 4, dtype="<f4")
    values = {
        "FDFLTFORMAT": _IEEE,
        "FDFLTORDER": ORDER,
        "FDDIMCOUNT": 1 if rows == 1 else 2,
        "FDDIMORDER1": 2,
        "FDDIMORDER2": 1,
        "FDDIMORDER3": 3,
        "FDDIMORDER4": 4,
        "FDDMXVAL": delay,
        "FDDMXFLAG": -1 if delay else 0,  # the correction is still to be made
        "FDF1QUADFLAG": 1,  # the rows are no pairs
        "FDF2CAR": ppm,
        "FDF2CENTER": points // 2 + 1,
        "FDF2APOD": points,
        "FDSIZE": points,
        "FDF2SW": width,
        "FDF2ORIG": ppm * observed - width * (0.5 * points - 1.0) / points,
        "FDF2OBS": observed,
        "FDF1OBS": observed,
        "FDF1SW": 1.0,
        "FDSPECNUM": rows,
        "FDF2TDSIZE": points,
        "FDFILECOUNT": 1,
    }
    for name, value in values.items():
        header[POSITIONS[name]] = value
    raw = bytearray(header.tobytes())
    label = series.nucleus.encode("ascii", "replace")[:8]
    raw[LABEL_BYTES : LABEL_BYTES + len(label)] = label
    planes = np.stack([series.fids.real, series.fids.imag], axis=1).astype("<f4")
    path.write_bytes(bytes(raw) + planes.tobytes())
    axis = series.axis
    lines = [f"# {axis.name.replace(',', ' ')}, {axis.unit or '1'}"]
    lines += [f"{value:.17g}" for value in axis.values]
    path.with_suffix(".axis").write_text("\n".join(lines) + "\n", encoding="utf-8")
