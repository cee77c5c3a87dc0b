"""Networks learn numbers in standard units, those of their own training images.

Adam's steps do not follow the scale of what is to be predicted. After training, the units become
part of the last layer, so a network puts out numbers in the units that they came in.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from headfit.fitting.descent.losses import Aims
from headfit.fitting.descent.network import Design, Floats
from headfit.fitting.number_metrics import MAD_TO_STD
from headfit.fitting.problem import HUBER
from headfit.images.targets import CLASS, NUMBER, Targets

Bools = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.floating]


def aims_of(targets: Targets, middle: Floats | None, spread: Floats | None) -> Aims:
    """Say what networks are to put out; ``middle`` and ``spread`` are their standard units."""
    if middle is None or spread is None:
        dtype = jnp.int32 if targets.kind == CLASS else jnp.float32
        return Aims(jnp.asarray(targets.values, dtype=dtype))
    # float32 has too few digits for years or prices: the common part goes first
    common = targets.values.mean(axis=0)
    near = middle - common
    return Aims(
        *(jnp.asarray(each, dtype=jnp.float32) for each in (targets.values - common, near, spread))
    )


def standard_units(targets: Targets, train: Bools, kind: str) -> tuple[Reals | None, Reals | None]:
    """Give mean and deviation of each network's training images, float64 (M, K), of numbers.

    For Huber's loss, which few images far off are not to lead, they are the median and the median
    absolute deviation.
    """
    if targets.kind != NUMBER:
        return None, None
    if kind == HUBER:
        return _robust(targets, train)
    counts = train if targets.weights is None else train * targets.weights
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
    common = targets.values.mean(axis=0)
    values = targets.values - common
    near = shares @ values
    variance = np.maximum(shares @ np.square(values) - np.square(near), 0.0)
    floor = 1e-12 * np.square(values).mean(axis=0)
    return near + common, np.sqrt(np.where(variance > floor, variance, 1.0))


def _robust(targets: Targets, train: Bools) -> tuple[Reals, Reals]:
    parts = [targets.values[mask] if mask.any() else targets.values for mask in train]
    middle = np.stack([np.median(part, axis=0) for part in parts])
    apart = [np.abs(part - m) for part, m in zip(parts, middle, strict=True)]
    spread = MAD_TO_STD * np.stack([np.median(each, axis=0) for each in apart])
    plain = np.stack([part.std(axis=0) for part in parts])
    spread = np.where(spread > 0, spread, plain)
    return middle, np.where(spread > 0, spread, 1.0)


def in_own_units(
    design: Design, weights: Sequence[Floats], middle: Reals, spread: Reals
) -> list[Floats]:
    """Make standard units part of the last layer, network by network.

    Args:
        design: of the networks.
        weights: arrays with M in front.
        middle: float64 (M, K).
        spread: float64 (M, K).
    """
    *arrays, bias = (np.asarray(array) for array in weights)
    bias = (bias * spread + middle).astype(np.float32)
    if not design.readout:
        arrays[-1] = (arrays[-1] * spread[:, None]).astype(np.float32)
        return [*arrays, bias]
    assert design.pooling is not None
    each = [
        design.pooling.multiplied([array[model] for array in arrays], factors)
        for model, factors in enumerate(spread)
    ]
    return [*(np.stack(parts).astype(np.float32) for parts in zip(*each, strict=True)), bias]
