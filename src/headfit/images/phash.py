"""Perceptual hashes: 64 bits of what a picture looks like, which small changes hardly alter.

That of ``imagehash.phash``: the cosine transform of the grey picture, of it the 8×8 lowest
frequencies, each against their median. Written here because every image needs one: that package
takes 0.5 ms, which is 5 % of an image's way through a small network, and brings two more.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

KEPT = 8
BANDS = 32
GREY = (0.299, 0.587, 0.114)  # of red, green and blue, by ITU-R 601
# A plain picture has coefficients of 1e-13, and rounding must not decide its bits. What one grey
# level in a 32nd of both sides changes is about 1e-3.
TOLERANCE = 1e-6


def perceptual_hash(pixels: np.ndarray) -> int:
    """Hash a picture by its looks.

    Args:
        pixels: uint8 (h, w, 3), RGB.

    Returns:
        64 bits, unsigned, the highest bit for the mean brightness, then the lowest frequencies
        along a row.
    """
    height, width, _ = pixels.shape
    # rows are added up first, in 32 to 63 bands, which is the quickest way to fewer numbers; fewer
    # rows than make a band are left over
    rows = max(1, height // BANDS)
    bands = height // rows
    parted = pixels[: bands * rows].reshape(bands, rows, 3 * width)
    sums = np.add.reduce(parted, axis=1, dtype=np.uint16).astype(np.float64)
    low = (_waves(bands) @ (sums @ _grey_waves(width)) / (rows * bands * width)).ravel()
    middle = np.sort(low)[low.size // 2 - 1 : low.size // 2 + 1].mean()
    return int.from_bytes(np.packbits(low > middle + TOLERANCE).tobytes(), "big")


@functools.cache
def _waves(points: int) -> npt.NDArray[np.float64]:
    """Give the lowest frequencies of the cosine transform, float64 (8, points)."""
    return np.cos(np.pi * np.outer(np.arange(KEPT), 2 * np.arange(points) + 1) / (2 * points))


@functools.cache
def _grey_waves(width: int) -> npt.NDArray[np.float64]:
    """Give the same for the three colours of a row's pixels, float64 (3 width, 8)."""
    return np.kron(_waves(width).T, np.reshape(GREY, (3, 1)))
