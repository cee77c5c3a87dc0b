"""How well each class is recognised, and what it is taken for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import chdtrc

from headfit.fitting.metrics import Floats, Ints
from headfit.study.comparison.proportions import exact_interval


@dataclass(frozen=True)
class ClassReport:
    """Figures of one class.

    Attributes:
        name: of the class.
        images: number of images with this label.
        precision: share of the images predicted as this class that have its label; None if none is.
        recall: share of the images with this label that are predicted so; None if none has it.
        recall_low: lower end of its exact binomial 95 % interval (Clopper & Pearson 1934).
        recall_high: upper end.
        f1: harmonic mean of both; None if no image is labelled or predicted as this class.
        confused_with: class that its images are most often mistaken for; None if they never are.
    """

    name: str
    images: int
    precision: float | None
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    f1: float | None
    confused_with: str | None

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        return asdict(self)


def confusion_matrix(probabilities: Floats, labels: Ints) -> np.ndarray:
    """Count labels against predictions.

    Args:
        probabilities: float64 (n, K).
        labels: int (n,).

    Returns:
        int64 (K, K): images labelled i and predicted j.
    """
    classes = probabilities.shape[1]
    cells = labels * classes + probabilities.argmax(axis=1)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def report_classes(confusion: np.ndarray, classes: Sequence[str]) -> list[ClassReport]:
    """Summarise each class of a confusion matrix.

    Args:
        confusion: int (K, K), images labelled i and predicted j.
        classes: names of the K classes.
    """
    labelled, predicted = confusion.sum(axis=1).tolist(), confusion.sum(axis=0).tolist()
    hits = confusion.diagonal().tolist()
    wrong = confusion - np.diag(hits)
    return [
        ClassReport(
            name,
            labelled[k],
            _share(hits[k], predicted[k]),
            _share(hits[k], labelled[k]),
            *(_range(hits[k], labelled[k])),
            _share(2 * hits[k], labelled[k] + predicted[k]),
            classes[int(wrong[k].argmax())] if wrong[k].any() else None,
        )
        for k, name in enumerate(classes)
    ]


def recalls_differ(recalls: Sequence[tuple[float, int]], alpha: float = 0.05) -> bool:
    """Test whether classes differ in recall: Pearson's χ² test of equal shares.

    Args:
        recalls: of each class its recall and its number of images, at least one.
        alpha: level of the test.
    """
    shares, images = np.array(recalls, float).T
    pooled = float(shares @ images / images.sum())
    if len(recalls) < 2 or not 0 < pooled < 1:
        return False
    statistic = float(images @ (shares - pooled) ** 2) / (pooled * (1 - pooled))
    return bool(chdtrc(len(recalls) - 1, statistic) < alpha)


def _range(part: int, whole: int) -> tuple[float | None, float | None]:
    return exact_interval(part / whole, whole) if whole else (None, None)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
