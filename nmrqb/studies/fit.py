"""Fit a measured data set: read, shared line shapes, a curve for each region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.analysis.intervals import PROFILE, Intervals
from nmrqb.analysis.region_fit import RegionFit
from nmrqb.analysis.series_fit import fit_series
from nmrqb.errors import InputError
from nmrqb.files.vendors import read_series
from nmrqb.signals.series import Series
from nmrqb.studies.charging_fit import ChargingOptions, fit_energies, fit_plan, protocol_model
from nmrqb.studies.fit_models import Model, compare_curves, fit_model
from nmrqb.studies.fit_result import FitResult, RegionResult
from nmrqb.studies.line_options import LineOptions
from nmrqb.studies.plan import make_plan

__all__ = ["FitResult", "RegionResult", "fit_dataset", "parse_region"]

Array = NDArray[np.float64]


def fit_dataset(
    dataset: str | Path,
    model: Model,
    *,
    regions_ppm: Sequence[tuple[float, float]] = (),
    axis: str | None = None,
    rows: str | None = None,
    register: str | None = None,
    reference: str | None = None,
    conditions: str | None = None,
    transverse: str | None = None,
    undecoupled: bool = False,
    lines: LineOptions | None = None,
    curve: str | None = None,
    protocol: str | Path | None = None,
    free: Sequence[str] = (),
    intervals: Intervals = PROFILE,
) -> FitResult:
    """Fit a data set region by region.

    Parameters
    ----------
    dataset : str or Path
    model : str
        A key of ``MODELS``.
    regions_ppm : sequence of (low, high)
        Without any, the vendor's integral regions, else detected lines.
    axis : str, optional
        File with one axis value for each row, or a rule such as ``L[20]*D[20]`` for numbered
        experiments.
    rows : str, optional
        ``K`` or ``K-L``: the row of each of several numbered experiments.
    register : str, optional
        Needed for "charging": the register whose equilibrium sets the scale.
    reference : str, optional
        Thermal reference where the data set does not say: ``row:K``, or a data set of its own.
    conditions : str, optional
        File that says how the reference was recorded, where that differs from the rows.
    transverse : str, optional
        Data set of the same rows without read-out pulse, for r_x and r_y.
    undecoupled : bool
        The chargers were not decoupled: one line for each of their manifolds.
    lines : LineOptions, optional
        Profile, multiplet and drift of the lines.
    curve : str, optional
        One of the model's curves (``CURVES``) in place of its own choice.
    protocol : str or Path, optional
        Of the curves "map" and "simulated": what was measured.
    free : sequence of str
        Its free parameters (``fit_protocol``).
    intervals : Intervals

    Raises
    ------
    InputError
        Where data, axis, regions, reference or options cannot be used.
    """
    kind = fit_model(model, curve)
    engine = kind.engine
    of_register = {
        "--reference-conditions": conditions,
        "--transverse": transverse,
        "--undecoupled": "yes" if undecoupled else None,
    }
    if model != "charging":
        given: dict[str, object] = {"--register": register, "--reference": reference, **of_register}
        _check_options(given, "belongs to --model charging")
    if engine is None:
        given = {"--protocol": protocol, "--free": ", ".join(free) or None}
        _check_options(given, "belongs to --curve map or simulated")
    elif protocol is None:
        raise InputError(f"is needed by --curve {engine}", key="--protocol")
    elif register is not None:
        raise InputError("the protocol names its register", key="--register", value=register)
    else:
        _check_options(of_register, "is read with --register, not with a protocol")
        kind = protocol_model(engine, free)
        plan = make_plan(protocol)
    series = read_series(dataset, axis=axis, rows=rows)
    file = str(dataset)
    if model == "charging":
        if engine is None and register is None:
            raise InputError("is needed by --model charging", key="--register")
        if series.unphased_rows:
            raise InputError(
                "the experiments were not all recorded at one carrier: against a reference their "
                "phases must be known",
                file=file,
                key="SFO1",
            )
    elif model != "lines" and series.axis.unit != "s":
        raise InputError(
            f"the array axis must be a time for this model, but is {series.axis.name} "
            f"(from {series.axis.source})",
            file=file,
            key="axis",
        )
    shown = lines or LineOptions()
    result = FitResult(
        dataset=file, model=model, kind=kind, curve=curve, intervals=intervals, series=series,
        regions=(),
    )  # fmt: skip
    if engine is None and register is not None:
        options = ChargingOptions(
            reference=reference,
            conditions=conditions,
            transverse=transverse,
            undecoupled=undecoupled,
        )
        series, fitted = fit_energies(
            file,
            series,
            kind,
            register,
            options,
            intervals,
            regions_ppm=regions_ppm,
            lines_of=lambda s: _lines(file, s, regions_ppm, shown),
        )
        return replace(result, series=series, regions=fitted)
    found = _lines(file, series, regions_ppm, shown)
    if engine is not None:
        fitted = fit_plan(file, series, found, plan, engine, free, reference, intervals)
    elif model == "lines":
        fitted = tuple(_only_lines(line) for line in found)
    else:
        fitted = tuple(_fit_line(result, line) for line in found)
    return replace(result, regions=fitted)


def _only_lines(line: RegionFit) -> RegionResult:
    reason = None if line.is_visible else "no line stands out of the noise"
    return RegionResult(line=line, curve=None, reason=reason)


def _check_options(given: Mapping[str, object], words: str) -> None:
    for key, value in given.items():
        if value is not None:
            raise InputError(words, key=key, value=value)


def _fit_line(result: FitResult, line: RegionFit) -> RegionResult:
    model, series, keep = result.kind, result.series, result.fitted_rows
    assert model.fit is not None
    x, matrix = series.axis.values[keep], line.covariance[np.ix_(keep, keep)]
    try:
        curve = model.fit(x, line.amplitudes[keep], matrix, intervals=result.intervals)
        is_free = model.positive is not None and series.reference_row is None
        if is_free and curve.estimates[model.positive or ""] < 0.0:
            # the phase is known up to pi, and here the curve and not a row knows the sign
            line = replace(line, amplitudes=-line.amplitudes, intensity=-line.intensity)
            curve = model.fit(x, line.amplitudes[keep], matrix, intervals=result.intervals)
    except ValueError as error:
        return RegionResult(line=line, curve=None, reason=str(error))
    return RegionResult(
        line=line,
        curve=curve,
        reason=None,
        alternatives=compare_curves(result.model, x, line.amplitudes[keep], matrix),
    )


def _lines(
    file: str, series: Series, regions_ppm: Sequence[tuple[float, float]], shown: LineOptions
) -> tuple[RegionFit, ...]:
    try:
        return fit_series(
            series,
            regions_ppm or None,
            shape=shown.profile,
            multiplet=shown.multiplet,
            drift=shown.drift,
        ).regions
    except ValueError as error:
        raise InputError(str(error), file=file) from None


def parse_region(text: str) -> tuple[float, float]:
    """Return the region of a ``LOW:HIGH`` option, ppm."""
    low, _, high = text.partition(":")
    try:
        ends = (float(low), float(high))
    except ValueError:
        ends = (np.nan, np.nan)
    if not (np.isfinite(ends).all() and ends[0] < ends[1]):
        raise InputError(
            "must be LOW:HIGH in ppm with LOW below HIGH, such as --region=-63.1:-62.4, "
            f"but is {text!r}",
            key="--region",
            value=text,
        )
    return ends
