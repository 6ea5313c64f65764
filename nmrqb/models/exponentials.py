"""Sums of exponentials: how any star with a constant generator charges."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialSum:
    """f(t) = final + Re sum_j amplitude_j exp(lambda_j t), all Re lambda_j < 0.

    Attributes
    ----------
    final : float
    amplitudes, exponents : ndarray of complex, shape (modes,)
    """

    final: float
    amplitudes: NDArray[np.complex128]
    exponents: NDArray[np.complex128]

    def __call__(self, times: Array) -> Array:
        """Return f at `times`, shape (points,)."""
        phases = np.exp(np.multiply.outer(np.asarray(times, dtype=np.float64), self.exponents))
        result: Array = self.final + (phases @ self.amplitudes).real
        return result

    def significant(self, weight: float) -> ExponentialSum:
        """Return only the modes of |amplitude| > `weight`."""
        return self.only(np.abs(self.amplitudes) > weight)

    def only(self, keep: NDArray[np.bool_]) -> ExponentialSum:
        """Return the sum with only the chosen modes."""
        return replace(self, amplitudes=self.amplitudes[keep], exponents=self.exponents[keep])

    def rates(self) -> Array:
        """Return the decay rate of each mode, shape (modes,)."""
        return -self.exponents.real

    def turning(self) -> Array:
        """Return the angular frequency at which each mode turns."""
        return np.abs(self.exponents.imag)

    def envelope(self, time: float) -> Array:
        """Return a bound on each mode for all later times, shape (modes,)."""
        result: Array = np.abs(self.amplitudes) * np.exp(self.exponents.real * time)
        return result
