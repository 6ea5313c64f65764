"""Text that goes into programs: what users wrote, made harmless, and exact durations."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
from decimal import Decimal

_LONGEST = 160
_HARMLESS = re.compile(r"[^A-Za-z0-9 _.,:+()=%-]")


def harmless(text: str, longest: int = _LONGEST) -> str:
    """Return a user's text as one line of ASCII that ends no comment and starts no statement.

    Letters, digits, blanks and ``_.,:+()=%-`` stay, everything else (quotes, slashes, asterisks,
    backslashes, hashes, semicolons, line ends, ...) becomes an underscore.  What is longer than
    `longest` is cut.
    """
    softened = text.replace("\n", " ").replace(";", ",").replace("'", "")
    line = " ".join(_HARMLESS.sub("_", softened).split())
    return line if len(line) <= longest else f"{line[:longest]}..."


def file_stem(name: str, digest: str) -> str:
    """Return a file name of letters, digits and underscores: a user's name and a short hash."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:32].rstrip("_")
    return "_".join(part for part in ("nmrqb", plain, digest[:8]) if part)


def fingerprint(*values: object) -> str:
    """Return the SHA-256 of frozen values: equal for equal protocol, register and spectrometer."""
    return hashlib.sha256("\n".join(repr(v) for v in values).encode()).hexdigest()


def seconds(ticks: int, tick_s: float) -> Decimal:
    """Return a number of ticks in seconds, exactly, for a tick of at most 12 digits."""
    return Decimal(f"{tick_s:.12g}") * ticks


def plain(number: Decimal) -> str:
    """Return a decimal number without exponent and without zeros at its end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def version() -> str:
    """Return the version of nmrqb that writes."""
    return importlib.metadata.version("nmrqb")
