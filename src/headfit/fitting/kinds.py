"""What a kind of target decides: loss, link, decision and metrics, looked up once for all.

Methods and statistics ask the kind of the targets and never what their values hold, so a further
kind is one more entry here, with its loss in :data:`headfit.fitting.descent.adamw.LOSSES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from headfit.fitting.metrics import METRICS, credit, evaluate
from headfit.fitting.softmax import Rows, log_losses, softmax
from headfit.images.targets import CLASS, Targets


@dataclass(frozen=True, eq=False)
class Kind:
    """The mathematics of one kind of target.

    Scores are what a head puts out before the link, predictions what it puts out after it; values
    are those of :class:`headfit.images.targets.Targets`.

    Attributes:
        evaluate: all metrics, by name, of predictions float64 (n, K), values and, if the images
            do not count alike, weights float64 (n,).
        metrics: each of them, by name.
        primary: the metric that verdicts rest on.
        secondary: metrics, of which less is better, that are tested too; the loss comes first.
        losses: of each image, float64 (…, n), of scores (…, K, n) and values.
        link: turns scores (…, K) into predictions, the same shape and dtype.
        decide: turns predictions, or scores, (…, K) into what values hold (…).
        credit: says how right the decision on scores (n, K) is, float64 (n,); scores that differ by
            no more than the third argument tie and share it.
        encode: writes targets as what ridge regression predicts, float64 (n, K).
        rows: prepares coordinates (n, r) and targets for the exact solver.
        limits: least and greatest value of the metrics that do not lie between 0 and 1.
    """

    evaluate: Callable[[np.ndarray, np.ndarray, np.ndarray | None], dict[str, float]]
    metrics: Mapping[str, Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]]
    primary: str
    secondary: tuple[str, ...]
    losses: Callable[[np.ndarray, np.ndarray], np.ndarray]
    link: Callable[[np.ndarray], np.ndarray]
    decide: Callable[[np.ndarray], np.ndarray]
    credit: Callable[[np.ndarray, np.ndarray, float], np.ndarray]
    encode: Callable[[Targets], np.ndarray]
    rows: Callable[[np.ndarray, Targets], Rows]
    limits: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)

    def score(
        self, predictions: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None
    ) -> float:
        """Give the primary metric of predictions, or of scores, (n, K)."""
        return self.metrics[self.primary](predictions, values, weights)

    def loss(
        self, predictions: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None
    ) -> float:
        """Give the mean loss of predictions, float64 (n, K)."""
        return self.metrics[self.secondary[0]](predictions, values, weights)

    def bounds(self, metric: str) -> tuple[float | None, float | None]:
        """Give the least and the greatest value of a metric; None where there is none."""
        return self.limits.get(metric, (0.0, 1.0))


KINDS = {
    CLASS: Kind(
        evaluate,
        METRICS,
        primary="balanced_accuracy",
        secondary=("log_loss", "brier"),
        losses=log_losses,
        link=softmax,
        decide=lambda predictions: predictions.argmax(axis=-1),
        credit=credit,
        encode=lambda targets: np.eye(targets.count)[targets.values],
        rows=lambda z, targets: Rows.of(z, targets.values, targets.count, targets.loss_weights),
        limits={"log_loss": (0.0, None), "brier": (0.0, 2.0)},
    )
}
