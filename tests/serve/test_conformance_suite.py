"""The conformance suite fails against servers that break the protocol, and says what it demands."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headfit as hf
from conformance import (
    report,
    test_binary,
    test_inference,
    test_metadata,
    test_refusals,
    test_refused_inputs,
)
from conformance.client import Server
from conformance.own_server import MODEL, small_model
from serving import served

MODULES = (test_metadata, test_inference, test_refusals, test_refused_inputs, test_binary)
Check = Callable[[Server], None]
HEADER = b"inference-header-content-length"


@dataclass
class Exchange:
    """A request and its answer, which a fault may change."""

    path: str
    body: bytes
    status: int = 0
    headers: dict[bytes, bytes] | None = None
    answer: bytes = b""

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the JSON object of the answer."""
        value = json.loads(self.answer)
        change(value)
        self.answer = json.dumps(value).encode()


class Broken:
    """An ASGI application with a fault in each request or answer."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.ask: Callable[[Exchange], object] = lambda _: None
        self.fault: Callable[[Exchange], object] = lambda _: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        exchange = Exchange(scope["path"], body)
        self.ask(exchange)
        kept = [(k, v) for k, v in scope["headers"] if k != b"content-length"]
        headers = [*kept, (b"content-length", str(len(exchange.body)).encode())]
        path = exchange.path
        inner = {**scope, "path": path, "raw_path": path.encode(), "headers": headers}

        bodies = [{"type": "http.request", "body": exchange.body, "more_body": False}]

        async def pass_in() -> Any:
            return bodies.pop() if bodies else await receive()

        async def pass_out(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                exchange.headers = dict(message["headers"])
            else:
                exchange.answer += message.get("body", b"")

        await self.app(inner, pass_in, pass_out)
        assert exchange.headers is not None
        self.fault(exchange)
        exchange.headers[b"content-length"] = str(len(exchange.answer)).encode()
        sent = {"status": exchange.status, "headers": list(exchange.headers.items())}
        await send({"type": "http.response.start", **sent})
        await send({"type": "http.response.body", "body": exchange.answer})


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broken, Server]]:
    app = Broken(hf.serve.create_app(small_model(tmp_path_factory.mktemp("model"))))
    with served(app) as url:
        yield app, Server(url, MODEL)


def in_errors(change: Callable[[Exchange], object]) -> Callable[[Exchange], object]:
    return lambda e: change(e) if e.status >= 400 else None


def in_answers(change: Callable[[dict[str, Any]], object]) -> Callable[[Exchange], object]:
    """Change the answers to inference requests."""
    fits = lambda e: e.status == 200 and e.path.endswith("/infer") and HEADER not in e.headers  # noqa: E731
    return lambda e: e.edit(change) if fits(e) else None


def in_metadata(change: Callable[[dict[str, Any]], object]) -> Callable[[Exchange], object]:
    return lambda e: e.edit(change) if e.path.endswith(MODEL) and e.status == 200 else None


def _text(exchange: Exchange) -> None:
    exchange.answer = b"Bad Request"


def _fine(exchange: Exchange) -> None:
    exchange.status = 200


def _server_fault(exchange: Exchange) -> None:
    exchange.status = 500


def _reverse(answer: dict[str, Any]) -> None:
    for output in answer["outputs"]:
        rows = np.array(output["data"], object).reshape(output["shape"])[::-1]
        output["data"] = rows.ravel().tolist()


def _transpose(answer: dict[str, Any]) -> None:
    for output in answer["outputs"]:
        output["shape"] = output["shape"][::-1]


def _no_header(exchange: Exchange) -> None:
    assert exchange.headers is not None
    exchange.headers.pop(HEADER, None)


def _other_end(exchange: Exchange) -> None:
    assert exchange.headers is not None
    if HEADER in exchange.headers:
        first = int(exchange.headers[HEADER])
        exchange.answer = exchange.answer[:first] + exchange.answer[first:][::-1]


FAULTS: dict[str, tuple[Callable[[Exchange], object], Check]] = {
    "errors as text": (in_errors(_text), test_refusals.test_an_unknown_model_is_an_error),
    "errors under another key": (
        in_errors(lambda e: e.edit(lambda v: v.update(detail=v.pop("error")))),
        test_refused_inputs.test_too_few_data_are_an_error,
    ),
    "errors that are objects": (
        in_errors(lambda e: e.edit(lambda v: v.update(error={"message": v["error"]}))),
        test_metadata.test_metadata_of_an_unknown_model_are_an_error,
    ),
    "errors with status 200": (
        in_errors(_fine),
        test_refusals.test_a_request_without_inputs_is_an_error,
    ),
    "errors of the client as 500": (
        in_errors(_server_fault),
        test_refusals.test_errors_of_clients_are_4xx,
    ),
    "no id": (in_answers(lambda v: v.pop("id", None)), test_inference.test_the_id_is_returned),
    "another id": (
        in_answers(lambda v: v.update(id=ascii(v.get("id")))),
        test_inference.test_the_id_is_returned_unchanged,
    ),
    "another version": (
        in_answers(lambda v: v.update(model_version="2")),
        test_inference.test_the_version_of_the_answer_is_one_of_the_model,
    ),
    "another model": (
        in_answers(lambda v: v.update(model_name="model")),
        test_inference.test_the_answer_names_the_model,
    ),
    "rows in another order": (
        in_answers(_reverse),
        test_inference.test_a_batch_is_the_whole_batch_in_order,
    ),
    "another shape": (
        in_answers(_transpose),
        test_inference.test_shapes_of_outputs_agree_with_the_metadata,
    ),
    "another datatype": (
        in_answers(lambda v: [each.update(datatype="FP64") for each in v["outputs"]]),
        test_inference.test_outputs_are_those_of_the_metadata,
    ),
    "values missing": (
        in_answers(lambda v: [each["data"].pop() for each in v["outputs"]]),
        test_inference.test_outputs_have_as_many_values_as_their_shape,
    ),
    "an output missing": (
        in_answers(lambda v: v["outputs"].pop()),
        test_inference.test_all_outputs_are_returned_by_default,
    ),
    "versions as numbers": (
        in_metadata(lambda v: v.update(versions=[1])),
        test_metadata.test_versions_are_strings,
    ),
    "datatypes in small letters": (
        in_metadata(lambda v: v["inputs"][0].update(datatype="uint8")),
        test_metadata.test_datatypes_are_those_of_the_specification,
    ),
    "variable sizes as null": (
        in_metadata(lambda v: v["inputs"][0].update(shape=[None, 32, 32, 3])),
        test_metadata.test_inputs_have_name_datatype_and_shape,
    ),
    "liveness as a word": (
        lambda e: e.edit(lambda v: v.update(live="yes")) if e.path.endswith("live") else None,
        test_metadata.test_liveness_is_a_boolean,
    ),
    "no header of binary data": (
        _no_header,
        test_binary.test_the_header_tells_the_length_of_the_json,
    ),
    "binary data with the other end first": (
        _other_end,
        test_binary.test_all_outputs_are_binary_on_request,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_suite_finds_a_fault_in_answers(broken: tuple[Broken, Server], name: str):
    app, server = broken
    fault, check = FAULTS[name]
    check(server)
    app.fault = fault
    try:
        with pytest.raises((AssertionError, KeyError, ValueError)):
            check(server)
    finally:
        app.fault = lambda _: None


def _any_version(exchange: Exchange) -> None:
    before, _, after = exchange.path.partition("/versions/")
    if after:
        exchange.path = before + "/" + after.partition("/")[2]


def _any_case(exchange: Exchange) -> None:
    exchange.path = exchange.path.replace(MODEL.swapcase(), MODEL)


def _edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Exchange], object]:
    def edit(exchange: Exchange) -> None:
        if exchange.path.endswith("/infer"):
            value = json.loads(exchange.body)
            change(value)
            exchange.body = json.dumps(value).encode()

    return edit


def _whole(request: dict[str, Any]) -> None:
    """Take any data and any shape, as a careless server does."""
    tensor = request["inputs"][0]
    tensor["shape"] = [2, 32, 32, 3]
    tensor["data"] = (tensor["data"] * 2)[: 2 * 32 * 32 * 3]


LENIENCE: dict[str, tuple[Callable[[Exchange], object], Check]] = {
    "any version": (_any_version, test_refusals.test_an_unknown_version_is_an_error),
    "any case": (_any_case, test_metadata.test_names_are_case_sensitive),
    "any requested output": (
        _edited(lambda v: v.pop("outputs", None)),
        test_inference.test_requested_outputs_are_returned,
    ),
    "any id": (
        _edited(lambda v: v.update(id=str(v["id"]))),
        test_refusals.test_an_id_that_is_no_string_is_an_error,
    ),
    "any parameters": (
        _edited(lambda v: v.pop("parameters", None)),
        test_refusals.test_a_parameter_that_is_an_array_is_an_error,
    ),
    "any number of data": (_edited(_whole), test_refused_inputs.test_too_few_data_are_an_error),
    "any size": (_edited(_whole), test_refused_inputs.test_a_negative_size_is_an_error),
    "any datatype": (
        _edited(lambda v: v["inputs"][0].update(datatype="UINT8")),
        test_refused_inputs.test_datatypes_are_case_sensitive,
    ),
    "any name": (
        _edited(lambda v: v["inputs"][0].update(name="images")),
        test_refused_inputs.test_an_unknown_input_is_an_error,
    ),
}


@pytest.mark.parametrize("name", LENIENCE)
def test_the_suite_finds_a_server_that_takes(broken: tuple[Broken, Server], name: str):
    app, server = broken
    ask, check = LENIENCE[name]
    check(server)
    app.ask = ask
    try:
        with pytest.raises(AssertionError):
            check(server)
    finally:
        app.ask = lambda _: None


def test_each_requirement_has_a_sentence_a_section_and_a_level_and_is_counted_in_the_docs():
    checks = [
        check
        for module in MODULES
        for name, check in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("test_") and check.__module__ == module.__name__
    ]
    wanted = [report.Requirement.of(inspect.getdoc(check) or "") for check in checks]
    assert len({each.sentence for each in wanted}) == len(wanted)
    page = (Path(__file__).parents[2] / "docs" / "serve.md").read_text("utf-8")
    for level in report.LEVELS:
        counts = re.findall(rf"(?m)^\| {level} \|" + r" (\d+) \|" * 6 + "$", page)
        headfit, kserve = np.array(counts, int).reshape(2, 3).sum(axis=1)
        assert headfit == kserve == sum(each.level == level for each in wanted)


def test_the_table_counts_what_came_of_them():
    wanted = report.Requirement("The id is returned.", "Inference", "must")
    outcomes = [report.Outcome(wanted, "passed"), report.Outcome(wanted, "not applicable", "none")]
    lines = report.table(outcomes)
    assert lines[2] == "| The id is returned. | Inference | must | passed |"
    assert lines[3] == "| The id is returned. | Inference | must | not applicable: none |"
    assert "| must | 1 | 0 | 1 |" in lines


def test_the_suite_runs_against_an_address(broken: tuple[Broken, Server], pytestconfig: Any):
    """As users run it, in a process of its own."""
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    _, server = broken
    suite = Path(test_metadata.__file__ or "").parent
    options = ["--base-url", server.url, "--model", MODEL, "-p", "no:cacheprovider", "-q"]
    command = [sys.executable, "-m", "pytest", str(suite), *options]
    done = subprocess.run(
        command, cwd=pytestconfig.rootpath, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "| must |" in done.stdout
