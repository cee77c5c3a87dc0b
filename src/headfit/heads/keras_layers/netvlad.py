"""NetVLAD as a Keras layer; see ``heads/layers/netvlad.py`` for its source."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from headfit.heads.keras_layers.trained import TrainedLayer
from headfit.heads.layers.netvlad import NETVLAD


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
        self,
        clusters: int = 8,
        data_format: str | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(replace(NETVLAD, clusters=clusters), data_format, seed, **kwargs)
