"""The part of a model that can be converted: one map, its pooling and the dense layer after it.

This module imports Keras and runs in a child process (see :mod:`headfit.util.child`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from headfit.backbones.graphs.boundary import find_boundary
from headfit.backbones.graphs.trace import Call, Tensor, Trace
from headfit.errors import ModelFileError

GAP, FLATTEN, SPATIAL_PRIOR = "gap", "flatten", "spatial_prior"
EXPECTED = (
    "expected GlobalAveragePooling2D or Flatten, then Dense, with nothing but Dropout or "
    "BatchNormalization between them"
)
_KEPT = ("Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout", "Identity", "Flatten")
_SOFTMAX, _SIGMOID = "softmax", "sigmoid"


@dataclass(frozen=True)
class Top:
    """The layers after the map.

    Attributes:
        trace: all calls of the model.
        map_shape: height, width and channels.
        pooling: ``"gap"``, ``"flatten"``, or headfit's ``"spatial_prior"``, a kind of flatten.
        pool: the call of the pooling layer.
        between: the calls between pooling and dense layer.
        dense: the first dense layer, which is rewritten.
        rest: all calls after it.
    """

    trace: Trace
    map_shape: tuple[int, int, int]
    pooling: str
    pool: Call
    between: tuple[Call, ...]
    dense: Call
    rest: tuple[Call, ...]

    @property
    def units(self) -> int:
        """Number of units of the dense layer."""
        return int(self.dense.layer.units)

    @property
    def norms(self) -> list[Call]:
        """The normalisations between pooling and dense layer."""
        return [call for call in self.between if call.kind == "BatchNormalization"]

    @property
    def ending(self) -> str | None:
        """Output of the model: softmax, sigmoid or logits of the dense layer, else None."""
        activation = _function(self.dense.layer)
        after = [_activation(call) for call in self.rest]
        if activation == _SOFTMAX and not after:
            return _SOFTMAX
        if activation == _SIGMOID and not after:
            return _SIGMOID
        if activation == "linear" and after in ([], [_SOFTMAX]):
            return after[0] if after else "logits"
        return None

    @property
    def squashed(self) -> bool:
        """Whether the last step is a sigmoid."""
        last = self.rest[-1] if self.rest else self.dense
        return _function(last.layer) == "sigmoid" or last.kind == "Sigmoid"

    def readout(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the dense layer's kernel (features, K) and bias (K,), float32.

        Normalisations before it are folded into both, and so is headfit's spatial prior: it maps
        F_p to F̄ + s(F_p − F̄), and its transpose applies to the weights.
        """
        layer = self.dense.layer
        kernel = _array(layer.kernel)
        bias = _array(layer.bias) if layer.use_bias else np.zeros(layer.units)
        for call in reversed(self.norms):
            scale, offset = _affine(call.layer)
            bias = bias + offset @ kernel
            kernel = kernel * scale[:, None]
        if self.pooling == SPATIAL_PRIOR:
            height, width, channels = self.map_shape
            share = math.sqrt(1 - self.pool.layer.tau)
            parts = kernel.reshape(height * width, channels, -1)
            mean = parts.mean(axis=0)
            kernel = (mean + share * (parts - mean)).reshape(kernel.shape)
        return kernel.astype(np.float32), bias.astype(np.float32)


