"""Importing this module tells Keras about every layer of headfit, so that it can load models."""

from __future__ import annotations

from headfit.heads.layers.gem_layer import GeM
from headfit.heads.layers.lse_layer import LogSumExp
from headfit.heads.layers.spatial_prior_layer import SpatialShrinkage
from headfit.heads.layers.spp_layer import SPP

__all__ = ["SPP", "GeM", "LogSumExp", "SpatialShrinkage"]
