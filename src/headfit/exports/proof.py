"""Whether a written file gives what headfit predicts, from the bytes of images.

Each image goes two ways. Through headfit: its bytes, ``Classifier.outputs``. Through the
file: its bytes, decoded and resized as *the file's own record* says, into the file's own runtime.
So an error anywhere shows: in the record, the preprocessing, the order of the classes, the network.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from headfit.errors import HeadfitError
from headfit.exports.formats.format import FLOAT16, FLOAT32, INT8, Predict
from headfit.exports.record import ExportRecord
from headfit.exports.reference import AT_ONCE, OTHER, Reference
from headfit.images.contract import Contract
from headfit.images.decode import decode
from headfit.images.targets import NUMBER

TOLERANCE = {FLOAT32: 1e-4, FLOAT16: 2e-2, INT8: 1.0}
"""Largest difference of a probability that is accepted, or of a number as a share of its spread; of
8-bit integers the metric decides.

Two runtimes sum in another order: float32 networks of 200 layers differ by some 1e-6."""
ROUNDS, SECONDS = 5, 3.0
Serve = Callable[[Sequence[bytes]], np.ndarray]
"""The contents of image files → rows of outputs, as whoever serves the file gets them."""


@dataclass(frozen=True)
class Agreement:
    """How a file compares with headfit.

    Attributes:
        images: how many were compared.
        max_abs_difference: the largest of any output; of numbers as a share of their spread.
        top1_agreement: share of the images of the same most probable class, the same labels, or
            the same numbers to 2 % of their spread; two classes that headfit itself cannot tell
            apart by more than the tolerance count as the same.
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
    expected = reference.outputs
    if outputs.shape != expected.shape or not np.isfinite(outputs).all():
        shape = f"outputs of shape {outputs.shape}, some of which may not be finite"
        return Agreement(len(expected), np.inf, 0.0, f"it gives {shape}; expected {expected.shape}")
    limit = TOLERANCE[precision]
    apart = reference.apart(outputs)
    difference = float(apart.max())
    # those of 8-bit integers are far apart, which makes no two classes the same
    agreement = float(reference.same(outputs, limit if limit < 1 else 0.0).mean())
    problem = ""
    bounds = np.full(apart.shape[1], limit)
    if precision == INT8 and reference.record.kind == NUMBER:  # the metric decides
        bounds[: len(reference.classes)] = np.inf
    if (apart > bounds).any():
        row = int(apart.max(axis=1).argmax())
        problem = (
            f"its outputs differ from headfit's by up to {difference:.2g} "
            f"('{reference.pictures[row].name}'); at most {limit:g} is expected"
        )
    elif precision == FLOAT32 and agreement < 1:
        other = OTHER[reference.record.kind]
        problem = f"it predicts {other} for {1 - agreement:.2%} of the images"
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
