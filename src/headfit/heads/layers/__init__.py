"""headfit's poolings, one formula a file in numpy; importing the package registers them all."""

from __future__ import annotations

from headfit.heads.layers.attention import ATTENTION
from headfit.heads.layers.covariance import COVARIANCE
from headfit.heads.layers.gem import GEM
from headfit.heads.layers.low_rank import LOW_RANK
from headfit.heads.layers.lse import LSE
from headfit.heads.layers.multi_query import MULTI_QUERY
from headfit.heads.layers.netvlad import NETVLAD
from headfit.heads.layers.plain import AVGMAX, FLATTEN, GAP, GMP, MULTI_LAYER
from headfit.heads.layers.simpool import SIMPOOL
from headfit.heads.layers.spatial_prior import SPATIAL_PRIOR
from headfit.heads.layers.spp import SPATIAL_PYRAMID
from headfit.heads.pooling import register

__all__ = [
    "ATTENTION",
    "AVGMAX",
    "COVARIANCE",
    "FLATTEN",
    "GAP",
    "GEM",
    "GMP",
    "LOW_RANK",
    "LSE",
    "MULTI_LAYER",
    "MULTI_QUERY",
    "NETVLAD",
    "SIMPOOL",
    "SPATIAL_PRIOR",
    "SPATIAL_PYRAMID",
]

_POOLINGS = (
    *(GAP, FLATTEN, GMP, AVGMAX, GEM, LSE, SPATIAL_PYRAMID, SPATIAL_PRIOR),
    *(ATTENTION, MULTI_QUERY, SIMPOOL, COVARIANCE, NETVLAD, LOW_RANK, MULTI_LAYER),
)
for _pooling in _POOLINGS:
    register(_pooling)
