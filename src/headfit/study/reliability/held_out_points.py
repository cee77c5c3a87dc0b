"""Some held-out predictions of numbers beside the true ones, few enough to be stored and drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from headfit.fitting.metrics import Floats

MOST = 500
DIGITS = 6


def held_out_points(
    predictions: Floats, values: Floats, seed: int = 0, most: int = MOST
) -> dict[str, Any]:
    """Choose images at random, and give their numbers as they are and as predicted.

    Args:
        predictions: float64 (repeats, n, K), each image by the model that did not see it.
        values: float64 (n, K).
        seed: of the choice, where there are more than ``most``.
        most: number of images.

    Returns:
        Plain data: ``images``, how many there are in all, and ``true`` and ``predicted``, a list of
        K numbers for each that was chosen; predictions are means over repeats.

    Example:

    >>> held_out_points(np.array([[[1.5]], [[2.5]]]), np.array([[2.25]]))
    {'images': 1, 'true': [[2.25]], 'predicted': [[2.0]]}
    """
    n = len(values)
    rows = np.arange(n)
    if n > most:
        rows = np.sort(np.random.default_rng([seed, 8]).permutation(n)[:most])
    averaged = predictions.mean(axis=0)
    return {"images": n, "true": _plain(values[rows]), "predicted": _plain(averaged[rows])}


def _plain(numbers: Floats) -> list[list[float]]:
    return [[float(f"{value:.{DIGITS}g}") for value in row] for row in numbers.tolist()]
