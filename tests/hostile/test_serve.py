"""Requests that would fill the memory, keep the server busy or find a way out: a real server."""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
import zlib
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
from PIL import Image

import classifiers
import image_bombs as bombs
import served
from contained import GB
from headfit.serve.limits import Limits
from image_bombs import chunk

MB = 2**20
PREDICT = "/v1/predict"
MOST = 3 * GB
GROWTH = 400 * MB
"""What the largest of these requests may take beside the image budget: body, copies, answer."""
LIMITS = Limits()


def photo(kind: str = "PNG", size: int = 40) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    return bombs.encoded(Image.fromarray(pixels), kind)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[served.Server]:
    root = tmp_path_factory.mktemp("served")
    model = classifiers.random_classifier("gap", root / "small.keras")
    with served.serve(root, model, most=MOST) as found:
        for kind in ("PNG", "JPEG"):
            assert found.ask(PREDICT, photo(kind), {"Content-Type": "image/png"}).status == 200
        yield found


@pytest.fixture(autouse=True)
def alive_and_small(server: served.Server) -> Iterator[None]:
    """After each request the server is the same process, as large as before, and answers."""
    before = server.memory()
    yield
    reply = server.ask(PREDICT, photo(), {"Content-Type": "image/png"})
    assert reply.status == 200, reply.body
    assert server.process.poll() is None
    assert server.memory() < before + GROWTH
    assert server.peak() < 1.5 * GB
    assert "Traceback" not in server.err()


def form(
    *files: bytes, name: str = 'name="images"; filename="a.png"'
) -> tuple[bytes, dict[str, str]]:
    parts = [
        f"--b\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode() + data + b"\r\n"
        for data in files
    ]
    return b"".join(parts) + b"--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


def refused(reply: served.Reply, *status: int) -> str:
    assert reply.status in (status or (400, 404, 405, 411, 413, 414, 415, 422, 431)), reply.body
    assert reply.headers["Content-Type"] == "application/json"
    text = reply.error
    assert len(text) < 500 and "\n" not in text
    assert not any(word in text for word in ("/tmp", "Traceback", ".py", "Error:", "0x"))
    return text


TEXT_BOMB = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(64 * MB), 9)) * 60
IMAGES = {
    "empty": b"",
    "truncated png": photo()[:-2000],
    "truncated jpeg": photo("JPEG")[:300],
    "only a start": b"\x89PNG\r\n\x1a\n",
    "html": b"<html><script>alert(1)</script>",
    "gif and script": b"GIF89a/*" + b"x" * 999 + b"*/=1;alert(1)",
    "50,000 × 50,000 px": bombs.png(50_000, 50_000, (8, 2)),
    "50,000 × 50,000 px, grey": bombs.png(50_000, 50_000, (1, 0)),
    "65,535 × 65,535 px": b"GIF89a\xff\xff\xff\xff\xf7\0\0" + bytes(1000),
    "compressed chunks": bombs.png(
        8, 8, (8, 2), chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(MB))) * 1000
    ),
    "text chunks": bombs.png(8, 8, (8, 2), chunk(b"tEXt", b"a\0b") * 100_000),
    "blocks": bombs.gif(b"!\xfe" + b"\1x" * 2_000_000 + b"\0"),
    "tags": bombs.tiff([(40_000 + n, 1, 10**6, 8) for n in range(2000)], bytes(MB)),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_that_is_none_or_a_bomb_is_an_error_in_its_place(
    kind: str, server: served.Server
) -> None:
    body, headers = form(photo(), IMAGES[kind], photo())
    reply = server.ask(PREDICT, body, headers)
    assert reply.status == 200
    first, bad, last = reply.json["predictions"]  # type: ignore[misc]
    assert first["error"] is last["error"] is None and first["class"] == last["class"]
    assert bad["error"] and bad["class"] is None and "/tmp" not in bad["error"]
    alone = server.ask(PREDICT, IMAGES[kind], {"Content-Type": "image/png"})
    refused(alone, 400, 422)
    assert alone.status == 400 or alone.json["predictions"][0]["error"] == bad["error"]  # type: ignore[index]


