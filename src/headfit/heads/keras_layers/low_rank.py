"""The low-rank readout as a Keras layer; the formula and its source are in ``low_rank.py``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from headfit.errors import UsageError
from headfit.heads.keras_layers.trained import TrainedLayer
from headfit.heads.layers.low_rank import LOW_RANK


@keras.saving.register_keras_serializable("headfit")
class LowRankReadout(TrainedLayer):
    """mean_p Σ_r A_krp ⟨F_p, B_kr⟩ for each class k.

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, K),
    Kr(HW + C) parameters.

    Args:
        classes: K, at least 1.
        rank: r, at least 1.
        data_format: order of the axes; Keras' setting if None.
        seed: of A.
        **kwargs: of ``keras.layers.Layer``.
    """

    def __init__(
        self,
        classes: int,
        rank: int = 2,
        data_format: str | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if rank < 1 or classes < 1:
            raise UsageError(
                f"LowRankReadout needs classes >= 1 and rank >= 1, got {classes} and {rank}."
            )
        super().__init__(replace(LOW_RANK, rank=rank), classes, data_format, seed, **kwargs)
        self.rank = rank

    def get_config(self) -> dict[str, Any]:
        """Give what the constructor needs to build the layer again."""
        return {**super().get_config(), "classes": self.classes, "rank": self.rank}
