"""Detects images unlike the training images, by a distance in the space of channel means.

Channel means (gap features) of length 1 are split by the leading r principal directions of the
training images into two parts. Within the r directions, the squared Mahalanobis distance to the
nearest class centre, with one covariance for all classes, shrunk as Ledoit and Wolf (2004) do; in
the rest, too many directions for so few images, only the squared length. Each part is divided by
its mean over the training images, so that neither drowns the other, and both are added. The score
is the root of that sum, relative to the threshold: above 1 is an outlier.

95 % of the training images stay below the threshold when each is scored by a detector that was
fitted without its fold, in the folds of the first repeat; there images count by weight, in the
directions and centres they count alike. So one in twenty images like the training images is
flagged. That holds too where the backbone was trained on these images: with the last stage trained
on 600 hands for 5 epochs, 4.6 % of 1,462 other hands were flagged; on 300 for 25 epochs, 3.9 % of
1,762.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headfit.fitting.metrics import Floats, Ints
from headfit.util.subspace import leading_directions

# Chosen by these figures: AUROC / outliers missed, both in per cent, at the threshold that 95 %
# of the training images pass, held-out scores; 1,000 images each, five folds. "far": the worst of
# solar cells (or hands), drawn digits, patterned discs, noise and plain colours; "turned": hands
# upside down; "class": one class of hands, of drawn digits, of patterned discs is left out and is
# the outlier, mean over five, five and four classes. Energy is that of logistic regression.
#                          far,      far,   turned     class:      class:      class:
# MobileNet              hands     cells                hands      digits       discs     stored
#   this one, r = 8      100/0     100/0    99.6/2   78.3/72   78.5/76.4   94.9/22.9      37 kB
#   r = 16               100/0      99.9/0  99.7/1   75.3/74   87.3/56.1   96.4/17.3      70 kB
#   r = 32               100/0     100/0    99.9/0   74.4/76   90.3/45.2   97.5/12.1     135 kB
#   r = 64               100/0     100/0    99.9/0   71.8/76   89.0/48.5   98.6/5.1      266 kB
#   nearest of all       100/0     100/0   100.0/0   70.8/76   91.6/41.1   96.3/14.0       4 MB
#   nearest of 256       100/0     100/0    99.8/0   70.7/77   90.8/44.5   96.3/14.0       1 MB
#   Mahalanobis, all C   100/0     100/0    99.9/0   64.3/77   85.5/57.6   99.1/3.3        4 MB
#   energy             87.2/77   17.6/99    83.0/75  63.3/93   90.1/52.5   94.8/21.6    nothing
# EfficientNet-Lite0
#   this one, r = 8      100/0     100/0    98.0/11  71.2/74   71.1/73.8   88.0/43.9
#   r = 16               100/0     100/0    98.7/1   69.0/76   76.9/68.4   92.3/37.9
#   r = 32               100/0     100/0    99.1/1   67.0/77   77.6/68.4   93.3/38.3
#   r = 64               100/0     100/0    99.5/0   63.5/77   76.5/68.4   96.1/27.6
#   nearest of all       100/0     100/0    99.7/0   63.3/77   79.4/70.7   90.7/40.2
#   nearest of 256       100/0     100/0    99.0/0   64.1/78   76.7/73.4   90.7/40.2
#   Mahalanobis, all C   100/0     100/0    99.3/1   59.0/77   74.6/75.4   96.6/21.9
#   energy             92.9/43    6.9/100   83.3/55  61.9/94   82.6/64.2   91.8/29.1
# Adding both parts unscaled, as one Gaussian would, gives the many weak directions all the weight.
# A new class of the same kind is hard for all of them: a score below 1 does not rule it out.
METHOD = "mahalanobis"
SHARE = 0.95  # of the training images that are no outliers
RANK = 32
MOST_FOLDS = 5  # detectors that are fitted for the threshold
TINY = 1e-12
# of the mean squared length: where the directions leave nothing but rounding, as with few channels,
# what they leave is not measured in units of rounding
ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class OutlierDetector:
    """Scores how unlike the training images an image is.

    Attributes:
        mean: float32 (C,), mean of the normalised channel means.
        directions: float32 (r, C), orthonormal; uncorrelated within a class.
        spread: float32 (r,), standard deviation along each, within a class, times √r.
        centres: float32 (K, r), of the classes, in these coordinates.
        rest: mean squared length outside of the directions.
        threshold: score that is mapped to 1.
    """

    mean: np.ndarray
    directions: np.ndarray
    spread: np.ndarray
    centres: np.ndarray
    rest: float
    threshold: float

    @property
    def channels(self) -> int:
        """C, the number of channels that the network must have."""
        return len(self.mean)

    def scores(self, features: np.ndarray) -> Floats:
        """Score images, from 0; above 1 they are unlike the training images.

        Args:
            features: float (n, C), channel means of the feature maps.
        """
        z = _normalised(features) - self.mean
        along = z @ self.directions.T
        rest = np.maximum(np.vecdot(z, z) - np.vecdot(along, along), 0) / self.rest
        near = _nearest(along / self.spread, self.centres / self.spread)
        result: Floats = np.sqrt((near + rest).astype(np.float64)) / self.threshold
        return result

    def to_data(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Give plain data that JSON can hold, and named float32 arrays."""
        facts = {"method": METHOD, "threshold": self.threshold, "share": SHARE, "rest": self.rest}
        names = ("mean", "directions", "spread", "centres")
        return facts, {f"outlier_{name}": getattr(self, name) for name in names}

    @classmethod
    def from_data(cls, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> OutlierDetector:
        """Rebuild from :meth:`to_data`, checking every value.

        Raises:
            ValueError, KeyError, TypeError: a value is missing or impossible.
        """
        if facts["method"] != METHOD:
            raise ValueError(f"its outlier method is '{facts['method']}', expected '{METHOD}'")
        rest, threshold = float(facts["rest"]), float(facts["threshold"])
        mean, directions, spread, centres = (
            arrays[f"outlier_{name}"] for name in ("mean", "directions", "spread", "centres")
        )
        shapes = mean.shape, directions.shape, spread.shape, centres.shape
        rank = len(spread)
        fit = shapes == (mean.shape[:1], (rank, len(mean)), (rank,), (len(centres), rank))
        if not fit or not len(mean) or not rank or not len(centres):
            raise ValueError(
                f"its outlier detector has arrays of shapes {shapes} that do not match"
            )
        if not (0 < rest < math.inf and 0 < threshold < math.inf and (spread > 0).all()):
            raise ValueError("its outlier detector has a scale that is not positive")
        return cls(mean, directions, spread, centres, rest, threshold)


def fit_detector(
    features: np.ndarray,
    labels: Ints,
    folds: Ints,
    weights: Floats | None = None,
    *,
    seed: int = 0,
) -> OutlierDetector:
    """Fit the detector on all images, and its threshold on held-out images.

    Args:
        features: float32 (n, C), channel means of the feature maps.
        labels: int (n,).
        folds: int (n,), near-duplicates in one fold; at most five detectors are fitted for the
            threshold.
        weights: float64 (n,), how much each image counts in the threshold; None if all count alike.
        seed: random seed of the search for the leading directions.
    """
    x = _normalised(features)
    held_out = np.empty(len(x))
    groups = folds % MOST_FOLDS
    for number in np.unique(groups):
        held = groups == number
        held_out[held] = _fit(x[~held], labels[~held], seed).scores(features[held])
    if weights is None:
        threshold = float(np.quantile(held_out, SHARE, method="higher"))
    else:
        threshold = float(np.quantile(held_out, SHARE, method="inverted_cdf", weights=weights))
    return replace(_fit(x, labels, seed), threshold=max(threshold, TINY))


def _fit(x: np.ndarray, labels: Ints, seed: int) -> OutlierDetector:
    """Fit on normalised features, float32 (n, C), with a threshold of 1."""
    mean = x.mean(axis=0)
    z = x - mean
    rank, rng = min(RANK, max(1, len(x) // 4), x.shape[1]), np.random.default_rng(seed)
    directions = leading_directions(z, rank, rng, np.float32).T
    along = z @ directions.T
    present, rows = np.unique(labels, return_inverse=True)
    centres = np.stack([along[rows == k].mean(axis=0) for k in range(len(present))])
    variances, axes = np.linalg.eigh(shrunk_covariance((along - centres[rows]).astype(np.float64)))
    axes = axes.astype(np.float32)
    spread = np.sqrt(np.maximum(variances, TINY) * len(variances)).astype(np.float32)
    squares = np.vecdot(z, z)
    rest = float(np.mean(squares - np.vecdot(along, along), dtype=np.float64))
    rest = max(rest, ROUNDING * float(np.mean(squares, dtype=np.float64)), TINY)
    return OutlierDetector(mean, axes.T @ directions, spread, centres @ axes, rest, 1.0)


def shrunk_covariance(r: Floats) -> Floats:
    """Shrink the covariance to a multiple of the identity as Ledoit and Wolf (2004) do.

    With S = RᵀR/n and μ = tr S / p the estimate is (1 − β/δ) S + (β/δ) μ I, where δ = ‖S − μI‖² and
    β = min(δ, Σ_i ‖r_i r_iᵀ − S‖² / n²).

    Args:
        r: float64 (n, p), deviations from the mean.
    """
    # sklearn.covariance.ledoit_wolf agrees to 1e-15, but takes seconds to import and ten times as
    # long for each fit, and would move the last digits of every stored threshold
    n, p = r.shape
    s = r.T @ r / n
    mu = np.trace(s) / p
    delta = np.sum(s * s) - p * mu**2
    beta = (np.mean(np.vecdot(r, r) ** 2) - np.sum(s * s)) / n
    share = min(1.0, max(0.0, beta / delta)) if delta > 0 else 1.0
    result: Floats = (1 - share) * s + share * mu * np.eye(p)
    return result


def _normalised(features: np.ndarray) -> np.ndarray:
    """Scale rows to length 1, float32; a row of zeros stays."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    result: np.ndarray = (features / np.maximum(lengths, TINY)).astype(np.float32)
    return result


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distance of each point (n, r) to the nearest of the centres (K, r)."""
    products = points @ centres.T
    distances = np.vecdot(points, points)[:, None] - 2 * products + np.vecdot(centres, centres)
    result: np.ndarray = np.maximum(distances.min(axis=1), 0)
    return result
