"""Feature maps to the store, behind the engine: a thread rounds them and writes block by block."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from headfit.errors import EngineError
from headfit.features.half import fits, largest, to_float16
from headfit.features.store import FeatureStore

BLOCK_BYTES = 8 * 1024**2
BATCH = 4  # maps that are handed over together
WAITING = 4  # such batches, at most: then the engine waits for the disk


class Writer:
    """Appends maps to a store in blocks of about 8 MB; a context manager that ends with a write.

    Maps are stored even if the engine fails later or the user interrupts it.

    Args:
        store: of the maps.
        dtype: ``"float16"`` (a block is float32 where a map is out of its range) or ``"float32"``.
    """

    def __init__(self, store: FeatureStore, dtype: str) -> None:
        self._store, self._dtype = store, np.dtype(dtype)
        self._pool = ThreadPoolExecutor(1, "headfit-write")
        self._waiting: deque[Future[None]] = deque()
        self._batch: list[tuple[str, np.ndarray, int | None]] = []
        # used by the writing thread only
        self._images: list[str] = []
        self._hashes: list[int | None] = []
        self._rows = np.empty((0,), self._dtype)
        self._failed = False

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self._hand_over()
            self._waiting.append(self._pool.submit(self._write))
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            self._pool.shutdown(wait=True)

    def add(self, image: str, maps: np.ndarray, perceptual: int | None) -> None:
        """Add the map of one image.

        Args:
            image: its digest.
            maps: float32 (1, H, W, C); it must not be changed afterwards.
            perceptual: its perceptual hash, 64 bits; None for all images of a store without.

        Raises:
            EngineError: a value of this map or an earlier one is not finite.
            WriteError: the disk is full or read-only.
        """
        self._batch.append((image, maps, perceptual))
        if len(self._batch) == BATCH:
            self._hand_over()

    def _hand_over(self) -> None:
        batch, self._batch = self._batch, []
        self._waiting.append(self._pool.submit(self._take, batch))
        while self._waiting and (len(self._waiting) > WAITING or self._waiting[0].done()):
            self._waiting.popleft().result()

    def _take(self, batch: Sequence[tuple[str, np.ndarray, int | None]]) -> None:
        if self._failed:  # reported already, by the result of the batch before
            return
        try:
            for image, maps, perceptual in batch:
                self._put(image, np.ascontiguousarray(maps[0]), perceptual)
        except BaseException:
            self._failed = True
            raise

    def _put(self, image: str, maps: np.ndarray, perceptual: int | None) -> None:
        """Add one map, float32 (H, W, C), to the block, and write the block if it is full."""
        top, signed = largest(maps)
        if not np.isfinite(top):
            raise EngineError(
                "The backbone returned infinite or missing values. Check its weights."
            )
        wide = not fits(top)
        if not self._images or (wide and self._rows.dtype == np.float16):
            self._write()
            dtype = np.dtype(np.float32) if wide else self._dtype
            rows = max(1, BLOCK_BYTES // (maps.size * dtype.itemsize))
            self._rows = np.empty((rows, *maps.shape), dtype)
        row = self._rows[len(self._images)]
        if row.dtype == np.float16:
            to_float16(maps, row, signed=signed)
        else:
            row[:] = maps
        self._images.append(image)
        self._hashes.append(perceptual)
        if len(self._images) == len(self._rows):
            self._write()

    def _write(self) -> None:
        if self._images:
            images, self._images = self._images, []
            hashes, self._hashes = [each for each in self._hashes if each is not None], []
            self._store.append(images, self._rows[: len(images)], hashes or None)
