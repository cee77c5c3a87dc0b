"""Directions in which points vary most, for weights that start from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.floating[Any]]

SPARE = 8  # directions carried along, so that the last ones wanted are found well too
ROUNDS = 4


def principal_directions(points: Points, count: int, rng: np.random.Generator) -> Points:
    """Find orthonormal directions by subspace iteration, much quicker than a full decomposition.

    Args:
        points: float (n, d), centred; n at least 1.
        count: how many, at most d; those beyond the rank of the points are arbitrary.
        rng: for the first guess.

    Returns:
        float (d, count), the direction of the largest variance first.
    """
    size = min(count + SPARE, points.shape[1])
    found = np.linalg.qr(rng.standard_normal((points.shape[1], size)).astype(points.dtype))[0]
    for _ in range(ROUNDS):
        found = np.linalg.qr(points.T @ (points @ found))[0]
    inside = points @ found
    _, turn = np.linalg.eigh(inside.T @ inside)
    directions: Points = found @ turn[:, ::-1][:, :count]
    return directions
