"""Small multilayer perceptrons: first weights, forward pass, an epoch of AdamW for M at once.

Weights travel as one flat list: kernel (in, out), bias (out,) of each ``Dense`` of the body in its
order, then those of the final layer over the K classes. Many networks of one shape are the same
list with a leading axis M.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from headfit.heads.body import Dense, Step

Array = jax.Array
Floats = npt.NDArray[np.float32]

# Keras' definitions, which differ from JAX' defaults: gelu is exact, leaky_relu's slope is 0.2.
_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
    "elu": jax.nn.elu,
    "leaky_relu": partial(jax.nn.leaky_relu, negative_slope=0.2),
    "selu": jax.nn.selu,
    "linear": lambda x: x,
}
_HE = frozenset({"relu", "gelu", "silu", "elu", "leaky_relu"})

# A memory of 100 steps, not the usual 1000: a whole training here is some 50 to 200 steps.
FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.99, 1e-7
LOG_CLIP = 1e-15  # as in the metrics: a log-loss of at most 34.5 nats


class State(NamedTuple):
    """Weights and AdamW's two moments of M networks, lists of one shape."""

    weights: list[Array]
    first: list[Array]
    second: list[Array]


class Data(NamedTuple):
    """What an epoch's program reads and leaves as it is."""

    features: Array  # float32 (n, d)
    labels: Array  # int32 (n,)
    train: Array  # bool (n, M)
    rates: Array  # float32 (M,)
    decays: Array  # float32 (M,)


def widths(features: int, body: Sequence[Step], classes: int) -> list[int]:
    """List the widths from the features over every ``Dense`` to the classes."""
    return [features, *(step.units for step in body if isinstance(step, Dense)), classes]


def initial_weights(features: int, body: Sequence[Step], classes: int, seed: int) -> list[Floats]:
    """Draw the weights that every network of this shape starts from.

    Normal kernels: He's variance before rectifier-like activations, LeCun's before ``selu``,
    Glorot's otherwise and in the final layer; zero biases. numpy draws them, so that they do not
    depend on JAX' version or configuration.

    Returns:
        float32, alternating kernel (in, out) and bias (out,).
    """
    rng = np.random.default_rng(seed)
    activations = [step.activation for step in body if isinstance(step, Dense)]
    shapes = itertools.pairwise(widths(features, body, classes))
    weights: list[Floats] = []
    for (inward, outward), activation in zip(shapes, [*activations, "softmax"], strict=True):
        deviation = np.float32(np.sqrt(_variance(inward, outward, activation)))
        weights.append(rng.standard_normal((inward, outward), dtype=np.float32) * deviation)
        weights.append(np.zeros(outward, np.float32))
    return weights


def _variance(inward: int, outward: int, activation: str) -> float:
    if activation in _HE:
        return 2.0 / inward
    return 1.0 / inward if activation == "selu" else 2.0 / (inward + outward)


def logits(
    weights: Sequence[Array], body: Sequence[Step], features: Array, key: Array | None = None
) -> Array:
    """Run one network.

    Args:
        weights: alternating kernel and bias, see the top of this file.
        body: the steps before the final layer.
        features: float32 (n, d).
        key: the source of the dropout masks; None is inference, without dropout.

    Returns:
        float32 (n, K), before the softmax.
    """
    remaining = iter(weights)
    hidden = features
    for place, step in enumerate(body):
        if isinstance(step, Dense):
            hidden = hidden @ next(remaining) + next(remaining)
            hidden = _ACTIVATIONS[step.activation](hidden)
        elif key is not None and step.rate > 0:
            hidden = _drop(hidden, step.rate, jax.random.fold_in(key, place))
    return hidden @ next(remaining) + next(remaining)


_logits = jax.jit(logits, static_argnums=1)


def _drop(hidden: Array, rate: float, key: Array) -> Array:
    kept = jax.random.uniform(key, hidden.shape, jnp.float32) >= rate
    return jnp.where(kept, hidden / (1.0 - rate), 0.0)


def first_state(start: Sequence[Floats], models: int) -> State:
    """Start M networks from the same weights, with no moments yet."""
    weights = [jnp.tile(array, (models,) + (1,) * array.ndim) for array in start]
    first, second = ([jnp.zeros_like(array) for array in weights] for _ in range(2))
    return State(weights, first, second)


