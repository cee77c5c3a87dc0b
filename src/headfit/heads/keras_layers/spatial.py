"""Base of headfit's Keras layers: a map in, a vector out, either order of the axes."""

from __future__ import annotations

from typing import Any

import keras

from headfit.errors import UsageError

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
        return keras.ops.transpose(inputs, (0, 2, 3, 1))

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
