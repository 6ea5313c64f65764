"""The writer of Core Scientific Dataset files (CSDM 1.0).

References
----------
D. J. Srivastava et al., PLoS ONE 15, e0225953 (2020).
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from nmrqb.files.vendors.csdm import APPLICATION
from nmrqb.signals.series import Axis, Series


def write_csdm(path: Path, series: Series) -> None:
    """Write a series as one CSDM file; every number is kept as it is."""
    reference = series.reference_hz
    time: dict[str, Any] = {
        "type": "linear",
        "count": series.points,
        "increment": f"{series.dwell_s:.17g} s",
        "coordinates_offset": f"{-series.time_origin_s:.17g} s",
        "quantity_name": "time",
        "label": "acquisition",
        "reciprocal": {
            "coordinates_offset": f"{series.carrier_hz - reference:.17g} Hz",
            "origin_offset": f"{reference:.17g} Hz",
            "quantity_name": "frequency",
            "label": f"{series.nucleus} frequency",
        },
    }
    dimensions = [time]
    if series.rows > 1:
        dimensions.append(_dimension(series.axis))
    values = np.ascontiguousarray(series.fids, dtype="<c16")
    model = {
        "version": "1.0",
        "description": series.provenance,
        "dimensions": dimensions,
        "dependent_variables": [
            {
                "type": "internal",
                "name": series.nucleus,
                "quantity_type": "scalar",
                "numeric_type": "complex128",
                "encoding": "base64",
                "components": [base64.b64encode(values.tobytes()).decode("ascii")],
            }
        ],
        "application": {
            APPLICATION: {
                "nucleus": series.nucleus,
                "scans": series.scans.tolist(),
                "gain": series.gain,
                "dead_time": series.dead_time_s,
            }
        },
    }
    path.write_text(json.dumps({"csdm": model}, allow_nan=False) + "\n", encoding="utf-8")


def _dimension(axis: Axis) -> dict[str, Any]:
    texts = [f"{value:.17g} {axis.unit}".strip() for value in axis.values]
    steps = np.diff(axis.values)
    if (steps > 0.0).all() or (steps < 0.0).all():
        return {"type": "monotonic", "coordinates": texts, "label": axis.name}
    return {"type": "labeled", "labels": texts, "label": axis.name}
