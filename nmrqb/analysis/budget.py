"""The error budget of measured polarisations: how much of the variance each source brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorSource:
    """One source of error.

    Attributes
    ----------
    name : str
    own : ndarray, shape (rows, rows), or None
        Covariance, where it differs from row to row.
    relative : float
        Relative standard error of a factor common to all rows.
    reason : str or None
        Why it brings nothing, or nothing that is known.
    """

    name: str
    own: Array | None = None
    relative: float = 0.0
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBudget:
    """Independent sources of error of some polarisations; their variances add up to the total.

    Attributes
    ----------
    values : ndarray, shape (rows,)
        What a common factor multiplies.
    sources : tuple of ErrorSource
    """

    values: Array
    sources: tuple[ErrorSource, ...]

    @property
    def own_covariance(self) -> Array:
        """Of the sources that differ from row to row, shape (rows, rows)."""
        rows = len(self.values)
        return sum((s.own for s in self.sources if s.own is not None), np.zeros((rows, rows)))

    @property
    def scale_error(self) -> float:
        """Relative standard error of all common factors together."""
        return float(np.sqrt(sum(s.relative**2 for s in self.sources)))

    @property
    def covariance(self) -> Array:
        """Of all sources, shape (rows, rows)."""
        return self.own_covariance + self.scale_error**2 * np.outer(self.values, self.values)

    def stderr(self, source: ErrorSource) -> Array:
        """Return the standard errors that one source alone would leave, shape (rows,)."""
        if source.own is not None:
            return np.asarray(np.sqrt(np.diag(source.own)))
        return np.asarray(source.relative * np.abs(self.values))

    def to_result(self) -> list[dict[str, Any]]:
        """Return the budget for result.json: a standard error for each source and row."""
        table: list[dict[str, Any]] = [
            {"source": s.name, "stderr": self.stderr(s), "reason": s.reason} for s in self.sources
        ]
        total = np.sqrt(np.diag(self.covariance))
        return [*table, {"source": "total", "stderr": total, "reason": None}]
