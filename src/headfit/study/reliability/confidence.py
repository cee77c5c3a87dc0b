"""How sure a head is of its predictions, against how often it is right.

A head whose probabilities are all true has a calibration error too: the few images of a bin are
right a little more or less often than it says, by chance. With 200 images that is some 8 points
(Roelofs, Cain, Shlens, Mozer: Mitigating Bias in Calibration Error Estimation, AISTATS 2022). So
the error stands beside the one that is expected by chance: what a perfectly calibrated head would
show on as many images with the same confidences, by simulation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.fitting.metrics import Floats, Ints, average, credit, ece, equal_mass_bins
from headfit.study.comparison.proportions import Z, share_of

# of a simulation; fewer where there are many numbers
DRAWS, FEWEST, NUMBERS = 100, 20, 20_000_000


@dataclass(frozen=True)
class CalibrationError:
    """The expected calibration error (ECE) of a head, as a fraction.

    Attributes:
        mean: over repeats, each of which has one model for each image, like the finished model.
        expected: what a perfectly calibrated head would show on average.
    """

    mean: float
    expected: float


@dataclass(frozen=True)
class Confidence:
    """How sure a head is on average, and how often it is right.

    It is shown to be too sure of itself if ``probability`` lies above the interval, and not sure
    enough if it lies below.

    Attributes:
        probability: mean probability of the predicted class.
        accuracy: share of the images that are predicted right.
        low: lower end of its 95 % interval, which counts independent groups.
        high: upper end.
    """

    probability: float
    accuracy: float
    low: float
    high: float


def calibration_error(
    probabilities: Floats,
    labels: Ints,
    groups: Ints | None = None,
    weights: Floats | None = None,
    *,
    seed: int = 0,
) -> CalibrationError:
    """Compute the calibration error, and the one that is expected by chance.

    For the latter, each image is right with the probability that was predicted, and images of one
    group are right together as often as these are.

    Args:
        probabilities: float64 (repeats, n, K), each image by the model that did not see it.
        labels: int (n,).
        groups: int (n,), equal for images that belong together; None if each stands alone.
        weights: float64 (n,), how much each image counts; None if all count alike.
        seed: random seed of the simulation.
    """
    n, confidences = len(labels), probabilities.max(axis=2)
    shares = np.full(n, 1 / n) if weights is None else weights / weights.sum()
    rows = [(each, equal_mass_bins(each, n)) for each in confidences]
    units = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    right = np.mean([credit(each, labels) for each in probabilities], axis=0)
    together = _likeness(right - confidences.mean(axis=0), units) ** 0.5
    by_chance = []
    for rng in generators(confidences.size, seed):
        drawn = np.where(rng.random(n) < together, rng.random(n)[units], rng.random(n))
        for confidence, member in rows:
            gaps = shares * (confidence - (drawn < confidence))
            by_chance.append(np.abs(np.bincount(member, gaps)).sum())
    errors = [ece(each, labels, weights) for each in probabilities]
    return CalibrationError(float(np.mean(errors)), float(np.mean(by_chance)))


def confidence_of(
    probabilities: Floats,
    labels: Ints,
    groups: Ints | None = None,
    weights: Floats | None = None,
) -> Confidence:
    """Compare the mean confidence with the accuracy; see :func:`calibration_error`."""
    right = np.mean([credit(each, labels) for each in probabilities], axis=0)
    accuracy = share_of(right, groups, weights)
    sure = average(probabilities.max(axis=2).mean(axis=0), weights)
    return Confidence(sure, accuracy.mean, accuracy.low, accuracy.high)


def _likeness(residuals: Floats, units: Ints) -> float:
    """Estimate the correlation of residuals (n,) within groups, 0 to 1; 0 without a group."""
    sums, squares = (np.bincount(units, weights=residuals**power) for power in (1, 2))
    pairs = float(((np.bincount(units) - 1) * squares).sum())
    return min(1.0, max(0.0, float((sums**2 - squares).sum()) / pairs)) if pairs > 0 else 0.0


def generators(numbers: int, seed: int) -> Iterator[np.random.Generator]:
    """Give a random generator for each draw of a simulation.

    Args:
        numbers: how many numbers are computed for each draw; the more, the fewer draws.
        seed: random seed.
    """
    rng = np.random.default_rng([seed, 15])
    for _ in range(max(FEWEST, min(DRAWS, NUMBERS // numbers))):
        yield rng


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
    member = equal_mass_bins(confidence, n)
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
