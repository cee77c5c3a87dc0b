"""Base of the Keras layers of poolings with weights; the formulas are in ``heads/layers``."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from headfit.errors import UsageError
from headfit.heads.keras_layers.spatial import SpatialLayer
from headfit.heads.trained import TrainedPooling


class TrainedLayer(SpatialLayer):
    """Holds the weights of a pooling and calls its formula.

    Args:
        pooling: which one.
        data_format: order of the axes; Keras' setting if None.
        seed: of the initial weights.
        classes: K of a readout, else 0.
        **kwargs: of ``keras.layers.Layer``.
    """

    def __init__(
        self,
        pooling: TrainedPooling,
        data_format: str | None = None,
        seed: int = 0,
        classes: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.pooling, self.classes, self.seed = pooling, classes, seed

    def build(self, input_shape: Any) -> None:
        """Create the weights.

        Raises:
            UsageError: if maps of this shape cannot be pooled.
        """
        height, width, channels = self.map_shape(input_shape)
        if self.pooling.fixed_size and not (height and width):
            raise UsageError(
                f"{type(self).__name__} needs a feature map of a fixed size. Received: "
                f"{height}×{width}."
            )
        # if the size may vary, the weights do not depend on it
        least = self.pooling.min_side
        shape, classes = (height or least, width or least, channels), self.classes or None
        starts = self.pooling.initial(shape, classes, self.seed)
        # Half precision would round the weights themselves, so they are not cast with the inputs.
        self.arrays = [
            self.add_weight(
                name=weight.name,
                shape=weight.shape,
                initializer=keras.initializers.Constant(start),
                autocast=False,
            )
            for weight, start in zip(self.pooling.weights(shape, classes), starts, strict=True)
        ]

    def call(self, inputs: Any) -> Any:
        """Pool a batch of maps."""
        x = ops.cast(self.channels_last(inputs), self.wide_dtype)
        batch, height, width, channels = ops.shape(x)
        if all(isinstance(side, int) for side in (height, width)):
            maps = ops.reshape(x, (-1, height * width, channels))
        else:
            maps = ops.reshape(x, (batch, -1, channels))
        weights = [ops.cast(array, self.wide_dtype) for array in self.arrays]
        return ops.cast(self.pooling.forward(ops, maps, weights), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, int]:
        """Give (batch, features)."""
        height, width, channels = self.map_shape(input_shape)
        least = self.pooling.min_side
        features = self.pooling.width((height or least, width or least, channels))
        return input_shape[0], self.classes or features

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the constructor."""
        config = {**super().get_config(), "seed": self.seed, **self.pooling.hyperparameters}
        return {**config, "classes": self.classes} if self.pooling.readout else config
