"""Which shape the feature map of a backbone has, found out without Keras in this process."""

from __future__ import annotations

from collections.abc import Callable

from headfit.backbones.catalog import BackboneSpec
from headfit.backbones.weights import IMAGENET, RANDOM
from headfit.errors import WeightsError
from headfit.features.key import feature_key
from headfit.features.store import DTYPES, FeatureStore
from headfit.heads.pooling import MapShape
from headfit.images.contract import Contract
from headfit.util import child as worker
from headfit.util.cache import FEATURES

BUILDER = "headfit.inspection.diagram.built:map_shape"


def backbone_map_shape(
    spec: BackboneSpec, contract: Contract, tell: Callable[[str], None]
) -> MapShape:
    """Give the shape of a backbone's feature map.

    From the feature store if a run noted it there; else the network is built, with random weights,
    in a child process. Weights do not change the shape, so none are needed, but for an own
    model, which brings its own.

    Args:
        spec: the backbone.
        contract: its preprocessing, which holds the input size.
        tell: called with a line of text if the network has to be built.

    Raises:
        EngineError: if it cannot be built.
    """
    known = _noted(spec, contract)
    if known is not None:
        return known
    tell(f"Building {spec.name} at {contract.width} px to see the shape of its feature map")
    request = {"name": spec.reference, "size": contract.width}
    # Keras builds the fastest on this backend
    height, width, channels = worker.call(BUILDER, request, backend="openvino")["map_shape"]
    return height, width, channels


def _noted(spec: BackboneSpec, contract: Contract) -> MapShape | None:
    for weights in (IMAGENET,) if spec.own else (IMAGENET, RANDOM):
        for dtype in DTYPES:
            try:
                key = feature_key(spec, contract, weights, engine="auto", dtype=dtype)
            except WeightsError:  # those of a package that is not installed
                break
            noted = FeatureStore(FEATURES.path(key)).read_facts()
            if noted is not None:
                height, width, channels = noted[0]["map_shape"]
                return height, width, channels
    return None
