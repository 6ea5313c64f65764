"""Exact propagation of a vector under a constant sparse generator, block by block.

The connected components of the generator's graph are its invariant blocks: conserved coherence
orders are found by the graph, not declared by hand.  Only blocks that the state occupies are
propagated.  Small blocks get a dense exponential, which is kept and reused when the same segment
comes again (a cycle is one map applied n times); large ones the action of the exponential on the
vector.  A state that fills thousands of small blocks (free precession after a pulse on 36
satellites) is propagated by one sparse matrix that holds all their exponentials.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import expm_multiply

Vector = NDArray[np.complex128]

#: Blocks up to this size are exponentiated densely (512: 0.1 s once, then 0.3 ms a step).
DENSE_BLOCK = 512
#: More occupied blocks than this are propagated together.
_FEW_BLOCKS = 24
#: Spaces up to this size are always propagated as a whole: four satellites have 140 elements.
_SMALL_SPACE = 256
#: Whole propagators that are kept: 36 satellites need 9 MB for each duration.
_KEPT_PROPAGATORS = 24


@dataclass(slots=True)
class Generator:
    """A constant generator d rho/dt = G rho with its invariant blocks.

    Parameters
    ----------
    matrix : sparse array, shape (D, D)
        G in 1/s.

    Attributes
    ----------
    largest_block : int
        Size of the largest block that was propagated so far.
    """

    matrix: sp.csr_array
    largest_block: int = field(init=False, default=0)
    _blocks: list[NDArray[np.int64]] = field(init=False, repr=False)
    _label: NDArray[np.int64] = field(init=False, repr=False)
    _sizes: NDArray[np.int64] = field(init=False, repr=False)
    _diagonal: Vector = field(init=False, repr=False)
    _dense: dict[tuple[int, float], NDArray[np.complex128]] = field(
        init=False, repr=False, default_factory=dict
    )
    _sparse: dict[int, sp.csr_array] = field(init=False, repr=False, default_factory=dict)
    _propagators: dict[float, sp.csr_array | Vector] = field(
        init=False, repr=False, default_factory=dict
    )
    _stacks: list[tuple[NDArray[np.int64], Vector]] | None = field(
        init=False, repr=False, default=None
    )

    def __post_init__(self) -> None:
        matrix = self.matrix
        pattern = sp.csr_array(
            (np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape
        )
        count, label = connected_components(pattern, directed=False)
        order = np.argsort(label, kind="stable")
        bounds = np.searchsorted(label[order], np.arange(count + 1))
        self._blocks = [order[bounds[k] : bounds[k + 1]] for k in range(count)]
        self._label = label.astype(np.int64)
        self._sizes = np.diff(bounds)
        self._diagonal = matrix.diagonal().astype(np.complex128)

    def block_sizes(self, state: Vector) -> list[int]:
        """Return the sizes of the blocks that `state` occupies, largest first."""
        return sorted(self._sizes[self._occupied(state)].tolist(), reverse=True)

    def _occupied(self, state: Vector) -> NDArray[np.int64]:
        filled = np.zeros(len(self._sizes), dtype=bool)
        filled[self._label[np.flatnonzero(state)]] = True
        return np.flatnonzero(filled)

    def propagate(self, state: Vector, duration_s: float) -> Vector:
        """Return exp(G t) applied to `state`.

        Parameters
        ----------
        state : ndarray, shape (D,)
        duration_s : float
            t >= 0 in seconds.
        """
        if duration_s < 0.0:
            raise ValueError(f"duration_s must be at least 0 s, but is {duration_s} s")
        result = np.zeros_like(state)
        if duration_s == 0.0:
            return state.copy()
        is_small = len(self._label) <= _SMALL_SPACE
        if is_small and self.largest_block == self._sizes.max():
            return np.asarray(self._propagator(duration_s) @ state)
        occupied = self._occupied(state)
        self.largest_block = max(self.largest_block, int(self._sizes[occupied].max(initial=0)))
        if is_small:
            return np.asarray(self._propagator(duration_s) @ state)
        if len(occupied) > _FEW_BLOCKS:
            if self._sizes[occupied].max(initial=0) > DENSE_BLOCK:
                return np.asarray(expm_multiply(self.matrix * duration_s, state))
            return np.asarray(self._propagator(duration_s) @ state)
        for k in occupied:
            block = self._blocks[int(k)]
            part = state[block]
            if len(block) == 1:
                result[block] = part * np.exp(self._diagonal[block[0]] * duration_s)
            elif len(block) <= DENSE_BLOCK:
                result[block] = self._dense_exponential(int(k), duration_s) @ part
            else:
                result[block] = expm_multiply(self._block_matrix(int(k)) * duration_s, part)
        return result

    def _block_matrix(self, k: int) -> sp.csr_array:
        if k not in self._sparse:
            block = self._blocks[k]
            self._sparse[k] = sp.csr_array(self.matrix[block][:, block])
        return self._sparse[k]

    def _dense_exponential(self, k: int, duration_s: float) -> NDArray[np.complex128]:
        key = (k, duration_s)
        if key not in self._dense:
            dense = self._block_matrix(k).toarray() * duration_s
            self._dense[key] = np.asarray(scipy.linalg.expm(dense), dtype=np.complex128)
        return self._dense[key]

    def _propagator(self, duration_s: float) -> sp.csr_array | Vector:
        """Return exp(G t) of all blocks up to DENSE_BLOCK: sparse, of small spaces dense."""
        if duration_s not in self._propagators:
            while len(self._propagators) >= _KEPT_PROPAGATORS:
                self._propagators.pop(next(iter(self._propagators)))
            is_small = len(self._label) <= _SMALL_SPACE
            made = self._dense_propagator if is_small else self._sparse_propagator
            self._propagators[duration_s] = made(duration_s)
        return self._propagators[duration_s]

    def _dense_propagator(self, duration_s: float) -> Vector:
        whole = np.zeros(self.matrix.shape, dtype=np.complex128)
        for index, exponentials in self._exponentials(duration_s):
            whole[index[:, :, None], index[:, None, :]] = exponentials
        return whole

    def _sparse_propagator(self, duration_s: float) -> sp.csr_array:
        rows, cols, data = [], [], []
        for index, exponentials in self._exponentials(duration_s):
            rows.append(np.broadcast_to(index[:, :, None], exponentials.shape).ravel())
            cols.append(np.broadcast_to(index[:, None, :], exponentials.shape).ravel())
            data.append(exponentials.ravel())
        listed = (np.concatenate(data), (np.concatenate(rows), np.concatenate(cols)))
        found = sp.csr_array(sp.coo_array(listed, shape=self.matrix.shape))
        found.eliminate_zeros()
        return found

    def _exponentials(self, duration_s: float) -> Iterator[tuple[NDArray[np.int64], Vector]]:
        """Yield the exponentials of all blocks of a size, up to DENSE_BLOCK.

        Elements of the blocks, shape (blocks, size), and exp(G t), shape (blocks, size, size).
        """
        if self._stacks is None:
            self._stacks = self._blocks_by_size()
        for index, stack in self._stacks:
            is_scalar = stack.shape[-1] == 1
            yield index, (np.exp if is_scalar else scipy.linalg.expm)(stack * duration_s)

    def _blocks_by_size(self) -> list[tuple[NDArray[np.int64], Vector]]:
        sizes = self._sizes
        place = np.zeros(len(self._label), dtype=np.int64)  # of an element within its block
        for block in self._blocks:
            place[block] = np.arange(len(block))
        entries = sp.coo_array(self.matrix)
        label = self._label[entries.coords[0]]
        found = []
        for size in np.unique(sizes[sizes <= DENSE_BLOCK]):
            same = np.flatnonzero(sizes == size)
            rank = np.full(len(sizes), -1, dtype=np.int64)
            rank[same] = np.arange(len(same))
            use = np.flatnonzero(sizes[label] == size)
            stack = np.zeros((len(same), size, size), dtype=np.complex128)
            row, col = (place[c[use]] for c in entries.coords)
            stack[rank[label[use]], row, col] = entries.data[use]
            found.append((np.array([self._blocks[k] for k in same]), stack))
        return found
