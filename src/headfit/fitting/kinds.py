"""What a kind of target decides: loss, link, decision and metrics, looked up once for all.

Methods and statistics ask the kind of the targets and never what their values hold, so a further
kind is one more entry here, with its loss in :data:`headfit.fitting.descent.losses.LOSSES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from headfit.fitting import label_metrics, metrics, number_metrics
from headfit.fitting.rows import Rows
from headfit.fitting.sigmoid import SigmoidRows, label_losses, sigmoid
from headfit.fitting.softmax import SoftmaxRows, log_losses, softmax
from headfit.images.targets import CLASS, LABELS, NUMBER, Targets

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]


@dataclass(frozen=True, eq=False)
class Kind:
    """The mathematics of one kind of target.

    Scores are what a head puts out before the link, predictions what it puts out after it; values
    are those of :class:`headfit.images.targets.Targets`.

    Attributes:
        metrics: of predictions float64 (n, K), values and, if the images do not count alike,
            weights float64 (n,); by name.
        primary: the metric that verdicts rest on; more of it is better.
        secondary: metrics, of which less is better, that are tested too; the loss comes first.
        weighted: the primary metric of predictions (n, K) and values for many weightings of the
            images, float64 (B, n): float64 (B,).
        losses: of each image, float64 (…, n), of scores (…, K, n) and values.
        link: turns scores (…, K) into predictions, the same shape and dtype.
        activation: Keras' name of the link.
        decide: turns predictions (…, K) into what values hold (…).
        credit: says how right the decision on scores (n, K) is, float64 (n,); scores that differ by
            no more than the third argument tie and share it. None where nothing is decided.
        encode: writes targets as what ridge regression predicts, float64 (n, K).
        rows: prepares coordinates (n, r) and targets for the exact solver; None where that is
            ridge regression.
        overlap: how much the scores of folds have in common, in shares of the images that are
            tested. Whether an image is right depends little on what else was trained on, a squared
            error as much as on the image: with 1 two equal heads were called different in up to
            13 % of 200 simulated studies, with 2 in at most 4 % of 1,000.
        limits: least and greatest value of the metrics that do not lie between 0 and 1.
    """

    metrics: Mapping[str, Metric]
    primary: str
    secondary: tuple[str, ...]
    weighted: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    losses: Callable[[np.ndarray, np.ndarray], np.ndarray]
    link: Callable[[np.ndarray], np.ndarray]
    activation: str
    decide: Callable[[np.ndarray], np.ndarray]
    credit: Callable[[np.ndarray, np.ndarray, float], np.ndarray] | None
    encode: Callable[[Targets], np.ndarray]
    rows: Callable[[np.ndarray, Targets], Rows] | None
    overlap: float = 1.0
    limits: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)

    def evaluate(
        self, predictions: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None
    ) -> dict[str, float]:
        """Give all metrics of one set of predictions, by name.

        Args:
            predictions: float64 (n, K).
            values: of the n images.
            weights: float64 (n,), how much each image counts; None if all count alike.

        Raises:
            ValueError: no images, shapes that do not match, or a prediction that is not finite
                (a decision would silently turn it into an answer).

        Example:

        >>> probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
        >>> KINDS["class"].evaluate(probabilities, np.array([0, 1, 1]))["balanced_accuracy"]
        0.75
        """
        if predictions.ndim != 2 or values.shape[:1] != predictions.shape[:1] or not len(values):
            shapes = f"{predictions.shape} and {values.shape}"
            raise ValueError(f"predictions must be (n, K) and values of n images, not {shapes}.")
        if not np.isfinite(predictions).all():
            raise ValueError("predictions must be finite: the fit has failed.")
        return {name: each(predictions, values, weights) for name, each in self.metrics.items()}

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


def _correct(predictions: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return metrics.balanced_accuracies(metrics.credit(predictions, labels), labels, counts)


def _squares(scores: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Squared error of each row, a mean over columns: float64 (…, n), of scores (…, K, n)."""
    errors: np.ndarray = np.square(scores - values.T).mean(axis=-2)
    return errors


KINDS = {
    CLASS: Kind(
        metrics.METRICS,
        primary="balanced_accuracy",
        secondary=("log_loss", "brier"),
        weighted=_correct,
        losses=log_losses,
        link=softmax,
        activation="softmax",
        decide=lambda predictions: predictions.argmax(axis=-1),
        credit=metrics.credit,
        encode=lambda targets: np.eye(targets.count)[targets.values],
        rows=lambda z, targets: SoftmaxRows.of(
            z, targets.values, targets.count, targets.loss_weights
        ),
        limits={"log_loss": (0.0, None), "brier": (0.0, 2.0)},
    ),
    LABELS: Kind(
        label_metrics.METRICS,
        primary="macro_average_precision",
        secondary=("log_loss", "brier"),
        weighted=label_metrics.average_precisions,
        losses=label_losses,
        link=sigmoid,
        activation="sigmoid",
        decide=lambda predictions: predictions >= label_metrics.THRESHOLD,
        credit=label_metrics.credit,
        encode=lambda targets: targets.values.astype(np.float64),
        rows=lambda z, targets: SigmoidRows.of(
            z, targets.values, targets.count, targets.loss_weights
        ),
        limits={"log_loss": (0.0, None)},
    ),
    NUMBER: Kind(
        number_metrics.METRICS,
        primary="r2",
        secondary=("rmse", "mae"),
        weighted=number_metrics.r2_weighted,
        losses=_squares,
        link=lambda scores: scores,
        activation="linear",
        decide=lambda predictions: predictions,
        credit=None,
        encode=lambda targets: targets.values,
        rows=None,
        overlap=2.0,
        limits={"r2": (None, 1.0), "rmse": (0.0, None), "mae": (0.0, None)},
    ),
}
