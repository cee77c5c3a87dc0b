"""From an image of any mode to 8 bits of RGB or grey at the size of the target, strip by strip.

Converting a whole image would take several times its memory. Pillow resizes in width first and then
in height, so strips of the image, resized in width and put together, give the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image
from PIL.Image import Resampling
from PIL.ImageFile import ImageFile

from headfit.images.depth import Depth, Span, scaled
from headfit.images.wide_colour import is_wide, join, lower_bits

STRIP = 1_000_000
"""Pixels that are converted at a time."""
Box = tuple[int, int, int, int]
Values = Callable[[Box], np.ndarray]


def is_deep(image: Image.Image) -> bool:
    """Whether an image that is not loaded yet has more than 8 bits."""
    return _is_deep_grey(image) or is_wide(image)


def _is_deep_grey(image: Image.Image) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def load(image: Image.Image) -> Values | None:
    """Load an image.

    Returns:
        None if it has 8 bits, else what gives the values of a part of it, int or float: (rows,
        columns) of grey, (rows, columns, 3) of colour.
    """
    if isinstance(image, ImageFile) and is_wide(image):
        lower = lower_bits(image)
        image.load()
        return lambda box: join(image.crop(box), lower.crop(box))
    deep = _is_deep_grey(image)
    image.load()
    return (lambda box: np.asarray(image.crop(box))) if deep else None


def strips(image: Image.Image) -> Iterator[Box]:
    """Cut an image into parts of all its columns and ``STRIP`` pixels."""
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)


def shrink(
    image: Image.Image, values: Values | None, size: tuple[int, int], depth: Depth
) -> Image.Image:
    """Resize a loaded image.

    Args:
        image: in any mode.
        values: what :func:`load` returned.
        size: columns and rows to return.
        depth: black and white in images of more than 8 bits, of the data set.

    Returns:
        An image of mode RGB or L.
    """
    if values is None and not image.has_transparency_data and image.mode in ("RGB", "L"):
        return image.resize(size, Resampling.BILINEAR)
    boxes = list(strips(image))
    span = depth.span_in(map(values, boxes)) if values else None
    if len(boxes) == 1:
        flat = _flatten(image, values and values(boxes[0]), span)
        return flat.resize(size, Resampling.BILINEAR)
    narrow = None
    for box in boxes:
        flat = _flatten(image.crop(box), values and values(box), span)
        part = flat.resize((size[0], flat.height), Resampling.BILINEAR)
        narrow = narrow or Image.new(part.mode, (size[0], image.height))
        narrow.paste(part, (0, box[1]))
    assert narrow is not None
    return narrow.resize(size, Resampling.BILINEAR)


def _flatten(image: Image.Image, values: np.ndarray | None, span: Span | None) -> Image.Image:
    """Return the image in mode RGB or L, 8 bits, opaque; ``values`` are those of many bits."""
    if values is not None and span is not None:
        eight = Image.fromarray(scaled(values, span))
        if image.has_transparency_data and "A" in image.getbands():
            eight.putalpha(image.getchannel("A"))
            return _over_white(eight)
        return eight
    if image.has_transparency_data:
        return _over_white(image.convert("RGBA"))
    if image.mode in ("RGB", "L"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _over_white(image: Image.Image) -> Image.Image:
    page = Image.new("RGB", image.size, "white")
    page.paste(image, mask=image.getchannel("A"))
    return page
