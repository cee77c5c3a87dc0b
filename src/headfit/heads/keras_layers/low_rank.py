"""The low-rank readout as a Keras layer; see ``heads/layers/low_rank.py`` for its source."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from headfit.errors import UsageError
from headfit.heads.keras_layers.trained import TrainedLayer
from headfit.heads.layers.low_rank import LOW_RANK


@keras.saving.register_keras_serializable("headfit")
class LowRankReadout(TrainedLayer):
    """Low-rank readout: mean_p Σ_r A_krp ⟨F_p, B_kr⟩ for each class k.

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, K), Kr(HW + C) parameters.

    Args:
        classes: K, at least 1.
        rank: r, at least 1.
        data_format: order of the axes; Keras' setting if None.
        seed: of A.
        **kwargs: of ``keras.layers.Layer``.

    Example:

    >>> import keras
    >>> LowRankReadout(10)(keras.Input((7, 7, 512))).shape
    (None, 10)
    """

    def __init__(
        self,
        classes: int,
        rank: int = 2,
        data_format: str | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if classes < 1:
            raise UsageError.invalid("classes", classes, "an integer of at least 1")
        super().__init__(replace(LOW_RANK, rank=rank), data_format, seed, classes=classes, **kwargs)
