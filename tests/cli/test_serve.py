"""``headfit serve``: what it prints, whom it lets in, and how it ends."""

from __future__ import annotations

import contextlib
import http.client
import io
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import classifiers
import served
from headfit.cli.main import main
from headfit.web.listener import listen

TOKEN = "not-to-be-told"
MODELS = "/v1/models"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifiers.random_classifier("gap", tmp_path_factory.mktemp("model") / "small.keras")


def one_line(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["serve", *map(str, arguments)]) in (1, 2)
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("Error: "), err
    return err


def until(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + served.PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_what_cannot_be_served_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "'absent.keras' is not a model" in one_line(capsys, "absent.keras")
    (tmp_path / "foreign.keras").write_bytes(b"x")
    assert "foreign.keras' is" in one_line(capsys, tmp_path / "foreign.keras", "--port", "0")
    (tmp_path / "run").mkdir()
    assert "a run folder that holds a model.keras" in one_line(capsys, tmp_path / "run")


def test_a_port_that_is_taken_is_one_line(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(listen("127.0.0.1", 0)) as sock:
        sock.listen()
        port = str(sock.getsockname()[1])
        error = one_line(capsys, model, "--port", port)
    assert f"--port {port}" in error and "in use" in error


def test_beyond_this_machine_a_token_or_a_word_is_needed(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADFIT_TOKEN", raising=False)
    error = one_line(capsys, model, "--host", "0.0.0.0")
    assert "--host 0.0.0.0" in error and "--token" in error and "--insecure" in error
    error = one_line(capsys, model, "--token", f"{TOKEN} {TOKEN}")
    assert "--token must be" in error and TOKEN not in error
    assert "--allow-host" in one_line(capsys, model, "--allow-host", "a:80")


def test_the_models_and_the_address_are_said(model: Path, tmp_path: Path) -> None:
    with _plain(tmp_path, model, f"other={model}") as text:
        assert re.search(r"small +small \+ gap +a, b, c +32 × 32 px", text)
        assert re.search(r"other +small \+ gap", text)
        assert re.search(r"Serving: http://127\.0\.0\.1:\d+\n", text)


@contextlib.contextmanager
def _plain(root: Path, *arguments: str | Path) -> Iterator[str]:
    command = [sys.executable, "-m", "headfit", "serve", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        while (line := process.stdout.readline()) and "Serving" not in line:
            lines.append(line)
        yield "".join([*lines, line])
        process.terminate()


@pytest.fixture(scope="module")
def guarded(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[served.Server]:
    root = tmp_path_factory.mktemp("guarded")
    with served.serve(root, model, HEADFIT_TOKEN=TOKEN) as server:
        yield server


def test_the_token_of_the_environment_is_asked_for_and_never_told(
    guarded: served.Server,
) -> None:
    assert guarded.ask("/v2/health/ready").status == 200
    for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}):
        reply = guarded.ask("/v1/predict", b"x", headers)
        assert reply.status == 401 and TOKEN not in reply.error
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "text/html"}
    assert guarded.ask("/v1/predict", b"x", headers).status == 415
    assert TOKEN not in guarded.err()


def test_other_hosts_and_websites_are_refused(guarded: served.Server) -> None:
    token = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.ask(MODELS, headers=token).status == 200
    assert guarded.ask(MODELS, headers=token | {"Host": "evil.example"}).status == 403
    foreign = token | {"Origin": "http://evil.example"}
    assert guarded.ask("/v1/predict", b"", foreign).status == 403


def test_every_answer_is_guarded_and_names_no_version(guarded: served.Server) -> None:
    for path in (MODELS, "/", "/nothing", "/v1/predict"):
        reply = guarded.ask(path)
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Server"] == "headfit"
        assert not re.search(rb"[Pp]ython|uvicorn|Starlette|Traceback|\.py", reply.body)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("interruptible")
def test_what_was_accepted_is_answered_before_the_end(
    number: int, model: Path, tmp_path: Path
) -> None:
    with served.serve(tmp_path, model) as server, server.connect() as client:
        client.sendall(
            b"POST /v1/predict HTTP/1.1\r\nContent-Type: image/png\r\nContent-Length: 9\r\n"
            + f"Host: 127.0.0.1:{server.address[1]}\r\n\r\nnot".encode()
        )
        time.sleep(0.5)
        server.process.send_signal(number)
        until(lambda: _is_refused(server.address))
        assert server.process.poll() is None
        client.sendall(b" image")
        text = client.recv(10_000)
        assert text.startswith(b"HTTP/1.1 422 ") and b"connection: close" in text.lower()
        assert server.process.wait(served.PATIENCE) == 0
        assert "Traceback" not in server.err()


def _is_refused(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=5):
            return False
    except ConnectionRefusedError:
        return True


def test_no_answer_is_lost_when_the_server_stops_under_load(model: Path, tmp_path: Path) -> None:
    png, headers = png_file(), {"Content-Type": "image/png"}

    def ask_until_refused(address: tuple[str, int]) -> int:
        answered = 0
        while True:
            connection = http.client.HTTPConnection(*address, timeout=served.PATIENCE)
            try:
                connection.connect()
            except ConnectionRefusedError:
                return answered
            while connection.sock is not None:  # until an answer says that it was the last
                connection.request("POST", "/v1/predict", png, headers)
                reply = connection.getresponse()
                body = reply.read()
                assert reply.status == 200, body
                answered += 1

    with served.serve(tmp_path, model) as server, ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(ask_until_refused, server.address) for _ in range(8)]
        time.sleep(2)
        assert server.end() == 0
        assert min(client.result() for client in clients) > 0


def test_a_hang_up_reads_the_models_again(model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(model, tmp_path / "copy.keras"))
    with served.serve(tmp_path, copy) as server:
        copy.write_bytes(b"no model")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "reload" in server.err())
        assert server.ask(MODELS).status == 200
        assert "Traceback" not in server.err()
        assert server.end() == 0