def test_a_bomb_of_compressed_text_costs_no_memory(server: served.Server) -> None:
    body = bombs.png(8, 8, (8, 2), TEXT_BOMB)
    reply = server.ask(PREDICT, body, {"Content-Type": "image/png"})
    assert reply.status in (200, 422)


def test_a_polyglot_is_the_image_that_it_begins_with(server: served.Server) -> None:
    page = b"<script>alert(1)</script>"
    name = 'name="images"; filename="<script>alert(1)</script>.html"'
    for data in (photo() + page, photo("JPEG") + page + b"PK\5\6" + bytes(18)):
        body, headers = form(data, name=name)
        reply = server.ask(PREDICT, body, headers | {"Accept": "text/html"})
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "kind",
    [
        *(
            "text/html",
            "application/json",
            "text/plain; charset=utf-7",
            "a/b/c",
            "\x80",
            "x" * 9000,
        ),
        *("multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=b"),
        f"multipart/form-data; boundary={'b' * 5000}",
        'multipart/form-data; boundary="\\"',
    ],
)
def test_a_wrong_content_type_is_refused(kind: str, server: served.Server) -> None:
    refused(server.ask(PREDICT, form(photo())[0], {"Content-Type": kind}), 400, 415)


def test_too_many_parts_are_refused_at_once(server: served.Server) -> None:
    start = time.monotonic()
    for parts in (form(*[b""] * 10_000), form(*[photo()] * (LIMITS.files + 1))):
        refused(server.ask(PREDICT, *parts), 413)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b",
        b"--b\r\n",
        b"--b\r\n" + b"x" * MB,
        b"--b\r\n" + b"x: y\r\n" * 100_000,
        b"--b\r\nContent-Disposition: form-data; name=" + b"i" * MB + b"\r\n\r\nx\r\n--b--",
        form(b"x", name="name=other")[0],
        form(b"x")[0][:-6],
        form(b"x")[0].replace(b"--b--", b"--c--"),
        b"\0" * MB,
        b"--b\n" * 100_000,
    ],
    ids=range(11),
)
def test_a_damaged_form_is_refused(body: bytes, server: served.Server) -> None:
    refused(server.ask(PREDICT, body, form()[1]), 400, 413)


def test_a_body_that_is_too_large_is_refused_however_it_is_sent(server: served.Server) -> None:
    size = 100 * MB
    for path in (PREDICT, "/v2/models/small/infer"):
        for headers in ({"Content-Length": str(size)}, {}):  # or in chunks
            kind = {"Content-Type": "application/json" if "v2" in path else "image/png"}
            blocks = (b"[" * MB for _ in range(size // MB))
            assert "bytes" in refused(server.ask(path, blocks, headers | kind), 413)


@pytest.mark.parametrize(
    "body",
    [
        *(b"[" * MB, b'{"a":' * MB, b"1" * MB, b'"' + b"x" * MB, b"{}", b"null", b"\xff" * 99),
        b'{"inputs": [' + b'{"name": "images"},' * 100_000 + b"{}]}",
        b'{"inputs": [{"name": "images", "datatype": "UINT8", "shape": [9999999999, 32, 32, 3],'
        b' "data": []}]}',
        b'{"inputs": [{"name": "images", "datatype": "UINT8", "shape": [1, 32, 32, 3],'
        b' "data": [1e999]}]}',
        b'{"inputs": [{"name": "bytes", "datatype": "BYTES", "shape": [1], "data": ["\\ud800"]}]}',
        b'{"inputs": [{"name": "bytes", "datatype": "BYTES", "shape": [-1], "data": []}]}',
        b'{"id": ' + b"9" * 5000 + b"}",
    ],
    ids=range(13),
)
def test_hostile_json_is_refused(body: bytes, server: served.Server) -> None:
    start = time.monotonic()
    reply = server.ask("/v2/models/small/infer", body, {"Content-Type": "application/json"})
    refused(reply, 400, 413)
    assert time.monotonic() - start < 10


def test_a_file_that_is_too_large_is_an_error_in_its_place(server: served.Server) -> None:
    body, headers = form(photo(), bytes(LIMITS.file_bytes + 1))
    good, bad = server.ask(PREDICT, body, headers).json["predictions"]  # type: ignore[misc]
    assert good["error"] is None and bad["error"].startswith("too large")


@pytest.mark.parametrize("path", ["/", "/v1/predict", "/v1/models", "/nothing"])
def test_methods_that_there_are_not_are_refused(path: str, server: served.Server) -> None:
    for method in ("PUT", "DELETE", "TRACE", "CONNECT", "PROPFIND", "BREW"):
        reply = server.ask(path, method=method)
        assert reply.status in (404, 405), (method, reply.body)


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/../../../etc/passwd", "/v1/predict/../../etc/passwd", "//etc/passwd", "/etc/passwd"),
        *(
            "/%2e%2e/%2e%2e/etc/passwd",
            "/v1/predict%00",
            "/v1/predict/",
            "/V1/PREDICT",
            "/..%2f..%2f",
        ),
        *("/v2/models/..%2f..%2fetc%2fpasswd", "/v2/models/small/versions/..", "/static/../app.py"),
        *("http://evil.example/v1/predict", "v1/predict", "/\\..\\..\\", "/%ff%fe", "/.git/config"),
    ],
)
def test_no_path_leads_anywhere_else(path: str, server: served.Server) -> None:
    with server.connect() as client:
        host = f"127.0.0.1:{server.address[1]}"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        text = b"".join(iter(lambda: client.recv(MB), b""))
    assert text.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 ", b"HTTP/1.1 405 ")), text
    assert b"root:" not in text and b"location:" not in text.lower()


