"""SimPool as a Keras layer; see ``heads/layers/simpool.py`` for its source."""

from __future__ import annotations

from typing import Any

import keras

from headfit.heads.keras_layers.trained import TrainedLayer
from headfit.heads.layers.simpool import SIMPOOL


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
