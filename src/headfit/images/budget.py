"""The memory that decoding takes: an amount for each image, and what all of them share."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from PIL import Image

from headfit.errors import ImageError
from headfit.images.structure import Look
from headfit.images.wide_colour import is_wide
from headfit.util.machine import in_words

MAX_MEMORY = 1_000_000_000
"""Bytes that decoding may take, all threads together; an image that takes more is refused."""
# bytes a pixel takes besides the image, since libraries first decode into forms of their own
_BESIDES = {"WEBP": 12, "AVIF": 12, "HEIF": 12, "GIF": 1}
COPIES = 3  # of the file: with the caller, its reader and a helper
ORIENTATION_TAG = 0x0112  # of TIFF and EXIF


def memory_of(image: Image.Image, seen: Look, stored: int, target_width: int = 1) -> int:
    """Give the bytes that decoding and resizing an image takes, from its header alone.

    Args:
        image: not loaded yet; a JPEG at the scale that it will be decoded at.
        seen: what a look at its file said.
        stored: bytes of its file.
        target_width: columns that it is resized to, in pixels.

    Raises:
        ImageError: they are more than ``MAX_MEMORY``.
    """
    each = {"1": 1, "L": 1, "P": 1}.get(image.mode, 2 if image.mode.startswith("I;16") else 4)
    each += _BESIDES.get(str(image.format), 0)
    if is_wide(image):  # decoded twice
        each *= 2
    if getattr(image, "tag_v2", {}).get(ORIENTATION_TAG, 1) != 1:  # Pillow turns a copy upright
        each *= 2
    # it is resized in width first, all rows of it
    resized = 4 * target_width * max(image.size)
    needed = COPIES * stored + each * image.width * image.height + seen.buffer + resized
    return check_memory(needed)


def check_memory(count: int) -> int:
    """Return a number of bytes that decoding may take.

    Raises:
        ImageError: it is more than ``MAX_MEMORY``.
    """
    if count > MAX_MEMORY:
        limit = in_words(MAX_MEMORY)
        raise ImageError(f"too large: decoding needs {in_words(count)}; the limit is {limit}")
    return count


class Budget:
    """Memory that threads share: each waits until there is as much as it needs.

    Args:
        total: bytes; what needs more has to wait until nobody else holds any.
    """

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self, count: int, still_wanted: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold some bytes.

        Args:
            count: how many.
            still_wanted: called after a wait; raises an error if they are not needed any more.
        """
        count = min(count, self._total)
        with self._changed:
            if count > self._free:
                self._changed.wait_for(lambda: count <= self._free)
            self._free -= count
        try:
            still_wanted()
            yield
        finally:
            with self._changed:
                self._free += count
                self._changed.notify_all()


MEMORY = Budget(MAX_MEMORY)
"""That of all decoding in this process, and in its helpers."""
