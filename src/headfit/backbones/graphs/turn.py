"""Convert layers from channels last to channels first, which OpenVINO runs about twice as fast.

Only layers that are known to compute the same numbers either way are converted; weights stay the
same. Imports Keras.
"""

from __future__ import annotations

from typing import Any

import keras

from headfit.backbones.graphs.trace import Call
from headfit.errors import EngineError

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
    if call.kind in _ALIKE and ranks == {4} and not config.get("noise_shape"):
        return config
    if call.kind == "Rescaling" and all(_is_number(config[key]) for key in ("scale", "offset")):
        return config
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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _unknown(call: Call) -> EngineError:
    return EngineError(
        f"layer '{call.layer.name}' ({call.kind}) is not known to compute the same channels first"
    )
