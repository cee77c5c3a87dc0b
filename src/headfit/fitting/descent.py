"""Heads with hidden layers: many small networks trained at once by mini-batch AdamW.

All networks (fold × trial) see the same batches in the same order; a 0/1 mask for each network says
which images count in its loss. So a batch is taken once for all, and no image is copied for each
network. They also share the first weights and, by the seed, the dropout masks: a network comes out
the same (to rounding) whatever else is trained beside it, and two trials differ by nothing but
their learning rate and weight decay.

Features are expected centred, and divided by one scalar such that their variance is 1 on average
over the d features. The learning rates below are meant for that scale.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from headfit.fitting.budget import Schedule
from headfit.fitting.network import (
    Array,
    Data,
    Floats,
    first_state,
    initial_weights,
    predict,
    run_epoch,
    watched_losses,
)
from headfit.heads.body import Step

__all__ = [
    "Networks",
    "predict",
    "train",
]

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.integer]
Reals = npt.NDArray[np.floating]

MEMORY = 2_000_000_000
# Weights, two moments and gradients, float32.
_BYTES_PER_PARAMETER = 4 * 4


@dataclass(frozen=True)
class Networks:
    """M trained networks.

    Attributes:
        weights: float32 arrays, alternating kernel (M, in, out) and bias (M, out), of every
            ``Dense`` of the body and of the final layer. A network that diverged holds nan.
        watch_loss: float64 (epochs, M), mean −ln of the probability given to the label, clipped to
            [1e-15, 1], over the watched images after each epoch; nan where none are watched.
    """

    weights: list[Floats]
    watch_loss: npt.NDArray[np.float64]


class _Models(NamedTuple):
    """What differs between the networks, each with M along its first axis."""

    train: Bools
    watch: Bools
    rates: Floats
    decays: Floats
    stops: Ints

    def of(self, chunk: slice) -> _Models:
        """Keep the networks of one turn."""
        return _Models(*(values[chunk] for values in self))  # type: ignore[arg-type]


def train(
    features: Floats,
    labels: Ints,
    classes: int,
    body: Sequence[Step],
    train_masks: Bools,
    learning_rates: Reals,
    weight_decays: Reals,
    *,
    schedule: Schedule,
    watch_masks: Bools | None = None,
    stop_epochs: Ints | None = None,
    progress: Callable[[float], None] | None = None,
    memory: int = MEMORY,
) -> Networks:
    """Train M networks of one shape.

    Args:
        features: float32 (n, d), centred, of mean variance 1.
        labels: int (n,), class indices below ``classes``.
        classes: K, the width of the final layer.
        body: the steps between the features and the final layer; may be empty.
        train_masks: bool (M, n), the images that each network learns from.
        learning_rates: (M,), the peak of each network's schedule.
        weight_decays: (M,), AdamW's decoupled decay of the kernels (not of the biases), per step
            times the step's learning rate.
        schedule: epochs, batches and seed.
        watch_masks: bool (M, n), the images whose log-loss is reported after each epoch.
        stop_epochs: int (M,), 0 to ``epochs``; a network keeps the weights that it had after so
            many epochs. The learning rate's course is that of the full schedule all the same.
        progress: is told the fraction done, up to 1, after each epoch.
        memory: bytes for weights, moments and gradients; networks are trained in turns if they
            need more, one at a time at the least.

    Returns:
        The networks, in the order of the masks.

    Raises:
        ValueError: if shapes do not agree or a value is out of its range.
    """
    features, body = np.asarray(features, np.float32), tuple(body)
    _check_images(features, labels, classes)
    models = _checked(
        len(features),
        schedule,
        train_masks,
        watch_masks,
        learning_rates,
        weight_decays,
        stop_epochs,
    )
    images = jnp.asarray(features), jnp.asarray(labels, dtype=jnp.int32)
    start = initial_weights(features.shape[1], body, classes, schedule.seed)
    chunks = _chunks(len(models.train), sum(array.size for array in start), memory)
    parts: list[Networks] = []
    for turn, chunk in enumerate(chunks):
        tell = _share(progress, turn, len(chunks))
        parts.append(_train_chunk(images, body, models.of(chunk), start, schedule, tell))
    return Networks(
        [np.concatenate(arrays) for arrays in zip(*(part.weights for part in parts), strict=True)],
        np.concatenate([part.watch_loss for part in parts], axis=1),
    )


def _train_chunk(
    images: tuple[Array, Array],
    body: tuple[Step, ...],
    models: _Models,
    start: Sequence[Floats],
    schedule: Schedule,
    tell: Callable[[float], None],
) -> Networks:
    n, m = models.train.shape[1], len(models.train)
    data = Data(
        *images, jnp.asarray(models.train.T), jnp.asarray(models.rates), jnp.asarray(models.decays)
    )
    state = first_state(start, m)
    factors = schedule.factors(n)
    losses = np.full((schedule.epochs, m), np.nan)
    watched = _watched(models.watch)
    last = int(models.stops.max())
    for epoch in range(last):
        numbers = np.arange(factors.shape[1], dtype=np.int32) + epoch * factors.shape[1] + 1
        steps = schedule.rows(n, epoch), factors[epoch], numbers
        active = jnp.asarray(models.stops > epoch)
        state = run_epoch(state, data, steps, active, np.uint32(schedule.seed), body)
        # Waiting here, not at the end, lets Ctrl-C through and keeps progress truthful.
        state.weights[-1].block_until_ready()
        losses[epoch] = _watch(state.weights, data, watched, body)
        tell((epoch + 1) / last)
    losses[last:] = losses[last - 1] if last else _watch(state.weights, data, watched, body)
    return Networks([np.array(array) for array in state.weights], losses)


def _watched(masks: Bools) -> tuple[Ints, Ints]:
    """Turn masks into rows, int32 (M, w), w the largest count, and the counts (M,)."""
    counts = masks.sum(axis=1)
    rows = np.zeros((len(masks), counts.max()), np.int32)
    for model, mask in enumerate(masks):
        rows[model, : counts[model]] = np.flatnonzero(mask)
    return rows, counts


def _watch(
    weights: list[Array], data: Data, watched: tuple[Ints, Ints], body: tuple[Step, ...]
) -> Reals:
    rows, counts = watched
    if rows.shape[1] == 0:
        return np.full(len(rows), np.nan)
    losses = np.asarray(watched_losses(weights, data, rows, body), np.float64)
    counted = np.arange(rows.shape[1]) < counts[:, None]
    sums = np.sum(losses, axis=1, where=counted)
    means: Reals = np.full(len(rows), np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def _chunks(models: int, size: int, memory: int) -> list[slice]:
    """Cut M networks of ``size`` parameters into even turns that fit ``memory`` bytes."""
    together = max(1, memory // (size * _BYTES_PER_PARAMETER))
    turns = math.ceil(models / together)
    edges = [models * turn // turns for turn in range(turns + 1)]
    return [slice(low, high) for low, high in itertools.pairwise(edges)]


def _share(
    progress: Callable[[float], None] | None, turn: int, turns: int
) -> Callable[[float], None]:
    """Make the callback of one turn: its fraction is a share of the whole."""
    return lambda done: progress((turn + done) / turns) if progress else None


def _check_images(features: Floats, labels: Ints, classes: int) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1] or not len(labels):
        raise ValueError(
            f"features must be (n, d) and labels (n,), not {features.shape} and {labels.shape}."
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels must be in 0..{classes - 1}.")


def _checked(
    images: int,
    schedule: Schedule,
    train_masks: Bools,
    watch_masks: Bools | None,
    learning_rates: Reals,
    weight_decays: Reals,
    stop_epochs: Ints | None,
) -> _Models:
    """Fill in what was left out, and see that all is of the same M."""
    train = np.asarray(train_masks, bool)
    models = _Models(
        train,
        np.zeros_like(train) if watch_masks is None else np.asarray(watch_masks, bool),
        np.asarray(learning_rates, np.float32),
        np.asarray(weight_decays, np.float32),
        np.full(len(train), schedule.epochs) if stop_epochs is None else np.asarray(stop_epochs),
    )
    m = len(train)
    wanted = ((m, images), (m, images), (m,), (m,), (m,))
    if m == 0 or tuple(values.shape for values in models) != wanted:
        shapes = {name: values.shape for name, values in models._asdict().items()}
        raise ValueError(f"masks must be (M, {images}) and the rest (M,), M >= 1, not {shapes}.")
    if models.stops.min() < 0 or models.stops.max() > schedule.epochs:
        raise ValueError(f"stop_epochs must be in 0..{schedule.epochs}, not {models.stops}.")
    return models
