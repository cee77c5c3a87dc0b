"""The server that is tested, and the table of outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.client import BINARY, Server
from conformance.report import Outcome, Requirement, table

OUTCOMES = pytest.StashKey[list[Outcome]]()
PROPERTY = "requirement"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("Open Inference Protocol")
    group.addoption("--base-url", help="address of the server; headfit's own if left out")
    group.addoption("--model", help="name of the model on that server")
    group.addoption(
        "--extension",
        action="append",
        default=[],
        metavar="NAME",
        help="extension that is tested although the server does not announce it",
    )
    group.addoption(
        "--shape",
        action="append",
        default=[],
        metavar="INPUT=2,8,8,3",
        help="shape of an input whose metadata leave it open; may be given several times",
    )


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Server]:
    """The server that was named, or headfit's."""
    url = request.config.getoption("--base-url", None)
    if url:
        sizes = dict(map(_shape, request.config.getoption("--shape")))
        model = request.config.getoption("--model")
        if not model:
            raise pytest.UsageError("--model must name a model of the server at --base-url.")
        yield Server(url.rstrip("/"), model, sizes)
        return
    from conformance.own_server import own_server  # noqa: PLC0415  (imports headfit)

    with own_server(tmp_path_factory.mktemp("served")) as server:
        yield server


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = text.rpartition("=")
    return name, tuple(map(int, sizes.split(",")))


@pytest.fixture
def binary(server: Server, pytestconfig: pytest.Config) -> None:
    """Skip a test of the binary extension where the server does not announce it."""
    if BINARY not in [*server.extensions(), *pytestconfig.getoption("--extension", [])]:
        pytest.skip(f"the server does not announce {BINARY}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """Keep what came of a requirement."""
    report = yield
    ours = item.path.parent == Path(__file__).parent
    if ours and (call.when == "call" or report.skipped or report.failed):
        item.config.stash.setdefault(OUTCOMES, []).append(_outcome(item, report))
    return report


def _outcome(item: pytest.Item, report: pytest.TestReport) -> Outcome:
    requirement = Requirement.of(item.function.__doc__)  # type: ignore[attr-defined]
    if report.skipped and isinstance(report.longrepr, tuple):
        return Outcome(requirement, "not applicable", report.longrepr[2].removeprefix("Skipped: "))
    return Outcome(requirement, "failed" if report.failed else "passed")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    outcomes = config.stash.get(OUTCOMES, [])
    if outcomes:
        terminalreporter.section("Open Inference Protocol")
        terminalreporter.write_line("\n".join(table(outcomes)))
