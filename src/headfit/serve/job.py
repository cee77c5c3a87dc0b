"""The images of one request on their way through decoding and inference."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence

import numpy as np

from headfit.errors import ImageError

Content = bytes | np.ndarray
"""The content of an image file, or pixels, uint8 (height, width, 3)."""
Row = np.ndarray | ImageError
"""The outputs for an image, float32 (K + C,), or why it cannot be read."""


class Job:
    """The images of one request. Made in the event loop, filled in by threads.

    Args:
        contents: of each image its file or its pixels, or why there is nothing to be read.
    """

    def __init__(self, contents: Sequence[Content | ImageError]) -> None:
        self._contents: list[Content | ImageError | None] = list(contents)
        self._rows: list[Row | None] = [None] * len(self._contents)
        self._left = len(self._contents)
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[list[Row | None]] = self._loop.create_future()
        self.dropped = False

    def __len__(self) -> int:
        return len(self._contents)

    def is_file(self, place: int) -> bool:
        """Whether an image has to be decoded."""
        return isinstance(self._contents[place], bytes)

    def take(self, place: int) -> Content | ImageError | None:
        """Give the content of an image, which the job then forgets; None if nobody waits."""
        content, self._contents[place] = self._contents[place], None
        return content

    def put(self, place: int, row: Row) -> None:
        """Note the outcome of an image; the last one ends the job."""
        with self._lock:
            self._rows[place] = row
            self._left -= 1
            last = not self._left
        if last:
            self._call(self._finish)

    def fail(self, error: Exception) -> None:
        """End the job with an error that is no image's."""
        self._call(self._finish, error)

    def drop(self) -> None:
        """Forget the images: nobody waits for the outcome."""
        self.dropped = True
        self._contents = [None] * len(self._contents)

    async def rows(self) -> list[Row]:
        """Wait for the outcome of all images, in order."""
        rows = await self._done
        return [row for row in rows if row is not None]

    def _finish(self, error: Exception | None = None) -> None:
        if self._done.done():
            return
        if error is None:
            self._done.set_result(self._rows)
        else:
            self._done.set_exception(error)

    def _call(self, function: object, *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
            self._loop.call_soon_threadsafe(function, *arguments)  # type: ignore[arg-type]
