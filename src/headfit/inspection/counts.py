"""Parameters, bytes and multiply-adds of the calls of a trace."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from headfit.backbones.graphs.trace import Call

FLOAT_BYTES = 4
KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


def parameters(calls: Iterable[Call]) -> int:
    """Count the numbers in all weights, those of a shared layer once."""
    weights = {id(weight): weight for call in calls for weight in call.weights}
    return sum(math.prod(weight.shape) for weight in weights.values())


def weight_bytes(calls: Iterable[Call]) -> int:
    """Count the bytes of all weights."""
    weights = {id(w): w for call in calls for w in call.weights}
    return sum(math.prod(w.shape) * _itemsize(w.dtype) for w in weights.values())


def activation_bytes(calls: Iterable[Call]) -> int:
    """Count the bytes that the outputs of all calls take for one image, as training keeps them."""
    outputs = [output for call in calls for output in call.outputs]
    return sum(_positions(o.shape[1:]) * _itemsize(o.dtype) for o in outputs)


def multiply_adds(calls: Iterable[Call]) -> int:
    """Count the multiply-adds of convolutions and dense layers for one image.

    A kernel is applied once at each output position. Products of attention, additions, activations
    and normalisation are not counted.
    """
    return sum(_multiply_adds(call) for call in calls)


def _multiply_adds(call: Call) -> int:
    transposed = call.kind.endswith("Transpose")
    shape = (call.inputs[0] if transposed else call.output).shape
    if getattr(call.layer, "data_format", None) == "channels_first":
        positions = _positions(shape[2:])
    else:
        positions = _positions(shape[1:-1])
    kernels = [weight for weight in call.weights if weight.name in KERNELS]
    return sum(math.prod(kernel.shape) * positions for kernel in kernels)


def _positions(shape: Iterable[int | None]) -> int:
    return math.prod(length or 0 for length in shape)


def _itemsize(dtype: Any) -> int:
    name = str(dtype)
    digits = "".join(c for c in name if c.isdigit())
    return max(1, int(digits) // 8) if digits else 1 if name == "bool" else FLOAT_BYTES
