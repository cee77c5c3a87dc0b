"""What every image file passes before it is decoded: limits, memory, and the place to do it.

Files with too many parts or pixels are refused. The others wait for their share of the memory, and
are decoded by the thread that asks, or in a helper process if that may take more than a second.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from PIL import Image
from PIL.ImageFile import ImageFile

from headfit.errors import ImageError
from headfit.images.budget import COPIES, MEMORY, check_memory, memory_of
from headfit.images.helper import check_wanted
from headfit.images.readers import examine, open_as, reason
from headfit.images.structure import Look

MAX_BYTES = 200_000_000
MAX_PIXELS = 200_000_000
# a strip one pixel wide passes MAX_PIXELS, but resizing it would need gigabytes
MAX_SIDE = 100_000
EASY_PIXELS = 50_000_000
"""Pixels that any decoder takes in about a second."""
EASY_BYTES = {"JPEG": 50_000_000, "WEBP": 20_000_000, "AVIF": 10_000_000}
"""The like for files whose pixels may take any number of bytes."""
Image_ = TypeVar("Image_", bound=Image.Image)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Work(Generic[Result]):
    """What to do with an image file.

    Attributes:
        prepare: readies an image that is not loaded yet, of allowed size; returns the columns that
            all its rows are resized to.
        here: loads it, and gives the result.
        apart: gives the result of the file in a helper process, which may take so many bytes.
    """

    prepare: Callable[[ImageFile], int]
    here: Callable[[ImageFile], Result]
    apart: Callable[[int], Result]


def let_through(data: bytes, work: Work[Result], *, apart: bool = True) -> Result:
    """Do the work on an image file that is within the limits.

    Args:
        data: its content.
        work: what to do.
        apart: whether this may be left to a helper process, in which this is False.

    Raises:
        ImageError: the file is refused, or cannot be decoded.
    """
    check_wanted()
    if len(data) > MAX_BYTES:
        raise ImageError(f"too large: {len(data):,} bytes; the limit is {MAX_BYTES:,}")
    stream = io.BytesIO(data)
    reader, seen = examine(stream)
    if apart and seen.hard:  # before its reader parses it
        memory = check_memory(COPIES * len(data) + seen.buffer)
        with MEMORY.take(memory, check_wanted):
            return work.apart(memory)
    image = open_as(reader, stream)
    hard = len(data) > EASY_BYTES.get(str(reader.format), len(data))
    hard |= _visits(image, seen) > EASY_PIXELS
    memory = safely(image, lambda each: memory_of(each, seen, len(data), work.prepare(each)))
    with MEMORY.take(memory, check_wanted):
        return work.apart(memory) if apart and hard else safely(image, work.here)


def _visits(image: Image.Image, seen: Look) -> float:
    check_size(*image.size)
    # a scan of a progressive JPEG takes about a quarter of the time of a whole one
    return image.width * image.height * (1 if seen.passes == 1 else 1 + seen.passes / 4)


def safely(image: Image_, work: Callable[[Image_], Result]) -> Result:
    """Do what raises anything on hostile bytes: struct.error, KeyError, MemoryError, ...

    Raises:
        ImageError: it did; the message is a short reason.
    """
    try:
        return work(image)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(reason(str(image.format or "image"), error)) from error


def check_size(width: int, height: int) -> None:
    """Raise an ``ImageError`` if an image has no pixels, or too many."""
    if width < 1 or height < 1:
        raise ImageError("no pixels")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"too many pixels: {width} × {height}; the limits are {MAX_PIXELS:,} pixels "
            f"and {MAX_SIDE:,} on a side"
        )
