"""Feature maps on disk: appended in blocks, each whole and verified, read by memory map.

A store is a folder of blocks. A block is ``NAME.npy``, one map a row, and ``NAME.json``: the digest
and the perceptual hash of the image of each row, and a digest of everything. The JSON is written
last, so a block without one does not exist; a block that does not match its JSON is removed.
Several processes may append at once.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from headfit.backbones.catalog import BackboneSpec
from headfit.backbones.engines.interface import FLOAT32, INT8
from headfit.backbones.weights import weights_identity
from headfit.features.half import to_float32
from headfit.images.contract import Contract
from headfit.util import digests, files
from headfit.util.cache import FEATURES
from headfit.util.records import DAMAGE

DTYPES = ("float16", "float32")
CHUNK_BYTES = 128 * 1024**2
EngineFacts = tuple[dict[str, Any], np.ndarray]


class FeatureStore:
    """The feature maps of one backbone, contract and weights.

    Args:
        folder: of the blocks; created by the first append.

    Attributes:
        damaged: names of damaged blocks, which are removed, or left out if they cannot be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[str] = []
        self._blocks: list[np.ndarray] = []
        self._places: dict[str, tuple[int, int]] = {}  # block and row of each image
        self._hashes: dict[str, int] = {}
        for record in sorted(folder.glob("block-*.json")):
            self._open_block(record)

    def __contains__(self, image: str) -> bool:
        return image in self._places

    def __len__(self) -> int:
        return len(self._places)

    def read_facts(self) -> EngineFacts | None:
        """Return what :meth:`write_facts` stored; None if there is nothing or it is damaged."""
        return facts_in(self.folder)

    def write_facts(self, facts: dict[str, Any], probe: np.ndarray) -> None:
        """Store facts about the engine and its maps of the probe images, float32 (2, H, W, C)."""
        header, data = _npy(probe)
        digest = digests.of_parts((header, data))
        # named by its content, so that facts and maps of two processes cannot be mixed up
        _write(self.folder / f"probe-{digest}.npy", (header, data))
        files.write_json(self.folder / "facts.json", {"facts": facts, "probe": digest})

    def append(
        self, images: Sequence[str], rows: np.ndarray, hashes: Sequence[int] | None = None
    ) -> None:
        """Add a block, whole or not at all.

        Args:
            images: digests of n images.
            rows: their feature maps, float16 or float32 (n, H, W, C), finite; stored as they are.
            hashes: their perceptual hashes, 64 bits each.

        Raises:
            WriteError: if the disk is full or read-only.
        """
        path = self.folder / f"block-{uuid.uuid4().hex}.npy"
        parts = _npy(rows)
        _write(path, parts)
        try:
            record = _record(images, hashes)
            record["digest"] = _digest(record, digests.of_parts(parts))
            files.write_json(path.with_suffix(".json"), record)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._add(path, record)

    def hashes(self, images: Sequence[str]) -> np.ndarray:
        """Return the perceptual hashes of images, uint64 (n,).

        Args:
            images: digests of images that are in the store with a hash.
        """
        return np.array([self._hashes[image] for image in images], np.uint64)

    def maps(self, images: Sequence[str]) -> FeatureMaps:
        """Return the maps of images, in this order.

        Args:
            images: digests of images that are in the store.
        """
        places = np.array([self._places[image] for image in images], np.intp).reshape(-1, 2)
        return FeatureMaps(tuple(self._blocks), places)

    def _open_block(self, record: Path) -> None:
        path = record.with_suffix(".npy")
        try:
            content = _whole(record)
        except OSError:  # it cannot be read now, which tells nothing about its content
            self.damaged.append(path.stem)
            return
        if content is not None:
            self._add(path, content)
            return
        self.damaged.append(path.stem)
        for file in (record, path):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)

    def _add(self, path: Path, record: dict[str, Any]) -> None:
        block, images = len(self._blocks), record["images"]
        self._blocks.append(np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray))
        self._places.update({image: (block, row) for row, image in enumerate(images)})
        if record["hashes"] is not None:
            hashes = (int(text, 16) for text in record["hashes"])
            self._hashes.update(zip(images, hashes, strict=True))


def damage(folder: Path) -> list[str]:
    """List the damaged blocks of a store, without removing them."""
    damaged = []
    for record in sorted(folder.glob("block-*.json")):
        try:
            whole = _whole(record) is not None
        except OSError:
            whole = False
        damaged += [] if whole else [record.with_suffix(".npy").name]
    if (folder / "facts.json").exists() and facts_in(folder) is None:
        damaged.append("facts.json")
    return damaged


def _whole(record: Path) -> dict[str, Any] | None:
    """Read the record of a block; None if it does not match the block's rows.

    Raises:
        OSError: a file exists but cannot be read.
    """
    try:
        content: dict[str, Any] = json.loads(record.read_text("utf-8"))
        # before numpy reads it: a damaged header must not be trusted
        rows = digests.of_file(record.with_suffix(".npy"))
        return content if _digest(content, rows) == content["digest"] else None
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return None


