"""Prediction sets that contain the true class nine times out of ten (split-conformal prediction).

The score of an image is 1 − p_label. Let q be the ⌈(n + 1)(1 − α)⌉-th smallest of n scores. For one
more image, exchangeable with them, the classes with 1 − p_k ≤ q hold the label with probability at
least 1 − α, whatever the head and the data (Vovk, Gammerman, Shafer 2005; Papadopoulos 2002). With
too few images there is no such q; then q = 1 and the set is all classes.

Here the scores come from the models of cross-validation, each on images that it did not see, while
the finished classifier is fitted on all images. So its guarantee is approximate (Vovk 2015,
cross-conformal predictors). ``coverage`` is what was measured: the share of images whose set, with
the threshold of the other folds, contained the label. Near-duplicates lie in one fold, so they do
not inflate it, and its interval counts independent groups. Images count by weight, and one more
image by the mean weight (Tibshirani, Foygel Barber, Candès, Ramdas 2019).

An empty set (the head is right more often than 1 − α, and unsure of this image) gets its most
probable class, which can only raise the coverage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headfit.fitting.metrics import Floats, Ints, average
from headfit.study.comparison.proportions import share_of

LEVEL = 0.9
EVERYTHING = 1.0  # the threshold at which a set is all classes


@dataclass(frozen=True)
class Conformal:
    """A threshold for prediction sets, and its effect on images that took no part in choosing it.

    Attributes:
        level: 1 − α, the coverage aimed at, a fraction.
        quantile: q for the model; a set is the classes with 1 − p ≤ q.
        coverage: share of the images whose set contained their label.
        coverage_low: lower end of its 95 % interval, which counts independent groups.
        coverage_high: upper end.
        mean_size: mean number of classes in a set.
    """

    level: float
    quantile: float
    coverage: float
    coverage_low: float
    coverage_high: float
    mean_size: float


def quantile(
    scores: Floats,
    level: float = LEVEL,
    weights: Floats | None = None,
    beyond: float = EVERYTHING,
) -> float:
    """Compute the ⌈(n + 1) · level⌉-th smallest score.

    Args:
        scores: float64 (n,), of images not trained on: 1 − p_label, or the size of a residual.
        level: 1 − α.
        weights: float64 (n,), how much each image counts; None if all count alike.
        beyond: what is given if there are fewer scores.

    Example:

    >>> quantile(np.arange(1.0, 20.0))
    18.0
    """
    counted = np.ones(len(scores)) if weights is None else weights / weights.mean()
    order = np.argsort(scores, kind="stable")
    # a hair less: 0.9 · 10 is above or below 9 in binary
    needed = (len(scores) + 1) * level - 1e-9
    rank = int(np.searchsorted(counted[order].cumsum(), needed))
    return beyond if rank == len(scores) else float(scores[order[rank]])


def prediction_sets(probabilities: Floats, threshold: float) -> npt.NDArray[np.bool_]:
    """Find the classes in the set of each image, bool (n, K), at least one for each.

    Args:
        probabilities: float64 (n, K).
        threshold: q.
    """
    member = 1 - probabilities <= threshold
    rows = np.arange(len(probabilities))
    member[rows, probabilities.argmax(axis=1)] = True
    result: npt.NDArray[np.bool_] = member
    return result


def conform(
    probabilities: Floats,
    labels: Ints,
    folds: Ints,
    groups: Ints | None = None,
    weights: Floats | None = None,
    *,
    level: float = LEVEL,
) -> Conformal:
    """Find the threshold for the model, and measure sets with the threshold of the other folds.

    With several repeats the model gets the median of their thresholds: several scores of one image
    are not independent, so they must not count as more images.

    Args:
        probabilities: float64 (repeats, n, K), each image by the model that did not see it.
        labels: int (n,).
        folds: int (repeats, n), the fold of each image.
        groups: int (n,), equal for images that belong together; None if each stands alone.
        weights: float64 (n,), how much each image counts; None if all count alike.
        level: the coverage to aim at, between 0 and 1.
    """
    rows, thresholds = np.arange(len(labels)), []
    covered, sizes = np.empty((2, *folds.shape))
    for repeat, (p, fold) in enumerate(zip(probabilities, folds, strict=True)):
        scores = 1 - p[rows, labels]
        thresholds.append(quantile(scores, level, weights))
        for number in np.unique(fold):
            held = fold == number
            others = None if weights is None else weights[~held]
            sets = prediction_sets(p[held], quantile(scores[~held], level, others))
            covered[repeat, held] = sets[np.arange(len(sets)), labels[held]]
            sizes[repeat, held] = sets.sum(axis=1)
    coverage = share_of(covered.mean(axis=0), groups, weights)
    return Conformal(
        level,
        float(np.median(thresholds)),
        coverage.mean,
        coverage.low,
        coverage.high,
        average(sizes.mean(axis=0), weights),
    )
