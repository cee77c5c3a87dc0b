"""Assesses how far a head can be trusted, from its held-out predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from headfit.fitting.metrics import Floats, Ints
from headfit.fitting.threads import one_thread
from headfit.images.targets import CLASS, LABELS, NUMBER, Targets
from headfit.study.reliability.calibration import TemperatureScaling, calibrate
from headfit.study.reliability.confidence import Confidence, calibration_bins, confidence_of
from headfit.study.reliability.conformal import Conformal, conform
from headfit.study.reliability.labels import assess_labels
from headfit.study.reliability.model_reliability import ModelReliability, Reliabilities
from headfit.study.reliability.numbers import assess_numbers
from headfit.study.reliability.outliers import OutlierDetector, fit_detector
from headfit.study.reliability.per_class import ClassReport, confusion_matrix, report_classes
from headfit.study.reliability.suspects import (
    SUSPECTS_IN_RESULTS,
    ExpectedSuspects,
    Suspect,
    expect_suspects,
    find_suspects,
    suspects_csv,
)
from headfit.study.reliability.threshold_curves import threshold_curves


@dataclass(frozen=True, eq=False)
class Reliability:
    """How far a head for classes can be trusted.

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
        curves: of two classes ROC and precision–recall; see :func:`threshold_curves`.
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
    curves: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the ``reliability`` object of ``results.json``: plain types, None where unknown."""
        return {
            "kind": CLASS,
            "temperature": asdict(self.calibration),
            "confidence": asdict(self.confidence),
            "bins": self.bins,
            **({"curves": self.curves} if self.curves else {}),
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


class Assessment(Protocol):
    """How far a head can be trusted, whatever it predicts."""

    def to_dict(self) -> dict[str, Any]:
        """Give the ``reliability`` object of ``results.json``: plain types, None where unknown."""

    def suspects_csv(self) -> str:
        """Give the content of ``suspects.csv``."""

    def for_model(self) -> Reliabilities:
        """Give the part that is stored in the finished model."""


def assess(
    *,
    predictions: Floats,
    targets: Targets,
    splits: Ints,
    paths: Sequence[str],
    features: np.ndarray,
    seed: int,
    groups: Ints | None = None,
) -> Assessment:
    """Assess a head from predictions that have been made already.

    Args:
        predictions: float64 (repeats, n, K), each image by the model that did not see it.
        targets: of the n images. Suspects and the confusion matrix count images, the rest is by
            their weights.
        splits: int (repeats, n), the fold of each image.
        paths: paths of the n images.
        features: float32 (n, C), channel means of the feature maps (gap).
        seed: random seed of the simulations and of the outlier detector.
        groups: int (n,), equal for images that belong together; None if each stands alone.

    Raises:
        ValueError: shapes do not match, or a number is not finite.
    """
    _check(predictions, targets, splits, paths, features)
    # images are unlike those of their own class; without classes, unlike all
    classes = targets.values if targets.kind == CLASS else np.zeros(len(targets), np.int64)
    with one_thread():
        detector = fit_detector(features, classes, splits[0], targets.weights, seed=seed)
    if targets.kind == LABELS:
        return assess_labels(
            predictions, targets, splits, list(paths), detector, seed=seed, groups=groups
        )
    if targets.kind == NUMBER:
        return assess_numbers(predictions, targets, splits, list(paths), detector, groups=groups)
    return _assess_classes(predictions, targets, splits, paths, detector, seed, groups)


def _assess_classes(
    probabilities: Floats,
    targets: Targets,
    splits: Ints,
    paths: Sequence[str],
    detector: OutlierDetector,
    seed: int,
    groups: Ints | None,
) -> Reliability:
    labels, classes = targets.values, targets.names
    averaged, counted = probabilities.mean(axis=0), (groups, targets.weights)
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
        calibration_bins(probabilities, labels, targets.weights),
        threshold_curves(probabilities, labels, targets.weights) if len(classes) == 2 else None,
    )


def _check(
    predictions: Floats,
    targets: Targets,
    splits: Ints,
    paths: Sequence[str],
    features: np.ndarray,
) -> None:
    repeats, n = splits.shape
    shapes = predictions.shape, (len(targets),), features.shape[:1], (len(paths),)
    if shapes != ((repeats, n, targets.count), (n,), (n,), (n,)):
        raise ValueError(
            f"predictions, targets, features and paths have shapes {shapes}; expected them for "
            f"{repeats} repeats, {n} images and {targets.count} outputs."
        )
    if not (np.isfinite(predictions).all() and np.isfinite(features).all()):
        raise ValueError("predictions and features must be finite: a fit has failed.")
