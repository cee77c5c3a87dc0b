"""k-means, for weights that start from centres."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.floating[Any]]

ROUNDS = 20


def centres(points: Points, count: int, rng: np.random.Generator) -> Points:
    """Find centres of points: k-means++ seeds, then 20 rounds of Lloyd's algorithm.

    Args:
        points: float64 (n, d), n at least 1; with fewer than ``count`` distinct points some centres
            are equal.
        count: number of centres, at least 1.
        rng: draws the seeds.

    Returns:
        float64 (count, d).

    Example:

    >>> points = np.array([[0.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0]])
    >>> sorted(centres(points, 2, np.random.default_rng(0)).tolist())
    [[0.0, 0.5], [9.0, 8.5]]
    """
    from scipy.cluster.vq import kmeans2  # noqa: PLC0415  (heavy)

    seeds = _seeds(points, count, rng)
    with warnings.catch_warnings():
        # a centre that lost all its points stays where it is
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        means: Points = kmeans2(points, seeds, ROUNDS, minit="matrix", check_finite=False)[0]
    return means


def squared_distances(points: Points, others: Points) -> Points:
    """Give ‖x − c‖², float (n, count), none negative."""
    products = points @ others.T
    lengths = np.sum(points**2, axis=1)[:, None] + np.sum(others**2, axis=1)
    distances: Points = np.maximum(lengths - 2 * products, 0)
    return distances


def _seeds(points: Points, count: int, rng: np.random.Generator) -> Points:
    """Draw points, each with a probability proportional to the squared distance from those drawn.

    By hand: scipy draws from a generator of its own, scikit-learn the best of several candidates.
    """
    chosen = [int(rng.integers(len(points)))]
    while len(chosen) < count:
        distances = squared_distances(points, points[chosen]).min(axis=1)
        total = distances.sum()
        chances = distances / total if total > 0 else None
        chosen.append(int(rng.choice(len(points), p=chances)))
    return points[chosen].copy()
