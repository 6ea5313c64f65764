"""JCAMP-DX files of FIDs (``##DATA TYPE= NMR FID``) as a Series.

One FID a block, or several blocks of one link file.  nmrglue 0.12 is not used to read: it accepts
tables that fail their own checks.  The format does not say which way the receiver turns: Bruker's
and nmrqb's files turn as ours do, Magritek's the other way round; of others a warning says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmrqb.errors import InputError, one_line
from nmrqb.files.vendors.axis import axis_from_file, note_order, row_axis
from nmrqb.files.vendors.isotopes import observed_nucleus
from nmrqb.files.vendors.jcampdx_table import read_table
from nmrqb.files.vendors.raw import checked, checked_points, read_text, refuse_contradiction
from nmrqb.signals.series import Axis, Series

_MAX_BYTES = 2**29
_MAX_BLOCKS = 4096


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its labelled records (names without blanks, dashes and underscores)."""

    path: Path
    records: tuple[tuple[str, str], ...]

    def text(self, name: str, default: str = "") -> str:
        """Return the first line of a record."""
        value = next((v for k, v in self.records if k == name), default)
        return value.split("\n", 1)[0].split("$$")[0].strip()

    def number(self, name: str, default: float | None, low: float, high: float) -> float:
        """Return the number of a record."""
        text = self.text(name)
        if not text:
            if default is None:
                raise InputError("is missing", file=str(self.path), key=name)
            return default
        return checked(self.path, name, text.strip("<>"), low, high)

    def words(self, name: str) -> list[str]:
        """Return the comma-separated words of a record."""
        value = next((v for k, v in self.records if k == name), "")
        return [word.strip() for word in value.split("$$")[0].replace("\n", ",").split(",")]


def read_jcampdx(path: Path, axis_source: str | None = None) -> Series:
    """Read one JCAMP-DX file of FIDs.

    Raises
    ------
    InputError
        Where it holds no FIDs, is truncated or contradicts itself.
    """
    inside = [b for b in _blocks(path) if b.text("DATATYPE").upper() != "LINK"]
    blocks = [b for b in inside if "FID" in b.text("DATATYPE").upper()]
    if not blocks:
        raise InputError("holds no NMR FID (##DATA TYPE= NMR FID)", file=str(path), key="DATA TYPE")
    first = blocks[0]
    notes: list[str] = []
    if len(blocks) < len(inside):
        notes.append(f"{len(inside) - len(blocks)} of {len(inside)} blocks hold no FID")
    read = [_fid(block) for block in blocks]
    lengths = {len(fid) for fid, _ in read}
    dwells = {round(dwell, 15) for _, dwell in read}
    if len(lengths) > 1 or len(dwells) > 1:
        raise InputError(
            "its FIDs differ in points or dwell time: they form no series", file=str(path)
        )
    fids = checked_points(path, np.array([fid for fid, _ in read]))
    dwell = read[0][1]
    for name in (".OBSERVEFREQUENCY", ".OBSERVENUCLEUS"):
        if len({b.text(name) for b in blocks}) > 1:
            raise InputError("differs between the FIDs of the file", file=str(path), key=name)
    observed = 1e6 * first.number(".OBSERVEFREQUENCY", None, 0.1, 3000.0)
    carrier, reference = _frequencies(first, observed)
    label = first.text(".OBSERVENUCLEUS") or first.text("$NUC1")
    delay = first.number("$GRPDLY", -1.0, -1.0, 1e4)
    origin = first.number("$TIMEORIGIN", max(delay, 0.0) * dwell, 0.0, 1e3)
    maker = " ".join(first.text(n) for n in ("ORIGIN", "OWNER", "TITLE", "SPECTROMETER/DATASYSTEM"))
    if re.search(r"magritek|spinsolve", maker, re.IGNORECASE):
        fids = fids.conj()
    elif not re.search(r"bruker|topspin|xwin|nmrqb", maker, re.IGNORECASE) and delay < 0.0:
        notes.append(
            "the format does not say which way the receiver turns: if the spectrum is mirrored, "
            "convert the vendor's own files instead"
        )
    if origin > dwell * (fids.shape[1] - 16):
        raise InputError("is longer than the FID", file=str(path), key="$GRPDLY", value=origin)
    axis = _axis(path, blocks, axis_source)
    note_order(axis, notes)
    scans = [int(b.number(".AVERAGES", b.number("$NS", 1.0, 1, 2**31), 1, 2**31)) for b in blocks]
    return Series(
        fids=fids,
        dwell_s=dwell,
        time_origin_s=origin,
        dead_time_s=first.number("$DEADTIME", 0.0, 0.0, 1.0),
        carrier_hz=carrier,
        carrier_ppm=(carrier - reference) / reference * 1e6,
        nucleus=observed_nucleus(path, ".OBSERVE NUCLEUS", label, observed, None, notes),
        axis=axis,
        scans=np.array(scans),
        gain=first.number("$RG", 1.0, 0.0, 1e9),
        provenance=one_line(f"JCAMP-DX {path.name}"),
        warnings=tuple(one_line(note) for note in dict.fromkeys(notes)),
    )


