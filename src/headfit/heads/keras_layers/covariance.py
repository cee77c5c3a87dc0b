"""Covariance pooling as a Keras layer; the formula and its source are in ``covariance.py``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from headfit.errors import UsageError
from headfit.heads.keras_layers.trained import TrainedLayer
from headfit.heads.layers.covariance import COVARIANCE


@keras.saving.register_keras_serializable("headfit")
class CovariancePooling(TrainedLayer):
    """The upper triangle of Cov_p(R F_p)^½.

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, d(d+1)/2),
    dC parameters.

    Args:
        most: d at most; the least of it, HW − 1 and C is taken.
        data_format: order of the axes; Keras' setting if None.
        seed: of R.
        **kwargs: of ``keras.layers.Layer``.
    """

    def __init__(
        self,
        most: int = 64,
        data_format: str | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if most < 1:
            raise UsageError(f"CovariancePooling needs most >= 1, got {most}.")
        super().__init__(replace(COVARIANCE, most=most), 0, data_format, seed, **kwargs)
        self.most = most

    def get_config(self) -> dict[str, Any]:
        """Give what the constructor needs to build the layer again."""
        return {**super().get_config(), "most": self.most}
