"""The lowest and the highest grey level of an image of more than 8 bits."""

from __future__ import annotations

import numpy as np
from PIL.ImageFile import ImageFile

from headfit.images.depth import LEVELS, RARE, Span, ends_of
from headfit.images.flatten import load, strips
from headfit.images.gate import Work, let_through
from headfit.images.helper import ends_apart

MOST = 16_000_000
"""Values of other numbers than 16 bits that are looked at."""


def ends_of_image(data: bytes, *, apart: bool = True) -> Span | None:
    """Find them as :func:`~headfit.images.depth.ends_of` does, in little memory.

    Args:
        data: the content of the image's file.
        apart: whether this may be left to a helper process.

    Returns:
        None if the image has 8 bits, or all its values are missing.

    Raises:
        ImageError: it cannot be decoded.
    """
    work: Work[Span | None] = Work(
        lambda image: 1, _ends, lambda memory: _pair(ends_apart(data, memory))
    )
    return let_through(data, work, apart=apart)


def _pair(ends: np.ndarray) -> Span | None:
    return (float(ends[0]), float(ends[1])) if ends.size else None


def _ends(image: ImageFile) -> Span | None:
    values = load(image)
    if values is None:
        return None
    boxes = list(strips(image))
    first = values(boxes[0])
    if first.dtype.kind == "u" and first.itemsize == 2:  # exact whatever the size
        counts = np.zeros(LEVELS, np.int64)
        for box in boxes:
            counts += np.bincount(values(box).reshape(-1), minlength=LEVELS)
        return _ends_of_counts(counts)
    step = max(1, image.width * image.height // MOST)
    return ends_of(np.concatenate([values(box)[::step] for box in boxes]))


def _ends_of_counts(counts: np.ndarray) -> Span:
    """Find them in the number of times that each level occurs."""
    total = int(counts.sum())
    beyond = int(total * RARE)
    below = counts.cumsum()
    low, high = np.searchsorted(below, (beyond, total - 1 - beyond), side="right")
    return float(low), float(high)
