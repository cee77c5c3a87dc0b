"""Sets of classes that hold the true one nine times in ten (split-conformal prediction).

The score of an image is 1 − p_label. Let q be the ⌈(n + 1)(1 − α)⌉-th smallest of n scores. For one
more image, exchangeable with them, the classes with 1 − p_k ≤ q hold the label with probability at
least 1 − α, whatever the head and the data (Vovk, Gammerman, Shafer 2005; Papadopoulos 2002). With
too few images there is no such q, and the set is all classes: q = 1 stands for that.

Here the scores come from the models of cross-validation, each of an image that it did not see,
while the finished classifier is fitted on all images. So its guarantee is approximate (Vovk 2015,
cross-conformal predictors): what holds is what was measured, ``coverage``, the share of images
whose set, by the threshold of the other folds, held the label. Near-duplicates lie in one fold, so
they do not flatter it.

A set that would be empty (the head is right more often than 1 − α, and unsure of this image) is
given its most probable class; that can only raise the coverage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headfit.fitting.metrics import Floats, Ints

LEVEL = 0.9
EVERYTHING = 1.0  # the threshold at which a set is all classes


@dataclass(frozen=True)
class Conformal:
    """A threshold for prediction sets and what it does to images that took no part in it.

    Attributes:
        level: 1 − α, the coverage asked for, a fraction.
        quantile: q for the model; a set is the classes with 1 − p ≤ q.
        coverage: share of the images whose set held their label.
        mean_size: classes in a set.
    """

    level: float
    quantile: float
    coverage: float
    mean_size: float


def quantile(scores: Floats, level: float = LEVEL) -> float:
    """Give the ⌈(n + 1) · level⌉-th smallest score; 1 if there are not as many.

    Args:
        scores: float64 (n,), 1 − p_label of images not trained on.
        level: 1 − α.
    """
    # rounded first: 0.9 · 10 is a hair above or below 9 in binary
    rank = math.ceil(round((len(scores) + 1) * level, 9))
    if rank > len(scores):
        return EVERYTHING
    return float(np.partition(scores, rank - 1)[rank - 1])


def prediction_sets(probabilities: Floats, threshold: float) -> npt.NDArray[np.bool_]:
    """Tell which classes belong to the set of each image, bool (n, K), at least one for each.

    Args:
        probabilities: float64 (n, K).
        threshold: q.
    """
    member = 1 - probabilities <= threshold
    rows = np.arange(len(probabilities))
    member[rows, probabilities.argmax(axis=1)] = True
    result: npt.NDArray[np.bool_] = member
    return result


def conform(probabilities: Floats, labels: Ints, folds: Ints, *, level: float = LEVEL) -> Conformal:
    """Find the threshold for the model, and measure sets by the threshold of the other folds.

    With several repeats the model's is the median of theirs: scores of one image are no
    independent draws, so they must not be counted as more images.

    Args:
        probabilities: float64 (repeats, n, K), each image by the model that did not see it.
        labels: int (n,).
        folds: int (repeats, n), the fold of each image.
        level: the coverage to aim at, between 0 and 1.
    """
    rows = np.arange(len(labels))
    covered, sizes, thresholds = [], [], []
    for p, fold in zip(probabilities, folds, strict=True):
        scores = 1 - p[rows, labels]
        thresholds.append(quantile(scores, level))
        for number in np.unique(fold):
            held = fold == number
            sets = prediction_sets(p[held], quantile(scores[~held], level))
            covered.append(sets[np.arange(len(sets)), labels[held]])
            sizes.append(sets.sum(axis=1))
    return Conformal(
        level,
        float(np.median(thresholds)),
        float(np.concatenate(covered).mean()),
        float(np.concatenate(sizes).mean()),
    )
