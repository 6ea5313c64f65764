"""Numbers with their standard errors, as people write them."""

from __future__ import annotations

import math

from nmrqb.analysis.curve_fit import FittedParameter


def with_error(value: float, stderr: float | None) -> str:
    """Return a number with its standard error, both to the error's second digit."""
    if not stderr:
        return f"{value:.6g}"
    digits = _decimals(stderr)
    if digits > 6 or abs(value) >= 1e7:
        return f"{value:.6g} +- {stderr:.2g}"
    return f"{value:.{digits}f} +- {stderr:.{digits}f}"


def in_words(p: FittedParameter, *, interval: bool = False) -> str:
    """Return a fitted number with error and unit, and its 95 % interval, or why it is withheld."""
    if p.value is None:
        return str(p)
    note = "" if p.reason is None else f" ({p.reason})"
    text = f"{with_error(p.value, p.stderr)} {p.unit}".rstrip() + note
    if not interval or p.ci95[0] is None or p.ci95[1] is None:
        return text
    low, high = (
        f"{end:.{_decimals(p.stderr)}f}" if p.stderr and abs(end) < 1e7 else f"{end:.4g}"
        for end in p.ci95
        if end is not None
    )
    return f"{text}  95 %: {low} to {high}"


def _decimals(stderr: float) -> int:
    return max(0, 1 - math.floor(math.log10(stderr)))
