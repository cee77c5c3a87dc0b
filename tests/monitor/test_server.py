"""What is served, to whom, and what of a folder somebody else may have filled."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headfit.cli.main import main
from headfit.errors import DataError, UsageError
from headfit.monitor import folder
from headfit.monitor.folder import RunFolder, is_alive, machine
from headfit.monitor.progress import RunProgress
from headfit.monitor.server import BOUNDS, serving
from headfit.monitor.site import Site
from headfit.monitor.token import KEY, token_of
from headfit.monitor.words import CANNOT_SHOW
from headfit.report import policy

HOSTILE = "<script>alert(1)</script>"
TOKEN = "a-token"
Address = tuple[str, int]


def write(run: Path, **changes: Any) -> Path:
    """Write the progress of a run as another process would."""
    progress = RunProgress("photos")
    progress.stage(f"Heads {HOSTILE}", 2, "")
    document = progress.to_dict() | {"pid": os.getpid(), "machine": machine()} | changes
    run.mkdir(exist_ok=True)
    (run / "progress.json").write_text(json.dumps(document))
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write(tmp_path / "run")
    (tmp_path / "run" / "report.html").write_text("the report")
    (tmp_path / "run" / "model.keras").write_text("secret")
    return tmp_path / "run"


@pytest.fixture
def address(run: Path) -> Iterator[Address]:
    with serving(Site(RunFolder(run).progress, run), TOKEN) as found:
        yield "127.0.0.1", port_of(found)


def port_of(address: str) -> int:
    assert address.endswith(f"/{TOKEN}/")
    return int(address.split(":")[2].partition("/")[0])


def ask(
    address: Address, path: str, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, str]:
    connection = http.client.HTTPConnection(*address, timeout=30)
    connection.request(method, f"/{TOKEN}{path}", headers=headers)
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read().decode()
    connection.close()
    return found


def test_three_addresses_are_served_and_nothing_beside_them(address: Address) -> None:
    assert ask(address, "/report.html")[2] == "the report"
    assert json.loads(ask(address, "/progress.json")[2])["state"] == "running"
    assert "Comparing heads" in ask(address, "/?x=1")[2]
    for path in (
        *("/model.keras", "/../run/report.html", "/%2e%2e/", "/report.html/"),
        *("/.", "/./report.html", "/report.html%00", "/etc/passwd", "/static"),
    ):
        status, _, body = ask(address, path)
        assert status == 404 and body.startswith("Not found. Open the address"), path


@pytest.mark.parametrize("path", ["/", "/progress.json", "/report.html", "/nothing"])
def test_every_answer_is_guarded(path: str, address: Address) -> None:
    status, headers, body = ask(address, path)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Python" not in headers["Server"]
    head = ask(address, path, "HEAD")
    assert (head[0], head[2]) == (status, "")
    assert path == "/progress.json" or head[1]["Content-Length"] == str(len(body.encode()))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_nothing_can_be_changed(method: str, address: Address) -> None:
    status, headers, body = ask(address, "/", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert "<" not in body


def test_only_names_of_this_machine_are_answered(address: Address) -> None:
    port = address[1]
    for host in (f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert ask(address, "/", Host=host)[0] == 200, host
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"localhost:{port + 1}", ""):
        for path in ("/", "/progress.json", "/report.html"):
            status, _, body = ask(address, path, Host=host)
            assert status == 403, host
            assert repr(host) in body and f"http://127.0.0.1:{port}/" in body and TOKEN not in body


def test_what_is_no_request_gets_no_page_and_no_traceback(
    address: Address, capfd: pytest.CaptureFixture[str]
) -> None:
    for data in (b"\x16\x03\x01 tls\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"G" * 70_000 + b"\r\n"):
        with socket.create_connection(address, timeout=30) as client:
            client.sendall(data)
            answer = client.recv(10_000)
        assert re.match(rb"HTTP/1.1 (400|431|505) ", answer), answer
        assert b"<" not in answer
    with socket.create_connection(address) as client:
        client.sendall(b"GET / HT")
    assert ask(address, "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_nobody_reads_along_without_the_token(address: Address) -> None:
    for path in ("/", "/progress.json", "/report.html", "/a-toke/", "/a-token", "/b-token/", "*"):
        connection = http.client.HTTPConnection(*address, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, TOKEN.encode() in answer.read()) == (403, False), path
        connection.close()


def test_other_websites_and_doubled_hosts_are_refused(address: Address) -> None:
    crossing = {"Sec-Fetch-Site": "cross-site"}
    assert ask(address, "/", **crossing)[0] == 403
    assert ask(address, "/", **{"Sec-Fetch-Site": "none"})[0] == 200
    host = f"Host: 127.0.0.1:{address[1]}\r\n".encode()
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(f"GET /{TOKEN}/ HTTP/1.1\r\n".encode() + 2 * host + b"\r\n")
        assert b" 400 " in client.recv(100)


def test_who_asks_slowly_is_shut_out(run: Path) -> None:
    impatient = replace(BOUNDS, head=0.5)
    with serving(Site(RunFolder(run).progress, run), TOKEN, bounds=impatient) as found:
        address = "127.0.0.1", port_of(found)
        slow = [socket.create_connection(address, timeout=30) for _ in range(BOUNDS.connections)]
        deadline = time.monotonic() + 30
        while not all(map(_is_shut, slow)):
            assert time.monotonic() < deadline
            for client in slow:
                with contextlib.suppress(OSError):  # it has been shut
                    client.sendall(b"G")  # never a pause, and never a whole request
        for client in slow:
            client.close()
        assert ask(address, "/progress.json")[0] == 200


def test_a_report_from_elsewhere_gets_no_origin_and_no_script_but_ours(address: Address) -> None:
    rules = ask(address, "/report.html")[1]["Content-Security-Policy"].split("; ")
    assert "sandbox allow-scripts" in rules and "default-src 'none'" in rules
    (scripts,) = [rule for rule in rules if rule.startswith("script-src")]
    digest = hashlib.sha256(policy.script().encode()).digest()
    assert scripts == f"script-src 'sha256-{base64.b64encode(digest).decode()}'"


def test_the_token_stays_that_of_its_run_and_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path / "home"))
    first, other = token_of(tmp_path / "a"), token_of(tmp_path / "b")
    assert first == token_of(tmp_path / "a") != other and len(first) == 32
    key = tmp_path / "home" / KEY
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o644)  # others could have read it
    assert token_of(tmp_path / "a") not in (first, token_of(tmp_path / "a"))
    key.unlink()
    key.symlink_to(tmp_path / "elsewhere")
    token_of(tmp_path / "a")
    assert not (tmp_path / "elsewhere").exists()


def test_who_only_connects_shuts_nobody_out_for_long(address: Address) -> None:
    idle = [socket.create_connection(address, timeout=30) for _ in range(BOUNDS.connections + 5)]
    # those too many are shut at once, whichever they are
    assert any(_is_shut(client) for client in reversed(idle))
    for client in idle:
        client.close()
    deadline = time.monotonic() + 30
    while True:
        try:
            assert ask(address, "/progress.json")[0] == 200
            return
        except ConnectionError:
            assert time.monotonic() < deadline


def _is_shut(client: socket.socket) -> bool:
    client.settimeout(0.2)
    try:
        while client.recv(1000):
            pass  # why it is shut
        return True
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_the_page_becomes_the_report_when_the_run_is_done(address: Address, run: Path) -> None:
    assert ask(address, "/")[2] != "the report"
    write(run, state="done")
    assert ask(address, "/")[2] == "the report"
    (run / "report.html").unlink()
    assert "It wrote no report" in ask(address, "/")[2]
    assert ask(address, "/report.html")[0] == 404


def test_the_page_is_readable_without_its_script(address: Address, run: Path) -> None:
    score = {"mean": 0.8123, "low": None, "high": None}
    good = {"mean": 0.9, "low": 0.85, "high": 0.95}
    head = {"log_loss": score, "parameters": 1234567, "seconds": 2.0}
    heads = [{"name": HOSTILE, "balanced_accuracy": score, **head}]
    heads += [{"name": "gem", "balanced_accuracy": good, **head}]
    write(run, scores=heads, messages=[HOSTILE, "a \ud800 b"], images=HOSTILE)
    _, _, body = ask(address, "/")
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in body
    assert "<script>alert" not in body
    assert body.count("&lt;script&gt;alert") == 5
    assert body.index("gem") < body.index("81.2")
    assert "85.0 to 95.0" in body and "1,234,567" in body


def test_scores_of_numbers_are_told_in_r2(address: Address, run: Path) -> None:
    interval = {"mean": -0.0123, "low": -0.05, "high": 0.02}
    head = {"parameters": 12, "seconds": 2.0, "metric": "r2"}
    write(run, scores=[{"name": "gap", "r2": interval, "rmse": interval | {"mean": 4.5}, **head}])
    _, _, body = ask(address, "/")
    assert 'Best <span id="metric">R²</span> first' in body
    assert '<th scope="col" id="loss">RMSE</th>' in body and "4.50" in body
    assert "−0.05 to 0.02" in body
    told = json.loads(ask(address, "/progress.json")[2])
    assert told["metric"]["unit"] == "" and told["scores"][0]["written"]["value"] == "−0.01"


def test_links_pipes_and_what_is_too_large_are_not_read(run: Path, address: Address) -> None:
    report = run / "report.html"
    report.unlink()
    report.symlink_to(run / "model.keras")
    assert "secret" not in ask(address, "/report.html")[2]
    report.unlink()
    os.mkfifo(report)
    assert ask(address, "/report.html")[0] == 503
    report.unlink()
    with report.open("wb") as stream:
        stream.truncate((64 << 20) + 1)
    assert "64 MB" in ask(address, "/report.html")[2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not valid JSON"),
        ("[]", "schema None"),
        ('{"schema": "headfit.progress/2"}', "'headfit.progress/2', and this version reads"),
        ('{"schema": "headfit.progress/1", "state": 1}', "no valid 'state'"),
        ('{"schema": "headfit.progress/1", "updated": NaN}', "NaN"),
        ('{"schema": "headfit.progress/1", "updated": 1e999}', "1e999 is not a finite number"),
        (
            '{"schema": "headfit.progress/1", "updated": 1' + "0" * 400 + "}",
            "is not a finite number",
        ),
        ("[" * 200_000, "not valid JSON"),
    ],
)
def test_a_damaged_file_is_one_line(content: str, words: str, run: Path, address: Address) -> None:
    (run / "progress.json").write_text(content)
    with pytest.raises(DataError, match=r"progress\.json") as caught:
        RunFolder(run)
    assert words in str(caught.value)
    status, _, body = ask(address, "/")
    assert (status, words in body) == (503, True)


def test_what_only_looks_like_progress_is_refused_too(run: Path, address: Address) -> None:
    write(run, stages=[{"name": 1}])
    status, _, body = ask(address, "/")
    assert (status, body) == (503, f"{CANNOT_SHOW}\n")


@pytest.mark.parametrize("odd", [1e308, -1e308, -1, True, "1", None, [], 10**300])
def test_odd_numbers_are_shown_or_refused(odd: Any, run: Path, address: Address) -> None:
    interval = dict.fromkeys(("mean", "low", "high"), odd)
    head = {"name": "gap", "balanced_accuracy": interval, "log_loss": interval}
    write(run, updated=odd, scores=[head | {"parameters": odd, "seconds": odd}])
    assert ask(address, "/")[0] in (200, 503)
    stage = RunProgress("photos")
    stage.stage("Images", 2, "images")
    keys = ("total", "done", "rate", "seconds", "skipped")
    write(run, stages=[stage.to_dict()["stages"][0] | dict.fromkeys(keys, odd)])
    assert ask(address, "/")[0] in (200, 503)


def test_a_process_is_alive_until_it_is_gone() -> None:
    assert is_alive(os.getpid())
    assert not is_alive(gone())
    assert not is_alive(10**30)


def gone() -> int:
    """Give the number of a process that is no more."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_run_that_is_gone_without_a_word_is_stopped(tmp_path: Path) -> None:
    now = time.time()
    run = write(tmp_path / "run", pid=gone(), updated=now - 60)
    found = RunFolder(run).progress()
    assert (found["state"], 59 < found["silent"] < 90) == ("stopped", True)
    # just now it lived: it may live in a container, whose processes are not ours
    write(run, pid=gone(), updated=now)
    assert RunFolder(run).progress()["state"] == "running"


