"""What headfit's own Keras layers share: a map in, a vector out, either order of the axes."""

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

    per_channel = 1  # features out for each channel

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format or keras.config.image_data_format()
        if self.data_format not in FORMATS:
            raise UsageError(f"data_format is '{data_format}'; valid: {', '.join(FORMATS)}.")
        self.input_spec = keras.layers.InputSpec(ndim=4)

    @property
    def wide_dtype(self) -> str:
        """Where sums are formed: float32 in a half-precision layer, else the layer's own."""
        return str(keras.backend.result_type(self.compute_dtype, "float32"))

    def channels_last(self, inputs: Any) -> Any:
        """The maps as (batch, H, W, C)."""
        if self.data_format == "channels_last":
            return inputs
        return keras.ops.transpose(inputs, (0, 2, 3, 1))

    def map_shape(self, input_shape: Any) -> tuple[int, int, int]:
        """Height, width and channels out of the shape of the input."""
        _, *dims = input_shape
        if self.data_format == "channels_first":
            dims = [*dims[1:], dims[0]]
        return dims[0], dims[1], dims[2]

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, int]:
        """Give (batch, features)."""
        return input_shape[0], self.per_channel * self.map_shape(input_shape)[2]

    def get_config(self) -> dict[str, Any]:
        """Give what the constructor needs to build the layer again."""
        return {**super().get_config(), "data_format": self.data_format}
