"""What int8 changes in a backbone: its feature maps, and the score of a head on them.

Both are measured on a sample of the user's own images, the score on identical folds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from headfit.errors import DataError
from headfit.features.store import FeatureMaps
from headfit.fitting.exact.method import Exact
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem
from headfit.heads.chain import Head
from headfit.heads.layers import GAP
from headfit.study.comparison.compare import by_name, corrected_interval
from headfit.study.comparison.results import fold_metrics
from headfit.study.protocol.crossval import cross_validate

MOST_IMAGES = 512


@dataclass(frozen=True)
class Int8Comparison:
    """How int8 compares with float32.

    Attributes:
        images: number of images in the sample.
        calibrated: number of those that int8 was also calibrated on.
        cosine_mean: mean cosine between an image's two feature maps.
        cosine_lowest: the lowest such cosine.
        head: name of the head that is scored.
        recommended: whether that is the recommended head.
        int8: its score on int8 maps, in the primary metric.
        float32: its score on float32 maps.
        difference: int8 − float32: mean, low and high of the 95 % interval.
        crossed: its score when trained on int8 and scored on float32, as the saved model
            is used.
    """

    images: int
    calibrated: int
    cosine_mean: float
    cosine_lowest: float
    head: str
    recommended: bool
    int8: float
    float32: float
    difference: dict[str, float | None]
    crossed: float

    def to_dict(self, calibrated_on: int, speedup: float) -> dict[str, Any]:
        """Give plain data that JSON can hold.

        Args:
            calibrated_on: number of images that int8 was calibrated on.
            speedup: int8's speed as a multiple of float32's.
        """
        return {**asdict(self), "calibrated_on": calibrated_on, "speedup": speedup}


def choose_sample(
    labels: np.ndarray, groups: np.ndarray | None, fresh: np.ndarray, *, folds: int, seed: int
) -> np.ndarray:
    """Choose up to 512 images to compare on, each class in proportion.

    Args:
        labels: int (n,), the class of each image.
        groups: int (n,), equal for copies and near-duplicates, of which one is taken; None if
            there are none.
        fresh: bool (n,), False for images that int8 was calibrated on; True ones are taken first.
        folds: least number of images of each class, as far as there are any.
        seed: of the choice among equals.

    Returns:
        int (m,), ascending; all images but copies if there are no more than 512.
    """
    rng = np.random.default_rng([seed, 8])
    single = np.arange(len(labels))
    if groups is not None:
        single = np.unique(np.stack([labels, groups]), axis=1, return_index=True)[1]
    share = min(1.0, MOST_IMAGES / len(single))
    chosen = []
    for kind in np.unique(labels):
        members = rng.permutation(np.sort(single[labels[single] == kind]))
        members = members[np.argsort(~fresh[members], kind="stable")]
        chosen.append(members[: max(folds, int(share * len(members)))])
    result: np.ndarray = np.sort(np.concatenate(chosen))
    return result


def choose_head(
    recommended: str,
    fits: list[CrossValidation],
    metrics: list[dict[str, np.ndarray]],
    primary: str = "balanced_accuracy",
) -> Head:
    """Give the recommended head if it is linear, else the best linear one, else gap."""
    scored = {
        fit.head.name: (float(np.mean(each[primary])), fit.head)
        for fit, each in zip(fits, metrics, strict=True)
        if fit.head.linear
    }
    if recommended in scored:
        return scored[recommended][1]
    if not scored:
        return Head(GAP)
    return max(scored.values(), key=lambda pair: pair[0])[1]


def measure(
    int8: FeatureMaps,
    float32: FeatureMaps,
    problem: Problem,
    head: Head,
    *,
    recommended: bool,
    calibrated: int,
) -> Int8Comparison:
    """Compare two sets of maps of the same images.

    Args:
        int8: maps in int8 of n images.
        float32: theirs in float32.
        problem: labels and folds of these images.
        head: a linear one.
        recommended: whether it is the recommended one.
        calibrated: how many of the images int8 was calibrated on.
    """
    cosines = map_cosines(int8, float32)
    fits = [_cross_validate(maps, problem, head) for maps in (int8, float32)]
    scores = [fold_metrics(fit, problem)[problem.kind.primary] for fit in fits]
    change = corrected_interval(scores[0] - scores[1], problem.splits.folds)
    return Int8Comparison(
        len(int8),
        calibrated,
        float(cosines.mean()),
        float(cosines.min()),
        head.name,
        recommended,
        float(scores[0].mean()),
        float(scores[1].mean()),
        by_name(change),
        _crossed(int8, float32, problem, fits[0]),
    )


def map_cosines(a: FeatureMaps, b: FeatureMaps) -> np.ndarray:
    """Cosine of each image's two maps, float64 (n,); two maps without any activation agree.

    Raises:
        DataError: if the maps are not of the same images and shape.
    """
    if a.shape != b.shape:
        raise DataError(f"Maps of shape {a.shape} cannot be compared with maps of {b.shape}.")
    result = np.empty(len(a))
    for (rows, x), (_, y) in zip(a.chunks(), b.chunks(), strict=True):
        xx, xy, yy = (_products(u, v) for u, v in ((x, x), (x, y), (y, y)))
        none = (xx == 0) & (yy == 0)
        result[rows] = np.where(none, 1.0, xy / np.sqrt(np.where(xx * yy == 0, 1.0, xx * yy)))
    return result


def _products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Scalar product of each pair of rows, summed up in float64."""
    products: np.ndarray = np.einsum("nhwc,nhwc->n", x, y, dtype=np.float64)
    return products


def _cross_validate(maps: FeatureMaps, problem: Problem, head: Head) -> CrossValidation:
    return cross_validate(Exact(head, PooledFeatures(maps, (head.pooling,))), problem)


def _crossed(
    int8: FeatureMaps, float32: FeatureMaps, problem: Problem, fit: CrossValidation
) -> float:
    """Train on int8 with the settings that each fold chose, score what is held out in float32."""
    scores, settings = [], iter(fit.choices)
    for repeat in range(problem.splits.repeats):
        for fold in range(problem.splits.folds):
            train, held = problem.splits.indices(repeat, fold)
            pooled = PooledFeatures(int8.subset(train), (fit.head.pooling,))
            part = replace(problem, targets=problem.targets.subset(train))
            fitted = Exact(fit.head, pooled).refit(part, next(settings))
            probabilities = fitted.probabilities_of(float32.subset(held))
            scores.append(problem.score_part(probabilities, held))
    return float(np.mean(scores))
