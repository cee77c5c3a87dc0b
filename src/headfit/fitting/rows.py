"""The rows that many linear problems share, whatever their loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

SQUARES_AT_ONCE = 4096


@dataclass(frozen=True)
class Rows(ABC):
    """What problems on the same images share.

    A subclass knows the loss, which is a sum over the rows and, like that of the softmax and of the
    sigmoid, has p(1 − p) as its second derivative by a score.

    Attributes:
        values: (n, r + 1), float32 or float64: coordinates and a column of ones; its dtype is that
            of the work.
        targets: what is to be predicted of each row.
        outputs: K, the scores of a row.
        weights: what the loss of each row is multiplied by, float64 (n,); None for 1.
        separate: whether the loss is a sum over the outputs, so that each is a problem of its own.
    """

    values: np.ndarray
    targets: np.ndarray
    outputs: int
    weights: np.ndarray | None = None
    separate: ClassVar[bool] = False

    @classmethod
    def of(
        cls, z: np.ndarray, targets: np.ndarray, outputs: int, weights: np.ndarray | None = None
    ) -> Self:
        """Append the column of ones to coordinates (n, r)."""
        return cls(np.hstack([z, np.ones((len(z), 1), z.dtype)]), targets, outputs, weights)

    @abstractmethod
    def losses(
        self, scores: np.ndarray, share: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give the loss of each problem, and its derivative by the scores of each row.

        Args:
            scores: (b, K, n), or (b, 1, n) where outputs are separate.
            share: (b, n), the weight of each row.
            columns: int (b,), where outputs are separate the one of each problem.

        Returns:
            The loss, float64 (b,), and its derivative without the weight, (b, K, n): what is
            predicted minus the target.
        """

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

    def curvature(self, errors: np.ndarray) -> np.ndarray:
        """Give the second derivative of each row's loss by its scores, of their errors."""
        # p(1 − p), whether the target is 1 (error p − 1) or 0 (error p)
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


def _times(a: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Matrix product of a (b, K, m) with ``matrix`` (m, l): (b, K, l)."""
    result: np.ndarray = (a.reshape(-1, a.shape[2]) @ matrix).reshape(*a.shape[:2], -1)
    return result
