"""A head with its weights, in terms of the feature map itself, as a classifier uses it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from headfit.features.store import FeatureMaps
from headfit.fitting.kinds import KINDS
from headfit.heads.chain import Head
from headfit.heads.pooling import MapShape
from headfit.images.targets import CLASS


@dataclass(frozen=True)
class FittedHead:
    """A trained head.

    Attributes:
        head: which one.
        shape: value of the pooling's shape parameter, if it has one.
        weights: float32 arrays of each layer in turn: the pooling's if it has any to train, kernel
            (in, out) and bias (out,) of a dense layer, γ, β, mean and variance of a batch
            normalisation; the softmax layer last.
        scale: what the maps are multiplied by first.
        kind: of the targets that it predicts.
        layers: weights of the layers of the backbone that were trained with it, by name, in the
            order of Keras' ``get_weights``; None for a frozen backbone. The head's maps are then
            those of the trained backbone.
    """

    head: Head
    shape: float | None
    weights: tuple[np.ndarray, ...]
    scale: float = 1.0
    kind: str = CLASS
    layers: Mapping[str, Sequence[np.ndarray]] | None = None

    def probabilities(self, maps: np.ndarray) -> np.ndarray:
        """Class probabilities, float64 (n, K), of float32 feature maps (n, H, W, C)."""
        link = KINDS[self.kind].link
        if self.head.linear:
            kernel, bias = self.weights
            features = self.head.pooling.pool(maps, self.shape)
            return link((features @ kernel + bias).astype(np.float64))
        # imported here: JAX takes a second, and a study of linear heads needs none of it
        from headfit.fitting.descent import training as descent  # noqa: PLC0415

        trained, stacked = self.head.trained, [weight[None] for weight in self.weights]
        if trained is None:
            features = self.head.pooling.pool(maps, self.shape)
        else:
            features = np.asarray(maps, np.float32) * np.float32(self.scale)
        return link(descent.scores(stacked, self.head.body, features, trained)[0])

    def probabilities_of(self, maps: FeatureMaps) -> np.ndarray:
        """Give the same for maps in the store, a piece at a time."""
        return np.concatenate([self.probabilities(piece) for _, piece in maps.chunks()])


def latency_ms(head: Head, map_shape: MapShape, classes: int, runs: int = 5) -> float:
    """Measure the median time of a head for one image, in milliseconds, after a warm-up.

    Weights do not change it, so none have to be trained.
    """
    maps = np.ones((1, *map_shape), np.float32)
    fitted = FittedHead(head, head.pooling.default_shape, _blank(head, map_shape, classes))
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        fitted.probabilities(maps)
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds[1:])


def _blank(head: Head, map_shape: MapShape, classes: int) -> tuple[np.ndarray, ...]:
    if head.linear:
        kernel = np.zeros((head.pooling.width(map_shape), classes), np.float32)
        return kernel, np.zeros(classes, np.float32)
    from headfit.fitting.descent.network import Design  # noqa: PLC0415  (imports JAX)

    trained = head.trained
    inputs = map_shape if trained else (head.pooling.width(map_shape),)
    design = Design(inputs, head.body, classes, trained)
    return tuple(np.zeros(shape, np.float32) for shape in design.shapes)
