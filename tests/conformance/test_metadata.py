"""Health, and what server and model say of themselves."""

from __future__ import annotations

import re

import pytest

from conformance.client import Answer, Server
from conformance.tensors import DTYPES

UNKNOWN = "no-such-model-8c1f"
NO_VERSION = "987654321"


def versions_of(server: Server) -> list[str]:
    """Versions that may be asked for; skips if there are none."""
    versions = server.metadata().get("versions") or []
    if not versions:
        pytest.skip("the model has no versions")
    return list(versions)


def refuses(answer: Answer) -> None:
    """The answer is an error status with an error object."""
    assert answer.status >= 400, answer
    assert isinstance(answer.json, dict), answer
    assert isinstance(answer.json.get("error"), str), answer
    assert answer.json["error"], answer


def is_tensor(tensor: dict[str, object]) -> bool:
    """Whether this is the metadata of a tensor."""
    shape = tensor.get("shape")
    integers = isinstance(shape, list) and all(type(size) is int for size in shape)
    return integers and all(isinstance(tensor.get(key), str) for key in ("name", "datatype"))


def test_a_live_server_answers_200(server: Server):
    """A server that can answer metadata and inference requests is live: status 200.

    Section: Server Live; V2: Health. Level: must.
    """
    assert server.get("/v2/health/live").status == 200


def test_liveness_is_a_boolean(server: Server):
    """The answer to a liveness request is a JSON object with the boolean `live`.

    Section: Server Live Response JSON Object. Level: must.
    """
    answer = server.get("/v2/health/live")
    assert answer.json.get("live") is True, answer


def test_a_ready_server_answers_200(server: Server):
    """A server all of whose models can infer is ready: status 200.

    Section: Server Ready; V2: Health. Level: must.
    """
    assert server.get("/v2/health/ready").status == 200


def test_readiness_is_a_boolean(server: Server):
    """The answer to a readiness request is a JSON object with a boolean, which the specification
    calls `live`; `ready` passes, too.

    Section: Server Ready Response JSON Object. Level: must.
    """
    answer = server.get("/v2/health/ready")
    assert answer.json.get("live", answer.json.get("ready")) is True, answer


def test_a_ready_model_answers_200(server: Server):
    """A model that can infer is ready: status 200.

    Section: Model Ready; V2: Health. Level: must.
    """
    assert server.get(server.path() + "/ready").status == 200


def test_readiness_of_a_model_names_it(server: Server):
    """The answer has the name of the model as a string and `ready` as a boolean.

    Section: Model Ready Response JSON Object. Level: must.
    """
    answer = server.get(server.path() + "/ready")
    assert answer.json.get("name") == server.model, answer
    assert answer.json.get("ready") is True, answer


def test_each_version_tells_whether_it_is_ready(server: Server):
    """A version that the metadata list can be named in a readiness request.

    Section: API Definitions, Model Ready. Level: must.
    """
    for version in versions_of(server):
        assert server.get(server.path(version=version) + "/ready").status == 200


def test_an_unknown_model_is_not_ready(server: Server):
    """A model that does not exist is not ready: a 4xx status.

    Section: V2: Health. Level: must.
    """
    answer = server.get(server.path(model=UNKNOWN) + "/ready")
    assert 400 <= answer.status < 500, answer


def test_an_unknown_version_is_not_ready(server: Server):
    """A version that does not exist is not ready: a 4xx status.

    Section: V2: Health. Level: must.
    """
    versions_of(server)
    answer = server.get(server.path(version=NO_VERSION) + "/ready")
    assert 400 <= answer.status < 500, answer


def test_server_metadata_are_a_json_object(server: Server):
    """A server metadata request is answered with status 200 and a JSON object.

    Section: Server Metadata. Level: must.
    """
    answer = server.get("/v2")
    assert answer.status == 200, answer
    assert isinstance(answer.json, dict), answer


def test_the_server_has_a_name(server: Server):
    """The name of the server is a string.

    Section: Server Metadata Response JSON Object. Level: must.
    """
    assert isinstance(server.get("/v2").json.get("name"), str)


