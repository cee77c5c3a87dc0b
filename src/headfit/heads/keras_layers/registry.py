"""The Keras layers of each pooling: the one place where a pooling enters a Keras graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from headfit.errors import UsageError
from headfit.heads import layers as poolings
from headfit.heads.custom.calls import load_compiled
from headfit.heads.custom.pooling import CustomPooling
from headfit.heads.custom.store import MODEL
from headfit.heads.keras_layers import shaped, spatial, trained
from headfit.heads.pooling import Pooling
from headfit.heads.trained import TrainedPooling

Tensor = Any
"""A Keras tensor; Keras carries no types."""


def append_pooling(
    pooling: Pooling,
    x: Tensor,
    shape: float | None = None,
    *,
    name: str = "head_pool",
    data_format: str | None = None,
    classes: int | None = None,
) -> Tensor:
    """Append a pooling to a Keras graph; weights are those of ``initial`` without images.

    Args:
        pooling: which one.
        x: Keras tensor (batch, H, W, C), or (batch, C, H, W) if channels come first.
        shape: initial value of the shape parameter; ``default_shape`` if None.
        name: of the layer whose output is the vector.
        data_format: ``"channels_last"`` or ``"channels_first"``; Keras' setting if None.
        classes: K; required only by a readout.

    Returns:
        Keras tensor (batch, width), or (batch, K) of a readout.

    Raises:
        UsageError: if the map, the shape parameter or the classes do not suit the pooling.

    Example:

    >>> import keras
    >>> from headfit.heads.layers import SPATIAL_PYRAMID
    >>> append_pooling(SPATIAL_PYRAMID, keras.Input((7, 7, 512))).shape
    (None, 10752)
    """
    value = pooling.shape_or_default(shape)
    order = data_format or keras.config.image_data_format()
    _check_map(pooling, x, order)
    if isinstance(pooling, CustomPooling):
        return _custom(pooling, x, name, order)
    arguments: dict[str, Any] = {"data_format": order, "name": name}
    if isinstance(pooling, TrainedPooling):
        pooling.check_classes(classes)
        arguments |= pooling.hyperparameters | ({"classes": classes} if pooling.readout else {})
    elif pooling.shape_argument:
        arguments[pooling.shape_argument] = value
    make = next(_LAYERS[kind] for kind in type(pooling).__mro__ if kind in _LAYERS)
    return make(**arguments)(x)


def _check_map(pooling: Pooling, x: Tensor, data_format: str) -> None:
    _, *dims = x.shape
    height, width, channels = dims if data_format == "channels_last" else (*dims[1:], dims[0])
    if height is not None and width is not None:
        pooling.check((height, width, channels))
    elif pooling.fixed_size:
        raise UsageError(
            f"Head '{pooling.name}' needs a feature map of a fixed size. Received: "
            f"{height}×{width}. Build the backbone for a fixed input size."
        )


def _custom(pooling: CustomPooling, x: Tensor, name: str, data_format: str) -> Tensor:
    if data_format == "channels_first":
        x = layers.Permute((2, 3, 1), name=f"{name}_channels_last")(x)
    _, height, width, channels = x.shape
    head = pooling.compiled_for((height, width, channels))
    return load_compiled(head.folder / MODEL, pooling.origin.module, name)(x)


def _average_and_maximum(data_format: str, name: str) -> Callable[[Tensor], Tensor]:
    average = layers.GlobalAveragePooling2D(data_format, name=f"{name}_avg")
    maximum = layers.GlobalMaxPooling2D(data_format, name=f"{name}_max")
    return lambda x: layers.Concatenate(name=name)([average(x), maximum(x)])


_LAYERS: dict[type[Pooling], Callable[..., Any]] = {
    type(poolings.GAP): layers.GlobalAveragePooling2D,
    type(poolings.GMP): layers.GlobalMaxPooling2D,
    # the order of its features is the same for both: Keras moves the channels of a map last
    type(poolings.FLATTEN): layers.Flatten,
    type(poolings.AVGMAX): _average_and_maximum,
    type(poolings.GEM): shaped.GeM,
    type(poolings.LSE): shaped.LogSumExp,
    type(poolings.SPATIAL_PYRAMID): spatial.SPP,
    type(poolings.SPATIAL_PRIOR): spatial.SpatialShrinkage,
    type(poolings.ATTENTION): trained.AttentionPooling,
    type(poolings.MULTI_QUERY): trained.MultiQueryPooling,
    type(poolings.SIMPOOL): trained.SimPooling,
    type(poolings.COVARIANCE): trained.CovariancePooling,
    type(poolings.NETVLAD): trained.NetVLAD,
    type(poolings.LOW_RANK): trained.LowRankReadout,
}
"""Pooling class → what makes its layer."""
