"""The Open Inference Protocol beyond its requirements: files as text, bounds, and messages."""

from __future__ import annotations

import base64
import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import headfit as hf
from conformance.client import Answer, Server
from conformance.own_server import MODEL, small_model
from headfit.serve.errors import Refused
from headfit.serve.inference import messages, tensors
from headfit.serve.inference.document import Span, read_object
from serving import served

LIMITS = hf.serve.Limits(files=4, file_bytes=20_000, body_bytes=3_000_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    app = hf.serve.create_app(small_model(tmp_path_factory.mktemp("model")), limits=LIMITS)
    with served(app) as url:
        yield Server(url, MODEL)


def png(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def as_text(*contents: bytes, **changed: Any) -> dict[str, Any]:
    """A request with files in JSON."""
    whole = {
        "name": "bytes",
        "datatype": "BYTES",
        "shape": [len(contents)],
        "parameters": {"content_type": "base64"},
        "data": [base64.b64encode(each).decode() for each in contents],
    }
    return {"inputs": [{**whole, **changed}]}


def as_elements(*contents: bytes) -> bytes:
    return b"".join(len(each).to_bytes(4, "little") + each for each in contents)


def refused(answer: Answer, status: int, *words: str) -> None:
    assert answer.status == status, answer
    for word in words:
        assert word in answer.json["error"], answer


def test_files_in_json_are_base64_where_they_say_so(server: Server):
    coded = server.infer(as_text(png(0), png(1))).outputs()
    contents = as_elements(png(0), png(1))
    tensor = {"name": "bytes", "datatype": "BYTES", "shape": [2]}
    tensor["parameters"] = {"binary_data_size": len(contents)}
    binary = server.infer({"inputs": [tensor]}, contents).outputs()
    assert coded["probabilities"].shape == (2, 3)
    np.testing.assert_allclose(coded["probabilities"], binary["probabilities"], rtol=1e-6)


def test_base64_text_without_that_parameter_is_no_image(server: Server):
    data = [base64.b64encode(png()).decode()]
    refused(server.infer(as_text(b"", parameters={}, data=data)), 400, "Element 0", "base64")


def test_one_file_that_cannot_be_read_refuses_the_request(server: Server):
    refused(server.infer(as_text(png(), b"GIF89a", png())), 400, "Element 1 of 'bytes'")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"data": ["*"]}, ("Element 0", "base64")),
        ({"data": [1]}, ("Element 0", "string")),
        ({"data": [["a"]]}, ("flat",)),
        ({"data": ["YQ==", "YQ=="]}, ("more", "1")),
        ({"data": []}, ("0 values", "1")),
        ({"parameters": {"content_type": "png"}}, ("content_type", "base64", "png")),
        ({"shape": [1, 1]}, ("[-1]", "[1, 1]")),
        ({"shape": [5]}, ()),
        ({"shape": [2**63]}, ()),
    ],
)
def test_a_tensor_of_files_that_is_wrong_is_refused(
    server: Server, changed: dict[str, Any], words: tuple[str, ...]
):
    answer = server.infer(as_text(png(), **changed))
    assert 400 <= answer.status < 500
    refused(answer, answer.status, *words)


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff", b"\x01", b"\x02\0\0\0a", as_elements(b"", b"")]
)
def test_elements_that_are_cut_off_or_too_many_are_refused(server: Server, data: bytes):
    tensor = {"name": "bytes", "datatype": "BYTES", "shape": [1]}
    tensor["parameters"] = {"binary_data_size": len(data)}
    refused(server.infer({"inputs": [tensor]}, data), 400)


def test_too_many_images_and_too_large_files_are_refused(server: Server):
    refused(server.infer(as_text(*[png()] * 5)), 413, "4", "5")
    refused(server.infer(as_text(png() + bytes(20_000))), 413, "Element 0", "20,000")


def test_a_body_beyond_the_limit_is_refused_unread(server: Server):
    refused(server.infer(b" " * 3_000_001), 413, "3,000,000")


def test_an_endless_body_is_refused(server: Server):
    """Without a Content-Length, in chunks."""
    path = server.path() + "/infer"
    try:
        answer = server.request("POST", path, iter([b" " * 500_000] * 40))  # type: ignore[arg-type]
    except OSError:  # it closed the connection while more was being sent
        return
    refused(answer, 413)


def test_images_and_files_together_are_refused(server: Server):
    request = as_text(png())
    request["inputs"].append(server.tensors()[0].flat())
    refused(server.infer(request), 400, "one input")


def test_an_unknown_path_is_an_error_object(server: Server):
    answer = server.get("/v2/models")
    assert answer.status == 404
    assert isinstance(answer.json["error"], str)
    answer = server.request("GET", server.path() + "/infer")
    assert answer.status == 405
    assert isinstance(answer.json["error"], str)


def refusal(body: bytes, stop: int | None = None) -> str:
    with pytest.raises(Refused) as error:
        read_object(body, len(body) if stop is None else stop)
    assert error.value.status == 400
    return str(error.value)


