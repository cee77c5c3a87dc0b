"""Attention pooling: one trained query weights the positions.

v = Σ_p a_p F_p with a = softmax_p(⟨q, F_p⟩/C), float (n, H, W, C) → (n, C). The query q has C
trainable numbers, so a head for K classes has C + CK weights and K biases. Source: the attention
pooling of Ilse 2018, with the scaled product of Vaswani 2017 instead of their small network: the
features of a pretrained backbone are compared with q directly. q starts at 0, which is exactly gap,
and weight decay draws it back there.

The product is divided by C, not by the usual √C. A step of Adam changes all C numbers of q by about
the same amount, so with √C a few steps decide which position counts, before anything is learnt.
Held-out log-loss on 400 hands showing 10 digits, MobileNet, learning rate 3e-3: 0.33 with C, 0.43
with √C.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from headfit.heads.pooling import Floats, MapShape
from headfit.heads.trained import Array, Sample, Shapes, TrainedPooling, softmax


@dataclass(frozen=True)
class Attention(TrainedPooling):
    """The average over all positions, weighted by how well each matches the query."""

    arrays: ClassVar[Mapping[str, bool]] = {"query": True}
    shifts: ClassVar[bool] = True

    def forward(self, xp: Any, maps: Array, weights: Sequence[Array]) -> Array:
        """Pool maps (n, P, C) with q (C,) to (n, C)."""
        (query,) = weights
        shares = softmax(xp, xp.matmul(maps, query / maps.shape[-1]), axis=1)
        return xp.einsum("np,npc->nc", shares, maps)

    def _width(self, map_shape: MapShape) -> int:
        return map_shape[2]

    def _shapes(self, map_shape: MapShape, classes: int) -> Shapes:
        return [(map_shape[2],)]

    def _initial(
        self, shapes: Shapes, rng: np.random.Generator, sample: Sample | None
    ) -> Sequence[Floats]:
        return [np.zeros(shape, np.float32) for shape in shapes]


ATTENTION = Attention("attention", "Σ_p a_p F_p, a = softmax_p(⟨q, F_p⟩/C)", "Ilse 2018")
