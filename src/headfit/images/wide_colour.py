"""Colour of 16 bits, of which Pillow gives the upper 8 only.

Pillow takes the first or the second byte of each value, by the order of bytes in the file. Told the
other order, it takes the lower 8 bits. So an image is decoded twice, and both halves are joined.
"""

from __future__ import annotations

import io
import sys

import numpy as np
from PIL import Image, ImageFile

from headfit.images.readers import open_image

_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_KINDS = ("RGB;16", "RGBA;16", "RGBX;16")
_GREY_AND_ALPHA = "LA;16B"


def is_wide(image: Image.Image) -> bool:
    """Whether an image that is not loaded yet has colour of 16 bits, or grey and alpha of 16."""
    return _layout(image)[:-1] in (*_KINDS, _GREY_AND_ALPHA[:-1])


def lower_bits(image: ImageFile.ImageFile) -> Image.Image:
    """Decode the lower 8 bits of an image for which :func:`is_wide` holds; it is not loaded by it.

    Returns:
        Them as an image: in three bands or more, or in one for all colours.
    """
    assert image.fp is not None
    place = image.fp.tell()
    image.fp.seek(0)
    twin = open_image(io.BytesIO(image.fp.read()))
    image.fp.seek(place)
    twin.seek(image.tell())
    layout = _layout(twin)
    if layout == _GREY_AND_ALPHA:  # as if it were four values of 8 bits, of which this is one
        twin.tile = [each._replace(args="RGBA") for each in twin.tile]
        return twin.getchannel(1)
    swapped = layout[:-1] + _SWAPPED[layout[-1]]
    twin.tile = [
        each._replace(
            args=swapped if isinstance(each.args, str) else (swapped, *each.args[1:])  # type: ignore[index]
        )
        for each in twin.tile
    ]
    twin.load()
    return twin


def join(upper: Image.Image, lower: Image.Image) -> np.ndarray:
    """Put both halves of an image, or of a part of it, together.

    Returns:
        uint16 (rows, columns, 3).
    """
    values = np.asarray(upper)[..., :3].astype(np.uint16)
    values <<= 8
    values |= np.asarray(lower).reshape(*values.shape[:2], -1)[..., :3]
    return values


def _layout(image: Image.Image) -> str:
    """Give how Pillow unpacks an image; nothing if it is loaded."""
    tiles = getattr(image, "tile", ())
    args = tiles[0].args if tiles else ""
    return str(args if isinstance(args, str) else args[0] if args else "")
