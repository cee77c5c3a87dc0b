"""Poolings with one trainable shape parameter as Keras layers: generalised mean, log-sum-exp."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from headfit.errors import UsageError
from headfit.heads.keras_layers.spatial import SpatialLayer
from headfit.heads.layers.gem import EPSILON, LEAST, LEAST_P
from headfit.heads.layers.lse import LEAST_R


class ShapedLayer(SpatialLayer):
    """Holds a trainable scalar.

    Args:
        data_format: order of the axes; Keras' setting if None.
        initial: the initial value of the scalar by its argument, then other positive arguments.
        **kwargs: of ``keras.layers.Layer``.
    """

    def __init__(self, data_format: str | None, initial: dict[str, float], **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        for argument, value in initial.items():
            if not value > 0:
                raise UsageError.invalid(argument, value, "a positive number")
        self.initial = {argument: float(value) for argument, value in initial.items()}

    def build(self, input_shape: Any) -> None:
        """Create the scalar; its name is that of the argument without the 0."""
        name, value = next(iter(self.initial.items()))
        # Half precision would round the scalar itself, so it is not cast with the inputs.
        self.scalar = self.add_weight(
            name=name[0], shape=(), initializer=keras.initializers.Constant(value), autocast=False
        )

    def wide(self, inputs: Any, least: float) -> tuple[Any, Any, tuple[int, int]]:
        """Give maps and scalar in ``wide_dtype``, the scalar at least ``least``, and the axes."""
        axes = (1, 2) if self.data_format == "channels_last" else (2, 3)
        scalar = ops.maximum(ops.cast(self.scalar, self.wide_dtype), least)
        return ops.cast(inputs, self.wide_dtype), scalar, axes

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the constructor."""
        return {**super().get_config(), **self.initial}


@keras.saving.register_keras_serializable("headfit")
class GeM(ShapedLayer):
    """Generalised mean: (mean_p max(F_p, ε)^p)^(1/p) with a trainable scalar p.

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, C), 1 parameter. The numpy reference
    rejects negative values; a graph cannot, so here they are clamped.

    Args:
        p0: initial value of p, > 0.
        epsilon: lower limit of the features, > 0; times the largest feature of an image where that
            is below 1.
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
        super().__init__(data_format, {"p0": p0, "epsilon": epsilon}, **kwargs)

    def call(self, inputs: Any) -> Any:
        """Pool a batch of maps."""
        x, p, axes = self.wide(inputs, LEAST_P)
        top = ops.stop_gradient(ops.max(x, axis=(1, 2, 3), keepdims=True))
        x = ops.maximum(x, ops.maximum(self.initial["epsilon"] * ops.minimum(top, 1.0), LEAST))
        # The result does not depend on m, which only keeps powers from overflowing: no gradient.
        m = ops.stop_gradient(ops.max(x, axis=axes, keepdims=True))
        mean = ops.mean(ops.power(x / m, p), axis=axes)
        return ops.cast(ops.squeeze(m, axes) * ops.power(mean, 1 / p), self.compute_dtype)


@keras.saving.register_keras_serializable("headfit")
class LogSumExp(ShapedLayer):
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
        super().__init__(data_format, {"r0": r0}, **kwargs)

    def call(self, inputs: Any) -> Any:
        """Pool a batch of maps."""
        x, r, axes = self.wide(inputs, LEAST_R)
        # The result does not depend on m, which only keeps exponentials from overflowing.
        m = ops.stop_gradient(ops.max(x, axis=axes, keepdims=True))
        mean = ops.mean(ops.expm1(r * (x - m)), axis=axes)
        return ops.cast(ops.squeeze(m, axes) + ops.log1p(mean) / r, self.compute_dtype)
