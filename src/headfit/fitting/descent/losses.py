"""The loss of each image in JAX, and in numpy where scores come out a piece at a time."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from headfit.fitting.metrics import LOG_CLIP
from headfit.images.targets import CLASS

MOST = -math.log(LOG_CLIP)  # as in the metrics: a log-loss of at most 34.5 nats


def cross_entropy(scores: jax.Array, values: jax.Array) -> jax.Array:
    """Give −ln of the softmax of each image's class, (…, n), of scores (…, n, K)."""
    values = jnp.broadcast_to(values, scores.shape[:-1])[..., None]
    return -jnp.take_along_axis(jax.nn.log_softmax(scores), values, axis=-1)[..., 0]


def watched_cross_entropy(
    scores: npt.NDArray[np.float32], values: npt.NDArray[np.integer]
) -> npt.NDArray[np.float32]:
    """Give the same in numpy, float32 (M, w), of scores (M, w, K); at most 34.5 nats."""
    wide = scores.astype(np.float64)
    with np.errstate(invalid="ignore"):  # a network that diverged has nan, and keeps it
        wide -= wide.max(axis=2, keepdims=True)
        lost = np.log(np.exp(wide).sum(axis=2)) - wide[:, np.arange(len(values)), values]
    return np.asarray(np.minimum(lost, MOST), np.float32)


LOSSES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {CLASS: cross_entropy}
WATCHED: dict[str, Callable[..., npt.NDArray[np.float32]]] = {CLASS: watched_cross_entropy}
