"""Initial weights from a quick linear classifier, by ridge regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]

PENALTIES = (0.01, 0.1, 1.0, 10.0)  # relative to the mean squared length of a feature vector
SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)  # factors that turn outputs of a regression into logits
HELD = 4  # one image in so many is held out to choose among them


def ridge_start(features: Matrix, labels: Labels, classes: int, rng: np.random.Generator) -> Matrix:
    """Fit ridge regression on the classes, without an intercept.

    The penalty, and the factor that turns outputs into logits, are those with the smallest log-loss
    on a held-out quarter of the images; the final fit uses all images.

    Args:
        features: float (n, d), n at least 1.
        labels: int (n,), 0 to ``classes`` − 1.
        classes: K.
        rng: draws the quarter.

    Returns:
        float64 (d, K).
    """
    return held_out_ridge(features, labels, classes, quarter(len(features), rng))[0]


def held_out_ridge(
    features: Matrix, labels: Labels, classes: int, split: tuple[Labels, Labels]
) -> tuple[Matrix, float]:
    """Do the same with the rows to hold out, and the rest, from :func:`quarter`.

    Returns:
        float64 (d, K), and the log-loss on the held-out rows, ∞ if there are none.
    """
    x, (held, rest) = np.asarray(features, np.float64), split
    targets = targets_of(labels, classes)
    if not len(held):
        return _ridge(x, targets, 1.0), np.inf
    best, least = (PENALTIES[0], SCALES[0]), np.inf
    for penalty in PENALTIES:
        scale, loss = best_scale(x[held] @ _ridge(x[rest], targets[rest], penalty), labels[held])
        if loss < least:
            best, least = (penalty, scale), loss
    penalty, scale = best
    return _ridge(x, targets, penalty) * scale, least


def quarter(n: int, rng: np.random.Generator) -> tuple[Labels, Labels]:
    """Draw a quarter of n rows to hold out, and give them and the rest."""
    held, rest = np.split(rng.permutation(n), [n // HELD])
    return held, rest


def targets_of(labels: Labels, classes: int) -> Matrix:
    """Give the targets of a regression on the classes, float64 (n, K), rows summing to 0."""
    targets: Matrix = np.eye(classes)[labels] - 1 / classes
    return targets


def best_scale(outputs: Matrix, labels: Labels) -> tuple[float, float]:
    """Find the factor that turns outputs (n, K) into logits, and the log-loss of these."""
    losses = [_log_loss(outputs * scale, labels) for scale in SCALES]
    best = int(np.argmin(losses))
    return SCALES[best], losses[best]


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
