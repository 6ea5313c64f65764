"""Commands before the spectrometer: plan, compile, verdict, optimise, registers."""

from __future__ import annotations

from typing import Any

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
    show,
)
from nmrqb.errors import InputError, LimitError


@click.command()
@click.argument("protocol")
@output_option
@overwrite_option
@json_option
def plan(protocol: str, output: str | None, overwrite: bool, as_json: bool) -> int:
    """Compile PROTOCOL and show its sequences, price, limits and predicted charging."""
    from nmrqb.files.results import check_output
    from nmrqb.studies.balance_report import balance_object, best_row
    from nmrqb.studies.deliver import deliver_plan
    from nmrqb.studies.plan import make_plan, predict

    folder = None if output is None else output_folder(output)
    if folder is not None:
        check_output(folder, overwrite=overwrite)
    made = make_plan(named(protocol))
    prediction = predict(made, progress=progress(as_json))
    compiled, rows = made.compiled, made.protocol.rows
    closed = prediction.closed.energy.tolist() if prediction.closed else [None] * rows
    table: dict[str, Any] = {
        "schema": "nmrqb/plan/1",
        "status": "no" if compiled.violations else "ok",
        "protocol": made.protocol.name,
        "register": made.register.name,
        "duration_s": compiled.duration_s,
        "cycle_s": compiled.cycle_s,
        "results": [
            {"row": k, "time_s": t, "energy": e, "closed_map_energy": c}
            for k, (t, e, c) in enumerate(
                zip(
                    prediction.exact.times.tolist(),
                    prediction.exact.energy.tolist(),
                    closed,
                    strict=True,
                )
            )
        ],
        "energy_unit": prediction.exact.energy_unit,
        "p_star_exact": prediction.p_star_exact,
        "p_star_closed_map": prediction.p_star_closed,
        "cycles_to_saturation": prediction.cycles_to_saturation,
        "cycles_to_saturation_closed_map": prediction.cycles_to_saturation_closed,
        "tau_s": prediction.tau,
        "other_single_shots": prediction.other_transfers,
        "energy_balance": balance_object(prediction, made.register),
        "rf_energy_joule": list(compiled.rf_energy_joule),
        "choices": list(compiled.choices),
        "roundings": [str(r) for r in compiled.roundings],
        "violations": [str(v) for v in compiled.violations],
        "warnings": [*compiled.warnings, *prediction.warnings()],
    }
    if folder is not None:
        deliver_plan(made, prediction, table, folder, overwrite=overwrite)
    lines = [str(made), str(compiled.sequences[-1])]
    for row in table["results"]:
        by_map = row["closed_map_energy"]
        beside = "" if by_map is None else f", {by_map:9.5f} closed map"
        lines.append(f"  {row['time_s']:10.4g} s  energy {row['energy']:9.5f} exact{beside}")
    lines.append(f"  ({prediction.exact.energy_unit})")
    lines += [f"  warning: {w}" for w in prediction.warnings()]
    if prediction.other_transfers:
        listed = ", ".join(f"{n} {v:.4g}" for n, v in prediction.other_transfers.items())
        lines.append(f"  best single shots (of a full charger's polarisation): {listed}")
    if prediction.balances is not None:
        row = best_row(prediction.balances)
        lines.append(f"row {row}, which fills the load most: {prediction.balances[row]}")
    if prediction.cycles_to_saturation is not None:
        lines.append(f"  cycles to saturation (99 %): {prediction.cycles_to_saturation}")
    show(table, "\n".join(lines), as_json)
    return NO if compiled.violations else OK


