"""Bins of a reliability diagram: how often predictions are right, by their probability."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from headfit.fitting.metrics import ECE_BINS, ECE_IMAGES_PER_BIN, Floats, Ints

Z = 1.959964  # of a 95 % interval


def calibration_bins(probabilities: Floats, labels: Ints) -> list[dict[str, Any]]:
    """Sort predictions into bins of equal mass by the probability of the predicted class.

    There are 15 bins, or fewer so that each has at least 10 images; equal confidences share a bin.

    Args:
        probabilities: float64 (repeats, n, K), each image by the model that did not see it.
        labels: int (n,).

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
    rows = []
    for number in np.unique(member):
        inside = member == number
        images, share = float(inside.sum()) / repeats, float(hits[inside].mean())
        low, high = wilson(share, images)
        rows.append(
            {
                "images": images,
                "confidence": float(confidence[inside].mean()),
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
