"""JEOL Delta data (``.jdf``) as a Series.

What nmrglue 0.12 does that we do not rely on: it leaves the delay of the digital filter in the FID
without saying how long it is (here it is the time origin), reads point by point, and takes sizes
from a damaged header.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError, one_line
from nmrqb.files.vendors.axis import axis_from_file, note_order, row_axis
from nmrqb.files.vendors.isotopes import FREQUENCY_RATIOS, isotope_of, observed_nucleus
from nmrqb.files.vendors.jeol_header import (
    COMPLEX,
    REAL,
    REAL_COMPLEX,
    TILE,
    JeolHeader,
    JeolParameters,
    read_header,
)
from nmrqb.files.vendors.raw import checked, checked_points, read_bytes, refuse_contradiction
from nmrqb.signals.series import Axis, Series

#: seconds from 1970 to 1990, where Delta's clock starts
_EPOCH_S = 631152000.0
_SECOND_UNIT = 28


def read_jeol(path: Path, axis_source: str | None = None) -> Series:
    """Read one JEOL Delta file of FIDs.

    Parameters
    ----------
    path : Path
    axis_source : str or None
        A file with one axis value for each row, or ``row``.

    Raises
    ------
    InputError
        Where the file is damaged or contradicts itself, or holds no FIDs.
    """
    data = read_bytes(path)
    header = read_header(path, data)
    parameters = JeolParameters(path, data, header)
    notes: list[str] = []
    fids = checked_points(path, _read_points(path, data, header))
    rows, points = fids.shape
    width = parameters.number("x_sweep", low=1.0, high=1e8)
    span = header.stop[0] - header.start[0]
    last = (points - 1) / width
    refuse_contradiction(
        path, "x_sweep", "its time axis", span, "(points - 1)/x_sweep", last, 1e-5 * last
    )
    reference = parameters.number("x_freq", low=1e5, high=3e9)
    refuse_contradiction(
        path, "x_freq", "x_freq", reference, "that of the header", header.base_mhz[0] * 1e6, 1e3
    )
    offset = parameters.number("x_offset", low=-1e5, high=1e5)
    axis = _axis(path, data, header, rows, axis_source)
    note_order(axis, notes)
    scans = int(parameters.number("scans", low=1, high=2**31, integer=True))
    total = parameters.number("total_scans", float(scans), low=1, high=2**31)
    if total != scans:
        notes.append(f"scans = {scans}, but total_scans = {total:g}: the former is taken")
    started = parameters.number("actual_start_time", 0.0, low=0.0, high=2**33)
    return Series(
        fids=fids,
        dwell_s=1.0 / width,
        time_origin_s=group_delay(parameters, points) / width,
        dead_time_s=dead_time_s(parameters),
        carrier_hz=reference * (1.0 + offset * 1e-6),
        carrier_ppm=offset,
        nucleus=observed_nucleus(
            path,
            "x_domain",
            parameters.text("x_domain"),
            reference,
            _proton_hz(parameters),
            notes,
        ),
        axis=axis,
        scans=np.full(rows, scans),
        gain=parameters.number("recvr_gain", 1.0, low=0.0, high=1e9),
        recorded_unix_s=started + _EPOCH_S if started else None,
        provenance=one_line(f"JEOL {path.name}"),
        warnings=tuple(one_line(note) for note in notes),
    )


def dead_time_s(parameters: JeolParameters) -> float:
    """Return the time from the effective start of the precession to that of the acquisition, s.

    The stated delay, and the part of the pulse in which transverse magnetisation precesses:
    tan(theta/2)/theta of its length (1/2 for small angles, 2/pi for 90 degrees).
    """
    delay = parameters.number("acq_delay", 0.0, low=0.0, high=1.0)
    pulse = parameters.number("x_pulse", 0.0, low=0.0, high=1e6) * 1e-6
    angle = np.radians(parameters.number("x_angle", 0.0, low=0.0, high=1e5))
    share = float(np.tan(angle / 2.0) / angle) if 0.0 < angle <= np.pi / 2.0 else 0.5
    return delay + share * pulse


def group_delay(parameters: JeolParameters, points: int) -> float:
    """Return the delay of the digital filter in points.

    A chain of FIR filters of orders n_i, each followed by decimation by m_i, delays by
    1/2 sum_i (n_i - 1) / prod_(j >= i) m_j points after the last decimation.

    Raises
    ------
    InputError
        Where the two do not describe one chain.
    """
    if parameters.text("digital_filter").upper() == "FALSE":
        return 0.0
    if "orders" not in parameters.table and "factors" not in parameters.table:
        return 0.0
    order, factor = _chain(parameters)
    after = np.cumprod(factor[::-1])[::-1]
    delay = float(0.5 * np.sum((order - 1) / after))
    if "filter_factor" in parameters.table:
        stated = parameters.number("filter_factor", low=0, high=2**20)
        if stated > 1:
            refuse_contradiction(
                parameters.path,
                "factors",
                "the product of factors",
                float(after[0]),
                "filter_factor",
                stated,
                0.0,
            )
    return checked(parameters.path, "orders", delay, 0.0, points - 16.0)


def _chain(parameters: JeolParameters) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the orders and decimations of the filters: ``"2 54 73"``, ``"25473"`` and ``"82"``."""
    texts = []
    for key in ("orders", "factors"):
        value = parameters.table.get(key, "")
        texts.append(f"{value:.0f}" if isinstance(value, float) else value)
    words, factors = texts[0].split(), texts[1].split()
    if len(words) == 1 and words[0].isdigit():
        stages, rest = int(words[0][0]), words[0][1:]
        digits = len(rest) // stages if stages else 0
        words = [words[0][0], *(rest[k * digits : (k + 1) * digits] for k in range(stages))]
        if digits * stages != len(rest):
            words = []
    if len(factors) == 1:
        factors = list(factors[0])
    sound = all(w.isascii() and w.isdigit() and len(w) < 6 for w in (*words, *factors))
    if not (sound and words and len(words) == 1 + int(words[0]) == 1 + len(factors) > 1):
        raise InputError(
            f"orders = {texts[0][:20]!r} and factors = {texts[1][:20]!r} do not describe one chain "
            "of filters",
            file=str(parameters.path),
            key="orders",
            value=texts[0][:20],
        )
    return (
        np.array([int(w) for w in words[1:]], dtype=np.int64),
        np.array([int(w) or 10 for w in factors], dtype=np.int64),
    )


