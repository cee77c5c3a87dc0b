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
from headfit.heads.body import Dense, Step

__all__ = [
    "Networks",
    "Schedule",
    "Trial",
    "predict",
    "train",
    "trials_for",
]

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.integer]
Reals = npt.NDArray[np.floating]

MEMORY = 2_000_000_000
WARMUP = 0.25
# A small folder would otherwise give too few steps: on 150 photographs, 8 steps an epoch instead of
# 5 bring the log-loss from 1.04 to 0.83 (best of three trials).
LEAST_STEPS, LEAST_BATCH = 8, 8
# Weights, two moments and gradients, float32.
_BYTES_PER_PARAMETER = 4 * 4


class Trial(NamedTuple):
    """Peak learning rate and decoupled weight decay of one attempt."""

    learning_rate: float
    weight_decay: float


# Measured with gap-1024-1024-512 on EfficientNet-Lite0 features, 5 folds, 10 epochs; held-out
# log-loss (accuracy in %) of the three trials:
#   hands showing 10 digits,   600 photographs   0.379 (88.5)   0.339 (90.0)   0.293 (91.2)
#   the same,                2,062               0.243 (91.7)   0.203 (93.7)   0.184 (94.3)
#   solar cells, 2 classes,    600               0.491 (81.3)   0.461 (81.5)   0.518 (82.2)
# The last overfit: stopped after 5 to 7 epochs they are at 0.466, 0.432 and 0.446.
# 15 networks took 32 s on 600 images and, on cores shared with others, 145 s on 2,062.
# At (2e-3, 10) on 600 digits, 2 folds, 5 steps an epoch: 6 epochs 0.39, 10 0.26, 20 0.25. There,
# a weight decay of 30 is worse (0.38), as is one of 3 (0.38).
TRIALS = (Trial(5e-4, 3.0), Trial(1e-3, 10.0), Trial(3e-3, 10.0))
QUICK_TRIALS = (Trial(1e-3, 10.0),)
# Without a hidden layer there is one matrix to learn and larger steps pay: gap-dropout0.4 on 688
# digits has a log-loss of 0.50, 0.28 to 0.30, 0.28 and 0.39 to 0.43 at 3e-3, 1e-2, 3e-2 and 1e-1.
SHALLOW_TRIALS = (Trial(1e-2, 1.0), Trial(3e-2, 0.1), Trial(3e-2, 1.0))
QUICK_SHALLOW_TRIALS = (Trial(1e-2, 1.0),)


def trials_for(body: Sequence[Step], *, quick: bool) -> tuple[Trial, ...]:
    """Give the attempts for a body; as many for every body."""
    if any(isinstance(step, Dense) for step in body):
        return QUICK_TRIALS if quick else TRIALS
    return QUICK_SHALLOW_TRIALS if quick else SHALLOW_TRIALS


@dataclass(frozen=True)
class Schedule:
    """How long and in what order.

    Attributes:
        epochs: passes over the images.
        batch_size: images in a step, at most; they are dealt evenly, so 2,000 make 16 × 125,
            and a small folder makes smaller batches rather than fewer than 8 steps.
        seed: of the first weights, the order of the images and the dropout masks.
    """

    epochs: int = 10
    batch_size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not 0 <= self.seed < 2**32:
            raise ValueError(f"epochs, batch_size must be >= 1, seed in 0..2³²−1, not {self}.")

    def shape(self, images: int) -> tuple[int, int]:
        """Return the steps of an epoch and the images of a step."""
        least = min(LEAST_STEPS, math.ceil(images / LEAST_BATCH))
        steps = max(math.ceil(images / self.batch_size), least)
        return steps, math.ceil(images / steps)

    def factors(self, images: int) -> Floats:
        """Give each step's share of the peak learning rate: linear warm-up, then a half cosine.

        Returns:
            float32 (epochs, steps), in (0, 1].
        """
        steps, _ = self.shape(images)
        done = (np.arange(self.epochs * steps) + 0.5) / (self.epochs * steps)
        falling = 0.5 + 0.5 * np.cos(np.pi * (done - WARMUP) / (1.0 - WARMUP))
        factors = np.where(done < WARMUP, done / WARMUP, falling)
        return factors.astype(np.float32).reshape(self.epochs, steps)

    def rows(self, images: int, epoch: int) -> npt.NDArray[np.int32]:
        """Deal one epoch's images, shuffled, to its steps.

        Returns:
            int32 (steps, batch); every image once, then −1 for the places left empty.
        """
        steps, size = self.shape(images)
        rows = np.full(steps * size, -1, np.int32)
        rows[:images] = np.random.default_rng((self.seed, epoch)).permutation(images)
        # Column by column, so that the empty places are spread over the steps.
        return np.ascontiguousarray(rows.reshape(size, steps).T)


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
