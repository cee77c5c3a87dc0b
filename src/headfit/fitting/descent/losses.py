"""The loss of each kind of target, in JAX for training and in numpy for watching."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from headfit.fitting.descent.network import Array
from headfit.fitting.metrics import LOG_CLIP
from headfit.fitting.problem import HUBER
from headfit.images.targets import CLASS, LABELS, NUMBER

Floats = npt.NDArray[np.floating]
MOST = -math.log(LOG_CLIP)  # as in the metrics: a loss of at most 34.5 nats
CLIPPED = (CLASS, LABELS)
BEND = 1.345  # of Huber's loss, in standard deviations


class Aims(NamedTuple):
    """What M networks are to put out.

    Networks learn numbers in standard units, those of their own training images.

    Attributes:
        values: of the targets, int32 (n,) or float32 (n, K).
        middle: float32 (M, K), what each network takes off first; None for nothing.
        spread: float32 (M, K), what it then divides by.
    """

    values: Array
    middle: Array | None = None
    spread: Array | None = None

    def of(self, rows: Array) -> Array:
        """Give the aims of some images: (B,), (B, K), or (M, B, K) in standard units."""
        values = self.values[rows]
        if self.middle is None or self.spread is None:
            return values
        standard: Array = (values - self.middle[:, None]) / self.spread[:, None]
        return standard

    def only(self, models: slice | npt.NDArray[np.integer]) -> Aims:
        """Give the aims of some networks."""
        if self.middle is None or self.spread is None:
            return self
        return Aims(self.values, self.middle[models], self.spread[models])


def cross_entropy(scores: Array, values: Array) -> Array:
    """Give −ln of the softmax of each image's class, (…, n), of scores (…, n, K)."""
    values = jnp.broadcast_to(values, scores.shape[:-1])[..., None]
    return -jnp.take_along_axis(jax.nn.log_softmax(scores), values, axis=-1)[..., 0]


def binary_cross_entropy(scores: Array, values: Array) -> Array:
    """Give the mean over labels of −ln of the sigmoid of what is true, (…, n)."""
    return jnp.mean(jax.nn.softplus(jnp.where(values > 0, -scores, scores)), axis=-1)


def squared_error(scores: Array, values: Array) -> Array:
    """Give the mean over columns of the squared error, (…, n)."""
    return jnp.mean(jnp.square(scores - values), axis=-1)


def huber(scores: Array, values: Array) -> Array:
    """Give the mean over columns of Huber's loss, (…, n): squared up to 1.345, then linear.

    1.345 standard deviations keep 95 % of the efficiency where errors are normal (Huber 1964).
    """
    size = jnp.abs(scores - values)
    lost = jnp.where(size <= BEND, jnp.square(size), BEND * (2 * size - BEND))
    return jnp.mean(lost, axis=-1)


LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    CLASS: cross_entropy,
    LABELS: binary_cross_entropy,
    NUMBER: squared_error,
    HUBER: huber,
}
"""By the kind of target, or by name, the loss of each image, (…, n), of scores (…, n, K)."""


def watched(kind: str, scores: Floats, aims: Floats) -> Floats:
    """Give the loss of each image in numpy, float32 (M, w), of scores (M, w, K).

    Args:
        kind: of the targets, or the name of another loss.
        scores: nan where a network diverged, which stays.
        aims: see :meth:`Aims.of`.
    """
    wide = scores.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        if kind == CLASS:
            wide -= wide.max(axis=2, keepdims=True)
            lost = np.log(np.exp(wide).sum(axis=2)) - wide[:, np.arange(len(aims)), aims]
        elif kind == LABELS:
            lost = np.logaddexp(0.0, np.where(aims > 0, -wide, wide)).mean(axis=2)
        elif kind == HUBER:
            size = np.abs(wide - aims)
            bent = np.where(size <= BEND, np.square(size), BEND * (2 * size - BEND))
            lost = bent.mean(axis=2)
        else:
            lost = np.square(wide - aims).mean(axis=2)
        clipped = np.minimum(lost, MOST) if kind in CLIPPED else lost
    return np.asarray(clipped, np.float32)
