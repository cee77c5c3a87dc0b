"""A classifier of Keras' own layers and operations; runs in a child process."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from headfit.backbones.custom.file import load
from headfit.errors import UsageError
from headfit.exports.formats.keras import PlainKerasRequest
from headfit.exports.fusion_child import Weights, biased_by_dense, fused
from headfit.heads.chain import POOL
from headfit.heads.keras_layers import shaped, spatial, trained
from headfit.heads.layers.gem import LEAST, LEAST_P
from headfit.heads.layers.lse import LEAST_R
from headfit.heads.layers.spp import CELLS, cell_matrix

Tensor = Any
"""A Keras tensor; Keras carries no types."""


def write_plain(request: PlainKerasRequest) -> dict[str, Any]:
    """Rewrite headfit's own layers and save.

    Returns:
        ``rewritten``: the classes of the layers that were.

    Raises:
        UsageError: if a layer has no exact counterpart.
    """
    model = load(Path(request.path))
    if request.fuse:
        model = fused(model)
    weights: Weights = []
    rewritten: list[str] = []

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Tensor:
        if not _is_ours(layer):
            return layer(*args, **kwargs)
        rewrite = _REWRITES.get(type(layer))
        if rewrite is None:
            raise _refusal(layer)
        rewritten.append(type(layer).__name__)
        return rewrite(layer, args[0], weights)

    _check_nested(model)
    plain = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    for layer, arrays in weights:
        layer.set_weights(arrays)
    plain.save(request.target)
    return {"rewritten": rewritten}


def _is_ours(layer: Any) -> bool:
    return type(layer).__module__.partition(".")[0] == "headfit"


def _check_nested(model: keras.Model) -> None:
    top = {id(layer) for layer in model.layers}
    for layer in model._flatten_layers(include_self=False):  # the only way to find nested layers
        foreign = type(layer).__module__.partition(".")[0] != "keras"
        if foreign and not (id(layer) in top and _is_ours(layer)):
            raise _refusal(layer)


def _refusal(layer: Any) -> UsageError:
    return UsageError(
        f"Layer '{layer.name}' ({type(layer).__name__}) has no exact counterpart among Keras' own "
        f"layers, so there is no plain .keras file. Export to onnx or openvino, or compare with "
        f"another head, such as gap or attention."
    )


def _gem(layer: shaped.GeM, x: Tensor, weights: Weights) -> Tensor:
    """(mean_p max(F_p, ε)^p)^(1/p), step by step as in the layer."""
    p = max(float(np.asarray(layer.get_weights()[0])), LEAST_P)
    top = ops.max(x, axis=(1, 2, 3), keepdims=True)
    x = ops.maximum(x, ops.maximum(layer.initial["epsilon"] * ops.minimum(top, 1.0), LEAST))
    m = ops.max(x, axis=(1, 2), keepdims=True)
    mean = ops.mean(ops.power(x / m, p), axis=(1, 2))
    return _named(ops.squeeze(m, (1, 2)) * ops.power(mean, 1 / p))


def _log_sum_exp(layer: shaped.LogSumExp, x: Tensor, weights: Weights) -> Tensor:
    """r⁻¹ log mean_p exp(r F_p), step by step as in the layer."""
    r = max(float(np.asarray(layer.get_weights()[0])), LEAST_R)
    m = ops.max(x, axis=(1, 2), keepdims=True)
    mean = ops.mean(ops.expm1(r * (x - m)), axis=(1, 2))
    return _named(ops.squeeze(m, (1, 2)) + ops.log1p(mean) / r)


def _pyramid(layer: spatial.SPP, x: Tensor, weights: Weights) -> Tensor:
    """The averages of all cells as one matrix product over the positions."""
    _, height, width, _ = x.shape
    dense = layers.Dense(CELLS, use_bias=False, name="head_cells")
    weights.append((dense, [np.asarray(cell_matrix(height, width)).T]))
    turned = layers.Permute((2, 1), name="head_channels")(_positions(x))
    return layers.Flatten(name=POOL)(layers.Permute((2, 1), name="head_by_cell")(dense(turned)))


def _prior(layer: spatial.SpatialShrinkage, x: Tensor, weights: Weights) -> Tensor:
    """F̄ + √(1−τ)(F_p − F̄) as a sum of two scaled maps."""
    share = math.sqrt(1 - layer.tau)
    mean = layers.GlobalAveragePooling2D("channels_last", keepdims=True, name="head_mean")(x)
    mean = layers.Rescaling(1 - share, name="head_mean_scale")(mean)
    near = layers.Rescaling(share, name="head_map_scale")(x)
    return layers.Flatten("channels_last", name=POOL)(layers.Add(name="head_sum")([near, mean]))


def _attention(layer: trained.AttentionPooling, x: Tensor, weights: Weights) -> Tensor:
    """Σ_p a_p F_p with a = softmax_p(⟨q, F_p⟩/C)."""
    maps, channels = _positions(x), x.shape[3]
    (query,) = layer.get_weights()
    scores = layers.Dense(1, use_bias=False, name="head_scores")
    weights.append((scores, [(query / channels)[:, None]]))
    shares = layers.Softmax(axis=1, name="head_shares")(scores(maps))
    pooled = layers.Dot(axes=1, name="head_weighted")([maps, shares])
    return layers.Flatten(name=POOL)(pooled)


def _low_rank(layer: trained.LowRankReadout, x: Tensor, weights: Weights) -> Tensor:
    """The same logits from Flatten: W_kpc = Σ_r A_krp B_krc / P."""
    places, channels = (np.asarray(array, np.float64) for array in layer.get_weights())
    classes, _, positions = places.shape
    kernel = np.einsum("krp,krc->pck", places, channels).reshape(-1, classes) / positions
    dense = layers.Dense(classes, use_bias=False, name=POOL)
    weights.append((dense, [kernel.astype(np.float32)]))
    return dense(layers.Flatten("channels_last", name="head_flat")(x))


def _positions(x: Tensor) -> Tensor:
    _, height, width, channels = x.shape
    return layers.Reshape((height * width, channels), name="head_positions")(x)


def _named(x: Tensor) -> Tensor:
    return layers.Identity(name=POOL)(x)


_REWRITES: dict[type, Callable[[Any, Tensor, Weights], Tensor]] = {
    shaped.GeM: _gem,
    shaped.LogSumExp: _log_sum_exp,
    spatial.SPP: _pyramid,
    spatial.SpatialShrinkage: _prior,
    trained.AttentionPooling: _attention,
    trained.LowRankReadout: _low_rank,
    trained.BiasedSoftmax: biased_by_dense,
    trained.BiasedActivation: biased_by_dense,
}
"""Our layers → the same in Keras' own."""
