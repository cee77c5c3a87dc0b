"""Rebuild the part of a model that makes its feature map: plain, fresh, for any input size.

Every layer on the way from the image to the map is copied and called again in the order of the
trace, so nested models dissolve, heads fall away, and another input size is possible wherever the
layers allow it. A layer whose class writes a configuration that it cannot read is taken itself.
Imports Keras.
"""

from __future__ import annotations

import math
from typing import Any

import keras

from headfit.backbones.graphs.boundary import Boundary
from headfit.backbones.graphs.trace import Call, Tensor, Trace
from headfit.errors import EngineError, ModelFileError


def replay(
    traced: Trace, end: Boundary, size: int, *, name: str, channels_first: bool = False
) -> keras.Model:
    """Build the model from the image to the feature map.

    Args:
        traced: the whole model.
        end: where its map is.
        size: side of the square input in pixels.
        name: of the new model.
        channels_first: turn it to take (3, size, size) and give (C, H, W).

    Returns:
        A functional model, (size, size, 3) to (H, W, C), float32, no model within it, each layer
        called in inference mode, with the weights of the original.

    Raises:
        ModelFileError: if a layer is a Lambda.
        EngineError: if a layer cannot run at this size, or channels first; the message names it.
    """
    shape = (3, size, size) if channels_first else (size, size, 3)
    image = keras.Input(shape, dtype="float32", name="image")
    made: dict[int, Tensor] = {id(traced.resolve(traced.inputs)): image}
    copies = _Copies(channels_first)
    for call in _on_the_way(traced, end.map):
        for old, new in zip(call.outputs, _again(traced, call, copies, made), strict=True):
            made[id(old)] = new
    output = made[id(end.map)]
    if end.tokens:
        if channels_first:
            raise EngineError("tokens are not turned")
        output = _to_map(output, end)
    if keras.backend.standardize_dtype(output.dtype) != "float32":
        raise EngineError(f"its feature map is {output.dtype}; expected float32")
    model = keras.Model(image, output, name=name)
    copies.take_weights()
    return model


def _on_the_way(traced: Trace, end: Tensor) -> list[Call]:
    """Give the calls that a tensor is made from, in their order."""
    needed: set[int] = set()
    waiting = [end]
    while waiting:
        number = traced.maker(waiting.pop())
        if number is not None and number not in needed:
            needed.add(number)
            waiting += traced.calls[number].inputs
    return [traced.calls[number] for number in sorted(needed)]


def _again(traced: Trace, call: Call, copies: _Copies, made: dict[int, Tensor]) -> list[Tensor]:
    def new(value: Any) -> Any:
        return made[id(traced.resolve(value))] if isinstance(value, keras.KerasTensor) else value

    args, kwargs = keras.tree.map_structure(new, (call.args, call.kwargs))
    if _augments(call):
        return list(keras.tree.flatten(args))
    layer = copies.of(call)
    kwargs = {key: value for key, value in kwargs.items() if key != "training"}
    try:
        return list(keras.tree.flatten(layer(*args, **kwargs)))
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise EngineError(
            f"layer '{call.layer.name}' ({call.kind}) cannot run: {reason.rstrip('.')}"
        ) from None


def _augments(call: Call) -> bool:
    """Whether a layer changes images while training and passes them on otherwise."""
    shapes = call.inputs[0].shape, call.output.shape
    return call.kind.startswith("Random") and shapes[0] == shapes[1] and not call.weights


def _to_map(tokens: Tensor, end: Boundary) -> Tensor:
    """Drop the special tokens and lay the others out as rows of a square."""
    _, length, channels = tokens.shape
    side = math.isqrt(length - end.special)
    if side * side != length - end.special:
        raise EngineError(f"{length - end.special} tokens are no square of positions")
    if end.special:
        tokens = keras.layers.Cropping1D((end.special, 0), name="positions")(tokens)
    return keras.layers.Reshape((side, side, channels), name="map")(tokens)


class _Copies:
    """Fresh copies of layers, one for each, under names that are theirs alone."""

    def __init__(self, channels_first: bool) -> None:
        self._turn = channels_first
        self._copies: dict[int, tuple[Any, Any]] = {}
        self._names: set[str] = {"image", "positions", "map"}

    def of(self, call: Call) -> Any:
        """Give the copy of a call's layer; an operation has no state and stays itself."""
        key = id(call.layer)
        if key not in self._copies:
            self._copies[key] = call.layer, self._copy(call)
        return self._copies[key][1]

    def take_weights(self) -> None:
        """Set the weights of the copies to those of the originals."""
        for layer, copy in self._copies.values():
            if not getattr(layer, "weights", ()):
                continue
            if copy is not layer:
                copy.set_weights(layer.get_weights())
            if hasattr(copy, "finalize_state"):  # Normalization keeps derived values
                copy.finalize_state()

    def _copy(self, call: Call) -> Any:
        layer, name = call.layer, self._name(call)
        if not isinstance(layer, keras.Layer):
            if self._turn:
                check_operation(call)
            layer.name = name
            return layer
        if call.kind == "Lambda":
            raise ModelFileError(
                f"layer '{layer.name}' is a Lambda, which cannot be copied or saved safely; use a "
                f"layer class or keras.ops in its place"
            )
        if self._turn:
            return type(layer).from_config(turned(call, _config(layer, name)))
        try:
            return type(layer).from_config(_config(layer, name))
        except Exception:  # its class writes a configuration that it cannot read itself
            return _as_new(layer, name)

    def _name(self, call: Call) -> str:
        """Give its own name; if that is taken, with those of the models around it."""
        name = call.layer.name
        for outer in reversed(call.within):
            if name not in self._names:
                break
            name = f"{outer}_{name}"
        base, number = name, 1
        while name in self._names:
            number += 1
            name = f"{base}_{number}"
        self._names.add(name)
        return str(name)


