"""The shape of a backbone's feature map, without Keras in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headfit.backbones.catalog import BackboneSpec
from headfit.backbones.weights import IMAGENET, RANDOM
from headfit.errors import WeightsError
from headfit.features.store import DTYPES, FeatureStore, feature_key
from headfit.heads.pooling import MapShape
from headfit.images.contract import Contract
from headfit.util import child
from headfit.util.cache import FEATURES


@dataclass(frozen=True)
class MapShapeRequest(child.Request):
    """Asks a child process for the shape of a feature map.

    Attributes:
        backbone: its name, or the reference of a model of the user's.
        size: side of the input in pixels.
    """

    function = "headfit.inspection.diagram.map_shape_child:map_shape"
    opens = "backbone"
    backbone: str
    size: int


def backbone_map_shape(
    spec: BackboneSpec, contract: Contract, tell: Callable[[str], None]
) -> MapShape:
    """Give the shape of a backbone's feature map, (H, W, C).

    It comes from the feature store if a run has been there; else the network is built in a child
    process, with random weights, since they do not change the shape (a model of the user's brings
    its own).

    Args:
        spec: the backbone.
        contract: its preprocessing, which holds the input size.
        tell: called with a line of text if the network has to be built.

    Raises:
        EngineError: if it cannot be built.
    """
    stored = _stored(spec, contract)
    if stored is not None:
        return stored
    tell(f"Building {spec.name} at {contract.width} px to read the shape of its feature map")
    request = MapShapeRequest(spec.reference, contract.width)
    height, width, channels = child.call(request, backend=child.FAST_BACKEND)["map_shape"]
    return height, width, channels


def _stored(spec: BackboneSpec, contract: Contract) -> MapShape | None:
    for weights in (IMAGENET,) if spec.custom else (IMAGENET, RANDOM):
        for dtype in DTYPES:
            try:
                key = feature_key(spec, contract, weights, engine="auto", dtype=dtype)
            except WeightsError:  # their package is not installed
                break
            noted = FeatureStore(FEATURES.path(key)).read_facts()
            if noted is not None:
                height, width, channels = noted[0]["map_shape"]
                return height, width, channels
    return None
