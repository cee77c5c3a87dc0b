"""What all heads are given alike, and what fitting one of them gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.study.protocol.splits import Splits

# λ relative to the mean square norm of the features, from large to small
PENALTIES = tuple(float(10.0**-power) for power in range(1, 10))


@dataclass(frozen=True)
class Problem:
    """Labels, folds and budget of a comparison.

    Attributes:
        labels: int (n,), 0 to K−1.
        classes: K.
        splits: the folds.
        penalties: λ tried for linear heads, from large to small.
        quick: fewer trials for heads trained by gradient descent.
        seed: of their first weights and batches.
    """

    labels: np.ndarray
    classes: int
    splits: Splits
    penalties: tuple[float, ...] = PENALTIES
    quick: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """See ``CrossValidation``, which this becomes."""

    probabilities: np.ndarray
    train_scores: np.ndarray
    choices: list[dict[str, Any]]
    final: dict[str, Any]
    warnings: list[str]
