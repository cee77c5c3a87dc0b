"""SimPool: attention whose query is the average of the image.

v = Σ_p a_p N_p with N = LN(F), normalised over the channels at each position, times g plus b, and a
= softmax_p(⟨W_q F̄, W_k N_p⟩/C²) with F̄ = mean_p F_p; float (n, H, W, C) → (n, C). W_q and W_k are
C×C, g and b have C numbers each, so a head for K classes has 2C² + 2C + CK weights and K biases.
Source: Psomas 2023, as in the authors' code, which normalises keys and values alike.

The exponent γ on the values is omitted: it needs non-negative values, and the source subtracts the
minimum over the whole batch, so that the scores of an image would depend on its neighbours. The
keys are never computed: ⟨W_q F̄, W_k N_p⟩ = ⟨W_kᵀ W_q F̄, N_p⟩, 2C² multiplications an image
instead of PC². W_k starts at 0, so that all positions count alike at first.

In the source the product has 1/√C and the numbers in W_q and W_k are about 1/√C. Here these are
about 1 and the reach of W_k has another 1/√C: see ``attention.py`` (held-out log-loss there: 0.32,
and 0.99 with √C).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from headfit.heads.pooling import Floats, MapShape
from headfit.heads.trained import Array, Sample, Shapes, TrainedPooling, softmax

EPSILON = 1e-6  # added to the variance over the channels, as in the source


@dataclass(frozen=True)
class SimPool(TrainedPooling):
    """The mean over all positions, weighted by how each relates to the plain mean."""

    arrays: ClassVar[Mapping[str, bool]] = {
        "query": True,
        "key": True,
        "gain": False,
        "offset": False,
    }

    def forward(self, xp: Any, maps: Array, weights: Sequence[Array]) -> Array:
        """Pool maps (n, P, C) with W_q, W_k (C, C), output by input, g and b (C,) to (n, C)."""
        query, key, gain, offset = weights
        centred = maps - xp.mean(maps, axis=2, keepdims=True)
        variance = xp.mean(xp.square(centred), axis=2, keepdims=True)
        # a product: OpenVINO does not fuse a quotient
        normal = centred * (1 / xp.sqrt(variance + EPSILON))
        queries = xp.matmul(xp.mean(maps, axis=1), xp.transpose(query))
        # b adds the same to the score of every position, which does not change the softmax
        directions = xp.matmul(queries, key) * (gain * maps.shape[-1] ** -2.0)
        shares = softmax(xp, xp.einsum("npc,nc->np", normal, directions), axis=1)
        return xp.einsum("np,npc->nc", shares, normal) * gain + offset

    def _width(self, map_shape: MapShape) -> int:
        return map_shape[2]

    def _shapes(self, map_shape: MapShape, classes: int) -> Shapes:
        channels = map_shape[2]
        return (channels, channels), (channels, channels), (channels,), (channels,)

    def _initial(
        self, shapes: Shapes, rng: np.random.Generator, sample: Sample | None
    ) -> Sequence[Floats]:
        square, key, gain, offset = shapes
        query = rng.standard_normal(square, dtype=np.float32)
        return query, np.zeros(key), np.ones(gain), np.zeros(offset)


SIMPOOL = SimPool(
    "simpool", "Σ_p a_p LN(F_p), a = softmax_p(⟨W_q F̄, W_k LN(F_p)⟩/C²)", "Psomas 2023"
)
