"""Sizes and pixels on their way in: is Flatten on an open size, is preprocessing done twice?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from headfit.backbones.graphs.trace import Call
from headfit.inspection.inspected_model import InspectedModel, Remark, named

# Networks take pixels spread over 1 to 5 units, or over 255. Scaled twice, they are spread over
# 1/255 of that.
LEAST_SPREAD = 0.1
_ARITHMETIC = {
    "TrueDivide": np.true_divide,
    "Divide": np.true_divide,
    "Multiply": np.multiply,
    "Subtract": np.subtract,
    "Add": np.add,
}


def check_flatten(calls: Iterable[Call]) -> Iterator[Remark]:
    """Look for Flatten on a map whose height or width is None.

    Args:
        calls: of a trace with the sizes that the model itself declares.
    """
    for call in calls:
        shape = tuple(call.inputs[0].shape) if call.inputs else ()
        if call.kind == "Flatten" and len(shape) == 4 and None in shape[1:]:
            height, width = ("?" if length is None else length for length in shape[1:3])
            yield Remark(
                "flatten_on_undefined_shape",
                f"'{call.layer.name}' stands on a map of {height}×{width}×{shape[3]}, so its "
                f"width is undefined. Give the backbone a fixed input_shape, or use "
                f"GlobalAveragePooling2D.",
            )


def check_preprocessing(subject: InspectedModel) -> Iterator[Remark]:
    """Follow pixels 0 and 255 through everything in front of the first other layer with weights."""
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
            f"Pixels are scaled more than once ({named(scaled)}{where}): 0 to 255 become "
            f"{_spread(ends):.2g} wide, so all images look alike. Keep the one that belongs to the "
            f"backbone.",
        )


def _spread(ends: np.ndarray) -> float:
    return float(np.abs(ends[1] - ends[0]).max())


def _apply(call: Call, ends: np.ndarray) -> np.ndarray | None:
    """Apply one layer to the two colours (2, 3); None if it does no scaling."""
    layer = call.layer
    if call.kind == "Rescaling":
        scale, offset = np.asarray(layer.scale, float), np.asarray(layer.offset, float)
        return np.asarray(ends * scale + offset)
    if call.kind == "Normalization":
        mean, variance = (_numbers(v) for v in (layer.mean, layer.variance))
        if mean is None or variance is None:
            return None
        return np.asarray((ends - mean) / np.maximum(np.sqrt(variance), 1e-7))
    numbers = [x for x in call.args if isinstance(x, int | float)]
    if call.kind in _ARITHMETIC and len(call.inputs) == len(numbers) == 1:
        function: Any = _ARITHMETIC[call.kind]
        order = [ends if isinstance(x, keras.KerasTensor) else x for x in call.args]
        result: np.ndarray = function(*order)
        return result
    return None


def _numbers(value: Any) -> np.ndarray | None:
    numbers = np.asarray(keras.ops.convert_to_numpy(value), np.float64).reshape(-1)
    return numbers if len(numbers) in {1, 3} else None
