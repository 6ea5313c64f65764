"""Series written for other programs: NMRPipe, JCAMP-DX, CSDM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from nmrqb.errors import InputError
from nmrqb.files.export.csdm import write_csdm
from nmrqb.files.export.jcampdx import write_jcampdx
from nmrqb.files.export.nmrpipe import write_nmrpipe
from nmrqb.signals.series import Series

Format = Literal["nmrpipe", "jcamp-dx", "csdm"]
FORMATS: tuple[Format, ...] = get_args(Format)
_WRITERS: dict[Format, tuple[str, Callable[[Path, Series], None]]] = {
    "nmrpipe": ("series.fid", write_nmrpipe),
    "jcamp-dx": ("series.dx", write_jcampdx),
    "csdm": ("series.csdf", write_csdm),
}


def export_series(folder: Path, series: Series, kind: Format) -> Path:
    """Write a series into a folder that exists; return its file.

    NMRPipe holds 24 bits and no array axis, which goes beside it as ``series.axis``; JCAMP-DX is
    rounded to 31 bits of the largest point; CSDM holds every number as it is.

    Raises
    ------
    InputError
        Where `kind` is no format, or the format cannot hold the series.
    """
    if kind not in _WRITERS:
        raise InputError(
            f"must be one of {', '.join(FORMATS)}, but is {kind!r}", key="--to", value=kind
        )
    name, write = _WRITERS[kind]
    write(folder / name, series)
    return folder / name
