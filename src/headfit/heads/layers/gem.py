"""Generalised-mean pooling: between the average (p = 1) and the maximum (p → ∞).

v = (mean_p max(F_p, ε)^p)^(1/p), float (n, H, W, C) → (n, C); one trainable number, the exponent p,
so a head for K classes has CK + 1 weights and K biases. Source: Radenović 2018, p₀ = 3, ε = 1e-6.

Clamping at ε would destroy negative features, so maps with negative values are rejected. It would
also destroy features that are all smaller: where no feature of an image exceeds 1, ε is a millionth
of the largest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from headfit.heads.pooling import Floats, ShapedPooling, Vectors

EPSILON = 1e-6
LEAST = 1e-37  # of ε: float32 has no normal number far below
LEAST_P = 1e-3  # with less, 1/p is useless in float32


@dataclass(frozen=True)
class Gem(ShapedPooling):
    """The p-th root of the mean p-th power over all positions, channel by channel."""

    shape_argument: ClassVar[str] = "p0"

    def _pool_all(self, maps: Vectors, shapes: Sequence[float]) -> Iterable[Vectors]:
        # (mean x^p)^(1/p) = m·(mean (x/m)^p)^(1/p): with m the maximum no power can overflow, and
        # the mean is at least 1/P.
        largest = maps.max(axis=(1, 2), keepdims=True)
        least = floor(largest.max(axis=3, keepdims=True))
        largest = np.maximum(largest, least)
        clamped = np.maximum(maps, least)
        clamped /= largest
        powers = {1: clamped}
        for shape in shapes:
            p = max(shape, LEAST_P)
            raised = _power(powers, p)
            mean = raised.mean(axis=(1, 2), dtype=np.float32)
            yield cast(Vectors, largest[:, 0, 0] * mean ** np.float32(1 / p))


def floor(largest: Floats) -> Floats:
    """Give what the features of an image are clamped at, by the largest of them."""
    least = np.float32(EPSILON) * np.minimum(largest, np.float32(1))
    return cast(Floats, np.maximum(least, np.float32(LEAST)))


def _power(powers: dict[int, Vectors], p: float) -> Vectors:
    """Give x^p; integer exponents by multiplication, many times faster than a general power.

    Args:
        powers: x^1 and powers computed before; intermediate powers are added.
        p: > 0.
    """
    if p > 8 or not p.is_integer():
        return cast(Vectors, powers[1] ** np.float32(p))
    if p not in powers:
        half, odd = divmod(int(p), 2)
        powers[int(p)] = (
            _power(powers, p - 1) * powers[1] if odd else np.square(_power(powers, float(half)))
        )
    return powers[int(p)]


GEM = Gem(
    "gem",
    "(mean_p max(F_p, ε)^p)^(1/p)",
    "Radenović 2018",
    shapes=(1.0, 2.0, 3.0, 4.0, 6.0),
    default_shape=3.0,
    nonnegative=True,
)
