"""Perceptual hashes: 64 bits of what a picture looks like, which small changes hardly alter.

The hash of Zauner (2010) as in ``imagehash.phash``: grey, 32×32, the discrete cosine transform, of
it the 8×8 lowest frequencies, each against their median. Written here because that package takes
three times as long for an image and brings two others.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from PIL.Image import Resampling

SIDE, KEPT = 32, 8
# A plain picture has coefficients of 1e-13, and rounding must not decide its bits. What a grey
# level in one of the 32×32 pixels changes is above 0.01.
TOLERANCE = 1e-6
_WAVES = np.cos(np.pi * np.outer(np.arange(KEPT), 2 * np.arange(SIDE) + 1) / (2 * SIDE))


def perceptual_hash(pixels: np.ndarray) -> int:
    """Hash a picture by its looks.

    Args:
        pixels: uint8 (h, w, 3), RGB.

    Returns:
        64 bits, unsigned. Its highest bit is the mean brightness, then the lowest frequencies along
        the rows come first.
    """
    # reduced by a whole factor first, which is three times as quick
    small = Image.fromarray(pixels).resize((SIDE, SIDE), Resampling.BILINEAR, reducing_gap=1.0)
    low = (_WAVES @ np.asarray(small.convert("L")) @ _WAVES.T).ravel()
    middle = np.sort(low)[len(low) // 2 - 1 : len(low) // 2 + 1].mean()
    return int.from_bytes(np.packbits(low > middle + TOLERANCE).tobytes(), "big")
