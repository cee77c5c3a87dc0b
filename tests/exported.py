"""What tests export, and what the programs beside an export should print."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import classifiers
from headfit.exports.formats.format import FLOAT32, Format, Subject
from headfit.exports.record import ExportRecord
from headfit.model.classifier import Classifier


@dataclass(frozen=True)
class OnTensorFlow:
    """What one process on TensorFlow did.

    Attributes:
        folder: with ``float16.tflite``, ``int8.tflite``, and ``outputs.npy`` of the SavedModel.
        printed: class and probability that the program for the SavedModel printed.
    """

    folder: Path
    printed: tuple[str, float]


def write(
    format_: Format, model: Path, record: ExportRecord, folder: Path, precision: str = FLOAT32
) -> Path:
    """Write a model in one format."""
    calibration, _ = classifiers.corner_images(5, seed=1)
    score = "outlier_score" in record.outputs
    subject = Subject(model, record, score, precision, False, lambda: calibration, print)
    format_.check()
    format_.write(subject, folder / format_.file)
    return folder / format_.file


def parsed(output: str) -> tuple[str, float]:
    """Read what a program printed."""
    name, _, probability = output.strip().splitlines()[-1].rpartition(" ")
    return name, float(probability)


def run(command: list[str], folder: Path) -> tuple[str, float]:
    """Run a program where nothing of headfit can be imported."""
    spared = ("PYTHONPATH", "KERAS_BACKEND")
    environment = {name: value for name, value in os.environ.items() if name not in spared}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return parsed(done.stdout)


def agrees(printed: tuple[str, float], model: Path, image: Path, most: float = 1e-3) -> bool:
    """Whether a program prints what headfit says of an image, but for a small difference."""
    classifier = Classifier(model)
    (row,) = classifier.predict_proba([image])
    name, probability = printed
    return name == classifier.classes[row.argmax()] and abs(probability - row.max()) < most
