"""headfit's own Keras layers, for models of your own and for loading saved ones.

Importing this module registers every layer with Keras, so that a classifier opens in plain Keras:

    import headfit.layers
    import keras

    model = keras.models.load_model("headfit-run/model.keras")

Import it before Keras: if no backend is configured and TensorFlow, Keras' default, is not
installed, it selects JAX, which is installed with headfit.
"""

from __future__ import annotations

from headfit.util.child import select_backend

select_backend()  # before Keras is imported

from headfit.heads.keras_layers.shaped import GeM, LogSumExp  # noqa: E402
from headfit.heads.keras_layers.spatial import SPP, SpatialShrinkage  # noqa: E402
from headfit.heads.keras_layers.trained import (  # noqa: E402
    AttentionPooling,
    BiasedActivation,
    BiasedSoftmax,
    CovariancePooling,
    LowRankReadout,
    MultiQueryPooling,
    NetVLAD,
    SimPooling,
)

__all__ = [
    "SPP",
    "AttentionPooling",
    "BiasedActivation",
    "BiasedSoftmax",
    "CovariancePooling",
    "GeM",
    "LogSumExp",
    "LowRankReadout",
    "MultiQueryPooling",
    "NetVLAD",
    "SimPooling",
    "SpatialShrinkage",
]
