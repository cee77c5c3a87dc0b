"""The spatial prior as a Keras layer; see ``heads/layers/spatial_prior.py``."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from headfit.errors import UsageError
from headfit.heads.keras_layers.spatial import SpatialLayer


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
