"""From a name to a frozen Keras model with its weights, on whatever backend Keras runs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import xxhash

from headfit.backbones import efficientnet_lite, torch_file
from headfit.backbones.catalog import BackboneSpec
from headfit.backbones.construction import no_drawing, settings
from headfit.backbones.custom.model import build as build_custom
from headfit.backbones.weights import IMAGENET, RANDOM, check_weights, packaged_weights
from headfit.errors import WeightsError

RANDOM_SEED = 0
KERNELS = frozenset({"kernel", "depthwise_kernel", "pointwise_kernel"})
MOST_OF_A_TOP = 3  # layers with weights
_UNTRAINED = {
    **dict.fromkeys(("bias", "beta", "moving_mean"), 0.0),
    **dict.fromkeys(("gamma", "moving_variance"), 1.0),
}
EXPECTED = (
    "Expected a file saved from that model: Keras weights (.weights.h5, or .h5 of the older "
    "kind), a .keras model, or for EfficientNet-Lite a PyTorch .pth."
)


def build(
    spec: BackboneSpec, size: int, weights: str, *, channels_first: bool = False
) -> keras.Model:
    """Build a backbone without its top.

    Args:
        spec: which one.
        size: side of the square input in pixels.
        weights: ``"imagenet"``, ``"random"`` or the path of a weights file.
        channels_first: build the graph for (3, size, size) instead of (size, size, 3).

    Returns:
        A frozen model from preprocessed images to the feature map; a custom backbone becomes a flat
        model of layers, cut before its own pooling.

    Raises:
        WeightsError: if the weights are not available or do not fit.
        ModelFileError, EngineError, UsageError: if a custom backbone cannot run at this size.
    """
    # a custom backbone is built as it was written, and only then turned
    layout = "channels_first" if channels_first and not spec.custom else "channels_last"
    with settings(layout), no_drawing():
        if spec.custom:
            check_weights(weights, spec)
            model = build_custom(spec, size, channels_first=channels_first)
        else:
            model = _with_weights(spec, _shape(size, channels_first), weights)
    model.trainable = False
    return model


@contextlib.contextmanager
def untrained() -> Iterator[None]:
    """Let Keras build within it in float32, channels last, with kernels of zeros: for counting."""
    with settings("channels_last"), no_drawing():
        yield


def weights_digest(model: keras.Model) -> str:
    """Digest all weights of a model, in the model's order."""
    digest = xxhash.xxh3_128()
    for array in model.get_weights():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _shape(size: int, channels_first: bool) -> tuple[int, int, int]:
    return (3, size, size) if channels_first else (size, size, 3)


def _with_weights(spec: BackboneSpec, shape: tuple[int, int, int], weights: str) -> keras.Model:
    if weights == IMAGENET:
        return _pretrained(spec, shape)
    model = _untrained(spec, shape)
    if weights == RANDOM:
        randomise(model)
    else:
        _load(model, Path(weights), spec)
    return model


def _untrained(spec: BackboneSpec, shape: tuple[int, int, int]) -> keras.Model:
    if spec.package:
        return efficientnet_lite.build(spec.name, shape)
    return _constructor(spec)(include_top=False, weights=None, input_shape=shape)


def _pretrained(spec: BackboneSpec, shape: tuple[int, int, int]) -> keras.Model:
    if spec.package:
        model = efficientnet_lite.build(spec.name, shape)
        _load(model, packaged_weights(spec), spec)
        return model
    try:
        return _constructor(spec)(include_top=False, weights="imagenet", input_shape=shape)
    except Exception as error:
        raise _not_downloaded(spec, error) from None


def _constructor(spec: BackboneSpec) -> Any:
    return getattr(keras.applications, spec.name)


def _not_downloaded(spec: BackboneSpec, error: Exception) -> WeightsError:
    """Turn Keras' download failure into what to do about it."""
    failure = re.search(r"URL fetch failure on (\S+): ", str(error))
    if not failure:
        return WeightsError(
            f"Keras could not load the ImageNet weights of {spec.name}: {_reason(error)}."
        )
    url = failure[1]
    name = url.rsplit("/", 1)[-1]
    if spec.name.startswith("NASNet"):  # the only ones that Keras keeps under another name
        name = name.lower().replace("-", "_")
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    return WeightsError(
        f"The ImageNet weights of {spec.name} are not in Keras' cache and could not be downloaded. "
        f"Download {url} elsewhere and put it at {home / 'models' / name}, or pass it as "
        f"`weights`, or use `weights='random'` to try things out."
    )


