"""Training and evaluation of networks, on vectors in memory or on maps read when needed.

The two trainers do the same and differ in what they hold in memory: the maps of 10,000 images may
take gigabytes, so only those of one step, or of 64 images, are held at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from headfit.fitting.descent.adamw import Data, State, Steps, run_steps
from headfit.fitting.descent.losses import CLIPPED, LOSSES, MOST, Aims, watched
from headfit.fitting.descent.network import Array, Design, Floats, after, pool, settle

Ints = npt.NDArray[np.integer]
# maps that are evaluated together
TOGETHER = 64


class Maps(Protocol):
    """Feature maps that can be taken in any order."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, H, W, C)."""

    def take(self, rows: Ints) -> Floats:
        """Give the maps of these images, float32 (m, H, W, C)."""


class Trainer(Protocol):
    """What trains and evaluates M networks of one design."""

    def steps(self, state: State, data: Data, steps: Steps, active: Array, seed: int) -> State:
        """Take the steps of an epoch."""

    def settled(self, weights: Sequence[Array], train: Array) -> list[Array]:
        """Give the weights with the statistics of the training images, bool (n, M), in place."""

    def losses(self, weights: Sequence[Array], aims: Aims, rows: Ints) -> Floats:
        """Give each network's loss on its own rows, float32 (M, w)."""

    def scores(self, weights: Sequence[Array]) -> Floats:
        """Give logits of all images, float32 (M, n, K)."""


def trainer_of(design: Design, images: Floats | Maps) -> Trainer:
    """Give the trainer for vectors, float32 (n, d), or for maps."""
    if design.pooling is None:
        return VectorTrainer(design, np.asarray(images, np.float32))
    return MapTrainer(design, ArrayMaps(images) if isinstance(images, np.ndarray) else images)


class ArrayMaps:
    """Maps that are in memory anyway.

    Args:
        maps: float32 (n, H, W, C).
    """

    def __init__(self, maps: Floats) -> None:
        self.maps = maps
        self.shape = maps.shape

    def take(self, rows: Ints) -> Floats:
        """See :class:`Maps`."""
        return self.maps[rows]


class VectorTrainer:
    """Networks that are given vectors.

    Args:
        design: without a pooling.
        vectors: float32 (n, d).
    """

    def __init__(self, design: Design, vectors: Floats) -> None:
        self.design, self.vectors = design, jnp.asarray(vectors)

    def steps(self, state: State, data: Data, steps: Steps, active: Array, seed: int) -> State:
        """See :class:`Trainer`."""
        taken: State = run_steps(
            state, self.vectors, data, steps, active, np.uint32(seed), design=self.design
        )
        return taken

    def settled(self, weights: Sequence[Array], train: Array) -> list[Array]:
        """See :class:`Trainer`."""
        counts = train.T.astype(jnp.float32)
        arrays: list[Array] = _settled(list(weights), self.vectors, counts, self.design)
        return arrays

    def losses(self, weights: Sequence[Array], aims: Aims, rows: Ints) -> Floats:
        """See :class:`Trainer`."""
        return np.asarray(_losses(list(weights), self.vectors, aims, rows, self.design))

    def scores(self, weights: Sequence[Array]) -> Floats:
        """See :class:`Trainer`."""
        logits = [
            np.asarray(_logits(_network(weights, model), self.vectors, self.design))
            for model in range(len(weights[0]))
        ]
        return np.stack(logits)


