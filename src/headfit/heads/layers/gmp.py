"""Global max pooling: the strongest response of each feature, wherever it is.

v = max_p F_p, float (n, H, W, C) → (n, C); no trainable parameters, so a head for K classes has CK
weights and K biases. The counterpart of gap, Lin, Chen, Yan 2014.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from headfit.heads.pooling import MapShape, Pooling, Vectors


@dataclass(frozen=True)
class Gmp(Pooling):
    """The maximum over all positions, channel by channel."""

    def _width(self, map_shape: MapShape) -> int:
        return map_shape[2]

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        return cast(Vectors, maps.max(axis=(1, 2)))


GMP = Gmp("gmp", "max_p F_p", "the counterpart of gap, Lin, Chen, Yan 2014")
