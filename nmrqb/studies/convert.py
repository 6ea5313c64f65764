"""Convert a measured data set of any vendor into a common format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nmrqb.errors import InputError
from nmrqb.files.export import Format, export_series
from nmrqb.files.results import output_folder, to_json, write_atomically
from nmrqb.files.vendors import read_series


def convert_dataset(
    dataset: str | Path,
    folder: Path,
    kind: Format,
    *,
    axis: str | None = None,
    rows: str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Read a data set and write it as `kind` into `folder`; return the object of result.json.

    Raises
    ------
    InputError
        Where the data cannot be read or the folder not be written.
    """
    series = read_series(dataset, axis=axis, rows=rows)
    try:
        with output_folder(folder, overwrite=overwrite) as out:
            file = export_series(out, series, kind)
            table = {
                "schema": "nmrqb/convert/1",
                "status": "ok",
                "dataset": str(dataset),
                "format": kind,
                "file": str(folder / file.name),
                "series": str(series),
                "results": [],
                "warnings": list(series.warnings),
            }
            write_atomically(out / "result.json", to_json(table))
    except (ValueError, OverflowError) as error:
        raise InputError(str(error), file=str(dataset)) from None
    return table
