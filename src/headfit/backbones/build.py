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
from headfit.backbones.weights import IMAGENET, RANDOM, packaged_weights
from headfit.errors import WeightsError

RANDOM_SEED = 0


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
        A frozen model from preprocessed images to the feature map.

    Raises:
        WeightsError: if the weights are not to be had or do not fit.
    """
    with _data_format("channels_first" if channels_first else "channels_last"):
        model = _with_weights(spec, _shape(size, channels_first), weights)
    model.trainable = False
    return model


def weights_digest(model: keras.Model) -> str:
    """Digest all weights of a model, in the model's order."""
    digest = xxhash.xxh3_128()
    for array in model.get_weights():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _data_format(value: str) -> Iterator[None]:
    before = keras.config.image_data_format()
    keras.config.set_image_data_format(value)
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


def _shape(size: int, channels_first: bool) -> tuple[int, int, int]:
    return (3, size, size) if channels_first else (size, size, 3)


def _with_weights(spec: BackboneSpec, shape: tuple[int, int, int], weights: str) -> keras.Model:
    if weights == IMAGENET:
        return _pretrained(spec, shape)
    model = _untrained(spec, shape)
    if weights == RANDOM:
        _randomise(model)
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
        efficientnet_lite.assign(model, torch_file.read_state_dict(packaged_weights(spec)))
        return model
    try:
        return _constructor(spec)(include_top=False, weights="imagenet", input_shape=shape)
    except Exception as error:
        raise _not_downloaded(spec, error) from None


def _constructor(spec: BackboneSpec) -> Any:
    return getattr(keras.applications, spec.name)


def _not_downloaded(spec: BackboneSpec, error: Exception) -> WeightsError:
    """Turn Keras' download failure into what to do about it."""
    found = re.search(r"URL fetch failure on (\S+): ", str(error))
    if not found:
        return WeightsError(f"Keras could not load the ImageNet weights of {spec.name}: {error}")
    url = found[1]
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    place = home / "models" / url.rsplit("/", 1)[-1]
    return WeightsError(
        f"The ImageNet weights of {spec.name} are not in Keras' cache and could not be downloaded. "
        f"Download {url} elsewhere and put it at {place}, or give --weights FILE, or "
        f"--weights random to try things out."
    )


def _load(model: keras.Model, path: Path, spec: BackboneSpec) -> None:
    try:
        if path.suffix == ".pth" and spec.package:
            efficientnet_lite.assign(model, torch_file.read_state_dict(path))
        else:
            model.load_weights(path)
    except WeightsError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"'{path}' does not fit {spec.name} without its top: {reason} Expected a Keras "
            f"weights file (.weights.h5, .h5 or .keras) saved from that model."
        ) from None


def _randomise(model: keras.Model) -> None:
    """Draw He-normal kernels with numpy, so that every Keras backend gets the same ones."""
    rng = np.random.default_rng(RANDOM_SEED)
    for weight in model.weights:
        if weight.path.split("/")[-1] in {"kernel", "depthwise_kernel", "pointwise_kernel"}:
            depthwise = weight.path.endswith("depthwise_kernel")
            fan_in = np.prod(weight.shape[:2]) if depthwise else np.prod(weight.shape[:-1])
            drawn = rng.standard_normal(weight.shape) * np.sqrt(2.0 / fan_in)
            weight.assign(drawn.astype("float32"))
