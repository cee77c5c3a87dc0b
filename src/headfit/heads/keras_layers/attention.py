"""Attention pooling as a Keras layer; see ``heads/layers/attention.py`` for its source."""

from __future__ import annotations

from typing import Any

import keras

from headfit.heads.keras_layers.trained import TrainedLayer
from headfit.heads.layers.attention import ATTENTION


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
