"""How good are predicted probabilities of one class? One short pure function a metric.

All take ``probabilities``, float64 (n, K), rows summing to 1, ``labels``, int (n,), class indices,
n >= 1, and ``weights``, float64 (n,), how much each image counts (None: all alike), and return a
fraction (0.813, not 81.3 %). They are called for every head and fold,
hence numpy; the tests hold them against scikit-learn. An image whose most probable
classes are several counts for each of them in equal parts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]

LOG_CLIP = 1e-15
ECE_BINS = 15
ECE_IMAGES_PER_BIN = 10


def credit(scores: Floats, labels: Ints, slack: float = 0.0) -> Floats:
    """Say how right a decision for the highest score is, image by image.

    Args:
        scores: float64 (n, K).
        labels: int (n,).
        slack: scores that are this close to the highest count as equal to it.

    Returns:
        float64 (n,): 1 for right and 0 for wrong; where m classes tie and the label is among them,
        1/m, the mean of an even draw.
    """
    shares = _shares(scores, slack)
    return shares[np.arange(len(labels)), labels]


def _shares(scores: Floats, slack: float = 0.0) -> Floats:
    """Give each class its part of the decision for the highest score, float64 (n, K)."""
    tied = scores >= scores.max(axis=1, keepdims=True) - slack
    shares: Floats = tied / tied.sum(axis=1, keepdims=True)
    return shares


def balanced_accuracy(probabilities: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Mean over the classes that occur in ``labels`` of the share of their images found."""
    hits = credit(probabilities, labels)
    totals = np.bincount(labels, weights)
    hit_counts = np.bincount(labels, weights=hits if weights is None else hits * weights)
    present = totals > 0
    return float(np.mean(hit_counts[present] / totals[present]))


def balanced_accuracies(correct: Floats, labels: Ints, counts: Floats) -> Floats:
    """Compute balanced accuracy for many weightings of images.

    Args:
        correct: float64 (n,) or (heads, n), how right each image is.
        labels: int (n,).
        counts: float64 (B, n), at least 0: how much each image counts.

    Returns:
        float64 (B,) or (B, heads). A class without weight is left out of a mean; nan
        where all are.
    """
    total = np.zeros((len(counts), *correct.shape[:-1]))
    present = np.zeros((len(counts), *(1,) * (correct.ndim - 1)))
    for label in np.unique(labels):
        member = labels == label
        mass = counts[:, member].sum(axis=1).reshape(present.shape)
        total += counts[:, member] @ correct[..., member].T / np.where(mass > 0, mass, 1.0)
        present += mass > 0
    with np.errstate(invalid="ignore"):
        result: Floats = total / present
    return result


def accuracy(probabilities: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Share of images whose most probable class is their label."""
    return average(credit(probabilities, labels), weights)


def macro_f1(probabilities: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Mean F1 over the classes that occur among labels or predictions."""
    classes = probabilities.shape[1]
    shares = _shares(probabilities)
    weighted = shares if weights is None else shares * weights[:, None]
    hits = np.bincount(labels, weighted[np.arange(len(labels)), labels], classes)
    mentions = weighted.sum(axis=0) + np.bincount(labels, weights, classes)
    present = mentions > 0
    return float(np.mean(2 * hits[present] / mentions[present]))


def log_loss(probabilities: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Mean −ln of the probability given to the label, clipped to [1e-15, 1]: at most 34.5 nats."""
    of_label = probabilities[np.arange(len(labels)), labels]
    return -average(np.log(np.clip(of_label, LOG_CLIP, 1.0)), weights)


def brier(probabilities: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Mean over images of Σ_k (p_k − [k is the label])²: the sum form, from 0 to 2."""
    errors = probabilities.copy()
    errors[np.arange(len(labels)), labels] -= 1.0
    return average(np.sum(errors**2, axis=1), weights)


def ece(probabilities: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Expected calibration error of the most probable class, over bins of equal mass.

    It is above 0 by chance alone, the more so the fewer images there are, so it is no metric of
    single folds: see :func:`headfit.study.reliability.confidence.calibration_error`.
    15 bins, or fewer where that leaves less than 10 images for each. Equal confidences share a
    bin, so the order of the images does not matter.
    """
    confidence = probabilities.max(axis=1)
    gaps, total = confidence - credit(probabilities, labels), float(len(labels))
    if weights is not None:
        gaps, total = gaps * weights, weights.sum()
    member = equal_mass_bins(confidence, len(labels))
    return float(np.sum(np.abs(np.bincount(member, weights=gaps))) / total)


def equal_mass_bins(confidence: Floats, images: int) -> Ints:
    """Number the bin of each confidence, float64 (m,), the least sure first; see :func:`ece`."""
    bins = max(1, min(ECE_BINS, images // ECE_IMAGES_PER_BIN))
    edges = np.sort(confidence)[np.arange(1, bins) * confidence.size // bins]
    return np.searchsorted(edges, confidence, side="right")


def auroc(probabilities: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Mean over the classes that occur of one-vs-rest area under the ROC curve.

    By ranks (ties count half). nan when all labels are of one class.
    """
    if weights is not None:
        return _weighted_auroc(probabilities, labels, weights)
    positives = np.bincount(labels, minlength=probabilities.shape[1])
    negatives = len(labels) - positives
    defined = (positives > 0) & (negatives > 0)
    if not defined.any():
        return float("nan")
    ranks = np.stack([_ranks(column) for column in probabilities.T], axis=1)
    rank_sums = np.bincount(
        labels, weights=ranks[np.arange(len(labels)), labels], minlength=len(defined)
    )
    wins = (rank_sums - positives * (positives + 1) / 2)[defined]
    return float(np.mean(wins / (positives * negatives)[defined]))


def _weighted_auroc(probabilities: Floats, labels: Ints, weights: Floats) -> float:
    """The same where a pair of images counts by the product of their weights."""
    areas = []
    for code, scores in enumerate(probabilities.T):
        mine = labels == code
        if not mine.any() or mine.all():
            continue
        order = np.argsort(scores[~mine], kind="stable")
        others, mass = scores[~mine][order], weights[~mine][order]
        below = np.concatenate([[0.0], np.cumsum(mass)])
        first, last = (np.searchsorted(others, scores[mine], side) for side in ("left", "right"))
        wins = (below[first] + below[last]) / 2
        areas.append(np.average(wins, weights=weights[mine]) / below[-1])
    return float(np.mean(areas)) if areas else float("nan")


METRICS: dict[str, Callable[[Floats, Ints, Floats | None], float]] = {
    "balanced_accuracy": balanced_accuracy,
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "log_loss": log_loss,
    "brier": brier,
    "auroc": auroc,
}


def average(values: np.ndarray, weights: Floats | None) -> float:
    """Give the mean by weight, or the plain one."""
    return float(np.mean(values) if weights is None else np.average(values, weights=weights))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Rank values from 1, equal ones alike; scipy.stats has this, but takes half a second."""
    ordered = np.sort(values)
    below, up_to = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    ranks: np.ndarray = (below + up_to + 1) / 2
    return ranks
