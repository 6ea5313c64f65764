"""Commands, exit codes and one-line errors.

Exit codes: 0 done; 1 the science says no (the full result is printed); 2 bad input or usage (one
line on stderr, never a traceback).  With ``--json`` stdout holds one JSON object and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from nmrqb import __version__
from nmrqb.errors import InputError, LimitError, NmrqbError, Problem, one_line

OK, NO, BAD = 0, 1, 2

_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
_out = click.option("-o", "--output", metavar="DIR", help="Folder for the results.")
_overwrite = click.option(
    "--overwrite", is_flag=True, help="Replace an earlier result of nmrqb in DIR."
)
_seed = click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="Of the noise; overrides the protocol."
)


_regions = click.option(
    "--region", "regions", multiple=True, metavar="LOW:HIGH", help="ppm; repeatable."
)
_axis = click.option(
    "--axis",
    metavar="FILE|NAME|RULE",
    help="File with one axis value for each row; a list or arrayed parameter of the data set "
    "(vdlist, d2), time, date or row; or a rule such as VC*D[20], for numbered experiments "
    "L[20]*D[20].",
)
_rows = click.option(
    "--rows", metavar="K|K-L", help="Row (or difference) of each numbered experiment."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nmrqb")
def commands() -> None:
    """Quantum-battery experiments on NMR spectrometers: plan, predict, fit, compare."""


@commands.command()
@click.argument("protocol")
@_out
@_overwrite
@_seed
@_json
def run(protocol: str, output: str | None, overwrite: bool, seed: int | None, as_json: bool) -> int:
    """Walk the whole road: plan, compile, simulate, fit, compare, report.

    PROTOCOL is a .toml file or the name of a shipped protocol.
    """
    from nmrqb.files.results import check_output
    from nmrqb.studies.deliver import deliver_run
    from nmrqb.studies.plan import make_plan

    folder = _folder(output)
    check_output(folder, overwrite=overwrite)
    plan = make_plan(_named(protocol), seed=seed)
    result = deliver_run(plan, folder, overwrite=overwrite, progress=_progress(as_json))
    _show(result.to_result(), str(result), as_json)
    if not as_json:
        click.echo(f"report: {folder / 'report.html'}")
    return OK if result.status == "ok" else NO


@commands.command()
@click.argument("protocol")
@_json
def plan(protocol: str, as_json: bool) -> int:
    """Compile PROTOCOL and show its sequences, price, limits and predicted charging."""
    from nmrqb.studies.plan import make_plan, predict

    made = make_plan(_named(protocol))
    prediction = predict(made, progress=_progress(as_json))
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
        "rf_energy_joule": list(compiled.rf_energy_joule),
        "roundings": [str(r) for r in compiled.roundings],
        "violations": [str(v) for v in compiled.violations],
        "warnings": [*compiled.warnings, *prediction.warnings()],
    }
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
    if prediction.cycles_to_saturation is not None:
        lines.append(f"  cycles to saturation (99 %): {prediction.cycles_to_saturation}")
    _show(table, "\n".join(lines), as_json)
    return NO if compiled.violations else OK


@commands.command("compile")
@click.argument("protocol")
@click.option(
    "--to", "target", type=click.Choice(["bruker", "varian"]), required=True, help="The console."
)
@_out
@_overwrite
@_json
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

    folder = _folder(output)
    check_output(folder, overwrite=overwrite)
    made = make_plan(_named(protocol))
    try:
        exported = export(made.compiled, made.register, made.spectrometer, target)
    except LimitError as error:
        words = "\n".join(
            [f"not exported: {made.protocol.name}", *(f"  {p}" for p in error.problems)]
        )
        _show(refused(made.compiled, target, error), words, as_json)
        return NO
    named = {
        "protocol": _named(protocol),
        "register": made.protocol.register,
        "spectrometer": made.protocol.spectrometer,
    }
    inputs = {f"inputs/{k}.toml": read_bytes(find_file(k, name)) for k, name in named.items()}
    more = sequence_pictures(made.compiled.sequences[-1]) | inputs
    exported.write(folder, overwrite=overwrite, more=more)
    _show(exported.to_result(), str(exported), as_json)
    if not as_json:
        click.echo(f"start with {folder / 'checklist.txt'}")
    return OK


@commands.command()
@click.argument("protocol")
@_out
@_overwrite
@_seed
@_json
def simulate(
    protocol: str, output: str | None, overwrite: bool, seed: int | None, as_json: bool
) -> int:
    """Simulate PROTOCOL and write its FIDs (as a Bruker data set) and predicted curves."""
    from nmrqb.files.results import check_output
    from nmrqb.studies.deliver import deliver_simulation
    from nmrqb.studies.plan import make_plan

    folder = _folder(output)
    check_output(folder, overwrite=overwrite)
    made = make_plan(_named(protocol), seed=seed)
    if made.compiled.reference is None:
        raise InputError("a simulation needs a thermal reference", file=protocol, key="reference")
    drawn = made.protocol.simulation.seed
    number = secrets.randbits(63) if drawn is None else drawn
    result = deliver_simulation(made, folder, seed=number, overwrite=overwrite)
    _show(
        result,
        f"simulated {made.protocol.name} with seed {number}\ndata: {folder / 'data'}",
        as_json,
    )
    return NO if made.compiled.violations else OK


@commands.command()
@click.argument("dataset")
@click.option(
    "--model",
    type=click.Choice(["recovery", "saturation", "buildup", "decay", "nutation", "charging"]),
    required=True,
)
@_regions
@_axis
@_rows
@click.option("--register", metavar="R.toml", help="Register (for --model charging).")
@click.option("--reference", metavar="row:K", help="Row of the thermal reference.")
@click.option("--into", metavar="R.toml", help="Register of yours that the time is written into.")
@click.option(
    "--spin",
    type=click.Choice(["charger", "battery", "center", "satellite"]),
    help="The spin that it belongs to (for --into).",
)
@_out
@_overwrite
@_json
def fit(
    dataset: str,
    model: Any,
    regions: tuple[str, ...],
    axis: str | None,
    rows: str | None,
    register: str | None,
    reference: str | None,
    into: str | None,
    spin: Any,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Fit a measured DATASET: one shared line shape a region, signed amplitudes, a curve."""
    from nmrqb.files.results import check_output
    from nmrqb.studies.deliver import deliver_fit
    from nmrqb.studies.fit import fit_dataset, parse_region
    from nmrqb.studies.into_register import register_target, updated

    folder = None if output is None else _folder(output)
    if folder is not None:
        check_output(folder, overwrite=overwrite)
    target = register_target(into, spin, model)
    result = fit_dataset(
        dataset,
        model,
        regions_ppm=[parse_region(r) for r in regions],
        axis=axis,
        rows=rows,
        register=register,
        reference=reference,
    )
    if target is not None:
        result = updated(result, target)
    if folder is not None:
        deliver_fit(result, folder, overwrite=overwrite)
    elif result.into is not None:
        result.into.write()
    _show(result.to_result(), str(result), as_json)
    if folder is not None and not as_json:
        click.echo(f"report: {folder / 'report.html'}")
    return OK if result.status == "ok" else NO


