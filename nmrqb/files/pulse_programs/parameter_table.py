"""The parameter table beside a program: ``NAME | value | unit | meaning``, one a line."""

from __future__ import annotations

from collections.abc import Iterable

from nmrqb.errors import InputError

Row = tuple[str, str, str, str]


def table_text(title: str, rows: Iterable[Row]) -> str:
    """Return the text of a table; its columns are padded for the eye."""
    listed = [("NAME", "VALUE", "UNIT", "MEANING"), *rows]
    widths = [max(len(row[k]) for row in listed) for k in range(3)]
    lines = [f"# {title}"]
    for row in listed:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append(" | ".join([*padded, row[3]]).rstrip())
    return "\n".join([*lines, ""])


def parse_table(text: str, file: str) -> dict[str, str]:
    """Return name -> value of a table.

    Raises
    ------
    InputError
        For a line that is no row, or a name that comes twice.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 4 or cells[0] in found:
            raise InputError(
                "must be NAME | value | unit | meaning, each name once",
                file=file,
                key=f"line {number}",
                value=line,
            )
        found[cells[0]] = cells[1]
    return found
