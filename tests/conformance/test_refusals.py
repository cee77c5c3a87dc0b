"""Inference requests that break the protocol: an error status and an error object."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.client import Server
from conformance.test_inference import flat, succeeds
from conformance.test_metadata import NO_VERSION, UNKNOWN, refuses, versions_of
from conformance.test_refused_inputs import CHANGES, infer_changed


def test_an_unknown_model_is_an_error(server: Server):
    """A failed inference request has an error status and a JSON object with `error`, a string: here
    for a model that does not exist.

    Section: Inference Response JSON Error Object. Level: must.
    """
    refuses(server.infer(flat(server.tensors()), path=server.path(model=UNKNOWN)))


def test_an_unknown_version_is_an_error(server: Server):
    """A version that does not exist cannot infer.

    Section: Inference; Inference Response JSON Error Object. Level: must.
    """
    versions_of(server)
    refuses(server.infer(flat(server.tensors()), path=server.path(version=NO_VERSION)))


def test_text_that_is_not_json_is_an_error(server: Server):
    """The body of an inference request is JSON.

    Section: HTTP/REST; Inference. Level: must.
    """
    refuses(server.infer(b'{"inputs": [}'))


def test_an_empty_body_is_an_error(server: Server):
    """The inference request object is required in the body.

    Section: Inference Request JSON Object. Level: must.
    """
    refuses(server.infer(b""))


def test_a_body_that_is_no_object_is_an_error(server: Server):
    """The body of an inference request is an object.

    Section: Inference Request JSON Object. Level: must.
    """
    refuses(server.infer([1, 2]))


def test_nan_is_an_error(server: Server):
    """NaN is not JSON, and a request with it is an error.

    Section: HTTP/REST. Level: must.
    """
    refuses(server.infer(flat(server.tensors(), parameters={"x": float("nan")})))


def test_a_request_without_inputs_is_an_error(server: Server):
    """The field `inputs` is not optional.

    Section: Inference Request JSON Object. Level: must.
    """
    refuses(server.infer({"id": "1"}))


def test_a_missing_input_is_an_error(server: Server):
    """The inputs of the metadata are required by the model.

    Section: Model Metadata Response JSON Object; Inference Request JSON Object. Level: must.
    """
    tensors = server.tensors()
    for left_out in range(len(tensors)):
        refuses(server.infer(flat(tensors[:left_out] + tensors[left_out + 1 :])))


def test_an_unknown_output_is_an_error(server: Server):
    """A requested output is an output of the model.

    Section: Request Output. Level: must.
    """
    refuses(server.infer(flat(server.tensors(), outputs=[{"name": "no-such-output"}])))


def test_an_output_without_a_name_is_an_error(server: Server):
    """The field `name` of a requested output is not optional.

    Section: Request Output. Level: must.
    """
    refuses(server.infer(flat(server.tensors(), outputs=[{"parameters": {}}])))


def test_an_id_that_is_no_string_is_an_error(server: Server):
    """An id that is not a string is an error.

    Section: Inference Request JSON Object. Level: must.
    """
    refuses(server.infer(flat(server.tensors(), id=42)))


def test_parameters_that_are_no_object_are_an_error(server: Server):
    """Parameters that are not an object are an error.

    Section: Parameters. Level: must.
    """
    refuses(server.infer(flat(server.tensors(), parameters=["a"])))


def test_a_parameter_that_is_an_array_is_an_error(server: Server):
    """A parameter is a string, a number or a boolean.

    Section: Parameters. Level: must.
    """
    refuses(server.infer(flat(server.tensors(), parameters={"x_list": [1, 2]})))


def test_inputs_that_are_no_array_are_an_error(server: Server):
    """The field `inputs` is an array of objects.

    Section: Inference Request JSON Object. Level: must.
    """
    for inputs in ({}, "a", [1], [None]):
        refuses(server.infer({"inputs": inputs}))


def test_inference_by_get_is_an_error(server: Server):
    """Inference is asked for by POST.

    Section: Inference. Level: must.
    """
    assert server.get(server.path() + "/infer").status >= 400


def test_an_input_given_twice_is_an_error(server: Server):
    """An input is described once.

    Section: Inference Request JSON Object. Level: should.
    """
    tensors = server.tensors()
    refuses(server.infer(flat([*tensors, tensors[0]])))


def _faults(server: Server) -> Iterator[tuple[str, int]]:
    """What is wrong in each of several requests, and the status of its answer."""
    for name, change in CHANGES.items():
        yield name, infer_changed(server, change).status
    yield "no JSON", server.infer(b"{").status
    yield "empty body", server.infer(b"").status
    yield "no inputs", server.infer({}).status
    unknown = server.infer(flat(server.tensors(), outputs=[{"name": "no-such-output"}]))
    yield "unknown output", unknown.status


def test_errors_of_clients_are_4xx(server: Server):
    """The status of an error of the client is 400, or another below 500.

    Section: Inference Response JSON Error Object: typically 400. Level: should.
    """
    others = {name: status for name, status in _faults(server) if not 400 <= status < 500}
    assert others == {}


def test_the_server_answers_after_all_this(server: Server):
    """Requests that break the protocol do not keep a server from answering others.

    Section: Server Live. Level: must.
    """
    for _ in _faults(server):
        pass
    succeeds(server.infer(flat(server.tensors())))
    assert server.get("/v2/health/live").status == 200
