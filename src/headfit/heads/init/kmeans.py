"""A small k-means, for weights that start from centres."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.floating[Any]]

ROUNDS = 20


def centres(points: Points, count: int, rng: np.random.Generator) -> Points:
    """Find centres of points: k-means++ seeding, then Lloyd's rounds.

    Args:
        points: float (n, d), n at least 1; fewer than ``count`` different ones give equal centres.
        count: how many, at least 1.
        rng: for the seeding.

    Returns:
        float (count, d).
    """
    found = _seeds(points, count, rng)
    previous = None
    for _ in range(ROUNDS):
        nearest = squared_distances(points, found).argmin(axis=1)
        if previous is not None and np.array_equal(nearest, previous):
            break
        previous = nearest
        members = nearest == np.arange(count)[:, None]
        sizes = members.sum(axis=1, keepdims=True)
        # a centre that lost all its points stays where it is
        found = np.where(sizes > 0, members @ points / np.maximum(sizes, 1), found)
    return found


def squared_distances(points: Points, found: Points) -> Points:
    """Give ‖x − c‖², float (n, count), none negative."""
    products = points @ found.T
    lengths = np.sum(points**2, axis=1)[:, None] + np.sum(found**2, axis=1)
    distances: Points = np.maximum(lengths - 2 * products, 0)
    return distances


def _seeds(points: Points, count: int, rng: np.random.Generator) -> Points:
    """Draw points, each with a chance proportional to the squared distance from those drawn."""
    chosen = [int(rng.integers(len(points)))]
    while len(chosen) < count:
        distances = squared_distances(points, points[chosen]).min(axis=1)
        total = distances.sum()
        chances = distances / total if total > 0 else None
        chosen.append(int(rng.choice(len(points), p=chances)))
    return points[chosen].copy()
