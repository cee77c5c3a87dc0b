"""Softmax and its log-loss, over the rows that many problems share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from headfit.fitting.rows import Rows


@dataclass(frozen=True)
class SoftmaxRows(Rows):
    """Rows of one class each; ``targets`` are int (n,), 0 to K−1."""

    labelled: tuple[np.ndarray, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labelled", (self.targets, np.arange(len(self.targets))))

    def losses(
        self, scores: np.ndarray, share: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :func:`losses`."""
        return losses(scores, share, self.labelled)


def losses(
    logits: np.ndarray, share: np.ndarray, labelled: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Log-loss of each problem, and its derivative by the logits of each row.

    Args:
        logits: (b, K, n).
        share: (b, n), the weight of each row.
        labelled: class of each row and its number, int (n,) both.

    Returns:
        The loss, float64 (b,), and softmax minus one for a row's own class (b, K, n), without the
        weight. Both keep their digits where the probability of the own class is next to 1.
    """
    errors = logits - logits.max(axis=1)[:, None]
    of_label = errors[:, *labelled]
    np.exp(errors, out=errors)
    errors[:, *labelled] = 0.0
    others = errors.sum(axis=1)
    beyond = others + np.expm1(of_label)  # the sum over all classes, less 1
    errors[:, *labelled] = -others
    errors *= (1.0 / (1.0 + beyond))[:, None]
    value: np.ndarray = np.vecdot(share, np.log1p(beyond) - of_label).astype(np.float64)
    return value, errors


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis, the same shape and dtype."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    exponentials /= exponentials.sum(axis=-1, keepdims=True)
    result: np.ndarray = exponentials
    return result


def log_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log-loss of each row, float64 (…, n), of logits (…, K, n)."""
    peak = logits.max(axis=-2)
    total = np.log(np.exp(logits - peak[..., None, :]).sum(axis=-2)) + peak
    of_label = logits[..., labels, np.arange(len(labels))]
    result: np.ndarray = (total - of_label).astype(np.float64)
    return result
