"""The handwritten digits that scikit-learn carries, as images large enough to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 64
_INK = 16  # the largest value of a pixel


def fill(folder: Path, seed: int) -> None:
    """Write the 1,797 digits into ``folder``, 75 % to train and 25 % to test, stratified.

    Args:
        folder: an empty folder.
        seed: of the split.
    """
    from sklearn.datasets import load_digits  # noqa: PLC0415
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    data = load_digits()
    numbers = np.arange(len(data.target))
    parts = train_test_split(numbers, test_size=0.25, stratify=data.target, random_state=seed)
    for split, members in zip(("train", "test"), parts, strict=True):
        for digit in range(10):
            (folder / split / str(digit)).mkdir(parents=True)
        for number in members.tolist():
            path = folder / split / str(data.target[number]) / f"digit{number:04d}.png"
            _picture(data.images[number]).save(path)


def _picture(ink: np.ndarray) -> Image.Image:
    """Return a digit, float (8, 8) from 0 to 16, light on dark as scikit-learn shows it."""
    # enlarged smoothly: the edges of blocks would be the strongest feature that a network sees
    grey = np.rint(ink * (255 / _INK)).astype(np.uint8)
    return Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
