"""headfit's own Keras layers; importing the package registers them with Keras."""

from __future__ import annotations

from headfit.heads.keras_layers.shaped import GeM, LogSumExp
from headfit.heads.keras_layers.spatial import SPP, SpatialShrinkage
from headfit.heads.keras_layers.trained import (
    AttentionPooling,
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
