"""What the tests of backbones run in a child process, where Keras builds quickly on OpenVINO."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from headfit.backbones import build as backbones
from headfit.backbones import efficientnet_lite
from headfit.backbones.build import build, untrained, weights_digest
from headfit.backbones.catalog import find
from headfit.errors import WeightsError


def sizes(models: list[list[Any]]) -> dict[str, Any]:
    """Give the parameters and output shape of each (name, input size, with its top?)."""
    backbones.randomise = lambda _: None  # values are not counted
    return {"sizes": [_size(*model) for model in models]}


def _size(name: str, side: int, top: bool) -> list[Any]:
    spec, shape = find(name), (side, side, 3)
    if not top:
        model = build(spec, side, "random")
    elif spec.package:
        model = efficientnet_lite.build(spec.name, shape, include_top=True)
    else:
        with untrained():
            constructor = getattr(keras.applications, spec.name)
            model = constructor(include_top=True, weights=None, input_shape=shape)
    return [model.count_params(), list(model.output_shape[1:])]


def random_digests(models: list[list[Any]]) -> dict[str, Any]:
    return {
        "backend": keras.backend.backend(),
        "digests": [weights_digest(build(find(name), size, "random")) for name, size in models],
    }


def save_every_way(name: str, size: int, folder: str) -> dict[str, Any]:
    """Save a backbone in all formats, and say what each gives when it is loaded again."""
    files = [Path(folder) / n for n in ("a.weights.h5", "b.keras", "whole.h5", "weights.h5")]
    model = build(find(name), size, "random")
    # no weight as a fresh model has it
    model.set_weights([w + np.asarray(1.5, w.dtype) for w in model.get_weights()])
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):  # Normalization keeps derived values
            layer.finalize_state()
    model.save_weights(files[0])
    model.save(files[1])
    model.save(files[2])
    with h5py.File(files[3], "w") as stream:  # the kind that keras.applications downloads
        save_weights_to_hdf5_group(stream, model)
    pixels = np.full((1, size, size, 3), 0.25, "float32")
    loaded = [build(find(name), size, str(file)) for file in files]
    return {
        "expected": weights_digest(model),
        "found": {f.name: weights_digest(m) for f, m in zip(files, loaded, strict=True)},
        "outputs": [
            float(np.abs(m.predict(pixels, verbose=0)).mean(dtype=float)) for m in [model, *loaded]
        ],
    }


def refusals(cases: list[list[Any]]) -> dict[str, Any]:
    """Give the message with which each (name, size, weights) is refused, or ''."""
    # built once for all files: the weights of each are set before a file is looked into
    backbones._untrained = functools.cache(backbones._untrained)
    return {"messages": [_refusal(*case) for case in cases]}


def _refusal(name: str, size: int, weights: str) -> str:
    try:
        build(find(name), size, weights)
    except WeightsError as error:
        return str(error)
    return ""


def save_random(name: str, size: int, path: str) -> dict[str, Any]:
    build(find(name), size, "random").save_weights(path)
    return {}
