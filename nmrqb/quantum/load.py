"""Generators of a load: one more spin that is coupled to the centre of a star alone."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy.sparse as sp

from nmrqb.quantum import operators as op
from nmrqb.quantum.star import Equilibrium, SpinRelaxation, StarSpace

#: zero: the two spins flip against each other and conserve their sum; double: they flip together
#: and conserve their difference
Quanta = Literal["zero", "double"]


def load_exchange(space: StarSpace, coupling_hz: float, quanta: Quanta) -> sp.csr_array:
    """Return the generator of the exchange between centre and load, shape (dimension, dimension).

    H = g (S+ L- + S- L+) for "zero", H = g (S+ L+ + S- L-) for "double", g = pi J.
    """
    g, up, down = np.pi * coupling_hz, op.SIGMA_PLUS, op.SIGMA_MINUS
    first, second = (down, up) if quanta == "zero" else (up, down)
    return space.commutator([(g, up, first), (g, down, second)], load=True)


def load_coupling(space: StarSpace, coupling_hz: float) -> sp.csr_array:
    """Return the generator of the weak coupling of centre and load, H = 2 pi J Sz Lz."""
    terms = [(np.pi * coupling_hz / 2.0 + 0j, op.SIGMA_Z, op.SIGMA_Z)]
    return space.commutator(terms, load=True)


def load_relaxation(
    space: StarSpace, load: SpinRelaxation, equilibrium: Equilibrium
) -> sp.csr_array:
    """Return the generator of the load's T1 and T2 towards its equilibrium.

    Both equilibria as in `StarSpace.relaxation`.
    """
    if equilibrium == "exact":
        if abs(load.equilibrium) > 1.0:
            raise ValueError("an exact equilibrium polarisation lies within -1..1")
        return space.on_load(op.relaxation(load.t1_s, load.t2_s, load.equilibrium))
    total = space.on_load(op.relaxation(load.t1_s, load.t2_s, 0.0))
    target, identity = space.position(op.ONE, load=op.Z), space.position(op.ONE)
    source = ([load.equilibrium / load.t1_s], ([target], [identity]))
    total = sp.csr_array(total + sp.coo_array(source, shape=total.shape))
    total.eliminate_zeros()
    return total