def _config(layer: Any, name: str) -> dict[str, Any]:
    config: dict[str, Any] = layer.get_config()
    same = {"dtype": "float32"} if "dtype" in config else {}
    return {**config, **same, "name": name}


def _as_new(layer: Any, name: str) -> Any:
    """Give the layer itself, as if it had not been called: its ``output`` is that of the next."""
    layer._inbound_nodes.clear()
    layer._outbound_nodes.clear()
    layer.name = name
    return layer


_BY_FORMAT = (
    *("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D"),
    *("GlobalAveragePooling2D", "GlobalMaxPooling2D", "ZeroPadding2D", "Cropping2D"),
    *("SpatialDropout2D",),
)
_BY_AXIS = ("BatchNormalization", "Normalization", "Concatenate")
_ALIKE = (
    *("Activation", "ReLU", "LeakyReLU", "ELU", "Dropout", "GaussianNoise", "Identity"),
    *("Add", "Multiply", "Subtract", "Average", "Maximum", "Minimum"),
)
# keras.ops on tensors of one shape, or with a number
_OPERATIONS = (
    *("Add", "Subtract", "Multiply", "TrueDivide", "Divide", "Maximum", "Minimum"),
    *("Relu", "Relu6", "Sigmoid", "Silu", "HardSigmoid", "HardSilu", "Tanh", "Gelu"),
)
LAST, FIRST = (-1, 3), 1


def turned(call: Call, config: dict[str, Any]) -> dict[str, Any]:
    """Change a layer's configuration to channels first.

    Args:
        call: the layer, and what it is called on.
        config: its configuration, channels last.

    Raises:
        EngineError: if it is not known to compute the same.
    """
    ranks = {len(tensor.shape) for tensor in call.inputs}
    if not type(call.layer).__module__.startswith("keras."):
        raise _unknown(call)
    if 4 not in ranks:
        return _from_vector(call, config)
    if call.kind in _BY_FORMAT and config.get("groups", 1) == 1:
        return config | {"data_format": "channels_first"}
    if call.kind in _BY_AXIS and ranks == {4} and _axis(config) in LAST:
        return config | {"axis": FIRST}
    if call.kind in _ALIKE and ranks == {4}:
        # layers run in inference mode, where dropout of whatever shape passes its input on
        return config | ({"noise_shape": None} if "noise_shape" in config else {})
    if call.kind == "Rescaling":
        return config | {key: _for_channels(call, config[key]) for key in ("scale", "offset")}
    raise _unknown(call)


def check_operation(call: Call) -> None:
    """Refuse an operation that is not known to compute the same on turned tensors.

    Raises:
        EngineError: if it is another operation.
    """
    ranks = {len(tensor.shape) for tensor in call.inputs}
    arguments = keras.tree.flatten((call.args, call.kwargs))
    others = [x for x in arguments if not isinstance(x, keras.KerasTensor) and x is not None]
    if call.kind not in _OPERATIONS or ranks != {4} or not all(map(_is_number, others)):
        raise _unknown(call)


def _from_vector(call: Call, config: dict[str, Any]) -> dict[str, Any]:
    """Leave layers on vectors alone; a vector that becomes a map of 1×1 becomes a turned one."""
    if len(call.output.shape) == 2 and call.kind in {"Dense", *_ALIKE}:
        return config
    shape = tuple(config.get("target_shape", ()))
    if call.kind == "Reshape" and len(shape) == 3 and shape[:2] == (1, 1):
        return config | {"target_shape": (shape[2], 1, 1)}
    raise _unknown(call)


def _axis(config: dict[str, Any]) -> Any:
    axis = config["axis"]
    return axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis


def _for_channels(call: Call, value: Any) -> Any:
    """Give a number as it is, and numbers for each channel as (C, 1, 1)."""
    if _is_number(value):
        return value
    if not isinstance(value, list | tuple) or not all(map(_is_number, value)):
        raise _unknown(call)
    return [[[float(each)]] for each in value]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _unknown(call: Call) -> EngineError:
    return EngineError(
        f"layer '{call.layer.name}' ({call.kind}) is not known to compute the same channels first"
    )
