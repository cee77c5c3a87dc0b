"""Predictions for images without a label, which lie beside the training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.errors import DataError
from headfit.fitting.fitted import FittedHead
from headfit.images.sources.source import Skipped
from headfit.progress import IMAGES, Callback
from headfit.report.text.images import unread_line
from headfit.runs.candidates import CandidateBackbone
from headfit.runs.map_source import maps_of
from headfit.runs.study import TEST_PREDICTIONS
from headfit.util.csv_cells import csv_text


@dataclass(frozen=True)
class TestPredictions:
    """What a head says of images whose labels nobody knows.

    Attributes:
        paths: of those that could be read.
        classes: the K classes.
        probabilities: float64 (n, K).
        skipped: the other images.
    """

    __test__ = False  # no test for pytest

    paths: Sequence[str]
    classes: Sequence[str]
    probabilities: np.ndarray
    skipped: Sequence[Skipped] = ()

    def csv(self) -> str:
        """Give ``test_predictions.csv``: path, predicted class, probability of each class."""
        head = ["path", "predicted", *(f"p_{name}" for name in self.classes)]
        rows = (
            [path, self.classes[int(p.argmax())], *(f"{value:.6f}" for value in p)]
            for path, p in zip(self.paths, self.probabilities, strict=True)
        )
        return csv_text([head, *rows])

    def to_dict(self) -> dict[str, Any]:
        """Give what goes into ``results.json``."""
        return {
            "images": len(self.paths) + len(self.skipped),
            "predicted": len(self.paths),
            "file": TEST_PREDICTIONS,
            "skipped": [{"path": each.path, "reason": each.reason} for each in self.skipped],
        }


def predict_unlabelled(
    backbone: CandidateBackbone, fitted: FittedHead, callback: Callback
) -> TestPredictions | None:
    """Predict the images without a label; None if there are none.

    Args:
        backbone: of the recommended head, with the index of the images.
        fitted: that head, fitted on all training images.
        callback: receives the progress, and what could not be read.
    """
    index = backbone.extraction.index.for_prediction()
    if not len(index):
        return None
    callback.on_stage_begin("Predicting images without a label", len(index), IMAGES)
    none = np.zeros((0, len(index.classes)))
    try:
        (extraction,) = maps_of([backbone.source], index)
    except DataError as error:  # none of them can be read: no reason to lose the comparison
        callback.on_message(f"WARNING: no image without a label was predicted. {error}")
        skipped = [Skipped(path, "cannot be read") for path in index.paths]
        return TestPredictions((), index.classes, none, skipped)
    skipped = list(extraction.index.skipped)
    if skipped:
        callback.on_message(unread_line(skipped))
    probabilities = fitted.probabilities_of(extraction.maps)
    return TestPredictions(extraction.index.paths, index.classes, probabilities, skipped)
