"""The weights of a head within a Keras model, by the names of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headfit.heads.chain import Head


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
        model.get_layer(layer).set_weights([left.pop(f"{layer}/{name}") for name in names])
    if left:
        raise ValueError(f"Head '{head.name}' has no variables {', '.join(left)}.")


def head_weights(model: Any, head: Head) -> tuple[np.ndarray, ...]:
    """Give the arrays of a head, in the order of :meth:`Head.name_weights`."""
    return tuple(
        np.asarray(array)
        for layer in head.variables
        for array in model.get_layer(layer).get_weights()
    )
