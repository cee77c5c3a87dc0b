"""Spatial prior: between the average (τ = 1) and Flatten (τ = 0), with the features of Flatten.

v_p = F̄ + √(1−τ)(F_p − F̄) with F̄ = mean_p F_p, float (n, H, W, C) → (n, HWC); no trainable
parameters, so a head for K classes has HWCK weights and K biases. ⟨v, v'⟩ = (1−τ) Σ_p⟨F_p, F'_p⟩ +
τP⟨F̄, F̄'⟩ for P positions: the kernel P·K_τ, which an L2-penalised linear model on v has. In terms
of its weights the penalty is a Gaussian prior under which the weights of two positions are the more
alike the larger τ is; the separate weights of Flatten and the single weight of gap are its ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from headfit.errors import UsageError
from headfit.heads.pooling import MapShape, Pooling, Vectors

TAUS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)


@dataclass(frozen=True)
class SpatialPrior(Pooling):
    """The whole map, each position drawn towards the mean over all positions."""

    shape_argument: ClassVar[str] = "tau"

    def tau(self, shape: float | None) -> float:
        """Give τ, which is the shape parameter."""
        return self.shape_or_default(shape)

    def shape_or_default(self, shape: float | None) -> float:
        """Give τ; see :meth:`Pooling.shape_or_default`."""
        value = super().shape_or_default(shape)
        if value > 1:
            raise UsageError.invalid("shape", value, f"at most 1, the τ of head '{self.name}'")
        return value

    def _width(self, map_shape: MapShape) -> int:
        return math.prod(map_shape)

    def _pool(self, maps: Vectors, shape: float) -> Vectors:
        share = np.float32(math.sqrt(1 - shape))
        shrunk = maps * share
        shrunk += (1 - share) * maps.mean(axis=(1, 2), keepdims=True)
        return shrunk.reshape(len(maps), -1)


SPATIAL_PRIOR = SpatialPrior(
    "spatial_prior",
    "concat_p F̄ + √(1−τ)(F_p − F̄)",
    "flatten with a prior that draws positions together",
    position_aware=True,
    shapes=TAUS,
    default_shape=0.5,
)
