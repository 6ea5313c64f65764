"""Numbered parameters and phase lists of a TopSpin program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nmrqb.errors import LimitError

_FIRST = 20
_LAST = 63
#: entries of a phase list in one line
_PER_LINE = 40


@dataclass(slots=True)
class Numbers:
    """Parameters of one letter: each value has one number."""

    letter: str
    first: int = _FIRST
    last: int = _LAST
    given: dict[Any, str] = field(default_factory=dict)

    def of(self, value: Any) -> str:
        """Return the parameter that holds a value, a new one where none does yet."""
        if value not in self.given:
            number = self.first + len(self.given)
            if number > self.last:
                raise LimitError(
                    f"the number of different parameters {self.letter} must be at most "
                    f"{self.last - self.first + 1} in one program"
                )
            self.given[value] = f"{self.letter}{number}"
        return self.given[value]


def phase_program(name: str, degrees: list[float]) -> list[str]:
    """Return the lines of one phase list."""
    if all(d % 90.0 == 0.0 for d in degrees):
        unit, words = "", [f"{d / 90:.0f}" for d in degrees]
    else:
        unit, words = "(36000) ", [str(round(100.0 * d) % 36000) for d in degrees]
    starts = range(0, len(words), _PER_LINE)
    lines = [" ".join(words[start : start + _PER_LINE]) for start in starts]
    return [f"{name} = {unit}{lines[0]}", *(f"  {line}" for line in lines[1:])]
