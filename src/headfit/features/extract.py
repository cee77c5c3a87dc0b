"""The pass: every image through the frozen backbone once, and never again.

Threads read and decode ahead, the engine works on several images at once, and a thread writes
behind. All queues are bounded, so memory does not grow with the number of images.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import median
from typing import Any

import numpy as np

from headfit.backbones.engines.engine import Engine, EngineInfo, Joint
from headfit.backbones.engines.interface import probe_images
from headfit.errors import DataError
from headfit.features.reader import Reader
from headfit.features.store import EngineFacts, FeatureMaps, FeatureStore
from headfit.features.writer import Writer
from headfit.images.contract import Contract
from headfit.images.index import ImageIndex
from headfit.images.sources.source import Skipped
from headfit.progress import Callback

Compute = Callable[[Joint, Iterator[tuple[str, np.ndarray]]], int]
LATENCY_RUNS = 3  # few, since each takes as long as an image of the pass


@dataclass(frozen=True)
class Extraction:
    """The feature maps of a data set.

    Attributes:
        index: the images that could be read; the others are among its ``skipped``.
        maps: their feature maps, in the order of ``index``.
        digests: the content digest of each image.
        hashes: the perceptual hash of each image, uint64 (n,).
        computed: number of images that went through the backbone now.
        cached: number of images that were in the store already, or are copies of others.
        info: facts about the engine.
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
        """Return the part with these paths; the other images count as skipped."""
        shared = np.array([path in paths for path in self.index.paths], bool)
        if shared.all():
            return self
        reason = "not readable when another backbone needed it"
        rest = [
            Skipped(self.index.paths[row], reason, self.index.targets.label(int(row)))
            for row in np.flatnonzero(~shared)
        ]
        return self._part(shared, self.index.subset(shared, rest))

    def without_classes(self, names: Collection[str]) -> Extraction:
        """Return the part without some classes, or without some labels."""
        mask, _ = self.index.targets.without(names)
        return self._part(mask, self.index.without_classes(names))

    def _part(self, mask: np.ndarray, index: ImageIndex) -> Extraction:
        return replace(
            self,
            index=index,
            maps=self.maps.subset(np.flatnonzero(mask)),
            digests=tuple(np.array(self.digests)[mask].tolist()),
            hashes=self.hashes[mask],
        )


def extract(
    index: ImageIndex,
    contract: Contract,
    stores: Sequence[FeatureStore],
    open_joint: Callable[[], Joint],
    callback: Callback | None = None,
    *,
    dtype: str = "float16",
) -> list[Extraction]:
    """Compute the feature maps of all images that the stores lack, and return all of them.

    Args:
        index: the images.
        contract: how they are decoded and preprocessed.
        stores: one for each cut. After an interruption they hold what was computed. An image that
            one of them lacks goes through the backbone once for all.
        open_joint: opens the engine that returns the maps of the same cuts; called only if a store
            lacks an image.
        callback: is told the progress, in images.
        dtype: how new maps are stored, ``"float16"`` (a block is float32 where a map is out of its
            range) or ``"float32"``.

    Returns:
        The maps of each cut.

    Raises:
        DataError: no image can be read.
        EngineError, WeightsError: the backbone cannot run.
        WriteError: a store cannot be written.
    """
    reader = Reader(index.paths, index.read_bytes, contract, InAll(stores), callback)
    computed, facts = run_pass(reader, contract, stores, open_joint, dtype)
    return collect(index, stores, reader, computed, facts)


def run_pass(
    reader: Reader,
    contract: Contract,
    stores: Sequence[FeatureStore],
    open_joint: Callable[[], Joint],
    dtype: str,
) -> tuple[int, list[EngineFacts]]:
    """Compute the feature maps that the stores lack.

    Args:
        reader: of the images; afterwards it holds their digests.
        contract: how they are decoded and preprocessed.
        stores: one for each cut.
        open_joint: opens the engine; called only if a store lacks an image.
        dtype: how new maps are stored.

    Returns:
        As :func:`run_pass_with`.
    """

    def compute(joint: Joint, images: Iterator[tuple[str, np.ndarray]]) -> int:
        return _compute(joint, images, stores, dtype, reader.hashes)

    return run_pass_with(compute, reader, contract, stores, open_joint)