WATCHED = """
import os
def hook(event, arguments):
    writes = event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    changes = event in {"os.mkdir", "os.rename", "os.remove", "os.utime", "os.chmod", "os.link",
                        "os.symlink", "os.truncate", "tempfile.mkstemp", "tempfile.mkdtemp"}
    if (writes or changes) and arguments[0] != "/dev/null":
        print("WRITES", event, arguments, file=sys.stderr, flush=True)
sys.addaudithook(hook)
"""


def test_read_only_writes_nothing_at_all(model: Path, tmp_path: Path) -> None:
    home, png = tmp_path / "home", png_file()
    variables = {"HEADFIT_HOME": str(home), "HOME": str(tmp_path / "user")}
    refusal = pytest.raises(AssertionError, match="lacks what this takes, and --read-only forbids")
    with refusal, served.serve(tmp_path, model, "--read-only", **variables):
        pass
    assert not home.exists()
    with served.serve(tmp_path, model, **variables) as server:
        assert server.end() == 0
    before = _tree(tmp_path)
    with served.serve(tmp_path, model, "--read-only", setup=WATCHED, **variables) as server:
        assert server.ask("/v1/predict", png, {"Content-Type": "image/png"}).status == 200
        assert server.end() == 0
        assert "WRITES" not in server.err(), server.err()
    assert _tree(tmp_path) == before


def _tree(root: Path) -> dict[str, float]:
    return {str(p): p.stat().st_mtime for p in root.rglob("*") if p.name != "server-err.txt"}


def png_file() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(stream, "PNG")
    return stream.getvalue()


def test_preparing_fills_the_cache_and_ends(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path))
    assert main(["serve", str(model), "--prepare"]) == 0
    assert list((tmp_path / "graphs").rglob("graph.xml"))
