"""Small image folders for tests: real files, made in a moment, easy to tell apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("blue", "green", "red")


def write_photo(path: Path, kind: int, rng: np.random.Generator, size: int = 80) -> None:
    """Write one noisy picture whose colour and texture belong to its class."""
    noise = rng.normal(128, 40, (size, size, 3))
    noise[..., kind] += 35
    noise[:: kind + 2] -= 30
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(path, quality=92)


def write_folder(folder: Path, per_class: int, *, seed: int = 0, split: str = "") -> Path:
    """Write ``per_class`` pictures of each class, below a split folder if one is named."""
    rng = np.random.default_rng(seed)
    for kind, name in enumerate(CLASSES):
        for number in range(per_class):
            write_photo(folder / split / name / f"{number:02}.jpg", kind, rng)
    return folder


def touch(root: Path, *names: str) -> Path:
    """Make empty files of some names below a folder."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root
