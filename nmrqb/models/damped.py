"""Sums of damped oscillators: how every resonant star charges.

D(w; t) solves D'' + (gamma/2) D' + w^2 D = 0 with D(0) = 1, D'(0) = 0, where gamma/2 is the rate at
which the charger's coherence decays.  It falls at gamma/4 while gamma < 4 w and Zeno-slowly,
at about 2 w^2/gamma, above.  |D| <= 1 always, since w^2 D^2 + D'^2 never grows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: values of D held in memory at once (64 MiB)
_CHUNK = 8_000_000


def damped_oscillator(frequency: Array, dephasing: float, times: Array) -> Array:
    """Return D(w; t), without overflow in every regime of damping.

    Parameters
    ----------
    frequency : ndarray, any shape
        w >= 0.
    dephasing : float
        gamma >= 0, in the unit of `frequency`.
    times : ndarray
        t >= 0, of a shape that broadcasts with `frequency`.

    Returns
    -------
    ndarray
        Of the common shape.
    """
    w, t = np.asarray(frequency, dtype=np.float64), np.asarray(times, dtype=np.float64)
    d = dephasing / 4.0
    if d == 0.0:
        return np.asarray(np.cos(w * t), dtype=np.float64)
    q = np.sqrt(np.abs((w - d) * (w + d)))
    shape = np.broadcast_shapes(w.shape, t.shape)
    under = np.broadcast_to(w > d, shape)
    if under.all():
        return _turning(q, d, t)
    if not under.any():
        return _creeping(w, q, dephasing, t)
    w_all, q_all, t_all = (np.broadcast_to(a, shape) for a in (w, q, t))
    result = np.empty(shape)
    result[under] = _turning(q_all[under], d, t_all[under])
    over = ~under
    result[over] = _creeping(w_all[over], q_all[over], dephasing, t_all[over])
    return result


def _turning(q: Array, d: float, t: Array) -> Array:
    qt = q * t
    # (d/q) sin(qt) where q t is large; as d t sinc(qt) it is whole at critical damping
    ratio = np.divide(d, q, out=np.zeros_like(q), where=q > 1e-3 * d)
    value = np.cos(qt) + ratio * np.sin(qt)
    if (q <= 1e-3 * d).any():
        value = np.where(q > 1e-3 * d, value, np.cos(qt) + d * t * np.sinc(qt / np.pi))
    return np.asarray(np.exp(-d * t) * value, dtype=np.float64)


def _creeping(w: Array, q: Array, dephasing: float, t: Array) -> Array:
    d = dephasing / 4.0
    x = 2.0 * q * t
    # e^{-slow t} [(1 + e^{-2qt})/2 + d t (1 - e^{-2qt})/(2qt)]
    share = np.divide(-np.expm1(-x), x, out=np.ones_like(x), where=x > 0.0)
    value = np.exp(-slow_rate(w, dephasing) * t) * ((1.0 + np.exp(-x)) / 2.0 + d * t * share)
    return np.asarray(value, dtype=np.float64)


def slow_rate(frequency: Array, dephasing: float) -> Array:
    """Return the slowest decay rate of D(w; t): gamma/4, or w^2/(d + q) above critical damping."""
    w = np.asarray(frequency, dtype=np.float64)
    d = dephasing / 4.0
    q = np.sqrt(np.clip((d - w) * (d + w), 0.0, None))
    total = d + q
    slow = np.divide(w * w, total, out=np.zeros_like(total), where=(w <= d) & (total > 0.0))
    rate: Array = np.where(w > d, d, slow)
    return rate


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeSum:
    """f(t) = final + sum_j amplitude_j D(w_j; t), f(0) = final + sum_j amplitude_j.

    Attributes
    ----------
    final : float
        The limit t -> infinity for gamma > 0.
    amplitudes, frequencies : ndarray, shape (modes,)
        w_j > 0, in the unit of `dephasing`.
    dephasing : float
        gamma.
    """

    final: float
    amplitudes: Array
    frequencies: Array
    dephasing: float

    def __call__(self, times: Array) -> Array:
        """Return f at `times`, shape (points,)."""
        t = np.asarray(times, dtype=np.float64)
        result = np.full(t.shape, self.final)
        step = max(1, _CHUNK // max(1, len(self.amplitudes)))
        for k in range(0, len(t), step):
            part = t[k : k + step]
            values = damped_oscillator(self.frequencies[:, None], self.dephasing, part[None, :])
            result[k : k + step] += self.amplitudes @ values
        return result

    def pruned(self, error: float) -> tuple[ModeSum, NDArray[np.int64]]:
        """Return the sum without its smallest modes, and the indices of those kept.

        What is left out changes f by at most `error`.
        """
        order = np.argsort(np.abs(self.amplitudes))
        drop = np.cumsum(np.abs(self.amplitudes[order])) <= error
        keep = np.sort(order[~drop])
        fewer = replace(self, amplitudes=self.amplitudes[keep], frequencies=self.frequencies[keep])
        return fewer, keep

    def significant(self, weight: float) -> ModeSum:
        """Return only the modes of |amplitude| > `weight`."""
        return self.only(np.abs(self.amplitudes) > weight)

    def only(self, keep: NDArray[np.bool_]) -> ModeSum:
        """Return the sum with only the chosen modes."""
        return replace(self, amplitudes=self.amplitudes[keep], frequencies=self.frequencies[keep])

    def rates(self) -> Array:
        """Return the slow decay rate of each mode, shape (modes,)."""
        return slow_rate(self.frequencies, self.dephasing)

    def turning(self) -> Array:
        """Return the frequency at which each mode turns, 0 above critical damping."""
        d = self.dephasing / 4.0
        w = self.frequencies
        return np.asarray(np.sqrt(np.clip((w - d) * (w + d), 0.0, None)), dtype=np.float64)

    def envelope(self, time: float) -> Array:
        """Return a bound on |amplitude_j D(w_j; t')| for all t' >= t, shape (modes,)."""
        d = self.dephasing / 4.0
        q = self.turning()
        under = q > 0.0
        bound = damped_oscillator(self.frequencies, self.dephasing, np.array(time))
        # |cos + (d/q) sin| <= w/q and <= 1 + d t; (1 + d t) e^{-d t} never grows
        ratio = np.divide(self.frequencies, q, out=np.full_like(q, np.inf), where=under)
        turning = np.minimum(ratio, 1.0 + d * time) * np.exp(-d * time)
        result: Array = np.abs(self.amplitudes) * np.where(under, turning, np.abs(bound))
        return result

    def with_dephasing(self, dephasing: float) -> ModeSum:
        """Return the same modes under another dephasing: w and amplitudes do not depend on it."""
        return replace(self, dephasing=dephasing)
