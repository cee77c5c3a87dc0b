"""Average and maximum side by side, in plain Keras layers.

v = concat(mean_p F_p, max_p F_p), float (n, H, W, C) → (n, 2C); no trainable parameters, so a head
for K classes has 2CK weights and K biases. Source: fastai's AdaptiveConcatPool2d, which puts the
maximum first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headfit.heads.pooling import MapShape, Pooling, Vectors


@dataclass(frozen=True)
class AvgMax(Pooling):
    """gap's C features, then gmp's."""

    def _width(self, map_shape: MapShape) -> int:
        return 2 * map_shape[2]

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        halves = maps.mean(axis=(1, 2), dtype=np.float32), maps.max(axis=(1, 2))
        return np.concatenate(halves, axis=1)


AVGMAX = AvgMax("avgmax", "concat(mean_p F_p, max_p F_p)", "fastai's AdaptiveConcatPool2d")
