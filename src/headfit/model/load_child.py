"""Load a saved classifier with Keras, and turn it into a graph.

Imports Keras: :func:`write_graph` runs in a child process (see :mod:`headfit.util.child`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

import headfit.heads.keras_layers.registered  # noqa: F401  (tells Keras of headfit's layers)
from headfit.backbones.graphs import graph_child as graph
from headfit.errors import EngineError
from headfit.images.contract import Contract


def load_model(path: str) -> keras.Model:
    """Load a ``.keras`` file in safe mode: no code in it is run."""
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def with_channel_means(model: keras.Model) -> keras.Model:
    """Let a classifier also give what its outlier score needs, at the price of one mean.

    Args:
        model: a classifier that headfit assembled: within it, the backbone is a model of its own.

    Returns:
        A model of the same layers, from pixels to float32 (n, K + C): the probabilities, then the
        mean of each channel of the backbone's feature map. In one tensor, since that is what an
        engine gives.

    Raises:
        EngineError: if no backbone is in it.
    """
    maps: list[Any] = []

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        output = layer(*args, **kwargs)
        if isinstance(layer, keras.Model):
            maps.append(output)
        return output

    same = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    if not maps:
        raise EngineError("there is no backbone in it as headfit puts it there")
    means = keras.layers.GlobalAveragePooling2D("channels_last", dtype="float32")(maps[0])
    both = keras.layers.Concatenate(dtype="float32")([same.output, means])
    return keras.Model(same.input, both, name="headfit_classifier_with_means")


def write_graph(path: str, contract: dict[str, Any], folder: str) -> dict[str, Any]:
    """Write a saved classifier as a graph into ``folder``.

    The graph takes raw uint8 pixels and gives what :func:`with_channel_means` says.

    Returns:
        ``parameters`` of the model.
    """
    model = load_model(path)
    record = Contract.from_dict(contract)
    # preprocessing is part of the model
    plain = Contract(record.height, record.width, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    traced = graph.trace(with_channel_means(model), plain, channels_first=False)
    graph.save(traced, Path(folder))
    return {"parameters": int(model.count_params())}
