"""How good are predicted numbers? One short pure function a metric.

All take ``predictions`` and ``values``, float64 (n, K), in the numbers' own units, n >= 1, and
``weights``, float64 (n,), how much each image counts (None: all alike). The tests hold them
against scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from headfit.fitting.metrics import Floats

MAD_TO_STD = 1.4826  # standard deviations in a median absolute deviation of normal numbers


def r2(predictions: Floats, values: Floats, weights: Floats | None = None) -> float:
    """Mean over the columns that vary of R², the share of their variance that is explained.

    R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)², with ȳ the mean of these images: 1 at best, 0 for that mean, and
    below 0 for what is worse. nan where no column varies.
    """
    counts = np.ones((1, len(values))) if weights is None else weights[None]
    return float(r2_weighted(predictions, values, counts)[0])


def r2_weighted(predictions: Floats, values: Floats, counts: Floats) -> Floats:
    """Compute R² of the same predictions for many weightings of images.

    Args:
        predictions: float64 (n, K).
        values: float64 (n, K).
        counts: float64 (B, n), at least 0: how much each image counts.

    Returns:
        float64 (B,); nan where no column varies.
    """
    each = columns_r2(predictions, values, counts)
    defined = np.isfinite(each)
    with np.errstate(invalid="ignore"):
        result: Floats = np.where(defined, each, 0.0).sum(axis=1) / defined.sum(axis=1)
    return result


def columns_r2(predictions: Floats, values: Floats, counts: Floats) -> Floats:
    """Give R² of each column, float64 (B, K), nan where it does not vary; see r2_weighted."""
    total = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = values - values.mean(axis=0)  # so that the squares below keep their digits
        means = counts @ centred / total
        around = counts @ np.square(centred) - total * np.square(means)
        scale = np.square(centred).max(axis=0, initial=0.0) * total
        share = counts @ np.square(values - predictions) / around
    result: Floats = np.where(around > 1e-12 * scale, 1 - share, np.nan)
    return result


def r2_of_part(
    predictions: Floats, values: Floats, variances: Floats, weights: Floats | None = None
) -> float:
    """R² of a part of the images, relative to the variance of all of them.

    By its own variance the R² of n images is too low: 1 − R² is n/(n − 3) times too large where
    numbers are normal, a quarter for 15 images. Relative to the variance of all, the mean over
    folds of one size is R² of all out-of-fold predictions.

    Args:
        predictions: float64 (m, K).
        values: float64 (m, K).
        variances: float64 (K,), of all images; 0 for a column that does not vary, which is left
            out.
        weights: float64 (m,), how much each image counts; None if all count alike.
    """
    varies = variances > 0
    errors = np.average(np.square(predictions - values), axis=0, weights=weights)[varies]
    return float(np.mean(1 - errors / variances[varies])) if varies.any() else float("nan")


def variances_of(values: Floats, weights: Floats | None = None) -> Floats:
    """Give the variance of each column, float64 (K,); 0 where it does not vary."""
    centred = values - np.average(values, axis=0, weights=weights)
    variances: Floats = np.average(np.square(centred), axis=0, weights=weights)
    scale = np.square(values).max(axis=0, initial=0.0)
    return np.where(variances > 1e-24 * scale, variances, 0.0)


def mae(predictions: Floats, values: Floats, weights: Floats | None = None) -> float:
    """Mean absolute error, over images and columns, in the numbers' own units."""
    return float(np.average(np.abs(predictions - values), axis=0, weights=weights).mean())


def rmse(predictions: Floats, values: Floats, weights: Floats | None = None) -> float:
    """Root of the mean squared error of a column, averaged over the columns, in their own units."""
    squares = np.average(np.square(predictions - values), axis=0, weights=weights)
    return float(np.sqrt(squares).mean())


METRICS: dict[str, Callable[[Floats, Floats, Floats | None], float]] = {
    "r2": r2,
    "mae": mae,
    "rmse": rmse,
}
