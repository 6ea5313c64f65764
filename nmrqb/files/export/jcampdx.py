"""The writer of JCAMP-DX files: a block of FID for each row, in plain numbers (AFFN)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import one_line
from nmrqb.signals.series import Series

_PER_LINE = 8


def write_jcampdx(path: Path, series: Series) -> None:
    """Write a series as JCAMP-DX 5.01: one file, one NTUPLES block for each row."""
    blocks = [_block(series, row) for row in range(series.rows)]
    if series.rows > 1:
        head = [
            f"##TITLE= {_title(series)}",
            "##JCAMP-DX= 5.01",
            "##DATA TYPE= LINK",
            f"##BLOCKS= {series.rows}",
        ]
        blocks = ["\n".join(head) + "\n", *blocks, "##END=\n"]
    path.write_text("".join(blocks), encoding="utf-8")


def _title(series: Series) -> str:
    return one_line(series.provenance).replace("$$", "") or "series"


def _block(series: Series, row: int) -> str:
    fid, points = series.fids[row], series.points
    largest = float(np.abs(fid.view(np.float64)).max())
    # whole numbers within 31 bits are written as they are
    whole = largest < 2**31 and bool((fid.view(np.float64) == np.rint(fid.view(np.float64))).all())
    factor = 1.0 if whole else (largest / (2**31 - 1) or 1.0)
    parts = {s: np.rint(v / factor).astype(np.int64) for s, v in (("R", fid.real), ("I", fid.imag))}
    last = (points - 1) * series.dwell_s

    def columns(time: float, page: int, ends: Callable[[NDArray[np.int64]], int]) -> str:
        values = [f"{factor * int(ends(parts[s])):.17g}" for s in "RI"]
        return ", ".join([f"{time:.17g}", *values, str(page)])

    records = [
        f"##TITLE= {_title(series)}, row {row}",
        "##JCAMP-DX= 5.01",
        "##DATA TYPE= NMR FID",
        "##DATA CLASS= NTUPLES",
        "##ORIGIN= nmrqb",
        "##OWNER= unknown",
        f"##.OBSERVE FREQUENCY= {series.carrier_hz / 1e6:.17g}",
        f"##.OBSERVE NUCLEUS= ^{series.nucleus}",
        "##.ACQUISITION MODE= SIMULTANEOUS",
        f"##.AVERAGES= {int(series.scans[row])}",
        f"##$SF= {series.reference_hz / 1e6:.17g}",
        f"##$SW_h= {series.spectral_width_hz:.17g}",
        f"##$GRPDLY= {series.time_origin_s / series.dwell_s:.17g}",
        f"##$DEADTIME= {series.dead_time_s:.17g}",
        f"##$RG= {series.gain:.17g}",
        f"##$AXISNAME= {one_line(series.axis.name)}",
        f"##$AXISUNIT= {series.axis.unit}",
        f"##$AXISVALUE= {series.axis.values[row]:.17g}",
        "##NTUPLES= NMR FID",
        "##VAR_NAME= TIME, FID/REAL, FID/IMAG, PAGE NUMBER",
        "##SYMBOL= X, R, I, N",
        "##VAR_TYPE= INDEPENDENT, DEPENDENT, DEPENDENT, PAGE",
        "##VAR_FORM= AFFN, AFFN, AFFN, AFFN",
        f"##VAR_DIM= {points}, {points}, {points}, 2",
        "##UNITS= SECONDS, ARBITRARY UNITS, ARBITRARY UNITS, ",
        f"##FIRST= {columns(0.0, 1, lambda v: v[0])}",
        f"##LAST= {columns(last, 2, lambda v: v[-1])}",
        f"##MIN= {columns(0.0, 1, np.min)}",
        f"##MAX= {columns(last, 2, np.max)}",
        f"##FACTOR= {series.dwell_s:.17g}, {factor:.17g}, {factor:.17g}, 1",
    ]
    for page, symbol in ((1, "R"), (2, "I")):
        records += [f"##PAGE= N={page}", f"##DATA TABLE= (X++({symbol}..{symbol})), XYDATA"]
        records += _lines(parts[symbol])
    return "\n".join([*records, "##END NTUPLES= NMR FID", "##END=", ""])


def _lines(values: NDArray[np.int64]) -> list[str]:
    texts = [str(v) for v in values.tolist()]
    return [f"{k} {' '.join(texts[k : k + _PER_LINE])}" for k in range(0, len(texts), _PER_LINE)]
