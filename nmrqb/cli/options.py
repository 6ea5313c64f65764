"""Options that commands share, and how they show results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nmrqb.errors import InputError

OK, NO, BAD = 0, 1, 2

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
output_option = click.option("-o", "--output", metavar="DIR", help="Folder for the results.")
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace an earlier result of nmrqb in DIR."
)
seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="Of the noise; overrides the protocol."
)
regions_option = click.option(
    "--region", "regions", multiple=True, metavar="LOW:HIGH", help="ppm; repeatable."
)
axis_option = click.option(
    "--axis",
    metavar="FILE|NAME|RULE",
    help="File with one axis value for each row; a list or arrayed parameter of the data set "
    "(vdlist, d2), time, date or row; or a rule such as VC*D[20], for numbered experiments "
    "L[20]*D[20].",
)
rows_option = click.option(
    "--rows", metavar="K|K-L", help="Row (or difference) of each numbered experiment."
)


def output_folder(output: str | None) -> Path:
    """Return the folder that -o names, which a command of results needs."""
    if not output:
        raise InputError("is missing: name the folder for the results", key="-o")
    return Path(output)


def named(protocol: str) -> str | Path:
    """Return a path where PROTOCOL is one, else the name of a shipped protocol."""
    return Path(protocol) if protocol.endswith(".toml") or "/" in protocol else protocol


def show(table: dict[str, Any], words: str, as_json: bool) -> None:
    """Print one JSON object, or the same in words."""
    if as_json:
        from nmrqb.files.results import to_json

        click.echo(to_json(table), nl=False)
    else:
        click.echo(words)


def progress(as_json: bool) -> Callable[[str], None]:
    """Return what tells the progress on stderr; silent beside JSON."""
    if as_json:
        return lambda _: None
    return lambda words: click.echo(f"nmrqb: {words}", err=True)
