"""Flatten: every feature at every position.

v = all F_p in row-major order (H, then W, then C), float (n, H, W, C) → (n, HWC); no trainable
parameters, so a head for K classes has HWCK weights and K biases. Source: the tops of AlexNet and
VGG.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from headfit.heads.pooling import MapShape, Pooling, Vectors


@dataclass(frozen=True)
class Flatten(Pooling):
    """The whole map as one vector."""

    def tau(self, shape: float | None) -> float:
        """Give 0: no prior draws positions together."""
        return 0.0

    def _width(self, map_shape: MapShape) -> int:
        return math.prod(map_shape)

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        return maps.reshape(len(maps), -1)


FLATTEN = Flatten(
    "flatten", "concat_p F_p, row by row", "the tops of AlexNet and VGG", position_aware=True
)