@click.command("compile")
@click.argument("protocol")
@click.option(
    "--to", "target", type=click.Choice(["bruker", "varian"]), required=True, help="The console."
)
@output_option
@overwrite_option
@json_option
def compile_to(
    protocol: str, target: Any, output: str | None, overwrite: bool, as_json: bool
) -> int:
    """Export PROTOCOL as pulse programs, lists, parameter tables and a checklist.

    Where a limit of the spectrometer is violated nothing is written (exit code 1).
    """
    from nmrqb.files.pulse_programs.export import export, refused
    from nmrqb.files.results import check_output
    from nmrqb.files.shipped import find_file
    from nmrqb.files.toml import read_bytes
    from nmrqb.report.sequence_to_scale import sequence_pictures
    from nmrqb.studies.plan import make_plan

    folder = output_folder(output)
    check_output(folder, overwrite=overwrite)
    made = make_plan(named(protocol))
    try:
        exported = export(made.compiled, made.register, made.spectrometer, target)
    except LimitError as error:
        words = "\n".join(
            [f"not exported: {made.protocol.name}", *(f"  {p}" for p in error.problems)]
        )
        show(refused(made.compiled, target, error), words, as_json)
        return NO
    sources = {
        "protocol": named(protocol),
        "register": made.protocol.register,
        "spectrometer": made.protocol.spectrometer,
    }
    inputs = {f"inputs/{k}.toml": read_bytes(find_file(k, name)) for k, name in sources.items()}
    more = sequence_pictures(made.compiled.sequences[-1]) | inputs
    exported.write(folder, overwrite=overwrite, more=more)
    show(exported.to_result(), str(exported), as_json)
    if not as_json:
        click.echo(f"start with {folder / 'checklist.txt'}")
    return OK


@click.command()
@click.argument("protocol")
@output_option
@overwrite_option
@json_option
def optimise(protocol: str, output: str | None, overwrite: bool, as_json: bool) -> int:
    """Find the best Delta, transfer, cycles and recovery for the [target] of PROTOCOL.

    A million candidates by the closed map, the best ten by exact simulation.
    """
    from nmrqb.files.results import check_output
    from nmrqb.studies.optimise import optimise as search
    from nmrqb.studies.optimise_report import deliver_optimum
    from nmrqb.studies.plan import make_plan

    folder = None if output is None else output_folder(output)
    if folder is not None:
        check_output(folder, overwrite=overwrite)
    found = search(make_plan(named(protocol)), progress(as_json))
    if folder is not None:
        deliver_optimum(found, folder, overwrite=overwrite)
    show(found.to_result(), str(found), as_json)
    if folder is not None and not as_json:
        click.echo(f"report: {folder / 'report.html'}")
    return OK


@click.command()
@json_option
def registers(as_json: bool) -> int:
    """List the shipped registers."""
    from nmrqb.files.shipped import shipped_names
    from nmrqb.files.toml import read_register

    found = [read_register(name) for name in shipped_names("register")]
    table = {
        "schema": "nmrqb/registers/1",
        "status": "ok",
        "results": [
            {
                "name": r.name,
                "center": r.center.isotope,
                "satellite": r.satellite.isotope,
                "satellites": r.satellites,
                "battery": r.battery.isotope,
                "charger": r.charger.isotope,
                "coupling_hz": r.coupling_hz.value,
                "chargers_must_be_inverted": r.must_invert_chargers,
            }
            for r in found
        ],
    }
    show(table, "\n".join(str(r) for r in found), as_json)
    return OK


@click.command()
@click.argument("protocol")
@output_option
@overwrite_option
@json_option
def verdict(protocol: str, output: str | None, overwrite: bool, as_json: bool) -> int:
    """Judge the translation of PROTOCOL: ideal target against compiled sequences, by cause."""
    from nmrqb.files.results import check_output
    from nmrqb.studies.plan import make_plan
    from nmrqb.studies.verdict import verdict_on
    from nmrqb.studies.verdict_report import deliver_verdict

    folder = None if output is None else output_folder(output)
    if folder is not None:
        check_output(folder, overwrite=overwrite)
    made = make_plan(named(protocol))
    if made.compiled.reference is None:
        raise InputError("a verdict needs a reference", file=protocol, key="reference")
    found = verdict_on(made, progress(as_json))
    if folder is not None:
        deliver_verdict(found, folder, overwrite=overwrite)
    show(found.to_result(), str(found), as_json)
    if folder is not None and not as_json:
        click.echo(f"report: {folder / 'report.html'}")
    return OK if found.status == "ok" else NO
