"""Files to pixels, ahead of the engine: threads read and decode, known images are passed over."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headfit.errors import ImageError
from headfit.images.contract import Contract
from headfit.images.decode import decode, read_bytes
from headfit.images.index import ImageIndex, Skipped
from headfit.images.phash import perceptual_hash
from headfit.util import digests
from headfit.util.processors import usable_cores

READ_AHEAD = 16
THREAD_SECONDS = 0.0005  # to pass an image between threads costs a tenth of this
Progress = Callable[[int, int, int], None]  # images done, in all, skipped


@dataclass(slots=True)
class _Read:
    """What became of one file."""

    digest: str = ""
    pixels: np.ndarray | None = None
    hash: int = 0
    reason: str = ""


class Reader:
    """Reads the images of an index in order.

    The queue of decoded images is bounded, so memory does not grow with the folder. Files that take
    little time, as tiny or known ones do, are read in turn by the caller's own thread: to pass them
    between threads would only cost time.

    Args:
        index: the images.
        contract: how they are decoded.
        known: holds the images that need not be decoded.
        progress: called after each image.

    Attributes:
        found: the digest of each image that could be read, by its number in the index.
        skipped: the others.
        hashes: the perceptual hash of each image that was given, by its digest.
    """

    def __init__(
        self, index: ImageIndex, contract: Contract, known: Container[str], progress: Progress
    ) -> None:
        self.found: dict[int, str] = {}
        self.skipped: list[Skipped] = []
        self.hashes: dict[str, int] = {}
        self._index, self._contract, self._known = index, contract, known
        self._progress = progress
        self._begun = self._done = 0
        self._total = len(index)
        self._seconds = 0.0  # for one file, of late

    def images(self) -> Generator[tuple[str, np.ndarray]]:
        """Yield (digest, pixels uint8 (1, h, w, 3)) of images that are not known, each once."""
        ahead: deque[Future[_Read]] = deque()
        pool = ThreadPoolExecutor(max(2, usable_cores()), "headfit-decode")
        try:
            while self._done < self._total:
                self._read_ahead(pool, ahead)
                read = ahead.popleft().result() if ahead else self._read(self._take())
                self._note(read)
                if read.pixels is not None and read.digest not in self.hashes:
                    self.hashes[read.digest] = read.hash
                    yield read.digest, read.pixels[None]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _read_ahead(self, pool: ThreadPoolExecutor, ahead: deque[Future[_Read]]) -> None:
        """Keep the threads busy, if files are worth one."""
        while (
            self._seconds > THREAD_SECONDS and len(ahead) < READ_AHEAD and self._begun < self._total
        ):
            ahead.append(pool.submit(self._read, self._take()))

    def _take(self) -> Path:
        """Give the next file to read."""
        self._begun += 1
        return self._index.path(self._begun - 1)

    def _read(self, path: Path) -> _Read:
        start = time.perf_counter()
        try:
            data = read_bytes(path)
        except ImageError as error:
            return _Read(reason=str(error))
        # a slow disk counts in full, but not that other threads keep this one waiting
        opened, worked = time.perf_counter() - start, time.thread_time()
        read = self._decode(data)
        self._learn(opened + time.thread_time() - worked)
        return read

    def _learn(self, seconds: float) -> None:
        # capped, so that a hiccup or two, such as the first file, do not start the threads
        self._seconds += (min(seconds, 2 * THREAD_SECONDS) - self._seconds) / 4

    def _decode(self, data: bytes) -> _Read:
        digest = digests.of_bytes(data)
        if digest in self._known:
            return _Read(digest)
        try:
            pixels = decode(data, self._contract.height, self._contract.width)
        except ImageError as error:
            return _Read(reason=str(error))
        return _Read(digest, pixels, perceptual_hash(pixels))

    def _note(self, read: _Read) -> None:
        number = self._done
        if read.reason:
            self.skipped.append(Skipped(self._index.paths[number], read.reason))
        else:
            self.found[number] = read.digest
        self._done += 1
        self._progress(self._done, self._total, len(self.skipped))
