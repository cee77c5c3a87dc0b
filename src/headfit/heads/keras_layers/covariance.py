"""Covariance pooling as a Keras layer; see ``heads/layers/covariance.py`` for its source."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from headfit.heads.keras_layers.trained import TrainedLayer
from headfit.heads.layers.covariance import COVARIANCE


@keras.saving.register_keras_serializable("headfit")
class CovariancePooling(TrainedLayer):
    """Covariance pooling: the upper triangle of Cov_p(R F_p)^½.

    Input (batch, H, W, C) or (batch, C, H, W), output (batch, d(d+1)/2), dC parameters.

    Args:
        most: upper limit of d, which is at most HW − 1 and C too.
        data_format: order of the axes; Keras' setting if None.
        seed: of R.
        **kwargs: of ``keras.layers.Layer``.

    Example:

    >>> import keras
    >>> CovariancePooling()(keras.Input((7, 7, 512))).shape
    (None, 1176)
    """

    def __init__(
        self,
        most: int = 64,
        data_format: str | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(replace(COVARIANCE, most=most), data_format, seed, **kwargs)
