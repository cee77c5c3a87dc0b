"""What a search for penalties finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# a fold stops when the inner loss is this much above its least, or twice in a row above it
RISE = 1.01
Unit = tuple[int, int]
"""Repeat and outer fold."""


@dataclass(frozen=True)
class Choices:
    """Results of the search for each of its units, in their order.

    Attributes:
        losses: float64 (units, penalties), inner loss; nan where the path had stopped.
        chosen: int (units,), which penalty.
        scores: (units, K, n), of all images by the model of the unit's training part.
        train: float64 (units,), the primary metric on the training part.
        stopped: number of these models that ran out of steps.
    """

    losses: np.ndarray
    chosen: np.ndarray
    scores: np.ndarray
    train: np.ndarray
    stopped: int = 0


def rises(losses: np.ndarray) -> bool:
    """Whether the least loss has been passed: the last is clearly higher, or the last two are."""
    least = losses.min()
    return bool(losses[-1] > RISE * least or (losses[-2:] > least).sum() == 2)
