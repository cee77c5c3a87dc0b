"""Pooling, scaling and linear head as one matrix product over the whole map. Imports Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from headfit.errors import UsageError
from headfit.heads.chain import LAST, POOL
from headfit.heads.keras_layers.spatial import SPP, SpatialShrinkage
from headfit.heads.keras_layers.trained import BiasedActivation, BiasedSoftmax
from headfit.heads.keras_layers.weights import last_layer

LINEAR = (keras.layers.GlobalAveragePooling2D, keras.layers.Flatten, SPP, SpatialShrinkage)
"""Poolings whose output is a linear function of the map, each channel by itself."""
Weights = list[tuple[keras.Layer, list[np.ndarray]]]
"""What new layers hold, set once the model is built."""
SCALE, FLAT = "head_scale", "head_flatten"


def biased_by_dense(layer: BiasedSoftmax | BiasedActivation, x: Any, weights: Weights) -> Any:
    """Write softmax(x + b), or another activation, as a dense layer that leaves x as it is.

    Args:
        layer: with the bias.
        x: Keras tensor (batch, K).
        weights: receives the dense layer and its arrays.
    """
    (bias,) = layer.get_weights()
    activation = getattr(layer, "activation", "softmax")
    dense = keras.layers.Dense(len(bias), activation, dtype="float32", name=layer.name)
    weights.append((dense, [np.eye(len(bias), dtype=np.float32), bias]))
    return dense(x)


def fused(model: keras.Model) -> keras.Model:
    """Replace pooling, scaling and linear head by ``Flatten`` and ``Dense``.

    With v = s M F for a scale s, a pooling matrix M (cells × positions) and each channel by itself,
    the logits ⟨W, v⟩ + b are those of the weights W'_pc = s Σ_q M_qp W_qc on the flat map.

    Raises:
        UsageError: if its head is not linear in the map.
    """
    names = [layer.name for layer in model.layers]
    hidden = [name for name in names if name.startswith("head_")]
    pool = model.get_layer(POOL) if POOL in names else None
    if not isinstance(pool, LINEAR) or not {*hidden} <= {POOL, SCALE, *LAST.values()}:
        raise UsageError(
            "`fuse` folds heads that are linear in the feature map: gap, flatten, spp and "
            "spatial_prior without layers behind them. This model has another head. Leave `fuse` "
            "out."
        )
    last = last_layer(model)
    assert last is not None
    kernel, bias = last.get_weights()
    scale = model.get_layer(SCALE).scale if SCALE in names else 1.0
    shape = (model.get_layer(SCALE) if SCALE in names else pool).input.shape[1:]
    folded = _folded(pool, scale * kernel.astype(np.float64), shape)
    dense = keras.layers.Dense(len(bias), last.activation, dtype="float32", name=last.name)
    flatten = keras.layers.Flatten("channels_last", name=FLAT)

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        if layer.name == SCALE:
            return args[0]
        if layer is pool:
            return flatten(args[0])
        return dense(args[0]) if layer is last else layer(*args, **kwargs)

    made = keras.models.clone_model(model, clone_function=lambda each: each, call_function=call)
    dense.set_weights([folded.astype(np.float32), bias])
    return made


def _folded(pool: keras.Layer, kernel: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    height, width, channels = shape
    positions = height * width
    # what the pooling makes of a map that is 1 at one position and 0 elsewhere, in one channel
    fresh = type(pool).from_config({**pool.get_config(), "name": "one_channel"})
    basis = np.eye(positions, dtype=np.float32).reshape(positions, height, width, 1)
    matrix = np.asarray(keras.ops.convert_to_numpy(fresh(basis)), np.float64)
    cells = kernel.reshape(-1, channels, kernel.shape[1])
    folded: np.ndarray = np.einsum("pq,qck->pck", matrix, cells)
    return folded.reshape(positions * channels, -1)
