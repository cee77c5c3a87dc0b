"""Weights of a quick linear classifier, from which training may start."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.floating[Any]]

PENALTIES = (0.01, 0.1, 1.0, 10.0)  # times the mean squared length of a feature vector
SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)  # a regression's output is no logit yet


def ridge_start(
    features: Matrix,
    labels: npt.NDArray[np.integer[Any]],
    classes: int,
    rng: np.random.Generator,
) -> Matrix:
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
    x = np.asarray(features, np.float64)
    targets = np.eye(classes)[labels] - 1 / classes
    order = rng.permutation(len(x))
    held, kept = np.split(order, [len(x) // 4])
    if not len(held):
        return _ridge(x, targets, 1.0)
    best, least = (PENALTIES[0], SCALES[0]), np.inf
    for penalty in PENALTIES:
        outputs = x[held] @ _ridge(x[kept], targets[kept], penalty)
        for scale in SCALES:
            loss = _log_loss(outputs * scale, labels[held])
            if loss < least:
                best, least = (penalty, scale), loss
    penalty, scale = best
    return _ridge(x, targets, penalty) * scale


def _ridge(x: Matrix, targets: Matrix, penalty: float) -> Matrix:
    """Solve in whichever of images and features there are fewer."""
    n, d = x.shape
    strength = penalty * max(float(np.mean(np.sum(x**2, axis=1))), 1e-12)
    if n <= d:
        found: Matrix = x.T @ np.linalg.solve(x @ x.T + strength * np.eye(n), targets)
    else:
        found = np.linalg.solve(x.T @ x + strength * np.eye(d), x.T @ targets)
    return found


def _log_loss(logits: Matrix, labels: npt.NDArray[np.integer[Any]]) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    given = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - given))
