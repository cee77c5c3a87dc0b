"""Inference: what is asked for is what is answered."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from conformance.client import Answer, Server
from conformance.tensors import DTYPES, Tensor
from conformance.test_metadata import versions_of

ID = "a-42 ü \"'\\/ 中"


def succeeds(answer: Answer) -> Answer:
    assert answer.status == 200, answer
    return answer


def flat(tensors: list[Tensor], **fields: Any) -> dict[str, Any]:
    """A request with flattened JSON data."""
    return {"inputs": [each.flat() for each in tensors], **fields}


def same(first: Answer, second: Answer) -> None:
    """Two answers have the same outputs, but for rounding."""
    left, right = succeeds(first).outputs(), succeeds(second).outputs()
    assert left.keys() == right.keys()
    for name, values in left.items():
        if values.dtype.kind in "biuf":
            np.testing.assert_allclose(values, right[name], rtol=1e-3, atol=1e-5)
        else:
            assert values.tolist() == right[name].tolist()


def outputs_by_name(server: Server) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in server.metadata()["outputs"]}


def test_inference_is_answered_with_outputs(server: Server):
    """An inference request that succeeds is answered with 200 and an object with `outputs`.

    Section: Inference Response JSON Object. Level: must.
    """
    answer = succeeds(server.infer(flat(server.tensors())))
    assert isinstance(answer.json["outputs"], list), answer
    assert answer.json["outputs"], answer


def test_the_answer_names_the_model(server: Server):
    """The answer has the name of the model.

    Section: Inference Response JSON Object. Level: must.
    """
    answer = succeeds(server.infer(flat(server.tensors())))
    assert answer.json.get("model_name") == server.model


def test_the_version_of_the_answer_is_one_of_the_model(server: Server):
    """The version in the answer is a string, and one that the metadata list.

    Section: Inference Response JSON Object. Level: must.
    """
    version = succeeds(server.infer(flat(server.tensors()))).json.get("model_version")
    if version is None:
        pytest.skip("the server gives no version")
    assert version in versions_of(server)


def test_a_version_can_be_asked(server: Server):
    """A version that the metadata list can be named in an inference request, and answers it.

    Section: Inference. Level: must.
    """
    for version in versions_of(server):
        path = server.path(version=version)
        answer = succeeds(server.infer(flat(server.tensors()), path=path))
        assert answer.json.get("model_version", version) == version


def test_the_id_is_returned(server: Server):
    """The id of a request is the id of its answer.

    Section: Inference Request JSON Object. Level: must.
    """
    answer = succeeds(server.infer(flat(server.tensors(), id="42")))
    assert answer.json.get("id") == "42"


def test_the_id_is_returned_unchanged(server: Server):
    """The id of an answer is that of its request for any string, letter by letter.

    Section: Inference Request JSON Object. Level: must.
    """
    answer = succeeds(server.infer(flat(server.tensors(), id=ID)))
    assert answer.json.get("id") == ID


def test_outputs_have_the_fields_of_a_tensor(server: Server):
    """Each output has a name and a datatype, strings, a shape and data, arrays.

    Section: Response Output. Level: must.
    """
    for output in succeeds(server.infer(flat(server.tensors()))).json["outputs"]:
        kinds = {key: type(output.get(key)) for key in ("name", "datatype", "shape", "data")}
        assert kinds == {"name": str, "datatype": str, "shape": list, "data": list}, output


def test_outputs_are_those_of_the_metadata(server: Server):
    """Outputs have the names and datatypes of the metadata.

    Section: Model Metadata Response JSON Object; Response Output. Level: must.
    """
    known = outputs_by_name(server)
    for output in succeeds(server.infer(flat(server.tensors()))).json["outputs"]:
        assert output["name"] in known
        assert output["datatype"] == known[output["name"]]["datatype"]


def test_shapes_of_outputs_agree_with_the_metadata(server: Server):
    """Sizes of outputs are not negative, and as in the metadata where those are not variable.

    Section: Response Output. Level: must.
    """
    known = outputs_by_name(server)
    for output in succeeds(server.infer(flat(server.tensors()))).json["outputs"]:
        expected = known[output["name"]]["shape"]
        assert len(output["shape"]) == len(expected)
        for size, wanted in zip(output["shape"], expected, strict=True):
            assert type(size) is int
            assert size >= 0
            assert size == wanted or wanted == -1


def test_outputs_have_as_many_values_as_their_shape(server: Server):
    """The data of an output are its whole contents.

    Section: Response Output; Tensor Data. Level: must.
    """
    for output in succeeds(server.infer(flat(server.tensors()))).json["outputs"]:
        assert np.size(output["data"]) == math.prod(output["shape"])


def test_all_outputs_are_returned_by_default(server: Server):
    """A request that names no outputs is answered with all of them.

    Section: Inference Request JSON Object. Level: must.
    """
    answer = succeeds(server.infer(flat(server.tensors())))
    assert {each["name"] for each in answer.json["outputs"]} == set(outputs_by_name(server))


def test_requested_outputs_are_returned(server: Server):
    """A request that names one output is answered with it and no other.

    Section: Inference Request JSON Object; Inference Request Examples. Level: must.
    """
    for name in outputs_by_name(server):
        request = flat(server.tensors(), outputs=[{"name": name}])
        answer = succeeds(server.infer(request))
        assert [each["name"] for each in answer.json["outputs"]] == [name]


def test_nested_data_are_the_same_as_flattened(server: Server):
    """Data may have the form of the tensor or be flattened, in row-major order.

    Section: Tensor Data. Level: must.
    """
    tensors = server.tensors()
    nested = {"inputs": [each.nested() for each in tensors]}
    same(server.infer(flat(tensors)), server.infer(nested))


def test_a_batch_is_the_whole_batch_in_order(server: Server):
    """Shape and data of a batch are those of all of it, and row for row those of its outputs.

    Section: Request Input; Response Output. Level: must.
    """
    tensors = server.tensors(rows=3)
    variable = all(each.variable for each in tensors)
    if not variable or any(each["shape"][:1] != [-1] for each in outputs_by_name(server).values()):
        pytest.skip("the model has no batches")
    whole = succeeds(server.infer(flat(tensors))).outputs()
    for row in (2, 0):
        alone = succeeds(server.infer(flat([each.rows(row) for each in tensors]))).outputs()
        for name, values in alone.items():
            assert len(whole[name]) == 3
            if values.dtype.kind in "biuf":
                np.testing.assert_allclose(whole[name][row], values[0], rtol=1e-3, atol=1e-5)
            else:
                assert whole[name][row] == values[0]


def test_parameters_of_a_request_are_taken(server: Server):
    """A request may have parameters: strings, numbers and booleans.

    Section: Parameters. Level: must.
    """
    parameters = {"x_text": "a", "x_number": 1.5, "x_flag": True}
    succeeds(server.infer(flat(server.tensors(), parameters=parameters)))


def test_parameters_of_an_input_are_taken(server: Server):
    """An input may have parameters.

    Section: Request Input; Parameters. Level: must.
    """
    inputs = [each.flat(parameters={"x_number": 7}) for each in server.tensors()]
    succeeds(server.infer({"inputs": inputs}))


def test_parameters_of_an_output_are_taken(server: Server):
    """A requested output may have parameters.

    Section: Request Output; Parameters. Level: must.
    """
    outputs = [{"name": name, "parameters": {"x_flag": False}} for name in outputs_by_name(server)]
    succeeds(server.infer(flat(server.tensors(), outputs=outputs)))


def test_unknown_fields_are_ignored(server: Server):
    """A field that the protocol does not define, such as `model_name` in the examples of the binary
    extension, changes nothing.

    Section: Binary tensor data: Examples. Level: should.
    """
    tensors = server.tensors()
    inputs = [each.flat(x_note=[1, {"a": None}]) for each in tensors]
    unknown = {"inputs": inputs, "model_name": server.model, "x_other": {"b": [True]}}
    same(server.infer(flat(tensors)), server.infer(unknown))


def test_values_of_outputs_fit_their_datatype(server: Server):
    """Values of an output are JSON numbers, strings or booleans as its datatype says.

    Section: Tensor Data; Tensor Data Types. Level: must.
    """
    for output in succeeds(server.infer(flat(server.tensors()))).json["outputs"]:
        values = np.array(output["data"], object).ravel().tolist()
        kind = np.dtype(DTYPES[output["datatype"]]).kind
        types = {"b": bool, "O": str, "f": (int, float)}.get(kind, int)
        assert all(isinstance(value, types) for value in values), output
