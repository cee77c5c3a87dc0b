"""What may stand between the pooling and the final softmax layer."""

from __future__ import annotations

from dataclasses import dataclass

ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "elu", "leaky_relu", "selu", "linear")


@dataclass(frozen=True)
class Dense:
    """A fully connected layer with a bias.

    Attributes:
        units: its width.
        activation: the Keras name of its activation, one of ``ACTIVATIONS``.
    """

    units: int
    activation: str = "relu"


@dataclass(frozen=True)
class Dropout:
    """Inverted dropout while training, nothing afterwards.

    Attributes:
        rate: the share of features that is set to zero, 0 <= rate < 1.
    """

    rate: float


@dataclass(frozen=True)
class BatchNorm:
    """γ (x − mean) / √(variance + ε) + β, feature by feature; γ and β are trained.

    Mean and variance are those of the batch while training, of the training images afterwards.
    """


BATCH_NORM_EPSILON = 1e-3
"""ε of Keras' BatchNormalization; fastai, on PyTorch, has 1e-5."""

Step = Dense | Dropout | BatchNorm
