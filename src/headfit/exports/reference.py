"""What headfit itself gives for the images of a proof, and how a file's outputs compare with it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from headfit.errors import ImageError
from headfit.exports.evidence import Evidence, ProofImage
from headfit.fitting.kinds import KINDS
from headfit.images.contract import Contract
from headfit.images.decode import decode
from headfit.images.read_ahead import ReadAhead
from headfit.images.targets import CLASS, LABELS, NUMBER
from headfit.model.classifier import Classifier
from headfit.model.metadata import ModelRecord
from headfit.model.prediction import thresholds_of
from headfit.util import files

AT_ONCE = 64
SAME_NUMBER = 0.02
"""Share of its spread by which a number may differ and count as the same."""
OTHER = {CLASS: "another class", LABELS: "other labels", NUMBER: "other numbers"}


@dataclass(frozen=True)
class Reference:
    """What headfit itself gives for the images of a proof.

    Attributes:
        pictures: the images that can be decoded.
        outputs: float64 (n, K), or (n, K + 1) with the outlier score last.
        record: of the model.
    """

    pictures: list[ProofImage]
    outputs: np.ndarray
    record: ModelRecord

    @classmethod
    def of(cls, classifier: Classifier, evidence: Evidence, *, outlier_score: bool) -> Reference:
        """Run headfit on golden images, from files, and on images of the run."""
        golden, contract = evidence.golden(), classifier.contract
        with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as folder:
            paths = [Path(folder) / picture.name for picture in golden]
            for path, picture in zip(paths, golden, strict=True):
                path.write_bytes(picture.read())
            usable = [picture for picture, _ in _pixels(golden, contract)]
            paths = [Path(folder) / picture.name for picture in usable]
            outputs = [_outputs(classifier, paths, outlier_score=outlier_score)]
        pictures, rest = usable, _pixels(evidence.held_out(), contract)
        while some := list(islice(rest, AT_ONCE)):
            pictures += [picture for picture, _ in some]
            pixels = np.stack([image for _, image in some])
            outputs.append(_outputs(classifier, pixels, outlier_score=outlier_score))
        return cls(pictures, np.concatenate(outputs), classifier.record)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes, labels or numbers."""
        return self.record.classes

    @property
    def labelled(self) -> np.ndarray:
        """Rows of the images whose targets are known and those of the model, int (m,)."""
        kind, names = self.record.kind, set(self.classes)
        if kind == CLASS:
            return np.flatnonzero([each.label in names for each in self.pictures])
        # a label that no image of a source has is no name there
        enough = names.intersection if kind == LABELS else names.issubset
        return np.flatnonzero([p.kind == kind and bool(enough(p.values)) for p in self.pictures])

    def score(self, outputs: np.ndarray) -> float:
        """Score the labelled images: by accuracy, macro average precision or R²."""
        rows, count = self.labelled, len(self.classes)
        truth = np.array(
            [[self.pictures[row].values.get(name, 0.0) for name in self.classes] for row in rows]
        )
        predictions = np.asarray(outputs[rows, :count], np.float64)
        if self.record.kind == CLASS:
            return float((predictions.argmax(axis=1) == truth.argmax(axis=1)).mean())
        return KINDS[self.record.kind].score(predictions, truth)

    def apart(self, outputs: np.ndarray) -> np.ndarray:
        """Give the difference of each output: of numbers as a share of their spread."""
        count = len(self.classes)
        apart: np.ndarray = np.abs(outputs - self.outputs)
        apart[:, :count] /= self.record.spread
        # an outlier score has no upper end
        apart[:, count:] /= np.maximum(1.0, self.outputs[:, count:])
        return apart

    def same(self, outputs: np.ndarray, limit: float) -> np.ndarray:
        """Say of which images the same is predicted, bool (n,).

        Args:
            outputs: nan where a file refuses an image.
            limit: two classes, or a label and its threshold, that headfit itself cannot tell apart
                by more count as the same.
        """
        count = len(self.classes)
        given, expected = np.nan_to_num(outputs[:, :count]), self.outputs[:, :count]
        if self.record.kind == CLASS:
            chosen = expected[np.arange(len(expected)), given.argmax(axis=1)]
            same: np.ndarray = expected.max(axis=1) - chosen <= limit
            return same
        if self.record.kind == LABELS:
            thresholds = thresholds_of(self.record)
            alike = (given >= thresholds) == (expected >= thresholds)
            alike |= np.abs(expected - thresholds) <= limit
        else:
            alike = np.abs(given - expected) <= SAME_NUMBER * self.record.spread
        all_alike: np.ndarray = alike.all(axis=1)
        return all_alike


def _outputs(
    classifier: Classifier, images: Sequence[Path] | np.ndarray, *, outlier_score: bool
) -> np.ndarray:
    given = images if isinstance(images, np.ndarray) else list(images)
    outputs = classifier.outputs(given)
    if not outlier_score:
        return outputs
    return np.column_stack([outputs, classifier.outlier_scores(given)])


def _pixels(
    pictures: Iterable[ProofImage], contract: Contract
) -> Iterator[tuple[ProofImage, np.ndarray]]:
    """Decode images as ``headfit predict`` does; those that cannot be read are left out."""
    side = partial(decode, height=contract.height, width=contract.width, depth=contract.depth)
    for picture, image in ReadAhead(pictures, lambda each: each.read(), side):
        if not isinstance(image, ImageError):
            yield picture, image
