"""Training of heads of the user's own, which may do anything with a batch.

They are Keras' programs (see :mod:`headfit.heads.custom.store`), which know of no mask: a
normalisation over the batch takes all that it is given. So each network is given its own images
alone. Of every batch, which all networks share, a network sees those that it may learn from; in the
places of the others some of them stand once more, without a say in the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from headfit.fitting.descent.adamw import Data, State, Steps, adamw
from headfit.fitting.descent.network import Array, Design, Floats, after, centre
from headfit.fitting.descent.sources import Ints, Maps, MapSource, Source
from headfit.fitting.descent.sources import source_of as known_source_of
from headfit.heads.custom.pooling import CustomPooling
from headfit.heads.custom.store import SETTLED_TOGETHER, CompiledHead


def source_of(design: Design, images: Floats | Maps) -> Source:
    """Give the source for vectors, float32 (n, d), or for maps."""
    found = known_source_of(design, images)
    if isinstance(design.pooling, CustomPooling) and isinstance(found, MapSource):
        return OwnSource(design, found.maps)
    return found


class OwnSource(MapSource):
    """Networks with a head of the user's own."""

    def steps(self, state: State, data: Data, steps: Steps, active: Array, seed: int) -> State:
        """See :class:`Source`."""
        train, labels, going = np.asarray(data.train), np.asarray(data.labels), np.asarray(active)
        # network by network, so that JAX compiles once, however many there are
        parts = [_only(state, model) for model in range(len(going))]
        rates = np.stack([data.rates, data.decays])[..., None]
        for rows, factor, number in zip(steps.rows, steps.factors, steps.numbers, strict=True):
            filled = _filled(rows[rows >= 0], len(rows))
            real = np.arange(len(rows)) < np.sum(rows >= 0)
            images, given = self._take(filled), labels[filled]
            now = Steps(rows, rows, factor, number)
            for model in np.flatnonzero(going):
                places, counts = _deal(train[filled, model] & real)
                own = Data(*map(jnp.asarray, (given[places], counts, *rates[:, model])))
                key = np.uint32(seed)
                parts[model] = _step(parts[model], images, places, own, now, key, self.design)
            # else the maps of many steps would wait in memory
            for model in np.flatnonzero(going):
                parts[model].weights[-1].block_until_ready()
        return State(*(_together(part) for part in zip(*parts, strict=True)))

    def settled(self, weights: Sequence[Array], train: Array) -> list[Array]:
        """See :class:`Source`."""
        masks, own = np.asarray(train), len(self.design.own)
        models = [[np.asarray(a)[model] for a in weights[:own]] for model in range(masks.shape[1])]
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
        for arrays, found, sizes in zip(models, moved, counted, strict=True):
            opened.put(arrays, found, sizes)
        return [*map(jnp.asarray, map(np.stack, zip(*models, strict=True))), *weights[own:]]


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
        mask: bool (B,), its own among them.

    Returns:
        int (B,), its own first and then some of them again; float32 (B,), 1 for the first. If none
        is its own, one that is not fills the places, and has no say.
    """
    own = np.flatnonzero(mask)
    counts = np.zeros(len(mask), np.float32)
    counts[: len(own)] = 1.0
    return _filled(own if len(own) else np.zeros(1, int), len(mask)), counts


@partial(jax.jit, static_argnums=6, donate_argnums=0)
def _step(
    state: State, images: Array, places: Array, data: Data, now: Steps, seed: Array, design: Design
) -> State:
    """Take one step of one network; of its data, ``train`` is float32 (B,), who has a say."""
    own = len(design.own)
    key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), now.numbers)
    counts = data.train

    def loss(stacked: list[Array]) -> tuple[Array, list[Array]]:
        weights = [array[0] for array in stacked]
        vectors, moved = _run("train", weights[:own], images[places], design, key)
        vectors = centre(weights, design, vectors)
        scores = jax.nn.log_softmax(after(weights, design, vectors, counts, key))
        given = jnp.take_along_axis(scores, data.labels[:, None], axis=1)[:, 0]
        return -jnp.sum(counts * given) / jnp.maximum(jnp.sum(counts), 1.0), moved

    gradients, moved = jax.grad(loss, has_aux=True)(state.weights)
    taken = adamw(state, gradients, data, now, jnp.ones(1, bool), design.decays)
    weights = list(taken.weights)
    for place, weight in enumerate(design.own):
        if not weight.trained:
            weights[place] = moved[place][None]
    return taken._replace(weights=weights)


@partial(jax.jit, static_argnums=3)
def _statistics(own: list[Array], images: Array, places: Array, design: Design) -> list[Array]:
    """Give a network's arrays with the statistics of its images in place."""
    key = jax.random.key(0, impl="threefry2x32")
    return _run("settle", own, images[places], design, key)[1]


def _run(
    name: str, own: Sequence[Array], images: Array, design: Design, key: Array
) -> tuple[Array, list[Array]]:
    maps = images.reshape(-1, *design.map_shape)
    return _opened(design).program(name)(list(own), maps, jax.random.key_data(key))


def _opened(design: Design) -> CompiledHead:
    assert isinstance(design.pooling, CustomPooling)
    return design.pooling.bound
