"""The pass: every image through the frozen backbone once, and never again.

Threads read and decode ahead, the engine keeps several images in flight, a thread writes behind.
All queues are bounded, so memory does not grow with the folder.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from statistics import median

import numpy as np

from headfit.backbones.engine import Engine, EngineInfo
from headfit.backbones.probe import probe_images
from headfit.errors import DataError
from headfit.features.reader import Progress, Reader
from headfit.features.store import FeatureMaps, FeatureStore, Noted
from headfit.features.writer import Writer
from headfit.images.contract import Contract
from headfit.images.index import ImageIndex, Skipped

LATENCY_RUNS = 3  # each takes as long as an image of the pass, so few


@dataclass(frozen=True)
class Extraction:
    """What the pass gave.

    Attributes:
        index: the images that could be read; the others are among its ``skipped``.
        maps: their feature maps, in the order of ``index``.
        digests: the content digest of each image.
        hashes: the perceptual hash of each image, uint64 (n,).
        computed: how many images went through the backbone now.
        cached: how many were in the store already, or twice in the folder.
        info: what is known of the engine.
        latency_ms: median time of the backbone for one image alone.
        probe: its maps of the probe images, float32 (2, H, W, C).
    """

    index: ImageIndex
    maps: FeatureMaps
    digests: tuple[str, ...]
    hashes: np.ndarray
    computed: int
    cached: int
    info: EngineInfo
    latency_ms: float
    probe: np.ndarray

    def only(self, paths: Collection[str]) -> Extraction:
        """Keep the images of these paths; the others count as skipped."""
        kept = np.array([path in paths for path in self.index.paths], bool)
        if kept.all():
            return self
        reason = "another backbone could not be given it"
        gone = [Skipped(p, reason) for p in np.array(self.index.paths)[~kept].tolist()]
        return replace(
            self,
            index=self.index.subset(kept, gone),
            maps=self.maps.subset(np.flatnonzero(kept)),
            digests=tuple(np.array(self.digests)[kept].tolist()),
            hashes=self.hashes[kept],
        )


def extract(
    index: ImageIndex,
    contract: Contract,
    store: FeatureStore,
    open_engine: Callable[[], Engine],
    progress: Progress = lambda done, total, skipped: None,
    *,
    dtype: str = "float16",
) -> Extraction:
    """Bring the feature maps of all images into the store and give them back.

    Args:
        index: the images.
        contract: how they are decoded and preprocessed.
        store: where maps are found and kept. Interrupted, it keeps what was computed.
        open_engine: called only if an image is not in the store yet.
        progress: called after each image.
        dtype: how new maps are stored, ``"float16"`` (a block is float32 where a value exceeds
            65,504) or ``"float32"``.

    Raises:
        DataError: if no image can be read.
        EngineError, WeightsError: if the backbone cannot run.
        WriteError: if the store cannot be written.
    """
    reader = Reader(index, contract, store, progress)
    with contextlib.closing(reader.images()) as images:
        first = next(images, None)
        if first is None and not reader.found:
            raise DataError(
                f"None of the {len(index)} images in '{index.root}' can be read; the first: "
                f"{reader.skipped[0].path}: {reader.skipped[0].reason}."
            )
        noted, computed = store.noted(), 0
        if first is not None or noted is None:
            engine = open_engine()
            if first is not None:
                writer = Writer(store, dtype)
                computed = _pass(engine, chain([first], images), writer, reader.hashes)
            noted = _measure(engine, contract)
            store.note(*noted)
    return _collect(index, store, reader, computed, noted)


def _pass(
    engine: Engine,
    images: Iterator[tuple[str, np.ndarray]],
    writer: Writer,
    hashes: Mapping[str, int],
) -> int:
    """Send images through the backbone into the store; give how many they were."""
    computed = 0
    with writer:
        for image, maps in engine.run(images):
            writer.add(image, maps, hashes[image])
            computed += 1
    return computed


def _measure(engine: Engine, contract: Contract) -> Noted:
    """Find out what later runs want to know of the engine, so that they need not open it."""
    images = probe_images(contract.height, contract.width)
    maps, seconds = {}, []
    for run in range(LATENCY_RUNS):
        number = run % len(images)
        start = time.perf_counter()
        ((_, maps[number]),) = engine.run([(None, images[number, None])])
        seconds.append(time.perf_counter() - start)
    facts = {**engine.info.to_dict(), "latency_ms": 1000 * median(seconds)}
    return facts, np.concatenate([maps[number] for number in range(len(images))])


def _collect(
    index: ImageIndex, store: FeatureStore, reader: Reader, computed: int, noted: Noted
) -> Extraction:
    kept = np.array(sorted(reader.found), dtype=np.int64)
    images = tuple(reader.found[i] for i in kept)
    facts, probe = noted
    return Extraction(
        index.subset(kept, reader.skipped),
        store.maps(images),
        images,
        store.hashes(images),
        computed,
        len(kept) - computed,
        EngineInfo.from_dict({k: v for k, v in facts.items() if k != "latency_ms"}),
        facts["latency_ms"],
        probe,
    )
