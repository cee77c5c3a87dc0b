"""Feature maps on disk: appended in blocks, each whole and verified, read by memory map.

A store is a folder. A block is ``NAME.npy``, rows of maps, and ``NAME.json``, the digests of the
images that the rows belong to and the digest of the rows. The JSON is written last, so a block
without one, or that does not match it, does not exist. Several processes may append at once.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headfit import digests, files
from headfit.errors import EngineError

FLOAT16_MAX = float(np.finfo(np.float16).max)
CHUNK_BYTES = 128 * 1024**2
Row = tuple[str, int]


class FeatureStore:
    """The feature maps of one backbone, contract and weights.

    Args:
        folder: where the blocks lie; made on the first append.

    Attributes:
        damaged: names of blocks that were found damaged and are ignored.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[str] = []
        self._rows: dict[str, Row] = {}
        self._blocks: dict[str, np.ndarray] = {}
        for record in sorted(folder.glob("block-*.json")):
            self._open_block(record)

    def __contains__(self, image: str) -> bool:
        return image in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def facts(self) -> dict[str, Any] | None:
        """Give what was noted of the engine that filled the store; None for a new store."""
        try:
            facts: dict[str, Any] = json.loads((self.folder / "facts.json").read_text("utf-8"))
            return facts
        except (OSError, ValueError):
            return None

    def note(self, facts: dict[str, Any], probe: np.ndarray) -> None:
        """Note facts about the engine, and its maps of the probe images, float32 (2, H, W, C)."""
        files.write_file(
            self.folder / "probe.npy",
            lambda temporary: np.save(temporary, probe, allow_pickle=False),
        )
        files.write_json(self.folder / "facts.json", facts)

    def probe(self) -> np.ndarray:
        """Give the maps of the probe images that :meth:`note` was given."""
        maps: np.ndarray = np.load(self.folder / "probe.npy", allow_pickle=False)
        return maps

    def append(self, images: Sequence[str], maps: np.ndarray) -> None:
        """Add a block, whole or not at all.

        Args:
            images: digests of n images.
            maps: their feature maps, float32 (n, H, W, C); kept as float16 unless a value
                exceeds its range (65,504).

        Raises:
            EngineError: if a value is not finite: the backbone is broken, not the image.
            WriteError: if the disk is full or read-only.
        """
        if not np.isfinite(maps).all():
            raise EngineError("The backbone gave values that are not finite; check its weights.")
        fits = np.abs(maps).max(initial=0.0) <= FLOAT16_MAX
        rows = np.ascontiguousarray(maps, np.float16 if fits else np.float32)
        name = f"block-{uuid.uuid4().hex}"
        path = self.folder / f"{name}.npy"
        files.write_file(path, lambda temporary: np.save(temporary, rows, allow_pickle=False))
        record = {"images": list(images), "digest": digests.of_bytes(rows.data.cast("B"))}
        files.write_json(self.folder / f"{name}.json", record)
        self._add(name, np.load(path, mmap_mode="r", allow_pickle=False), images)

    def maps(self, images: Sequence[str]) -> FeatureMaps:
        """Give the maps of these images, in this order.

        Args:
            images: digests of images that are in the store.
        """
        return FeatureMaps(self._blocks, [self._rows[image] for image in images])

    def _open_block(self, record: Path) -> None:
        path = record.with_suffix(".npy")
        try:
            noted = json.loads(record.read_text("utf-8"))
            rows = np.load(path, mmap_mode="r", allow_pickle=False)
            whole = digests.of_bytes(rows.data.cast("B")) == noted["digest"]
            images = noted["images"] if whole and len(noted["images"]) == len(rows) else None
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            images = None
        if images is None:
            self.damaged.append(path.stem)
        else:
            self._add(path.stem, rows, images)

    def _add(self, name: str, rows: np.ndarray, images: Sequence[str]) -> None:
        self._blocks[name] = rows
        self._rows.update({image: (name, row) for row, image in enumerate(images)})


@dataclass(frozen=True)
class FeatureMaps:
    """Feature maps of n images, in order, read from the store as they are needed."""

    _blocks: dict[str, np.ndarray]
    _rows: list[Row]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, H, W, C)."""
        height, width, channels = self._blocks[self._rows[0][0]].shape[1:]
        return len(self._rows), height, width, channels

    def __len__(self) -> int:
        return len(self._rows)

    def subset(self, indices: np.ndarray) -> FeatureMaps:
        """Give the maps of some images, in the order of ``indices``, int (m,)."""
        return FeatureMaps(self._blocks, [self._rows[i] for i in indices])

    def chunks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield all maps in order in pieces of at most 128 MB.

        Yields:
            Which rows these are, and their maps, float32 (rows, H, W, C).
        """
        n, *shape = self.shape
        size = max(1, CHUNK_BYTES // (4 * int(np.prod(shape))))
        for start in range(0, n, size):
            rows = self._rows[start : start + size]
            piece = np.empty((len(rows), *shape), np.float32)
            for i, (block, row) in enumerate(rows):
                piece[i] = self._blocks[block][row]
            yield slice(start, start + len(rows)), piece

    def position(self, row: int, column: int) -> np.ndarray:
        """Give what all maps hold at one position, float32 (n, C)."""
        n, _, _, channels = self.shape
        values = np.empty((n, channels), np.float32)
        for i, (block, index) in enumerate(self._rows):
            values[i] = self._blocks[block][index, row, column]
        return values
