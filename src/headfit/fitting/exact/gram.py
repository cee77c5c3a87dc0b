"""Gram matrices of flatten and of gap, which mix to that of every spatial prior between them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from headfit.features.store import FeatureMaps
from headfit.fitting.exact.coordinates import blocks_of, centred_gram

# three matrices of this side squared are held at a time
MOST_IMAGES = 4096


@dataclass(frozen=True)
class Kernels:
    """Centred Gram matrices of n images; of each only the lower triangle is filled.

    Attributes:
        flatten: Σ_p⟨F_p, F'_p⟩, float32 (n, n).
        gap: P⟨F̄, F̄'⟩, float32 (n, n).
        mean: float64 (P, C), the mean over the images at each position.
    """

    flatten: np.ndarray
    gap: np.ndarray
    mean: np.ndarray

    @classmethod
    def of(cls, maps: FeatureMaps) -> Kernels:
        """Sum them up, one position at a time."""
        n, height, width, channels = maps.shape
        averages = np.zeros((n, channels), np.float32)

        def seen() -> Iterator[np.ndarray]:
            for block in positions(maps):
                np.add(averages, block, out=averages)
                yield block

        flatten, mean = centred_gram(seen(), n)
        averages /= np.float32(math.sqrt(height * width))
        gap, _ = centred_gram(blocks_of(averages), n)
        return cls(flatten, gap, mean.reshape(-1, channels))

    def mixed(self, tau: float) -> tuple[np.ndarray, np.ndarray]:
        """Give a spatial prior's Gram matrix and mean, float64 (PC,), in memory of their own."""
        gram = self.flatten * np.float32(1 - tau)
        gram += self.gap * np.float32(tau)
        share = math.sqrt(1 - tau)
        mean = share * self.mean + (1 - share) * self.mean.mean(axis=0)
        return gram, mean.reshape(-1)


def positions(maps: FeatureMaps, tau: float = 0.0) -> Iterator[np.ndarray]:
    """Yield a spatial prior's features of all images, float32 (n, C), position by position."""
    n, height, width, channels = maps.shape
    each = ((y, x) for y in range(height) for x in range(width))
    if tau == 0:
        yield from (maps.position(y, x) for y, x in each)
        return
    averages = np.empty((n, channels), np.float32)
    for rows, piece in maps.chunks():
        averages[rows] = piece.mean(axis=(1, 2))
    share = np.float32(math.sqrt(1 - tau))
    averages *= 1 - share
    yield from (share * maps.position(y, x) + averages for y, x in each)
