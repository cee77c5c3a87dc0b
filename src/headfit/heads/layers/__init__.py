"""Headfit's own poolings, one a file; importing the package registers them.

``<name>.py`` holds the formula in numpy and how it enters a Keras graph; ``<name>_layer.py`` its
Keras layer where Keras has none. The latter are imported on use, all at once by ``registered``.
"""

from __future__ import annotations

from headfit.heads.layers.avgmax import AVGMAX
from headfit.heads.layers.flatten import FLATTEN
from headfit.heads.layers.gap import GAP
from headfit.heads.layers.gem import GEM
from headfit.heads.layers.gmp import GMP
from headfit.heads.layers.lse import LSE
from headfit.heads.layers.spatial_prior import SPATIAL_PRIOR
from headfit.heads.layers.spp import SPATIAL_PYRAMID
from headfit.heads.pooling import register

for _pooling in (GAP, FLATTEN, GMP, AVGMAX, GEM, LSE, SPATIAL_PYRAMID, SPATIAL_PRIOR):
    register(_pooling)
