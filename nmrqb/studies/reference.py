"""The thermal reference of a charging measurement: a row of it, or a data set of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from nmrqb.analysis.calibration import ReferenceConditions, ReferenceFactor, reference_factor
from nmrqb.errors import InputError
from nmrqb.files.toml import read_noun
from nmrqb.files.vendors import read_series
from nmrqb.signals.series import Axis, Series
from nmrqb.spins.register import SpinRegister

SCHEMA = "nmrqb/reference/1"


def with_reference(
    file: str, series: Series, reference: str | None, conditions: ReferenceConditions
) -> Series:
    """Return the series with its thermal reference as `reference_row`.

    Parameters
    ----------
    file : str
        Of the series, for messages.
    series : Series
    reference : str or None
        ``row:K``, or a data set of its own, whose FID becomes row 0; None: as the data set says.
    conditions : ReferenceConditions

    Raises
    ------
    InputError
        Where there is none, or it was not recorded by the same receiver settings.
    """
    if reference is None:
        if series.reference_row is None:
            raise InputError(
                "the data set does not say which row is the thermal reference: say row:K, or give "
                "its data set",
                file=file,
                key="--reference",
            )
        return series
    prefix, colon, digits = reference.partition(":")
    if prefix == "row" and colon:
        if not (digits.isascii() and digits.isdigit() and int(digits) < series.rows):
            raise InputError(
                f"must be row:K with K from 0 to {series.rows - 1}, or a data set, but is "
                f"{reference!r}",
                file=file,
                key="--reference",
                value=reference,
            )
        return replace(series, reference_row=int(digits))
    return _joined(series, read_series(reference), reference, conditions)


def read_conditions(path: str | None) -> ReferenceConditions:
    """Read how the reference was recorded; without a file like the rows, and fully relaxed."""
    if path is None:
        return ReferenceConditions()
    return read_noun(ReferenceConditions, Path(path), SCHEMA)


def factor_of(
    conditions: ReferenceConditions, register: SpinRegister, where: str | None
) -> ReferenceFactor:
    """Return the factor of a reference, or refuse it with the reason.

    Raises
    ------
    InputError
        Where the Overhauser effect of the reference is not known or leaves nothing of it.
    """
    try:
        return reference_factor(conditions, register)
    except ValueError as error:
        raise InputError(str(error), file=where, key="decoupling") from None


def _check_gain(
    series: Series, reference_gain: float, conditions: ReferenceConditions, name: str
) -> None:
    """Refuse a reference of another receiver gain whose ratio was not measured.

    Gains are steps of a receiver, linear or in decibels by vendor, and not exact.
    """
    if np.isclose(series.gain, reference_gain, rtol=1e-6) or conditions.gain_ratio != 1.0:
        return
    raise InputError(
        f"was recorded at receiver gain {reference_gain:g}, the rows at {series.gain:g}: steps of "
        "a receiver are not exact; record both at one gain, or measure the ratio and state it as "
        "`gain_ratio`",
        file=name,
        key="--reference",
    )


def _joined(
    series: Series, reference: Series, name: str, conditions: ReferenceConditions
) -> Series:
    """Return the series with the reference's FID as row 0."""
    row = reference.reference_row if reference.reference_row is not None else 0
    if reference.rows != 1 and reference.reference_row is None:
        raise InputError(
            f"holds {reference.rows} rows and does not say which is the thermal reference",
            file=name,
            key="--reference",
        )
    for words, here, there in (
        ("nucleus", series.nucleus, reference.nucleus),
        (
            "spectral width",
            f"{series.spectral_width_hz:.6g} Hz",
            f"{reference.spectral_width_hz:.6g} Hz",
        ),
        ("group delay", f"{series.time_origin_s:.6g} s", f"{reference.time_origin_s:.6g} s"),
        ("dead time", f"{series.dead_time_s:.6g} s", f"{reference.dead_time_s:.6g} s"),
        ("carrier", f"{series.carrier_hz / 1e6:.7f} MHz", f"{reference.carrier_hz / 1e6:.7f} MHz"),
    ):
        if here != there:
            raise InputError(
                f"has another {words} than the rows ({there} against {here}): its line has another "
                "shape or phase there, so that it sets no scale",
                file=name,
                key="--reference",
            )
    _check_gain(series, reference.gain, conditions, name)
    points = min(series.points, reference.points)
    received = 2.0 ** (reference.stored_exponent - series.stored_exponent)
    own = received * reference.fids[row : row + 1, :points]
    fids = np.vstack([own, series.fids[:, :points]])
    times = series.row_times_s
    axis = series.axis
    return replace(
        series,
        fids=fids,
        scans=np.concatenate([reference.scans[row : row + 1], series.scans]),
        axis=Axis(
            name=axis.name,
            unit=axis.unit,
            values=np.concatenate([[0.0], axis.values]),
            source=axis.source,
        ),
        row_times_s=None if times is None else np.concatenate([[0.0], times]),
        unphased_rows=tuple(k + 1 for k in series.unphased_rows),
        reference_row=0,
        warnings=(*series.warnings, *reference.warnings),
        provenance=f"{series.provenance}, reference {reference.provenance}",
    )
