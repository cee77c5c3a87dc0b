"""Clients that send slowly, read slowly, come in crowds or send what is no HTTP."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headfit.errors import UsageError
from headfit.web.answers import SECURITY
from headfit.web.connection import PIECE_BYTES, PIECES, Bounds, Connection
from headfit.web.guard import Guard
from headfit.web.listener import listen, serving

MB = 2**20
Address = tuple[str, int]


async def count(request: Request) -> Response:
    return Response(str(len(await request.body())))


async def large(request: Request) -> Response:
    return Response(bytes(64 * MB))


async def never_reads(request: Request) -> Response:
    return Response("no thanks", 415)


APP = Starlette(
    routes=[
        Route("/", count, methods=["GET", "POST"]),
        Route("/large", large),
        Route("/never", never_reads, methods=["POST"]),
    ],
    middleware=[Middleware(Guard, body_bytes=10 * MB)],
)


@contextlib.contextmanager
def served(**bounds: Any) -> Iterator[Address]:
    sock = listen("127.0.0.1", 0)
    with serving(APP, sock, Bounds(**bounds)):
        yield sock.getsockname()


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with served() as found:
        yield found


def connect(address: Address) -> socket.socket:
    return socket.create_connection(address, timeout=30)


def answer(client: socket.socket) -> bytes:
    """Read until the server closes."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := client.recv(MB):
            parts.append(part)
    return b"".join(parts)


def drip(client: socket.socket, data: bytes) -> None:
    """Send the same byte again and again until the server has had enough."""
    client.settimeout(0.05)
    deadline = time.monotonic() + 30
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < deadline:
            client.sendall(data)
            with contextlib.suppress(TimeoutError):
                if client.recv(1, socket.MSG_PEEK) is not None:
                    break
    client.settimeout(30)


GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize(
    "start",
    [b"", GET, POST, POST.replace(b"Content-Length: 1000000", b"Transfer-Encoding: chunked")],
)
def test_who_sends_slowly_is_told_and_shut_out(start: bytes) -> None:
    with served(head=0.5, body=0.5) as address, connect(address) as client:
        client.sendall(start)
        drip(client, b"1\r\nx\r\n" if b"chunked" in start else b"x")
        text = answer(client)
        assert text.startswith(b"HTTP/1.1 408 Request Timeout\r\n"), text
        assert b"nosniff" in text and b"connection: close" in text.lower()


def test_who_sends_nothing_is_shut_out() -> None:
    with served(head=0.3) as address, connect(address) as client:
        assert answer(client) == b""


def test_a_body_may_take_the_longer_the_more_of_it_comes() -> None:
    with served(body=0.3, rate=1000) as address, connect(address) as client:
        client.sendall(POST.replace(b"1000000", b"3000"))
        for _ in range(3):
            client.sendall(bytes(1000))
            time.sleep(0.3)
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")


def test_who_does_not_read_the_answer_is_shut_out() -> None:
    with served(answer=0.5) as address, connect(address) as client:
        client.sendall(GET.replace(b"/ ", b"/large ", 1) + b"\r\n")
        time.sleep(1.5)
        assert 0 < len(answer(client)) < 64 * MB


def test_an_idle_connection_is_kept_for_a_while() -> None:
    with served(head=0.2, idle=1) as address:
        connection = http.client.HTTPConnection(*address, timeout=30)
        connection.connect()
        client = connection.sock
        for pause in (0.5, 0.0):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"0"
            time.sleep(pause)
        assert connection.sock is client
        assert answer(client) == b""
        connection.close()


def test_too_many_clients_are_told_and_yet_more_are_shut() -> None:
    with served(connections=2, surplus=2) as address, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(address)) for _ in range(6)]
        answers = []
        for client in clients:
            with contextlib.suppress(ConnectionError):
                client.sendall(GET + b"Connection: close\r\n\r\n")
        for client in clients:
            answers.append(answer(client)[9:12])
        assert sorted(answers) == [b"", b"", b"200", b"200", b"503", b"503"]


@pytest.mark.parametrize("path", ["/", "/never"])
@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_refusal_reaches_a_client_that_is_still_sending(
    path: str, close: bool, chunked: bool, address: Address
) -> None:
    size, block = 30, bytes(MB)
    headers = {"Connection": "close"} if close else {}
    connection = http.client.HTTPConnection(*address, timeout=30)
    blocks = (block for _ in range(size))
    if not chunked:
        headers["Content-Length"] = str(size * MB)
    connection.request("POST", path, blocks, headers, encode_chunked=chunked)
    reply = connection.getresponse()
    assert reply.status == (415 if path == "/never" and chunked else 413)
    assert reply.read()
    connection.close()


