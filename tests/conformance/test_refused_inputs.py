"""Inputs that break the protocol: an error status and an error object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conformance.client import Server
from conformance.tensors import Tensor
from conformance.test_metadata import refuses

Changed = Callable[[Tensor], dict[str, Any]]


def infer_changed(server: Server, change: Changed) -> Any:
    """Change the first input of a request, and send it."""
    first, *others = server.tensors()
    return server.infer({"inputs": [change(first), *(each.flat() for each in others)]})


def _other(datatype: str) -> str:
    return "BYTES" if datatype != "BYTES" else "FP32"


def _wrong_size(tensor: Tensor) -> list[int]:
    """A shape whose last size is one more: fixed, or at odds with the data."""
    return [*tensor.shape[:-1], tensor.shape[-1] + 1]


CHANGES: dict[str, Changed] = {
    "no name": lambda t: t.flat(name=None),
    "no shape": lambda t: t.flat(shape=None),
    "no datatype": lambda t: t.flat(datatype=None),
    "no data": lambda t: t.described(),
    "unknown datatype": lambda t: t.flat(datatype="FLOAT"),
    "too large a size": lambda t: t.flat(shape=[2**64, *t.shape[1:]]),
    "negative size": lambda t: t.flat(shape=[-1, *t.shape[1:]]),
    "too few data": lambda t: t.flat(data=t.values.ravel().tolist()[:-1]),
}
"""What one input may have wrong, for the test of the status."""


def test_an_unknown_input_is_an_error(server: Server):
    """The name of an input is that of an input of the model.

    Section: Request Input. Level: must.
    """
    refuses(infer_changed(server, lambda t: t.flat(name="no-such-input")))


def test_an_input_without_a_name_is_an_error(server: Server):
    """The field `name` of an input is not optional.

    Section: Request Input. Level: must.
    """
    refuses(infer_changed(server, CHANGES["no name"]))


def test_an_input_without_a_shape_is_an_error(server: Server):
    """The field `shape` of an input is not optional.

    Section: Request Input. Level: must.
    """
    refuses(infer_changed(server, CHANGES["no shape"]))


def test_an_input_without_a_datatype_is_an_error(server: Server):
    """The field `datatype` of an input is not optional.

    Section: Request Input. Level: must.
    """
    refuses(infer_changed(server, CHANGES["no datatype"]))


def test_an_input_without_data_is_an_error(server: Server):
    """The field `data` of an input is not optional, unless an extension takes its place.

    Section: Request Input. Level: must.
    """
    refuses(infer_changed(server, CHANGES["no data"]))


def test_an_input_of_another_datatype_is_an_error(server: Server):
    """The datatype of an input is that of the metadata.

    Section: Request Input; Model Metadata Response JSON Object. Level: must.
    """
    refuses(infer_changed(server, lambda t: t.flat(datatype=_other(t.datatype))))


def test_an_unknown_datatype_is_an_error(server: Server):
    """A datatype is one of those of the specification.

    Section: Tensor Data Types. Level: must.
    """
    refuses(infer_changed(server, CHANGES["unknown datatype"]))


def test_datatypes_are_case_sensitive(server: Server):
    """A datatype in small letters is an error: strings are case-sensitive.

    Section: V2: HTTP/REST. Level: must.
    """
    refuses(infer_changed(server, lambda t: t.flat(datatype=t.datatype.lower())))


def test_a_negative_size_is_an_error(server: Server):
    """Sizes are not negative, not even those that are variable.

    Section: Request Input. Level: must.
    """
    refuses(infer_changed(server, CHANGES["negative size"]))


def test_a_size_that_is_no_integer_is_an_error(server: Server):
    """Sizes are integers.

    Section: Request Input. Level: must.
    """
    for size in (1.5, "2", True, None):
        refuses(infer_changed(server, lambda t, s=size: t.flat(shape=[s, *t.shape[1:]])))


def test_a_size_of_more_than_64_bits_is_an_error(server: Server):
    """Sizes fit an unsigned integer of 64 bits.

    Section: Request Input. Level: must.
    """
    refuses(infer_changed(server, CHANGES["too large a size"]))


def test_sizes_whose_product_overflows_are_an_error(server: Server):
    """Sizes that fit 64 bits, and whose product does not, are at odds with any data.

    Section: Request Input; Tensor Data. Level: must.
    """
    refuses(infer_changed(server, lambda t: t.flat(shape=[2**63, *t.shape[1:-1], 2])))


def test_another_fixed_size_is_an_error(server: Server):
    """Sizes that the metadata fix are those of an input, even if the data agree.

    Section: Model Metadata Response JSON Object; Request Input. Level: must.
    """
    fixed = server.metadata()["inputs"][0]["shape"][-1]
    if fixed < 0:
        pytest.skip("the last size of the first input is variable")
    first = server.tensors()[0]
    data = first.values.ravel().tolist()
    count = len(data) // first.shape[-1]
    shape = _wrong_size(first)
    refuses(infer_changed(server, lambda t: t.flat(shape=shape, data=data + data[:count])))


def test_another_number_of_sizes_is_an_error(server: Server):
    """An input has as many sizes as the metadata say.

    Section: Model Metadata Response JSON Object; Request Input. Level: must.
    """
    refuses(infer_changed(server, lambda t: t.flat(shape=[*t.shape, 1, 1])))


def test_too_many_data_are_an_error(server: Server):
    """Data are the whole contents of the shape, and no more.

    Section: Request Input; Tensor Data. Level: must.
    """
    refuses(infer_changed(server, lambda t: t.flat(data=t.values.ravel().tolist() * 2)))


def test_too_few_data_are_an_error(server: Server):
    """Data are the whole contents of the shape, and no less.

    Section: Request Input; Tensor Data. Level: must.
    """
    refuses(infer_changed(server, CHANGES["too few data"]))


def test_nested_data_of_another_shape_are_an_error(server: Server):
    """Nested data have the form of the shape.

    Section: Tensor Data. Level: must.
    """
    first = server.tensors()[0]
    if first.values.ndim < 2 or first.values.shape[-1] < 2:
        pytest.skip("the first input has one dimension")
    ragged = first.values.tolist()
    row = ragged
    while isinstance(row[0][0], list):
        row = row[0]
    row[0] = row[0][:-1]
    refuses(infer_changed(server, lambda t: t.flat(data=ragged)))


def test_data_that_are_no_array_are_an_error(server: Server):
    """Data are a JSON array.

    Section: Tensor Data. Level: must.
    """
    for data in (1, "abc", {"a": 1}):
        refuses(infer_changed(server, lambda t, d=data: t.flat(data=d)))


def test_elements_of_another_type_do_no_harm(server: Server):
    """An element of another type is changed into the right one, or is an error.

    Section: Tensor Data. Level: must.
    """
    odd = 1.5 if server.tensors()[0].datatype == "BYTES" else "x"
    data = [odd, *server.tensors()[0].values.ravel().tolist()[1:]]
    answer = infer_changed(server, lambda t: t.flat(data=data))
    if answer.status != 200:
        refuses(answer)
