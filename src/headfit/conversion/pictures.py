"""Images of the model's classes, and their feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.backbones.engines.interface import Joint
from headfit.conversion.conversion import Arguments
from headfit.conversion.opened_model import OpenedModel
from headfit.errors import DataError
from headfit.features.extract import Extraction, extract
from headfit.features.store import FeatureMaps, FeatureStore
from headfit.fitting.metrics import accuracy, balanced_accuracy
from headfit.images.index import ImageIndex
from headfit.images.sources import open_source
from headfit.progress import IMAGES, Callback
from headfit.report.text.images import classes_line, left_out_lines
from headfit.runs.map_source import find_depth, require_classes
from headfit.util import digests
from headfit.util.cache import FEATURES

Scores = dict[str, float]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images and their feature maps.

    Attributes:
        extraction: all images that could be read.
        labels: int (n,), in the order of the model's classes.
        scored: int (m,), the images that accuracy is measured on.
        trained: int (k,), the images that a new top is fitted to: the same, or all but the test
            split.
    """

    extraction: Extraction
    labels: np.ndarray
    scored: np.ndarray
    trained: np.ndarray

    @property
    def apart(self) -> bool:
        """Whether there is a test split to score on."""
        return len(self.scored) < len(self.labels)

    def names(self, classes: int) -> tuple[str, ...]:
        """Name the model's K classes as the source does; by number where it has none."""
        index = self.extraction.index
        own = dict(zip(self.labels.tolist(), index.labels.tolist(), strict=True))
        return tuple(index.classes[own[k]] if k in own else str(k) for k in range(classes))

    def maps(self, rows: np.ndarray) -> FeatureMaps:
        """Give the maps of some images."""
        return self.extraction.maps.subset(rows)

    def scores(self, outputs: np.ndarray, threshold: float) -> Scores:
        """Score the outputs of a model for the images of ``scored``.

        Args:
            outputs: float64 (m, outputs); with a single output, values above ``threshold`` mean the
                second class.
            threshold: for a single output only.
        """
        if outputs.shape[1] == 1:
            second = outputs > threshold
            outputs = np.hstack([~second, second]).astype(np.float64)
        labels = self.labels[self.scored]
        return {
            "accuracy": accuracy(outputs, labels),
            "balanced_accuracy": balanced_accuracy(outputs, labels),
        }


def look(
    subject: OpenedModel, arguments: Arguments, classes: Sequence[str] | None, callback: Callback
) -> Pictures:
    """Compute the feature maps of the images of a source.

    Args:
        subject: the model.
        arguments: of the conversion, among them the source and how it is read.
        classes: names of the model's classes; if None the sorted ones of the images stand for them.
        callback: told about the progress.

    Raises:
        DataError: if the classes are not the model's, or no image can be read.
    """
    assert arguments.data is not None
    # classes of the model that are absent are refused below; weights do not count
    source = open_source(
        arguments.data, skip_empty_classes=True, weight_column="", **arguments.reading
    )
    index = ImageIndex.from_source(source)
    left_out = (each for each in index.skipped if not each.is_told)
    for line in (classes_line(index), *index.notes, *left_out_lines(left_out, index.targets.kind)):
        callback.on_message(line)
    order = _order(index, classes, max(2, subject.facts["outputs"]))
    contract = subject.contract
    if classes is None:  # else the model says how it was trained
        contract = contract.with_depth(find_depth(index, callback))
    callback.on_stage_begin("Images through the model", len(index), IMAGES)
    key = {
        "kind": "conversion",
        "file": digests.of_file(subject.path),
        "contract": contract.to_dict(),
        "graphs": subject.graphs,
    }
    store = FeatureStore(FEATURES.path(digests.of_data(key)))
    (extraction,) = extract(
        index, contract, [store], lambda: Joint.of(subject.maps_runner), callback
    )
    require_classes([extraction], None, callback, index)
    scored, trained = extraction.index.test, extraction.index.training
    scored = scored if len(scored) else trained
    return Pictures(extraction, order[extraction.index.labels], scored, trained)


def skipped(pictures: Pictures) -> list[dict[str, Any]]:
    """List the files that could not be read, for JSON."""
    return [{"path": s.path, "reason": s.reason} for s in pictures.extraction.index.skipped]


def _order(index: ImageIndex, classes: Sequence[str] | None, count: int) -> np.ndarray:
    """Give the model's number of each class."""
    if classes is None:
        if len(index.classes) != count:
            raise DataError(
                f"'{index.source.location}' has {len(index.classes)} classes, the model has "
                f"{count}. Expected as many."
            )
        return np.arange(count)
    unknown = sorted(set(index.classes) - set(classes))
    absent = sorted(set(classes) - set(index.classes))
    if unknown or absent:
        parts = [f"{len(unknown)} unknown to it ({_some(unknown)})"] if unknown else []
        parts += [f"{len(absent)} of its classes absent ({_some(absent)})"] if absent else []
        raise DataError(
            f"The classes of '{index.source.location}' are not the model's {len(classes)}: "
            f"{', '.join(parts)}. Give them the names that the model has."
        )
    places = {name: number for number, name in enumerate(classes)}
    return np.array([places[name] for name in index.classes])


def _some(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return f"{shown}, …" if len(names) > 3 else shown
