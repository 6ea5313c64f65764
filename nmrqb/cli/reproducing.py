"""The command that shows the papers' figures and numbers beside computed ones."""

from __future__ import annotations

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
from nmrqb.errors import InputError


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--list", "only_list", is_flag=True, help="List the shipped entries.")
@output_option
@overwrite_option
@json_option
def reproduce(
    names: tuple[str, ...], only_list: bool, output: str | None, overwrite: bool, as_json: bool
) -> int:
    """Compute the papers' figures and numbers (all, or NAME...), published against computed.

    Without -o only the table of numbers.  Exit code 1 where a published number differs and the
    entry does not explain why.
    """
    from nmrqb.files.results import check_output
    from nmrqb.studies.reproduce import deliver

    if only_list:
        if names or output is not None:
            raise InputError("lists all shipped entries: give no NAME and no -o", key="--list")
        table = deliver.listing()
        lines = [f"{e['name']}: {e['title']} ({e['source']})" for e in table["results"]]
        show(table, "\n".join(lines), as_json)
        return OK
    folder = None if output is None else output_folder(output)
    if folder is not None:
        check_output(folder, overwrite=overwrite)
    table = deliver.reproduce(
        [named(n) for n in names], folder, overwrite=overwrite, progress=progress(as_json)
    )
    show(table, deliver.words_of(table), as_json)
    if folder is not None and not as_json:
        click.echo(f"figures and table: {folder / 'index.html'}")
    return OK if table["status"] == "ok" else NO
