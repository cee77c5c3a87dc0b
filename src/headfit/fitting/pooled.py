"""Pooled features of a whole data set, and the rotated coordinates that linear heads share.

One reading of the stored maps serves many poolings; flatten never leaves the store: it enters as
the Gram matrix of its features.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from headfit.errors import UsageError
from headfit.features.store import FeatureMaps
from headfit.fitting.exact import coordinates
from headfit.fitting.exact import gram as kernels
from headfit.fitting.exact.coordinates import Coordinates
from headfit.fitting.exact.gram import Kernels
from headfit.fitting.threads import in_threads
from headfit.heads.layers.plain import GAP
from headfit.heads.pooling import Pooling
from headfit.heads.trained import TrainedPooling

Key = tuple[str, float | None]
# features that flatten and gap can stand for are kept in memory up to this width
NARROW = 2048
# pooled features in memory at a time, and coordinates
FEATURE_BYTES = 512 * 1024**2
COORDINATE_BYTES = 1024**3
# images that a thread reads and pools together
IMAGES_TOGETHER = 64


def keys_of(poolings: Iterable[Pooling]) -> list[tuple[Pooling, float | None]]:
    """List each pooling with each value of its shape parameter that is tried."""
    return [(pooling, shape) for pooling in poolings for shape in pooling.shapes or (None,)]


@dataclass
class PooledFeatures:
    """Features of all images under several poolings, each computed on first use.

    Memory is bounded: what was not used lately is dropped, and computed again when needed.

    Args:
        maps: the stored feature maps.
        poolings: those that will be used, in this order; as many as fit in memory are computed in
            one reading of the store. Poolings with trainable weights take the maps instead.
    """

    maps: FeatureMaps
    poolings: tuple[Pooling, ...]
    _features: dict[Key, np.ndarray] = field(default_factory=dict)
    _coordinates: dict[Key, Coordinates] = field(default_factory=dict)

    def release(self) -> None:
        """Free the memory; whatever is asked for again is computed again."""
        self._features.clear()
        self._coordinates.clear()
        self.__dict__.pop("_kernels", None)

    def lowest(self) -> float:
        """Give the lowest value in any map; some poolings refuse negative ones."""
        return self._lowest

    @cached_property
    def _lowest(self) -> float:
        return min(float(piece.min()) for _, piece in self.maps.chunks())

    @cached_property
    def map_scale(self) -> float:
        """What maps are multiplied by so that their averages over positions have variance 1.

        The mean over channels of the variance over images is meant; 1 if all are the same.
        """
        averages = self.features(GAP, None)
        return 1.0 / (float(np.sqrt(averages.var(axis=0, dtype=np.float64).mean())) or 1.0)

    def features(self, pooling: Pooling, shape: float | None) -> np.ndarray:
        """Give the raw features, float32 (n, width), whatever their width."""
        key = (pooling.name, shape)
        if key not in self._features:
            wanted = self._together(pooling, shape)
            self._features.clear()  # before others take their place
            self._features.update(self._pool(wanted))
        return self._features[key]

    def grams(
        self, pooling: Pooling, shapes: Sequence[float | None], images: np.ndarray
    ) -> list[np.ndarray]:
        """Give the Gram matrices of some images, centred over them.

        Args:
            pooling: any.
            shapes: of the pooling.
            images: int (m,).

        Returns:
            For each shape float32 (m, m), only its lower triangle filled.
        """
        taus = [pooling.tau(shape) for shape in shapes]
        if not self._narrow(pooling):
            whole = len(images) == len(self.maps)
            kernel = self._kernels if whole else Kernels.of(self.maps.subset(images))
            return [kernel.mixed(tau)[0] for tau in taus if tau is not None]
        features = (self.features(pooling, shape)[images] for shape in shapes)
        blocks = map(coordinates.blocks_of, features)
        return [coordinates.centred_gram(block, len(images))[0] for block in blocks]

    @cached_property
    def _kernels(self) -> Kernels:
        return Kernels.of(self.maps)

    def coordinates(self, pooling: Pooling, shape: float | None) -> Coordinates:
        """Give the rotated features."""
        key = (pooling.name, shape)
        rotated = self._coordinates.pop(key, None)
        if rotated is None:
            self._forget(4 * len(self.maps) ** 2)
            rotated = self._rotated(pooling, shape)
        self._coordinates[key] = rotated  # the last used comes last
        return rotated

    def _forget(self, needed: int) -> None:
        """Make room for so many bytes of coordinates."""
        while self._coordinates:
            held = sum(each.z.nbytes for each in self._coordinates.values())
            if held + needed <= COORDINATE_BYTES:
                return
            del self._coordinates[next(iter(self._coordinates))]

    def _rotated(self, pooling: Pooling, shape: float | None) -> Coordinates:
        n, tau = len(self.maps), pooling.tau(shape)

        # the way back pools again: coordinates must not hold on to wide features
        def pieces() -> Iterator[tuple[slice, np.ndarray]]:
            return self._pieces(pooling, shape)

        if tau is not None and not self._narrow(pooling):
            if n <= kernels.MOST_IMAGES:
                return coordinates.of_gram(*self._kernels.mixed(tau), pieces)
            return coordinates.of_blocks(kernels.positions(self.maps, tau), n, pieces)
        features = self.features(pooling, shape)
        if features.shape[1] < n:
            return coordinates.of_features(features)
        if n > coordinates.EXACT_IMAGES:
            return coordinates.of_blocks(coordinates.blocks_of(features), n, pieces)
        gram, mean = coordinates.centred_gram(coordinates.blocks_of(features), n)
        if features.nbytes > FEATURE_BYTES:  # the decomposition needs the room
            del features
            self._features.clear()
        return coordinates.of_gram(gram, mean, pieces)

    def _pieces(self, pooling: Pooling, shape: float | None) -> Iterator[tuple[slice, np.ndarray]]:
        for rows, piece in self.maps.chunks():
            yield rows, pooling.pool(piece, shape)

    def _narrow(self, pooling: Pooling) -> bool:
        _, height, width, channels = self.maps.shape
        # what only rearranges the map has a Gram matrix that is a sum over positions
        if pooling.tau(pooling.default_shape) is None:
            return True
        return pooling.width((height, width, channels)) <= NARROW

    def _suits(self, pooling: Pooling) -> bool:
        """Whether the maps can be pooled so; a pooling that fails must not stop the others."""
        _, height, width, channels = self.maps.shape
        try:
            pooling.check((height, width, channels))
        except UsageError:
            return False
        return not pooling.nonnegative or self.lowest() >= 0

    def _together(
        self, pooling: Pooling, shape: float | None
    ) -> list[tuple[Pooling, float | None]]:
        """List what is pooled in one reading: this pooling, and those after it that fit."""
        n, height, width, channels = self.maps.shape
        fixed = [p for p in self.poolings if not isinstance(p, TrainedPooling)]
        others = keys_of([p for p in fixed if self._narrow(p) and self._suits(p)])
        if (pooling, shape) not in others:
            return [(pooling, shape)]
        together: list[tuple[Pooling, float | None]] = []
        held = 0
        for other in others[others.index((pooling, shape)) :]:
            held += 4 * n * other[0].width((height, width, channels))
            if together and held > FEATURE_BYTES:
                break
            together.append(other)
        return together

    def _pool(self, wanted: list[tuple[Pooling, float | None]]) -> dict[Key, np.ndarray]:
        """Pool all maps in every way wanted, in one reading of the store."""
        n, height, width, channels = self.maps.shape
        features: dict[Key, np.ndarray] = {}
        for pooling, shape in wanted:
            size = pooling.width((height, width, channels))
            features[pooling.name, shape] = np.empty((n, size), np.float32)
        shapes: dict[Pooling, list[float | None]] = {}
        for pooling, shape in wanted:
            shapes.setdefault(pooling, []).append(shape)

        def work(images: np.ndarray) -> None:
            for rows, piece in self.maps.subset(images).chunks():
                for pooling, values in shapes.items():
                    pooled = pooling.pool_all(piece, values)
                    for value, vectors in zip(values, pooled, strict=True):
                        features[pooling.name, value][images[rows]] = vectors

        in_threads(work, n, IMAGES_TOGETHER)
        return features
