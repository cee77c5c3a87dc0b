"""One head that is trained by gradient descent: its arrays, first weights and forward pass.

Weights travel as one flat list: those of the pooling, if it has any; where its vectors are centred,
the middle (width,) and the scale () that does it; of each step of the body in
its order (``Dense``: kernel (in, out) and bias (out,); ``BatchNorm``: γ, β, mean and variance, as
Keras lists them); kernel and bias of the final layer over the K classes, or the bias alone where
the pooling puts out logits. Many networks of one design are the same list with a leading axis M.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from headfit.heads.body import BATCH_NORM_EPSILON, BatchNorm, Dense, Dropout, Step
from headfit.heads.pooling import MapShape
from headfit.heads.trained import TrainedPooling, Weight
from headfit.images.targets import CLASS

Array = jax.Array
Floats = npt.NDArray[np.float32]
Numbers = float | npt.NDArray[np.floating]

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


class Slot(NamedTuple):
    """One array of the list.

    Attributes:
        shape: of one network's.
        decay: whether weight decay applies.
        deviation: of the normal numbers that it starts from; 0 for none.
        start: what is added to them.
    """

    shape: tuple[int, ...]
    decay: bool = False
    deviation: float = 0.0
    start: float = 0.0


@dataclass(frozen=True)
class Design:
    """Everything of a network but its numbers.

    Attributes:
        inputs: (d,) where it is given vectors, (H, W, C) where it is given maps.
        body: the steps between the features and the final layer.
        classes: K.
        kind: of the targets, or the name of another loss.
        pooling: what turns maps into vectors with weights of its own; None for vectors.
        centred: whether what the pooling gives is shifted and scaled by constants while training.
            Adam steps alike in all directions, so what all vectors have in common would shake the
            logits at every step. :func:`unscaled` makes the constants part of the next layer.
    """

    inputs: tuple[int, ...]
    body: tuple[Step, ...]
    classes: int
    pooling: TrainedPooling | None = None
    centred: bool = False
    kind: str = CLASS

    @property
    def normalises(self) -> bool:
        """Whether some layer needs the statistics of the training images."""
        if self.pooling is not None and self.pooling.settles(self.map_shape):
            return True
        return any(isinstance(step, BatchNorm) for step in self.body)

    @property
    def readout(self) -> bool:
        """Whether the pooling gives the logits but for their bias."""
        return self.pooling is not None and self.pooling.readout

    @property
    def map_shape(self) -> MapShape:
        """Height, width and channels, where it is given maps."""
        height, width, channels = self.inputs
        return height, width, channels

    @property
    def pooling_weights(self) -> tuple[Weight, ...]:
        """The pooling's arrays."""
        return self.pooling.weights(self.map_shape, self.classes) if self.pooling else ()

    @property
    def before(self) -> int:
        """How many arrays come before those of the body."""
        return len(self.pooling_weights) + 2 * self.centred

    @property
    def width(self) -> int:
        """Features before the body."""
        return self.pooling.width(self.map_shape) if self.pooling else self.inputs[0]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of all arrays."""
        shapes = [weight.shape for weight in self.pooling_weights]
        return [*shapes, *(slot.shape for slot in self.slots())]

    @cached_property
    def decays(self) -> tuple[bool, ...]:
        """For each array, whether weight decay applies."""
        decays = [weight.decay for weight in self.pooling_weights]
        return (*decays, *(slot.decay for slot in self.slots()))

    @property
    def size(self) -> int:
        """Count the numbers in all arrays."""
        return sum(map(math.prod, self.shapes))

    def slots(self) -> Iterator[Slot]:
        """List the arrays after those of the pooling."""
        width = self.width
        if self.centred:
            yield from (Slot((width,)), Slot((), start=1.0))
        for step in self.body:
            if isinstance(step, Dense):
                yield _kernel(width, step.units, step.activation)
                yield Slot((step.units,))
                width = step.units
            elif isinstance(step, BatchNorm):
                gamma, zeros = Slot((width,), start=1.0), Slot((width,))
                yield from (gamma, zeros, zeros, gamma)
        if not self.readout:
            yield _kernel(width, self.classes, "softmax")
        yield Slot((self.classes,))

    def activations(self) -> int:
        """Count the numbers that each network forms for an image, roughly."""
        if self.pooling is not None:
            first = math.prod(self.inputs) + self.width
        else:
            # before the first dense layer all networks share the features, unless normalised
            steps = (step for step in self.body if not isinstance(step, Dropout))
            first = self.width if isinstance(next(steps, None), BatchNorm) else 0
        return first + sum(step.units for step in self.body if isinstance(step, Dense))


def _kernel(inward: int, outward: int, activation: str) -> Slot:
    if activation in _HE:
        variance = 2.0 / inward
    else:
        variance = 1.0 / inward if activation == "selu" else 2.0 / (inward + outward)
    return Slot((inward, outward), True, float(np.sqrt(variance)))


def initial_weights(design: Design, seed: int) -> list[Floats]:
    """Draw the weights that every network of a design starts from, those of the pooling apart.

    Normal kernels: He's variance before rectifier-like activations, LeCun's before ``selu``,
    Glorot's otherwise and in the final layer; zero biases. numpy draws them, so that they do not
    depend on JAX' version or configuration.

    Returns:
        float32, in the order of :meth:`Design.slots`.
    """
    rng = np.random.default_rng(seed)
    weights: list[Floats] = []
    for slot in design.slots():
        array = np.full(slot.shape, slot.start, np.float32)
        if slot.deviation:
            array += rng.standard_normal(slot.shape, dtype=np.float32) * np.float32(slot.deviation)
        weights.append(array)
    return weights


def pool(weights: Sequence[Array], design: Design, images: Array) -> Array:
    """Give the vectors before the body, centred if the design says so.

    Args:
        weights: of one network, all of them.
        design: which network.
        images: float32 (n, d), or maps (n, P, C).

    Returns:
        float32 (n, width).
    """
    if design.pooling is None:
        return images
    count = len(design.pooling_weights)
    pooled: Array = design.pooling.forward(jnp, images, list(weights[:count]))
    return centre(weights, design, pooled)


def centre(weights: Sequence[Array], design: Design, vectors: Array) -> Array:
    """Shift and scale what a pooling gives by the network's constants, if it has any."""
    if not design.centred:
        return vectors
    count = len(design.pooling_weights)
    middle, scale = (jax.lax.stop_gradient(array) for array in weights[count : count + 2])
    return (vectors - middle) * scale


