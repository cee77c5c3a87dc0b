"""headfit's own Keras layers, one class a file; importing the package registers them with Keras."""

from __future__ import annotations

from headfit.heads.keras_layers.attention import AttentionPooling
from headfit.heads.keras_layers.biased_softmax import BiasedSoftmax
from headfit.heads.keras_layers.covariance import CovariancePooling
from headfit.heads.keras_layers.gem import GeM
from headfit.heads.keras_layers.low_rank import LowRankReadout
from headfit.heads.keras_layers.lse import LogSumExp
from headfit.heads.keras_layers.multi_query import MultiQueryPooling
from headfit.heads.keras_layers.netvlad import NetVLAD
from headfit.heads.keras_layers.simpool import SimPooling
from headfit.heads.keras_layers.spatial_prior import SpatialShrinkage
from headfit.heads.keras_layers.spp import SPP

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
