"""Average and maximum side by side, in plain Keras layers.

v = concat(mean_p F_p, max_p F_p), float (n, H, W, C) → (n, 2C); nothing trainable, so K classes
cost 2CK weights and K biases. Source: fastai's AdaptiveConcatPool2d; the average comes first here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headfit.heads.pooling import MapShape, Pooling, Tensor, Vectors


@dataclass(frozen=True)
class AvgMax(Pooling):
    """gap's C features, then gmp's."""

    def _width(self, map_shape: MapShape) -> int:
        return 2 * map_shape[2]

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        halves = maps.mean(axis=(1, 2), dtype=np.float32), maps.max(axis=(1, 2))
        return np.concatenate(halves, axis=1)

    def _layer(self, x: Tensor, shape: float, name: str, data_format: str) -> Tensor:
        from keras import layers  # noqa: PLC0415  (heavy)

        average = layers.GlobalAveragePooling2D(data_format, name=f"{name}_avg")(x)
        maximum = layers.GlobalMaxPooling2D(data_format, name=f"{name}_max")(x)
        return layers.Concatenate(name=name)([average, maximum])


AVGMAX = AvgMax("avgmax", "concat(mean_p F_p, max_p F_p)", "fastai's AdaptiveConcatPool2d")
