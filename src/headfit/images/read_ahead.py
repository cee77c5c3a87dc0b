"""Images read and decoded ahead of whoever takes them: in threads, in order, a bounded number."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from PIL import Image

from headfit.errors import ImageError
from headfit.images import helper
from headfit.images.contract import Contract
from headfit.images.decode import decode, read_bytes, resize
from headfit.util.machine import usable_cores

READ_AHEAD = 16
"""Images that are decoded, or being decoded, and not taken yet."""
THREAD_SECONDS = 0.0005  # passing an image between threads costs a tenth of this

PathLike = str | os.PathLike[str]
ImageLike = PathLike | Image.Image
Image_ = TypeVar("Image_", bound=ImageLike)
Item = TypeVar("Item")
Content = TypeVar("Content")
Result = TypeVar("Result")


@dataclass(frozen=True)
class StoredImage:
    """An image within an archive, which stands for a path.

    Attributes:
        name: what it is called, below the name of the archive.
        read: returns the content of its file; raises ``ImageError``.
    """

    name: str
    read: Callable[[], bytes]

    def __fspath__(self) -> str:
        return self.name


def content_of(image: PathLike) -> bytes:
    """Read the content of an image file, on disk or within an archive.

    Raises:
        ImageError: it cannot be read.
    """
    return image.read() if isinstance(image, StoredImage) else read_bytes(image)


class ReadAhead(Generic[Item, Content, Result]):
    """Iterates over pairs of an item and its result, in the order of the items.

    At most ``READ_AHEAD`` results wait, so memory does not grow with the number of images. Images
    that take little time, tiny ones for instance, are read by the caller's own thread: passing them
    between threads would take longer. An image that cannot be read stands in its place as an
    :class:`~headfit.errors.ImageError`; any other error is raised.

    Args:
        items: what names an image: a path, or a row of an index. May be endless.
        read: returns the content of an image: the bytes of its file.
        work: makes the result of the content; called from several threads at once.

    Attributes:
        begun: number of items that were taken so far.
    """

    def __init__(
        self,
        items: Iterable[Item],
        read: Callable[[Item], Content],
        work: Callable[[Content], Result],
    ) -> None:
        self.begun = 0
        self._items = iter(items)
        self._read, self._work = read, work
        self._seconds = 0.0  # that an image takes, averaged over the last few

    def __iter__(self) -> Generator[tuple[Item, Result | ImageError]]:
        waiting: deque[tuple[Item, Future[Result | ImageError]]] = deque()
        threads: set[int] = set()
        pool = ThreadPoolExecutor(
            max(2, usable_cores()),
            "headfit-decode",
            initializer=lambda: threads.add(threading.get_ident()),
        )
        try:
            while True:
                while self._seconds > THREAD_SECONDS and len(waiting) < READ_AHEAD:
                    if not (following := self._next()):
                        break
                    waiting.append((following[0], pool.submit(self._run, following[0])))
                if waiting:
                    item, future = waiting.popleft()
                    yield item, future.result()
                elif following := self._next():
                    yield following[0], self._run(following[0])
                else:
                    return
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            helper.stop(threads)
            pool.shutdown(wait=True)
            helper.forget(threads)

    def _next(self) -> tuple[Item] | None:
        for item in self._items:
            self.begun += 1
            return (item,)
        return None

    def _run(self, item: Item) -> Result | ImageError:
        start = time.perf_counter()
        try:
            data = self._read(item)
            # a slow disk counts in full, but not that other threads keep this one waiting
            opened, worked = time.perf_counter() - start, time.thread_time()
            try:
                return self._work(data)
            finally:
                self._learn(opened + time.thread_time() - worked)
        except ImageError as error:
            # a new one: the traceback of the first holds the bytes of the file
            return ImageError(str(error))

    def _learn(self, seconds: float) -> None:
        # capped, so that a hiccup or two, such as the first image, do not start the threads
        self._seconds += (min(seconds, 2 * THREAD_SECONDS) - self._seconds) / 4


def decode_images(
    images: Iterable[Image_], contract: Contract
) -> Iterator[tuple[Image_, np.ndarray | ImageError]]:
    """Decode image files and Pillow images ahead, in order.

    Args:
        images: paths or Pillow images; may be endless.
        contract: the size to decode to.

    Yields:
        Each with its pixels, uint8 (height, width, 3), RGB, or the reason why it cannot be read.
    """

    def read(image: Image_) -> bytes | Image.Image:
        return image if isinstance(image, Image.Image) else content_of(image)

    def work(content: bytes | Image.Image) -> np.ndarray:
        convert = resize if isinstance(content, Image.Image) else decode
        return convert(content, contract.height, contract.width, contract.depth)  # type: ignore[arg-type]

    return iter(ReadAhead(images, read, work))
