"""The network that every format is made of, with the names that all of them have.

Imports Keras: it runs in the child processes of the formats, on the backend that each needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from headfit.backbones.custom.file import load
from headfit.backbones.graphs.boundary import Boundary, find_boundary
from headfit.backbones.graphs.replay import replay
from headfit.backbones.graphs.trace import Trace, trace
from headfit.errors import EngineError, HeadfitError, UsageError
from headfit.exports.fusion_child import Weights, biased_by_dense, fused
from headfit.exports.network import NetworkRequest
from headfit.exports.record import IMAGES, OUTLIER_SCORE, ExportRecord
from headfit.heads.keras_layers.trained import BiasedActivation, BiasedSoftmax
from headfit.model.metadata import ModelRecord
from headfit.study.reliability.outliers import TINY, OutlierDetector

Tensor = Any
"""A Keras tensor; Keras carries no types."""


def network(
    request: NetworkRequest, *, channels_first: bool = False, dense_bias: bool = False
) -> keras.Model:
    """Open the model that is exported.

    Args:
        request: which one, and how.
        channels_first: run the backbone on (n, C, H, W) within, if its layers are known to compute
            the same: faster in some runtimes.
        dense_bias: add the bias of a readout in a dense layer, whose kernel is the identity.
            OpenVINO 2026 joins a sum over an axis with the addition of a bias that follows, and
            gives wrong numbers for all images of a batch but the first.

    Returns:
        A functional model from ``images``, float32 (n, H, W, 3) of 0 to 255, to ``probabilities``
        or ``values`` (n, K) or, if asked for, a list of them and the ``outlier_score`` (n, 1). What
        reads raw pixels only has to cast them. Preprocessing is within.

    Raises:
        ModelFileError, EngineError: if it cannot be opened.
    """
    model = load(Path(request.path))
    maps: list[Tensor] = []
    biased: Weights = []

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Tensor:
        inner = isinstance(layer, keras.Model) and not maps
        if dense_bias and isinstance(layer, BiasedSoftmax | BiasedActivation):
            return biased_by_dense(layer, args[0], biased)
        output = _turned(layer, args[0]) if inner and channels_first else None
        output = layer(*args, **kwargs) if output is None else output
        if inner:
            maps.append(output)
        return output

    if request.fuse:
        model = fused(model)
    images = keras.Input(model.input_shape[1:], dtype="float32", name=IMAGES)
    same = keras.models.clone_model(
        model,
        input_tensors=keras.tree.pack_sequence_as(model.input, [images]),
        clone_function=lambda layer: layer,
        call_function=call,
    )
    for dense, arrays in biased:
        dense.set_weights(arrays)
    outputs = [_named(names_of(request)[0])(same.outputs[0])]
    if request.outlier_score:
        if not maps:
            raise EngineError("it has no backbone as headfit writes it, and so no outlier score")
        outputs.append(_outlier_score(Path(request.path))(maps[0]))
    return keras.Model(images, outputs if len(outputs) > 1 else outputs[0], name="headfit")


def names_of(request: NetworkRequest) -> tuple[str, ...]:
    """Name the outputs, as the record does."""
    return ExportRecord.from_json(request.record).outputs


def weights_of(model: keras.Model) -> tuple[list[Any], list[Any]]:
    """Give the values of its trainable and its other variables, for ``stateless_call``."""
    return (
        [variable.value for variable in model.trainable_variables],
        [variable.value for variable in model.non_trainable_variables],
    )


def no_counterpart(what: str, error: Exception) -> HeadfitError:
    """Say that a model holds what a format has no counterpart for.

    Args:
        what: the format, for instance ``"ONNX"``.
        error: what its converter said.
    """
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UsageError(
        f"This model holds a layer without a counterpart in {what}: {reason}. Nothing was written. "
        f"Use another format, or a model without that layer."
    )


def _named(name: str) -> keras.Layer:
    return keras.layers.Identity(dtype="float32", name=name)


def _turned(backbone: keras.Model, x: Tensor) -> Tensor | None:
    """Call a backbone channels first; None if one of its layers is not known to be the same."""
    height, width = x.shape[1:3]
    if height != width:
        return None
    try:
        traced = trace(backbone, (height, width, 3))
        whole = len(traced.output.shape) == 4
        end = Boundary(traced.output, ()) if whole else find_boundary(traced)
        first = replay(traced, end, height, name=backbone.name, channels_first=True)
    except HeadfitError:
        return None
    x = first(keras.layers.Permute((3, 1, 2), name="channels_first")(x), training=False)
    return _rest(traced, end, keras.layers.Permute((2, 3, 1), name="channels_last")(x))


def _rest(traced: Trace, end: Boundary, maps: Tensor) -> Tensor:
    """Run what a foreign model has behind its map."""
    made = {id(end.map): maps}

    def new(value: Any) -> Any:
        return made[id(traced.resolve(value))] if isinstance(value, keras.KerasTensor) else value

    for call in (traced.calls[number] for number in end.head):
        args, kwargs = keras.tree.map_structure(new, (call.args, call.kwargs))
        outputs = keras.tree.flatten(call.layer(*args, **kwargs))
        made |= {id(old): out for old, out in zip(call.outputs, outputs, strict=True)}
    return made[id(traced.output)]


def _outlier_score(path: Path) -> keras.Layer:
    reliability = ModelRecord.read(path).reliability
    if reliability is None:
        raise UsageError(
            f"'{path}' holds no outlier threshold, so there is no score to export. Leave "
            f"`outlier_score` out."
        )
    return OutlierScore(reliability.detector, dtype="float32", name=OUTLIER_SCORE)


class OutlierScore(keras.layers.Layer):  # type: ignore[misc]  # Keras carries no types
    """The score of :class:`OutlierDetector`, from a map (n, H, W, C) to (n, 1)."""

    def __init__(self, detector: OutlierDetector, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.detector = detector

    def build(self, input_shape: Any) -> None:
        """Hold its arrays as weights, so that every converter takes them along."""
        spread = self.detector.spread
        arrays = {
            "mean": self.detector.mean,
            "directions": self.detector.directions.T,
            "spread": spread,
            "centres": (self.detector.centres / spread).T,
        }
        self.arrays = {
            name: self.add_weight(
                name=name,
                shape=array.shape,
                initializer=keras.initializers.Constant(np.asarray(array, np.float32)),
                trainable=False,
            )
            for name, array in arrays.items()
        }

    def call(self, maps: Tensor) -> Tensor:
        """Compute the scores."""
        means = ops.mean(maps, axis=(1, 2))
        length = ops.sqrt(ops.sum(means * means, axis=1, keepdims=True))
        z = means / ops.maximum(length, TINY) - self.arrays["mean"]
        along = ops.matmul(z, self.arrays["directions"])
        beyond = ops.sum(z * z, axis=1) - ops.sum(along * along, axis=1)
        points, centres = along / self.arrays["spread"], self.arrays["centres"]
        squares = ops.sum(points * points, axis=1, keepdims=True)
        distances = squares - 2 * ops.matmul(points, centres) + ops.sum(centres * centres, axis=0)
        near = ops.maximum(ops.min(distances, axis=1), 0.0)
        rest = ops.maximum(beyond, 0.0) / self.detector.rest
        return ops.expand_dims(ops.sqrt(near + rest) / self.detector.threshold, 1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, int]:
        """Give (n, 1)."""
        return input_shape[0], 1
