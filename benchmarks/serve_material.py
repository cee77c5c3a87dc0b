"""What the benchmarks of the server work with: photographs, two models, the right answers."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from photographs import classes_of_photographs

CLASSES, TRAINED = 20, 400
HEADS = ("gap", "flatten")
SIZE = (500, 375)  # pixels of a photograph that is sent


@dataclass(frozen=True)
class Material:
    """Photographs, and models that tell them apart.

    Attributes:
        photos: JPEG files.
        models: two model files with the same classes and different weights.
    """

    photos: tuple[Path, ...]
    models: tuple[Path, Path]

    @cached_property
    def contents(self) -> tuple[bytes, ...]:
        """The bytes of each photograph."""
        return tuple(path.read_bytes() for path in self.photos)

    def answers(self, model: Path) -> Answers:
        """Ask ``Classifier`` for the probabilities of each photograph."""
        import headfit as hf

        classifier = hf.Classifier(model)
        return Answers(classifier.classes, classifier.predict_proba(list(self.photos)))


@dataclass(frozen=True)
class Answers:
    """The right answers.

    Attributes:
        classes: names of the K classes.
        rows: probabilities, float64 (n, K).
    """

    classes: tuple[str, ...]
    rows: np.ndarray

    @property
    def closest(self) -> float:
        """The smallest difference between the answers for two photographs."""
        gaps = [np.abs(self.rows[i + 1 :] - row).max(1) for i, row in enumerate(self.rows[:-1])]
        return float(np.concatenate(gaps).min())


def prepare(folder: Path, count: int) -> Material:
    """Make photographs and train two heads on others; what is there already is kept."""
    models = tuple(folder / "models" / f"{head}.keras" for head in HEADS)
    if not all(path.exists() for path in models):
        _train(folder, models)
    return Material(_photographs(folder / "photographs", count), models)


def own_material(photos: Path, models: list[Path], count: int) -> Material:
    """Use the photographs and models of the user; one model stands for both if there is one."""
    files = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if len(files) < count:
        raise SystemExit(f"'{photos}' has {len(files)} JPEG files, {count} are wanted.")
    return Material(tuple(files[:count]), (models[0], models[-1]))


def _train(folder: Path, models: tuple[Path, ...]) -> None:
    import headfit as hf

    images = classes_of_photographs(folder / "train", TRAINED, CLASSES)
    study = hf.compare(
        images, heads=HEADS, keep=HEADS, protocol="quick", near_duplicates=False, where=False
    )
    for head, path in zip(HEADS, models, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(study.classifier(head).path, path)


def _photographs(folder: Path, count: int) -> tuple[Path, ...]:
    """Write ``count`` others of the same kind, as large as a camera's preview."""
    from PIL import Image

    raw = classes_of_photographs(folder / "raw", count, CLASSES + 1)
    paths = []
    for number, source in enumerate(sorted(raw.rglob("*.jpg"))[:count]):
        path = folder / f"{number:04}.jpg"
        if not path.exists():
            Image.open(source).resize(SIZE).save(path, quality=90)
        paths.append(path)
    return tuple(paths)
