"""The layers that may follow the pooling, before the softmax layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "elu", "leaky_relu", "selu", "linear")


@dataclass(frozen=True)
class Dense:
    """A fully connected layer with a bias.

    Attributes:
        units: number of outputs.
        activation: the Keras name of the activation, one of ``ACTIVATIONS``.
    """

    kind: ClassVar[str] = "dense"
    variables: ClassVar[tuple[str, ...]] = ("kernel", "bias")

    units: int
    activation: str = "relu"

    def __str__(self) -> str:
        """Give its part of a chain."""
        return str(self.units) if self.activation == "relu" else f"{self.units}:{self.activation}"


@dataclass(frozen=True)
class Dropout:
    """Inverted dropout in training, the identity afterwards.

    Attributes:
        rate: fraction of features set to zero, 0 <= rate < 1.
    """

    kind: ClassVar[str] = "dropout"
    variables: ClassVar[tuple[str, ...]] = ()

    rate: float

    def __str__(self) -> str:
        """Give its part of a chain."""
        return "dropout" + np.format_float_positional(self.rate, trim="-")


@dataclass(frozen=True)
class BatchNorm:
    """γ (x − mean) / √(variance + ε) + β for each feature; γ and β are trained.

    Mean and variance are those of the batch in training, of the training images afterwards.
    """

    kind: ClassVar[str] = "bn"
    variables: ClassVar[tuple[str, ...]] = ("gamma", "beta", "moving_mean", "moving_variance")

    def __str__(self) -> str:
        """Give its part of a chain."""
        return self.kind


BATCH_NORM_EPSILON = 1e-3
"""ε of Keras' BatchNormalization; fastai, on PyTorch, has 1e-5."""

Step = Dense | Dropout | BatchNorm
"""``kind`` is part of a layer name; ``variables`` are the names of its arrays in Keras."""
