"""Starting values: where a curve is linear but in one or two numbers, those are tried on a grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def linear_levels(columns: Array, y: Array, covariance: Array) -> tuple[Array, Array]:
    """Return chi-square and levels of the linear fit at every node of a grid.

    Parameters
    ----------
    columns : ndarray, shape (nodes, points, levels)
        What the levels multiply; a column of zeros gets the level 0.
    y : ndarray, shape (points,)
    covariance : ndarray, shape (points, points)
        Its diagonal weights the points.

    Returns
    -------
    chi2 : ndarray, shape (nodes,)
    levels : ndarray, shape (nodes, levels)
    """
    weight = 1.0 / np.sqrt(np.diag(covariance))
    design, target = columns * weight[:, None], y * weight
    # normal equations with a little ridge, for columns may be parallel or zero
    square = np.einsum("gpi,gpj->gij", design, design)
    size = np.trace(square, axis1=1, axis2=2)[:, None, None]
    square += 1e-9 * np.maximum(size, 1e-300) * np.eye(square.shape[-1])
    levels = np.linalg.solve(square, np.einsum("gpi,p->gi", design, target)[..., None])[..., 0]
    rest = np.einsum("gpi,gi->gp", design, levels) - target
    return np.sum(rest**2, axis=1), levels
