"""Assesses how far a head can be trusted, from its held-out predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from headfit.fitting.metrics import Floats, Ints
from headfit.fitting.threads import one_thread
from headfit.study.reliability.calibration import TemperatureScaling, calibrate
from headfit.study.reliability.confidence import Confidence, calibration_bins, confidence_of
from headfit.study.reliability.conformal import Conformal, conform
from headfit.study.reliability.model_reliability import ModelReliability
from headfit.study.reliability.outliers import OutlierDetector, fit_detector
from headfit.study.reliability.per_class import ClassReport, confusion_matrix, report_classes
from headfit.study.reliability.suspects import (
    ExpectedSuspects,
    Suspect,
    expect_suspects,
    find_suspects,
    suspects_csv,
)

SUSPECTS_IN_RESULTS = 20


@dataclass(frozen=True, eq=False)
class Reliability:
    """How far a head can be trusted.

    Attributes:
        calibration: temperature, and calibration before and after.
        confidence: how sure it is on average, and how often it is right.
        conformal: threshold for prediction sets, their coverage and size.
        detector: detects images that are unlike the training images.
        classes: figures of each class.
        confusion: float64 (K, K), images labelled i and predicted j, a mean over repeats.
        suspects: labels that look wrong, the most suspect first.
        expected: how many would if none were wrong.
        bins: bins of the reliability diagram; see :func:`calibration_bins`.
    """

    calibration: TemperatureScaling
    confidence: Confidence
    conformal: Conformal
    detector: OutlierDetector
    classes: list[ClassReport]
    confusion: np.ndarray
    suspects: list[Suspect]
    expected: ExpectedSuspects
    bins: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Give the ``reliability`` object of ``results.json``: plain types, None where unknown."""
        return {
            "temperature": asdict(self.calibration),
            "confidence": asdict(self.confidence),
            "bins": self.bins,
            "conformal": asdict(self.conformal),
            "outliers": self.detector.to_data()[0],
            "classes": [report.to_dict() for report in self.classes],
            "confusion": self.confusion.tolist(),
            "suspects_found": len(self.suspects),
            "suspects_expected": asdict(self.expected),
            "suspects": [suspect.to_dict() for suspect in self.suspects[:SUSPECTS_IN_RESULTS]],
        }

    def suspects_csv(self) -> str:
        """Give the content of ``suspects.csv``: all suspects."""
        return suspects_csv(self.suspects)

    def for_model(self) -> ModelReliability:
        """Give the part that is stored in the finished model."""
        return ModelReliability(
            self.calibration.value, self.conformal.level, self.conformal.quantile, self.detector
        )


def assess(
    *,
    probabilities: Floats,
    labels: Ints,
    splits: Ints,
    classes: Sequence[str],
    paths: Sequence[str],
    features: np.ndarray,
    seed: int,
    groups: Ints | None = None,
    weights: Floats | None = None,
) -> Reliability:
    """Assess a head from predictions that have been made already.

    Args:
        probabilities: float64 (repeats, n, K), each image by the model that did not see it.
        labels: int (n,), 0 to K−1.
        splits: int (repeats, n), the fold of each image.
        classes: names of the K classes.
        paths: paths of the n images.
        features: float32 (n, C), channel means of the feature maps (gap).
        seed: random seed of the simulations and of the outlier detector.
        groups: int (n,), equal for images that belong together; None if each stands alone.
        weights: float64 (n,), how much each image counts; None if all count alike. Suspects and
            the confusion matrix count images.

    Raises:
        ValueError: shapes do not match, or a number is not finite.
    """
    _check(probabilities, labels, splits, classes, paths, features)
    averaged, counted = probabilities.mean(axis=0), (groups, weights)
    with one_thread():
        detector = fit_detector(features, labels, splits[0], weights, seed=seed)
    suspects = find_suspects(averaged, labels, classes, paths)
    return Reliability(
        calibrate(probabilities, labels, splits, *counted, seed=seed),
        confidence_of(probabilities, labels, *counted),
        conform(probabilities, labels, splits, *counted),
        detector,
        report_classes(probabilities, labels, classes, *counted),
        confusion_matrix(probabilities, labels),
        suspects,
        expect_suspects(averaged, labels, groups, seed=seed),
        calibration_bins(probabilities, labels, weights),
    )


def _check(
    probabilities: Floats,
    labels: Ints,
    splits: Ints,
    classes: Sequence[str],
    paths: Sequence[str],
    features: np.ndarray,
) -> None:
    repeats, n = splits.shape
    shapes = probabilities.shape, labels.shape, features.shape[:1], (len(paths),)
    if shapes != ((repeats, n, len(classes)), (n,), (n,), (n,)):
        raise ValueError(
            f"probabilities, labels, features and paths have shapes {shapes}; expected them for "
            f"{repeats} repeats, {n} images and {len(classes)} classes."
        )
    if not (np.isfinite(probabilities).all() and np.isfinite(features).all()):
        raise ValueError("probabilities and features must be finite: a fit has failed.")