@commands.command()
@click.argument("dataset")
@_regions
@_axis
@_rows
@click.option("--lb", "lorentzian_hz", type=float, default=0.0, help="Line broadening, Hz.")
@click.option("--zero-fill", type=int, default=2, show_default=True, help="Factor of points.")
@click.option("--phase", "phase_row", metavar="row:K", help="Row that sets the phase of all.")
@click.option("--p1", "p1_deg", type=float, default=0.0, help="First-order phase, degrees.")
@click.option("--baseline", "baseline_order", type=int, help="Order of the polynomial taken off.")
@click.option("--reference", metavar="FOUND:TRUE", help="Move FOUND ppm to TRUE ppm.")
@_out
@_overwrite
@_json
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

    folder = None if output is None else _folder(output)
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
    _show(result.to_result(), str(result), as_json)
    if folder is not None and not as_json:
        click.echo(f"report: {folder / 'report.html'}")
    return OK


@commands.command()
@click.argument("dataset")
@click.option("--to", "kind", type=click.Choice(["nmrpipe", "jcamp-dx", "csdm"]), required=True)
@_axis
@_rows
@_out
@_overwrite
@_json
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

    folder = _folder(output)
    check_output(folder, overwrite=overwrite)
    table = convert_dataset(dataset, folder, kind, axis=axis, rows=rows, overwrite=overwrite)
    _show(table, f"{table['series']}\nwritten: {table['file']}", as_json)
    return OK


