"""Heads trained by gradient descent: many small networks at once by mini-batch AdamW.

All networks (fold × trial) see the same batches in the same order; a 0/1 mask for each network says
which images count in its loss. So a batch is taken once for all, and no image is copied for each
network. They also share the first weights and, by the seed, the dropout masks: a network comes out
the same (to rounding) whatever else is trained beside it, and two trials differ by nothing but
their learning rate and weight decay. Only a pooling that starts from the images starts each fold
from those that it may learn from.

Vectors are expected centred, and divided by one scalar such that their variance is 1 on average
over the d features; maps are only divided. The learning rates are meant for that scale.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from headfit.fitting.descent.adamw import Data, Steps, first_state
from headfit.fitting.descent.budget import Schedule
from headfit.fitting.descent.custom_trainer import trainer_of
from headfit.fitting.descent.network import Array, Design, Floats, unscaled
from headfit.fitting.descent.starts import starts
from headfit.fitting.descent.trainers import Maps, Trainer
from headfit.fitting.descent.units import aims_of, in_own_units, standard_units
from headfit.fitting.problem import HUBER, SQUARED
from headfit.heads.body import Step
from headfit.heads.trained import TrainedPooling
from headfit.images.targets import NUMBER, Targets
from headfit.progress import SILENT, Progress

__all__ = ["Attempts", "Networks", "scores", "train"]

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.integer]
Reals = npt.NDArray[np.floating]
Follow = Callable[[slice, int, list[Floats]], None]

MEMORY = 2_000_000_000
# Weights, two moments and gradients, float32; of what is formed for an image about as many copies.
_BYTES_PER_PARAMETER = 4 * 4


@dataclass(frozen=True)
class Networks:
    """M trained networks.

    Attributes:
        weights: float32 arrays with M in front, in the order that
            :mod:`headfit.fitting.descent.network` gives. A network that diverged holds nan.
        watch_loss: float64 (epochs, M), mean loss of the watched images after each epoch; nan
            where none are watched. Cross-entropies are at most 34.5 nats; of numbers it is the
            squared error in variances of the training images.
    """

    weights: list[Floats]
    watch_loss: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Attempts:
    """What differs between M networks of one design, that are trained on n images.

    Attributes:
        train: bool (M, n), the images that each network learns from.
        learning_rates: (M,), the peak of each network's schedule.
        weight_decays: (M,), AdamW's decoupled decay of the kernels (not of the biases), per step
            times the step's learning rate.
        watch: bool (M, n), the images whose loss is reported after each epoch; None for none.
        stop_epochs: int (M,), 0 to ``epochs``; a network keeps the weights that it had after so
            many epochs, None for all. The learning rate follows the full schedule all the same.
    """

    train: Bools
    learning_rates: Reals | Sequence[float]
    weight_decays: Reals | Sequence[float]
    watch: Bools | None = None
    stop_epochs: Ints | Sequence[int] | None = None


class _Models(NamedTuple):
    """:class:`Attempts` as checked arrays, each with M along its first axis."""

    train: Bools
    watch: Bools
    rates: Floats
    decays: Floats
    stops: Ints

    def of(self, chunk: slice) -> _Models:
        """Keep the networks of one turn."""
        return _Models(*(values[chunk] for values in self))  # type: ignore[arg-type]


def train(
    features: Floats | Maps,
    targets: Targets,
    body: Sequence[Step],
    attempts: Attempts,
    *,
    schedule: Schedule,
    pooling: TrainedPooling | None = None,
    loss: str = SQUARED,
    progress: Progress = SILENT,
    memory: int = MEMORY,
    follow: Follow | None = None,
) -> Networks:
    """Train M networks of one design.

    Args:
        features: float32 (n, d), or with a pooling maps (n, H, W, C), see the top of this file.
        targets: of the n images.
        body: the steps between the features and the final layer; may be empty.
        attempts: the images, rates and stops of each network.
        schedule: epochs, batches and seed.
        pooling: what turns maps into vectors, trained too.
        loss: of numbers; see :class:`headfit.fitting.problem.Problem`.
        progress: reports the fraction done, up to 1, after each epoch.
        memory: bytes for weights, moments and gradients; networks are trained in turns if they
            need more, one at a time at the least.
        follow: called after each epoch with the networks that are trained in this turn, the number
            of the epoch, and what their weights are so far, as in ``Networks``.

    Returns:
        The networks, in the order of the attempts.

    Raises:
        ValueError: if shapes do not agree or a value is out of its range.
    """
    _check_images(features.shape, len(targets), 2 if pooling is None else 4)
    models = _checked(attempts, len(targets), schedule)
    centred, shape = pooling is not None and not pooling.readout, tuple(features.shape[1:])
    kind = HUBER if targets.kind == NUMBER and loss == HUBER else targets.kind
    design = Design(shape, tuple(body), targets.count, pooling, centred, kind)
    trainer = trainer_of(design, features)
    begin = starts(design, features, targets, schedule.seed)
    _, batch = schedule.shape(len(targets))
    chunks = _chunks(len(models.train), design.size + batch * design.activations(), memory)
    parts: list[Networks] = []
    for turn, chunk in enumerate(chunks):
        part = models.of(chunk)
        start, share = begin(part.train), progress.part(turn, len(chunks))
        told = None if follow is None else partial(follow, chunk)
        parts.append(_train_chunk(trainer, targets, design, part, start, schedule, share, told))
    return Networks(
        [np.concatenate(arrays) for arrays in zip(*(part.weights for part in parts), strict=True)],
        np.concatenate([part.watch_loss for part in parts], axis=1),
    )


def scores(
    weights: Sequence[Floats],
    body: Sequence[Step],
    features: Floats | Maps,
    pooling: TrainedPooling | None = None,
) -> npt.NDArray[np.float64]:
    """Give what M networks put out before the link.

    Args:
        weights: of ``Networks``.
        body: the steps that they were trained with; dropout does nothing here.
        features: float32 (n, d), or with a pooling maps (n, H, W, C), scaled as in training.
        pooling: the one that they were trained with.

    Returns:
        float64 (M, n, K); the link of the targets' kind makes predictions of it.
    """
    classes = weights[-1].shape[1]
    design = Design(tuple(features.shape[1:]), tuple(body), classes, pooling)
    raised = trainer_of(design, features).scores([jnp.asarray(w) for w in weights])
    return raised.astype(np.float64)


def _train_chunk(
    trainer: Trainer,
    targets: Targets,
    design: Design,
    models: _Models,
    start: Sequence[Floats],
    schedule: Schedule,
    progress: Progress,
    follow: Callable[[int, list[Floats]], None] | None,
) -> Networks:
    n, m = models.train.shape[1], len(models.train)
    counted = targets.loss_weights
    middle, spread = standard_units(targets, models.train, design.kind)
    data = Data(
        aims_of(targets, middle, spread),
        jnp.asarray(models.train.T),
        jnp.asarray(models.rates),
        jnp.asarray(models.decays),
        None if counted is None else jnp.asarray(counted, dtype=jnp.float32),
    )
    state = first_state(start)
    factors = schedule.factors(n)
    losses = np.full((schedule.epochs, m), np.nan)
    watched = _watched(models.watch)
    last = int(models.stops.max())
    for epoch in range(last):
        numbers = np.arange(factors.shape[1], dtype=np.int32) + epoch * factors.shape[1] + 1
        rows = schedule.rows(n, epoch)
        active = jnp.asarray(models.stops > epoch)
        steps = Steps(rows, rows, factors[epoch], numbers)
        state = trainer.steps(state, data, steps, active, schedule.seed)
        # Waiting here, not at the end, lets Ctrl-C through and keeps progress truthful.
        state.weights[-1].block_until_ready()
        losses[epoch] = _watch(trainer, design, state.weights, data, watched)
        if follow is not None:
            follow(epoch, _finished(trainer, design, state.weights, data, middle, spread))
        progress((epoch + 1) / last)
    losses[last:] = (
        losses[last - 1] if last else _watch(trainer, design, state.weights, data, watched)
    )
    weights = _finished(trainer, design, state.weights, data, middle, spread)
    return Networks(weights, losses)


def _finished(
    trainer: Trainer,
    design: Design,
    weights: list[Array],
    data: Data,
    middle: Reals | None,
    spread: Reals | None,
) -> list[Floats]:
    """Write the weights as those of networks that take features and give targets as they are."""
    settled = [np.array(array) for array in _settled(trainer, design, weights, data)]
    settled = _uncentred(design, settled) if design.centred else settled
    if middle is not None and spread is not None:
        settled = in_own_units(design, settled, middle, spread)
    return settled


def _uncentred(design: Design, weights: Sequence[Floats]) -> list[Floats]:
    """Make the shift and the scale of the vectors part of the next layer, network by network."""
    at, models = design.before, range(len(weights[0]))
    middles, scales = weights[at - 2 : at]
    rest = [
        unscaled(design.body, [w[m] for w in weights[at:]], middles[m], float(scales[m]))
        for m in models
    ]
    return [*weights[: at - 2], *(np.stack(arrays) for arrays in zip(*rest, strict=True))]


def _settled(trainer: Trainer, design: Design, weights: list[Array], data: Data) -> list[Array]:
    return trainer.settled(weights, data.train) if design.normalises else weights


def _watched(masks: Bools) -> tuple[Ints, Ints]:
    """Turn masks into rows, int32 (M, w), w the largest count, and the counts (M,)."""
    counts = masks.sum(axis=1)
    rows = np.zeros((len(masks), counts.max()), np.int32)
    for model, mask in enumerate(masks):
        rows[model, : counts[model]] = np.flatnonzero(mask)
    return rows, counts


def _watch(
    trainer: Trainer, design: Design, weights: list[Array], data: Data, watched: tuple[Ints, Ints]
) -> Reals:
    rows, counts = watched
    if rows.shape[1] == 0:
        return np.full(len(rows), np.nan)
    settled = _settled(trainer, design, weights, data)
    losses = trainer.losses(settled, data.aims, rows).astype(np.float64)
    counted = np.arange(rows.shape[1]) < counts[:, None]
    if data.weights is not None:
        weights_of = np.asarray(data.weights, np.float64)[rows]
        losses *= weights_of
        counts = np.sum(weights_of, axis=1, where=counted)
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


def _check_images(shape: tuple[int, ...], images: int, axes: int) -> None:
    if len(shape) != axes or shape[0] != images or not images:
        wanted = "(n, d)" if axes == 2 else "(n, H, W, C)"
        raise ValueError(f"features must be {wanted} with n = {images} >= 1, not {shape}.")


def _checked(attempts: Attempts, images: int, schedule: Schedule) -> _Models:
    """Fill in what was left out, and see that all is of the same M."""
    train = np.asarray(attempts.train, bool)
    watch, stops = attempts.watch, attempts.stop_epochs
    models = _Models(
        train,
        np.zeros_like(train) if watch is None else np.asarray(watch, bool),
        np.asarray(attempts.learning_rates, np.float32),
        np.asarray(attempts.weight_decays, np.float32),
        np.full(len(train), schedule.epochs) if stops is None else np.asarray(stops),
    )
    m = len(train)
    wanted = ((m, images), (m, images), (m,), (m,), (m,))
    if m == 0 or tuple(values.shape for values in models) != wanted:
        shapes = {name: values.shape for name, values in models._asdict().items()}
        raise ValueError(f"masks must be (M, {images}) and the rest (M,), M >= 1, not {shapes}.")
    if models.stops.min() < 0 or models.stops.max() > schedule.epochs:
        raise ValueError(f"stop_epochs must be in 0..{schedule.epochs}, not {models.stops}.")
    return models
