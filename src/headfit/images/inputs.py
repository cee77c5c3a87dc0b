"""What a user gives to a classifier: files, folders and glob patterns, or an array of pixels."""

from __future__ import annotations

import glob
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headfit.errors import UsageError
from headfit.images.contract import Contract
from headfit.images.decode import IMAGE_SUFFIXES


def expand(patterns: Sequence[str]) -> list[str]:
    """List the image files that some files, folders and glob patterns stand for.

    Args:
        patterns: a folder stands for all images below it, sorted by name.

    Raises:
        UsageError: a pattern matches nothing, or a folder holds no images.
    """
    paths: list[str] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            paths.extend(_images_below(path))
        elif path.exists():
            paths.append(pattern)
        else:
            matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  (absolute patterns too)
            if not matches:
                raise UsageError(f"'{pattern}' does not exist and, as a pattern, matches no file.")
            paths.extend(expand(matches))
    return paths


def _images_below(folder: Path) -> list[str]:
    images = [
        str(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    ]
    if not images:
        raise UsageError(f"No images in the folder '{folder}'.")
    return images


def check_array(images: np.ndarray, contract: Contract) -> np.ndarray:
    """Check an array of images, and warn if its pixels seem to be scaled already.

    Args:
        images: RGB pixels from 0 to 255, (n, height, width, 3), or one image without the n.
        contract: the size that is expected.

    Returns:
        The images, (n, height, width, 3).

    Raises:
        UsageError: the array has another shape, or does not hold numbers.
    """
    height, width = contract.height, contract.width
    if images.shape == (height, width, 3):
        images = images[None]
    if images.ndim != 4 or images.shape[1:] != (height, width, 3):
        raise UsageError(
            f"`images` must have shape (n, {height}, {width}, 3). Received: shape "
            f"{images.shape}. Give paths or Pillow images to have them resized."
        )
    if not (np.issubdtype(images.dtype, np.integer) or np.issubdtype(images.dtype, np.floating)):
        raise UsageError(f"`images` must hold pixels 0 to 255. Received: dtype {images.dtype}.")
    if images.dtype != np.uint8 and images.size and float(images.max()) <= 1:
        warnings.warn(
            "No pixel of `images` exceeds 1. headfit expects pixels from 0 to 255, not scaled to "
            "0 to 1: multiply them by 255.",
            UserWarning,
            stacklevel=4,
        )
    return images