def _blocks(path: Path) -> list[Block]:
    text = read_text(path, _MAX_BYTES)
    if not text.lstrip("\ufeff \r\n\t").startswith("##"):
        raise InputError("is not a JCAMP-DX file", file=str(path))
    blocks: list[Block] = []
    records: list[tuple[str, str]] = []
    ends = 0
    for chunk in re.split(r"^\s*##", text, flags=re.MULTILINE)[1:]:
        name, equals, value = chunk.partition("=")
        if not equals:
            raise InputError("holds a record without =", file=str(path), key=f"##{name[:40]}")
        key = re.sub(r"[\s_-]", "", name).upper()
        if key == "TITLE" and records:
            blocks.append(Block(path, tuple(records)))
            records = []
        records.append((key, value.strip()))
        ends += key == "END"
        if len(blocks) > _MAX_BLOCKS:
            raise InputError("holds too many blocks", file=str(path), limit=f"{_MAX_BLOCKS}")
    blocks.append(Block(path, tuple(records)))
    if not ends:
        raise InputError("is truncated: it does not end with ##END=", file=str(path), key="END")
    stated, is_link = blocks[0].text("BLOCKS"), blocks[0].text("DATATYPE").upper() == "LINK"
    if is_link and stated.isdigit() and int(stated[:9]) != len(blocks) - 1:
        raise InputError(
            f"states {stated[:9]} blocks, but holds {len(blocks) - 1}", file=str(path), key="BLOCKS"
        )
    return blocks


def _fid(block: Block) -> tuple[NDArray[np.complex128], float]:
    """Return the FID of one block and its dwell time, s."""
    path = block.path
    symbols = [s.upper() for s in block.words("SYMBOL")]
    if not {"X", "R", "I"} <= set(symbols):
        raise InputError(
            "its variables are not X, R and I: it holds no complex FID",
            file=str(path),
            key="SYMBOL",
        )

    def column(name: str, symbol: str) -> float:
        words = block.words(name)
        place = symbols.index(symbol)
        if place >= len(words):
            raise InputError(f"has no entry for {symbol}", file=str(path), key=name)
        return checked(path, f"{name} of {symbol}", words[place], -1e18, 1e18)

    points = int(checked(path, "VAR_DIM", column("VARDIM", "X"), 16, 2**28, integer=True))
    for symbol in "RI":
        refuse_contradiction(
            path, "VAR_DIM", f"VAR_DIM of {symbol}", column("VARDIM", symbol), "of X", points, 0.0
        )
    begin, end = column("FIRST", "X"), column("LAST", "X")
    dwell = checked(path, "LAST of X", (end - begin) / (points - 1), 1e-8, 10.0)
    width = block.number("$SWH", 0.0, 0.0, 1e8)
    if width:
        refuse_contradiction(
            path, "FIRST, LAST", "1/dwell", 1.0 / dwell, "SW_h", width, 2e-3 * width
        )
    factor = column("FACTOR", "X")
    pages = _pages(block)
    parts = {}
    for symbol in "RI":
        if symbol not in pages:
            raise InputError(
                f"is truncated: the page of {symbol} is missing", file=str(path), key="PAGE"
            )
        values = read_table(path, f"page of {symbol}", pages[symbol], points, factor / dwell)
        scaled = values * column("FACTOR", symbol)
        _check_ends(block, symbols, symbol, scaled)
        parts[symbol] = scaled
    return parts["R"] + 1j * parts["I"], dwell


def _pages(block: Block) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in block.records:
        if name != "DATATABLE":
            continue
        head, _, table = value.partition("\n")
        match = re.match(r"\(\s*X\s*\+\+\s*\(\s*([RI])\s*\.\.\s*\1\s*\)\s*\)", head, re.IGNORECASE)
        if match is None:
            raise InputError(
                f"is of a form that is not read: {head[:40]!r}",
                file=str(block.path),
                key="DATA TABLE",
            )
        symbol = match.group(1).upper()
        if symbol in found:
            raise InputError(
                "holds several FIDs in one block: convert the vendor's own files instead",
                file=str(block.path),
                key="PAGE",
            )
        found[symbol] = table
    return found


def _check_ends(block: Block, symbols: list[str], symbol: str, values: NDArray[np.float64]) -> None:
    """Hold the first point, the smallest and the largest against what the block states."""
    place = symbols.index(symbol)
    size = float(np.abs(values).max())
    for name, here in (("FIRST", values[0]), ("MIN", values.min()), ("MAX", values.max())):
        words = block.words(name)
        if place < len(words) and words[place]:
            stated = checked(block.path, f"{name} of {symbol}", words[place], -1e30, 1e30)
            refuse_contradiction(
                block.path, name, f"{name} of {symbol}", stated, "that of the table", float(here),
                1e-3 * size + 1.0,
            )  # fmt: skip


def _frequencies(block: Block, observed: float) -> tuple[float, float]:
    """Return the frequencies of the carrier and of 0 ppm."""
    carrier = 1e6 * block.number("$SFO1", observed / 1e6, 0.1, 3000.0)
    reference = 1e6 * block.number(
        "$SF", block.number("$BF1", observed / 1e6, 0.1, 3000.0), 0.1, 3e3
    )
    for key, value in (("$SFO1", carrier), ("$SF", reference)):
        refuse_contradiction(
            block.path, key, f"##{key}", value, ".OBSERVE FREQUENCY", observed, 1e-2 * observed
        )
    return carrier, reference


def _axis(path: Path, blocks: list[Block], axis_source: str | None) -> Axis:
    rows = len(blocks)
    if axis_source == "row":
        return row_axis(rows)
    if axis_source is not None:
        return axis_from_file(Path(axis_source), rows)
    if all(b.text("$AXISVALUE") for b in blocks):
        return Axis(
            name=one_line(blocks[0].text("$AXISNAME", "delay"))[:80],
            unit="s" if blocks[0].text("$AXISUNIT") == "s" else "",
            values=np.array([b.number("$AXISVALUE", None, -1e15, 1e15) for b in blocks]),
            source="blocks of the file",
        )
    if rows == 1:
        return Axis(name="row", unit="", values=np.zeros(1), source="a single FID")
    raise InputError(
        f"{rows} FIDs, but no array axis is stated: say it with --axis FILE (one value a line)",
        file=str(path),
        key="axis",
    )
