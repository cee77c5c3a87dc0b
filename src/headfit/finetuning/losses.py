"""What a network is trained to give, by the kind of the targets, and how far off it is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from headfit.finetuning.recipe import Ints
from headfit.finetuning.units import Units
from headfit.images.targets import CLASS, LABELS, Targets

LEAST = 1e-12  # of a probability


def loss_of(kind: str, label_smoothing: float) -> Any:
    """Give Keras' loss: cross-entropy, a mean of it over labels, or the mean squared error."""
    import keras  # noqa: PLC0415  (heavy)

    if kind == CLASS:
        return keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing)
    if kind == LABELS:
        return keras.losses.BinaryCrossentropy(label_smoothing=label_smoothing)
    return keras.losses.MeanSquaredError()


def guessing(kind: str, count: int) -> float:
    """Give the loss of who knows nothing: the same for all, or the mean of numbers."""
    if kind == CLASS:
        return math.log(count)
    return math.log(2) if kind == LABELS else 1.0


def wanted_of(targets: Targets, images: Ints, units: Units | None) -> np.ndarray:
    """Give what a network should put out for some images, float32 (m, K)."""
    values = targets.values[images]
    if targets.kind == CLASS:
        encoded: np.ndarray = np.eye(targets.count, dtype=np.float32)[values]
        return encoded
    wanted = values if units is None else units.standard(values)
    return np.asarray(wanted, np.float32)


def watched_loss(
    predictions: np.ndarray, targets: Targets, images: Ints, units: Units | None
) -> float:
    """Measure the loss on images that are not trained on.

    Args:
        predictions: of them, float64 (m, K), probabilities or numbers in their own units.
        targets: of all images.
        images: int (m,).
        units: of numbers.

    Returns:
        The mean log-loss, or the mean squared error in these units.
    """
    values = targets.values[images]
    if units is not None:
        losses = np.square((predictions - values) / units.spread).mean(axis=1)
    elif targets.kind == CLASS:
        losses = _log_losses(predictions[np.arange(len(values)), values])
    else:
        losses = _log_losses(np.where(values > 0, predictions, 1 - predictions)).mean(axis=1)
    weights = targets.loss_weights
    return float(np.average(losses, weights=None if weights is None else weights[images]))


def _log_losses(chances: np.ndarray) -> np.ndarray:
    losses: np.ndarray = -np.log(np.maximum(np.nan_to_num(chances), LEAST))
    return losses
