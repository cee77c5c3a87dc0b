"""The key of a feature store: a digest of everything that its maps depend on."""

from __future__ import annotations

from headfit.backbones.catalog import BackboneSpec
from headfit.backbones.engines.interface import FLOAT32, INT8
from headfit.backbones.weights import weights_identity
from headfit.images.contract import Contract
from headfit.util import digests
from headfit.util.cache import FEATURES


def feature_key(
    spec: BackboneSpec,
    contract: Contract,
    weights: str,
    *,
    engine: str,
    dtype: str,
    calibration: str = "",
    cut: str = "",
) -> str:
    """Digest everything but the image that a stored feature map depends on.

    Args:
        spec: the backbone.
        contract: size, resizing, decoder and preprocessing.
        weights: ``"imagenet"``, ``"random"`` or a path.
        engine: the chosen engine; engines agree only to about 1e-5.
        dtype: how the maps are stored.
        calibration: digest of the images that int8 was calibrated on; empty for float32.
        cut: the layer that the backbone ends at; empty for its own end.
    """
    return digests.of_data(
        {
            "format": FEATURES.format,
            "backbone": spec.name,
            "weights": weights_identity(spec, weights),
            "contract": contract.to_dict(),
            "engine": engine,
            "dtype": dtype,
            "precision": INT8 if calibration else FLOAT32,
            "calibration": calibration,
            **({"cut": cut} if cut else {}),
        }
    )
