"""Training of the user's own heads, which may do anything with a batch.

They are Keras programs (see :mod:`headfit.heads.custom.store`) without masks: a normalisation over
the batch uses every image in it. So each network gets only its own training images. Of every
batch, which all networks share, a network gets the images it may learn from; the places of the
others are filled with copies of these, which do not count in the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from headfit.fitting.descent.adamw import Data, State, Steps, adamw
from headfit.fitting.descent.losses import LOSSES
from headfit.fitting.descent.network import Array, Design, Floats, after, centre
from headfit.fitting.descent.trainers import Ints, Maps, MapTrainer, Trainer
from headfit.fitting.descent.trainers import trainer_of as plain_trainer_of
from headfit.heads.custom.pooling import CustomPooling
from headfit.heads.custom.store import SETTLED_TOGETHER, CompiledHead


def trainer_of(design: Design, images: Floats | Maps) -> Trainer:
    """Give the trainer for vectors, float32 (n, d), or for maps."""
    trainer = plain_trainer_of(design, images)
    if isinstance(design.pooling, CustomPooling) and isinstance(trainer, MapTrainer):
        return CustomTrainer(design, trainer.maps)
    return trainer


class CustomTrainer(MapTrainer):
    """Networks with the user's own head."""

    def steps(self, state: State, data: Data, steps: Steps, active: Array, seed: int) -> State:
        """See :class:`Trainer`."""
        train, going = np.asarray(data.train), np.asarray(active)
        values = np.asarray(data.aims.values)
        # network by network, so that JAX compiles once, however many there are
        parts = [_only(state, model) for model in range(len(going))]
        rates = np.stack([data.rates, data.decays])[..., None]
        for rows, factor, number in zip(steps.rows, steps.factors, steps.numbers, strict=True):
            filled = _filled(rows[rows >= 0], len(rows))
            real = np.arange(len(rows)) < np.sum(rows >= 0)
            images, labels = self._take(filled), values[filled]
            now = Steps(rows, rows, factor, number)
            for model in np.flatnonzero(going):
                places, counts = _deal(train[filled, model] & real)
                aims = data.aims.only(slice(model, model + 1))
                aims = aims._replace(values=jnp.asarray(labels[places]))
                members = Data(aims, *map(jnp.asarray, (counts, *rates[:, model])))
                if data.weights is not None:
                    members = members._replace(weights=data.weights[filled[places]])
                key = np.uint32(seed)
                parts[model] = _step(parts[model], images, places, members, now, key, self.design)
            # else the maps of many steps would wait in memory
            for model in np.flatnonzero(going):
                parts[model].weights[-1].block_until_ready()
        return State(*(_together(part) for part in zip(*parts, strict=True)))

    def settled(self, weights: Sequence[Array], train: Array) -> list[Array]:
        """See :class:`Trainer`."""
        masks, count = np.asarray(train), len(self.design.pooling_weights)
        models = [
            [np.asarray(a)[model] for a in weights[:count]] for model in range(masks.shape[1])
        ]
        # shuffled: the images of one class alone would mislead the layers after the first
        order = np.random.default_rng(0).permutation(len(masks))
        pieces = np.array_split(order, -(-len(masks) // SETTLED_TOGETHER))
        moved: list[list[list[Array]]] = [[] for _ in models]
        counted: list[list[float]] = [[] for _ in models]
        for piece in pieces:
            filled = _filled(piece, len(pieces[0]))
            images, real = self._take(filled), np.arange(len(filled)) < len(piece)
            for model, arrays in enumerate(models):
                places, counts = _deal(masks[filled, model] & real)
                moved[model].append(_statistics(arrays, images, places, self.design))
                counted[model].append(float(counts.sum()))
        opened = _opened(self.design)
        for arrays, statistics, sizes in zip(models, moved, counted, strict=True):
            opened.put(arrays, statistics, sizes)
        return [*map(jnp.asarray, map(np.stack, zip(*models, strict=True))), *weights[count:]]


def _only(state: State, model: int) -> State:
    """Give the state of one network, M = 1."""
    one = slice(model, model + 1)
    return State(*([jnp.asarray(np.asarray(array)[one]) for array in part] for part in state))


def _together(parts: Sequence[Sequence[Array]]) -> list[Array]:
    return [
        jnp.asarray(np.concatenate([np.asarray(each) for each in arrays]))
        for arrays in zip(*parts, strict=True)
    ]


def _filled(rows: Ints, size: int) -> Ints:
    """Repeat rows until there are so many, so that JAX compiles once."""
    return np.resize(rows, size)


def _deal(mask: np.ndarray) -> tuple[Ints, Floats]:
    """Deal images to a network.

    Args:
        mask: bool (B,), the images that it may learn from.

    Returns:
        Rows, int (B,): its images, then copies of them; counts, float32 (B,): 1 for an image, 0 for
        a copy. Without any image of its own, another one fills all places and does not count.
    """
    members = np.flatnonzero(mask)
    counts = np.zeros(len(mask), np.float32)
    counts[: len(members)] = 1.0
    return _filled(members if len(members) else np.zeros(1, int), len(mask)), counts


@partial(jax.jit, static_argnums=6, donate_argnums=0)
def _step(
    state: State, images: Array, places: Array, data: Data, now: Steps, seed: Array, design: Design
) -> State:
    """Take one step of one network; ``data.train`` is float32 (B,), 1 for images that count."""
    count = len(design.pooling_weights)
    key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), now.numbers)
    counts = data.train

    def loss(stacked: list[Array]) -> tuple[Array, list[Array]]:
        weights = [array[0] for array in stacked]
        vectors, moved = _run("train", weights[:count], images[places], design, key)
        vectors = centre(weights, design, vectors)
        scores = after(weights, design, vectors, counts, key)
        losses = LOSSES[design.kind](scores, _aimed(data))
        if data.weights is not None:
            losses = losses * data.weights
        return jnp.sum(counts * losses) / jnp.maximum(jnp.sum(counts), 1.0), moved

    gradients, moved = jax.grad(loss, has_aux=True)(state.weights)
    taken = adamw(state, gradients, data, now, jnp.ones(1, bool), design.decays)
    weights = list(taken.weights)
    for place, weight in enumerate(design.pooling_weights):
        if not weight.trained:
            weights[place] = moved[place][None]
    return taken._replace(weights=weights)


def _aimed(data: Data) -> Array:
    """Give what one network is to put out for the images that it is given."""
    aims = data.aims.of(jnp.arange(len(data.train)))
    return aims if data.aims.middle is None else aims[0]


@partial(jax.jit, static_argnums=3)
def _statistics(arrays: list[Array], images: Array, places: Array, design: Design) -> list[Array]:
    """Give a network's arrays with the statistics of its images in place."""
    key = jax.random.key(0, impl="threefry2x32")
    return _run("settle", arrays, images[places], design, key)[1]


def _run(
    name: str, arrays: Sequence[Array], images: Array, design: Design, key: Array
) -> tuple[Array, list[Array]]:
    maps = images.reshape(-1, *design.map_shape)
    return _opened(design).program(name)(list(arrays), maps, jax.random.key_data(key))


def _opened(design: Design) -> CompiledHead:
    assert isinstance(design.pooling, CustomPooling)
    return design.pooling.bound
