"""A saved model in Keras, opened to give its predictions, or what lies before them.

Imports Keras: it is used in child processes, and where Keras itself runs a model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from headfit.backbones.custom.file import load
from headfit.errors import EngineError
from headfit.heads.keras_layers.weights import last_layer

POOL, SCALE = "head_pool", "head_scale"


class Parts(NamedTuple):
    """A classifier whose insides can be reached.

    Attributes:
        model: as it was loaded.
        images: its input.
        maps: the feature map that its pooling takes, (n, H, W, C).
        logits: (n, K), before the activation.
    """

    model: keras.Model
    images: Any
    maps: Any
    logits: Any

    def head(self) -> dict[str, np.ndarray]:
        """The arrays of the head: ``pool_0``, … and ``body_0``, …, in the model's order."""
        arrays: dict[str, np.ndarray] = {}
        for layer in self.model.layers:
            if layer.name.startswith("head_") and not isinstance(layer, keras.Model):
                kind = "pool" if layer.name == POOL else "body"
                start = sum(name.startswith(kind) for name in arrays)
                for number, array in enumerate(layer.get_weights(), start):
                    arrays[f"{kind}_{number}"] = np.asarray(array, np.float32)
        return arrays


class Network(NamedTuple):
    """A classifier opened to give one kind of output.

    Attributes:
        model: from pixels to that output.
        facts: with the map: ``map_shape`` [H, W, C], and ``shape``, a parameter of the pooling
            that is no weight, or None.
        head: with the map: the arrays of the head, see :meth:`Parts.head`.
    """

    model: keras.Model
    facts: dict[str, Any]
    head: dict[str, np.ndarray]


def take_apart(path: Path) -> Parts:
    """Load a classifier and find its feature map and its logits.

    Raises:
        EngineError: if headfit did not put it together.
    """
    model = load(path)
    maps: list[Any] = []
    features: list[Any] = []
    last = last_layer(model)

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        if layer is last:
            features.append(args[0])
        output = layer(*args, **kwargs)
        backbone = isinstance(layer, keras.Model) and not maps
        if backbone or layer.name == SCALE:
            maps.append(output)
        return output

    same = _called_again(model, call)
    if not (maps and features):
        raise EngineError("it has no backbone and head as headfit writes them")
    assert last is not None
    arrays = last.get_weights()
    if len(arrays) == 1:  # a bias alone: what comes before it is a logit for each class already
        arrays = [np.eye(len(arrays[0]), dtype=np.float32), *arrays]
    # its first weights are replaced at once: zeros cost nothing to make
    plain = keras.layers.Dense(
        len(arrays[1]), kernel_initializer="zeros", dtype="float32", name="headfit_logits"
    )
    logits = plain(features[0])
    plain.set_weights(arrays)
    return Parts(model, same.inputs[0], maps[-1], logits)


def predictions(path: Path) -> Network:
    """Open a model as it is."""
    return Network(load(path), {}, {})


def with_means(path: Path) -> Network:
    """Open a classifier that also gives what its outlier score needs, for the cost of one mean.

    Returns:
        A model of the same layers, from pixels to float32 (n, K + C): the predictions, then the
        mean of each channel of the backbone's feature map. In one tensor, since that is what an
        engine gives.

    Raises:
        EngineError: if it contains no backbone.
    """
    maps: list[Any] = []

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        output = layer(*args, **kwargs)
        if isinstance(layer, keras.Model):
            maps.append(output)
        return output

    same = _called_again(load(path), call)
    if not maps:
        raise EngineError("it has no backbone as headfit writes it")
    means = keras.layers.GlobalAveragePooling2D("channels_last", dtype="float32")(maps[0])
    both = keras.layers.Concatenate(dtype="float32")([same.output, means])
    return Network(keras.Model(same.input, both, name="headfit_classifier_with_means"), {}, {})


def logits_and_maps(path: Path) -> Network:
    """Open a classifier that gives float32 (n, K + HWC): the logits, then the map, row by row.

    Raises:
        EngineError: if headfit did not put it together.
    """
    parts = take_apart(path)
    flat = keras.layers.Reshape((-1,), dtype="float32")(parts.maps)
    both = keras.layers.Concatenate(dtype="float32")([parts.logits, flat])
    facts = {
        "map_shape": [int(length) for length in parts.maps.shape[1:]],
        "shape": getattr(parts.model.get_layer(POOL), "tau", None),
    }
    return Network(keras.Model(parts.images, both, name="headfit_maps"), facts, parts.head())


def _called_again(model: keras.Model, call: Callable[..., Any]) -> keras.Model:
    """Rebuild a model of the same layers, each call made by a function."""
    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


OPENED: dict[str, Callable[[Path], Network]] = {
    function.__name__: function for function in (predictions, with_means, logits_and_maps)
}
