"""The numbered experiments of one folder as one series: one experiment for each axis value.

Rows of different experiments are comparable only where receiver and nucleus are the same; what
differs and can be divided out (scans, NC) is, what differs and cannot is refused by name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError, one_line
from nmrqb.files.vendors.axis import axis_from_file, date_axis, row_axis
from nmrqb.files.vendors.axis_rule import AxisRule, is_rule, parse_rule, program_products
from nmrqb.files.vendors.bruker_axis import commands_of
from nmrqb.files.vendors.bruker_experiment import Experiment, is_experiment, read_experiment
from nmrqb.signals.series import Axis, Series

#: turn (cycles) over the group delay up to which a change of carrier leaves the phase alone
_TURN = 0.01

_SAME: tuple[tuple[str, str, Callable[[Experiment], object]], ...] = (
    ("NUC1", "nucleus", lambda e: e.nucleus),
    ("PULPROG", "pulse program", lambda e: e.acqus.text("PULPROG")),
    ("SW_h", "spectral width", lambda e: f"{1.0 / e.dwell_s:.6g} Hz"),
    ("TD", "points", lambda e: e.fids.shape[1]),
    ("GRPDLY", "group delay", lambda e: f"{e.time_origin_s / e.dwell_s:.4g} points"),
    ("RG", "receiver gain", lambda e: f"{e.gain:.6g}"),
)


def are_numbered(found: Sequence[Path]) -> bool:
    """Return whether experiments lie side by side and are named by numbers."""
    return len({f.parent for f in found}) == 1 and all(_number(f) is not None for f in found)


def read_numbered(
    path: Path, found: Sequence[Path], axis_source: str | None, rows_source: str | None
) -> Series:
    """Read the numbered experiments of a folder as one Series, in rising number.

    The axis comes from `axis_source`, else from the pulse program where it defines one product of
    a loop counter and a delay that changes from experiment to experiment.

    Parameters
    ----------
    path : Path
        For messages.
    found : sequence of Path
        The experiments at or below it.
    axis_source, rows_source : str or None
        As in ``read_bruker``.

    Raises
    ------
    InputError
        Where the experiments form no series, differ in what cannot be divided out, or one of them
        is damaged.
    """
    path = path if path.is_dir() else path.parent
    parents = {folder.parent for folder in found}
    asked = axis_source is not None or rows_source is not None
    some = ", ".join(str(f.relative_to(path)) for f in found[:5])
    count = f"holds {len(found)} data sets ({some}{', ...' if len(found) > 5 else ''})"
    if not are_numbered(found):
        raise InputError(f"{count}; name one", file=str(path))
    folder = parents.pop()
    name = one_line(folder.resolve().name)
    folders = sorted(found, key=lambda f: _number(f) or 0)
    programs = [program_products(commands_of(f / "pulseprogram"))[0] for f in folders]
    if not asked and not any(programs):
        raise InputError(
            f"{count}; name one, or say what makes them one series: --axis with a rule such as "
            "L[20]*D[20], or --axis FILE (one value for each experiment)",
            file=str(path),
        )
    _refuse_incomplete(folder)
    experiments = [read_experiment(f) for f in folders]
    _refuse_different(name, experiments)
    notes = [f"experiment {e.folder.name}: {w}" for e in experiments for w in e.warnings]
    pick, words = _rows(folder, experiments, rows_source)
    axis = _axis(folder, experiments, axis_source, notes)
    common = Counter(e.carrier_hz for e in experiments).most_common(1)[0][0]
    chosen = next(e for e in experiments if e.carrier_hz == common)
    unphased = _unphased(experiments, chosen, notes)
    fids = [_fids(e, chosen) for e in experiments]
    if len({e.reference_hz for e in experiments}) > 1:
        notes.append(
            "the experiments differ in their reference frequency (SF): chemical shifts are those "
            f"of experiment {chosen.folder.name}"
        )
    numbers = ", ".join(e.folder.name for e in experiments)
    return Series(
        fids=np.array([pick(rows) for rows in fids]),
        dwell_s=chosen.dwell_s,
        time_origin_s=chosen.time_origin_s,
        carrier_hz=chosen.carrier_hz,
        carrier_ppm=chosen.carrier_ppm,
        nucleus=chosen.nucleus,
        axis=axis,
        scans=np.array([e.scans for e in experiments]),
        gain=chosen.gain,
        stored_exponent=chosen.exponent,
        unphased_rows=unphased,
        regions_ppm=next((e.regions_ppm for e in experiments if e.regions_ppm), ()),
        recorded_unix_s=chosen.recorded_unix_s,
        provenance=f"Bruker {name}, experiments {numbers}{words}",
        warnings=tuple(notes),
    )


def _number(folder: Path) -> int | None:
    name = folder.name
    return int(name) if name.isascii() and name.isdigit() and len(name) < 10 else None


def _refuse_incomplete(folder: Path) -> None:
    for child in sorted(folder.iterdir()):
        if child.is_dir() and _number(child) is not None and not is_experiment(child):
            raise InputError(
                "is numbered like an experiment of the series, but has no acqus with ser or fid: "
                "restore it or move it away",
                file=str(child),
            )


def _refuse_different(name: str, experiments: Sequence[Experiment]) -> None:
    for key, words, value in _SAME:
        values = [value(e) for e in experiments]
        usual = Counter(values).most_common(1)[0][0]
        for experiment, own in zip(experiments, values, strict=True):
            if own != usual:
                raise InputError(
                    f"differs from the other experiments of {name} in {words}: {own} "
                    f"instead of {usual}; they form no series (name one, or "
                    "move the odd one away)",
                    file=str(experiment.acqus.path),
                    key=key,
                    value=own,
                    limit=str(usual),
                )


def _rows(
    folder: Path, experiments: Sequence[Experiment], rows_source: str | None
) -> tuple[Callable[[NDArray[np.complex128]], NDArray[np.complex128]], str]:
    counts = {len(e.fids) for e in experiments}
    most, least = max(counts), min(counts)
    if rows_source is None:
        if most == 1:
            return (lambda fids: fids[0]), ""
        seen = f"{most}" if most == least else f"{least} to {most}"
        raise InputError(
            f"the {len(experiments)} experiments hold {seen} rows each: say which row is the "
            "series with --rows 0, --rows 1 or a difference such as --rows 0-1 (row 0 minus "
            "row 1)",
            file=str(folder),
            key="--rows",
            limit=f"0 to {most - 1}",
        )
    match = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", rows_source)
    if match is None:
        raise InputError(
            f"must be a row K or a difference K-L of rows, but is {rows_source!r}",
            key="--rows",
            value=rows_source,
        )
    asked = [int(g) for g in match.groups() if g is not None]
    for experiment in experiments:
        if max(asked) >= len(experiment.fids):
            raise InputError(
                f"must name rows from 0 to {len(experiment.fids) - 1}, but is {rows_source!r}",
                file=str(experiment.folder),
                key="--rows",
                value=rows_source,
                limit=f"0 to {len(experiment.fids) - 1}",
            )
    if len(asked) == 1:
        return (lambda fids: fids[asked[0]]), f", row {asked[0]}"
    if asked[0] == asked[1]:
        raise InputError(
            f"must be a difference of two rows, but is {rows_source!r}: that is zero",
            key="--rows",
            value=rows_source,
        )
    return (lambda fids: fids[asked[0]] - fids[asked[1]]), f", row {asked[0]} - row {asked[1]}"


def _axis(
    folder: Path, experiments: Sequence[Experiment], axis_source: str | None, notes: list[str]
) -> Axis:
    if axis_source is None:
        return _axis_of_program(folder, experiments, notes)
    if axis_source == "date":
        return date_axis(folder, [(e.folder.name, e.recorded_unix_s) for e in experiments])
    if axis_source == "row":
        return row_axis(len(experiments))
    if not is_rule(axis_source):
        return axis_from_file(Path(axis_source), len(experiments))
    rule = parse_rule(axis_source)
    return _axis_of_rule(rule, folder, experiments, f"{rule} of acqus (--axis)")


def _axis_of_rule(
    rule: AxisRule, folder: Path, experiments: Sequence[Experiment], source: str
) -> Axis:
    values = np.array([rule.value(e.acqus) for e in experiments])
    if len(np.unique(values)) == 1:
        raise InputError(
            f"the axis rule {rule} gives {values[0]:g} for every experiment: it is not what was "
            "changed",
            file=str(folder),
            key="--axis",
            value=str(rule),
        )
    return Axis(name=rule.name, unit="s" if rule.is_time else "", values=values, source=source)


def _axis_of_program(folder: Path, experiments: Sequence[Experiment], notes: list[str]) -> Axis:
    products, others = program_products(commands_of(experiments[0].folder / "pulseprogram"))
    for e in experiments[1:]:
        if program_products(commands_of(e.folder / "pulseprogram")) != (products, others):
            raise InputError(
                f"defines other delays than that of experiment {experiments[0].folder.name}: say "
                "with --axis what was changed",
                file=str(e.folder / "pulseprogram"),
                key="axis",
            )
    changing = {
        name: rule
        for name, rule in products.items()
        if len({rule.value(e.acqus) for e in experiments}) > 1
    }
    say = "say with --axis what was changed: a rule such as L[20]*D[20], or a file"
    if len(set(changing.values())) != 1:
        seen = ", ".join(f"{n} = {r}" for n, r in (changing or products).items()) or "none"
        which = "more than one changes" if changing else "none changes"
        raise InputError(
            f"of the products of loop counter and delay in the pulse program ({seen}) {which} "
            f"from experiment to experiment: {say}",
            file=str(folder),
            key="axis",
        )
    name, rule = next(iter(changing.items()))
    for other, expression in others:
        if other in changing:
            notes.append(
                f"the pulse program also sets {one_line(other)}={one_line(expression)}: the axis "
                f"is {rule}; where that is wrong, say so with --axis"
            )
    source = f"{rule} of acqus (pulse program: {name})"
    return _axis_of_rule(rule, folder, experiments, source)


def _unphased(
    experiments: Sequence[Experiment], chosen: Experiment, notes: list[str]
) -> tuple[int, ...]:
    """Return the rows whose phase against the others is unknown: recorded at another carrier.

    Lines are brought to the common carrier, but the receiver's phase after a change of frequency
    is a constant of the instrument that the data do not state, and a row is never phased on its
    own: the sign would be lost.
    """
    rows = []
    for row, e in enumerate(experiments):
        shift = e.carrier_hz - chosen.carrier_hz
        if abs(shift) > 0.25 / e.dwell_s:
            raise InputError(
                f"has its carrier {shift:.6g} Hz from that of the other experiments: more than a "
                "quarter of the spectral width",
                file=str(e.acqus.path),
                key="SFO1",
                value=e.carrier_hz / 1e6,
            )
        if abs(shift) * max(e.time_origin_s, e.dwell_s) > _TURN:
            rows.append(row)
            notes.append(
                f"experiment {e.folder.name} was recorded with its carrier {shift:.6g} Hz from the "
                "others: its phase against them is not known, so that its amplitude is shown but "
                "not fitted"
            )
    return tuple(rows)


def _fids(experiment: Experiment, chosen: Experiment) -> NDArray[np.complex128]:
    """Return the FIDs of an experiment at the carrier and in the units of another one."""
    fids = experiment.fids
    # stored integers times 2^NC are what was received
    power = experiment.exponent - chosen.exponent
    if power:
        fids = fids * 2.0**power
    shift = experiment.carrier_hz - chosen.carrier_hz
    if shift:
        times = np.arange(fids.shape[1]) * experiment.dwell_s - experiment.time_origin_s
        fids = fids * np.exp(2j * np.pi * shift * times)
    return fids
