"""The units in which a network learns numbers: standard ones, of the images that it learns from.

The head starts from the exact fit, whose outputs are in the numbers' own units. For training its
last layer is divided into standard units, in which one learning rate suits all numbers, and
afterwards it is multiplied back, so that nothing has to be undone behind the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headfit.finetuning.recipe import Ints
from headfit.heads.chain import Head
from headfit.images.targets import NUMBER, Targets

Weights = Sequence[np.ndarray]


@dataclass(frozen=True, eq=False)
class Units:
    """Mean and deviation of each number.

    Attributes:
        middle: float64 (K,).
        spread: float64 (K,), above 0.

    Example:

    >>> targets = Targets.of_numbers(["x"], np.array([[10.0], [30.0], [90.0]]))
    >>> units = Units.of(targets, np.array([0, 1]))
    >>> units.middle, units.spread
    (array([20.]), array([10.]))
    """

    middle: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, targets: Targets, images: Ints) -> Units | None:
        """Take those of some images, int (m,); None for targets that are not numbers."""
        if targets.kind != NUMBER:
            return None
        values, weights = targets.values[images], targets.weights_of(images)
        middle = np.average(values, axis=0, weights=weights)
        variance = np.average(np.square(values - middle), axis=0, weights=weights)
        floor = 1e-12 * np.square(values).mean(axis=0)
        return cls(middle, np.sqrt(np.where(variance > floor, variance, 1.0)))

    def standard(self, values: np.ndarray) -> np.ndarray:
        """Give numbers, float64 (…, K), in these units."""
        result: np.ndarray = (values - self.middle) / self.spread
        return result

    def own(self, values: np.ndarray) -> np.ndarray:
        """Give what is in these units, float64 (…, K), in the numbers' own."""
        result: np.ndarray = values * self.spread + self.middle
        return result

    def divided(self, head: Head, weights: Weights) -> tuple[np.ndarray, ...]:
        """Let a head, whose outputs are in the numbers' own units, give these units."""
        return _changed(head, weights, 1 / self.spread, -self.middle / self.spread)

    def multiplied(self, head: Head, weights: Weights) -> tuple[np.ndarray, ...]:
        """Let a head, whose outputs are in these units, give the numbers' own."""
        return _changed(head, weights, self.spread, self.middle)


def _changed(
    head: Head, weights: Weights, factors: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Multiply the outputs of a head and add to them, by its last layer."""
    *arrays, bias = (np.asarray(each, np.float64) for each in weights)
    changed: list[np.ndarray]
    if head.readout and head.trained is not None:
        changed = [*head.trained.multiplied(arrays, factors)]
    else:
        changed = [*arrays[:-1], arrays[-1] * factors]
    return tuple(np.asarray(each, np.float32) for each in (*changed, bias * factors + offsets))
