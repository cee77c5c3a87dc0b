"""What a method of fitting is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from headfit.fitting.kinds import KINDS, Kind
from headfit.fitting.number_metrics import r2_of_part, variances_of
from headfit.heads.chain import Head
from headfit.images.targets import NUMBER, Targets

SQUARED, HUBER = "squared", "huber"
NUMBER_LOSSES = (SQUARED, HUBER)
Settings = dict[str, Any]
"""What a method chose for a model, plain data: ``shape`` of the pooling, ``penalty``, …"""

# λ relative to the mean square norm of the features, from large to small
PENALTIES = tuple(float(10.0**-power) for power in range(1, 10))
# up to so many folds, every pair of them is left out together
ALL_PAIRS = 6


@dataclass(frozen=True, eq=False)
class Splits:
    """Repeated k-fold splits of n images, as indices only.

    Attributes:
        folds: k, the number of folds in each repeat.
        repeats: how many times the images are dealt.
        seed: what the dealing was drawn from.
        assignment: int16 array (repeats, n), read-only: the fold that holds an image out.
    """

    folds: int
    repeats: int
    seed: int
    assignment: npt.NDArray[np.int16]

    @property
    def units(self) -> list[tuple[int, int]]:
        """Repeat and fold of every model that is tested, in their order."""
        return [(repeat, fold) for repeat in range(self.repeats) for fold in range(self.folds)]

    def held_out(self, repeat: int, fold: int) -> npt.NDArray[np.bool_]:
        """Which images one fold holds out, bool (n,)."""
        mask: npt.NDArray[np.bool_] = self.assignment[repeat] == fold
        return mask

    def indices(self, repeat: int, fold: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Ascending image numbers of the training and the test part of one fold."""
        held_out = self.held_out(repeat, fold)
        return np.flatnonzero(~held_out), np.flatnonzero(held_out)


@dataclass(frozen=True)
class Problem:
    """Targets, folds and budget of a comparison: the same for all heads.

    Images may come in several views, each a row of its own: models train on all of them. Settings
    are chosen and models are scored on the images as they are.

    Attributes:
        targets: of n rows, for K outputs.
        splits: the folds of the rows.
        penalties: λ tried for linear heads, from large to small.
        quick: fewer trials for heads trained by gradient descent.
        seed: of their first weights and batches.
        views: how many rows an image has. They follow one another, lie in one fold, and the first
            is the image as it is.
        average: whether scores are of the mean prediction over the views of an image.
        loss: of numbers, for heads trained by gradient descent: ``"squared"`` or ``"huber"``.
    """

    targets: Targets
    splits: Splits
    penalties: tuple[float, ...] = PENALTIES
    quick: bool = False
    seed: int = 0
    views: int = 1
    average: bool = False
    loss: str = SQUARED

    @property
    def kind(self) -> Kind:
        """Loss, link, decision and metrics of the targets."""
        return KINDS[self.targets.kind]

    @property
    def plain(self) -> npt.NDArray[np.bool_]:
        """Which rows are images as they are, bool (n,)."""
        plain: npt.NDArray[np.bool_] = np.arange(len(self.targets)) % self.views == 0
        return plain

    def of_images(self, predictions: np.ndarray) -> np.ndarray:
        """Reduce predictions of rows, (…, n, K), to one of each image, (…, n / views, K)."""
        *some, rows, outputs = predictions.shape
        each = predictions.reshape(*some, rows // self.views, self.views, outputs)
        result: np.ndarray = each.mean(axis=-2) if self.average else each[..., 0, :]
        return result

    @cached_property
    def _variances(self) -> np.ndarray:
        return variances_of(self.targets.values, self.targets.weights)

    def evaluate_part(self, predictions: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        """Give all metrics of predictions of some images, by name.

        Args:
            predictions: float64 (m, K).
            rows: bool (n,) or int (m,), which images these are. R² is relative to the variance of
                all n: see :func:`headfit.fitting.number_metrics.r2_of_part`.
        """
        values, weights = self.targets.values[rows], self.targets.weights_of(rows)
        found = self.kind.evaluate(predictions, values, weights)
        if self.targets.kind == NUMBER:
            found[self.kind.primary] = r2_of_part(predictions, values, self._variances, weights)
        return found

    def score_part(self, predictions: np.ndarray, rows: np.ndarray) -> float:
        """Give the primary metric of predictions, or of scores; see :meth:`evaluate_part`."""
        values, weights = self.targets.values[rows], self.targets.weights_of(rows)
        if self.targets.kind == NUMBER:
            return r2_of_part(predictions, values, self._variances, weights)
        return self.kind.score(predictions, values, weights)

    def score(self, scores: np.ndarray, rows: np.ndarray) -> float:
        """Give the primary metric of the images that some rows belong to.

        Args:
            scores: (n, K), what a model puts out before the link.
            rows: bool (n,), all views of some images.
        """
        predictions = self.kind.link(scores[rows]) if self.average else scores[rows]
        images = np.flatnonzero(rows)[:: self.views]
        return self.score_part(self.of_images(predictions), images)


@dataclass(frozen=True)
class CrossValidation:
    """Scores of one head on held-out folds, and the settings that the folds chose.

    Attributes:
        head: which one.
        probabilities: float64 (repeats, n, K), each image by the model that did not see it; of
            numbers the predictions themselves.
        train_scores: float64 (repeats · folds,), the primary metric on the training part.
        choices: settings chosen in each repeat and fold, in their order.
        final: settings for a model of all images.
        notes: what makes the scores approximate or could improve them, plain data: a ``code``
            (``projected``, ``edge``, ``unfinished``) and its numbers.
        seconds: wall time of all fits, when they were made.
        variant: what differs from the head alone, such as the part of the backbone that was trained
            with it; empty for a head on frozen maps.
        trained: number of weights of the backbone that were trained with it.
    """

    head: Head
    probabilities: np.ndarray
    train_scores: np.ndarray
    choices: list[Settings]
    final: Settings
    notes: list[Settings]
    seconds: float = 0.0
    variant: str = ""
    trained: int = 0

    @property
    def name(self) -> str:
        """The head and its variant, ``gap+last``."""
        return f"{self.head.name}+{self.variant}" if self.variant else self.head.name


def inner_pairs(folds: int) -> list[tuple[int, int]]:
    """List the pairs of folds that are left out together to choose settings.

    The model that leaves out folds i and j serves as inner model for both: judged on j it helps to
    choose for outer fold i, judged on i for j. Up to six folds all pairs are taken. Of more, each
    fold is paired with its neighbours in a ring and with the fold opposite (an even number of
    folds) or the next neighbours (odd): three or four inner folds for each outer one, alike. Of
    two folds there are none: nothing would be left to train on.

    >>> inner_pairs(3)
    [(0, 1), (0, 2), (1, 2)]
    """
    if folds < 3:
        return []
    if folds <= ALL_PAIRS:
        return list(combinations(range(folds), 2))
    apart = (1, folds // 2) if folds % 2 == 0 else (1, 2)
    pairs = {(min(i, j), max(i, j)) for d in apart for i in range(folds) for j in [(i + d) % folds]}
    return sorted(pairs)
