"""Feature maps in a store, for tests of what reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from headfit.features.store import FeatureMaps, FeatureStore


def random_maps(
    folder: Path, shape: tuple[int, ...] = (20, 4, 4, 6), lowest: float = 0.0
) -> tuple[FeatureMaps, np.ndarray]:
    """Random maps in a store, and what they hold, float32."""
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    maps = store_maps(folder, np.maximum(values, lowest))
    return maps, np.concatenate([piece for _, piece in maps.chunks()])


def store_maps(folder: Path, values: np.ndarray) -> FeatureMaps:
    """Put these maps, (n, H, W, C), into a store."""
    store = FeatureStore(folder)
    images = [f"{len(store)}-{i}" for i in range(len(values))]
    store.append(images, values.astype(np.float32))
    return store.maps(images)
