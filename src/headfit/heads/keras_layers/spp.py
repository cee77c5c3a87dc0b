"""Spatial pyramid pooling as a Keras layer; see ``heads/layers/spp.py`` for its source."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from headfit.errors import UsageError
from headfit.heads.keras_layers.spatial import SpatialLayer
from headfit.heads.layers.spp import CELLS, LEVELS, cell_matrix


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
