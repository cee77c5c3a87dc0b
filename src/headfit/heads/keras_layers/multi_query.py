"""Multi-query attention as a Keras layer; see ``heads/layers/multi_query.py`` for its source."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from headfit.heads.keras_layers.trained import TrainedLayer
from headfit.heads.layers.multi_query import MULTI_QUERY


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
        self,
        queries: int = 8,
        data_format: str | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(replace(MULTI_QUERY, queries=queries), data_format, seed, **kwargs)
