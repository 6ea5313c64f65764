"""The writer of Bruker data sets: simulated series, read back by the reader of measured ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nmrqb.errors import one_line
from nmrqb.files.vendors.bruker_axis import LISTS
from nmrqb.signals.series import Series


def write_bruker(
    folder: Path, series: Series, *, list_kind: str, register_name: str, title: str
) -> None:
    """Write a simulated series as a Bruker pseudo-2D data set that nmrglue and TopSpin read.

    The points are rounded to int32 after a common scaling by a power of two, which NC takes back,
    that uses 23 to 24 bits.

    Parameters
    ----------
    folder : Path
        The experiment folder, which must not exist.
    series : Series
        With ``time_origin_s`` 0: the simulated receiver has no digital filter.
    list_kind : {"vd", "vc"}
        The list that holds the axis.
    register_name, title : str
        Written as annotation and title, on one line each.
    """
    if series.time_origin_s != 0.0:
        raise ValueError("a simulated series starts at time 0")
    folder.mkdir(parents=True)
    points = series.points
    peak = float(np.abs(series.fids.view(np.float64)).max())
    # beyond 2^64 of what was received the reader would refuse NC
    exponent = int(np.clip(np.ceil(np.log2(peak)) - 23.0, -64.0, 64.0))
    scaled = np.rint(series.fids.view(np.float64) * 2.0**-exponent)
    row_numbers = -(-points * 2 * 4 // 1024) * 256
    padded = np.zeros((series.rows, row_numbers), dtype="<i4")
    padded[:, : 2 * points] = scaled.astype("<i4")
    (folder / "ser").write_bytes(padded.tobytes())
    reference_mhz = series.reference_hz / 1e6
    listed = LISTS[list_kind]
    common = {"BF1": reference_mhz, "NUC1": f"<{series.nucleus}>", "SFO1": series.carrier_hz / 1e6}
    acqus: dict[str, Any] = common | {
        "AQ_mod": 3,
        "BYTORDA": 0,
        "DECIM": 1,
        "DIGMOD": 0,
        "DSPFVS": 0,
        "DTYPA": 0,
        "GRPDLY": 0,
        "NC": exponent,
        "NS": int(series.scans[0]),
        "O1": series.carrier_hz - series.reference_hz,
        "PULPROG": "<nmrqb_simulated>",
        "RG": series.gain,
        "SW": series.spectral_width_hz / (series.carrier_hz / 1e6),
        "SW_h": series.spectral_width_hz,
        "TD": 2 * points,
        listed.key: "<nmrqb>",
    }
    acqu2s: dict[str, Any] = common | {"FnMODE": 1, "SW_h": 1.0, "TD": series.rows}
    procs = {"SF": reference_mhz, "SI": points}
    for name, table in (("acqus", acqus), ("acqu", acqus), ("acqu2s", acqu2s), ("acqu2", acqu2s)):
        _write_parameters(folder / name, table)
    (folder / "pdata" / "1").mkdir(parents=True)
    _write_parameters(folder / "pdata" / "1" / "procs", procs)
    (folder / "pdata" / "1" / "title").write_text(one_line(title) + "\n", encoding="utf-8")
    lines = [
        "; simulated by nmrqb: this is no pulse program, only what the reader needs to know",
        f";@ axis: {one_line(series.axis.name)}",
        f";@ register: {one_line(register_name)}",
    ]
    if list_kind == "vc" or series.axis.unit == "s":
        digits = (_list_entry(v, list_kind) for v in series.axis.values)
        (folder / listed.file).write_text("".join(f"{d}\n" for d in digits), encoding="utf-8")
        lines.append(f";@ list: {list_kind}")
    else:  # frequencies, rates and numbers are in no list of a console
        values = " ".join(f"{v:.12g}" for v in series.axis.values)
        lines += [f";@ axis_values: {values}", f";@ axis_unit: {one_line(series.axis.unit)}"]
    if series.reference_row is not None:
        lines.append(f";@ reference_row: {series.reference_row}")
    if series.row_times_s is not None:
        times = " ".join(f"{t:.12g}" for t in series.row_times_s)
        lines.append(f";@ row_times_s: {times}")
    (folder / "pulseprogram").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _list_entry(value: float, list_kind: str) -> str:
    return f"{round(value)}" if list_kind == "vc" else f"{value:.9g}s"


def _write_parameters(path: Path, table: dict[str, Any]) -> None:
    def shown(value: object) -> str:
        return f"{value!r}" if isinstance(value, float) else f"{value}"

    lines = ["##TITLE= Parameter file, nmrqb", "##JCAMPDX= 5.0", "##DATATYPE= Parameter Values"]
    lines += [f"##${key}= {shown(table[key])}" for key in sorted(table)]
    path.write_text("\n".join([*lines, "##END=", ""]), encoding="utf-8")
