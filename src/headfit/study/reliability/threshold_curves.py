"""What a threshold on the probability of one of two classes gives: ROC and precision–recall."""

from __future__ import annotations

from typing import Any

import numpy as np

from headfit.fitting.metrics import Floats, Ints

STEP = 1 / 200  # points of a curve that lie closer together are left out


def threshold_curves(
    probabilities: Floats, labels: Ints, weights: Floats | None = None
) -> dict[str, Any]:
    """Trace both curves of one class against the other, for every threshold.

    The class is the rarer one, or the second where both are equally common. Predictions of all
    repeats lie in one curve, where each image counts once for each.

    Args:
        probabilities: float64 (repeats, n, 2), each image by the model that did not see it.
        labels: int (n,), 0 or 1; both occur.
        weights: float64 (n,), how much each image counts; None if all count alike.

    Returns:
        Plain data: ``class`` (0 or 1), its ``share`` of the images, ``roc`` as pairs of false and
        true positive rate, ``precision_recall`` as pairs of recall and precision, the area
        ``auroc`` below the first, and ``average_precision``, the area below the second as steps.

    Example:

    >>> p = np.array([0.1, 0.4, 0.35, 0.8])
    >>> curves = threshold_curves(np.stack([1 - p, p], axis=-1)[None], np.array([0, 0, 1, 1]))
    >>> curves["auroc"], round(curves["average_precision"], 3)
    (0.75, 0.833)
    """
    counts = np.ones(len(labels)) if weights is None else np.asarray(weights, float)
    sizes = np.bincount(labels, counts, minlength=2)
    chosen = int(sizes[1] <= sizes[0])
    scores = probabilities[:, :, chosen]
    hits, misses = _accumulated(scores, labels == chosen, counts)
    tpr, fpr = hits / hits[-1], misses / misses[-1]
    said = hits + misses
    precision = hits[1:] / said[1:]
    return {
        "class": chosen,
        "share": float(sizes[chosen] / sizes.sum()),
        "roc": _thinned(fpr, tpr),
        # the first threshold has no precision of its own before it
        "precision_recall": _thinned(tpr[1:], precision),
        "auroc": float(np.trapezoid(tpr, fpr)),
        "average_precision": float(np.diff(tpr) @ precision),
    }


def _accumulated(scores: Floats, positive: np.ndarray, counts: Floats) -> tuple[Floats, Floats]:
    """Count positives and negatives among all with at least each score, from none to all."""
    repeats = len(scores)
    order = np.argsort(-scores.ravel(), kind="stable")
    falling = scores.ravel()[order]
    mine = np.tile(counts, repeats)[order]
    hit = np.tile(positive, repeats)[order]
    last = np.flatnonzero(np.diff(falling, append=-np.inf) < 0)  # equal scores come together
    hits, misses = (np.cumsum(mine * each)[last] for each in (hit, ~hit))
    return np.concatenate([[0.0], hits]), np.concatenate([[0.0], misses])


def _thinned(x: Floats, y: Floats) -> list[list[float]]:
    """Leave out points that hardly move; the ends stay."""
    kept = [0]
    for place in range(1, len(x)):
        moved = max(abs(x[place] - x[kept[-1]]), abs(y[place] - y[kept[-1]]))
        if moved >= STEP or place == len(x) - 1:
            kept.append(place)
    return [[round(float(x[place]), 5), round(float(y[place]), 5)] for place in kept]
