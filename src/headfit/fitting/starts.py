"""The weights that the networks of a design start from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from headfit.fitting.network import Design, Floats, initial_weights
from headfit.fitting.sources import Maps

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.integer]

# of the maps that a pooling may look at before it is trained
MOST_BYTES = 256 * 1024**2


def starts(
    design: Design, images: Floats | Maps, labels: Ints, seed: int
) -> Callable[[Bools], list[Floats]]:
    """Prepare the first weights.

    Args:
        design: which networks.
        images: vectors (n, d) or maps of n images.
        labels: int (n,).
        seed: of all random numbers.

    Returns:
        A function from the images that each network learns from, bool (M, n), to arrays with M in
        front. A pooling that starts from images is shown only those: what is held out may not
        show through its start.
    """
    shared = initial_weights(design, seed)

    def begin(train: Bools) -> list[Floats]:
        rest = [np.broadcast_to(array, (len(train), *array.shape)) for array in shared]
        if design.pooling is None:
            return rest
        masks, which = np.unique(train, axis=0, return_inverse=True)
        found = [_pooling_start(design, images, labels, seed, mask) for mask in masks]
        own = [np.stack(arrays)[which.reshape(-1)] for arrays in zip(*found, strict=True)]
        return [*own, *rest]

    return begin


def _pooling_start(
    design: Design, images: Floats | Maps, labels: Ints, seed: int, mask: Bools
) -> list[Floats]:
    pooling, map_shape, classes = design.pooling, design.map_shape, design.classes
    assert pooling is not None
    rows = np.flatnonzero(mask)
    if not pooling.data_start or not len(rows):
        return pooling.initial(map_shape, classes, seed)
    height, width, channels = map_shape
    most = max(1, MOST_BYTES // (4 * height * width * channels))
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:most])
    maps = images[rows] if isinstance(images, np.ndarray) else images.take(rows)
    vectors = np.asarray(maps, np.float32).reshape(len(rows), height * width, channels)
    return pooling.initial(map_shape, classes, seed, vectors, labels[rows])
