"""Images to pixels, ahead of the engine; those whose feature maps are stored are not decoded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Generator, Sequence
from dataclasses import dataclass

import numpy as np

from headfit.errors import ImageError
from headfit.images.contract import Contract
from headfit.images.decode import decode
from headfit.images.phash import perceptual_hash
from headfit.images.read_ahead import ReadAhead
from headfit.images.sources.source import Skipped
from headfit.progress import Callback
from headfit.util import digests

SAMPLED = 200  # images that are looked up to estimate what all of them lack


@dataclass(frozen=True, slots=True)
class _Read:
    """One image: the digest of its file and, unless its map is stored, its pixels and hash."""

    digest: str
    pixels: np.ndarray | None = None
    hash: int = 0


class Reader:
    """Reads images in order.

    Args:
        names: the name of each image.
        read: returns the content of an image's file, by its row.
        contract: how they are decoded.
        stored: holds the digests of images that need not be decoded.
        callback: is told the progress.

    Attributes:
        digests: the digest of each image that could be read, by its row.
        skipped: the others.
        hashes: the perceptual hash of each image that was decoded, by its digest.
    """

    def __init__(
        self,
        names: Sequence[str],
        read: Callable[[int], bytes],
        contract: Contract,
        stored: Container[str],
        callback: Callback | None = None,
    ) -> None:
        self.digests: dict[int, str] = {}
        self.skipped: list[Skipped] = []
        self.hashes: dict[str, int] = {}
        self._names, self._read = names, read
        self._contract, self._stored = contract, stored
        self._callback = callback or Callback()

    def images(self) -> Generator[tuple[str, np.ndarray]]:
        """Yield (digest, pixels uint8 (1, h, w, 3)) of images that are not stored, each once."""
        rows = iter(ReadAhead(range(len(self._names)), self._read, self._decode))
        try:
            for row, read in rows:
                if isinstance(read, ImageError):
                    self.skipped.append(Skipped(self._names[row], str(read)))
                else:
                    self.digests[row] = read.digest
                self._callback.on_progress(row + 1, skipped=len(self.skipped))
                if isinstance(read, ImageError) or read.pixels is None:
                    continue
                if read.digest not in self.hashes:
                    self.hashes[read.digest] = read.hash
                    yield read.digest, read.pixels[None]
        finally:
            rows.close()

    def _decode(self, data: bytes) -> _Read:
        digest = digests.of_bytes(data)
        if digest in self._stored:
            return _Read(digest)
        contract = self._contract
        pixels = decode(data, contract.height, contract.width, contract.depth)
        return _Read(digest, pixels, perceptual_hash(pixels))


def sample_digests(count: int, read: Callable[[int], bytes]) -> list[str]:
    """Digest some images, evenly spread over all, to estimate how many are stored.

    Args:
        count: number of images.
        read: returns the content of an image's file, by its row.

    Returns:
        The digests of those that can be read.
    """
    sampled = []
    for row in range(0, count, max(1, count // SAMPLED)):
        with contextlib.suppress(ImageError):
            sampled.append(digests.of_bytes(read(row)))
    return sampled
