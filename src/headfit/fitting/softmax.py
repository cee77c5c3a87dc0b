"""Softmax and its log-loss over the rows that many problems share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

SQUARES_AT_ONCE = 4096


@dataclass(frozen=True)
class Rows:
    """What problems on the same images share.

    Attributes:
        values: (n, r + 1), float32 or float64: coordinates and a column of ones; its dtype is that
            of the work.
        labels: int (n,), 0 to K−1.
        classes: K.
        weights: what the loss of each row is multiplied by, float64 (n,); None for 1.
    """

    values: np.ndarray
    labels: np.ndarray
    classes: int
    weights: np.ndarray | None = None
    labelled: tuple[np.ndarray, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labelled", (self.labels, np.arange(len(self.labels))))

    @classmethod
    def of(
        cls, z: np.ndarray, labels: np.ndarray, classes: int, weights: np.ndarray | None = None
    ) -> Rows:
        """Append the column of ones to coordinates (n, r)."""
        return cls(np.hstack([z, np.ones((len(z), 1), z.dtype)]), labels, classes, weights)

    def shares(self, masks: np.ndarray) -> np.ndarray:
        """Give each row's share of a problem's loss, of the rows in it, bool (b, n)."""
        parts = masks if self.weights is None else masks * self.weights
        shares: np.ndarray = (parts / parts.sum(axis=1, keepdims=True)).astype(self.values.dtype)
        return shares

    def logits(self, weights: np.ndarray) -> np.ndarray:
        """Give W z for each problem and row: (b, K, r + 1) to (b, K, n)."""
        return _times(weights, self.values.T)

    def sums(self, factors: np.ndarray) -> np.ndarray:
        """Sum the rows with a factor each: (b, K, n) to (b, K, r + 1)."""
        return _times(factors, self.values)

    def losses(self, logits: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :func:`losses`."""
        return losses(logits, share, self.labelled)

    def curvature(self, errors: np.ndarray) -> np.ndarray:
        """Give the second derivative of each row's loss by its logits, of their errors."""
        # p(1 − p), whether the class is the row's own (error p − 1) or not (error p)
        size: np.ndarray = np.abs(errors)
        size *= 1 - size
        return size

    def square_sums(self, factors: np.ndarray) -> np.ndarray:
        """Sum the rows' squares with a factor each: (b, K, n) to (b, K, r + 1)."""
        result = _times(factors[..., :SQUARES_AT_ONCE], np.square(self.values[:SQUARES_AT_ONCE]))
        for start in range(SQUARES_AT_ONCE, len(self.values), SQUARES_AT_ONCE):
            part = slice(start, start + SQUARES_AT_ONCE)
            result += _times(factors[..., part], np.square(self.values[part]))
        return result


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


def _times(a: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Matrix product of a (b, K, m) with ``matrix`` (m, l): (b, K, l)."""
    result: np.ndarray = (a.reshape(-1, a.shape[2]) @ matrix).reshape(*a.shape[:2], -1)
    return result
