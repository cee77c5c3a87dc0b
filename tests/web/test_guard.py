"""What every request is checked for, and what every answer says and does not say."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from headfit.web.answers import SECURITY
from headfit.web.guard import HEADER_BYTES, HEADERS, Guard
from headfit.web.hosts import Hosts

TOKEN = "a-long-token"


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} {request.state.request_id}")


async def fail(request: Request) -> PlainTextResponse:
    raise ValueError("/home/somebody/secret")


ROUTES = [Route("/", echo, methods=["GET", "POST"]), Route("/fail", fail), Route("/free", echo)]


def client(**options: Any) -> TestClient:
    app = Starlette(routes=ROUTES, middleware=[Middleware(Guard, **options)])
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=True)


@pytest.mark.parametrize("path", ["/", "/fail", "/nothing"])
def test_every_answer_has_the_security_headers_and_an_id(path: str) -> None:
    answer = client().get(path)
    assert SECURITY.items() <= {name: answer.headers.get(name) for name in SECURITY}.items()
    assert len(answer.headers["X-Request-Id"]) == 16


def test_an_unexpected_error_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "headfit.web"):
        answer = client().get("/fail", headers={"X-Request-Id": "abc-1"})
    assert answer.status_code == 500
    assert answer.json() == {"error": "Internal error. It was logged with the request id abc-1."}
    assert "/home/somebody/secret" in caplog.text
    assert [record.__dict__["request"] for record in caplog.records] == ["abc-1"]


def test_an_id_of_a_proxy_is_kept_if_it_is_one() -> None:
    assert client().get("/", headers={"X-Request-Id": "a.b_c-1"}).text == "0 a.b_c-1"
    for forged in ("a\tb", "x" * 65, '{"a": 1}', ""):
        answer = client().get("/", headers={"X-Request-Id": forged})
        assert forged not in answer.headers["X-Request-Id"] or not forged


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", TOKEN],
)
def test_without_the_token_nothing_is_answered(authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = client(token=TOKEN).post("/", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert TOKEN not in answer.text


def test_with_the_token_and_on_free_paths_requests_are_answered() -> None:
    guarded = client(token=TOKEN, free=["/free"])
    for kind in ("Bearer", "bearer"):
        assert guarded.get("/", headers={"Authorization": f"{kind} {TOKEN}"}).status_code == 200
    assert guarded.get("/free").status_code == 200
    assert guarded.get("/free/").status_code == 401
    doubled = [("Authorization", f"Bearer {TOKEN}")] * 2
    assert guarded.get("/", headers=doubled).status_code == 401


def test_tokens_may_hold_any_character() -> None:
    header = {"Authorization": "Bearer ä–€".encode()}
    assert client(token="ä–€").get("/", headers=header).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "https://localhost"}, 200),  # a proxy ended TLS
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_other_websites_can_send_nothing(headers: dict[str, str], status: int) -> None:
    assert client().post("/", headers=headers).status_code == status


def test_links_of_other_websites_may_be_followed_and_nothing_else() -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
    assert client().get("/", headers=link).status_code == 200
    assert client().get("/", headers=link | {"Sec-Fetch-Dest": "image"}).status_code == 403


def test_names_of_others_are_refused_where_names_are_given() -> None:
    guarded = client(hosts=Hosts.of("127.0.0.1"), advice="Use localhost.")
    assert guarded.get("/").status_code == 200
    answer = guarded.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 403
    assert answer.json()["error"] == (
        "'evil.example' is not this server, http://127.0.0.1:80/. Use localhost."
    )
    assert client().get("/", headers={"Host": "evil.example"}).status_code == 200


def test_headers_are_bounded_in_number_and_size() -> None:
    many = [(f"x-{number}", "1") for number in range(HEADERS)]
    assert client().get("/", headers=many).status_code == 431
    assert client().get("/", headers={"x": "1" * HEADER_BYTES}).status_code == 431
    assert client().get("/?" + "x" * HEADER_BYTES).status_code == 431


def test_a_body_is_bounded_whether_its_size_is_announced_or_not() -> None:
    bounded = client(body_bytes=10)
    assert bounded.post("/", content=b"x" * 10).text.startswith("10 ")
    assert bounded.post("/", content=b"x" * 11).status_code == 413
    assert bounded.post("/", content=iter([b"x"] * 11)).status_code == 413
    assert bounded.post("/", headers={"Content-Length": "9" * 19}).status_code == 413


def test_bodies_of_two_lengths_are_refused() -> None:
    headers = {"Transfer-Encoding": "chunked", "Content-Length": "3"}
    assert client().post("/", headers=headers, content=b"abc").status_code == 400


def test_websockets_are_refused() -> None:
    with pytest.raises(WebSocketDisconnect) as caught, client().websocket_connect("/"):
        pass
    assert caught.value.code == 1008
