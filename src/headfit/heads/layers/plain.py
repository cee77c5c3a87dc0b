"""Poolings without parameters, all of plain Keras layers: average, maximum, both, and Flatten."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np

from headfit.heads.pooling import MapShape, Pooling, Vectors


@dataclass(frozen=True)
class Gap(Pooling):
    """Global average pooling: what is in the image, not where.

    v = mean_p F_p, float (n, H, W, C) → (n, C); no trainable parameters, so a head for K classes
    has CK weights and K biases. Source: Lin, Chen, Yan 2014.
    """

    def _width(self, map_shape: MapShape) -> int:
        return map_shape[2]

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        return cast(Vectors, maps.mean(axis=(1, 2), dtype=np.float32))


GAP = Gap("gap", "mean_p F_p", "Lin, Chen, Yan 2014")


@dataclass(frozen=True)
class Gmp(Pooling):
    """Global max pooling: the strongest response of each feature, wherever it is.

    v = max_p F_p, float (n, H, W, C) → (n, C); no trainable parameters, so a head for K classes has
    CK weights and K biases. The counterpart of gap, Lin, Chen, Yan 2014.
    """

    def _width(self, map_shape: MapShape) -> int:
        return map_shape[2]

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        return cast(Vectors, maps.max(axis=(1, 2)))


GMP = Gmp("gmp", "max_p F_p", "the counterpart of gap, Lin, Chen, Yan 2014")


@dataclass(frozen=True)
class AvgMax(Pooling):
    """Average and maximum side by side, in plain Keras layers.

    v = concat(mean_p F_p, max_p F_p), float (n, H, W, C) → (n, 2C); no trainable parameters, so a
    head for K classes has 2CK weights and K biases. Source: fastai's AdaptiveConcatPool2d, which
    puts the maximum first.
    """

    def _width(self, map_shape: MapShape) -> int:
        return 2 * map_shape[2]

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        halves = maps.mean(axis=(1, 2), dtype=np.float32), maps.max(axis=(1, 2))
        return np.concatenate(halves, axis=1)


AVGMAX = AvgMax("avgmax", "concat(mean_p F_p, max_p F_p)", "fastai's AdaptiveConcatPool2d")


@dataclass(frozen=True)
class Flatten(Pooling):
    """Flatten: every feature at every position.

    v = all F_p in row-major order (H, then W, then C), float (n, H, W, C) → (n, HWC); no trainable
    parameters, so a head for K classes has HWCK weights and K biases. Source: the tops of AlexNet
    and VGG.
    """

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


@dataclass(frozen=True)
class MultiLayer(Gap):
    """Averages of several layers side by side: simple features beside those of the backbone's end.

    v = concat_l mean_p F_p^l over layers l of C_l channels, float (n, ΣC_l); no trainable
    parameters, so a head for K classes has KΣC_l weights and K biases. The backbone itself joins
    the averages to one map of 1 × 1 positions (see ``headfit.backbones.cut``), of which this is the
    only position; on the map of one layer it equals gap. Source: Evci 2022 (Head2Toe), without its
    selection by group lasso: the penalty is L2 as for every head.
    """


MULTI_LAYER = MultiLayer(
    "multi_layer", "concat over layers of mean_p F_p", "Evci 2022 (Head2Toe)", several_layers=True
)