def test_the_server_has_a_version(server: Server):
    """The version of the server is a string.

    Section: Server Metadata Response JSON Object. Level: must.
    """
    assert isinstance(server.get("/v2").json.get("version"), str)


def test_extensions_are_listed(server: Server):
    """The extensions of the server are an array of strings, which may be empty.

    Section: Server Metadata Response JSON Object. Level: must.
    """
    extensions = server.get("/v2").json.get("extensions")
    assert isinstance(extensions, list)
    assert all(isinstance(each, str) for each in extensions)


def test_model_metadata_name_the_model(server: Server):
    """A model metadata request is answered with status 200 and an object with the model's name.

    Section: Model Metadata Response JSON Object. Level: must.
    """
    answer = server.get(server.path())
    assert answer.status == 200, answer
    assert answer.json.get("name") == server.model, answer


def test_versions_are_strings(server: Server):
    """Where a model has versions that can be asked for, they are an array of strings.

    Section: Model Metadata Response JSON Object. Level: must.
    """
    assert all(isinstance(version, str) for version in versions_of(server))


def test_the_platform_is_a_string(server: Server):
    """The platform of a model is a string.

    Section: Model Metadata Response JSON Object. Level: must.
    """
    assert isinstance(server.metadata().get("platform"), str)


def test_the_platform_has_a_project_and_a_format(server: Server):
    """The name of a platform is that of a project and that of a format, joined by `_`.

    Section: Platforms. Level: must.
    """
    assert re.fullmatch(r"[^_\s]+_\S+", server.metadata().get("platform", ""))


def test_inputs_have_name_datatype_and_shape(server: Server):
    """Each input of the metadata has a name and a datatype, strings, and a shape of integers.

    Section: Model Metadata Response JSON Object. Level: must.
    """
    inputs = server.metadata().get("inputs")
    assert inputs
    assert all(map(is_tensor, inputs)), inputs


def test_outputs_have_name_datatype_and_shape(server: Server):
    """Each output of the metadata has a name and a datatype, strings, and a shape of integers.

    Section: Model Metadata Response JSON Object. Level: must.
    """
    outputs = server.metadata().get("outputs")
    assert outputs
    assert all(map(is_tensor, outputs)), outputs


def test_datatypes_are_those_of_the_specification(server: Server):
    """Datatypes are among those of the specification, in capitals.

    Section: Tensor Data Types. Level: must.
    """
    metadata = server.metadata()
    names = {each["datatype"] for each in metadata["inputs"] + metadata["outputs"]}
    assert names <= {*DTYPES, "BF16"}


def test_variable_sizes_are_minus_one(server: Server):
    """Sizes in the metadata are not negative, but for -1 where they are variable.

    Section: Model Metadata Response JSON Object. Level: must.
    """
    metadata = server.metadata()
    shapes = [each["shape"] for each in metadata["inputs"] + metadata["outputs"]]
    assert all(size >= -1 for shape in shapes for size in shape), shapes


def test_each_version_has_metadata(server: Server):
    """A version that the metadata list can be named in a metadata request.

    Section: Model Metadata. Level: must.
    """
    for version in versions_of(server):
        answer = server.get(server.path(version=version))
        assert answer.status == 200, answer
        assert answer.json.get("name") == server.model, answer


def test_metadata_of_an_unknown_model_are_an_error(server: Server):
    """A failed model metadata request has an error status and a JSON object with `error`, a string.

    Section: Model Metadata Response JSON Error Object. Level: must.
    """
    refuses(server.get(server.path(model=UNKNOWN)))


def test_metadata_of_an_unknown_version_are_an_error(server: Server):
    """A metadata request for a version that does not exist has an error status and an error object.

    Section: Model Metadata Response JSON Error Object. Level: must.
    """
    versions_of(server)
    refuses(server.get(server.path(version=NO_VERSION)))


def test_names_are_case_sensitive(server: Server):
    """The name of a model in capitals is another name.

    Section: V2: HTTP/REST. Level: must.
    """
    if server.model.swapcase() == server.model:
        pytest.skip("the name of the model has no letters")
    refuses(server.get(server.path(model=server.model.swapcase())))
