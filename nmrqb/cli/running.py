"""Commands that walk the road in simulation: run, simulate."""

from __future__ import annotations

import secrets

import click

from nmrqb.cli.options import (
    NO,
    OK,
    json_option,
    named,
    output_folder,
    output_option,
    overwrite_option,
    progress,
    seed_option,
    show,
)
from nmrqb.errors import InputError


@click.command()
@click.argument("protocol")
@output_option
@overwrite_option
@seed_option
@json_option
def run(protocol: str, output: str | None, overwrite: bool, seed: int | None, as_json: bool) -> int:
    """Walk the whole road: plan, compile, simulate, fit, compare, report.

    PROTOCOL is a .toml file or the name of a shipped protocol.
    """
    from nmrqb.files.results import check_output
    from nmrqb.studies.deliver import deliver_run
    from nmrqb.studies.plan import make_plan

    folder = output_folder(output)
    check_output(folder, overwrite=overwrite)
    plan = make_plan(named(protocol), seed=seed)
    result = deliver_run(plan, folder, overwrite=overwrite, progress=progress(as_json))
    show(result.to_result(), str(result), as_json)
    if not as_json:
        click.echo(f"report: {folder / 'report.html'}")
    return OK if result.status == "ok" else NO


@click.command()
@click.argument("protocol")
@output_option
@overwrite_option
@seed_option
@json_option
def simulate(
    protocol: str, output: str | None, overwrite: bool, seed: int | None, as_json: bool
) -> int:
    """Simulate PROTOCOL and write its FIDs (as a Bruker data set) and predicted curves."""
    from nmrqb.files.results import check_output
    from nmrqb.studies.deliver import deliver_simulation
    from nmrqb.studies.plan import make_plan

    folder = output_folder(output)
    check_output(folder, overwrite=overwrite)
    made = make_plan(named(protocol), seed=seed)
    if made.compiled.reference is None:
        raise InputError("a simulation needs a thermal reference", file=protocol, key="reference")
    drawn = made.protocol.simulation.seed
    number = secrets.randbits(63) if drawn is None else drawn
    result = deliver_simulation(made, folder, seed=number, overwrite=overwrite)
    show(
        result,
        f"simulated {made.protocol.name} with seed {number}\ndata: {folder / 'data'}",
        as_json,
    )
    return NO if made.compiled.violations else OK
