"""What a coarser arithmetic of the backbone changes: its maps, and the score of a head on them.

Both are measured on a sample of the user's own images, the score on identical folds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from headfit.errors import DataError
from headfit.features.store import FeatureMaps
from headfit.fitting.exact.method import Exact
from headfit.fitting.metrics import balanced_accuracy
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem
from headfit.heads.chain import Head, parse_head
from headfit.study.comparison.compare import corrected_interval
from headfit.study.comparison.results import fold_metrics
from headfit.study.protocol.crossval import cross_validate

MOST_IMAGES = 512
SCORE = "balanced_accuracy"


@dataclass(frozen=True)
class Agreement:
    """How int8 compares with float32.

    Attributes:
        images: size of the sample.
        calibrated: how many of them int8 was also calibrated on.
        cosine_mean: mean cosine of an image's two feature maps.
        cosine_lowest: the lowest.
        head: that the scores are of.
        recommended: whether that is the recommended one.
        int8: its balanced accuracy on maps in int8, as a fraction.
        float32: the same in float32.
        difference: int8 − float32: mean, and its 95 % interval.
        crossed: its balanced accuracy trained on int8 and scored on float32, as the saved model
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
    difference: dict[str, float]
    crossed: float

    def to_dict(self, calibrated_on: int, speedup: float) -> dict[str, Any]:
        """Give plain data that JSON can hold.

        Args:
            calibrated_on: images that int8 was calibrated on.
            speedup: how many times as fast as float32 int8 ran.
        """
        return {
            **asdict(self),
            "calibrated_on": calibrated_on,
            "speedup": speedup,
            "sentence": self.sentence(speedup),
        }

    def sentence(self, speedup: float) -> str:
        """Say it in words."""
        known = f"{self.calibrated} of them" if self.calibrated else "none"
        head = self.head if self.recommended else f"{self.head}, the best linear head,"
        change = self.difference
        return (
            f"int8 against float32 on {self.images} of your images ({known} used for calibration): "
            f"cosine of the feature maps {self.cosine_mean:.4f} on average, "
            f"{self.cosine_lowest:.4f} at the lowest; {head} has {100 * self.int8:.1f} % balanced "
            f"accuracy with int8, {100 * self.float32:.1f} % with float32: "
            f"{100 * change['mean']:+.1f} points ({100 * change['low']:+.1f} to "
            f"{100 * change['high']:+.1f}). int8 ran {speedup:.2f} times as fast as float32. The "
            f"table's scores are int8's; model.keras runs in float32, where the head trained on "
            f"int8 has {100 * self.crossed:.1f} %."
        )


def choose_sample(
    labels: np.ndarray, groups: np.ndarray | None, fresh: np.ndarray, *, folds: int, seed: int
) -> np.ndarray:
    """Choose images to compare on, as many of each class as its share of 512 asks for.

    Args:
        labels: int (n,), the class of each image.
        groups: int (n,), equal for copies and near-duplicates, of which one is taken; None if
            there are none.
        fresh: bool (n,), whether int8 was not calibrated on it; these are taken first.
        folds: at least so many of each class are taken, as far as it has them.
        seed: decides the rest.

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
    recommended: str, found: list[CrossValidation], metrics: list[dict[str, np.ndarray]]
) -> Head:
    """Give the recommended head if it is linear, else the best linear one, else gap."""
    scored = {
        f.head.name: (float(np.mean(m[SCORE])), f.head)
        for f, m in zip(found, metrics, strict=True)
        if f.head.linear
    }
    if recommended in scored:
        return scored[recommended][1]
    if not scored:
        return parse_head("gap")
    return max(scored.values(), key=lambda pair: pair[0])[1]


def measure(
    int8: FeatureMaps,
    float32: FeatureMaps,
    problem: Problem,
    head: Head,
    *,
    recommended: bool,
    calibrated: int,
) -> Agreement:
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
    found = [_cross_validate(maps, problem, head) for maps in (int8, float32)]
    scores = [fold_metrics(each, problem)[SCORE] for each in found]
    mean, low, high = corrected_interval(scores[0] - scores[1], problem.splits.folds)
    return Agreement(
        len(int8),
        calibrated,
        float(cosines.mean()),
        float(cosines.min()),
        head.name,
        recommended,
        float(scores[0].mean()),
        float(scores[1].mean()),
        {"mean": mean, "low": low, "high": high},
        _crossed(int8, float32, problem, found[0]),
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
    found: np.ndarray = np.einsum("nhwc,nhwc->n", x, y, dtype=np.float64)
    return found


def _cross_validate(maps: FeatureMaps, problem: Problem, head: Head) -> CrossValidation:
    return cross_validate(Exact(head, PooledFeatures(maps, (head.pooling,))), problem)


def _crossed(
    int8: FeatureMaps, float32: FeatureMaps, problem: Problem, found: CrossValidation
) -> float:
    """Train on int8 with the settings that each fold chose, score what is held out in float32."""
    scores, settings = [], iter(found.choices)
    for repeat in range(problem.splits.repeats):
        for fold in range(problem.splits.folds):
            train, held = problem.splits.indices(repeat, fold)
            pooled = PooledFeatures(int8.subset(train), (found.head.pooling,))
            part = replace(problem, labels=problem.labels[train])
            fitted = Exact(found.head, pooled).refit(part, next(settings))
            probabilities = fitted.probabilities_of(float32.subset(held))
            scores.append(balanced_accuracy(probabilities, problem.labels[held]))
    return float(np.mean(scores))
