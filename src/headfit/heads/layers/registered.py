"""Importing this module tells Keras about every layer of headfit, so that it can load models."""

from __future__ import annotations

from headfit.heads.layers.attention_layer import AttentionPooling
from headfit.heads.layers.biased_softmax_layer import BiasedSoftmax
from headfit.heads.layers.covariance_layer import CovariancePooling
from headfit.heads.layers.gem_layer import GeM
from headfit.heads.layers.low_rank_layer import LowRankReadout
from headfit.heads.layers.lse_layer import LogSumExp
from headfit.heads.layers.multi_query_layer import MultiQueryPooling
from headfit.heads.layers.netvlad_layer import NetVLAD
from headfit.heads.layers.simpool_layer import SimPooling
from headfit.heads.layers.spatial_prior_layer import SpatialShrinkage
from headfit.heads.layers.spp_layer import SPP

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
