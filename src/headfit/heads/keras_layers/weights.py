"""The weights of a head within a Keras model, by the names of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headfit.heads.chain import LAST, SOFTMAX, Head


def assign_head(model: Any, head: Head, arrays: Mapping[str, np.ndarray]) -> None:
    """Give each layer of a head its arrays; a shape parameter was set when it was built.

    Args:
        model: the Keras model.
        head: which head it ends in.
        arrays: by ``layer/variable``, see :meth:`headfit.heads.chain.Head.name_weights`.

    Raises:
        ValueError: there are arrays of other layers.
    """
    left = dict(arrays)
    for layer, names in head.variables.items():
        arrays_of = [left.pop(f"{layer}/{name}") for name in names]
        _layer(model, layer).set_weights(arrays_of)
    if left:
        raise ValueError(f"Head '{head.name}' has no variables {', '.join(left)}.")


def head_weights(model: Any, head: Head) -> tuple[np.ndarray, ...]:
    """Give the arrays of a head, in the order of :meth:`Head.name_weights`."""
    return tuple(
        np.asarray(array)
        for layer in head.variables
        for array in _layer(model, layer).get_weights()
    )


def last_layer(model: Any) -> Any:
    """Find the layer that gives the outputs, whatever its activation; None if there is none."""
    return next((layer for layer in model.layers if layer.name in LAST.values()), None)


def _layer(model: Any, name: str) -> Any:
    """Find a layer by the name that it has in a model of classes."""
    return last_layer(model) if name == SOFTMAX else model.get_layer(name)
