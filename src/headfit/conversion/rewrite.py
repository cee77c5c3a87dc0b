"""A model with some of its calls replaced, all other layers shared with the old one.

Imports Keras: it is used in a child process (see :mod:`headfit.util.child`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

Tensor = Any
"""A Keras tensor; Keras carries no types."""
Changes = Mapping[int, Callable[[Tensor], Tensor]]
"""By ``id`` of a layer, what is put in the place of its call."""


def rewrite(model: keras.Model, changes: Changes) -> keras.Model:
    """Rebuild a model around its layers, some calls replaced, at any depth.

    Args:
        model: functional or sequential. It is not changed; nested models without a replaced call
            are taken over whole.
        changes: what takes the place of a call; it takes the first tensor that went into it.
    """

    def call(layer: Any, *args: Any, **kwargs: Any) -> Tensor:
        if id(layer) in changes:
            return changes[id(layer)](keras.tree.flatten((args, kwargs))[0])
        if isinstance(layer, keras.Model) and _holds(layer, changes):
            layer = _nested(layer, changes)
        return layer(*args, **kwargs)

    if isinstance(model, keras.Sequential):
        entry = model.inputs[0]
        start = x = keras.Input(batch_shape=entry.shape, dtype=entry.dtype, name=entry.name)
        for layer in model.layers:
            x = call(layer, x)
        return keras.Model(start, x, name=model.name)
    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def _nested(model: keras.Model, changes: Changes) -> keras.Model:
    new = rewrite(model, changes)
    # set on a model, trainable spreads to its layers, which have their own
    flags = [(layer, layer.trainable) for layer in new._flatten_layers(include_self=False)]
    new.trainable = model.trainable
    for layer, flag in flags:
        layer.trainable = flag
    return new


def _holds(model: keras.Model, changes: Changes) -> bool:
    operations = getattr(model, "operations", None) or model.layers
    return any(
        id(each) in changes or (isinstance(each, keras.Model) and _holds(each, changes))
        for each in operations
    )
