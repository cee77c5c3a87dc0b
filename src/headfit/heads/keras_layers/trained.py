"""Poolings with weights as Keras layers; their formulas and sources are in ``heads/layers``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
from keras import ops

from headfit.errors import UsageError
from headfit.heads.keras_layers.spatial import SpatialLayer
from headfit.heads.layers import ATTENTION, COVARIANCE, LOW_RANK, MULTI_QUERY, NETVLAD, SIMPOOL
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


@keras.saving.register_keras_serializable("headfit")
class AttentionPooling(TrainedLayer):
    """Attention pooling: Σ_p a_p F_p, a = softmax_p(⟨q, F_p⟩/C).

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, C), C parameters.

    Args:
        data_format: order of the axes; Keras' setting if None.
        seed: unused: q starts at 0.
        **kwargs: of ``keras.layers.Layer``.

    Example:

    >>> import keras
    >>> AttentionPooling()(keras.Input((7, 7, 512))).shape
    (None, 512)
    """

    def __init__(self, data_format: str | None = None, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(ATTENTION, data_format, seed, **kwargs)


@keras.saving.register_keras_serializable("headfit")
class MultiQueryPooling(TrainedLayer):
    """Multi-query attention: concat_m (V Σ_p a_mp F_p)_m/√C, a_m = softmax_p(⟨q_m, F_p⟩/C).

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, C), C² + MC parameters.

    Args:
        queries: upper limit of M, which is the largest divisor of C up to it.
        data_format: order of the axes; Keras' setting if None.
        seed: unused: no initial weight is random.
        **kwargs: of ``keras.layers.Layer``.

    Example:

    >>> import keras
    >>> MultiQueryPooling()(keras.Input((7, 7, 512))).shape
    (None, 512)
    """

    def __init__(
        self, queries: int = 8, data_format: str | None = None, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(replace(MULTI_QUERY, queries=queries), data_format, seed, **kwargs)


@keras.saving.register_keras_serializable("headfit")
class SimPooling(TrainedLayer):
    """SimPool: Σ_p a_p LN(F_p), a = softmax_p(⟨W_q F̄, W_k LN(F_p)⟩/C²).

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, C), 2C² + 2C parameters.

    Args:
        data_format: order of the axes; Keras' setting if None.
        seed: of W_q.
        **kwargs: of ``keras.layers.Layer``.

    Example:

    >>> import keras
    >>> SimPooling()(keras.Input((7, 7, 512))).shape
    (None, 512)
    """

    def __init__(self, data_format: str | None = None, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(SIMPOOL, data_format, seed, **kwargs)


@keras.saving.register_keras_serializable("headfit")
class CovariancePooling(TrainedLayer):
    """Covariance pooling: the upper triangle of Cov_p(R F_p)^½.

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, d(d+1)/2), dC parameters.

    Args:
        most: upper limit of d, which is at most HW − 1 and C too.
        data_format: order of the axes; Keras' setting if None.
        seed: of R.
        **kwargs: of ``keras.layers.Layer``.

    Example:

    >>> import keras
    >>> CovariancePooling()(keras.Input((7, 7, 512))).shape
    (None, 1176)
    """

    def __init__(
        self, most: int = 64, data_format: str | None = None, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(replace(COVARIANCE, most=most), data_format, seed, **kwargs)


@keras.saving.register_keras_serializable("headfit")
class NetVLAD(TrainedLayer):
    """Normalised concat_m Σ_p a_pm (f_p − c_m), f = F/‖F‖, a_p = softmax_m(⟨w_m, f_p⟩ + b_m).

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, MC), 2MC + M parameters.

    Args:
        clusters: M, at least 2.
        data_format: order of the axes; Keras' setting if None.
        seed: of the centres.
        **kwargs: of ``keras.layers.Layer``.

    Example:

    >>> import keras
    >>> NetVLAD()(keras.Input((7, 7, 512))).shape
    (None, 4096)
    """

    def __init__(
        self, clusters: int = 8, data_format: str | None = None, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(replace(NETVLAD, clusters=clusters), data_format, seed, **kwargs)


@keras.saving.register_keras_serializable("headfit")
class LowRankReadout(TrainedLayer):
    """Low-rank readout: mean_p Σ_r A_krp ⟨F_p, B_kr⟩ for each class k.

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, K), Kr(HW + C) parameters.

    Args:
        classes: K, at least 1.
        rank: r, at least 1.
        data_format: order of the axes; Keras' setting if None.
        seed: of A.
        **kwargs: of ``keras.layers.Layer``.

    Example:

    >>> import keras
    >>> LowRankReadout(10)(keras.Input((7, 7, 512))).shape
    (None, 10)
    """

    def __init__(
        self,
        classes: int,
        rank: int = 2,
        data_format: str | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if classes < 1:
            raise UsageError.invalid("classes", classes, "an integer of at least 1")
        super().__init__(replace(LOW_RANK, rank=rank), data_format, seed, classes=classes, **kwargs)


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


@keras.saving.register_keras_serializable("headfit")
class BiasedActivation(keras.layers.Layer):  # type: ignore[misc]  # Keras carries no types
    """activation(x + b): input and output (batch, K); K parameters, initially 0.

    Args:
        activation: its name in Keras, such as ``"sigmoid"``.

    Example:

    >>> import keras
    >>> BiasedActivation("sigmoid")(keras.Input((10,))).shape
    (None, 10)
    """

    def __init__(self, activation: str = "linear", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: Any) -> None:
        """Create the bias."""
        self.bias = self.add_weight(name="bias", shape=(input_shape[-1],), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """Compute the outputs."""
        return self.activation(inputs + self.bias)

    def get_config(self) -> dict[str, Any]:
        """Give the arguments of the constructor."""
        # not keras.activations.serialize, which imports TensorFlow where that is installed
        return {**super().get_config(), "activation": self.activation.__name__}
