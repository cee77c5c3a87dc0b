"""What an inference request asks for, and its answer: the messages of the protocol, checked.

Fields that the protocol does not know are ignored, as its extensions need; those that it knows must
be right. Parameters are strings, numbers or booleans; those of the extension ``binary_tensor_data``
are obeyed, those of extensions that this server does not announce are refused where ignoring them
would give another answer than the client expects, and all others are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.serve.errors import Refused
from headfit.serve.inference.document import Span, read_object, shown
from headfit.serve.inference.tensors import Shape, to_binary, to_json

DATATYPES = (
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "BF16", "FP32", "FP64", "BYTES"),
)
MOST = 2**64
SHARED_MEMORY, CLASSIFICATION = "shared_memory_region", "classification"


@dataclass(frozen=True)
class RequestInput:
    """A tensor of a request.

    Attributes:
        name: of the tensor.
        datatype: one of :data:`DATATYPES`.
        shape: its sizes, from 0.
        span: where its JSON array is in the body; None if it is binary.
        binary: where its bytes are in the body; None if it is JSON.
        coded: whether its strings are base64.
    """

    name: str
    datatype: str
    shape: Shape
    span: Span | None
    binary: Span | None
    coded: bool = False


@dataclass(frozen=True)
class RequestOutput:
    """A tensor that the answer must hold.

    Attributes:
        name: of the tensor.
        binary: whether as bytes; None if the request decides.
    """

    name: str
    binary: bool | None = None


@dataclass(frozen=True)
class InferenceRequest:
    """What a client asks for.

    Attributes:
        id: what the answer must repeat; None if there is none.
        inputs: at least one.
        outputs: empty for all.
        binary_output: whether outputs are bytes where they do not say it themselves.
    """

    id: str | None
    inputs: tuple[RequestInput, ...]
    outputs: tuple[RequestOutput, ...] = ()
    binary_output: bool = False


def parse_request(body: bytes, json_bytes: int | None) -> InferenceRequest:
    """Read and check a request; the data of its tensors stay in the body.

    Args:
        body: all of it.
        json_bytes: how many of its bytes are JSON; None for all, and no binary data.

    Raises:
        Refused: 400 if it breaks the protocol.
    """
    stop = len(body) if json_bytes is None else json_bytes
    request = read_object(body, stop)
    parameters = _parameters(request, "the request")
    inputs = _objects(request, "inputs")
    if not inputs:
        raise Refused("`inputs` must hold at least one tensor. Received: none.")
    tensors, at = [], stop
    for each in inputs:
        tensor = _input(each, at, binary=json_bytes is not None)
        at = tensor.binary.stop if tensor.binary else at
        tensors.append(tensor)
    if at != len(body):
        raise Refused(
            f"The sizes of the binary tensors end at byte {at:,} of the body, which has "
            f"{len(body):,} bytes."
        )
    outputs = tuple(map(_output, _objects(request, "outputs") if "outputs" in request else ()))
    _refuse_twice("inputs", [each.name for each in tensors])
    _refuse_twice("outputs", [each.name for each in outputs])
    return InferenceRequest(
        _text(request, "id", "the request") if "id" in request else None,
        tuple(tensors),
        outputs,
        _flag(parameters, "binary_data_output") or False,
    )


def json_bytes_of(header: str | None, body_bytes: int) -> int | None:
    """Read the header ``Inference-Header-Content-Length``.

    Args:
        header: its value; None if there is none.
        body_bytes: length of the body.

    Raises:
        Refused: 400 if it is not a number of bytes that the body has.
    """
    if header is None:
        return None
    length = int(header) if header.isascii() and header.isdigit() and len(header) < 20 else -1
    if not 0 <= length <= body_bytes:
        raise Refused(
            f"Inference-Header-Content-Length must be a number of bytes from 0 to that of the "
            f"body, {body_bytes:,}. Received: {shown(header)}."
        )
    return length


def encode_answer(
    head: Mapping[str, str],
    outputs: Sequence[tuple[str, str, Shape, np.ndarray | Sequence[str], bool]],
) -> tuple[bytes, int | None]:
    """Write an answer.

    Args:
        head: names and version of the model, and the id.
        outputs: name, datatype, shape, values and whether they are given as bytes, of each.

    Returns:
        The body, and how many of its bytes are JSON; None for all.
    """
    tensors: list[dict[str, Any]] = []
    tail: list[bytes] = []
    any_binary = False
    for name, datatype, shape, values, binary in outputs:
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(shape)}
        if binary:
            any_binary = True
            tail.append(to_binary(values))
            tensor["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            tensor["data"] = to_json(values)
        tensors.append(tensor)
    text = json.dumps({**head, "outputs": tensors}, separators=(",", ":"), ensure_ascii=False)
    first = text.encode("utf-8")
    return b"".join([first, *tail]), len(first) if any_binary else None


def _input(tensor: dict[str, Any], at: int, binary: bool) -> RequestInput:
    """Check an input whose bytes, if it has any, begin at ``at``."""
    name = _text(tensor, "name", "an input")
    where = f"input {shown(name)}"
    datatype = _text(tensor, "datatype", where)
    if datatype not in DATATYPES:
        listed = ", ".join(DATATYPES)
        raise Refused(
            f"The datatype of {where} must be one of {listed}. Received: {shown(datatype)}."
        )
    shape = _shape(tensor, where)
    parameters = _parameters(tensor, where)
    if SHARED_MEMORY in parameters:
        raise Refused(f"{where.capitalize()} is in shared memory, which this server cannot read.")
    data, size = tensor.get("data"), parameters.get("binary_data_size")
    if "data" in tensor and not isinstance(data, Span):
        raise Refused(f"The data of {where} must be a JSON array. Received: {shown(data)}.")
    if (data is None) == (size is None):
        raise Refused(
            f"{where.capitalize()} must have either `data` or the parameter `binary_data_size`. "
            f"Received: {'neither' if size is None else 'both'}."
        )
    place = None if size is None else _place(size, at, binary, where)
    return RequestInput(name, datatype, shape, data, place, _coded(parameters, where))


def _place(size: object, at: int, binary: bool, where: str) -> Span:
    if not _is_count(size):
        raise Refused(
            f"`binary_data_size` of {where} must be a number of bytes. Received: {shown(size)}."
        )
    if not binary:
        raise Refused(
            f"{where.capitalize()} has binary data, but the request has no header "
            f"Inference-Header-Content-Length, which says where they begin."
        )
    return Span(at, at + int(size))  # type: ignore[call-overload]


def _coded(parameters: dict[str, Any], where: str) -> bool:
    """Whether strings are base64: a parameter of this server, named as in MLServer."""
    kind = parameters.get("content_type")
    if kind is not None and kind != "base64":
        raise Refused(
            f'`content_type` of {where} must be "base64" or left out. Received: {shown(kind)}.'
        )
    return kind is not None


def _output(tensor: dict[str, Any]) -> RequestOutput:
    name = _text(tensor, "name", "an output")
    where = f"output {shown(name)}"
    parameters = _parameters(tensor, where)
    for refused in (CLASSIFICATION, SHARED_MEMORY):
        if refused in parameters:
            raise Refused(
                f"{where.capitalize()} has the parameter `{refused}`, of an extension that this "
                f"server does not have."
            )
    return RequestOutput(name, _flag(parameters, "binary_data"))


def _shape(tensor: dict[str, Any], where: str) -> Shape:
    sizes = tensor.get("shape")
    if not isinstance(sizes, list) or not all(map(_is_count, sizes)):
        raise Refused(
            f"The shape of {where} must be a JSON array of integers from 0 to 2⁶⁴ − 1. "
            f"Received: {shown(sizes)}."
        )
    return tuple(sizes)


def _is_count(value: object) -> bool:
    """Whether a value is an integer that 64 bits without a sign can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST


def _text(holder: dict[str, Any], key: str, where: str) -> str:
    value = holder.get(key)
    if not isinstance(value, str):
        received = shown(value) if key in holder else "none"
        raise Refused(f"`{key}` of {where} must be a string. Received: {received}.")
    return value


def _objects(holder: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = holder.get(key)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        received = shown(value) if key in holder else "none"
        raise Refused(f"`{key}` must be a JSON array of objects. Received: {received}.")
    return value


def _parameters(holder: dict[str, Any], where: str) -> dict[str, Any]:
    value = holder.get("parameters", {})
    scalar = (str, int, float)  # bool is an int
    if not isinstance(value, dict) or not all(isinstance(v, scalar) for v in value.values()):
        raise Refused(
            f"`parameters` of {where} must be a JSON object of strings, numbers and booleans. "
            f"Received: {shown(value)}."
        )
    return value


def _flag(parameters: dict[str, Any], key: str) -> bool | None:
    value = parameters.get(key)
    if value is not None and not isinstance(value, bool):
        raise Refused(f"The parameter `{key}` must be true or false. Received: {shown(value)}.")
    return value


def _refuse_twice(key: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise Refused(f"`{key}` has {shown(name)} twice.")
        seen.add(name)
