"""What the layers of a network do to turned maps: (channels, height, width, images).

Imports Keras and JAX.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from keras import layers

from headfit.finetuning.convolution import MOST_VALUES, convolve, convolve_back, window_values
from headfit.finetuning.depthwise import PADDINGS, depthwise

Array = jax.Array
# functions of one value; softmax is none
_ACTIVATIONS = {
    *("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "swish", "tanh"),
    *("sigmoid", "hard_sigmoid", "hard_silu", "hard_swish", "mish", "softplus", "softsign"),
}


@dataclass(frozen=True)
class Turned:
    """A turned map."""

    array: Array


def turn(value: Turned | Array) -> Array:
    """Turn a map, unless it is turned already."""
    return value.array if isinstance(value, Turned) else value.transpose(3, 1, 2, 0)


def turn_back(value: Turned | Array) -> Array:
    """Give a map as Keras has it, (images, height, width, channels)."""
    return value.array.transpose(3, 1, 2, 0) if isinstance(value, Turned) else value


class Rules:
    """How each call of a graph is computed.

    Args:
        calls: of the graph, in its order.
        learning: whether batch normalisations take the statistics of the batch, and move theirs.
    """

    def __init__(self, calls: list[Any], *, learning: bool = False) -> None:
        self._learning = learning
        self._norms = {} if learning else _norms_of_convolutions(calls)
        self._last = _last_convolution(calls)
        self._applied: set[int] = set()

    def apply(self, operation: Any, inputs: list[Any]) -> Any:
        """Compute a call.

        Args:
            operation: the layer.
            inputs: what it is called on, turned or not.

        Returns:
            The result, turned or not, or None if the layer has to be called as it is.
        """
        if id(operation) in self._applied:
            return inputs[0]
        rule = _RULES.get(type(operation))
        if self._learning and rule is _normalisation:
            rule = _learning_normalisation
        if rule is None:
            return None
        if rule is not _convolution:
            return rule(operation, inputs)
        norm = self._norms.get(id(operation))
        result = _convolution(operation, inputs, norm, back=operation is self._last)
        if norm is not None and result is not None:
            self._applied.add(id(norm))
        return result


def _norms_of_convolutions(calls: list[Any]) -> dict[int, Any]:
    """Find the convolutions whose result only a batch normalisation uses, which can be one step."""
    uses = Counter(id(tensor) for node in calls for tensor in node.input_tensors)
    called = Counter(id(node.operation) for node in calls)
    makers = {id(tensor): node.operation for node in calls for tensor in node.outputs}
    found = {}
    for node in calls:
        norm, source = node.operation, node.input_tensors[0]
        if not isinstance(norm, layers.BatchNormalization) or norm.axis not in (-1, 3):
            continue
        maker = makers.get(id(source))
        alone = uses[id(source)] == called[id(maker)] == called[id(norm)] == 1
        if alone and _RULES.get(type(maker)) is _convolution and _is_linear(maker):
            found[id(maker)] = norm
    return found


def _last_convolution(calls: list[Any]) -> Any:
    """Find the convolution of 1 × 1 that only functions of single values follow, if there is one.

    It can give a map as Keras has it, which costs more to turn back than to compute.
    """
    for node in reversed(calls):
        layer = node.operation
        if type(layer) is layers.Conv2D and set(layer.kernel_size) == {1}:
            return layer
        if type(layer) not in (layers.BatchNormalization, layers.ReLU, layers.Activation):
            break
    return None


def _is_linear(layer: Any) -> bool:
    return bool(getattr(layer.activation, "__name__", "") == "linear")


def _affine(norm: Any) -> tuple[Array, Array]:
    """Give the factor and the summand of a batch normalisation in inference mode, each (C,)."""
    factor = jax.lax.rsqrt(_value(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        factor = factor * _value(norm.gamma)
    summand = -_value(norm.moving_mean) * factor
    return factor, summand + _value(norm.beta) if norm.center else summand


def _value(variable: Any) -> Array:
    return jnp.asarray(variable.value, jnp.float32)


def _convolution(
    layer: Any, inputs: list[Any], norm: Any = None, *, back: bool = False
) -> Turned | Array | None:
    """Convolve, with the batch normalisation that follows if there is one, and turn ``back``."""
    stride, more = layer.strides[0], set(layer.strides[1:])
    depth = isinstance(layer, layers.DepthwiseConv2D)
    usual = layer.depth_multiplier == 1 if depth else layer.groups == 1
    usual &= set(layer.dilation_rate) == {1} and not more - {stride}
    if not usual or layer.data_format != "channels_last" or layer.padding not in PADDINGS:
        return None
    if not _is_elementwise(layer.activation):
        return None
    maps, kernel = turn(inputs[0]), _value(layer.kernel)
    if depth:
        kernel = kernel[..., 0]
    elif window_values(maps, kernel, stride) > MOST_VALUES:
        return None
    summand = _value(layer.bias) if layer.use_bias else None
    if norm is not None:
        factor, shift = _affine(norm)
        kernel = _scaled(kernel, factor)
        summand = shift if summand is None else summand * factor + shift
    if back:
        result = convolve_back(maps, kernel, stride)
        shifted: Array = layer.activation(result if summand is None else result + summand)
        return shifted
    result = (depthwise if depth else convolve)(maps, kernel, stride, layer.padding)
    if summand is not None:
        result = result + summand[:, None, None, None]
    return Turned(layer.activation(result))


@jax.custom_vjp
def _scaled(kernel: Array, factor: Array) -> Array:
    """Multiply a kernel (…, D) by a factor (D,), whose gradient XLA would sum up slowly."""
    return kernel * factor


def _scaled_forward(kernel: Array, factor: Array) -> tuple[Array, tuple[Array, Array]]:
    return kernel * factor, (kernel, factor)


def _scaled_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    kernel, factor = saved
    products = (gradient * kernel).reshape(-1, len(factor))
    return gradient * factor, jnp.ones(len(products)) @ products


_scaled.defvjp(_scaled_forward, _scaled_backward)


def _normalisation(layer: Any, inputs: list[Any]) -> Turned | None:
    if not isinstance(inputs[0], Turned) or layer.axis not in (-1, 3):
        return None
    factor, summand = (each[:, None, None, None] for each in _affine(layer))
    return Turned(inputs[0].array * factor + summand)


def _learning_normalisation(layer: Any, inputs: list[Any]) -> Turned | None:
    if not isinstance(inputs[0], Turned) or layer.axis not in (-1, 3):
        return None
    maps, rest = inputs[0].array, 1.0 - layer.momentum
    mean = maps.mean((1, 2, 3))
    centred = maps - mean[:, None, None, None]
    variance = jnp.square(centred).mean((1, 2, 3))
    for moving, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(layer.momentum * _value(moving) + rest * jax.lax.stop_gradient(now))
    factor = jax.lax.rsqrt(variance + layer.epsilon)
    if layer.scale:
        factor = factor * _value(layer.gamma)
    result = centred * factor[:, None, None, None]
    return Turned(result + _value(layer.beta)[:, None, None, None] if layer.center else result)


def _elementwise(layer: Any, inputs: list[Any]) -> Turned | None:
    """Call a layer for which the order of the axes does not matter."""
    if not all(isinstance(value, Turned) or value.ndim == 4 for value in inputs):
        return None
    if not any(isinstance(value, Turned) for value in inputs):
        return None
    if isinstance(layer, layers.Activation) and not _is_elementwise(layer.activation):
        return None
    if isinstance(layer, layers.Dropout) and layer.noise_shape is not None:
        return None
    maps = [turn(value) for value in inputs]
    return Turned(layer(maps if isinstance(layer, _MERGES) else maps[0]))


def _is_elementwise(activation: Any) -> bool:
    return getattr(activation, "__name__", "") in _ACTIVATIONS


def _concatenation(layer: Any, inputs: list[Any]) -> Turned | None:
    if layer.axis not in (-1, 3) or not any(isinstance(value, Turned) for value in inputs):
        return None
    return Turned(jnp.concatenate([turn(value) for value in inputs]))


def _zero_padding(layer: Any, inputs: list[Any]) -> Turned | None:
    if not isinstance(inputs[0], Turned) or layer.data_format != "channels_last":
        return None
    return Turned(jnp.pad(inputs[0].array, ((0, 0), *layer.padding, (0, 0))))


def _average(layer: Any, inputs: list[Any]) -> Array | None:
    if not isinstance(inputs[0], Turned) or layer.data_format != "channels_last":
        return None
    means = inputs[0].array.mean((1, 2)).T
    return means[:, None, None] if layer.keepdims else means


_MERGES = (layers.Add, layers.Multiply, layers.Subtract, layers.Average, layers.Maximum)
_RULES: dict[type, Callable[..., Any]] = {
    layers.Conv2D: _convolution,
    layers.DepthwiseConv2D: _convolution,
    layers.BatchNormalization: _normalisation,
    **dict.fromkeys(_MERGES, _elementwise),
    **dict.fromkeys((layers.ReLU, layers.LeakyReLU, layers.ELU), _elementwise),
    **dict.fromkeys((layers.Activation, layers.Dropout), _elementwise),
    layers.Concatenate: _concatenation,
    layers.ZeroPadding2D: _zero_padding,
    layers.GlobalAveragePooling2D: _average,
}
