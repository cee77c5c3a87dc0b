"""The new top as Keras layers with their weights.

This module imports Keras and runs in a child process (see :mod:`headfit.util.child`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from headfit.backbones.graphs.trace import Tensor
from headfit.conversion.top import Top
from headfit.heads.chain import LAST
from headfit.layers import BiasedActivation, BiasedSoftmax, LowRankReadout

Arrays = dict[str, np.ndarray]
Change = Callable[[Tensor], Tensor]


def new_top(
    model: keras.Model, top: Top, form: str, arrays: Arrays
) -> tuple[dict[int, Change], list[Any]]:
    """Build the replacements of pooling and dense layer.

    Args:
        model: the whole model.
        top: the layers to replace.
        form: of the new top, see :mod:`headfit.conversion.algebra`.
        arrays: its weights.

    Returns:
        Changes for :func:`headfit.conversion.networks_child.rewrite`, and the new layers.
    """
    taken = {layer.name for layer in model._flatten_layers()} - {top.pool.layer.name}
    pooled, dense = _BUILT[form](top, arrays, taken)
    # folded into the weights
    changes: dict[int, Change] = {id(call.layer): _pass for call in top.norms}
    if form == "low_rank":  # no vector is left that they could work on
        changes = {id(call.layer): _pass for call in top.between}
    changes[id(top.pool.layer)] = _chained(pooled)
    changes[id(top.dense.layer)] = _chained(dense)
    return changes, [*pooled, *dense]


Built = tuple[list[Any], list[Any]]


def _averaged(top: Top, arrays: Arrays, taken: set[str]) -> Built:
    pool = layers.GlobalAveragePooling2D("channels_last", name=_name(top, "gap", taken))
    return [pool], [_dense(top, arrays)]


def _flat(top: Top, arrays: Arrays, taken: set[str]) -> Built:
    return [layers.Flatten("channels_last", name=_name(top, "flatten", taken))], [
        _dense(top, arrays)
    ]


def _shared(top: Top, arrays: Arrays, taken: set[str]) -> Built:
    basis = arrays["basis"]
    channels = layers.Conv2D(
        basis.shape[1],
        1,
        use_bias=False,
        data_format="channels_last",
        name=_free("low_rank_channels", taken),
    )
    _give(channels, top.map_shape, [basis[None, None]])
    pool = layers.Flatten("channels_last", name=_name(top, "flatten", taken))
    return [channels, pool], [_dense(top, arrays)]


def _low_rank(top: Top, arrays: Arrays, taken: set[str]) -> Built:
    places, bias = arrays["places"], arrays["bias"]
    classes, rank, _ = places.shape
    pool = LowRankReadout(classes, rank, "channels_last", name=_name(top, "low_rank", taken))
    _give(pool, top.map_shape, [places, arrays["channels"]])
    old = top.dense.layer
    config = {"name": old.name, "dtype": old.dtype_policy.name}
    if old.activation is keras.activations.softmax:
        last, weights = BiasedSoftmax(**config), [bias]
    elif old.name in LAST.values():  # a model of headfit's
        last, weights = (
            BiasedActivation(old.activation.__name__, **config),
            [bias],
        )
    else:
        # a number of its own for each unit, which stays 1, since Keras has no layer for a bias
        last = layers.EinsumDense("bk,k->bk", (classes,), old.activation, bias_axes="k", **config)
        weights = [np.ones_like(bias), bias]
    _give(last, (classes,), weights)
    return [pool], [last]


_BUILT = {"gap": _averaged, "flatten": _flat, "low_rank": _low_rank, "shared": _shared}


def _dense(top: Top, arrays: Arrays) -> Any:
    """Make the dense layer again, for another number of inputs."""
    kernel, bias = arrays["kernel"], arrays["bias"]
    old = top.dense.layer
    use_bias = bool(old.use_bias or bias.any())
    layer = layers.Dense.from_config({**old.get_config(), "use_bias": use_bias})
    _give(layer, (kernel.shape[0],), [kernel, bias] if use_bias else [kernel])
    return layer


def _give(layer: Any, shape: tuple[int, ...], weights: list[np.ndarray]) -> None:
    layer.build((None, *shape))
    layer.set_weights(weights)


def _name(top: Top, wanted: str, taken: set[str]) -> str:
    """Keep the common name of headfit's poolings; for other models, name the new pooling."""
    return "head_pool" if top.pool.layer.name == "head_pool" else _free(wanted, taken)


def _free(name: str, taken: set[str]) -> str:
    unused, number = name, 1
    while unused in taken:
        number += 1
        unused = f"{name}_{number}"
    return unused


def _chained(steps: list[Any]) -> Change:
    def call(x: Tensor) -> Tensor:
        for step in steps:
            x = step(x)
        return x

    return call


def _pass(x: Tensor) -> Tensor:
    return x
