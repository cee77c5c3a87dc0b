"""A rising learning rate: how the loss answers it, and the rate that this suggests.

The rate rises by the same factor from step to step (Smith 2017). As in fastai, the loss is an
exponential average without the bias of its start, the sweep ends once that is four times its best,
and the suggestion is the middle of its longest descent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from headfit.errors import UsageError

MEMORY = 0.9  # of the average; about as many steps as a decade of rates has
EXPLODED = 4.0  # times the best average
OF_GUESSING = 0.1  # a loss below this share of that of guessing has not exploded
LEAST_FALL = 0.02  # of the average; less is noise
LEAST_LOSS = 1e-3  # where the head is sure of all that it was fitted on, nothing can fall
MOST_STEPS = 1000


@dataclass
class SmoothLoss:
    """Losses, and their exponential average.

    Attributes:
        least: an average up to this has not exploded, however small the best is.
        losses: of each step, before it was taken.
        averages: after each of them.

    Example:

    >>> loss = SmoothLoss()
    >>> for each in (1.0, 1.0, 9.0): loss.add(each)
    >>> [round(each, 3) for each in loss.averages], loss.exploded
    ([1.0, 1.0, 3.952], False)
    """

    least: float = 0.0
    losses: list[float] = field(default_factory=list)
    averages: list[float] = field(default_factory=list)
    _sum: float = 0.0

    def add(self, loss: float) -> None:
        """Add the loss of the next step."""
        self.losses.append(loss)
        self._sum = MEMORY * self._sum + (1 - MEMORY) * loss
        self.averages.append(self._sum / (1 - MEMORY ** len(self.losses)))

    @property
    def exploded(self) -> bool:
        """Whether the sweep ends here: the loss is not finite, or far above its best."""
        if not math.isfinite(self.losses[-1]):
            return True
        return self.averages[-1] > max(EXPLODED * min(self.averages), self.least)


def rising_rates(lowest: float, highest: float, steps: int) -> npt.NDArray[np.float64]:
    """Give rates that rise by the same factor from step to step, float64 (steps,).

    Raises:
        UsageError: they cannot rise, or there are too few or too many steps.
    """
    if not 0 < lowest < 10:
        raise UsageError.invalid("lowest", lowest, "a number above 0 and below 10")
    if not lowest < highest <= 10:
        raise UsageError.invalid("highest", highest, "a number above `lowest` and up to 10")
    if not isinstance(steps, int) or isinstance(steps, bool) or not 10 <= steps <= MOST_STEPS:
        raise UsageError.invalid("steps", steps, f"an integer from 10 to {MOST_STEPS}")
    return np.geomspace(lowest, highest, steps)


def valley(averages: Sequence[float]) -> int | None:
    """Find the middle of the longest descent: the longest sequence in which each is lower.

    The steepest point would depend on few batches, and the minimum is already too high a rate.

    Args:
        averages: of the loss, finite.

    Returns:
        Its place; None if the loss does not fall.

    Example:

    >>> valley([1.0, 0.9, 0.8, 0.7, 0.6, 0.9, 2.0])
    2
    """
    lengths, before = [1] * len(averages), list(range(len(averages)))
    for place, loss in enumerate(averages):
        for earlier in range(place):
            # of several as long, the one that begins last: a plateau is no descent
            if loss < averages[earlier] and lengths[earlier] + 1 >= lengths[place]:
                lengths[place], before[place] = lengths[earlier] + 1, earlier
    if not lengths:
        return None
    descent = [int(np.argmax(lengths))]
    while before[descent[-1]] != descent[-1]:
        descent.append(before[descent[-1]])
    start, end = averages[descent[-1]], averages[descent[0]]
    if end > (1 - LEAST_FALL) * start or start < LEAST_LOSS:
        return None
    return (descent[0] + descent[-1]) // 2
