"""Whether a written file gives what headfit predicts, from the bytes of images.

Each image goes two ways. Through headfit: its bytes, ``Classifier.predict_proba``. Through the
file: its bytes, decoded and resized as *the file's own record* says, into the file's own runtime.
So an error anywhere shows: in the record, the preprocessing, the order of the classes, the network.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from headfit.errors import HeadfitError, ImageError
from headfit.exports.evidence import Evidence, ProofImage
from headfit.exports.formats.format import FLOAT16, FLOAT32, INT8, Predict
from headfit.exports.record import ExportRecord
from headfit.images.contract import Contract
from headfit.images.decode import decode
from headfit.images.read_ahead import ReadAhead
from headfit.model.classifier import Classifier
from headfit.util import files

TOLERANCE = {FLOAT32: 1e-4, FLOAT16: 2e-2, INT8: 1.0}
"""Largest difference of a probability that is accepted; of 8-bit integers their accuracy decides.

Two runtimes sum in another order: float32 networks of 200 layers differ by some 1e-6."""
AT_ONCE = 64
ROUNDS, SECONDS = 5, 3.0
Serve = Callable[[Sequence[bytes]], np.ndarray]
"""The contents of image files → rows of outputs, as whoever serves the file gets them."""


@dataclass(frozen=True)
class Reference:
    """What headfit itself gives for the images of a proof.

    Attributes:
        pictures: the images that can be decoded.
        outputs: float64 (n, K), or (n, K + 1) with the outlier score last.
        classes: names of the K classes.
    """

    pictures: list[ProofImage]
    outputs: np.ndarray
    classes: tuple[str, ...]

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
        return cls(pictures, np.concatenate(outputs), classifier.classes)

    @property
    def labelled(self) -> np.ndarray:
        """Rows of the images whose class is known and one of the model's, int (m,)."""
        return np.flatnonzero([each.label in self.classes for each in self.pictures])

    def accuracy(self, outputs: np.ndarray) -> float:
        """Share of the labelled images that are predicted right."""
        rows, count = self.labelled, len(self.classes)
        truth = np.array([self.classes.index(str(self.pictures[row].label)) for row in rows])
        return float((outputs[rows, :count].argmax(axis=1) == truth).mean())


@dataclass(frozen=True)
class Agreement:
    """How a file compares with headfit.

    Attributes:
        images: how many were compared.
        max_abs_difference: the largest of any output.
        top1_agreement: share of the images of the same most probable class; two classes that
            headfit itself cannot tell apart by more than the tolerance count as the same.
        problem: what is wrong, in a sentence; empty if the file agrees.
    """

    images: int
    max_abs_difference: float
    top1_agreement: float
    problem: str = ""


def by_contract(predict: Predict, contract: Contract) -> Serve:
    """Decode and resize as the contract in a file's record says, then run the file."""

    def run(contents: Sequence[bytes]) -> np.ndarray:
        pixels = [decode(c, contract.height, contract.width, contract.depth) for c in contents]
        return predict(np.stack(pixels))

    return run


def prove(
    run: Serve, record: ExportRecord, expected: ExportRecord, reference: Reference, precision: str
) -> tuple[Agreement, np.ndarray]:
    """Compare a file with headfit.

    Args:
        run: from the bytes of images to the file's outputs.
        record: what the file says of itself.
        expected: what it should say.
        reference: what headfit gives.
        precision: of the file; decides how much it may differ.

    Returns:
        The agreement, and the file's outputs; these are empty where it cannot run.
    """
    none = np.empty((0, reference.outputs.shape[1]))
    if record != expected:
        return Agreement(0, np.inf, 0.0, "its record is not the one that was written"), none
    try:
        pictures = reference.pictures
        chunks = (pictures[n : n + AT_ONCE] for n in range(0, len(pictures), AT_ONCE))
        rows = [run([picture.read() for picture in chunk]) for chunk in chunks]
    except HeadfitError as error:
        return Agreement(0, np.inf, 0.0, f"it cannot be run: {error}"), none
    except Exception as error:  # a runtime raises whatever it likes
        reason = " ".join(str(error).split())[:200]
        return Agreement(0, np.inf, 0.0, f"it cannot be run: {reason}"), none
    outputs = np.concatenate(rows).astype(np.float64)
    return _compare(outputs, reference, precision), outputs


def _compare(outputs: np.ndarray, reference: Reference, precision: str) -> Agreement:
    expected, count = reference.outputs, len(reference.classes)
    if outputs.shape != expected.shape or not np.isfinite(outputs).all():
        shape = f"outputs of shape {outputs.shape}, some of which may not be finite"
        return Agreement(len(expected), np.inf, 0.0, f"it gives {shape}; expected {expected.shape}")
    limit = TOLERANCE[precision]
    apart = np.abs(outputs - expected)
    apart[:, count:] /= np.maximum(1.0, expected[:, count:])  # an outlier score has no upper end
    difference = float(apart.max())
    chosen, best = outputs[:, :count].argmax(axis=1), expected[:, :count].max(axis=1)
    tied = best - expected[np.arange(len(expected)), chosen] <= (limit if limit < 1 else 0.0)
    agreement = float(tied.mean())
    problem = ""
    if difference > limit:
        row = int(apart.max(axis=1).argmax())
        problem = (
            f"its outputs differ from headfit's by up to {difference:.2g} "
            f"('{reference.pictures[row].name}'); at most {limit:g} is expected"
        )
    elif precision == FLOAT32 and agreement < 1:
        problem = f"it predicts another class for {1 - agreement:.2%} of the images"
    return Agreement(len(expected), difference, agreement, problem)


def images_per_second(predict: Predict, contract: Contract) -> float:
    """Measure the median speed on batches of 32 random images."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (32, contract.height, contract.width, 3), np.uint8)
    predict(images)
    seconds: list[float] = []
    while len(seconds) < ROUNDS and sum(seconds) < SECONDS:
        start = time.perf_counter()
        predict(images)
        seconds.append(time.perf_counter() - start)
    return len(images) / statistics.median(seconds)


def _outputs(
    classifier: Classifier, images: Sequence[Path] | np.ndarray, *, outlier_score: bool
) -> np.ndarray:
    given = images if isinstance(images, np.ndarray) else list(images)
    probabilities = classifier.predict_proba(given)
    if not outlier_score:
        return probabilities
    return np.column_stack([probabilities, classifier.outlier_scores(given)])


def _pixels(
    pictures: Iterable[ProofImage], contract: Contract
) -> Iterator[tuple[ProofImage, np.ndarray]]:
    """Decode images as ``headfit predict`` does; those that cannot be read are left out."""
    side = partial(decode, height=contract.height, width=contract.width, depth=contract.depth)
    for picture, image in ReadAhead(pictures, lambda each: each.read(), side):
        if not isinstance(image, ImageError):
            yield picture, image
