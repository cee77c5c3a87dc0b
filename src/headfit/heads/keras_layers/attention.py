"""Attention pooling as a Keras layer; the formula and its source are in ``attention.py``."""

from __future__ import annotations

from typing import Any

import keras

from headfit.heads.keras_layers.trained import TrainedLayer
from headfit.heads.layers.attention import ATTENTION


@keras.saving.register_keras_serializable("headfit")
class AttentionPooling(TrainedLayer):
    """Σ_p a_p F_p, a = softmax_p(⟨q, F_p⟩/C).

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, C), C parameters.

    Args:
        data_format: order of the axes; Keras' setting if None.
        seed: unused, q starts at 0.
        **kwargs: of ``keras.layers.Layer``.
    """

    def __init__(self, data_format: str | None = None, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(ATTENTION, 0, data_format, seed, **kwargs)