HOSTILE = {
    "deep arrays": b"[" * 3_000_000,
    "deep objects": b'{"a":' * 600_000,
    "many empty arrays": b'{"a":[' + b"[]," * 900_000 + b"0]}",
    "many keys": b"{" + b",".join(b'"%d":0' % n for n in range(200_000)) + b"}",
    "many numbers": b'{"shape":[' + b"1," * 1_400_000 + b"1]}",
    "a long number": b'{"a":' + b"9" * 900_000 + b"}",
    "a long exponent": b'{"a":1e' + b"9" * 50 + b"}",
    "a long string": b'{"a":"' + b"x" * 2_900_000 + b'"}',
    "a string of escapes": b'{"a":"' + b"\\\\" * 1_400_000 + b'"}',
    "a string without end": b'{"a":"' + b"\\" * 2_999_999,
    "space": b" " * 3_000_000,
    "strings in the data": b'{"inputs":[{"data":[' + b'"",' * 900_000 + b'""]}]}',
    "data without end": b'{"inputs":[{"data":' + b"[" * 2_900_000,
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"id": "1"}'.encode("utf-16"),
    "half a surrogate pair": b'{"id": "\\ud800"}',
    "bytes that are no UTF-8": b'{"id": "\xff"}',
    "a key twice": b'{"id": "1", "id": "2"}',
    "infinity": b'{"a": Infinity}',
    "text behind it": b"{} {}",
    "a comment": b"{} // a",
    "nothing": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_is_refused_in_bounded_memory(name: str):
    body = HOSTILE[name]
    tracemalloc.start()
    try:
        assert len(refusal(body)) < 300
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()


def test_nothing_behind_the_json_is_read():
    for stop in range(1, 12):
        refusal(b'{"a": "b\\"c"}""]}', stop)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(
    value=st.dictionaries(st.text(), VALUES, max_size=4), spaced=st.booleans(), plain=st.booleans()
)
def test_any_json_object_is_read_as_the_standard_library_reads_it(
    value: dict[str, Any], spaced: bool, plain: bool
):
    body = json.dumps(value, indent=1 if spaced else None, ensure_ascii=not plain)
    try:
        coded = body.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return
    try:
        assert read_object(coded, len(coded)) == json.loads(body)
    except Refused as error:
        assert "digits" in str(error) or "characters" in str(error) or "valid" in str(error)


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=60) | st.text('{}[]",:\\ 0123e.-tru', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes):
    try:
        value = read_object(body, len(body))
    except Refused:
        return
    assert value == json.loads(body)


SHAPES = st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=100, deadline=None)
@given(shape=SHAPES, flat=st.booleans(), indent=st.sampled_from([None, 0, 1]), data=st.data())
def test_pixels_in_json_are_read_as_numpy_reads_them(
    shape: tuple[int, int, int], flat: bool, indent: int | None, data: Any
):
    count = int(np.prod(shape))
    values = data.draw(st.lists(st.integers(0, 255), min_size=count, max_size=count))
    array = np.array(values, np.uint8).reshape(shape)
    text = json.dumps((array.ravel() if flat else array).tolist(), indent=indent).encode()
    found = tensors.pixels_from_json(text, Span(0, len(text)), shape, "images")
    np.testing.assert_array_equal(found, array)


def test_pixels_are_read_in_pieces_without_a_seam(monkeypatch: pytest.MonkeyPatch):
    array = np.random.default_rng(0).integers(0, 256, (3, 5, 7), np.uint8)
    text = json.dumps(array.tolist()).encode()
    for size in range(10, 50):
        monkeypatch.setattr(tensors, "CHUNK", size)
        found = tensors.pixels_from_json(text, Span(0, len(text)), array.shape, "images")
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    "text",
    [
        *("[1 2]", "[1,2,]", "[,1]", "[1,,2]", "[256,1]", "[01,1]", "[1000,1]", "[-1,1]"),
        *("[1.0,1]", "[1e1,1]", '["1",1]', "[true,1]", "[1,2]]", "[[1,2]", "[1,2],[3]", "[1"),
        *("1,2", "[1,2][", "[[1],2]", "[[1,2]]", "[]", "[1]", "[1,2,3]", "[1,2\0]"),
    ],
)
def test_pixels_that_are_wrong_are_refused(text: str):
    body = text.encode()
    with pytest.raises(Refused, match="images"):
        tensors.pixels_from_json(body, Span(0, len(body)), (2,), "images")


def test_a_huge_shape_makes_nothing():
    tracemalloc.start()
    try:
        with pytest.raises(Refused):
            tensors.pixels_from_json(b"[1]", Span(0, 3), (2**60, 32, 32, 3), "images")
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_the_pixels_of_a_large_request_take_little_more_than_the_text():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), np.uint8)
    inputs = [{"name": "images", "datatype": "UINT8", "shape": list(pixels.shape)}]
    inputs[0]["data"] = pixels.tolist()
    body = json.dumps({"inputs": inputs}).encode()
    tracemalloc.start()
    try:
        request = messages.parse_request(body, None)
        (tensor,) = request.inputs
        assert tensor.span is not None
        found = tensors.pixels_from_json(body, tensor.span, tensor.shape, "images")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found, pixels)
    assert peak < 2 * len(body)
