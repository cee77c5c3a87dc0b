"""Images of the model's classes, and their feature maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.backbones.engines.interface import Joint
from headfit.conversion.conversion import Arguments
from headfit.conversion.opened_model import OpenedModel
from headfit.errors import DataError
from headfit.features.extract import Extraction, extract
from headfit.features.store import FeatureMaps, FeatureStore
from headfit.fitting.kinds import KINDS
from headfit.fitting.metrics import accuracy, balanced_accuracy
from headfit.images.index import ImageIndex
from headfit.images.sources import open_source
from headfit.images.targets import CLASS, LABELS, NOUNS, NUMBER, Targets
from headfit.model.metadata import ModelRecord
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
        targets: of all of them, in the order of the model's outputs.
        scored: int (m,), the images that accuracy is measured on.
        trained: int (k,), the images that a new top is fitted to: the same, or all but the test
            split.
    """

    extraction: Extraction
    targets: Targets
    scored: np.ndarray
    trained: np.ndarray

    @property
    def apart(self) -> bool:
        """Whether there is a test split to score on."""
        return len(self.scored) < len(self.targets)

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
        if self.targets.kind == CLASS and outputs.shape[1] == 1:
            second = outputs > threshold
            outputs = np.hstack([~second, second]).astype(np.float64)
        targets = self.targets.subset(self.scored)
        kind = KINDS[targets.kind]
        if targets.kind != CLASS:
            names = (kind.primary, *kind.secondary)
            return {name: kind.metrics[name](outputs, targets.values, None) for name in names}
        labels = targets.values
        return {
            "accuracy": accuracy(outputs, labels),
            "balanced_accuracy": balanced_accuracy(outputs, labels),
        }


def look(
    subject: OpenedModel, arguments: Arguments, record: ModelRecord | None, callback: Callback
) -> Pictures:
    """Compute the feature maps of the images of a source.

    Args:
        subject: the model.
        arguments: of the conversion, among them the source and how it is read.
        record: of a model that headfit wrote; if None the sorted classes of the images stand for
            those of the model.
        callback: told about the progress.

    Raises:
        DataError: if the targets are not the model's, or no image can be read.
    """
    assert arguments.data is not None
    # classes of the model that are absent are refused below; weights do not count
    source = open_source(
        arguments.data, skip_empty_classes=True, weight_column="", **_reading(arguments, record)
    )
    index = ImageIndex.from_source(source)
    left_out = (each for each in index.skipped if not each.is_told)
    _check_kind(index, record)
    for line in (classes_line(index), *index.notes, *left_out_lines(left_out, index.targets.kind)):
        callback.on_message(line)
    names, places = _order(index, record, max(2, subject.facts["outputs"]))
    contract = subject.contract
    if record is None:  # else the model says how it was trained
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
    return Pictures(extraction, _ordered(extraction.index.targets, names, places), scored, trained)


def skipped(pictures: Pictures) -> list[dict[str, Any]]:
    """List the files that could not be read, for JSON."""
    return [{"path": s.path, "reason": s.reason} for s in pictures.extraction.index.skipped]


def _reading(arguments: Arguments, record: ModelRecord | None) -> dict[str, Any]:
    """Say how the source is read: as what the model predicts, unless the user says otherwise."""
    reading = dict(arguments.reading)
    if record is None or record.kind == CLASS:
        return reading
    if reading["target"] is None:
        reading["target"] = record.kind
    if record.kind == NUMBER and reading["label_column"] is None:
        reading["label_column"] = list(record.classes)
    return reading


def _check_kind(index: ImageIndex, record: ModelRecord | None) -> None:
    """Refuse images of another kind of targets than the model's."""
    kind = CLASS if record is None else record.kind
    if index.targets.kind != kind:
        raise DataError(
            f"'{index.source.location}' holds {NOUNS[index.targets.kind][1]}, and the model "
            f"predicts {NOUNS[kind][1]}. Expected the same. Set `target` to '{kind}' if it can be "
            f"read so."
        )


def _order(
    index: ImageIndex, record: ModelRecord | None, count: int
) -> tuple[tuple[str, ...], np.ndarray]:
    """Give the names of the outputs, and the place among them of each name of the source."""
    own = index.targets.names
    if record is None:
        if len(own) != count:
            raise DataError(
                f"'{index.source.location}' has {len(own)} classes, the model has {count}. "
                f"Expected as many."
            )
        return own, np.arange(count)
    unknown, absent = sorted(set(own) - set(record.classes)), sorted(set(record.classes) - set(own))
    if record.kind == LABELS:  # a label that no image has is no name there
        absent = []
    if unknown or absent:
        several = NOUNS[record.kind][1]
        parts = [f"{len(unknown)} unknown to it ({_some(unknown)})"] if unknown else []
        parts += [f"{len(absent)} of its {several} absent ({_some(absent)})"] if absent else []
        raise DataError(
            f"The {several} of '{index.source.location}' are not the model's "
            f"{len(record.classes)}: {', '.join(parts)}. Give them the names that the model has."
        )
    places = {name: number for number, name in enumerate(record.classes)}
    return record.classes, np.array([places[name] for name in own], np.intp)


def _ordered(targets: Targets, names: tuple[str, ...], places: np.ndarray) -> Targets:
    """Write targets in the order of the model's outputs."""
    if targets.kind == CLASS:
        return Targets(names, places[targets.values])
    values = np.zeros((len(targets), len(names)), targets.values.dtype)
    values[:, places] = targets.values
    return Targets(names, values, targets.kind)


def _some(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return f"{shown}, …" if len(names) > 3 else shown