def _load(model: keras.Model, path: Path, spec: BackboneSpec) -> None:
    """Load a file that must set every weight of the model."""
    if path.suffix == ".pth" and not spec.package:
        raise WeightsError(f"'{path}' does not fit {spec.name}: a .pth is for EfficientNet-Lite.")
    # Keras tolerates some files that leave weights untouched: then these stay NaN
    model.set_weights([np.full(weight.shape, np.nan, "float32") for weight in model.weights])
    try:
        if path.suffix == ".pth":
            efficientnet_lite.assign(model, torch_file.read_state_dict(path))
        else:
            model.load_weights(path)
    except WeightsError:
        raise
    except Exception as error:
        raise _unfit(path, spec, _reason(error)) from None
    if not all(np.isfinite(array).all() for array in model.get_weights()):
        raise _unfit(path, spec, "some weights are missing, or are not finite numbers")


def _unfit(path: Path, spec: BackboneSpec, reason: str) -> WeightsError:
    return WeightsError(f"'{path}' does not fit {spec.name} without its top: {reason}. {EXPECTED}")


def _reason(error: Exception) -> str:
    """Give the first line of an error, which for Keras' says enough."""
    if isinstance(error, KeyError):
        return f"it has no {error}"
    first = (str(error).splitlines() or [""])[0]
    # "A total of 94 objects could not be loaded. Example error message for object <...>:"
    first = first.partition(" Example error message")[0]
    if counts := re.search(r"expected (\d+) layers, found (\d+) saved layers", first):
        expected, saved = map(int, counts.groups())
        near = 0 < saved - expected <= MOST_OF_A_TOP
        what = "it has a top" if near else "it is of another network"
        return f"{what}: {saved} layers with weights instead of {expected}"
    if first.startswith("A total of"):
        return f"it is of another network: {first[0].lower()}{first[1:].rstrip('.')}"
    return first.rstrip(" .:") or type(error).__name__


def randomise(model: keras.Model) -> None:
    """Draw He-normal kernels with numpy, so that every Keras backend gets the same ones.

    Biases and normalisations are set as before a training; weights of other names remain.
    """
    rng = np.random.default_rng(RANDOM_SEED)
    for weight in model.weights:
        name = weight.path.split("/")[-1]
        if name in _UNTRAINED:
            weight.assign(np.full(weight.shape, _UNTRAINED[name], "float32"))
        if name in KERNELS:
            # a depthwise kernel (h, w, C, 1) sums over its window only
            depthwise = len(weight.shape) == 4 and weight.shape[-1] == 1
            fan_in = np.prod(weight.shape[:2] if depthwise else weight.shape[:-1])
            drawn = rng.standard_normal(weight.shape) * np.sqrt(2.0 / fan_in)
            weight.assign(drawn.astype("float32"))


def even_out(model: keras.Model, images: np.ndarray) -> None:
    """Scale random kernels alike, so that the map has values of about 1 and training can start.

    He-normal kernels keep the scale of pixels, which are up to 150 for VGG: then a softmax layer is
    sure of itself from the start, and no gradient passes. Networks with normalisations have no need
    of it. After Mishkin & Matas, All you need is a good init, ICLR 2016.

    Args:
        model: from preprocessed images to the map.
        images: some of these, float32 (n, height, width, 3).
    """
    if any("Normalization" in type(layer).__name__ for layer in model.layers):
        return
    kernels = [weight for weight in model.weights if weight.path.split("/")[-1] in KERNELS]
    size = float(np.sqrt(np.mean(np.square(keras.ops.convert_to_numpy(model(images))))))
    if kernels and np.isfinite(size) and size > 0:
        for kernel in kernels:
            kernel.assign(kernel * size ** (-1 / len(kernels)))
