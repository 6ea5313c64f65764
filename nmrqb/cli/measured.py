"""Commands on measured data sets: fit, process, convert."""

from __future__ import annotations

import secrets
from typing import Any

import click

from nmrqb.cli.options import (
    NO,
    OK,
    axis_option,
    json_option,
    named,
    output_folder,
    output_option,
    overwrite_option,
    regions_option,
    rows_option,
    seed_option,
    show,
)
from nmrqb.errors import InputError


@click.command()
@click.argument("dataset")
@click.option(
    "--model",
    type=click.Choice(
        ["recovery", "saturation", "buildup", "decay", "nutation", "charging", "lines"]
    ),
    required=True,
)
@regions_option
@axis_option
@rows_option
@click.option(
    "--curve",
    metavar="NAME",
    help="recovery, saturation, buildup: mono, stretched, bi-exponential; decay: these, gaussian, "
    "offset; nutation: undamped, damped, gaussian; charging: exponential, damped-cosine, map, "
    "simulated.",
)
@click.option("--protocol", metavar="P.toml", help="Protocol (for --curve map or simulated).")
@click.option(
    "--free",
    multiple=True,
    metavar="NAME",
    help="Parameter of the protocol that is fitted: b, J, T1_charger, T1_battery, T2_charger, "
    "T2_battery, dipolar_share, inversion, inversion_battery; repeatable.",
)
@click.option(
    "--errors",
    "method",
    type=click.Choice(["profile", "monte-carlo", "bootstrap", "emcee"]),
    default="profile",
    show_default=True,
    help="How the 95 % intervals are made.",
)
@seed_option
@click.option(
    "--shape",
    type=click.Choice(["lorentzian", "gaussian", "voigt"]),
    default="lorentzian",
    show_default=True,
    help="Profile of every line.",
)
@click.option(
    "--multiplet",
    metavar="N:SPIN|auto",
    help="Every region is one multiplet of N equivalent neighbours (3:1/2); auto: the likeliest.",
)
@click.option("--antiphase", is_flag=True, help="The multiplet is antiphase in one neighbour.")
@click.option(
    "--drift",
    multiple=True,
    type=click.Choice(["shift", "phase", "width", "none"]),
    help="What every row has of its own; repeatable.",
)
@click.option("--register", metavar="R.toml", help="Register (for --model charging).")
@click.option("--reference", metavar="row:K|DATASET", help="Thermal reference.")
@click.option(
    "--reference-conditions",
    "conditions",
    metavar="FILE",
    help="How the reference was recorded, where that differs from the rows.",
)
@click.option(
    "--transverse",
    metavar="DATASET",
    help="The same rows without read-out pulse: r_x and r_y for the coherent ergotropy.",
)
@click.option(
    "--undecoupled", is_flag=True, help="One line for each charger manifold (for charging)."
)
@click.option("--into", metavar="R.toml", help="Register of yours that the time is written into.")
@click.option(
    "--spin",
    type=click.Choice(["charger", "battery", "center", "satellite", "load"]),
    help="The spin that it belongs to (for --into).",
)
@output_option
@overwrite_option
@json_option
def fit(
    dataset: str,
    model: Any,
    regions: tuple[str, ...],
    axis: str | None,
    rows: str | None,
    curve: str | None,
    protocol: str | None,
    free: tuple[str, ...],
    method: Any,
    seed: int | None,
    shape: Any,
    multiplet: str | None,
    antiphase: bool,
    drift: tuple[str, ...],
    register: str | None,
    reference: str | None,
    conditions: str | None,
    transverse: str | None,
    undecoupled: bool,
    into: str | None,
    spin: Any,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Fit a measured DATASET: one shared line shape a region, signed amplitudes, a curve.

    The model "lines" stops before the curve: shifts, widths and couplings, of single FIDs too.
    """
    from nmrqb.analysis.intervals import RANDOM, Intervals
    from nmrqb.files.results import check_output
    from nmrqb.studies.deliver import deliver_fit
    from nmrqb.studies.fit import fit_dataset, parse_region
    from nmrqb.studies.into_register import register_target, updated
    from nmrqb.studies.line_options import line_options

    folder = None if output is None else output_folder(output)
    if folder is not None:
        check_output(folder, overwrite=overwrite)
    if method not in RANDOM and seed is not None:
        raise InputError("belongs to random --errors", key="--seed", value=seed)
    if method in RANDOM and seed is None:
        seed = secrets.randbits(63)
    target = register_target(into, spin, model, curve)
    result = fit_dataset(
        dataset,
        model,
        regions_ppm=[parse_region(r) for r in regions],
        axis=axis,
        rows=rows,
        register=register,
        reference=reference,
        curve=curve,
        protocol=None if protocol is None else named(protocol),
        free=free,
        intervals=Intervals(method=method, seed=seed),
        conditions=conditions,
        transverse=transverse,
        undecoupled=undecoupled,
        lines=line_options(shape, multiplet, antiphase, drift),
    )
    if target is not None:
        result = updated(result, target)
    if folder is not None:
        deliver_fit(result, folder, overwrite=overwrite)
    elif result.into is not None:
        result.into.write()
    show(result.to_result(), str(result), as_json)
    if folder is not None and not as_json:
        click.echo(f"report: {folder / 'report.html'}")
    return OK if result.status == "ok" else NO


@click.command()
@click.argument("dataset")
@regions_option
@axis_option
@rows_option
@click.option("--lb", "lorentzian_hz", type=float, default=0.0, help="Line broadening, Hz.")
@click.option("--zero-fill", type=int, default=2, show_default=True, help="Factor of points.")
@click.option("--phase", "phase_row", metavar="row:K", help="Row that sets the phase of all.")
@click.option("--p1", "p1_deg", type=float, default=0.0, help="First-order phase, degrees.")
@click.option("--baseline", "baseline_order", type=int, help="Order of the polynomial taken off.")
@click.option("--reference", metavar="FOUND:TRUE", help="Move FOUND ppm to TRUE ppm.")
@output_option
@overwrite_option
@json_option
def process(
    dataset: str,
    regions: tuple[str, ...],
    axis: str | None,
    rows: str | None,
    lorentzian_hz: float,
    zero_fill: int,
    phase_row: str | None,
    p1_deg: float,
    baseline_order: int | None,
    reference: str | None,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Process a measured DATASET for people: spectra, integrals, figures."""
    from nmrqb.files.results import check_output
    from nmrqb.studies.fit import parse_region
    from nmrqb.studies.process import deliver_process, parse_row, parse_shift, process_dataset

    folder = None if output is None else output_folder(output)
    if folder is not None:
        check_output(folder, overwrite=overwrite)
    result = process_dataset(
        dataset,
        regions_ppm=[parse_region(r) for r in regions],
        axis=axis,
        rows=rows,
        lorentzian_hz=lorentzian_hz,
        zero_fill=zero_fill,
        phase_row=None if phase_row is None else parse_row(phase_row),
        p1_deg=p1_deg,
        baseline_order=baseline_order,
        reference_ppm=None if reference is None else parse_shift(reference),
    )
    if folder is not None:
        deliver_process(result, folder, overwrite=overwrite)
    show(result.to_result(), str(result), as_json)
    if folder is not None and not as_json:
        click.echo(f"report: {folder / 'report.html'}")
    return OK


@click.command()
@click.argument("dataset")
@click.option("--to", "kind", type=click.Choice(["nmrpipe", "jcamp-dx", "csdm"]), required=True)
@axis_option
@rows_option
@output_option
@overwrite_option
@json_option
def convert(
    dataset: str,
    kind: Any,
    axis: str | None,
    rows: str | None,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Convert a measured DATASET of any vendor into a common format."""
    from nmrqb.files.results import check_output
    from nmrqb.studies.convert import convert_dataset

    folder = output_folder(output)
    check_output(folder, overwrite=overwrite)
    table = convert_dataset(dataset, folder, kind, axis=axis, rows=rows, overwrite=overwrite)
    show(table, f"{table['series']}\nwritten: {table['file']}", as_json)
    return OK