def after(
    weights: Sequence[Array],
    design: Design,
    vectors: Array,
    counts: Array | None = None,
    key: Array | None = None,
) -> Array:
    """Run what follows the pooling.

    Args:
        weights: of one network, all of them.
        design: which network.
        vectors: float32 (n, width).
        counts: float32 (n,), 1 for the images whose mean and variance normalise the batch; None
            takes the mean and variance among the weights.
        key: the source of the dropout masks; None is inference, without dropout.

    Returns:
        float32 (n, K), before the softmax.
    """
    remaining = iter(weights[design.before :])
    hidden = vectors
    for place, step in enumerate(design.body):
        if isinstance(step, Dense):
            hidden = hidden @ next(remaining) + next(remaining)
            hidden = _ACTIVATIONS[step.activation](hidden)
        elif isinstance(step, BatchNorm):
            arrays = [next(remaining) for _ in range(4)]
            hidden = _normalise(hidden, arrays, counts)
        elif key is not None and step.rate > 0:
            hidden = _drop(hidden, step.rate, jax.random.fold_in(key, place))
    if not design.readout:
        hidden = hidden @ next(remaining)
    return hidden + next(remaining)


def settle(weights: Sequence[Array], design: Design, vectors: Array, counts: Array) -> list[Array]:
    """Put the exact statistics of a network's training images into its ``BatchNorm`` steps.

    A moving average would be of some 50 steps with weights that have changed since, and taken
    under dropout, which inference does without. So each step's mean and variance are computed
    again, from the first to the last, of what will reach it in inference.

    Args:
        weights: of one network.
        design: which network.
        vectors: float32 (n, width), see :func:`pool`.
        counts: float32 (n,), 1 for a training image.

    Returns:
        The weights; the variance is the biased one, which is what Keras normalises with.
    """
    settled = list(weights)
    at = design.before
    hidden = vectors
    for step in design.body:
        if isinstance(step, Dense):
            hidden = _ACTIVATIONS[step.activation](hidden @ settled[at] + settled[at + 1])
            at += 2
        elif isinstance(step, BatchNorm):
            settled[at + 2], settled[at + 3] = _moments(hidden, counts)
            hidden = _normalise(hidden, settled[at : at + 4], None)
            at += 4
    return settled


def unscaled(
    body: Sequence[Step], weights: Sequence[Floats], middle: Numbers, scale: float
) -> list[Floats]:
    """Turn weights on (x − middle) · scale into weights on x.

    Args:
        body: the steps after x.
        weights: of one network, those of the body and of the final layer.
        middle: (width,), or 0.
        scale: > 0.

    Returns:
        The weights, float32.
    """
    first = next((step for step in body if not isinstance(step, Dropout)), None)
    if isinstance(first, BatchNorm):
        gamma, beta, mean, variance, *rest = weights
        # ε is not scaled with the variance, so γ makes up for it
        raw = variance / scale**2
        ratio = (raw + BATCH_NORM_EPSILON) / (variance + BATCH_NORM_EPSILON)
        first_layer = [gamma * np.sqrt(ratio) * scale, beta, mean / scale + middle, raw]
    else:
        kernel, bias, *rest = weights
        wide = np.asarray(kernel, np.float64) * scale
        first_layer = [wide, bias - np.broadcast_to(middle, len(wide)) @ wide]
    return [*(np.asarray(array, np.float32) for array in first_layer), *rest]


def _moments(hidden: Array, counts: Array) -> tuple[Array, Array]:
    """Mean and biased variance of the images that count; 0 where none does."""
    shares = counts / jnp.maximum(jnp.sum(counts), 1.0)
    mean = shares @ hidden
    return mean, shares @ jnp.square(hidden - mean)


def _normalise(hidden: Array, arrays: Sequence[Array], counts: Array | None) -> Array:
    gamma, beta, mean, variance = arrays
    if counts is not None:
        mean, variance = _moments(hidden, counts)
    return (hidden - mean) * (gamma * jax.lax.rsqrt(variance + BATCH_NORM_EPSILON)) + beta


def _drop(hidden: Array, rate: float, key: Array) -> Array:
    survives = jax.random.uniform(key, hidden.shape, jnp.float32) >= rate
    return jnp.where(survives, hidden / (1.0 - rate), 0.0)