def facts_in(folder: Path) -> EngineFacts | None:
    """Return the facts that a folder stores; None if there are none or they are damaged."""
    try:
        record = json.loads((folder / "facts.json").read_text("utf-8"))
        path = folder / f"probe-{record['probe']}.npy"
        if digests.of_file(path) != record["probe"]:
            return None
        return record["facts"], np.load(path, allow_pickle=False)
    except DAMAGE:
        return None


def _npy(array: np.ndarray) -> tuple[memoryview, memoryview]:
    """Return the content of a ``.npy`` file: its header, and the memory of the array."""
    array = np.ascontiguousarray(array)
    header = io.BytesIO()
    npy.write_array_header_1_0(header, npy.header_data_from_array_1_0(array))
    return header.getbuffer(), array.reshape(-1).view(np.uint8).data


def _write(path: Path, parts: Iterable[memoryview]) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            stream.writelines(parts)

    files.write_file(path, write)


def _record(images: Sequence[str], hashes: Sequence[int] | None) -> dict[str, Any]:
    # as text: other readers of JSON lose digits of whole numbers above 2⁵³
    texts = None if hashes is None else [f"{number:016x}" for number in hashes]
    return {"images": list(images), "hashes": texts}


def _digest(record: dict[str, Any], rows: str) -> str:
    """Digest a block: the images of its rows, and the digest of the file of rows."""
    return digests.of_data([record["images"], record["hashes"], rows])


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """Feature maps of n images, in order, read from the store when they are needed.

    Attributes:
        blocks: the store's blocks, float16 or float32 (rows, H, W, C).
        places: int (n, 2), the block and the row of each image.
    """

    blocks: tuple[np.ndarray, ...]
    places: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, H, W, C)."""
        height, width, channels = self.blocks[0].shape[1:]
        return len(self), height, width, channels

    def __len__(self) -> int:
        return len(self.places)

    def subset(self, indices: np.ndarray) -> FeatureMaps:
        """Return the maps of some images, in the order of ``indices``, int (m,)."""
        return FeatureMaps(self.blocks, self.places[indices])

    def chunks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield all maps in order in pieces of at most 128 MB.

        Yields:
            The rows of a piece and their maps, float32 (rows, H, W, C).
        """
        n, *shape = self.shape
        size = max(1, CHUNK_BYTES // (4 * math.prod(shape)))
        for start in range(0, n, size):
            rows = slice(start, min(start + size, n))
            yield rows, self._read(rows, ())

    def read(self, images: np.ndarray) -> np.ndarray:
        """Return some maps, float32 (m, H, W, C), in the order of ``images``, int (m,)."""
        return self.subset(images)._read(slice(None), ())

    def equal(self) -> bool:
        """Whether all maps are the same; one that differs is soon found."""
        start, size = 1, 1
        while start < len(self):
            rows = slice(start, start + size)
            if (self._read(rows, ()) != self._read(slice(0, 1), ())).any():
                return False
            start, size = start + size, min(2 * size, 64)
        return len(self) > 1

    def position(self, row: int, column: int) -> np.ndarray:
        """Return the features of all maps at one position, float32 (n, C)."""
        return self._read(slice(None), (row, column))

    def _read(self, rows: slice, at: tuple[int, ...]) -> np.ndarray:
        """Read a part of some maps, a block at a time."""
        blocks, places = self.places[rows].T
        values = np.empty((len(blocks), *self.shape[1 + len(at) :]), np.float32)
        for block in np.unique(blocks):
            here = blocks == block
            stored = self.blocks[block][(places[here], *at)]
            if stored.dtype == np.float32:
                values[here] = stored
            elif here.all():
                to_float32(stored, values)
            else:
                wide = np.empty(stored.shape, np.float32)
                to_float32(stored, wide)
                values[here] = wide
        return values


def feature_key(
    spec: BackboneSpec,
    contract: Contract,
    weights: str,
    *,
    engine: str,
    dtype: str,
    calibration: str = "",
    cut: str = "",
) -> str:
    """Digest everything but the image that a stored feature map depends on.

    Args:
        spec: the backbone.
        contract: size, resizing, decoder and preprocessing.
        weights: ``"imagenet"``, ``"random"`` or a path.
        engine: the chosen engine; engines agree only to about 1e-5.
        dtype: how the maps are stored.
        calibration: digest of the images that int8 was calibrated on; empty for float32.
        cut: the layer that the backbone ends at; empty for its own end.
    """
    return digests.of_data(
        {
            "format": FEATURES.format,
            "backbone": spec.name,
            "weights": weights_identity(spec, weights),
            "contract": contract.to_dict(),
            "engine": engine,
            "dtype": dtype,
            "precision": INT8 if calibration else FLOAT32,
            "calibration": calibration,
            **({"cut": cut} if cut else {}),
        }
    )
