"""The binary tensor data extension, of servers that announce it."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.client import HEADER, Answer, Server
from conformance.tensors import Tensor
from conformance.test_inference import flat, same, succeeds
from conformance.test_metadata import refuses

pytestmark = pytest.mark.usefixtures("binary")


def as_binary(tensors: list[Tensor], **fields: Any) -> tuple[dict[str, Any], bytes]:
    """A request whose data are all binary, and these."""
    request = {"inputs": [each.binary() for each in tensors], **fields}
    return request, b"".join(each.raw() for each in tensors)


def sizes_of(answer: Answer) -> list[int | None]:
    """Sizes of the binary data of the outputs, in order."""
    outputs = succeeds(answer).json["outputs"]
    return [(each.get("parameters") or {}).get("binary_data_size") for each in outputs]


def test_binary_inputs_are_the_same_as_json(server: Server):
    """Inputs may be bytes behind the JSON: little-endian, row-major, a byte for a BOOL, four bytes
    of length before each element of BYTES.

    Section: Binary tensor request. Level: extension.
    """
    tensors = server.tensors()
    same(server.infer(*as_binary(tensors)), server.infer(flat(tensors)))


def test_binary_and_json_inputs_may_be_mixed(server: Server):
    """Each input is binary or JSON.

    Section: Binary tensor request. Level: extension.
    """
    tensors = server.tensors()
    if len(tensors) < 2:
        pytest.skip("the model has one input")
    first, *others = tensors
    request = {"inputs": [first.flat(), *(each.binary() for each in others)]}
    binary = b"".join(each.raw() for each in others)
    same(server.infer(request, binary), server.infer(flat(tensors)))


def test_all_outputs_are_binary_on_request(server: Server):
    """The parameter `binary_data_output` of a request makes all outputs binary, with the same
    values.

    Section: Binary tensor request. Level: extension.
    """
    tensors = server.tensors()
    answer = server.infer(flat(tensors, parameters={"binary_data_output": True}))
    assert None not in sizes_of(answer)
    same(answer, server.infer(flat(tensors)))


def test_one_output_is_binary_on_request(server: Server):
    """The parameter `binary_data` of a requested output makes it binary, with the same values.

    Section: Binary tensor request. Level: extension.
    """
    tensors = server.tensors()
    names = [each["name"] for each in server.metadata()["outputs"]]
    for name in names:
        outputs = [{"name": name, "parameters": {"binary_data": True}}]
        answer = server.infer(flat(tensors, outputs=outputs))
        assert None not in sizes_of(answer)
        same(answer, server.infer(flat(tensors, outputs=[{"name": name}])))


def test_an_output_overrides_the_request(server: Server):
    """The parameter `binary_data` of an output goes before that of the request.

    Section: Binary tensor request. Level: extension.
    """
    outputs = [
        {"name": each["name"], "parameters": {"binary_data": False}}
        for each in server.metadata()["outputs"]
    ]
    parameters = {"binary_data_output": True}
    answer = server.infer(flat(server.tensors(), parameters=parameters, outputs=outputs))
    assert set(sizes_of(answer)) == {None}


def test_outputs_are_json_unless_asked(server: Server):
    """Outputs are JSON where neither parameter is true, even if the inputs are binary.

    Section: Binary tensor request. Level: extension.
    """
    answer = server.infer(*as_binary(server.tensors()))
    assert set(sizes_of(answer)) == {None}


def test_the_header_tells_the_length_of_the_json(server: Server):
    """An answer with binary data has the header Inference-Header-Content-Length, and its body is
    that much JSON and the data of its outputs, in order and with nothing between or behind.

    Section: Binary tensor request. Level: extension.
    """
    parameters = {"binary_data_output": True}
    answer = succeeds(server.infer(flat(server.tensors(), parameters=parameters)))
    assert answer.header_bytes is not None
    sizes = [size or 0 for size in sizes_of(answer)]
    assert answer.header_bytes + sum(sizes) == len(answer.body)
    answer.outputs()


def test_the_content_length_is_that_of_all(server: Server):
    """Content-Length is the length of the JSON and the binary data.

    Section: Binary tensor request. Level: extension.
    """
    parameters = {"binary_data_output": True}
    answer = succeeds(server.infer(flat(server.tensors(), parameters=parameters)))
    if "content-length" not in answer.headers:
        pytest.skip("the server sends its answers in chunks")
    assert int(answer.headers["content-length"]) == len(answer.body)


def test_the_id_is_returned_with_binary_data(server: Server):
    """The id of a request is returned, binary or not.

    Section: Inference Request JSON Object. Level: extension.
    """
    request, data = as_binary(server.tensors(), id="b-7", parameters={"binary_data_output": True})
    assert succeeds(server.infer(request, data)).json.get("id") == "b-7"


def test_binary_data_without_the_header_are_an_error(server: Server):
    """A request with binary data must have the header Inference-Header-Content-Length.

    Section: Binary tensor request. Level: extension.
    """
    refuses(server.infer(*as_binary(server.tensors()), header=""))


def test_a_header_that_is_no_length_is_an_error(server: Server):
    """The header is the length of the JSON, which is not longer than the body.

    Section: Binary tensor request. Level: extension.
    """
    for header in ("999999999", "-1", "x", "1"):
        refuses(server.infer(*as_binary(server.tensors()), header=header))


def test_binary_data_that_are_cut_off_are_an_error(server: Server):
    """The binary data are as many bytes as their sizes say: not fewer.

    Section: Binary tensor request. Level: extension.
    """
    request, data = as_binary(server.tensors())
    refuses(server.infer(request, data[:-1]))


def test_binary_data_left_over_are_an_error(server: Server):
    """The binary data are as many bytes as their sizes say: not more.

    Section: Binary tensor request. Level: extension.
    """
    request, data = as_binary(server.tensors())
    refuses(server.infer(request, data + b"\0"))


def test_a_size_at_odds_with_the_shape_is_an_error(server: Server):
    """Binary data are the whole contents of the shape.

    Section: Binary tensor request. Level: extension.
    """
    first, *others = server.tensors()
    size = {"binary_data_size": len(first.raw()) + 4}
    inputs = [first.binary(parameters=size), *(each.binary() for each in others)]
    data = first.raw() + bytes(4) + b"".join(each.raw() for each in others)
    refuses(server.infer({"inputs": inputs}, data))


def test_a_size_that_is_no_size_is_an_error(server: Server):
    """The parameter `binary_data_size` is an integer, not negative.

    Section: Binary tensor request. Level: extension.
    """
    first, *others = server.tensors()
    for size in (-1, 1.5, "8", True, 2**63):
        inputs = [first.binary(parameters={"binary_data_size": size})]
        inputs += [each.binary() for each in others]
        refuses(server.infer({"inputs": inputs}, first.raw()))


def test_raw_bytes_are_one_input(server: Server):
    """A header of 0 says that the body is nothing but the input, for a model with one input of one
    variable size at most; it is a batch of one, and all outputs are binary.

    Section: Raw binary request. Level: extension.
    """
    tensors = server.tensors(rows=1)
    shape = server.metadata()["inputs"][0]["shape"]
    fits = len(tensors) == 1 and sum(size < 0 for size in shape) <= 1
    if not fits or tensors[0].datatype == "BYTES":
        pytest.skip("the model has another input")
    answer = server.infer(b"", tensors[0].raw(), header="0")
    assert None not in sizes_of(answer)
    assert HEADER.lower() in answer.headers
    same(answer, server.infer(flat(tensors)))
