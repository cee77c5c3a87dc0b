"""Write a SavedModel. Runs in child processes, on the backend TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from headfit.exports.formats.saved_model import SavedModelRequest
from headfit.exports.network_child import names_of, network, no_counterpart
from headfit.exports.record import IMAGES

LARGE = 64  # numbers; what is smaller is not worth storing in half precision


def write_saved_model(request: SavedModelRequest) -> None:
    """Write the folder ``target``."""
    save(network(request), Path(request.target), names_of(request), half=request.half)


def save(model: keras.Model, folder: Path, names: Sequence[str], *, half: bool = False) -> None:
    """Write a network with its signature ``serving_default``.

    Args:
        model: what :func:`network` gives.
        folder: a path where nothing lies.
        names: of its outputs.
        half: whether large weights are stored in half precision. They are widened for each batch.

    Raises:
        UsageError: if TensorFlow cannot trace one of its layers.
    """
    holder = tf.Module()
    trained, fixed = model.trainable_variables, model.non_trainable_variables
    holder.weights = [_variable(each, half) for each in (*trained, *fixed)]

    def run(images: Any) -> dict[str, Any]:
        values = [_widened(each) for each in holder.weights]
        pixels = tf.cast(images, tf.float32)
        first, rest = values[: len(trained)], values[len(trained) :]
        outputs, _ = model.stateless_call(first, rest, pixels, training=False)
        several = outputs if isinstance(outputs, list) else [outputs]
        return dict(zip(names, several, strict=False))

    images = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name=IMAGES)
    try:
        holder.run = tf.function(run, input_signature=[images])
        signature = holder.run.get_concrete_function()
    except Exception as error:
        raise no_counterpart("TensorFlow", error) from None
    tf.saved_model.save(holder, str(folder), {"serving_default": signature})


def _variable(weight: Any, half: bool) -> Any:
    array = np.asarray(weight)
    narrow = half and array.dtype == np.float32 and array.size > LARGE
    if narrow and np.abs(array).max() < np.finfo(np.float16).max:
        array = array.astype(np.float16)
    return tf.Variable(array, trainable=False)


def _widened(variable: Any) -> Any:
    return tf.cast(variable, tf.float32) if variable.dtype == tf.float16 else tf.identity(variable)
