"""Steps of AdamW for M networks of one design at once, on batches that they share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from headfit.fitting.descent.losses import LOSSES, Aims
from headfit.fitting.descent.network import Array, Design, Floats, after, pool

# A memory of 100 steps, not the usual 1000: a whole training here is some 50 to 200 steps.
FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.99, 1e-7


class State(NamedTuple):
    """Weights and AdamW's two moments of M networks, lists of one shape."""

    weights: list[Array]
    first: list[Array]
    second: list[Array]


class Data(NamedTuple):
    """What differs between images and between networks, and no step changes."""

    aims: Aims  # of the n images
    train: Array  # bool (n, M)
    rates: Array  # float32 (M,)
    decays: Array  # float32 (M,)
    weights: Array | None = None  # float32 (n,), of the images' losses, 1 on average


class Steps(NamedTuple):
    """S steps of B images each."""

    rows: Any  # int32 (S, B), which images; −1 for a place left empty
    places: Any  # int32 (S, B), where among the features given
    factors: Any  # float32 (S,), share of the peak learning rate
    numbers: Any  # int32 (S,), from 1 at the start of training


def first_state(start: Sequence[Floats]) -> State:
    """Start M networks from these weights, each with M in front, with no moments yet."""
    weights = [jnp.asarray(array) for array in start]
    first, second = ([jnp.zeros_like(array) for array in weights] for _ in range(2))
    return State(weights, first, second)


@partial(jax.jit, static_argnames="design", donate_argnames="state")
def run_steps(
    state: State,
    images: Array,
    data: Data,
    steps: Steps,
    active: Array,
    seed: Array,
    design: Design,
) -> State:
    """Take some steps; ``images`` float32 (m, d), or maps (m, P, C)."""
    # The kind is named because a user's JAX configuration could change the default.
    source = jax.random.key(seed, impl="threefry2x32")

    def step(state: State, now: Steps) -> tuple[State, None]:
        key = jax.random.fold_in(source, now.numbers)
        gradients = jax.grad(_loss)(state.weights, images[now.places], data, now.rows, key, design)
        return adamw(state, gradients, data, now, active, design.decays), None

    return jax.lax.scan(step, state, steps)[0]


def _loss(
    weights: list[Array], images: Array, data: Data, rows: Array, key: Array, design: Design
) -> Array:
    """Sum over the networks of each one's mean loss over its images in the batch.

    No network's weights enter another's term, so the gradient of the sum holds every gradient.
    """
    counts = (data.train[rows] & (rows >= 0)[:, None]).T.astype(jnp.float32)

    def one(network: list[Array], counted: Array) -> Array:
        # The images, and so the first product's left side, are shared.
        return after(network, design, pool(network, design, images), counted, key)

    scores = jax.vmap(one)(weights, counts)  # (M, B, K)
    losses = LOSSES[design.kind](scores, data.aims.of(rows))
    if data.weights is not None:
        losses = losses * data.weights[rows]
    return jnp.sum(jnp.sum(counts * losses, axis=1) / jnp.maximum(jnp.sum(counts, axis=1), 1.0))


def adamw(
    state: State,
    gradients: list[Array],
    data: Data,
    now: Steps,
    active: Array,
    decays: tuple[bool, ...],
) -> State:
    """Take one step along the gradients, each with M in front; ``now`` is one step without S."""
    updated = [
        _adamw_one(arrays, gradient, decayed, data, now, active)
        for *arrays, gradient, decayed in zip(*state, gradients, decays, strict=True)
    ]
    return State(*(list(arrays) for arrays in zip(*updated, strict=True)))


def _adamw_one(
    arrays: Sequence[Array], gradient: Array, decayed: bool, data: Data, now: Steps, active: Array
) -> tuple[Array, Array, Array]:
    """Update one array of all networks, and its two moments."""
    weight, first, second = arrays
    across = (-1,) + (1,) * (weight.ndim - 1)
    rate = (data.rates * now.factors).reshape(across)
    decay = data.decays.reshape(across) if decayed else 0.0
    number = now.numbers.astype(jnp.float32)
    first = FIRST_DECAY * first + (1.0 - FIRST_DECAY) * gradient
    second = SECOND_DECAY * second + (1.0 - SECOND_DECAY) * gradient**2
    mean = first / (1.0 - FIRST_DECAY**number)
    scale = jnp.sqrt(second / (1.0 - SECOND_DECAY**number)) + EPSILON
    moved = weight - rate * (mean / scale + decay * weight)
    # Chosen, not multiplied by 0: a stopped network must survive that its gradients overflow.
    return jnp.where(active.reshape(across), moved, weight), first, second
