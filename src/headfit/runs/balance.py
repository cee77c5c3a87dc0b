"""Images and classes that do not count alike: weights, a balanced loss, rare classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.images.index import ImageIndex
from headfit.images.targets import CLASS, NUMBER, STRONG_IMBALANCE, Targets
from headfit.progress import Callback
from headfit.runs.grouping import Grouping, class_sizes, folds_for
from headfit.runs.options import AUTO, BALANCED, MIN_FOLDS, Options


@dataclass(frozen=True)
class Balance:
    """How much the training images count.

    Attributes:
        targets: with the weights of the images, and of the classes if the loss is balanced.
        facts: as they go into results.
    """

    targets: Targets
    facts: dict[str, Any]

    @classmethod
    def of(cls, index: ImageIndex, rows: np.ndarray, options: Options) -> Balance:
        """Weigh the images that the study trains on.

        Args:
            index: all images.
            rows: int (n,), those that the study trains on.
            options: how classes count.
        """
        targets = index.targets.subset(rows)
        ratio, chosen = targets.imbalance, options.class_weight
        if chosen == BALANCED:
            targets.balanced()  # refuses what has no classes
        facts: dict[str, Any] = {
            "imbalance": ratio,
            "class_balanced_loss": chosen == BALANCED
            or (chosen == AUTO and targets.kind == CLASS and ratio > STRONG_IMBALANCE),
            "effective_images": _effective(targets.weights),
            "rare": {},
        }
        return cls(targets.balanced() if facts["class_balanced_loss"] else targets, facts)

    def folds(self, groups: Grouping, options: Options, callback: Callback) -> int:
        """Give the number of folds.

        Where a class has too few images for them because classes differ strongly in size, it is
        held out in as many folds as it has images; else all classes get fewer folds.
        """
        sizes = class_sizes(self.targets, groups)
        even = self.targets.kind == NUMBER or self.facts["imbalance"] <= STRONG_IMBALANCE
        if even or min(sizes.values()) < MIN_FOLDS:
            return folds_for(self.targets, groups, options, callback)
        rare = {name: size for name, size in sizes.items() if size < options.max_folds}
        self.facts["rare"].update(rare)
        return options.max_folds


def fewest_of_class(targets: Targets, options: Options) -> int:
    """Give the number of training images that each class must have."""
    return MIN_FOLDS if targets.imbalance > STRONG_IMBALANCE else options.min_folds


def _effective(weights: np.ndarray | None) -> float | None:
    """Give how many images that count alike would say as much (Kish 1965); None without weights."""
    return None if weights is None else float(weights.sum() ** 2 / np.square(weights).sum())
