"""Weights of a quick linear classifier, from which training may start."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]

PENALTIES = (0.01, 0.1, 1.0, 10.0)  # times the mean squared length of a feature vector
SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)  # a regression's output is no logit yet
HELD = 4  # one image of so many chooses among them


def ridge_start(features: Matrix, labels: Labels, classes: int, rng: np.random.Generator) -> Matrix:
    """Fit ridge regression on the classes, without an intercept.

    The penalty, and what the outputs are multiplied by to serve as logits, are those with the least
    log-loss on a quarter of the images, held out; then all images are used.

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
    """Likewise with a given quarter.

    Args:
        features: float (n, d).
        labels: int (n,).
        classes: K.
        split: the rows that choose, and the rest; see :func:`quarter`.

    Returns:
        float64 (d, K), and the log-loss that they were chosen by, ∞ if no row chooses.
    """
    x, (held, kept) = np.asarray(features, np.float64), split
    targets = targets_of(labels, classes)
    if not len(held):
        return _ridge(x, targets, 1.0), np.inf
    best, least = (PENALTIES[0], SCALES[0]), np.inf
    for penalty in PENALTIES:
        scale, loss = best_scale(x[held] @ _ridge(x[kept], targets[kept], penalty), labels[held])
        if loss < least:
            best, least = (penalty, scale), loss
    penalty, scale = best
    return _ridge(x, targets, penalty) * scale, least


def quarter(n: int, rng: np.random.Generator) -> tuple[Labels, Labels]:
    """Draw the rows that choose, a quarter of n, and give the rest after them."""
    held, kept = np.split(rng.permutation(n), [n // HELD])
    return held, kept


def targets_of(labels: Labels, classes: int) -> Matrix:
    """Give what a regression on the classes is to give, float64 (n, K), rows summing to 0."""
    found: Matrix = np.eye(classes)[labels] - 1 / classes
    return found


def best_scale(outputs: Matrix, labels: Labels) -> tuple[float, float]:
    """Find what outputs (n, K) are multiplied by to be logits, and the log-loss of these."""
    losses = [_log_loss(outputs * scale, labels) for scale in SCALES]
    best = int(np.argmin(losses))
    return SCALES[best], losses[best]


def _ridge(x: Matrix, targets: Matrix, penalty: float) -> Matrix:
    """Solve in whichever of images and features there are fewer."""
    n, d = x.shape
    if n <= d:
        found: Matrix = x.T @ dual(x @ x.T, targets, penalty)
    else:
        strength = penalty * max(float(np.mean(np.sum(x**2, axis=1))), 1e-12)
        found = np.linalg.solve(x.T @ x + strength * np.eye(d), x.T @ targets)
    return found


def dual(gram: Matrix, targets: Matrix, penalty: float) -> Matrix:
    """Solve ridge regression for how much each image counts, float64 (n, K).

    Args:
        gram: float64 (n, n), inner products of the images.
        targets: float64 (n, K).
        penalty: times the mean squared length of an image.
    """
    strength = penalty * max(float(np.trace(gram)) / len(gram), 1e-12)
    found: Matrix = np.linalg.solve(gram + strength * np.eye(len(gram)), targets)
    return found


def _log_loss(logits: Matrix, labels: Labels) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    given = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - given))
