"""Images that come as an array of pixels instead of files."""

from __future__ import annotations

import warnings

import numpy as np

from headfit.errors import UsageError
from headfit.images.contract import Contract


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
