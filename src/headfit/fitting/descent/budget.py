"""What a head that is trained by gradient descent may spend: attempts, epochs, batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headfit.heads.body import Dense, Step

Floats = npt.NDArray[np.floating[Any]]

WARMUP = 0.25
# A small folder would otherwise give too few steps: on 150 photographs, 8 steps an epoch instead of
# 5 bring the log-loss from 1.04 to 0.83 (best of three trials).
LEAST_STEPS, LEAST_BATCH = 8, 8


class Trial(NamedTuple):
    """Peak learning rate and decoupled weight decay of one attempt."""

    learning_rate: float
    weight_decay: float


# Measured with gap-1024-1024-512 on EfficientNet-Lite0 features, 5 folds, 10 epochs; held-out
# log-loss (accuracy in %) of the three trials:
#   hands showing 10 digits,   600 photographs   0.379 (88.5)   0.339 (90.0)   0.293 (91.2)
#   the same,                2,062               0.243 (91.7)   0.203 (93.7)   0.184 (94.3)
#   solar cells, 2 classes,    600               0.491 (81.3)   0.461 (81.5)   0.518 (82.2)
# The last overfit: stopped after 5 to 7 epochs they are at 0.466, 0.432 and 0.446.
# 15 networks took 32 s on 600 images and, on cores shared with others, 145 s on 2,062.
# At (2e-3, 10) on 600 digits, 2 folds, 5 steps an epoch: 6 epochs 0.39, 10 0.26, 20 0.25. There,
# a weight decay of 30 is worse (0.38), as is one of 3 (0.38).
TRIALS = (Trial(5e-4, 3.0), Trial(1e-3, 10.0), Trial(3e-3, 10.0))
QUICK_TRIALS = (Trial(1e-3, 10.0),)
# Without a hidden layer there is one matrix to learn and larger steps pay: gap-dropout0.4 on 688
# digits has a log-loss of 0.50, 0.28 to 0.30, 0.28 and 0.39 to 0.43 at 3e-3, 1e-2, 3e-2 and 1e-1.
SHALLOW_TRIALS = (Trial(1e-2, 1.0), Trial(3e-2, 0.1), Trial(3e-2, 1.0))
QUICK_SHALLOW_TRIALS = (Trial(1e-2, 1.0),)


def trials_for(body: Sequence[Step], *, quick: bool, hidden: bool = False) -> tuple[Trial, ...]:
    """Give the attempts for a body; as many for every body.

    Args:
        body: the steps between the features and the final layer.
        quick: whether there is one attempt.
        hidden: whether layers with matrices come before the body.
    """
    if hidden or any(isinstance(step, Dense) for step in body):
        return QUICK_TRIALS if quick else TRIALS
    return QUICK_SHALLOW_TRIALS if quick else SHALLOW_TRIALS


@dataclass(frozen=True)
class Schedule:
    """How long and in what order.

    Attributes:
        epochs: passes over the images.
        batch_size: images in a step, at most; they are dealt evenly, so 2,000 make 16 × 125,
            and a small folder makes smaller batches rather than fewer than 8 steps.
        seed: of the first weights, the order of the images and the dropout masks.
    """

    epochs: int = 10
    batch_size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not 0 <= self.seed < 2**32:
            raise ValueError(f"epochs, batch_size must be >= 1, seed in 0..2³²−1, not {self}.")

    def shape(self, images: int) -> tuple[int, int]:
        """Return the steps of an epoch and the images of a step."""
        least = min(LEAST_STEPS, math.ceil(images / LEAST_BATCH))
        steps = max(math.ceil(images / self.batch_size), least)
        return steps, math.ceil(images / steps)

    def factors(self, images: int) -> Floats:
        """Give each step's share of the peak learning rate: linear warm-up, then a half cosine.

        Returns:
            float32 (epochs, steps), in (0, 1].
        """
        steps, _ = self.shape(images)
        done = (np.arange(self.epochs * steps) + 0.5) / (self.epochs * steps)
        falling = 0.5 + 0.5 * np.cos(np.pi * (done - WARMUP) / (1.0 - WARMUP))
        factors = np.where(done < WARMUP, done / WARMUP, falling)
        return factors.astype(np.float32).reshape(self.epochs, steps)

    def rows(self, images: int, epoch: int) -> npt.NDArray[np.int32]:
        """Deal one epoch's images, shuffled, to its steps.

        Returns:
            int32 (steps, batch); every image once, then −1 for the places left empty.
        """
        steps, size = self.shape(images)
        rows = np.full(steps * size, -1, np.int32)
        rows[:images] = np.random.default_rng((self.seed, epoch)).permutation(images)
        # Column by column, so that the empty places are spread over the steps.
        return np.ascontiguousarray(rows.reshape(size, steps).T)