@pytest.mark.parametrize(
    "query",
    [
        *("top=-1", "top=1e9", f"top={'9' * 5000}", "top=%00", "model=../../etc/passwd", "x=1"),
        *("explain=../../x", "&".join(f"a{n}=1" for n in range(1000)), "model=a&model=b"),
    ],
)
def test_odd_options_are_refused(query: str, server: served.Server) -> None:
    headers = {"Content-Type": "image/png"}
    refused(server.ask(f"{PREDICT}?{query}", photo(), headers), 400, 404)


def test_headers_in_floods_are_refused(server: served.Server) -> None:
    for count in (65, 1000, 100_000):
        with server.connect() as client, contextlib.suppress(ConnectionError):
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"x: y\r\n" * count + b"\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 431 ")


def test_slow_and_idle_clients_keep_nobody_from_being_answered(server: served.Server) -> None:
    head = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(200)]
        for number, client in enumerate(clients):
            client.sendall((b"", b"GET", head, head + bytes(9999))[number % 4])
        start = time.monotonic()
        for _ in range(5):
            assert server.ask(PREDICT, photo(), {"Content-Type": "image/png"}).status == 200
        assert time.monotonic() - start < 20


def test_bodies_in_the_smallest_pieces_keep_nobody_from_being_answered(
    server: served.Server,
) -> None:
    host = f"Host: 127.0.0.1:{server.address[1]}\r\n".encode()
    head = b"POST /v1/predict HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n"

    def flood() -> None:
        with server.connect() as client, contextlib.suppress(ConnectionError):
            client.sendall(head)
            for _ in range(100):
                client.sendall(b"1\r\nx\r\n" * 10_000)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        floods = [pool.submit(flood) for _ in range(4)]
        waits = []
        while not all(each.done() for each in floods):
            start = time.monotonic()
            assert server.ask(PREDICT, photo(), {"Content-Type": "image/png"}).status == 200
            waits.append(time.monotonic() - start)
    assert max(waits) < 20


def test_many_hostile_requests_leave_nothing_behind(server: served.Server) -> None:
    process = psutil.Process(server.process.pid)
    bodies = [IMAGES["truncated png"], IMAGES["html"], form(b"x")[0], b"x" * 9]

    def round_of_requests(count: int) -> None:
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            replies = list(
                pool.map(lambda n: server.ask(PREDICT, bodies[n % 4], form()[1]), range(count))
            )
        assert {reply.status for reply in replies} <= {200, 400, 422}

    round_of_requests(100)
    before = server.memory(), process.num_threads(), process.num_fds()
    round_of_requests(400)
    after = server.memory(), process.num_threads(), process.num_fds()
    assert after[0] < before[0] + 50 * MB
    assert after[1] <= before[1] + 2 and after[2] <= before[2] + 20
