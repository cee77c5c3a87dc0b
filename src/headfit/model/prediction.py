"""What a classifier says of one image, and how far it may be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headfit.study.reliability.calibration import scale
from headfit.study.reliability.conformal import prediction_sets
from headfit.study.reliability.model_reliability import ModelReliability


@dataclass(frozen=True)
class Prediction:
    """What the classifier says of one file.

    The last four are None if the file cannot be read, or the model carries no such thing.

    Attributes:
        path: the file, as it was named.
        probabilities: float64 (K,); None if the file cannot be read.
        error: why it cannot be read; empty if it can.
        calibrated: probability of the most probable class after temperature scaling.
        prediction_set: the classes, most probable first, among which the true one is nine times in
            ten (for images like those of the training).
        outlier: whether the image is unlike the training images, so that the rest says little.
        outlier_score: how unlike them it is; above 1 is an outlier.
    """

    path: str
    probabilities: np.ndarray | None
    error: str = ""
    calibrated: float | None = None
    prediction_set: tuple[str, ...] | None = None
    outlier: bool | None = None
    outlier_score: float | None = None


def class_sets(
    probabilities: np.ndarray, classes: Sequence[str], reliability: ModelReliability
) -> list[list[str]]:
    """Name the classes in the set of each image, most probable first.

    Args:
        probabilities: float64 (n, K).
        classes: names of the K classes.
        reliability: holds the threshold.
    """
    members = prediction_sets(probabilities, reliability.quantile)
    orders = np.argsort(-probabilities, axis=1, kind="stable")
    return [
        [classes[k] for k in order if member[k]]
        for order, member in zip(orders, members, strict=True)
    ]


def describe(
    path: str, row: np.ndarray, classes: Sequence[str], reliability: ModelReliability | None
) -> Prediction:
    """Make a prediction of what the network gave.

    Args:
        path: the file.
        row: float32 (K + C,), probabilities and channel means.
        classes: names of the K classes.
        reliability: what the model knows of itself.
    """
    p = row[: len(classes)].astype(np.float64)
    if reliability is None:
        return Prediction(path, p)
    score = float(reliability.detector.scores(row[None, len(classes) :])[0])
    return Prediction(
        path,
        p,
        calibrated=float(scale(p, reliability.temperature).max()),
        prediction_set=tuple(class_sets(p[None], classes, reliability)[0]),
        outlier=score > 1,
        outlier_score=score,
    )
