"""How well each class is recognised, and what it is taken for.

Counts are means over repeats: of models that are used one at a time, like the finished one. The
mean of their probabilities would be right more often than any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import chdtrc

from headfit.fitting.metrics import Floats, Ints
from headfit.study.comparison.proportions import share_of


@dataclass(frozen=True)
class ClassReport:
    """Figures of one class, means over repeats; images count by weight.

    Attributes:
        name: of the class.
        images: number of images with this label.
        precision: share of the images predicted as this class that have its label; None if none is.
        recall: share of the images with this label that are predicted so; None if none has it.
        recall_low: lower end of its 95 % interval, which counts independent groups.
        recall_high: upper end.
        independent: number of independent images that this interval rests on.
        f1: harmonic mean of both; None if no image is labelled or predicted as this class.
        confused_with: class that its images are most often mistaken for; None if they never are.
    """

    name: str
    images: int
    precision: float | None
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    independent: float
    f1: float | None
    confused_with: str | None

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        return asdict(self)


def confusion_matrix(
    probabilities: Floats, labels: Ints, weights: Floats | None = None
) -> np.ndarray:
    """Count labels against predictions.

    Args:
        probabilities: float64 (repeats, n, K).
        labels: int (n,).
        weights: float64 (n,), how much each image counts; None if all count 1.

    Returns:
        float64 (K, K): images labelled i and predicted j, a mean over repeats.
    """
    repeats, _, classes = probabilities.shape
    cells = (labels * classes + probabilities.argmax(axis=2)).ravel()
    counted = None if weights is None else np.tile(weights, repeats)
    counts = np.bincount(cells, counted, classes**2).reshape(classes, classes)
    result: np.ndarray = counts / repeats
    return result


def report_classes(
    probabilities: Floats,
    labels: Ints,
    classes: Sequence[str],
    groups: Ints | None = None,
    weights: Floats | None = None,
) -> list[ClassReport]:
    """Summarise each class.

    Args:
        probabilities: float64 (repeats, n, K), each image by the model that did not see it.
        labels: int (n,).
        classes: names of the K classes.
        groups: int (n,), equal for images that belong together; None if each stands alone.
        weights: float64 (n,), how much each image counts; None if all count alike.
    """
    confusion = confusion_matrix(probabilities, labels, weights)
    right = (probabilities.argmax(axis=2) == labels).mean(axis=0)
    labelled, predicted = confusion.sum(axis=1).tolist(), confusion.sum(axis=0).tolist()
    hits = confusion.diagonal().tolist()
    wrong = confusion - np.diag(hits)
    return [
        ClassReport(
            name,
            int(mine.sum()),
            _share(hits[k], predicted[k]),
            *_recall(right, mine, groups, weights),
            _share(2 * hits[k], labelled[k] + predicted[k]),
            classes[int(wrong[k].argmax())] if wrong[k].any() else None,
        )
        for k, name in enumerate(classes)
        for mine in [labels == k]
    ]


def recalls_differ(recalls: Sequence[tuple[float, float]], alpha: float = 0.05) -> bool:
    """Test whether classes differ in recall: Pearson's χ² test of equal shares.

    Args:
        recalls: of each class its recall and the number of independent images, above 0.
        alpha: level of the test.
    """
    shares, images = np.array(recalls, float).T
    pooled = float(shares @ images / images.sum())
    if len(recalls) < 2 or not 0 < pooled < 1:
        return False
    statistic = float(images @ (shares - pooled) ** 2) / (pooled * (1 - pooled))
    return bool(chdtrc(len(recalls) - 1, statistic) < alpha)


def _recall(
    right: Floats, mine: np.ndarray, groups: Ints | None, weights: Floats | None
) -> tuple[float | None, float | None, float | None, float]:
    """Give the recall of a class, its interval, and how many independent images it rests on."""
    if not mine.any():
        return None, None, None, 0.0
    own = (None if each is None else each[mine] for each in (groups, weights))
    share = share_of(right[mine], *own)
    return share.mean, share.low, share.high, share.independent


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
