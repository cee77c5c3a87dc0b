"""Spatial pyramid pooling: averages over the map, its quarters and its sixteenths.

v = concat over b = 1, 2, 4 of the b×b cell averages, float (n, H, W, C) → (n, 21C): first the 1×1
cell, then the 2×2 row by row, then the 4×4, the C features of a cell side by side. There are no
trainable parameters, so a head for K classes has 21CK weights and K biases. Source: He 2014, with
averages instead of maxima, so that its first C features are gap.

Cell i of b along a side of length H spans ⌊iH/b⌋ to ⌈(i+1)H/b⌉: if b does not divide the side,
cells share a row, and none is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from headfit.heads.pooling import MapShape, Pooling, Vectors

LEVELS = (1, 2, 4)
CELLS = sum(b * b for b in LEVELS)


@lru_cache(maxsize=32)
def cells(height: int, width: int) -> tuple[tuple[slice, slice], ...]:
    """List the rows and columns of each of the 21 cells, in the order of the output."""
    sides = [(_bounds(height, b), _bounds(width, b)) for b in LEVELS]
    return tuple((row, column) for rows, columns in sides for row in rows for column in columns)


@lru_cache(maxsize=32)
def cell_matrix(height: int, width: int) -> Vectors:
    """Write the averages as one matrix, so that in a graph pooling is one product.

    Returns:
        float32 (21, H·W), read-only; row = cell, column = position, each row sums to 1.
    """
    matrix = np.zeros((CELLS, height, width), np.float32)
    for weights, cell in zip(matrix, cells(height, width), strict=True):
        weights[cell] = 1 / weights[cell].size
    matrix.flags.writeable = False
    return matrix.reshape(CELLS, height * width)


def _bounds(length: int, count: int) -> list[slice]:
    ends = [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
    return [slice(start, stop) for start, stop in ends]


@dataclass(frozen=True)
class SpatialPyramid(Pooling):
    """The averages of 1 + 4 + 16 cells."""

    def _width(self, map_shape: MapShape) -> int:
        return CELLS * map_shape[2]

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        n, height, width, channels = maps.shape
        averages = np.empty((n, CELLS, channels), np.float32)
        # Slices, not the matrix: n small products are a hundred times slower in numpy.
        for number, (rows, columns) in enumerate(cells(height, width)):
            np.mean(maps[:, rows, columns], axis=(1, 2), out=averages[:, number])
        return averages.reshape(n, CELLS * channels)


SPATIAL_PYRAMID = SpatialPyramid(
    "spp",
    "concat of the cell means on 1×1, 2×2, 4×4",
    "He 2014",
    position_aware=True,
    min_side=max(LEVELS),
)
