"""Take a network apart and describe it as plain data.

Imports Keras, so it runs in a child process (see :mod:`headfit.util.child`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras

from headfit.backbones.catalog import find_named
from headfit.backbones.graphs.boundary import Boundary, find_boundary
from headfit.backbones.graphs.trace import Call, Trace, trace
from headfit.errors import ModelFileError, UnknownNameError, UsageError
from headfit.inspection import networks
from headfit.inspection.checks.entry import check_flatten, check_preprocessing
from headfit.inspection.checks.frozen import check_batchnorm, check_trainable, unseen
from headfit.inspection.checks.last_layer import check_last_layer, find_last_layer
from headfit.inspection.inspect import BackboneInspection, FileInspection
from headfit.inspection.inspected_model import InspectedModel, Remark
from headfit.util import saved_model

OPEN_SIZE = 224  # pixels, where neither model nor user says
SHOWN_BEFORE = 3  # layers of the backbone in the table, the last ones


def describe_backbone(request: BackboneInspection) -> dict[str, Any]:
    """Describe a backbone under a head; returns what :func:`_described` gives."""
    spec = find_named(request.name)
    alone = networks.bare(spec, request.size)
    model = networks.topped(spec, request.size, request.head, request.classes)
    traced = trace(model, model.input_shape[1:])
    described = _described(traced, find_boundary(traced))
    total, backbone = int(model.count_params()), int(alone.count_params())
    # a top may carry a layer that ends the backbone when there is none, as ConvNeXt's
    described["parameters"] = {"backbone": backbone, "head": total - backbone, "total": total}
    described["map_shape"] = list(alone.output_shape[1:])
    return described | {"backbone": spec.name, "units": request.classes}


def describe_file(request: FileInspection) -> dict[str, Any]:
    """Describe a saved model, and find its mistakes.

    Returns:
        See :func:`_described`; ``units`` is the number of classes that the model tells, or None,
        ``size_assumed`` says whether neither the model nor ``size`` sets the side, and ``findings``
        and ``unseen`` are lists of code and message.

    Raises:
        ModelFileError: if it cannot be read, or no backbone and head can be told apart.
        EngineError: if Keras cannot load it on this backend.
        UsageError: if the size is not what the model takes.
    """
    path, size = request.path, request.size
    saved = saved_model.read(Path(path))
    model = networks.load(Path(path))
    declared = _declared(model, path)
    shape = _input_shape(path, declared, size)
    try:
        flat = check_flatten(trace(model, declared).calls) if None in declared else ()
        findings = list(flat)
        traced = trace(model, shape)
        subject = InspectedModel(traced, find_boundary(traced), saved)
    except ModelFileError as error:
        raise ModelFileError(f"'{path}' cannot be taken apart: {error}.") from None
    findings += check_last_layer(subject, request.classes)
    findings += check_batchnorm(subject)
    findings += check_trainable(subject)
    findings += check_preprocessing(subject)
    last = find_last_layer(subject)
    described = _described(traced, subject.boundary)
    return described | {
        "backbone": _backbone_name(subject),
        "units": last.classes if last else None,
        "size_assumed": size is None and None in declared,
        "findings": _plain(findings),
        "unseen": _plain(unseen(subject)),
    }


def _described(traced: Trace, boundary: Boundary) -> dict[str, Any]:
    """Give the shapes, ``parameters``, ``memory``, ``multiply_adds`` and ``layers``.

    ``layers`` are the last of the backbone and all of the head, in the order of the calls.
    """
    behind = set(boundary.head)
    head = [call for number, call in enumerate(traced.calls) if number in behind]
    backbone = [call for number, call in enumerate(traced.calls) if number not in behind]
    total, own = parameters(traced.calls), parameters(head)
    work = [multiply_adds(calls) for calls in (backbone, head)]
    shown = [_row(call, "backbone") for call in backbone[-SHOWN_BEFORE:]]
    return {
        "input_shape": list(traced.inputs.shape[1:]),
        "map_shape": list(boundary.map_shape),
        "parameters": {"backbone": total - own, "head": own, "total": total},
        "memory": {
            "weights_bytes": weight_bytes(traced.calls),
            "activations_bytes": activation_bytes(traced.calls),
        },
        "multiply_adds": {"backbone": work[0], "head": work[1], "total": sum(work)},
        "layers": shown + [_row(call, "head") for call in head],
    }


def _row(call: Call, part: str) -> dict[str, Any]:
    return {
        "name": call.layer.name,
        "type": call.kind,
        "within": "/".join(call.within),
        "output_shape": list(call.output.shape[1:]),
        "parameters": parameters([call]),
        "multiply_adds": multiply_adds([call]),
        "trainable": call.trainable if call.weights else None,
        "part": part,
    }


def _declared(model: keras.Model, path: str) -> tuple[int | None, ...]:
    """Give the shape of one input as the model has it; open where it was never built."""
    if not model.inputs:
        return (None, None, 3)
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        shapes = ", ".join(str(tuple(tensor.shape[1:])) for tensor in model.inputs)
        raise ModelFileError(
            f"'{path}' takes inputs of shape {shapes}; expected one image, (height, width, 3)."
        )
    shape = tuple(model.inputs[0].shape[1:])
    if shape[0] in {1, 3} and shape[2] not in {1, 3}:
        raise ModelFileError(
            f"'{path}' takes images of shape {shape}, channels first; expected (height, width, "
            f"channels)."
        )
    return shape


def _input_shape(
    path: str, declared: tuple[int | None, ...], size: int | None
) -> tuple[int | None, ...]:
    height, width, channels = declared
    if size is not None and any(side not in {None, size} for side in (height, width)):
        raise UsageError(
            f"`size={size}` does not fit '{path}': it takes {height}×{width} pixels. Leave `size` "
            f"out."
        )
    side = size or OPEN_SIZE
    return height or side, width or side, channels or 3


def _backbone_name(subject: InspectedModel) -> str:
    """Name the nested model that makes the map, or the whole one; as the catalogue does."""
    number = subject.trace.maker(subject.boundary.map)
    within = subject.trace.calls[number].within if number is not None else ()
    name = within[-1] if within else str(subject.trace.model.name)
    try:
        # Keras writes width and size behind some: mobilenetv2_1.00_224
        return find_named(re.sub(r"_1\.0+_[0-9]+$", "", name)).name
    except UnknownNameError:
        return name


def _plain(remarks: Iterable[Remark]) -> list[dict[str, str]]:
    return [remark.to_dict() for remark in remarks]


FLOAT_BYTES = 4
KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


def parameters(calls: Iterable[Call]) -> int:
    """Count the numbers in all weights, those of a shared layer once."""
    weights = {id(weight): weight for call in calls for weight in call.weights}
    return sum(math.prod(weight.shape) for weight in weights.values())


def weight_bytes(calls: Iterable[Call]) -> int:
    """Count the bytes of all weights."""
    weights = {id(w): w for call in calls for w in call.weights}
    return sum(math.prod(w.shape) * _itemsize(w.dtype) for w in weights.values())


def activation_bytes(calls: Iterable[Call]) -> int:
    """Count the bytes that the outputs of all calls take for one image, as training keeps them."""
    outputs = [output for call in calls for output in call.outputs]
    return sum(_positions(o.shape[1:]) * _itemsize(o.dtype) for o in outputs)


def multiply_adds(calls: Iterable[Call]) -> int:
    """Count the multiply-adds of convolutions and dense layers for one image.

    A kernel is applied once at each output position. Products of attention, additions, activations
    and normalisation are not counted.
    """
    return sum(_multiply_adds(call) for call in calls)


def _multiply_adds(call: Call) -> int:
    transposed = call.kind.endswith("Transpose")
    shape = (call.inputs[0] if transposed else call.output).shape
    if getattr(call.layer, "data_format", None) == "channels_first":
        positions = _positions(shape[2:])
    else:
        positions = _positions(shape[1:-1])
    kernels = [weight for weight in call.weights if weight.name in KERNELS]
    return sum(math.prod(kernel.shape) * positions for kernel in kernels)


def _positions(shape: Iterable[int | None]) -> int:
    return math.prod(length or 0 for length in shape)


def _itemsize(dtype: Any) -> int:
    name = str(dtype)
    digits = "".join(c for c in name if c.isdigit())
    return max(1, int(digits) // 8) if digits else 1 if name == "bool" else FLOAT_BYTES