def find_top(trace: Trace) -> Top:
    """Find the map, its pooling and the first dense layer.

    Raises:
        ModelFileError: if the model has another top. The message, which names it, is a clause
            that follows the name of the file.
    """
    boundary = find_boundary(trace)
    head = [trace.calls[number] for number in boundary.head]
    if len(boundary.map.shape) != 4:
        raise ModelFileError(f"it ends in tokens, not in a feature map; {EXPECTED}")
    shape = boundary.map_shape
    if None in shape:
        raise ModelFileError(
            f"its map is {'×'.join('?' if n is None else str(n) for n in shape)}: it leaves the "
            f"size of its input open; expected a fixed input shape"
        )
    height, width, channels = (int(length or 0) for length in shape)
    readers = _readers(trace, head, boundary.map)
    if len(readers) != 1:
        names = ", ".join(map(_named, readers)) or "nothing"
        raise ModelFileError(f"its map goes into {names}; {EXPECTED}")
    pool = readers[0]
    pooling = _pooling(pool, (height, width, channels))
    between: list[Call] = []
    at = pool
    while True:
        readers = _readers(trace, head, at.output)
        if len(readers) != 1:
            names = ", ".join(map(_named, readers)) or "nothing"
            raise ModelFileError(f"{_named(pool)} is followed by {names}; {EXPECTED}")
        at = readers[0]
        if type(at.layer) is layers.Dense:
            break
        _check_between(at)
        between.append(at)
    rewritten = (pool, *between, at)
    rest = tuple(call for call in head if all(call is not other for other in rewritten))
    top = Top(trace, (height, width, channels), pooling, pool, tuple(between), at, rest)
    _check_layers(trace, rewritten)
    return top


def _readers(trace: Trace, head: Iterable[Call], tensor: Tensor) -> list[Call]:
    wanted = trace.resolve(tensor)
    return [c for c in head if any(trace.resolve(each) is wanted for each in c.inputs)]


def _pooling(call: Call, map_shape: tuple[int, int, int]) -> str:
    layer, (height, width, _) = call.layer, map_shape
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        raise ModelFileError(f"{_named(call)} takes channels first; expected channels last")
    if call.kind == "GlobalAveragePooling2D":
        return GAP
    if call.kind == "AveragePooling2D" and tuple(layer.pool_size) == (height, width):
        return GAP
    flat = tuple(call.output.shape[1:]) == (math.prod(map_shape),)
    if call.kind in ("Flatten", "Reshape") and flat:
        return FLATTEN
    if call.kind == "SpatialShrinkage":
        return SPATIAL_PRIOR
    raise ModelFileError(f"its map goes into {_named(call)}; {EXPECTED}")


def _check_between(call: Call) -> None:
    if call.kind == "BatchNormalization" and not call.training:
        if len(call.output.shape) == 2:
            return
    elif call.kind in _KEPT and (call.kind != "Flatten" or _only_squeezes(call)):
        return
    raise ModelFileError(f"{_named(call)} lies between pooling and dense layer; {EXPECTED}")


def _only_squeezes(call: Call) -> bool:
    """Whether a Flatten only flattens a vector."""
    return tuple(call.inputs[0].shape[1:-1]) in ((), (1, 1))


def _check_layers(trace: Trace, calls: Iterable[Call]) -> None:
    for call in calls:
        if sum(other.layer is call.layer for other in trace.calls) != 1:
            raise ModelFileError(
                f"{_named(call)} is used more than once; expected a layer that is used once"
            )
        if type(call.layer) is layers.Dense and (
            call.layer.quantization_mode or call.layer.lora_enabled
        ):
            raise ModelFileError(f"{_named(call)} is quantised or has LoRA; expected plain weights")


def _affine(norm: Any) -> tuple[np.ndarray, np.ndarray]:
    """Give scale and offset, float64, of a batch normalisation at inference."""
    mean, variance = _array(norm.moving_mean), _array(norm.moving_variance)
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * _array(norm.gamma)
    beta = _array(norm.beta) if norm.center else 0.0
    return scale, beta - mean * scale


def _array(variable: Any) -> np.ndarray:
    """Give the values of a variable, float64, on any backend."""
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)


def _activation(call: Call) -> str:
    if call.kind == "Softmax":
        return _SOFTMAX
    if call.kind == "Activation":
        return _function(call.layer)
    return call.kind


def _function(layer: Any) -> str:
    """Name a layer's activation."""
    activation = getattr(layer, "activation", None) or keras.activations.linear
    # not keras.activations.serialize, which imports TensorFlow where that is installed
    return str(getattr(activation, "__name__", type(activation).__name__))


def _named(call: Call) -> str:
    return f"{call.kind} '{getattr(call.layer, 'name', call.kind)}'"
