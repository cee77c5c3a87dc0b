"""Pooled features of a whole data set, and the rotated coordinates that linear heads share.

One reading of the stored maps serves all poolings; flatten never leaves the store: it enters as
the Gram matrix of its features.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from headfit.errors import UsageError
from headfit.features.store import FeatureMaps
from headfit.fitting import coordinates
from headfit.fitting.coordinates import Coordinates
from headfit.heads.pooling import Pooling

Key = tuple[str, float | None]
# features of a lossless pooling are kept in memory up to this width
NARROW = 2048


def keys_of(poolings: Iterable[Pooling]) -> list[tuple[Pooling, float | None]]:
    """List each pooling with each value of its shape parameter that is tried."""
    return [(pooling, shape) for pooling in poolings for shape in pooling.shapes or (None,)]


@dataclass
class PooledFeatures:
    """Features of all images under several poolings, each computed when first asked for.

    Args:
        maps: the stored feature maps.
        poolings: those that will be asked for; computed together at the first request.
    """

    maps: FeatureMaps
    poolings: tuple[Pooling, ...]
    _features: dict[Key, np.ndarray] = field(default_factory=dict)
    _coordinates: dict[Key, Coordinates] = field(default_factory=dict)

    def lowest(self) -> float:
        """Give the lowest value in any map; some poolings refuse negative ones."""
        return self._lowest

    @cached_property
    def _lowest(self) -> float:
        return min(float(piece.min()) for _, piece in self.maps.chunks())

    def features(self, pooling: Pooling, shape: float | None) -> np.ndarray:
        """Give the raw features, float32 (n, width), whatever their width."""
        key = (pooling.name, shape)
        if key in self._features:
            return self._features[key]
        together = [p for p in self.poolings if self._narrow(p) and self._suits(p)]
        if pooling not in together:
            return self._pool([(pooling, shape)])[key]
        self._features = self._pool(keys_of(together))
        return self._features[key]

    def coordinates(self, pooling: Pooling, shape: float | None) -> Coordinates:
        """Give the rotated features."""
        key = (pooling.name, shape)
        if key not in self._coordinates:
            self._coordinates[key] = (
                coordinates.of_features(self.features(pooling, shape))
                if self._narrow(pooling)
                else self._by_position()
            )
        return self._coordinates[key]

    def _narrow(self, pooling: Pooling) -> bool:
        _, height, width, channels = self.maps.shape
        # what only rearranges the map has a Gram matrix that is a sum over positions
        return not pooling.lossless or pooling.width((height, width, channels)) <= NARROW

    def _suits(self, pooling: Pooling) -> bool:
        """Whether the maps can be pooled so; what cannot must not stop the others."""
        _, height, width, channels = self.maps.shape
        try:
            pooling.check((height, width, channels))
        except UsageError:
            return False
        return not pooling.nonnegative or self.lowest() >= 0

    def _by_position(self) -> Coordinates:
        _, height, width, _ = self.maps.shape
        positions = (self.maps.position(y, x) for y in range(height) for x in range(width))
        gram, mean = coordinates.position_gram(positions)
        return coordinates.of_gram(gram, mean, self.maps.chunks)

    def _pool(self, wanted: list[tuple[Pooling, float | None]]) -> dict[Key, np.ndarray]:
        """Pool all maps in every way wanted, in one reading of the store."""
        n, height, width, channels = self.maps.shape
        found: dict[Key, np.ndarray] = {}
        for pooling, shape in wanted:
            size = pooling.width((height, width, channels))
            found[pooling.name, shape] = np.empty((n, size), np.float32)
        for rows, piece in self.maps.chunks():
            for pooling, shape in wanted:
                found[pooling.name, shape][rows] = pooling.pool(piece, shape)
        return found
