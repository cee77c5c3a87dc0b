"""A head with its weights, in terms of the feature map itself: what a classifier is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headfit.features.store import FeatureMaps
from headfit.fitting.logistic import softmax
from headfit.heads.chain import Head


@dataclass(frozen=True)
class FittedHead:
    """A trained head.

    Attributes:
        head: which one.
        shape: value of the pooling's shape parameter, if it has one.
        weights: float32 arrays, kernel (in, out) and bias (out,) of each dense layer in turn, the
            softmax layer last.
    """

    head: Head
    shape: float | None
    weights: tuple[np.ndarray, ...]

    def probabilities(self, maps: np.ndarray) -> np.ndarray:
        """Class probabilities, float64 (n, K), of float32 feature maps (n, H, W, C)."""
        features = self.head.pooling.pool(maps, self.shape)
        if self.head.linear:
            kernel, bias = self.weights
            return softmax((features @ kernel + bias).astype(np.float64))
        # imported here: JAX takes a second, and a study of linear heads needs none of it
        from headfit.fitting import descent  # noqa: PLC0415

        stacked = [weight[None] for weight in self.weights]
        result: np.ndarray = descent.predict(stacked, self.head.body, features)[0]
        return result

    def probabilities_of(self, maps: FeatureMaps) -> np.ndarray:
        """The same for maps in the store, a piece at a time."""
        return np.concatenate([self.probabilities(piece) for _, piece in maps.chunks()])
