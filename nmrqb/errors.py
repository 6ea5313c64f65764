"""Errors that a user can act on: each names the file, the key, the value and the limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with an input, in words and in fields.

    Attributes
    ----------
    message : str
        One sentence: what must hold and what was found.
    file : str or None
        The file that holds the value.
    key : str or None
        The key inside the file, dotted, steps counted from 0 (``cycle[0].delay``), or the option.
    value : str or None
        What was found.
    limit : str or None
        What is allowed.
    """

    message: str
    file: str | None = None
    key: str | None = None
    value: str | None = None
    limit: str | None = None

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.file, self.key) if part)
        text = f"{place}: {self.message}" if place else self.message
        return one_line(text)


class NmrqbError(Exception):
    """Base of every error that nmrqb raises on purpose; carries its problems as fields."""

    def __init__(
        self,
        problem: Problem | str | tuple[Problem, ...] | list[Problem],
        *,
        file: str | None = None,
        key: str | None = None,
        value: object = None,
        limit: str | None = None,
    ) -> None:
        if isinstance(problem, str):
            shown = None if value is None else str(value)
            problem = Problem(message=problem, file=file, key=key, value=shown, limit=limit)
        self.problems: tuple[Problem, ...] = (
            (problem,) if isinstance(problem, Problem) else tuple(problem)
        )
        if not self.problems:
            raise ValueError("an error must name at least one problem")
        super().__init__(str(self))

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        listed = "; ".join(f"[{k}] {p}" for k, p in enumerate(self.problems, start=1))
        return f"{len(self.problems)} problems: {listed}"


class InputError(NmrqbError):
    """A file, an option or a value that cannot be used as it is (exit code 2)."""


class LimitError(NmrqbError):
    """A legal request that the spectrometer cannot carry out within its limits (exit code 1)."""


class ConvergenceError(NmrqbError):
    """A calculation that did not reach its stated accuracy; no result is returned in its place."""


def one_line(text: str) -> str:
    """Return `text` with control characters and line ends replaced, so that it stays one line."""
    cleaned = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(cleaned.split())