def run_pass_with(
    compute: Compute,
    reader: Reader,
    contract: Contract,
    stores: Sequence[FeatureStore],
    open_joint: Callable[[], Joint],
) -> tuple[int, list[EngineFacts]]:
    """Read all images, and compute what is missing.

    Args:
        compute: sends images through the engine into the stores, and returns their number; called
            only if the reader finds an image that is not stored.
        reader: of the images; afterwards it holds their digests.
        contract: how they are decoded and preprocessed.
        stores: one for each cut, for the facts about the engine.
        open_joint: opens the engine; called only if an image or the facts are missing.

    Returns:
        How many images went through the backbone, and of each store the facts about the engine and
        its maps of the probe images. No facts if no image could be read.
    """
    with contextlib.closing(reader.images()) as images:
        first = next(images, None)
        if first is None and not reader.digests:
            return 0, []
        stored, computed = [store.read_facts() for store in stores], 0
        facts = [each for each in stored if each is not None]
        if first is not None or len(facts) < len(stores):
            joint = open_joint()
            if first is not None:
                computed = compute(joint, chain([first], images))
            facts = [_measure(joint.only(number), contract) for number in range(len(stores))]
            for store, each in zip(stores, facts, strict=True):
                store.write_facts(*each)
    return computed, facts


@dataclass(frozen=True)
class InAll:
    """The images that every store holds."""

    stores: Sequence[FeatureStore]

    def __contains__(self, image: Any) -> bool:
        return all(image in store for store in self.stores)


def _compute(
    joint: Joint,
    images: Iterator[tuple[str, np.ndarray]],
    stores: Sequence[FeatureStore],
    dtype: str,
    hashes: Mapping[str, int],
) -> int:
    """Send images through the backbone into the stores; return their number."""
    computed = 0
    with contextlib.ExitStack() as open_writers:
        writers = [open_writers.enter_context(Writer(store, dtype)) for store in stores]
        for image, parts in joint.run(images):
            for writer, store, maps in zip(writers, stores, parts, strict=True):
                if image not in store:
                    writer.add(image, maps, hashes[image])
            computed += 1
    return computed


def _measure(engine: Engine, contract: Contract) -> EngineFacts:
    """Measure the engine, so that later runs need not open it."""
    images = probe_images(contract.height, contract.width)
    maps, seconds = {}, []
    for run in range(LATENCY_RUNS):
        number = run % len(images)
        start = time.perf_counter()
        ((_, maps[number]),) = engine.run([(None, images[number, None])])
        seconds.append(time.perf_counter() - start)
    facts = {**engine.info.to_dict(), "latency_ms": 1000 * median(seconds)}
    return facts, np.concatenate([maps[number] for number in range(len(images))])


def collect(
    index: ImageIndex,
    stores: Sequence[FeatureStore],
    reader: Reader,
    computed: int,
    facts: Sequence[EngineFacts],
) -> list[Extraction]:
    """Gather what a pass gave for each cut.

    Args:
        index: the images that the reader was to read.
        stores: one for each cut; they hold all images that could be read.
        reader: after the pass.
        computed: number of images that went through the backbone.
        facts: of each store.

    Raises:
        DataError: no image could be read.
    """
    if not reader.digests:
        raise DataError(
            f"No image in '{index.source.location}' can be read, of {len(index):,}. The first: "
            f"{reader.skipped[0].path}: {reader.skipped[0].reason}."
        )
    return [
        _collect(index, store, reader, computed, each)
        for store, each in zip(stores, facts, strict=True)
    ]


def _collect(
    index: ImageIndex, store: FeatureStore, reader: Reader, computed: int, noted: EngineFacts
) -> Extraction:
    rows = np.array(sorted(reader.digests), dtype=np.int64)
    images = tuple(reader.digests[row] for row in rows)
    facts, probe = noted
    unread = np.setdiff1d(np.arange(len(index)), rows)  # in the order of what the reader skipped
    skipped = [
        replace(each, label=index.targets.label(row))
        for each, row in zip(reader.skipped, unread, strict=True)
    ]
    return Extraction(
        index.subset(rows, skipped),
        store.maps(images),
        images,
        store.hashes(images),
        computed,
        len(rows) - computed,
        EngineInfo.from_dict({k: v for k, v in facts.items() if k != "latency_ms"}),
        facts["latency_ms"],
        probe,
    )