@commands.command()
@click.argument("protocol")
@_out
@_overwrite
@_json
def optimise(protocol: str, output: str | None, overwrite: bool, as_json: bool) -> int:
    """Find the best Delta, transfer, cycles and recovery for the [target] of PROTOCOL.

    A million candidates by the closed map, the best ten by exact simulation.
    """
    from nmrqb.files.results import check_output
    from nmrqb.studies.optimise import optimise as search
    from nmrqb.studies.optimise_report import deliver_optimum
    from nmrqb.studies.plan import make_plan

    folder = None if output is None else _folder(output)
    if folder is not None:
        check_output(folder, overwrite=overwrite)
    found = search(make_plan(_named(protocol)), _progress(as_json))
    if folder is not None:
        deliver_optimum(found, folder, overwrite=overwrite)
    _show(found.to_result(), str(found), as_json)
    if folder is not None and not as_json:
        click.echo(f"report: {folder / 'report.html'}")
    return OK


@commands.command()
@_json
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
    _show(table, "\n".join(str(r) for r in found), as_json)
    return OK


def _folder(output: str | None) -> Path:
    if not output:
        raise InputError("is missing: name the folder for the results", key="-o")
    return Path(output)


def _named(protocol: str) -> str | Path:
    return Path(protocol) if protocol.endswith(".toml") or "/" in protocol else protocol


def _show(table: dict[str, Any], words: str, as_json: bool) -> None:
    if as_json:
        from nmrqb.files.results import to_json

        click.echo(to_json(table), nl=False)
    else:
        click.echo(words)


def _progress(as_json: bool) -> Callable[[str], None]:
    if as_json:
        return lambda _: None
    return lambda words: click.echo(f"nmrqb: {words}", err=True)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    words = sys.argv[1:] if arguments is None else arguments
    # thousands of small matrices: threads of linear algebra only wait for one another
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = commands.main(args=words, prog_name="nmrqb", standalone_mode=False)
    except NmrqbError as error:
        code = _refuse(words, error.problems, str(error))
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        key = getattr(getattr(error, "param", None), "opts", [None])[0]
        message = one_line(error.format_message())
        code = _refuse(words, (Problem(message=message, key=key),), message)
    except (KeyboardInterrupt, click.Abort):
        message = "interrupted; nothing was changed"
        code = _refuse(words, (Problem(message=message),), message)
    except BrokenPipeError:
        sys.stderr.close()
        code = OK
    except OSError as error:
        message = f"{error.filename or 'output'}: {error.strerror or error}"
        code = _refuse(words, (Problem(message=message),), message)
    except MemoryError:
        message = "not enough memory for a problem of this size (satellites, points or rows)"
        code = _refuse(words, (Problem(message=message),), message)
    except Exception as error:
        if os.environ.get("NMRQB_DEBUG"):
            raise
        message = one_line(
            f"internal error, please report it ({type(error).__name__}: {error}); "
            "NMRQB_DEBUG=1 shows where"
        )
        code = _refuse(words, (Problem(message=message),), message)
    sys.exit(code if isinstance(code, int) else OK)


def _refuse(words: list[str], problems: tuple[Problem, ...], message: str) -> int:
    click.echo(f"nmrqb: {one_line(message)}", err=True)
    if "--json" in words:
        from nmrqb.files.results import error_object, to_json

        command = next((w for w in words if w in commands.commands), "nmrqb")
        # where stdout itself is what failed, the line on stderr has said so
        with contextlib.suppress(OSError):
            click.echo(to_json(error_object(command, problems)), nl=False)
    return BAD
