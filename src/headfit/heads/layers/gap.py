"""Global average pooling: what is in the image, not where.

v = mean_p F_p, float (n, H, W, C) → (n, C); no trainable parameters, so a head for K classes has CK
weights and K biases. Source: Lin, Chen, Yan 2014.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from headfit.heads.pooling import MapShape, Pooling, Vectors


@dataclass(frozen=True)
class Gap(Pooling):
    """The mean over all positions, channel by channel."""

    def _width(self, map_shape: MapShape) -> int:
        return map_shape[2]

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        return cast(Vectors, maps.mean(axis=(1, 2), dtype=np.float32))


GAP = Gap("gap", "mean_p F_p", "Lin, Chen, Yan 2014")
