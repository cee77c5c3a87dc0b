"""The weights that the networks of a design start from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from headfit.fitting.descent.network import Design, Floats, initial_weights
from headfit.fitting.descent.trainers import TOGETHER, Maps
from headfit.fitting.kinds import KINDS, Kind
from headfit.heads.body import Dropout
from headfit.heads.ridge_start import Goal, ridge_start
from headfit.heads.trained import Sample
from headfit.images.targets import CLASS, NUMBER, Targets

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.integer]

# of the maps that a pooling may look at before it is trained
MOST_BYTES = 192 * 1024**2


def starts(
    design: Design, images: Floats | Maps, targets: Targets, seed: int
) -> Callable[[Bools], list[Floats]]:
    """Prepare the first weights.

    Where nothing but dropout stands between a trained pooling and the final layer, that layer
    starts at a ridge regression on what the pooling makes of the training images at first, so that
    attention sets out from fitted gap. From random weights its 80 steps are spent on getting there:
    on 500 photographs of ten digits a log-loss of 0.31, against 0.25 of gap solved exactly.

    Args:
        design: which networks.
        images: vectors (n, d) or maps of n images.
        targets: of the n images.
        seed: of all random numbers.

    Returns:
        A function from the images that each network learns from, bool (M, n), to arrays with M in
        front. A start that depends on images is shown only those, and their labels: what is held
        out may not show through it, but for the centre and the scale of maps, which are of all.
    """
    shared = initial_weights(design, seed)

    def begin(train: Bools) -> list[Floats]:
        if design.pooling is None:
            return [np.broadcast_to(array, (len(train), *array.shape)) for array in shared]
        masks, which = np.unique(train, axis=0, return_inverse=True)
        first = [_with_pooling(design, shared, images, targets, seed, mask) for mask in masks]
        return [np.stack(arrays)[which.reshape(-1)] for arrays in zip(*first, strict=True)]

    return begin


def _with_pooling(
    design: Design,
    shared: list[Floats],
    images: Floats | Maps,
    targets: Targets,
    seed: int,
    mask: Bools,
) -> list[Floats]:
    """Start one network, from its training images if there are any."""
    pooling, map_shape, classes = design.pooling, design.map_shape, design.classes
    assert pooling is not None
    rows = np.flatnonzero(mask)
    if not len(rows) or not (design.centred or pooling.data_start):
        return [*pooling.initial(map_shape, classes, seed), *shared]
    height, width, channels = map_shape
    most = max(1, MOST_BYTES // (4 * height * width * channels))
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(rows)[:most])
    maps = images[rows] if isinstance(images, np.ndarray) else images.take(rows)
    maps = np.asarray(maps, np.float32).reshape(len(rows), height * width, channels)
    goal = goal_of(targets.subset(rows))
    arrays = pooling.initial(map_shape, classes, seed, Sample(maps, goal))
    if not design.centred:
        return [*arrays, *shared]
    vectors = np.concatenate(
        [
            np.asarray(pooling.forward(np, maps[start : start + TOGETHER], arrays))
            for start in range(0, len(rows), TOGETHER)
        ]
    )
    middle = vectors.mean(axis=0)
    scale = np.float32(1.0 / (float(np.sqrt(vectors.var(axis=0).mean())) or 1.0))
    rest = shared[2:]
    if pooling.probed and all(isinstance(step, Dropout) for step in design.body):
        kernel = ridge_start((vectors - middle) * scale, goal, rng)
        rest = [kernel.astype(np.float32), *rest[1:]]
    return [*arrays, middle, scale, *rest]


def goal_of(targets: Targets) -> Goal:
    """Say what first weights are to predict: numbers in standard units, the rest as scores."""
    if targets.kind == CLASS:
        return Goal.of_classes(targets.values, targets.count)
    kind, encoded = KINDS[targets.kind], KINDS[targets.kind].encode(targets)
    centred = encoded - encoded.mean(axis=0)
    if targets.kind != NUMBER:
        return Goal(centred, targets.values, lambda outputs, values: _loss(kind, outputs, values))
    spread = centred.std(axis=0)
    standard = centred / np.where(spread > 0, spread, 1.0)
    return Goal(standard, standard, lambda outputs, values: _loss(kind, outputs, values), (1.0,))


def _loss(kind: Kind, outputs: np.ndarray, values: np.ndarray) -> float:
    return float(kind.losses(outputs.T, values).mean())
