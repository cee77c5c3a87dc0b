"""Perceptual hashes: 64 bits that describe the look of an image and hardly change with it.

The hash of ``imagehash.phash``: of the cosine transform of the grey image, the 8×8 lowest
frequencies, each compared with their median. It is computed here because every image needs one, and
that package takes 0.5 ms, 5 % of the time of an image in a small network.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

FREQUENCIES = 8
BANDS = 32
GREY = (0.299, 0.587, 0.114)  # of red, green and blue, by ITU-R 601
# a plain image has coefficients of 1e-13, and rounding must not decide its bits; one grey level in
# a 32nd of both sides changes them by about 1e-3
TOLERANCE = 1e-6


def perceptual_hash(pixels: np.ndarray) -> int:
    """Hash an image by its look.

    Args:
        pixels: uint8 (h, w, 3), RGB.

    Returns:
        64 bits, unsigned: the mean brightness first, then the lowest frequencies, row by row.
    """
    height, width, _ = pixels.shape
    # rows are added up first, in 32 to 63 bands, the fastest way to fewer numbers; rows that do not
    # fill a band are left out
    rows = max(1, height // BANDS)
    bands = height // rows
    parted = pixels[: bands * rows].reshape(bands, rows, 3 * width)
    sums = np.add.reduce(parted, axis=1, dtype=np.uint16).astype(np.float64)
    low = (_waves(bands) @ (sums @ _grey_waves(width)) / (rows * bands * width)).ravel()
    middle = np.sort(low)[low.size // 2 - 1 : low.size // 2 + 1].mean()
    return int.from_bytes(np.packbits(low > middle + TOLERANCE).tobytes(), "big")


@functools.cache
def _waves(points: int) -> npt.NDArray[np.float64]:
    """Return the lowest frequencies of the cosine transform, float64 (8, points)."""
    return np.cos(
        np.pi * np.outer(np.arange(FREQUENCIES), 2 * np.arange(points) + 1) / (2 * points)
    )


@functools.cache
def _grey_waves(width: int) -> npt.NDArray[np.float64]:
    """Return the same for the three colours of a row of pixels, float64 (3 width, 8)."""
    return np.kron(_waves(width).T, np.reshape(GREY, (3, 1)))
