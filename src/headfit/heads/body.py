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


Step = Dense | Dropout
