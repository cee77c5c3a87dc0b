"""A client of HTTP that costs little, so that a server and hundreds of clients share a machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

BOUNDARY = "headfit-benchmark-9d1c"


class LostError(Exception):
    """No whole answer came.

    Args:
        reason: why.
        sent: the ``time.monotonic()`` when the whole request was on its way; None if it never was.
    """

    def __init__(self, reason: str, sent: float | None) -> None:
        super().__init__(reason)
        self.sent = sent


class Answer(NamedTuple):
    """An answer.

    Attributes:
        status: of HTTP.
        headers: names in lower case.
        body: as it came.
        sent: the ``time.monotonic()`` when the whole request was on its way.
        seconds: from the first byte of the request to the last of the answer.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    sent: float
    seconds: float

    def json(self) -> Any:
        """Read the body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """Where requests go.

    Attributes:
        url: without a path.
        token: for ``Authorization: Bearer``; None to send none.
    """

    url: str
    token: str | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    def request(
        self, path: str, body: bytes = b"", kind: str = "", method: str | None = None
    ) -> bytes:
        """Write a request: POST if there is a body."""
        lines = [
            f"{method or ('POST' if body else 'GET')} {path} HTTP/1.1",
            f"Host: {urlsplit(self.url).netloc}",
            f"Content-Length: {len(body)}",
        ]
        if kind:
            lines.append(f"Content-Type: {kind}")
        if self.token:
            lines.append(f"Authorization: Bearer {self.token}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    def form(self, path: str, files: Sequence[tuple[str, bytes]]) -> bytes:
        """Write a request with image files in a form, in its field ``images``."""
        parts = []
        for name, content in files:
            head = f'Content-Disposition: form-data; name="images"; filename="{name}"'
            parts += [f"--{BOUNDARY}\r\n{head}\r\nContent-Type: image/jpeg\r\n\r\n".encode()]
            parts += [content, b"\r\n"]
        parts.append(f"--{BOUNDARY}--\r\n".encode())
        return self.request(path, b"".join(parts), f"multipart/form-data; boundary={BOUNDARY}")


class Client:
    """A connection, opened when it is needed, for one request at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait for the answer.

        Raises:
            LostError: if none comes.
        """
        start, sent = time.monotonic(), None
        try:
            reader, writer = self._streams or await self._open()
            writer.write(request)
            await writer.drain()
            sent = time.monotonic()
            status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            self.close()
            raise LostError(f"{type(error).__name__}: {error}", sent) from error
        except asyncio.CancelledError:
            self.close()
            raise
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body, sent, time.monotonic() - start)

    async def leave(self, request: bytes, share: float) -> None:
        """Send the beginning of a request, and go away."""
        with contextlib.suppress(OSError):
            _, writer = self._streams or await self._open()
            writer.write(request[: int(share * len(request))])
            await writer.drain()
        self.close()

    def close(self) -> None:
        """Shut the connection; the next request opens another one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._streams = reader, writer = await asyncio.open_connection(*self._server.address)
        # draining then waits until the system has taken the whole request
        writer.transport.set_write_buffer_limits(high=0)
        return reader, writer


def _head(text: bytes) -> tuple[int, dict[str, str]]:
    line, *fields = text.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (field.partition(":") for field in fields)
    return int(line.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}