def test_silence_is_judged_by_what_is_seen_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine's clock may be wrong, and its process numbers mean nothing here."""
    run = write(tmp_path / "run", machine="another", pid=gone(), updated=1.0)
    looked = RunFolder(run)
    assert looked.progress()["state"] == "running"
    monkeypatch.setattr(folder, "SILENCE", 0.0)
    assert looked.progress()["state"] == "stopped"
    write(run, machine="another", updated=2.0)
    monkeypatch.undo()
    assert looked.progress()["state"] == "running"


def test_a_process_that_is_alive_but_says_nothing_is_not_called_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    watch = SimpleNamespace(monotonic=lambda: clock[0], time=time.time)
    monkeypatch.setattr(folder, "time", watch)
    looked = RunFolder(write(tmp_path / "run", updated=1.0))
    assert looked.progress()["silent"] == 0
    clock[0] += 40
    found = looked.progress()
    assert (found["state"], found["silent"]) == ("running", 40)


def test_a_finished_run_of_an_older_version_shows_its_report(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    with serving(Site(RunFolder(tmp_path).progress, tmp_path), TOKEN) as found:
        assert ask(("127.0.0.1", port_of(found)), "/")[2] == "old"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda run: None, "does not exist"),
        (lambda run: run.write_text(""), "is a file"),
        (lambda run: run.mkdir(), "neither progress.json nor report.html"),
    ],
)
def test_what_is_no_run_is_one_line(
    make: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "run")
    assert main(["ui", str(tmp_path / "run")]) == 2
    _is_one_line(capsys, words)


def test_a_name_too_long_for_a_folder_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui", "a" * 300]) == 2
    _is_one_line(capsys, "File name too long")


def _is_one_line(capsys: pytest.CaptureFixture[str], words: str) -> None:
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_port_that_is_taken_is_one_line(
    address: Address, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ui", str(run), "--port", str(address[1])]) == 2
    err = capsys.readouterr().err
    assert f"--port {address[1]}" in err and "in use" in err


def test_an_address_of_another_machine_is_one_line(run: Path) -> None:
    site = Site(RunFolder(run).progress, run)
    with pytest.raises(UsageError, match=r"192\.0\.2\.1"), serving(site, TOKEN, "192.0.2.1"):
        pass
