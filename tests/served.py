"""``headfit serve`` in a process of its own, which cannot take the memory of the machine."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from contained import LIMITED, MOST_DATA

PATIENCE = 120
IMAGES = "/v1/predict"


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        status: its code.
        headers: of it.
        body: of it.
    """

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.body)
        return found

    @property
    def error(self) -> str:
        """The text of a refusal."""
        text = self.json["error"]
        assert isinstance(text, str)
        return text


class Server:
    """A server that runs.

    Args:
        process: it.
        errors: what it writes to standard error.
        url: where it answers.
    """

    def __init__(self, process: subprocess.Popen[str], errors: Path, url: str) -> None:
        self.process, self._errors, self.url = process, errors, url
        parts = urlsplit(url)
        assert parts.hostname and parts.port
        self.address = parts.hostname, parts.port

    def ask(
        self,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        method: str = "",
    ) -> Reply:
        """Send one request and read its answer."""
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        try:
            method = method or ("GET" if body is None else "POST")
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=PATIENCE)

    def err(self) -> str:
        return self._errors.read_text()

    def memory(self) -> int:
        """Bytes that the process and its children hold now."""
        whole = psutil.Process(self.process.pid)
        total = 0
        for each in (whole, *whole.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += each.memory_info().rss
        return total

    def peak(self) -> int:
        """Bytes that the process has held at most; only Linux knows."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def serve(
    root: Path,
    *arguments: str | Path,
    setup: str = "",
    most: int = MOST_DATA,
    **variables: str,
) -> Iterator[Server]:
    """Run ``headfit serve ARGUMENTS --port 0 --json`` until the context ends.

    Args:
        root: a folder for what it writes to standard error.
        *arguments: of the command.
        setup: Python code that runs first in the process.
        most: bytes that it may allocate.
        **variables: of its environment.
    """
    code = LIMITED.format(most=most).replace("sys.argv[0]", f"{setup}\nsys.argv[0]", 1)
    command = [sys.executable, "-P", "-c", code, "serve", *map(str, arguments)]
    errors = root / "server-err.txt"
    with errors.open("w") as stream:
        process = subprocess.Popen(
            [*command, "--port", "0", "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            cwd=root,
            env=os.environ | variables,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, errors.read_text()
        yield Server(process, errors, json.loads(line)["url"])
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
