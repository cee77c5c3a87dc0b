"""Log-sum-exp pooling as a Keras layer; see ``heads/layers/lse.py`` for its source."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from headfit.errors import UsageError
from headfit.heads.keras_layers.spatial import SpatialLayer
from headfit.heads.layers.lse import LEAST_R


@keras.saving.register_keras_serializable("headfit")
class LogSumExp(SpatialLayer):
    """Log-sum-exp: r⁻¹ log mean_p exp(r F_p) with a trainable scalar r.

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, C), 1 parameter.

    Args:
        r0: initial value of r, > 0.
        data_format: order of the axes; Keras' setting if None.
        **kwargs: of ``keras.layers.Layer``.

    Example:

    >>> import keras
    >>> LogSumExp(r0=0.3)(keras.Input((7, 7, 512))).shape
    (None, 512)
    """

    def __init__(self, r0: float = 1.0, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        if not r0 > 0:
            raise UsageError.invalid("r0", r0, "a positive number")
        self.r0 = float(r0)

    def build(self, input_shape: Any) -> None:
        """Create r."""
        # Half precision would round r itself, so it is not cast with the inputs.
        start = keras.initializers.Constant(self.r0)
        self.r = self.add_weight(name="r", shape=(), initializer=start, autocast=False)

    def call(self, inputs: Any) -> Any:
        """Pool a batch of maps."""
        axes = (1, 2) if self.data_format == "channels_last" else (2, 3)
        x = ops.cast(inputs, self.wide_dtype)
        r = ops.maximum(ops.cast(self.r, self.wide_dtype), LEAST_R)
        # The result does not depend on m, which only keeps exponentials from overflowing: no
        # gradient.
        m = ops.stop_gradient(ops.max(x, axis=axes, keepdims=True))
        mean = ops.mean(ops.expm1(r * (x - m)), axis=axes)
        return ops.cast(ops.squeeze(m, axes) + ops.log1p(mean) / r, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the constructor."""
        return {**super().get_config(), "r0": self.r0}
