"""The pass: every image through the frozen backbone once, and never again.

Threads read and decode ahead, the engine keeps several images in flight, this thread writes. The
queue of decoded images is bounded, so memory does not grow with the folder.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from headfit import digests
from headfit.backbones.engine import Engine, EngineInfo, latency_ms
from headfit.backbones.probe import probe_images
from headfit.errors import DataError, ImageError
from headfit.features.store import FeatureMaps, FeatureStore, Noted
from headfit.images.contract import Contract
from headfit.images.decode import decode, read_bytes
from headfit.images.index import ImageIndex, Skipped

BLOCK_BYTES = 32 * 1024**2
READ_AHEAD = 16
Progress = Callable[[int, int, int], None]  # images done, in all, skipped


@dataclass(frozen=True)
class Extraction:
    """What the pass gave.

    Attributes:
        index: the images that could be read; the others are among its ``skipped``.
        maps: their feature maps, in the order of ``index``.
        digests: the content digest of each image.
        computed: how many images went through the backbone now.
        cached: how many were in the store already, or twice in the folder.
        info: what is known of the engine.
        latency_ms: time of the backbone for one image.
        probe: its maps of the probe images, float32 (2, H, W, C).
    """

    index: ImageIndex
    maps: FeatureMaps
    digests: tuple[str, ...]
    computed: int
    cached: int
    info: EngineInfo
    latency_ms: float
    probe: np.ndarray


def extract(
    index: ImageIndex,
    contract: Contract,
    store: FeatureStore,
    open_engine: Callable[[], Engine],
    progress: Progress = lambda done, total, skipped: None,
) -> Extraction:
    """Bring the feature maps of all images into the store and give them back.

    Args:
        index: the images.
        contract: how they are decoded and preprocessed.
        store: where maps are found and kept. Interrupted, it keeps what was computed.
        open_engine: called only if an image is not in the store yet.
        progress: called after each image.

    Raises:
        DataError: if no image can be read.
        EngineError, WeightsError: if the backbone cannot run.
        WriteError: if the store cannot be written.
    """
    with contextlib.closing(_Reader(index, contract, store, progress)) as reader:
        first = next(reader, None)
        if first is None and not reader.found:
            raise DataError(
                f"None of the {len(index)} images in '{index.root}' can be read; the first: "
                f"{reader.skipped[0].path}: {reader.skipped[0].reason}."
            )
        noted, computed = store.noted(), 0
        if first is not None or noted is None:
            engine = open_engine()
            if first is not None:
                computed = _pass(engine, chain([first], reader), store)
            noted = _measure(engine, contract)
            store.note(*noted)
    return _collect(index, store, reader, computed, noted)


def _pass(engine: Engine, images: Iterator[tuple[str, np.ndarray]], store: FeatureStore) -> int:
    """Send images through the backbone into the store; give how many they were."""
    writer, computed = _Writer(store), 0
    try:
        for image, maps in engine.run(images):
            writer.add(image, maps)
            computed += 1
    finally:  # interrupted, too: what was computed is kept
        writer.flush()
    return computed


def _measure(engine: Engine, contract: Contract) -> Noted:
    """Find out what later runs want to know of the engine, so that they need not open it."""
    images = probe_images(contract.height, contract.width)
    maps = dict(engine.run((i, image[None]) for i, image in enumerate(images)))
    facts = {**engine.info.to_dict(), "latency_ms": latency_ms(engine, contract)}
    return facts, np.concatenate([maps[i] for i in range(len(images))])


def _collect(
    index: ImageIndex, store: FeatureStore, reader: _Reader, computed: int, noted: Noted
) -> Extraction:
    kept = np.array(sorted(reader.found), dtype=np.int64)
    images = tuple(reader.found[i] for i in kept)
    facts, probe = noted
    return Extraction(
        index.subset(kept, reader.skipped),
        store.maps(images),
        images,
        computed,
        len(kept) - computed,
        EngineInfo.from_dict({k: v for k, v in facts.items() if k != "latency_ms"}),
        facts["latency_ms"],
        probe,
    )


@dataclass
class _Read:
    """What a thread made of one file."""

    digest: str = ""
    pixels: np.ndarray | None = None
    reason: str = ""


class _Reader(Iterator[tuple[str, np.ndarray]]):
    """Yields (digest, pixels (1, h, w, 3)) of the images that the store does not hold."""

    def __init__(
        self, index: ImageIndex, contract: Contract, store: FeatureStore, progress: Progress
    ) -> None:
        self.found: dict[int, str] = {}
        self.skipped: list[Skipped] = []
        self._index, self._contract, self._store = index, contract, store
        self._progress = progress
        self._given: set[str] = set()
        self._next = self._done = 0
        self._pool = ThreadPoolExecutor(max(2, os.cpu_count() or 2), "headfit-decode")
        self._ahead: deque[tuple[int, Future[_Read]]] = deque()

    def __next__(self) -> tuple[str, np.ndarray]:
        while True:
            self._read_ahead()
            if not self._ahead:
                self.close()
                raise StopIteration
            number, future = self._ahead.popleft()
            read = future.result()
            self._note(number, read)
            if read.pixels is not None and read.digest not in self._given:
                self._given.add(read.digest)
                return read.digest, read.pixels[None]

    def close(self) -> None:
        """Stop reading ahead."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _read_ahead(self) -> None:
        while self._next < len(self._index) and len(self._ahead) < READ_AHEAD:
            path = self._index.path(self._next)
            self._ahead.append((self._next, self._pool.submit(self._read, path)))
            self._next += 1

    def _read(self, path: Path) -> _Read:
        try:
            data = read_bytes(path)
            digest = digests.of_bytes(data)
            if digest in self._store:
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


@dataclass
class _Writer:
    """Gathers maps and appends them to the store in blocks of about 32 MB."""

    store: FeatureStore
    images: list[str] = field(default_factory=list)
    maps: list[np.ndarray] = field(default_factory=list)
    gathered: int = 0

    def add(self, image: str, maps: np.ndarray) -> None:
        self.images.append(image)
        self.maps.append(maps)
        self.gathered += maps.nbytes
        if self.gathered >= 2 * BLOCK_BYTES:  # float32 now, float16 in the store
            self.flush()

    def flush(self) -> None:
        if self.images:
            self.store.append(self.images, np.concatenate(self.maps))
            self.images, self.maps, self.gathered = [], [], 0
