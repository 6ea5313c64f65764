"""First-order multiplets of a spin with N equivalent neighbours of any spin I.

Each neighbour shifts the line by m J, m = -I, ..., I with equal populations: the multiplet is the
N-fold convolution of one neighbour's pattern (multinomial weights; binomial for I = 1/2).  An
antiphase multiplet is that of the operator S_x I_z in one of the neighbours, whose pattern is then
weighted with m/I.  The sign of J does not show: J > 0 here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: neighbours beyond which the outer lines are never seen
MAX_NEIGHBOURS = 60
#: the largest spin of a stable nucleus is 7 (176Lu)
_MAX_SPIN = Fraction(7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiplet:
    """The splitting by equivalent neighbours.

    Attributes
    ----------
    neighbours : int
        N, 1 to 60.
    spin : Fraction
        I of one neighbour: a multiple of 1/2.
    antiphase : bool
        Lines weighted with the magnetic quantum number of one neighbour.
    """

    neighbours: int
    spin: Fraction = Fraction(1, 2)
    antiphase: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.neighbours <= MAX_NEIGHBOURS:
            raise ValueError(f"neighbours must be 1 to {MAX_NEIGHBOURS}, but are {self.neighbours}")
        spin = Fraction(self.spin)
        if not (0 < spin <= _MAX_SPIN and (2 * spin).denominator == 1):
            raise ValueError(f"spin must be 1/2, 1, 3/2, ... up to 7, but is {self.spin}")
        object.__setattr__(self, "spin", spin)

    @property
    def orders(self) -> NDArray[np.float64]:
        """Sum of the neighbours' m in each line, rising, shape (2 N I + 1,)."""
        top = float(self.neighbours * self.spin)
        return np.arange(-top, top + 0.5)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Relative intensities of the lines, of absolute sum at most 1, shape (2 N I + 1,)."""
        return _weights(self.neighbours, self.spin, self.antiphase)

    def __str__(self) -> str:
        kind = "antiphase multiplet" if self.antiphase else "multiplet"
        return f"{kind} of {self.neighbours} x spin {self.spin}"


@lru_cache(maxsize=128)
def _weights(neighbours: int, spin: Fraction, antiphase: bool) -> NDArray[np.float64]:
    states = int(2 * spin) + 1
    one = np.full(states, 1.0 / states)
    weights = one * np.linspace(-1.0, 1.0, states) if antiphase else one
    for _ in range(neighbours - 1):
        weights = np.convolve(weights, one)
    weights.setflags(write=False)
    return weights


def parse_multiplet(text: str, *, antiphase: bool = False) -> Multiplet:
    """Return the multiplet of ``N:SPIN``, such as ``3:1/2`` or ``3:1``.

    Raises
    ------
    ValueError
        Where the text is not of this form or a number is out of its range.
    """
    found = re.fullmatch(r"(\d{1,3}):(\d{1,2}(?:/2|\.[05])?)", text, flags=re.ASCII)
    if found is None:
        raise ValueError(f"must be N:SPIN, such as 3:1/2 or 6:1, but is {text!r}")
    return Multiplet(neighbours=int(found[1]), spin=Fraction(found[2]), antiphase=antiphase)


#: what `choose` tries: up to nine spins 1/2, six spins 1, three spins 3/2
CANDIDATES = tuple(
    Multiplet(neighbours=n, spin=spin)
    for spin, most in ((Fraction(1, 2), 9), (Fraction(1), 6), (Fraction(3, 2), 3))
    for n in range(1, most + 1)
)
