"""The last layer of a head whose pooling gives the logits without their bias."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("headfit")
class BiasedSoftmax(keras.layers.Layer):  # type: ignore[misc]  # Keras carries no types
    """softmax(x + b): input and output (batch, K); K parameters, initially 0.

    Example:

    >>> import keras
    >>> BiasedSoftmax()(keras.Input((10,))).shape
    (None, 10)
    """

    def build(self, input_shape: Any) -> None:
        """Create the bias."""
        self.bias = self.add_weight(name="bias", shape=(input_shape[-1],), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """Compute the probabilities."""
        return keras.ops.softmax(inputs + self.bias, axis=-1)