def test_an_endless_body_is_not_read_for_ever() -> None:
    with served(rest=0.5) as address, connect(address) as client:
        client.sendall(POST.replace(b"/ ", b"/never ", 1).replace(b"1000000", b"9000000"))
        assert b" 415 " in client.recv(10_000)
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() < began + 30:
                client.sendall(b"x")
                time.sleep(0.05)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01 tls\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", b"505"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        (GET + b"a b: c\r\n\r\n", b"400"),
        (GET + b"x: \x00\r\n\r\n", b"400"),
        (GET + b"Content-Length: -1\r\n\r\n", b"400"),
        (GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (GET + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (GET + b"Transfer-Encoding: gzip\r\n\r\n", b"501"),
        (
            POST.replace(b"Content-Length: 1000000", b"Transfer-Encoding: chunked") + b"zz\r\n",
            b"400",
        ),
        (GET + b"x: y\r\n" * 100 + b"\r\n", b"431"),
        (GET + b"x: " + b"y" * 17_000, b"431"),
        (GET + b"x: y\r\n" * 100_000 + b"\r\n", b"431"),
        (b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
        (b"G" * 1_000_000, b"431"),
    ],
)
def test_what_is_no_request_gets_a_short_answer(
    data: bytes, status: bytes, address: Address, capfd: pytest.CaptureFixture[str]
) -> None:
    with connect(address) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(data)
        text = client.recv(10_000)
    assert text.startswith(b"HTTP/1.1 " + status), text
    lower = text.lower()
    assert all(f"{name}: {value}".lower().encode() in lower for name, value in SECURITY.items())
    assert b"server: headfit\r\n" in lower and b"<" not in text and b"uvicorn" not in lower
    assert len(text) < 1000
    assert capfd.readouterr().err == ""


CHUNKED = POST.replace(b"Content-Length: 1000000", b"Transfer-Encoding: chunked")


def test_bodies_in_crumbs_are_refused_and_others_are_not(address: Address) -> None:
    for size, count, status in ((1, PIECES + 9, b"413"), (PIECE_BYTES, 3000, b"200")):
        with connect(address) as client:
            client.sendall(CHUNKED)
            with contextlib.suppress(ConnectionError):
                client.sendall((b"%x\r\n" % size + bytes(size) + b"\r\n") * count + b"0\r\n\r\n")
            assert client.recv(100)[9:12] == status


def test_pipelined_requests_are_answered_in_order(address: Address) -> None:
    with connect(address) as client:
        bodies = [b"x" * size for size in (3, 1, 2)]
        for body in bodies:
            head = POST.replace(b"1000000", str(len(body)).encode())
            client.sendall(head + body)
        client.sendall(GET + b"Connection: close\r\n\r\n")
        assert [part[:1] for part in answer(client).split(b"\r\n\r\n")[1:]] == [
            b"3",
            b"1",
            b"2",
            b"0",
        ]


def test_a_taken_port_is_named() -> None:
    with contextlib.closing(listen("127.0.0.1", 0)) as sock:
        sock.listen()
        port = sock.getsockname()[1]
        with pytest.raises(UsageError, match=f"Cannot listen on 127.0.0.1 at `port={port}`"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no such host", 0), ("::1", 10**6)])
def test_an_address_of_another_machine_is_named(host: str, port: int) -> None:
    with pytest.raises(UsageError, match="Cannot listen on"):
        listen(host, port)


def test_the_second_piece_of_an_answer_waits_for_nothing(monkeypatch):
    # else each answer on a connection that is kept takes 40 ms more
    seen, made = [], Connection.connection_made

    def noted(self: Connection, transport: Any) -> None:
        made(self, transport)
        option = socket.IPPROTO_TCP, socket.TCP_NODELAY
        seen.append(transport.get_extra_info("socket").getsockopt(*option))

    monkeypatch.setattr(Connection, "connection_made", noted)
    with served() as address:
        connection = http.client.HTTPConnection(*address, timeout=30)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"0"
        connection.close()
    assert len(seen) == 1 and seen[0] != 0
