"""The end of a head whose pooling gives the logits but for their bias, as a Keras layer."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("headfit")
class BiasedSoftmax(keras.layers.Layer):  # type: ignore[misc]  # Keras carries no types
    """softmax(x + b): input and output (batch, K), K parameters, which start at 0."""

    def build(self, input_shape: Any) -> None:
        """Create the bias."""
        self.bias = self.add_weight(name="bias", shape=(input_shape[-1],), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """Give probabilities."""
        return keras.ops.softmax(inputs + self.bias, axis=-1)