@partial(jax.jit, static_argnames="body", donate_argnames="state")
def run_epoch(
    state: State,
    data: Data,
    steps: tuple[Array, Array, Array],
    active: Array,
    seed: Array,
    body: tuple[Step, ...],
) -> State:
    """Take an epoch's steps: rows int32 (S, B), factors float32 (S,), numbers int32 (S,) from 1."""
    # The kind is named because a user's JAX configuration could change the default.
    source = jax.random.key(seed, impl="threefry2x32")

    def step(state: State, now: tuple[Array, Array, Array]) -> tuple[State, None]:
        rows, factor, number = now
        key = jax.random.fold_in(source, number)
        gradients = jax.grad(_loss)(state.weights, data, rows, key, body)
        return _adamw(state, gradients, data, factor, number, active), None

    return jax.lax.scan(step, state, steps)[0]


def _loss(
    weights: list[Array], data: Data, rows: Array, key: Array, body: tuple[Step, ...]
) -> Array:
    """Sum over the networks of each one's mean cross-entropy over its images in the batch.

    No network's weights enter another's term, so the gradient of the sum holds every gradient.
    """
    features, labels = data.features[rows], data.labels[rows]
    # (M, B, K): the features, and so the first product's left side, are shared.
    scores = jax.vmap(lambda own: logits(own, body, features, key))(weights)
    given = jnp.take_along_axis(jax.nn.log_softmax(scores), labels[None, :, None], axis=2)[..., 0]
    counts = (data.train[rows] & (rows >= 0)[:, None]).T.astype(given.dtype)
    return -jnp.sum(jnp.sum(counts * given, axis=1) / jnp.maximum(jnp.sum(counts, axis=1), 1.0))


def _adamw(
    state: State, gradients: list[Array], data: Data, factor: Array, number: Array, active: Array
) -> State:
    updated = [
        _adamw_one(*arrays, data, factor, number.astype(jnp.float32), active)
        for arrays in zip(*state, gradients, strict=True)
    ]
    return State(*(list(arrays) for arrays in zip(*updated, strict=True)))


def _adamw_one(
    weight: Array,
    first: Array,
    second: Array,
    gradient: Array,
    data: Data,
    factor: Array,
    number: Array,
    active: Array,
) -> tuple[Array, Array, Array]:
    """Update one array of all networks; kernels are those of three axes, with M in front."""
    across = (-1,) + (1,) * (weight.ndim - 1)
    rate = (data.rates * factor).reshape(across)
    decay = data.decays.reshape(across) if weight.ndim == 3 else 0.0
    first = FIRST_DECAY * first + (1.0 - FIRST_DECAY) * gradient
    second = SECOND_DECAY * second + (1.0 - SECOND_DECAY) * gradient**2
    mean = first / (1.0 - FIRST_DECAY**number)
    scale = jnp.sqrt(second / (1.0 - SECOND_DECAY**number)) + EPSILON
    moved = weight - rate * (mean / scale + decay * weight)
    # Chosen, not multiplied by 0: a stopped network must survive that its gradients overflow.
    return jnp.where(active.reshape(across), moved, weight), first, second


@partial(jax.jit, static_argnames="body")
def watched_losses(weights: list[Array], data: Data, rows: Array, body: tuple[Step, ...]) -> Array:
    """Return each network's −ln p on its own rows, float32 (M, w).

    One network after another: the rows differ, and only a few images are anyone's to watch.
    """

    def one(item: tuple[list[Array], Array]) -> Array:
        own, picked = item
        scores = jax.nn.log_softmax(logits(own, body, data.features[picked]))
        given = jnp.take_along_axis(scores, data.labels[picked][:, None], axis=1)[:, 0]
        return jnp.minimum(-given, -math.log(LOG_CLIP))

    losses: Array = jax.lax.map(one, (weights, rows))
    return losses


def predict(
    weights: Sequence[Floats], body: Sequence[Step], features: Floats
) -> npt.NDArray[np.float64]:
    """Predict with M networks.

    Args:
        weights: of ``Networks``.
        body: the steps that they were trained with; dropout does nothing here.
        features: float32 (n, d), scaled as in training.

    Returns:
        Probabilities, float64 (M, n, K), rows summing to 1.
    """
    images = jnp.asarray(features)
    scores = [
        np.asarray(_logits([array[model] for array in weights], tuple(body), images))
        for model in range(len(weights[0]))
    ]
    raised = np.stack(scores).astype(np.float64)
    powers = np.exp(raised - raised.max(axis=2, keepdims=True))
    return np.asarray(powers / powers.sum(axis=2, keepdims=True))
