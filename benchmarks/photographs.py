"""Photographs to measure with: cut from those that scikit-image ships, or a user's own folder."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

SOURCES = ("chelsea", "coffee", "astronaut", "rocket")
HUES = 25  # turns of the colour circle; with four sources, up to 100 classes


def photographs(folder: Path, count: int) -> Path:
    """Write JPEG files of 500×375, two classes, under ``folder/train``."""
    from PIL import Image
    from skimage import data

    sources = [Image.fromarray(f()) for f in (data.chelsea, data.coffee, data.astronaut)]
    rng = np.random.default_rng(0)
    for number in range(count):
        source = sources[number % len(sources)].resize((640, 480))
        left, top = rng.integers(0, 140), rng.integers(0, 105)
        crop = source.crop((left, top, left + 500, top + 375))
        path = folder / "train" / f"class{number % 2}" / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        crop.save(path, quality=90)
    return folder


def classes_of_photographs(folder: Path, count: int, classes: int) -> Path:
    """Write JPEG files of 256×256 of up to 100 classes; those that are there already are kept.

    A class is a source and a turn of its colours. Each file is a random crop, mirrored or not,
    brighter or darker, under a random share (up to 0.6) of another source's crop, so that classes
    overlap. The first files do not change when more are asked for.
    """
    for number in range(count):
        path = folder / f"class{number % classes:03}" / f"{number:06}.jpg"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _mixed(number, number % classes, classes).save(path, quality=85)
    return folder


def chosen(folder: Path, target: Path, count: int, classes: int) -> Path:
    """Copy the first ``count`` images of a folder of classes, as many of each class as of another.

    Args:
        folder: has a sub-folder for each class.
        target: where the copies go.
        count: how many in all.
        classes: how many classes there must be.

    Raises:
        SystemExit: if there are too few classes or images.
    """
    names = sorted(path for path in folder.iterdir() if path.is_dir())
    if len(names) < classes:
        raise SystemExit(f"'{folder}' has {len(names)} classes, {classes} are wanted.")
    for number, name in enumerate(names[:classes]):
        share = count // classes + (number < count % classes)
        files = sorted(path for path in name.iterdir() if path.is_file())
        if len(files) < share:
            raise SystemExit(f"'{name}' has {len(files)} images, {share} are wanted.")
        (target / name.name).mkdir(parents=True)
        for file in files[:share]:
            shutil.copy(file, target / name.name)
    return target


def _mixed(number: int, label: int, classes: int) -> Any:
    from PIL import Image

    rng = np.random.default_rng((number, classes))
    source = SOURCES[label % len(SOURCES)]
    other = SOURCES[rng.integers(len(SOURCES))]
    share = rng.uniform(0, 0.6)
    turns = -(-classes // len(SOURCES))
    pixels = (1 - share) * _crop(source, label // len(SOURCES) * HUES // turns, rng)
    pixels += share * _crop(other, rng.integers(HUES), rng)
    pixels *= rng.uniform(0.7, 1.3)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _crop(source: str, hue: int, rng: np.random.Generator) -> np.ndarray:
    picture = _turned(source, int(hue))
    height, width, _ = picture.shape
    top, left = rng.integers(height - 256 + 1), rng.integers(width - 256 + 1)
    crop = picture[top : top + 256, left : left + 256]
    return crop[:, :: rng.choice((-1, 1))].astype(np.float32)


@cache
def _turned(source: str, hue: int) -> np.ndarray:
    """A source, its colours turned, uint8 (h, w, 3)."""
    from PIL import Image
    from skimage import data

    image = Image.fromarray(getattr(data, source)()).resize((400, 320)).convert("HSV")
    turned = np.array(image)
    turned[..., 0] += np.uint8(hue * 256 // HUES)
    return np.array(Image.fromarray(turned, "HSV").convert("RGB"))
