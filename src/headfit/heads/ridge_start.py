"""Initial weights from a quick linear model, by ridge regression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]

PENALTIES = (0.01, 0.1, 1.0, 10.0)  # relative to the mean squared length of a feature vector
SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)  # factors that turn outputs of a regression into logits
HELD = 4  # one image in so many is held out to choose among them


@dataclass(frozen=True, eq=False)
class Goal:
    """What initial weights are to predict of n images.

    Attributes:
        encoded: float64 (n, K), targets of a regression, each column of mean 0.
        values: of the n images, what ``loss`` takes.
        loss: of outputs float64 (m, K) and the values of as many images.
        scales: factors to try on the outputs of a regression.
    """

    encoded: Matrix
    values: np.ndarray
    loss: Callable[[Matrix, np.ndarray], float]
    scales: tuple[float, ...] = SCALES

    @classmethod
    def of_classes(cls, labels: Labels, classes: int) -> Goal:
        """Take classes: the regression is on 1 for an image's own, and the loss the log-loss."""
        return cls(np.eye(classes)[labels] - 1 / classes, labels, _log_loss)

    def of(self, rows: Labels) -> Goal:
        """Give the goal of some images."""
        return replace(self, encoded=self.encoded[rows], values=self.values[rows])

    def best_scale(self, outputs: Matrix) -> tuple[float, float]:
        """Find the factor that turns outputs (n, K) into scores, and the loss of these."""
        losses = [self.loss(outputs * scale, self.values) for scale in self.scales]
        best = int(np.argmin(losses))
        return self.scales[best], losses[best]


def ridge_start(features: Matrix, goal: Goal, rng: np.random.Generator) -> Matrix:
    """Fit ridge regression without an intercept.

    The penalty, and the factor that turns outputs into scores, are those with the smallest loss on
    a held-out quarter of the images; the final fit uses all images.

    Args:
        features: float (n, d), n at least 1.
        goal: of the n images.
        rng: draws the quarter.

    Returns:
        float64 (d, K).
    """
    return held_out_ridge(features, goal, quarter(len(features), rng))[0]


def held_out_ridge(
    features: Matrix, goal: Goal, split: tuple[Labels, Labels]
) -> tuple[Matrix, float]:
    """Do the same with the rows to hold out, and the rest, from :func:`quarter`.

    Returns:
        float64 (d, K), and the loss on the held-out rows, ∞ if there are none.
    """
    x, (held, rest) = np.asarray(features, np.float64), split
    if not len(held):
        return _ridge(x, goal.encoded, 1.0), np.inf
    judged, fitted = goal.of(held), goal.encoded[rest]
    best, least = (PENALTIES[0], goal.scales[0]), np.inf
    for penalty in PENALTIES:
        scale, loss = judged.best_scale(x[held] @ _ridge(x[rest], fitted, penalty))
        if loss < least:
            best, least = (penalty, scale), loss
    penalty, scale = best
    return _ridge(x, goal.encoded, penalty) * scale, least


def quarter(n: int, rng: np.random.Generator) -> tuple[Labels, Labels]:
    """Draw a quarter of n rows to hold out, and give them and the rest."""
    held, rest = np.split(rng.permutation(n), [n // HELD])
    return held, rest


def _ridge(x: Matrix, targets: Matrix, penalty: float) -> Matrix:
    """Solve for the images or for the features, whichever are fewer."""
    n, d = x.shape
    if n <= d:
        weights: Matrix = x.T @ dual(x @ x.T, targets, penalty)
    else:
        strength = penalty * max(float(np.mean(np.sum(x**2, axis=1))), 1e-12)
        weights = np.linalg.solve(x.T @ x + strength * np.eye(d), x.T @ targets)
    return weights


def dual(gram: Matrix, targets: Matrix, penalty: float) -> Matrix:
    """Solve ridge regression in its dual form: the coefficient of each image, float64 (n, K).

    Args:
        gram: float64 (n, n), inner products of the images.
        targets: float64 (n, K).
        penalty: relative to the mean squared length of an image.
    """
    strength = penalty * max(float(np.trace(gram)) / len(gram), 1e-12)
    coefficients: Matrix = np.linalg.solve(gram + strength * np.eye(len(gram)), targets)
    return coefficients


def _log_loss(logits: Matrix, labels: Labels) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    true = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - true))
