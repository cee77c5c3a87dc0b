"""What the out-of-fold predictions of several heads show, image by image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from headfit.fitting.label_metrics import precisions
from headfit.fitting.metrics import Floats, Ints, balanced_accuracies
from headfit.fitting.number_metrics import variances_of
from headfit.fitting.problem import Problem
from headfit.images.targets import CLASS, NUMBER, Targets
from headfit.study.comparison.proportions import Hits


def hits_of(
    predictions: Sequence[Floats],
    problem: Problem,
    groups: Ints | None,
) -> Hits | None:
    """Say how right heads are of each image; None for numbers, of which none is right or wrong.

    Args:
        predictions: of each head float64 (repeats, n, K), by models that did not see the image.
        problem: targets and folds of the n images.
        groups: int (n,), equal for images that belong together; None if each stands alone.
    """
    folds = problem.splits.assignment
    return hits_in(predictions, problem.targets, folds, groups)


def hits_in(
    predictions: Sequence[Floats], targets: Targets, folds: Ints, groups: Ints | None = None
) -> Hits | None:
    """Do the same where images lie in parts that are scored by themselves.

    Args:
        predictions: of each head float64 (repeats, n, K).
        targets: of the n images.
        folds: int (repeats, n), the part of each image.
        groups: int (n,), equal for images that belong together; None if each stands alone.
    """
    if targets.kind == NUMBER:
        return None
    if targets.kind == CLASS:
        right = np.stack([each.argmax(axis=2) == targets.values for each in predictions])
        return Hits.of(right, targets.values, groups, targets.weights)
    images, labels = np.nonzero(targets.values)
    precise = np.stack(
        [
            [
                _precisions(one, targets.values, fold)[images, labels]
                for one, fold in zip(each, folds, strict=True)
            ]
            for each in predictions
        ]
    )
    units = np.arange(len(targets)) if groups is None else groups
    return Hits.of(precise, labels, units[images], targets.weights_of(images))


def share_right(predictions: Floats, problem: Problem) -> Floats | None:
    """Give the share of the repeats that got an image, with all its labels, right.

    Args:
        predictions: float64 (repeats, n, K).
        problem: targets of the n images.

    Returns:
        float64 (n,); None for numbers, of which none is right or wrong.
    """
    targets = problem.targets
    if targets.kind == NUMBER:
        return None
    right = problem.kind.decide(predictions) == targets.values
    if right.ndim > 2:
        right = right.all(axis=2)
    share: Floats = right.mean(axis=0)
    return share


def weighted_scores(predictions: Sequence[Floats], problem: Problem) -> Callable[[Floats], Floats]:
    """Give a function from how much images count, (B, n), to the scores of all heads, (B, heads).

    Of classes and numbers a score is the mean over the repeats; of labels each weighting takes one
    repeat in turn.

    Args:
        predictions: of each head float64 (repeats, n, K), by models that did not see the image.
        problem: targets of the n images.
    """
    targets, kind = problem.targets, problem.kind
    if targets.kind == CLASS:
        correct = np.stack([(e.argmax(axis=2) == targets.values).mean(axis=0) for e in predictions])
        return lambda counts: balanced_accuracies(correct, targets.values, counts)
    repeats = len(predictions[0])
    if targets.kind == NUMBER:
        variances = variances_of(targets.values, targets.weights)
        varies = variances > 0
        squares = [np.square(each - targets.values).mean(axis=0) for each in predictions]
        lost = np.stack([(each[:, varies] / variances[varies]).mean(axis=1) for each in squares])
        return lambda counts: 1 - counts @ lost.T / counts.sum(axis=1, keepdims=True)

    def score(counts: Floats) -> Floats:
        scores = np.empty((len(counts), len(predictions)))
        for head, each in enumerate(predictions):
            for repeat in range(min(repeats, len(counts))):
                part = slice(repeat, None, repeats)
                scores[part, head] = kind.weighted(each[repeat], targets.values, counts[part])
        return scores

    return score


def _precisions(predictions: Floats, values: np.ndarray, folds: Ints) -> Floats:
    """Give the precision at each score among the images of its fold, float64 (n, K)."""
    result = np.empty(predictions.shape)
    for fold in np.unique(folds):
        held = folds == fold
        result[held] = precisions(predictions[held], values[held])
    return result