class MapTrainer:
    """Networks that are given maps, which their pooling turns into vectors.

    Args:
        design: with a pooling.
        maps: of n images.
    """

    def __init__(self, design: Design, maps: Maps) -> None:
        self.design, self.maps = design, maps

    def steps(self, state: State, data: Data, steps: Steps, active: Array, seed: int) -> State:
        """See :class:`Trainer`."""
        for rows, factor, number in zip(steps.rows, steps.factors, steps.numbers, strict=True):
            images = self._take(np.maximum(rows, 0))
            places = np.arange(len(rows), dtype=np.int32)
            one = Steps(*(np.asarray(part)[None] for part in (rows, places, factor, number)))
            state = run_steps(state, images, data, one, active, np.uint32(seed), design=self.design)
            # else the maps of many steps would wait in memory
            state.weights[-1].block_until_ready()
        return state

    def settled(self, weights: Sequence[Array], train: Array) -> list[Array]:
        """See :class:`Trainer`."""
        rows, settled = np.arange(self.maps.shape[0]), []
        for model, counts in enumerate(np.asarray(train, np.float32).T):
            network = _network(weights, model)
            vectors = [
                np.asarray(_pooled(network, images, self.design))[:real]
                for _, images, real in self._pieces(rows)
            ]
            settled.append(_settle(network, np.concatenate(vectors), counts, self.design))
        return [jnp.stack(arrays) for arrays in zip(*settled, strict=True)]

    def losses(self, weights: Sequence[Array], aims: Aims, rows: Ints) -> Floats:
        """See :class:`Trainer`."""
        losses = np.empty(rows.shape, np.float32)
        # networks that watch the same images are given them together
        for mine in np.unique(rows, axis=0):
            members = np.flatnonzero((rows == mine).all(axis=1))
            scores = self._scores(weights, members, mine)
            aimed = np.asarray(aims.only(members).of(mine))
            losses[members] = watched(self.design.kind, scores, aimed)
        return losses

    def scores(self, weights: Sequence[Array]) -> Floats:
        """See :class:`Trainer`."""
        return self._scores(weights, range(len(weights[0])), np.arange(self.maps.shape[0]))

    def _scores(
        self, weights: Sequence[Array], members: Sequence[int] | Ints, rows: Ints
    ) -> Floats:
        """Logits of some networks for some images, float32 (members, rows, K)."""
        networks = [_network(weights, model) for model in members]
        logits = np.empty((len(networks), len(rows), self.design.classes), np.float32)
        for piece, images, real in self._pieces(rows):
            for at, network in enumerate(networks):
                logits[at, piece] = np.asarray(_logits(network, images, self.design))[:real]
        return logits

    def _pieces(self, rows: Ints) -> Iterator[tuple[slice, Array, int]]:
        """Yield the maps of these images in pieces of one size, so that JAX compiles once."""
        size = min(TOGETHER, len(rows))
        for start in range(0, len(rows), size):
            piece = rows[start : start + size]
            images = self._take(np.resize(piece, size))
            yield slice(start, start + len(piece)), images, len(piece)

    def _take(self, rows: Ints) -> Array:
        maps = self.maps.take(rows)
        count, height, width, channels = maps.shape
        return jnp.asarray(maps.reshape(count, height * width, channels))


def _network(weights: Sequence[Array], model: int) -> list[Array]:
    return [jnp.asarray(array[model]) for array in weights]


@partial(jax.jit, static_argnames="design")
def _logits(network: list[Array], images: Array, design: Design) -> Array:
    return after(network, design, pool(network, design, images))


@partial(jax.jit, static_argnames="design")
def _pooled(network: list[Array], images: Array, design: Design) -> Array:
    return pool(network, design, images)


@partial(jax.jit, static_argnames="design")
def _settle(network: list[Array], vectors: Array, counts: Array, design: Design) -> list[Array]:
    return settle(network, design, vectors, counts)


@partial(jax.jit, static_argnames="design")
def _settled(weights: list[Array], vectors: Array, counts: Array, design: Design) -> list[Array]:
    """One network after another: what each would hold of all images is too much for all."""
    result: list[Array] = jax.lax.map(
        lambda item: settle(item[0], design, vectors, item[1]), (weights, counts)
    )
    return result


@partial(jax.jit, static_argnames="design")
def _losses(weights: list[Array], vectors: Array, aims: Aims, rows: Array, design: Design) -> Array:
    """One network after another: the rows differ, and only a few images are anyone's to watch."""

    def one(item: tuple[list[Array], Array, Array | None, Array | None]) -> Array:
        network, picked, middle, spread = item
        scores = after(network, design, vectors[picked])
        aimed = aims.values[picked]
        if middle is not None and spread is not None:
            aimed = Aims(aims.values, middle[None], spread[None]).of(picked)[0]
        lost = LOSSES[design.kind](scores, aimed)
        return jnp.minimum(lost, MOST) if design.kind in CLIPPED else lost

    losses: Array = jax.lax.map(one, (weights, rows, aims.middle, aims.spread))
    return losses