def _read_points(path: Path, data: bytes, header: JeolHeader) -> NDArray[np.complex128]:
    """Return the FIDs, shape (rows, points)."""
    if header.units[0] != _SECOND_UNIT:
        raise InputError("its points are not over time: it holds a spectrum", file=str(path))
    dimensions = header.dimensions
    kinds = header.axis_types[:2]
    if dimensions not in (1, 2) or (dimensions == 2 and header.format not in TILE):
        raise InputError(
            f"holds data of {dimensions} dimensions in format {header.format}: only FIDs and "
            "series of FIDs are read",
            file=str(path),
        )
    if kinds[0] not in (COMPLEX, REAL_COMPLEX) or (
        dimensions == 2 and kinds[1] not in (REAL, REAL_COMPLEX)
    ):
        raise InputError(
            "is no series of complex FIDs (kinds of axes "
            f"{', '.join(str(k) for k in header.axis_types[:dimensions])})",
            file=str(path),
        )
    x, y = header.points[0], header.points[1] if dimensions == 2 else 1
    checked(path, "points", x, 32, 2**28)
    checked(path, "rows", y, 1, 2**20)
    kind = header.byte_order + ("f4" if header.is_float32 else "f8")
    count = 2 * x * y
    need = count * np.dtype(kind).itemsize
    if header.data_length != need or header.data_start + need > len(data):
        raise InputError(
            f"is truncated or damaged: {y} rows of {x} points need {need} bytes from byte "
            f"{header.data_start}, stated are {header.data_length}, and it has {len(data)} in all",
            file=str(path),
            value=len(data),
        )
    if header.total_size not in (0, len(data)):
        raise InputError(
            f"is {len(data)} bytes long, but its header says {header.total_size}",
            file=str(path),
            value=len(data),
            limit=f"{header.total_size} bytes",
        )
    end = header.data_start + need
    after = header.context_start if header.context_length else header.total_size
    if after and not 0 <= after - end < 64:  # sections may begin at multiples of 64
        raise InputError(
            f"its points would end at byte {end}, but what follows begins at {after}",
            file=str(path),
            key="data_start",
            value=header.data_start,
        )
    sections = np.frombuffer(data, kind, count, header.data_start).reshape(2, -1)
    if dimensions == 2:
        edge = TILE[header.format]
        if x % edge or y % edge:
            raise InputError(f"its sizes are no multiples of {edge}", file=str(path))
        tiles = sections.reshape(2, y // edge, x // edge, edge, edge)
        planes = tiles.transpose(0, 1, 3, 2, 4).reshape(2, y, x)
    else:
        planes = sections.reshape(2, 1, x)
    with np.errstate(all="ignore"):
        fids = planes[0].astype(np.float64) - 1j * planes[1].astype(np.float64)
    return np.ascontiguousarray(fids[_used(path, header, 1, y), _used(path, header, 0, x)])


def _used(path: Path, header: JeolHeader, axis: int, size: int) -> slice:
    first, last = header.first[axis], header.last[axis]
    if not 0 <= first <= last < size:
        raise InputError(
            f"uses points {first} to {last} of {size} along axis {axis + 1}",
            file=str(path),
            key="data_offset",
        )
    return slice(first, last + 1)


def _axis(path: Path, data: bytes, header: JeolHeader, rows: int, axis_source: str | None) -> Axis:
    if axis_source == "row":
        return row_axis(rows)
    if axis_source is not None:
        return axis_from_file(Path(axis_source), rows)
    if header.dimensions == 1:
        return Axis(name="row", unit="", values=np.zeros(1), source="a single FID")
    is_time = header.units[1] == _SECOND_UNIT
    scale = 10.0 ** (-3 * header.unit_powers[1])  # 1 is milli, 2 micro
    if header.listed[1]:
        start, length = header.list_start[1], header.list_length[1]
        if length % 8 or length // 8 < rows or start + length > len(data):
            raise InputError(
                f"its list of axis values has {length} bytes for {rows} rows: say --axis FILE",
                file=str(path),
                key="axis",
            )
        values = np.frombuffer(data, header.byte_order + "f8", rows, start).astype(np.float64)
        source = "list of the file"
    else:
        values = np.linspace(header.start[1], header.stop[1], rows)
        source = "range of the file"
    if not np.isfinite(values).all():
        raise InputError("its axis holds NaN or infinity", file=str(path), key="axis")
    return Axis(
        name="delay" if is_time else "row",
        unit="s" if is_time else "",
        values=values * scale if is_time else values,
        source=source,
    )


def _proton_hz(parameters: JeolParameters) -> float | None:
    """Return the proton frequency by the other channel, else by the field."""
    other = isotope_of(parameters.text("irr_domain"))
    if other is not None and isotope_of(parameters.text("x_domain")) != other:
        frequency = parameters.number("irr_freq", 0.0, low=0.0, high=3e9)
        if frequency:
            return frequency / (FREQUENCY_RATIOS[other] / 100.0)
    tesla = parameters.number("field_strength", 0.0, low=0.0, high=50.0)
    return tesla * 42.577478e6 or None
