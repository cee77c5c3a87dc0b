"""The OpenAPI description: of all addresses, true, and no request that follows it or breaks it is
answered with a server error.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from starlette.routing import Route
from starlette.testclient import TestClient

import headfit as hf
from conformance.own_server import MODEL, small_model
from headfit.serve import Limits
from headfit.serve.openapi import document as openapi
from serving import served

with warnings.catch_warnings():  # of its own dependencies
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import CHECKS, load_all_checks

EXAMPLES = 15  # of each address
FOR_PEOPLE = ("/",)  # a page, which no client calls
# not that every request that fits is right: no schema says how pixels, sizes and shapes agree
ANSWERS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def client(path: Path) -> Iterator[TestClient]:
    with TestClient(hf.serve.create_app(path)) as client:
        yield client


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_it_describes_every_address_and_no_other(path: Path, document: dict[str, Any]):
    routes = hf.serve.create_app(path).routes
    served = {
        (route.path, method.lower())
        for route in routes
        if isinstance(route, Route) and route.path not in FOR_PEOPLE
        for method in route.methods or ()
        if method != "HEAD"
    }
    described = {
        (address, method)
        for address, methods in document["paths"].items()
        for method in methods
        if method != "parameters"
    }
    assert described == served


def test_it_tells_no_release(document: dict[str, Any]):
    assert hf.__version__ not in json.dumps(document)


def test_each_operation_has_a_name_of_its_own(document: dict[str, Any]):
    names = [
        each["operationId"]
        for methods in document["paths"].values()
        for method, each in methods.items()
        if method != "parameters"
    ]
    assert len(set(names)) == len(names)


def test_the_example_of_an_inference_request_is_answered(
    client: TestClient, document: dict[str, Any]
):
    operation = document["paths"]["/v2/models/{name}/infer"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    answer = client.post(f"/v2/models/{MODEL}/infer", json=example)
    assert answer.status_code == 200
    assert answer.json()["id"] == example["id"]


@pytest.fixture(scope="module")
def described(path: Path) -> Iterator[Any]:
    load_all_checks()
    with served(hf.serve.create_app(path)) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


OPERATIONS = [
    (method, address)
    for address, methods in openapi.document("model", Limits())["paths"].items()
    for method in methods
    if method != "parameters"
]


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("method", "address"), OPERATIONS)
def test_no_request_is_a_server_error(
    described: Any, method: str, address: str, mode: GenerationMode
):
    """Right and wrong requests; and the status, headers and body of every answer are described."""
    operation = described[address][method.upper()]
    checks = [CHECKS.get_one(name) for name in ANSWERS]
    if mode is GenerationMode.NEGATIVE and not operation.body:
        return  # any text is a right name
    if not operation.body and not list(operation.iter_parameters()):
        operation.Case().call_and_validate(checks=checks)
        return

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        case.call_and_validate(checks=checks)

    check()
