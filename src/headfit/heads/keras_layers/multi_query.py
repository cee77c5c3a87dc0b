"""Multi-query attention as a Keras layer; the formula and its source are in ``multi_query.py``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from headfit.errors import UsageError
from headfit.heads.keras_layers.trained import TrainedLayer
from headfit.heads.layers.multi_query import MULTI_QUERY


@keras.saving.register_keras_serializable("headfit")
class MultiQueryPooling(TrainedLayer):
    """concat_m (V Σ_p a_mp F_p)_m/√C, a_m = softmax_p(⟨q_m, F_p⟩/C).

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, C),
    C² + MC parameters.

    Args:
        queries: M at most; the largest divisor of C up to it is taken.
        data_format: order of the axes; Keras' setting if None.
        seed: unused, nothing is drawn.
        **kwargs: of ``keras.layers.Layer``.
    """

    def __init__(
        self,
        queries: int = 8,
        data_format: str | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if queries < 1:
            raise UsageError(f"MultiQueryPooling needs queries >= 1, got {queries}.")
        super().__init__(replace(MULTI_QUERY, queries=queries), 0, data_format, seed, **kwargs)
        self.queries = queries

    def get_config(self) -> dict[str, Any]:
        """Give what the constructor needs to build the layer again."""
        return {**super().get_config(), "queries": self.queries}
