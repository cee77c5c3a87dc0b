"""Wrap a foreign model: its preprocessing before it, probabilities after it. Imports Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from headfit.backbones.engines.interface import probe_images
from headfit.errors import ModelFileError, UsageError
from headfit.exports.foreign import WrapRequest
from headfit.images.contract import Contract
from headfit.inspection.networks import load
from headfit.model.assemble_child import preprocess

SUM = 1e-3


def wrap(request: WrapRequest) -> dict[str, Any]:
    """Write the wrapped model.

    Returns:
        ``input`` [height, width], ``probe``: the outputs for the probe images, ``name``, and
        ``added``: what was added, in sentences.

    Raises:
        ModelFileError: if it is no classifier of images.
        UsageError: if it has another number of classes.
    """
    model = load(Path(request.path))
    height, width = _size(model, request.path)
    contract = Contract(height, width, **request.preprocessing)
    raw = np.asarray(
        model.predict(contract.apply(probe_images(height, width)), verbose=0), np.float64
    )
    if raw.ndim != 2:
        raise ModelFileError(
            f"'{request.path}' gives outputs of shape {raw.shape[1:]}; expected (classes,)."
        )
    images = keras.Input((height, width, 3), name="images")
    outputs = model(preprocess(images, contract), training=False)
    outputs, added = _as_probabilities(outputs, raw, request)
    made = keras.Model(images, outputs, name="headfit_wrapped")
    made.save(request.target)
    probe = np.asarray(made.predict(probe_images(height, width).astype(np.float32), verbose=0))
    return {
        "input": [height, width],
        "probe": probe.tolist(),
        "name": str(model.name),
        "added": added,
    }


def _size(model: keras.Model, path: str) -> tuple[int, int]:
    inputs = model.inputs or []
    shape = tuple(inputs[0].shape[1:]) if len(inputs) == 1 else ()
    if len(shape) != 3 or None in shape or shape[2] != 3:
        shapes = ", ".join(str(tuple(each.shape[1:])) for each in inputs) or "no known shape"
        raise ModelFileError(
            f"'{path}' takes inputs of {shapes}; expected one image, (height, width, 3), all fixed."
        )
    return int(shape[0]), int(shape[1])


def _as_probabilities(outputs: Any, raw: np.ndarray, request: WrapRequest) -> tuple[Any, list[str]]:
    count = raw.shape[1]
    within = bool(((raw >= 0) & (raw <= 1)).all())
    if count == 1 and within and request.classes == 2:
        no = keras.layers.Rescaling(-1.0, 1.0, name="not_positive")(outputs)
        both = keras.layers.Concatenate(name="both")([no, outputs])
        return both, ["Its one output is the probability of the second class."]
    if count != request.classes:
        raise UsageError(
            f"`classes` must name the {count} outputs of '{request.path}'. Received: "
            f"{request.classes} names."
        )
    if within and bool((np.abs(raw.sum(axis=1) - 1) < SUM).all()):
        return outputs, []
    if within:
        raise ModelFileError(
            f"'{request.path}' gives a probability for each class by itself, not one class an "
            f"image. Only models of one class an image are exported."
        )
    softmax = keras.layers.Softmax(name="probabilities_of_scores")
    return softmax(outputs), ["Its outputs are raw scores: a softmax is added behind them."]
