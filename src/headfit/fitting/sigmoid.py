"""The sigmoid and its log-loss, a label at a time, over the rows that many problems share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from headfit.fitting.rows import Rows


@dataclass(frozen=True)
class SigmoidRows(Rows):
    """Rows of several labels each; ``targets`` are (n, K), 0 or 1.

    The loss of a row is the sum over the labels, so that each label is a logistic regression of its
    own, with the same penalty as if it were alone.
    """

    separate: ClassVar[bool] = True

    def losses(
        self, scores: np.ndarray, share: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`headfit.fitting.rows.Rows.losses`; all digits are kept next to 0 and 1."""
        sign = (1 - 2 * self.targets.T[columns, None]).astype(scores.dtype)
        against, errors = _against(scores * sign)
        value: np.ndarray = np.vecdot(share, against[:, 0]).astype(np.float64)
        errors *= sign
        return value, errors


def sigmoid(scores: np.ndarray) -> np.ndarray:
    """Probabilities, the same shape and dtype."""
    return _against(scores)[1]


def label_losses(scores: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Binary cross-entropy of each row, a mean over labels: float64 (…, n), of scores (…, K, n)."""
    sign = 1 - 2 * np.asarray(values, np.float64).T
    against: np.ndarray = _against(scores * sign)[0].mean(axis=-2)
    return against


def _against(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give ln(1 + eˢ), the loss of a label whose score of being wrong is s, and its derivative."""
    small = np.exp(-np.abs(scores))
    losses = np.log1p(small)
    losses += np.maximum(scores, 0)
    wrong = np.where(scores > 0, 1, small)
    wrong /= 1 + small
    return losses, wrong
