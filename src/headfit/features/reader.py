"""Files to pixels, ahead of the engine: threads read and decode, known images are passed over."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headfit import digests
from headfit.errors import ImageError
from headfit.features.store import FeatureStore
from headfit.images.contract import Contract
from headfit.images.decode import decode, read_bytes
from headfit.images.index import ImageIndex, Skipped

READ_AHEAD = 16  # images; a group that is begun is finished, so up to 7 more
LARGEST_GROUP = 8
TASK_SECONDS = 0.002
Progress = Callable[[int, int, int], None]  # images done, in all, skipped


@dataclass
class _Read:
    """What a thread made of one file."""

    digest: str = ""
    pixels: np.ndarray | None = None
    reason: str = ""


class Reader:
    """Reads the images of an index in order.

    The queue of decoded images is bounded, so memory does not grow with the folder. Files that take
    little time are read in groups: to hand one tiny image from thread to thread takes longer than
    to decode it.

    Args:
        index: the images.
        contract: how they are decoded.
        known: holds the images that need not be decoded.
        progress: called after each image.

    Attributes:
        found: the digest of each image that could be read, by its number in the index.
        skipped: the others.
    """

    def __init__(
        self, index: ImageIndex, contract: Contract, known: FeatureStore, progress: Progress
    ) -> None:
        self.found: dict[int, str] = {}
        self.skipped: list[Skipped] = []
        self._index, self._contract, self._known = index, contract, known
        self._progress = progress
        self._next = self._begun = self._done = 0
        self._seconds = 1.0  # of one file, as measured last; at first they come one by one

    def images(self) -> Generator[tuple[str, np.ndarray]]:
        """Yield (digest, pixels uint8 (1, h, w, 3)) of images that are not known, each once."""
        ahead: deque[tuple[range, Future[list[_Read]]]] = deque()
        given: set[str] = set()
        pool = ThreadPoolExecutor(max(2, os.cpu_count() or 2), "headfit-decode")
        try:
            while self._read_ahead(pool, ahead):
                numbers, future = ahead.popleft()
                for number, read in zip(numbers, future.result(), strict=True):
                    self._note(number, read)
                    if read.pixels is not None and read.digest not in given:
                        given.add(read.digest)
                        yield read.digest, read.pixels[None]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _read_ahead(
        self, pool: ThreadPoolExecutor, ahead: deque[tuple[range, Future[list[_Read]]]]
    ) -> bool:
        """Keep the threads busy; say whether anything is on its way."""
        while self._begun < len(self._index) and self._begun - self._done < READ_AHEAD:
            size = max(1, min(LARGEST_GROUP, int(TASK_SECONDS / max(self._seconds, 1e-6))))
            numbers = range(self._begun, min(self._begun + size, len(self._index)))
            ahead.append((numbers, pool.submit(self._read_group, numbers)))
            self._begun = numbers.stop
        return bool(ahead)

    def _read_group(self, numbers: range) -> list[_Read]:
        start = time.perf_counter()
        found = [self._read(self._index.path(number)) for number in numbers]
        self._seconds = (time.perf_counter() - start) / len(numbers)
        return found

    def _read(self, path: Path) -> _Read:
        try:
            data = read_bytes(path)
            digest = digests.of_bytes(data)
            if digest in self._known:
                return _Read(digest)
            return _Read(digest, decode(data, self._contract.height, self._contract.width))
        except ImageError as error:
            return _Read(reason=str(error))

    def _note(self, number: int, read: _Read) -> None:
        if read.reason:
            self.skipped.append(Skipped(self._index.paths[number], read.reason))
        else:
            self.found[number] = read.digest
        self._done += 1
        self._progress(self._done, len(self._index), len(self.skipped))
