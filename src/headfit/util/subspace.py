"""Leading principal directions of many points."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.floating[Any]]

EXTRA = 8  # directions carried along, so that the last ones wanted are accurate too
ROUNDS = 4


def leading_directions(
    points: Points, count: int, rng: np.random.Generator, dtype: type = np.float64
) -> Points:
    """Find the orthonormal directions of largest variance, by subspace iteration.

    scikit-learn's ``randomized_svd`` does the same with other random numbers and another
    normalisation between the rounds, so fits that start here would change in their last digits.

    Args:
        points: float (n, d), centred; n at least 1.
        count: how many, at most d; those beyond the rank of the points are arbitrary.
        rng: draws the initial subspace.
        dtype: of the numbers drawn.

    Returns:
        float (d, count) of the dtype of ``points``, the largest variance first.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> points = rng.standard_normal((100, 3)) * [9, 1, 1]
    >>> np.abs(leading_directions(points, 1, rng)[:, 0]).round(1)
    array([1., 0., 0.])
    """
    size = min(count + EXTRA, points.shape[1])
    start = rng.standard_normal((points.shape[1], size), dtype)
    basis = np.linalg.qr(start.astype(points.dtype))[0]
    for _ in range(ROUNDS):
        basis = np.linalg.qr(points.T @ (points @ basis))[0]
    along = points @ basis
    _, rotation = np.linalg.eigh(along.T @ along)
    directions: Points = basis @ rotation[:, ::-1][:, :count]
    return directions
