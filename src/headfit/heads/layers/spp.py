"""Spatial pyramid pooling: averages over the map, its quarters and its sixteenths.

v = concat over b = 1, 2, 4 of the b×b cell averages, float (n, H, W, C) → (n, 21C): first the
1×1 cell, then the 2×2 row by row, then the 4×4, the C features of a cell side by side. Nothing
trainable, so K classes cost 21CK weights and K biases. Source: He 2014; averages here, so that
its first C features are gap.

Cell i of b along a side of length H spans ⌊iH/b⌋ to ⌈(i+1)H/b⌉: cells of a side that b does not
divide share a row, none is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np

from headfit.heads.pooling import MapShape, Pooling, Tensor, Vectors

LEVELS = (1, 2, 4)
CELLS = sum(b * b for b in LEVELS)


@lru_cache(maxsize=32)
def cell_matrix(height: int, width: int) -> Vectors:
    """Write the averages as one matrix, so that pooling is a product.

    Returns:
        float32 (21, H·W), read-only; row = cell, column = position, each row sums to 1.
    """
    grids = [np.kron(_side(height, b), _side(width, b)) for b in LEVELS]
    matrix = np.concatenate(grids).astype(np.float32)
    matrix.flags.writeable = False
    return matrix


def _side(length: int, cells: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Weights of the positions of one side in each cell, float64 (cells, length)."""
    weights = np.zeros((cells, length))
    for i in range(cells):
        start, stop = i * length // cells, -(-(i + 1) * length // cells)
        weights[i, start:stop] = 1 / (stop - start)
    return weights


@dataclass(frozen=True)
class SpatialPyramid(Pooling):
    """The averages of 1 + 4 + 16 cells."""

    def _width(self, map_shape: MapShape) -> int:
        return CELLS * map_shape[2]

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        n, height, width, channels = maps.shape
        averages = cell_matrix(height, width) @ maps.reshape(n, height * width, channels)
        return cast(Vectors, averages.reshape(n, CELLS * channels))

    def _layer(self, x: Tensor, shape: float, name: str, data_format: str) -> Tensor:
        from headfit.heads.layers.spp_layer import SPP  # noqa: PLC0415  (imports Keras)

        return SPP(data_format, name=name)(x)


SPATIAL_PYRAMID = SpatialPyramid(
    "spp",
    "concat of the cell means on 1×1, 2×2, 4×4",
    "He 2014",
    position_aware=True,
    min_side=max(LEVELS),
)
