"""Temperature scaling, fitted on predictions of held-out images.

softmax(log p / T): T > 1 for a head that is too sure of itself, T < 1 for one too unsure (Guo,
Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017). The order of the
classes stays.

Written in β = 1/T, the mean log-loss f(β) = mean_i [ln Σ_k p_ik^β − β ln p_iy] is convex, with
f'(β) = mean_i [E_β ln p − ln p_iy] and f''(β) = mean_i Var_β ln p, where the expectation is over
the scaled probabilities: Newton's steps find its minimum, halving where a step would leave the
bracket.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.fitting.metrics import (
    ECE_BINS,
    ECE_IMAGES_PER_BIN,
    Floats,
    Ints,
    average,
    ece,
    log_loss,
)

# a head that is never wrong wants T = 0, and one that knows nothing T = ∞
LOWEST, HIGHEST = 0.05, 20.0
STEPS = 60
TOLERANCE = 1e-5  # of a step, relatively: Newton's is then right to about ten digits
FLAT = 1e-12  # a slope of nothing but rounding: every T is as good, and this one stays
SMALLEST = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class TemperatureScaling:
    """A temperature, and its effect on images that took no part in choosing it.

    Attributes:
        value: T for the model, from all out-of-fold predictions.
        ece_before: expected calibration error, a fraction.
        ece_after: the same, with the temperature of the other folds.
        log_loss_before: in nats.
        log_loss_after: the same, with the temperature of the other folds.
    """

    value: float
    ece_before: float
    ece_after: float
    log_loss_before: float
    log_loss_after: float


def scale(probabilities: Floats, temperature: float) -> Floats:
    """Compute softmax(log p / T).

    Args:
        probabilities: float64 (…, K), rows summing to 1.
        temperature: T > 0.
    """
    return _scaled(_logarithms(probabilities), 1 / temperature)


def fit_temperature(probabilities: Floats, labels: Ints) -> float:
    """Find the T from 0.05 to 20 with the lowest log-loss.

    Args:
        probabilities: float64 (n, K), rows summing to 1, of images not trained on.
        labels: int (n,).
    """
    return 1 / _fit(_logarithms(probabilities), labels, 1.0)


def calibrate(
    probabilities: Floats, labels: Ints, folds: Ints, weights: Floats | None = None
) -> TemperatureScaling:
    """Fit the temperature, and measure how much it helps.

    The predictions of a fold are scaled by the temperature of the other folds of its repeat. Errors
    and losses are means over the repeats, each of which has one model for each image, like the
    finished classifier.

    Args:
        probabilities: float64 (repeats, n, K), each image by the model that did not see it.
        labels: int (n,).
        folds: int (repeats, n), the fold of each image.
        weights: float64 (n,), how much each image counts; None if all count alike.
    """
    before: list[tuple[float, float]] = []
    after: list[tuple[float, float]] = []
    logs = _logarithms(probabilities)
    repeats = len(logs)
    counted = None if weights is None else np.tile(weights, repeats)
    start = _fit(np.concatenate(logs), np.tile(labels, repeats), 1.0, counted)
    for raw, fold, original in zip(logs, folds, probabilities, strict=True):
        scaled = np.empty_like(raw)
        for number in np.unique(fold):
            held = fold == number
            others = None if weights is None else weights[~held]
            scaled[held] = _scaled(raw[held], _fit(raw[~held], labels[~held], start, others))
        for errors, predicted in ((before, original), (after, scaled)):
            errors.append((ece(predicted, labels, weights), log_loss(predicted, labels, weights)))
    (ece_before, loss_before), (ece_after, loss_after) = np.mean([before, after], axis=1).tolist()
    return TemperatureScaling(1 / start, ece_before, ece_after, loss_before, loss_after)


def _fit(logs: Floats, labels: Ints, beta: float, weights: Floats | None = None) -> float:
    """Find β = 1/T; a better start takes fewer steps and leads to the same end."""
    # scipy.optimize.brentq finds the same to 3e-15, in 13 evaluations instead of about 4: twice the
    # time, and other last digits in every result
    labelled = logs[np.arange(len(labels)), labels]
    low, high = 1 / HIGHEST, 1 / LOWEST
    for _ in range(STEPS):
        p = _scaled(logs, beta)
        mean = np.vecdot(p, logs)
        slope = average(mean - labelled, weights)
        if abs(slope) < FLAT:
            return beta
        p *= logs
        curvature = average(np.vecdot(p, logs) - mean**2, weights)
        low, high = (beta, high) if slope < 0 else (low, beta)
        step = beta - slope / curvature if curvature > 0 else low
        following = step if low < step < high else (low + high) / 2
        if abs(following - beta) <= TOLERANCE * beta:
            return following
        beta = following
    return beta


def _scaled(logs: Floats, beta: float) -> Floats:
    powers = beta * logs
    powers -= powers.max(axis=-1, keepdims=True)
    np.exp(powers, out=powers)
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def _logarithms(probabilities: Floats) -> Floats:
    result: Floats = np.log(np.maximum(probabilities, SMALLEST))
    return result


Z = 1.959964  # of a 95 % interval


def calibration_bins(
    probabilities: Floats, labels: Ints, weights: Floats | None = None
) -> list[dict[str, Any]]:
    """Sort predictions into bins of equal mass by the probability of the predicted class.

    There are 15 bins, or fewer so that each has at least 10 images; equal confidences share a bin.

    Args:
        probabilities: float64 (repeats, n, K), each image by the model that did not see it.
        labels: int (n,).
        weights: float64 (n,), how much each image counts; None if all count alike.

    Returns:
        For each bin, the least sure first: ``images`` (a mean over repeats), ``confidence``,
        ``accuracy`` and its Wilson 95 % interval ``low`` and ``high``, which counts the repeats as
        one because they predict the same images. All but ``images`` are fractions.
    """
    repeats, n = probabilities.shape[:2]
    confidence = probabilities.max(axis=2).ravel()
    hits = (probabilities.argmax(axis=2) == labels).ravel()
    bins = max(1, min(ECE_BINS, n // ECE_IMAGES_PER_BIN))
    edges = np.sort(confidence)[np.arange(1, bins) * confidence.size // bins]
    member = np.searchsorted(edges, confidence, side="right")
    counted = None if weights is None else np.tile(weights, repeats)
    rows = []
    for number in np.unique(member):
        inside = member == number
        by = None if counted is None else counted[inside]
        images, share = float(inside.sum()) / repeats, average(hits[inside], by)
        low, high = wilson(share, images)
        rows.append(
            {
                "images": images,
                "confidence": average(confidence[inside], by),
                "accuracy": share,
                "low": low,
                "high": high,
            }
        )
    return rows


def wilson(share: float, n: float) -> tuple[float, float]:
    """Compute Wilson's 95 % interval of a share observed among ``n``."""
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    reach = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    # rounding must not leave the share outside
    return max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach))
