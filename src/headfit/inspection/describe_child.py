"""Take a network apart and describe it as plain data.

Imports Keras, so it runs in a child process (see :mod:`headfit.util.child`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras

from headfit.backbones.catalog import find_named
from headfit.backbones.graphs.boundary import Boundary, find_boundary
from headfit.backbones.graphs.trace import Call, Trace, trace
from headfit.errors import ModelFileError, UnknownNameError, UsageError
from headfit.inspection import counts, networks
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
    total, own = counts.parameters(traced.calls), counts.parameters(head)
    work = [counts.multiply_adds(calls) for calls in (backbone, head)]
    shown = [_row(call, "backbone") for call in backbone[-SHOWN_BEFORE:]]
    return {
        "input_shape": list(traced.inputs.shape[1:]),
        "map_shape": list(boundary.map_shape),
        "parameters": {"backbone": total - own, "head": own, "total": total},
        "memory": {
            "weights_bytes": counts.weight_bytes(traced.calls),
            "activations_bytes": counts.activation_bytes(traced.calls),
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
        "parameters": counts.parameters([call]),
        "multiply_adds": counts.multiply_adds([call]),
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
