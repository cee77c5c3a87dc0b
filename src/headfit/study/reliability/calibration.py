"""Temperature scaling, fitted on predictions of held-out images.

softmax(log p / T): T > 1 for a head that is too sure of itself, T < 1 for one too unsure (Guo,
Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017). The order of the
classes stays.

Written in β = 1/T, the mean log-loss f(β) = mean_i [ln Σ_k p_ik^β − β ln p_iy] is convex, with
f'(β) = mean_i [E_β ln p − ln p_iy] and f''(β) = mean_i Var_β ln p, where the expectation is over
the scaled probabilities: Newton's steps find its minimum, halving where a step would leave the
bracket.

A temperature that fits noise makes probabilities worse. So it is applied only if the temperatures
of the other folds lower the log-loss of the images beyond noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from headfit.fitting.metrics import LOG_CLIP, Floats, Ints, average, ece
from headfit.study.comparison.proportions import group_totals
from headfit.study.reliability.confidence import calibration_error

# a head that is never wrong wants T = 0, and one that knows nothing T = ∞
LOWEST, HIGHEST = 0.05, 20.0
STEPS = 60
TOLERANCE = 1e-5  # of a step, relatively: Newton's is then right to about ten digits
FLAT = 1e-12  # a slope of nothing but rounding: every T is as good, and this one stays
SMALLEST = float(np.finfo(np.float64).tiny)
ALPHA = 0.05


@dataclass(frozen=True)
class TemperatureScaling:
    """A temperature, and its effect on images that took no part in choosing it.

    Attributes:
        value: T for the model: ``fitted`` if it was shown to help, else 1.
        fitted: T from all out-of-fold predictions.
        p_value: of the log-loss being no lower with the temperature of the other folds: a
            one-sided t-test over independent groups.
        ece_before: expected calibration error, a fraction.
        ece_expected: that of a perfectly calibrated head; see :func:`calibration_error`.
        ece_after: with the temperature of the other folds.
        log_loss_before: in nats.
        log_loss_after: the same, with the temperature of the other folds.
    """

    value: float
    fitted: float
    p_value: float
    ece_before: float
    ece_expected: float
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


def fit_temperature(probabilities: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Find the T from 0.05 to 20 with the lowest log-loss.

    Args:
        probabilities: float64 (n, K), rows summing to 1, of images not trained on.
        labels: int (n,).
        weights: float64 (n,), how much each image counts; None if all count alike.
    """
    return 1 / _fit(_logarithms(probabilities), labels, 1.0, weights)


def calibrate(
    probabilities: Floats,
    labels: Ints,
    folds: Ints,
    groups: Ints | None = None,
    weights: Floats | None = None,
    *,
    seed: int = 0,
) -> TemperatureScaling:
    """Fit the temperature, and measure how much it helps.

    The predictions of a fold are scaled by the temperature of the other folds of its repeat. Errors
    and losses are means over the repeats, each of which has one model for each image, like the
    finished classifier.

    Args:
        probabilities: float64 (repeats, n, K), each image by the model that did not see it.
        labels: int (n,).
        folds: int (repeats, n), the fold of each image.
        groups: int (n,), equal for images that belong together; None if each stands alone.
        weights: float64 (n,), how much each image counts; None if all count alike.
        seed: random seed of the expected calibration error.
    """
    logs, scaled = _logarithms(probabilities), np.empty_like(probabilities)
    repeats = len(logs)
    counted = None if weights is None else np.tile(weights, repeats)
    start = _fit(np.concatenate(logs), np.tile(labels, repeats), 1.0, counted)
    for raw, fold, row in zip(logs, folds, scaled, strict=True):
        for number in np.unique(fold):
            held = fold == number
            others = None if weights is None else weights[~held]
            row[held] = _scaled(raw[held], _fit(raw[~held], labels[~held], start, others))
    before, after = (_losses(each, labels) for each in (probabilities, scaled))
    p_value = _p_value(before - after, groups, weights)
    error = calibration_error(probabilities, labels, groups, weights, seed=seed)
    return TemperatureScaling(
        1 / start if p_value <= ALPHA else 1.0,
        1 / start,
        p_value,
        error.mean,
        error.expected,
        float(np.mean([ece(each, labels, weights) for each in scaled])),
        average(before, weights),
        average(after, weights),
    )


def _losses(probabilities: Floats, labels: Ints) -> Floats:
    """Compute the log-loss of each image, float64 (n,), a mean over repeats."""
    of_label = probabilities[:, np.arange(len(labels)), labels]
    losses: Floats = -np.log(np.clip(of_label, LOG_CLIP, 1.0)).mean(axis=0)
    return losses


def _p_value(gains: Floats, groups: Ints | None, weights: Floats | None) -> float:
    """Test whether the mean gain of images is above 0, by the variation between groups."""
    mean = average(gains, weights)
    apart = group_totals(gains - mean, groups, weights)
    spread, count = float(apart @ apart), len(apart)
    if mean <= 0 or count < 2:
        return 1.0
    t = math.inf if spread == 0 else mean / math.sqrt(spread * count / (count - 1))
    return float(stdtr(count - 1, -t))


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
