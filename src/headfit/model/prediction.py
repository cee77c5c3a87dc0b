"""What a model says of one image, and how far it may be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headfit.fitting.label_metrics import THRESHOLD
from headfit.images.targets import CLASS, LABELS, NUMBER
from headfit.model.metadata import ModelRecord
from headfit.study.reliability.calibration import scale
from headfit.study.reliability.conformal import prediction_sets
from headfit.study.reliability.model_reliability import (
    LabelReliability,
    ModelReliability,
    NumberReliability,
)


@dataclass(frozen=True)
class Prediction:
    """What the model says of one file.

    What does not belong to the kind of the model is None, and so is all but the path and the error
    if the file cannot be read. What rests on reliability is None if the model carries none.

    Attributes:
        path: the file, as it was named.
        probabilities: of classes or labels, float64 (K,), as the network gives them.
        error: why it cannot be read; empty if it can.
        calibrated: of classes, the probability of the most probable one after temperature scaling.
        prediction_set: the classes, most probable first, among which the true one is nine times in
            ten (for images like those of the training).
        outlier: whether the image is unlike the training images, so that the rest says little.
        outlier_score: how unlike them it is; above 1 is an outlier.
        labels: those that the image has, most probable first.
        calibrated_labels: of each label its probability after temperature scaling, float64 (K,).
        values: numbers in their own units, float64 (K,).
        low: lower end of the interval of each number, float64 (K,); −∞ where too few images were
            there for one.
        high: its upper end, likewise.
    """

    path: str
    probabilities: np.ndarray | None
    error: str = ""
    calibrated: float | None = None
    prediction_set: tuple[str, ...] | None = None
    outlier: bool | None = None
    outlier_score: float | None = None
    labels: tuple[str, ...] | None = None
    calibrated_labels: np.ndarray | None = None
    values: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None


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


def label_sets(probabilities: np.ndarray, record: ModelRecord) -> list[tuple[str, ...]]:
    """Name the labels of each image, most probable first.

    An image has those whose probability is at least the threshold that the file holds, or 0.5.

    Args:
        probabilities: float64 (n, K), as the network gives them.
        record: of a model of several labels.
    """
    orders = np.argsort(-probabilities, axis=1, kind="stable")
    has = probabilities >= thresholds_of(record)
    return [
        tuple(record.classes[k] for k in order if row[k])
        for order, row in zip(orders, has, strict=True)
    ]


def thresholds_of(record: ModelRecord) -> np.ndarray:
    """Give the probability from which on an image has each label, float64 (K,)."""
    if isinstance(record.reliability, LabelReliability):
        return record.reliability.thresholds
    return np.full(len(record.classes), THRESHOLD)


def scale_labels(probabilities: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
    """Apply temperature scaling to each label: the sigmoid of its logit, divided by T.

    Args:
        probabilities: float64 (…, K).
        temperatures: of the K labels, float64 (K,).
    """
    with np.errstate(divide="ignore"):
        yes, no = (np.log(each) / temperatures for each in (probabilities, 1 - probabilities))
    scaled: np.ndarray = np.exp(yes - np.logaddexp(yes, no))
    return scaled


def describe(path: str, row: np.ndarray, record: ModelRecord) -> Prediction:
    """Make a prediction of what the network gave.

    Args:
        path: the file.
        row: float32 (K + C,), outputs and channel means.
        record: what the model file says.
    """
    count, reliability = len(record.classes), record.reliability
    outputs = row[:count].astype(np.float64)
    known = _KNOWN[record.kind](outputs, record)
    if reliability is None:
        return Prediction(path, **known)
    score = float(reliability.detector.scores(row[None, count:])[0])
    return replace(Prediction(path, **known), outlier=score > 1, outlier_score=score)


def _of_class(outputs: np.ndarray, record: ModelRecord) -> dict[str, Any]:
    known: dict[str, Any] = {"probabilities": outputs}
    reliability = record.reliability
    if isinstance(reliability, ModelReliability):
        known["calibrated"] = float(scale(outputs, reliability.temperature).max())
        sets = class_sets(outputs[None], record.classes, reliability)
        known["prediction_set"] = tuple(sets[0])
    return known


def _of_labels(outputs: np.ndarray, record: ModelRecord) -> dict[str, Any]:
    known: dict[str, Any] = {"probabilities": outputs}
    known["labels"] = label_sets(outputs[None], record)[0]
    if isinstance(record.reliability, LabelReliability):
        known["calibrated_labels"] = scale_labels(outputs, record.reliability.temperatures)
    return known


def _of_numbers(outputs: np.ndarray, record: ModelRecord) -> dict[str, Any]:
    known: dict[str, Any] = {"probabilities": None, "values": outputs}
    if isinstance(record.reliability, NumberReliability):
        half = record.reliability.half_widths
        known |= {"low": outputs - half, "high": outputs + half}
    return known


_KNOWN = {CLASS: _of_class, LABELS: _of_labels, NUMBER: _of_numbers}
