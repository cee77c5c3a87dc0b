"""What a kind of target decides: loss, link, decision and metrics, looked up once for all.

Methods and statistics ask the kind of the targets and never what their values hold, so a further
kind is one more class here, with its loss in :mod:`headfit.fitting.descent.losses`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from headfit.fitting import metrics, softmax
from headfit.images.targets import CLASS, Targets


class Kind(Protocol):
    """The mathematics of one kind of target.

    Scores are what a head puts out before the link, predictions what it puts out after it. Methods
    with ``values`` take those of :class:`headfit.images.targets.Targets`.
    """

    @property
    def primary(self) -> str:
        """Name of the metric that verdicts rest on."""

    @property
    def secondary(self) -> tuple[str, ...]:
        """Names of metrics, of which less is better, that are tested too; the loss comes first."""

    def bounds(self, metric: str) -> tuple[float | None, float | None]:
        """Give the least and the greatest value of a metric; None where there is none."""

    @property
    def metrics(self) -> Mapping[str, Callable[[np.ndarray, np.ndarray], float]]:
        """Metrics by name, each of predictions float64 (n, K) and values."""

    def evaluate(self, predictions: np.ndarray, values: np.ndarray) -> dict[str, float]:
        """Give all metrics of predictions, float64 (n, K)."""

    def score(self, predictions: np.ndarray, values: np.ndarray) -> float:
        """Give the primary metric of predictions, or of scores, (n, K)."""

    def loss(self, predictions: np.ndarray, values: np.ndarray) -> float:
        """Give the mean loss of predictions, float64 (n, K)."""

    def losses(self, scores: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Give the loss of each image, float64 (…, n), of scores (…, K, n)."""

    def link(self, scores: np.ndarray) -> np.ndarray:
        """Turn scores (…, K) into predictions, the same shape and dtype."""

    def decide(self, predictions: np.ndarray) -> np.ndarray:
        """Turn predictions, or scores, (…, K) into what values hold (…)."""

    def encode(self, targets: Targets) -> np.ndarray:
        """Write targets as what ridge regression predicts, float64 (n, K)."""

    def rows(self, z: np.ndarray, targets: Targets) -> softmax.Rows:
        """Prepare coordinates (n, r) for the exact solver."""


class _Classes:
    """One class for each image: multinomial log-loss, softmax, the most probable class."""

    primary = "balanced_accuracy"
    secondary = ("log_loss", "brier")
    metrics = metrics.METRICS

    def bounds(self, metric: str) -> tuple[float | None, float | None]:
        return 0.0, {"log_loss": None, "brier": 2.0}.get(metric, 1.0)

    def evaluate(self, predictions: np.ndarray, values: np.ndarray) -> dict[str, float]:
        return metrics.evaluate(predictions, values)

    def score(self, predictions: np.ndarray, values: np.ndarray) -> float:
        return metrics.balanced_accuracy(predictions, values)

    def loss(self, predictions: np.ndarray, values: np.ndarray) -> float:
        return metrics.log_loss(predictions, values)

    def losses(self, scores: np.ndarray, values: np.ndarray) -> np.ndarray:
        return softmax.log_losses(scores, values)

    def link(self, scores: np.ndarray) -> np.ndarray:
        return softmax.softmax(scores)

    def decide(self, predictions: np.ndarray) -> np.ndarray:
        chosen: np.ndarray = predictions.argmax(axis=-1)
        return chosen

    def encode(self, targets: Targets) -> np.ndarray:
        columns: np.ndarray = np.eye(targets.count)[targets.values]
        return columns

    def rows(self, z: np.ndarray, targets: Targets) -> softmax.Rows:
        return softmax.Rows.of(z, targets.values, targets.count)


KINDS: dict[str, Kind] = {CLASS: _Classes()}
