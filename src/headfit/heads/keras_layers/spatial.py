"""Base of headfit's Keras layers, from maps to vectors, and those without weights."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from headfit.errors import UsageError
from headfit.heads.layers.spp import CELLS, LEVELS, cell_matrix

FORMATS = ("channels_last", "channels_first")


class SpatialLayer(keras.layers.Layer):  # type: ignore[misc]  # Keras carries no types
    """A layer from maps to vectors.

    Args:
        data_format: ``"channels_last"`` for (batch, H, W, C), ``"channels_first"`` for
            (batch, C, H, W); Keras' setting if None.
        **kwargs: of ``keras.layers.Layer``.
    """

    per_channel = 1  # output features for each channel

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format or keras.config.image_data_format()
        if self.data_format not in FORMATS:
            raise UsageError.invalid("data_format", data_format, f"one of {', '.join(FORMATS)}")
        self.input_spec = keras.layers.InputSpec(ndim=4)

    @property
    def wide_dtype(self) -> str:
        """The dtype of sums: float32 in a half-precision layer, else that of the layer."""
        return str(keras.backend.result_type(self.compute_dtype, "float32"))

    def channels_last(self, inputs: Any) -> Any:
        """Give the maps as (batch, H, W, C)."""
        if self.data_format == "channels_last":
            return inputs
        return ops.transpose(inputs, (0, 2, 3, 1))

    def map_shape(self, input_shape: Any) -> tuple[int, int, int]:
        """Give height, width and channels of an input shape."""
        _, *dims = input_shape
        if self.data_format == "channels_first":
            dims = [*dims[1:], dims[0]]
        return dims[0], dims[1], dims[2]

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, int]:
        """Give (batch, features)."""
        return input_shape[0], self.per_channel * self.map_shape(input_shape)[2]

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the constructor."""
        return {**super().get_config(), "data_format": self.data_format}


@keras.saving.register_keras_serializable("headfit")
class SPP(SpatialLayer):
    """Spatial pyramid: the averages of 1×1, 2×2 and 4×4 cells, concatenated.

    Input (batch, H, W, C) or (batch, C, H, W) with H and W fixed and at least 4, output
    (batch, 21C) in the same order for both; no parameters.

    Example:

    >>> import keras
    >>> SPP()(keras.Input((7, 7, 512))).shape
    (None, 10752)
    """

    per_channel = CELLS

    def build(self, input_shape: Any) -> None:
        """Check the size of the map; there are no weights."""
        height, width, _ = self.map_shape(input_shape)
        if not (height and width) or min(height, width) < max(LEVELS):
            raise UsageError(
                f"SPP needs a feature map of a fixed size of at least 4×4. Received: "
                f"{height}×{width}."
            )

    def call(self, inputs: Any) -> Any:
        """Pool a batch of maps."""
        height, width, channels = self.map_shape(inputs.shape)
        positions = ops.reshape(self.channels_last(inputs), (-1, height * width, channels))
        matrix = ops.convert_to_tensor(cell_matrix(height, width), dtype=self.wide_dtype)
        cells = ops.matmul(matrix, ops.cast(positions, self.wide_dtype))
        return ops.cast(ops.reshape(cells, (-1, CELLS * channels)), self.compute_dtype)


@keras.saving.register_keras_serializable("headfit")
class SpatialShrinkage(SpatialLayer):
    """Spatial prior: F̄ + √(1−τ)(F_p − F̄) at every position, as one vector.

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, HWC), row by row; no parameters.

    Args:
        tau: 0 leaves the map unchanged, 1 replaces every position by the mean.
        data_format: order of the axes; Keras' setting if None.
        **kwargs: of ``keras.layers.Layer``.

    Example:

    >>> import keras
    >>> SpatialShrinkage(tau=0.3)(keras.Input((7, 7, 512))).shape
    (None, 25088)
    """

    def __init__(self, tau: float = 0.5, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        if not 0 <= tau <= 1:
            raise UsageError.invalid("tau", tau, "a number from 0 to 1")
        self.tau = float(tau)

    def call(self, inputs: Any) -> Any:
        """Pool a batch of maps."""
        x = ops.cast(self.channels_last(inputs), self.wide_dtype)
        mean = ops.mean(x, axis=(1, 2), keepdims=True)
        shrunk = mean + math.sqrt(1 - self.tau) * (x - mean)
        return ops.cast(ops.reshape(shrunk, (-1, self._width(inputs.shape))), self.compute_dtype)

    def _width(self, input_shape: Any) -> int:
        return math.prod(self.map_shape(input_shape))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, int]:
        """Give (batch, features)."""
        return input_shape[0], self._width(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the constructor."""
        return {**super().get_config(), "tau": self.tau}
