"""What gradient descent is given of a head's features, and the way back to raw ones.

Adam's steps do not follow the scale of its inputs, so features come in one scale for all data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headfit.features.store import FeatureMaps
from headfit.fitting.descent.network import unscaled
from headfit.fitting.pooled import PooledFeatures
from headfit.heads.body import Dense
from headfit.heads.chain import Head
from headfit.heads.layers.plain import GAP
from headfit.heads.trained import TrainedPooling

Floats = npt.NDArray[np.float32]
Weights = Sequence[np.ndarray]


@dataclass(frozen=True)
class ScaledMaps:
    """Maps in the store, multiplied by one number as they are read, and shifted.

    Attributes:
        maps: of n images.
        scale: what they are multiplied by.
        shift: float32 (C,), what is then taken from every position, or 0.
    """

    maps: FeatureMaps
    scale: float
    shift: Floats | float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, H, W, C)."""
        return self.maps.shape

    def take(self, rows: npt.NDArray[np.integer]) -> Floats:
        """Give the maps of these images, float32 (m, H, W, C)."""
        maps = np.empty((len(rows), *self.shape[1:]), np.float32)
        for piece, values in self.maps.subset(rows).chunks():
            np.multiply(values, np.float32(self.scale), out=maps[piece])
            maps[piece] -= self.shift
        return maps


@dataclass(frozen=True)
class Inputs:
    """Features in the scale that descent wants, and the way back.

    Attributes:
        x: float32 (n, d), or maps.
        back: turns the weights of a network on ``x`` into those of the same network on raw
            features, or on maps times ``scale``.
        scale: what maps are multiplied by; 1 for vectors.
    """

    x: Floats | ScaledMaps
    back: Callable[[Weights], Weights]
    scale: float = 1.0


def inputs_of(head: Head, pooled: PooledFeatures, shape: float | None) -> Inputs:
    """Prepare the features of a head that is not linear.

    Args:
        head: which one.
        pooled: features of all images.
        shape: of the pooling.
    """
    if head.trained is not None:
        return _map_inputs(head, head.trained, pooled)
    starts_dense = isinstance(head.body[0], Dense)
    if head.pooling.tau(shape) is not None and starts_dense:
        # a dense layer sees its input only through inner products: n coordinates say it all
        coordinates = pooled.coordinates(head.pooling, shape)
        turn = _turn(coordinates.z.shape[1])
        x = (coordinates.z @ turn).astype(np.float32)
        return Inputs(
            x,
            lambda weights: (*coordinates.to_features(turn @ weights[0], weights[1]), *weights[2:]),
        )
    features = pooled.features(head.pooling, shape)
    mean = features.mean(axis=0, dtype=np.float64)
    if not starts_dense:
        # dropout sets raw features to zero, which a shift would turn into something else
        mean = np.zeros_like(mean)
    scale = float(np.sqrt(np.mean(np.square(features - mean)))) or 1.0
    x = ((features - mean) / scale).astype(np.float32)
    return Inputs(x, lambda weights: unscaled(head.body, weights, mean, 1.0 / scale))


def _map_inputs(head: Head, pooling: TrainedPooling, pooled: PooledFeatures) -> Inputs:
    """Scale the maps, and centre their channels where the way back is a change of the bias.

    Adam steps alike in all directions, so what all positions have in common would shake the logits
    at every step.
    """
    averages = pooled.features(GAP, None)
    scale = pooled.map_scale if pooling.scaled else 1.0
    if not pooling.shifts:
        return Inputs(ScaledMaps(pooled.maps, scale), lambda weights: weights, scale)
    shift = (averages.mean(axis=0, dtype=np.float64) * scale).astype(np.float32)
    arrays = len(pooling.weights(pooled.maps.shape[1:], 2))

    def back(weights: Weights) -> Weights:
        pooling_weights, rest = weights[:arrays], weights[arrays:]
        (common,) = pooling.forward(np, shift[None, None], pooling_weights)
        if head.readout:
            return *pooling_weights, rest[0] - common
        return *pooling_weights, *unscaled(head.body, rest, common, 1.0)

    return Inputs(ScaledMaps(pooled.maps, scale, shift), back, scale)


def _turn(rank: int) -> np.ndarray:
    """A random rotation, float64 (rank, rank), scaled so that features of mean variance 1 result.

    Adam gives every input the same say. In principal axes that makes the noise of the last axis as
    loud as the signal of the first (log-loss 1.16 on 688 photographs of digits); turned at random,
    all inputs are alike, as features are (0.28).
    """
    normal = np.random.default_rng(0).standard_normal((rank, rank))
    rotation, _ = np.linalg.qr(normal)
    result: np.ndarray = rotation * np.sqrt(rank)
    return result
