"""Predictions for images without a label, which lie beside the training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.errors import DataError
from headfit.fitting.fitted import FittedHead
from headfit.fitting.kinds import KINDS
from headfit.images.sources.source import Skipped
from headfit.images.targets import CLASS, LABELS, NUMBER, SEPARATOR
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
        names: the K classes, labels or numbers.
        predictions: float64 (n, K), probabilities or numbers.
        kind: of the targets.
        skipped: the other images.
    """

    __test__ = False  # no test for pytest

    paths: Sequence[str]
    names: Sequence[str]
    predictions: np.ndarray
    skipped: Sequence[Skipped] = ()
    kind: str = CLASS

    def csv(self) -> str:
        """Give ``test_predictions.csv``: path, what is predicted, and each probability."""
        rows = zip(self.paths, self.predictions, strict=True)
        if self.kind == NUMBER:
            return csv_text(
                [["path", *self.names], *([path, *(f"{v:.6g}" for v in p)] for path, p in rows)]
            )
        head = ["path", "predicted", *(f"p_{name}" for name in self.names)]
        said = self._labels if self.kind == LABELS else self._most_probable
        return csv_text([head, *([path, said(p), *(f"{v:.6f}" for v in p)] for path, p in rows)])

    def _most_probable(self, probabilities: np.ndarray) -> str:
        return self.names[int(probabilities.argmax())]

    def _labels(self, probabilities: np.ndarray) -> str:
        said = KINDS[LABELS].decide(probabilities)
        return SEPARATOR.join(self.names[k] for k in np.flatnonzero(said).tolist())

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
        return TestPredictions((), index.classes, none, skipped, index.targets.kind)
    skipped = list(extraction.index.skipped)
    if skipped:
        callback.on_message(unread_line(skipped))
    predictions = fitted.probabilities_of(extraction.maps)
    paths, kind = extraction.index.paths, index.targets.kind
    return TestPredictions(paths, index.classes, predictions, skipped, kind)
