"""The tensors of a served model, and its metadata."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.images.targets import CLASS, LABELS, NOUNS, NUMBER, SEPARATOR
from headfit.model.prediction import Prediction
from headfit.serve.errors import Refused
from headfit.serve.inference.document import shown
from headfit.serve.inference.messages import InferenceRequest, RequestInput, RequestOutput
from headfit.serve.inference.tensors import (
    Shape,
    bytes_from_binary,
    bytes_from_json,
    pixels_from_binary,
    pixels_from_json,
)
from headfit.serve.models import ServedModel

NAME, VERSION, MODEL_VERSION = "headfit", "1", "1"
"""What the server says of itself; the version is that of these addresses, not that of headfit."""
EXTENSIONS = ("binary_tensor_data", "encoded_images", "class_names")
PLATFORM = "headfit_keras"
IMAGES, BYTES = "images", "bytes"
PROBABILITIES, CLASSES, OUTLIER_SCORE = "probabilities", "classes", "outlier_score"
LABEL_SETS, VALUES = "labels", "values"  # of models for several labels and for numbers


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model.

    Attributes:
        name: of the tensor.
        datatype: as the protocol calls it.
        shape: its sizes, -1 where the request decides.
    """

    name: str
    datatype: str
    shape: Shape

    def to_json(self) -> dict[str, Any]:
        """Give its metadata."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


def inputs_of(model: ServedModel) -> tuple[Tensor, Tensor]:
    """Give the input that a model takes, and the one that may take its place."""
    height, width = model.contract.height, model.contract.width
    return Tensor(IMAGES, "UINT8", (-1, height, width, 3)), Tensor(BYTES, "BYTES", (-1,))


def outputs_of(model: ServedModel) -> tuple[Tensor, ...]:
    """Give the outputs that a model has."""
    shape = (-1, len(model.classes))
    of_kind = {
        CLASS: (Tensor(PROBABILITIES, "FP32", shape), Tensor(CLASSES, "BYTES", (-1,))),
        LABELS: (Tensor(PROBABILITIES, "FP32", shape), Tensor(LABEL_SETS, "BYTES", (-1,))),
        NUMBER: (Tensor(VALUES, "FP32", shape),),
    }
    outputs = of_kind[model.kind]
    if model.classifier.record.reliability is None:
        return outputs
    return (*outputs, Tensor(OUTLIER_SCORE, "FP32", (-1,)))


def server_metadata() -> dict[str, Any]:
    """Say what this server is."""
    return {"name": NAME, "version": VERSION, "extensions": list(EXTENSIONS)}


def model_metadata(model: ServedModel) -> dict[str, Any]:
    """Say what a model takes and gives."""
    images, encoded = inputs_of(model)
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": PLATFORM,
        "inputs": [images.to_json()],
        "outputs": [each.to_json() for each in outputs_of(model)],
        "alternative_inputs": [encoded.to_json()],
        NOUNS[model.kind][1]: list(model.classes),
    }


def read_images(
    model: ServedModel, request: InferenceRequest, body: bytes, most: int
) -> np.ndarray | list[bytes]:
    """Read the images of a request.

    Args:
        model: what they are for.
        request: describes them.
        body: holds them.
        most: number of images that a request may have.

    Returns:
        uint8 (n, height, width, 3), or the content of n files.

    Raises:
        Refused: 400 if the inputs are not those of the model; 413 if there are too many images.
    """
    images, encoded = inputs_of(model)
    known = {IMAGES: images, BYTES: encoded}
    for each in request.inputs:
        if each.name not in known:
            raise Refused(
                f"The model has no input {shown(each.name)}. Expected: '{IMAGES}' or '{BYTES}'."
            )
    if len(request.inputs) != 1:
        raise Refused(f"A request must have one input: '{IMAGES}' or '{BYTES}'. Received: both.")
    (tensor,) = request.inputs
    _check(tensor, known[tensor.name], most)
    if tensor.name == BYTES:
        return _read_bytes(tensor, body)
    if tensor.coded:
        raise Refused(f"`content_type` is for the input '{BYTES}', not for '{IMAGES}'.")
    if tensor.binary is not None:
        return pixels_from_binary(memoryview(body)[slice(*tensor.binary)], tensor.shape, IMAGES)
    assert tensor.span is not None
    return pixels_from_json(body, tensor.span, tensor.shape, IMAGES)


def read_raw(model: ServedModel, body: bytes) -> np.ndarray:
    """Read a request that is nothing but the pixels of one image.

    Raises:
        Refused: 400 if it has another size.
    """
    height, width = model.contract.height, model.contract.width
    return pixels_from_binary(memoryview(body), (1, height, width, 3), IMAGES)


def _check(tensor: RequestInput, expected: Tensor, most: int) -> None:
    """Compare an input with the metadata."""
    if tensor.datatype != expected.datatype:
        raise Refused(
            f"The datatype of '{tensor.name}' must be {expected.datatype}. "
            f"Received: {tensor.datatype}."
        )
    same = len(tensor.shape) == len(expected.shape) and tensor.shape[1:] == expected.shape[1:]
    if not same:
        raise Refused(
            f"The shape of '{tensor.name}' must be {list(expected.shape)}, with any number for -1. "
            f"Received: {shown(list(tensor.shape))}."
        )
    if tensor.shape[0] > most:
        raise Refused(
            f"A request may have {most:,} images. Received: {tensor.shape[0]:,}.", status=413
        )


def _read_bytes(tensor: RequestInput, body: bytes) -> list[bytes]:
    (count,) = tensor.shape
    if tensor.binary is not None:
        if tensor.coded:
            raise Refused("Binary data cannot be base64: leave `content_type` out.")
        return bytes_from_binary(memoryview(body)[slice(*tensor.binary)], count, BYTES)
    assert tensor.span is not None
    return bytes_from_json(body, tensor.span, count, BYTES, tensor.coded)


def wanted_outputs(model: ServedModel, request: InferenceRequest) -> list[tuple[Tensor, bool]]:
    """Find the outputs that a request asks for, all if it names none, and which are bytes.

    Raises:
        Refused: 400 if the model has no such output.
    """
    known = {each.name: each for each in outputs_of(model)}
    wanted = request.outputs or tuple(map(RequestOutput, known))
    for each in wanted:
        if each.name not in known:
            listed = ", ".join(f"'{name}'" for name in known)
            raise Refused(f"The model has no output {shown(each.name)}. Expected: {listed}.")
    return [
        (known[each.name], request.binary_output if each.binary is None else each.binary)
        for each in wanted
    ]


def values_of(
    tensor: Tensor, model: ServedModel, predictions: Sequence[Prediction]
) -> tuple[Shape, np.ndarray | list[str]]:
    """Give the shape and values of an output: float32, or texts.

    Args:
        tensor: one of :func:`outputs_of`.
        model: what predicted.
        predictions: without errors.
    """
    shape = (len(predictions), *tensor.shape[1:])
    if tensor.name == LABEL_SETS:
        return shape, [SEPARATOR.join(each.labels or ()) for each in predictions]
    pairs = ((each.probabilities, each.values) for each in predictions)
    rows = [values if p is None else p for p, values in pairs]
    if tensor.name == CLASSES:
        return shape, [model.classes[int(row.argmax())] for row in rows if row is not None]
    if tensor.name == OUTLIER_SCORE:
        scores = [math.nan if e.outlier_score is None else e.outlier_score for e in predictions]
        return shape, np.array(scores, np.float32)
    return shape, np.array(rows, np.float32).reshape(shape)
