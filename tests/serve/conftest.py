"""Served models: small, with thresholds and kept heads, and the answers that they must give."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import classifiers
import headfit as hf
from exportable import write_photos
from headfit.model.metadata import kept_path


@dataclass(frozen=True)
class Run:
    """A run folder with a model and another head, and images.

    Attributes:
        folder: with ``model.keras``, of flatten, and gap in ``heads``.
        files: contents of PNG files, all of them different.
        probabilities: what ``predict`` gives for them, float64 (n, 4).
        classes: names of the classes.
    """

    folder: Path
    files: list[bytes]
    probabilities: np.ndarray
    classes: tuple[str, ...]

    @property
    def model(self) -> Path:
        """The model file."""
        return self.folder / "model.keras"


@pytest.fixture(scope="session")
def stored_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("served")
    run = folder / "corners"
    (run / "heads").mkdir(parents=True)
    model = classifiers.corner_classifier("flatten", run / "model.keras")
    classifiers.corner_classifier("gap", kept_path(run, "gap"))
    paths = sorted(write_photos(folder / "photos").rglob("*.png"))
    classifier = hf.Classifier(model)
    return Run(
        run,
        [path.read_bytes() for path in paths],
        classifier.predict_proba(paths),
        classifier.classes,
    )


@pytest.fixture
def run(stored_run: Run, tmp_path: Path) -> Iterator[Run]:
    """A copy that a test may change."""
    folder = tmp_path / "corners"
    shutil.copytree(stored_run.folder, folder)
    yield Run(folder, stored_run.files, stored_run.probabilities, stored_run.classes)
