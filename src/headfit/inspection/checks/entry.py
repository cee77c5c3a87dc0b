"""Checks of input size and preprocessing: Flatten on an undefined size, pixels scaled twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from headfit.backbones.graphs.trace import Call
from headfit.inspection.inspected_model import InspectedModel, Remark, named

# Networks expect pixels in a range 1 to 5 wide, or 255. Pixels that are scaled twice have a range
# 1/255 as wide.
LEAST_SPREAD = 0.1
_ARITHMETIC = {
    "TrueDivide": np.true_divide,
    "Divide": np.true_divide,
    "Multiply": np.multiply,
    "Subtract": np.subtract,
    "Add": np.add,
}


def check_flatten(calls: Iterable[Call]) -> Iterator[Remark]:
    """Find Flatten on a map whose height or width is None.

    Args:
        calls: those of a trace with the sizes that the model declares.
    """
    for call in calls:
        shape = tuple(call.inputs[0].shape) if call.inputs else ()
        if call.kind == "Flatten" and len(shape) == 4 and None in shape[1:]:
            height, width = ("?" if length is None else length for length in shape[1:3])
            yield Remark(
                "flatten_on_undefined_shape",
                f"'{call.layer.name}' flattens a map of {height}×{width}×{shape[3]}, so its "
                f"output size is undefined. Give the backbone a fixed input_shape, or use "
                f"GlobalAveragePooling2D.",
            )


def check_preprocessing(subject: InspectedModel) -> Iterator[Remark]:
    """Follow pixels of 0 and 255 through the layers before the first one with trained weights."""
    ends = np.array([[0.0] * 3, [255.0] * 3])
    scaled: list[Call] = []
    for call in subject.trace.calls:
        if call.weights and call.kind != "Normalization":
            break
        after = _apply(call, ends)
        if after is None:
            continue
        if _spread(after) != _spread(ends):
            scaled.append(call)
        ends = after
    if len(scaled) > 1 and _spread(ends) < LEAST_SPREAD:
        inside = [call for call in scaled if call.within]
        where = f", {named(inside)} within '{inside[-1].within[-1]}'" if inside else ""
        yield Remark(
            "preprocessing_twice",
            f"Pixels are scaled more than once ({named(scaled)}{where}): the range from 0 to 255 "
            f"becomes {_spread(ends):.2g} wide, so all images look alike. Keep only the layer that "
            f"belongs to the backbone.",
        )


def _spread(ends: np.ndarray) -> float:
    return float(np.abs(ends[1] - ends[0]).max())


def _apply(call: Call, ends: np.ndarray) -> np.ndarray | None:
    """Apply one layer to two colours, (2, 3); None if the layer does not scale."""
    layer = call.layer
    if call.kind == "Rescaling":
        scale, offset = np.asarray(layer.scale, float), np.asarray(layer.offset, float)
        return np.asarray(ends * scale + offset)
    if call.kind == "Normalization":
        mean, variance = (_numbers(v) for v in (layer.mean, layer.variance))
        if mean is None or variance is None:
            return None
        return np.asarray((ends - mean) / np.maximum(np.sqrt(variance), 1e-7))
    numbers = call.numbers
    if call.kind in _ARITHMETIC and len(call.inputs) == len(numbers) == 1:
        function: Any = _ARITHMETIC[call.kind]
        order = [ends if isinstance(x, keras.KerasTensor) else numbers[0] for x in call.args]
        result: np.ndarray = function(*order)
        return result
    return None


def _numbers(value: Any) -> np.ndarray | None:
    numbers = np.asarray(keras.ops.convert_to_numpy(value), np.float64).reshape(-1)
    return numbers if len(numbers) in {1, 3} else None
