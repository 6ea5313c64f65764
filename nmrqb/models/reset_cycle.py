"""What re-energised cycles stand for: exchange for d, crush, renew a share of the chargers.

Model time counts the exchanges only.  With a and c the polarisations of the battery and of N
uncorrelated chargers at the start of an exchange, counted from the level that both end at,

    a -> (1 - b) a + b c,    c -> (1 - f) (c + (b/N) (a - c)),

b = b_N(d) and f the share of the chargers' deviation that the wait removes.  Sums over all cycles
give the charging time, integrated over the deviation and within the exchanges too, exactly:

    1/k = Gamma/(2 N g^2) + 1/(N R1),
    Gamma = 2 N g^2 (integral of 1 - b over the exchange)/b,    R1 = f/((1 - f) d),

which is the law of chargers that dephase at Gamma and repolarise at R1 all the time.  So the
exchange rate of a dephased charger is kept.  The end is not: dephasing alone shares what both held,
a = c.  The battery does not relax; for N > 1 the order that an exchange leaves among the chargers
is neglected (the closed map).  Arguments broadcast; rates and g are in one unit, durations in its
inverse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmrqb.models.exchange import exchange_transfer, mean_exchange_transfer

Array = NDArray[np.float64]


def reset_share(wait: ArrayLike, t1: ArrayLike) -> Array:
    """Return f = 1 - e^{-wait/T1}, the share of the chargers' deviation that a wait removes."""
    return np.asarray(-np.expm1(-np.asarray(wait, float) / np.asarray(t1, float)))


def wait_for_reset(t1: ArrayLike, error: ArrayLike) -> Array:
    """Return the wait T1 ln(1/error) after which a reset is complete but for `error`.

    Raises
    ------
    ValueError
        Where `error` is not above 0 and at most 1.
    """
    delta = np.asarray(error, float)
    if not ((delta > 0.0) & (delta <= 1.0)).all():
        raise ValueError(f"`error` must be above 0 and at most 1, but is {error!r}")
    return np.asarray(-np.asarray(t1, float) * np.log(delta))


def cycle_dephasing(g: ArrayLike, duration: ArrayLike, chargers: int = 1) -> Array:
    """Return Gamma of cycles with an exchange of d = `duration`: about 2/d where g d is small.

    For one charger Gamma = (g^2 d + g sin(2 g d)/2)/sin^2(g d).  It is smallest, pi g/2, at the
    full exchange, and diverges where the exchange returns everything (b = 0).
    """
    g, d = np.asarray(g, float), np.asarray(duration, float)
    jt = g * d / np.pi
    kept = d * (1.0 - mean_exchange_transfer(chargers, jt))
    with np.errstate(divide="ignore"):
        return np.asarray(2.0 * chargers * g**2 * kept / exchange_transfer(chargers, jt))


def cycle_repolarisation(duration: ArrayLike, reset: ArrayLike) -> Array:
    """Return R1 = f/((1 - f) d) of cycles that renew a share f = `reset`; infinite for f = 1.

    Negative for f > 1: chargers that come back inverted have no continuous counterpart.
    """
    f, d = np.asarray(reset, float), np.asarray(duration, float)
    with np.errstate(divide="ignore"):
        return np.asarray(f / ((1.0 - f) * d))


def cycle_charging_time(
    g: ArrayLike, duration: ArrayLike, reset: ArrayLike, chargers: int = 1
) -> Array:
    """Return 1/k, the battery's deviation integrated over model time.

    The deviation is 1 at the start, where the chargers are full.

    Parameters
    ----------
    g : array_like
    duration : array_like
        d, of one exchange.
    reset : array_like
        f; without any (0) the time is infinite.
    chargers : int
        N.
    """
    f, d = np.asarray(reset, float), np.asarray(duration, float)
    exchange = cycle_dephasing(g, d, chargers) / (2.0 * chargers * np.asarray(g, float) ** 2)
    with np.errstate(divide="ignore"):
        return np.asarray(exchange + d * (1.0 - f) / (chargers * f))


def physical_rates(g: float, dephasing: float, repolarisation: float) -> tuple[float, float] | None:
    """Return (Gamma, R1) of a charger that a continuous process can have, with the same 1/k.

    A spin that repolarises at R1 loses coherence at R1/2 or more.  Where R1 > 2 `dephasing` the
    pair on that border with the same Gamma/(2 g^2) + 1/R1 is taken; None where that time is shorter
    than 1/g, the shortest of all such pairs, so that no continuous process charges as fast.
    """
    if repolarisation <= 2.0 * dephasing:
        return dephasing, repolarisation
    sum_of_both = dephasing + 2.0 * g**2 / repolarisation
    discriminant = sum_of_both**2 - 4.0 * g**2
    if discriminant < 0.0:
        return None
    gamma = (sum_of_both + discriminant**0.5) / 2.0
    return gamma, 2.0 * gamma
