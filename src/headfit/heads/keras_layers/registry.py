"""The Keras layers of each pooling: the one place where a pooling enters a Keras graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from headfit.errors import UsageError
from headfit.heads import keras_layers as ours
from headfit.heads import layers as poolings
from headfit.heads.custom.calls import load_compiled
from headfit.heads.custom.pooling import CustomPooling
from headfit.heads.custom.store import MODEL
from headfit.heads.pooling import Pooling
from headfit.heads.trained import TrainedPooling

Tensor = Any
"""A Keras tensor; Keras carries no types."""
Apply = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Slot:
    """Where a pooling goes.

    Attributes:
        name: of the layer whose output is the vector.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        shape: the shape parameter; NaN if the pooling has none.
        classes: K; None where no pooling needs it.
    """

    name: str
    data_format: str
    shape: float
    classes: int | None

    @property
    def common(self) -> dict[str, Any]:
        """The arguments that every pooling layer takes."""
        return {"data_format": self.data_format, "name": self.name}


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
    if isinstance(pooling, TrainedPooling):
        pooling.check_classes(classes)
    make = next(_LAYERS[kind] for kind in type(pooling).__mro__ if kind in _LAYERS)
    return make(pooling, Slot(name, order, value, classes))(x)


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


def _average_and_maximum(pooling: Pooling, slot: Slot) -> Apply:
    kinds = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
    halves = [kind(slot.data_format, name=f"{slot.name}_{short}") for short, kind in kinds.items()]
    joined = layers.Concatenate(name=slot.name)
    return lambda x: joined([half(x) for half in halves])


def _trained(kind: Callable[..., Any]) -> Callable[[TrainedPooling, Slot], Any]:
    return lambda pooling, slot: kind(**pooling.hyperparameters, **slot.common)


def _custom(pooling: CustomPooling, slot: Slot) -> Apply:
    def apply(x: Tensor) -> Tensor:
        if slot.data_format == "channels_first":
            x = layers.Permute((2, 3, 1), name=f"{slot.name}_channels_last")(x)
        _, height, width, channels = x.shape
        head = pooling.compiled_for((height, width, channels))
        return load_compiled(head.folder / MODEL, head.modules, slot.name)(x)

    return apply


_LAYERS: dict[type[Pooling], Callable[[Any, Slot], Any]] = {
    type(poolings.GAP): lambda pooling, slot: layers.GlobalAveragePooling2D(**slot.common),
    type(poolings.GMP): lambda pooling, slot: layers.GlobalMaxPooling2D(**slot.common),
    # the order of its features is the same for both: Keras moves the channels of a map last
    type(poolings.FLATTEN): lambda pooling, slot: layers.Flatten(**slot.common),
    type(poolings.AVGMAX): _average_and_maximum,
    type(poolings.GEM): lambda pooling, slot: ours.GeM(slot.shape, **slot.common),
    type(poolings.LSE): lambda pooling, slot: ours.LogSumExp(slot.shape, **slot.common),
    type(poolings.SPATIAL_PYRAMID): lambda pooling, slot: ours.SPP(**slot.common),
    type(poolings.SPATIAL_PRIOR): lambda pooling, slot: ours.SpatialShrinkage(
        slot.shape, **slot.common
    ),
    type(poolings.ATTENTION): _trained(ours.AttentionPooling),
    type(poolings.MULTI_QUERY): _trained(ours.MultiQueryPooling),
    type(poolings.SIMPOOL): _trained(ours.SimPooling),
    type(poolings.COVARIANCE): _trained(ours.CovariancePooling),
    type(poolings.NETVLAD): _trained(ours.NetVLAD),
    type(poolings.LOW_RANK): lambda pooling, slot: ours.LowRankReadout(
        slot.classes or 0, pooling.rank, **slot.common
    ),
    CustomPooling: _custom,
}
"""Pooling class → what makes its layer, or a function on Keras tensors."""
