"""The command that holds a measurement against a prediction."""

from __future__ import annotations

import click

from nmrqb.cli.options import (
    NO,
    OK,
    json_option,
    output_folder,
    output_option,
    overwrite_option,
    progress,
    show,
)


@click.command()
@click.argument("predicted")
@click.argument("measured")
@output_option
@overwrite_option
@json_option
def compare(
    predicted: str, measured: str, output: str | None, overwrite: bool, as_json: bool
) -> int:
    """Compare PREDICTED with MEASURED: chi-square, and what would reconcile them.

    Each is a result folder (of run, simulate, plan; of run, fit) or a file of its curves.
    """
    from nmrqb.files.results import check_output
    from nmrqb.studies.compare import compare as compared
    from nmrqb.studies.compare_report import deliver_comparison

    folder = None if output is None else output_folder(output)
    if folder is not None:
        check_output(folder, overwrite=overwrite)
    found = compared(predicted, measured, progress=progress(as_json))
    if folder is not None:
        deliver_comparison(found, folder, overwrite=overwrite)
    show(found.to_result(), str(found), as_json)
    if folder is not None and not as_json:
        click.echo(f"report: {folder / 'report.html'}")
    return OK if found.status == "ok" else NO
