"""Generalised-mean pooling as a Keras layer; see ``heads/layers/gem.py`` for its source."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from headfit.errors import UsageError
from headfit.heads.keras_layers.spatial import SpatialLayer
from headfit.heads.layers.gem import EPSILON, LEAST_P


@keras.saving.register_keras_serializable("headfit")
class GeM(SpatialLayer):
    """Generalised mean: (mean_p max(F_p, ε)^p)^(1/p) with a trainable scalar p.

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, C), 1 parameter. The numpy reference
    rejects negative values; a graph cannot, so here they are clamped.

    Args:
        p0: initial value of p, > 0.
        epsilon: lower limit of the features, > 0.
        data_format: order of the axes; Keras' setting if None.
        **kwargs: of ``keras.layers.Layer``.

    Example:

    >>> import keras
    >>> GeM(p0=2.0)(keras.Input((7, 7, 512))).shape
    (None, 512)
    """

    def __init__(
        self,
        p0: float = 3.0,
        epsilon: float = EPSILON,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        for argument, value in (("p0", p0), ("epsilon", epsilon)):
            if not value > 0:
                raise UsageError.invalid(argument, value, "a positive number")
        self.p0, self.epsilon = float(p0), float(epsilon)

    def build(self, input_shape: Any) -> None:
        """Create p."""
        # Half precision would round p itself, so it is not cast with the inputs.
        start = keras.initializers.Constant(self.p0)
        self.p = self.add_weight(name="p", shape=(), initializer=start, autocast=False)

    def call(self, inputs: Any) -> Any:
        """Pool a batch of maps."""
        axes = (1, 2) if self.data_format == "channels_last" else (2, 3)
        x = ops.maximum(ops.cast(inputs, self.wide_dtype), self.epsilon)
        p = ops.maximum(ops.cast(self.p, self.wide_dtype), LEAST_P)
        # The result does not depend on m, which only keeps powers from overflowing: no gradient.
        m = ops.stop_gradient(ops.max(x, axis=axes, keepdims=True))
        mean = ops.mean(ops.power(x / m, p), axis=axes)
        return ops.cast(ops.squeeze(m, axes) * ops.power(mean, 1 / p), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the constructor."""
        return {**super().get_config(), "p0": self.p0, "epsilon": self.epsilon}
