"""How good are predicted probabilities of several labels? One short pure function a metric.

All take ``probabilities``, float64 (n, K), each from 0 to 1, ``values``, (n, K), 1 where an image
has the label and else 0, n >= 1, and ``weights``, float64 (n,), how much each image counts (None:
all alike), and return a fraction. The tests hold them against scikit-learn. A label that no image
has takes no part in a mean over labels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from headfit.fitting.metrics import LOG_CLIP, Floats, average

Values = np.ndarray
THRESHOLD = 0.5


def macro_average_precision(
    probabilities: Floats, values: Values, weights: Floats | None = None
) -> float:
    """Mean over the labels that occur of the average precision; nan where none occurs.

    The average precision of a label is the mean, over the images that have it, of the precision
    among all images with at least their score: scikit-learn's ``average_precision_score``.
    """
    counts = np.ones((1, len(values))) if weights is None else weights[None]
    return float(average_precisions(probabilities, values, counts)[0])


def average_precisions(scores: Floats, values: Values, counts: Floats) -> Floats:
    """Compute the macro average precision of the same predictions for many weightings of images.

    Args:
        scores: float64 (n, K); only their order matters.
        values: (n, K), 0 or 1.
        counts: float64 (B, n), at least 0: how much each image counts.

    Returns:
        float64 (B,); nan where no image with a label counts.
    """
    total, present = np.zeros((2, len(counts)))
    for column, has in zip(scores.T, np.asarray(values).T > 0, strict=True):
        order, last = _ranked(column)
        mine = counts[:, order]
        positive = mine * has[order]
        mass = positive.sum(axis=1)
        # of equal scores all are found together
        found, taken = (np.cumsum(each, axis=1)[:, last] for each in (positive, mine))
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(taken > 0, found / taken, 0.0)
            of_label = np.vecdot(positive, precision) / mass
        occurs = mass > 0
        total += np.where(occurs, of_label, 0.0)
        present += occurs
    with np.errstate(invalid="ignore"):
        result: Floats = total / present
    return result


def precisions(scores: Floats, values: Values) -> Floats:
    """Give the precision among all images with at least an image's score, float64 (n, K).

    Its mean over the images that have a label is the label's average precision.
    """
    result = np.empty(scores.shape)
    for k, (column, has) in enumerate(zip(scores.T, np.asarray(values).T > 0, strict=True)):
        order, last = _ranked(column)
        result[order, k] = (np.cumsum(has[order]) / np.arange(1, len(order) + 1))[last]
    return result


def _ranked(scores: Floats) -> tuple[np.ndarray, np.ndarray]:
    """Order scores from high to low, and give the place of the last one equal to each, int (n,)."""
    order = np.argsort(-scores, kind="stable")
    falling = -scores[order]
    return order, np.searchsorted(falling, falling, side="right") - 1


def micro_f1(probabilities: Floats, values: Values, weights: Floats | None = None) -> float:
    """F1 over all pairs of image and label, at a probability of one half."""
    hits, mentions = _counted(probabilities, values, weights)
    whole = mentions.sum()
    return float(2 * hits.sum() / whole) if whole else 0.0


def macro_f1(probabilities: Floats, values: Values, weights: Floats | None = None) -> float:
    """Mean F1 over the labels that occur or are predicted, at a probability of one half."""
    hits, mentions = _counted(probabilities, values, weights)
    present = mentions > 0
    return float(np.mean(2 * hits[present] / mentions[present])) if present.any() else 0.0


def _counted(
    probabilities: Floats, values: Values, weights: Floats | None
) -> tuple[Floats, Floats]:
    """Count, label by label, what is had and predicted, and the two apart added up."""
    said, has = probabilities >= THRESHOLD, np.asarray(values) > 0
    counts = np.ones(len(has)) if weights is None else weights
    return counts @ (said & has), counts @ said + counts @ has


def label_accuracy(probabilities: Floats, values: Values, weights: Floats | None = None) -> float:
    """Share of the pairs of image and label that are right, at a probability of one half."""
    return average(credit(probabilities - THRESHOLD, values), weights)


def log_loss(probabilities: Floats, values: Values, weights: Floats | None = None) -> float:
    """Mean binary cross-entropy over images and labels, each at most 34.5 nats."""
    of_truth = np.where(np.asarray(values) > 0, probabilities, 1 - probabilities)
    return -average(np.log(np.clip(of_truth, LOG_CLIP, 1.0)).mean(axis=1), weights)


def brier(probabilities: Floats, values: Values, weights: Floats | None = None) -> float:
    """Mean over images and labels of the squared error of a probability, from 0 to 1."""
    return average(np.square(probabilities - values).mean(axis=1), weights)


def credit(scores: Floats, values: Values, slack: float = 0.0) -> Floats:
    """Say which share of an image's labels is right, float64 (n,).

    Args:
        scores: float64 (n, K), above 0 for a label that is predicted.
        values: (n, K), 0 or 1.
        slack: a score this close to 0 is half right.
    """
    right = (scores > 0) == (np.asarray(values) > 0)
    shares: Floats = np.where(np.abs(scores) <= slack, 0.5, right).mean(axis=1)
    return shares


METRICS: dict[str, Callable[[Floats, Values, Floats | None], float]] = {
    "macro_average_precision": macro_average_precision,
    "micro_f1": micro_f1,
    "macro_f1": macro_f1,
    "label_accuracy": label_accuracy,
    "log_loss": log_loss,
    "brier": brier,
}
