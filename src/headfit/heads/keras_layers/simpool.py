"""SimPool as a Keras layer; the formula and its source are in ``simpool.py``."""

from __future__ import annotations

from typing import Any

import keras

from headfit.heads.keras_layers.trained import TrainedLayer
from headfit.heads.layers.simpool import SIMPOOL


@keras.saving.register_keras_serializable("headfit")
class SimPooling(TrainedLayer):
    """Σ_p a_p LN(F_p), a = softmax_p(⟨W_q F̄, W_k LN(F_p)⟩/C²).

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, C), 2C² + 2C parameters.

    Args:
        data_format: order of the axes; Keras' setting if None.
        seed: of W_q.
        **kwargs: of ``keras.layers.Layer``.
    """

    def __init__(self, data_format: str | None = None, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(SIMPOOL, 0, data_format, seed, **kwargs)
