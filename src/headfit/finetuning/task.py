"""What a training is given, and what it measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from headfit.finetuning.inputs import Inputs
from headfit.finetuning.recipe import Ints
from headfit.images.targets import Targets


@dataclass(frozen=True, eq=False)
class Task:
    """One training.

    Attributes:
        inputs: views of all n images.
        targets: of the n images.
        train: int (m,), the images to train on.
        head: weights of the fitted head that training starts from.
        learning_rate: peak rate of the last stage.
        epochs: to stop after; the rates fall as if all of the recipe's were run.
        seed: numbers that batches, views and mixing depend on.
        watch: int (w,), images whose loss is measured after each epoch; none if empty.
    """

    inputs: Inputs
    targets: Targets
    train: Ints
    head: Sequence[np.ndarray]
    learning_rate: float
    epochs: int
    seed: tuple[int, ...] = (0,)
    watch: Ints = field(default_factory=lambda: np.empty(0, np.intp))


@dataclass
class History:
    """What a training measured.

    Attributes:
        losses: mean training loss of each epoch.
        watched: loss of the watched images before training and after each epoch.
        diverged: whether a loss or a weight was not finite, or the last loss above twice that of
            guessing; then training was stopped, and its result is not used.
    """

    losses: list[float] = field(default_factory=list)
    watched: list[float] = field(default_factory=list)
    diverged: bool = False
