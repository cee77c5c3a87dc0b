"""Connections of clients: how many there are, and how long each may take.

The parser of HTTP is h11, which refuses what the standard does not allow. uvicorn limits neither
the time that a client takes for its headers and its body, nor the time that it takes to read the
answer; :class:`Connection` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from headfit.web.answers import NAME, SECURITY, RefusalError, phrase
from headfit.web.guard import HEADER_BYTES

PIECES, PIECE_BYTES = 200, 500
"""Chunks of a body: a number, and one more for each bytes of it. Each takes as long to parse as
50 kB in one piece."""
HEAD, BODY, WORK, ANSWER, REST, IDLE = "head", "body", "work", "answer", "rest", "idle"
"""What a connection waits for: headers, body, the application, that the answer is read, the rest of
a body whose request is answered, the next request."""


@dataclass(frozen=True)
class Bounds:
    """What clients may take.

    Attributes:
        connections: at a time.
        surplus: connections beyond these that get the answer 503; all others are shut at once.
        head: seconds for the line and the headers of a request.
        body: seconds for the body of a request, and one more for each
        rate: bytes of it.
        answer: seconds for reading the whole answer.
        rest: seconds for the rest of a body that is not read because its request is refused.
        idle: seconds between two requests of a connection.
    """

    connections: int = 512
    surplus: int = 128
    head: float = 10.0
    body: float = 20.0
    rate: int = 50_000
    answer: float = 60.0
    rest: float = 5.0
    idle: int = 15


class BoundedConfig(Config):
    """The settings of a server, with its bounds.

    Args:
        app: the application.
        bounds: what clients may take.
        **settings: as for uvicorn.
    """

    def __init__(self, app: Any, bounds: Bounds, **settings: Any) -> None:
        self.bounds = bounds
        super().__init__(
            app,
            http=Connection,
            ws="none",
            loop="asyncio",
            # of this process, whose logging is its user's
            log_config=None,
            access_log=False,
            # addresses of clients are only logged
            proxy_headers=False,
            server_header=False,
            headers=[("Server", NAME)],
            timeout_keep_alive=bounds.idle,
            h11_max_incomplete_event_size=HEADER_BYTES,
            **settings,
        )


class Connection(H11Protocol):
    """A connection that is shut when its client takes too long.

    The server calls :meth:`check` several times a second.
    """

    config: BoundedConfig

    def __init__(self, config: BoundedConfig, *args: Any, **more: Any) -> None:
        super().__init__(config, *args, **more)
        self.conn = _Parser(h11.SERVER, HEADER_BYTES)
        self._phase, self._since, self._taken = HEAD, time.monotonic(), 0
        self._partial = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection."""
        bounds, others = self.config.bounds, len(self.connections)
        _send_at_once(transport)
        super().connection_made(_Lingering(transport, self._has_more))  # type: ignore[arg-type]
        if others >= bounds.connections + bounds.surplus:
            self.transport.abort()
        elif others >= bounds.connections:
            self.app = _too_many

    def data_received(self, data: bytes) -> None:
        """Take what a client sent."""
        if self.transport.is_closing():
            return  # of a request that has been answered
        self._taken += len(data)
        # the parser bounds only headers that are incomplete
        first = HEADER_BYTES + 1 if self.conn.their_state is h11.IDLE else len(data)
        super().data_received(data[:first])
        if data[first:] and not self.transport.is_closing():
            super().data_received(data[first:])
        self._partial = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        self._note(time.monotonic())

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self._note(time.monotonic())

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        # called where the error of the parser is handled: it knows a better status
        status = getattr(sys.exception(), "error_status_hint", 400)
        self._refuse(status, f"{phrase(status)}: the request is not valid HTTP.")

    def shutdown(self) -> None:
        """End after the answer that is due, if any."""
        if self.transport.is_closing():
            self.transport.abort()
        else:
            super().shutdown()

    def check(self, now: float) -> None:
        """Shut the connection if its client takes too long.

        Args:
            now: the monotonic clock, in seconds.
        """
        self._note(now)
        bounds = self.config.bounds
        most = {
            HEAD: bounds.head,
            BODY: bounds.body + self._taken / bounds.rate,
            ANSWER: bounds.answer,
            REST: bounds.rest,
        }.get(self._phase)
        if most is None or now - self._since < most:
            return
        if self._phase == BODY or (self._phase == HEAD and self._partial):
            self._refuse(408, f"{phrase(408)}: the request takes over {most:.0f} seconds.")
        else:
            self.transport.abort()

    def _note(self, now: float) -> None:
        """Note what the connection waits for, and since when."""
        phase = self._find_phase()
        if phase != self._phase:
            self._phase, self._since, self._taken = phase, now, 0

    def _find_phase(self) -> str:
        cycle, transport = self.cycle, self.transport
        if transport.get_write_buffer_size():
            return ANSWER
        if transport.is_closing():
            return REST
        if cycle is None or (cycle.response_complete and not self._has_body()):
            return HEAD if cycle is None or self._partial else IDLE
        if cycle.response_complete:
            return REST
        if cycle.response_started:
            return ANSWER
        return BODY if self._has_body() else WORK

    def _has_body(self) -> bool:
        return self.conn.their_state is h11.SEND_BODY

    def _has_more(self) -> bool:
        """Whether the client may still be sending."""
        return self._has_body() or self.conn.their_state is h11.ERROR or self._partial

    def _refuse(self, status: int, text: str) -> None:
        """Answer in place of the application, and shut the connection."""
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started:
                self.transport.abort()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        answer = RefusalError(status, text, {**SECURITY, "Server": NAME, "Connection": "close"})
        response = answer.response(as_json=False)
        reason = phrase(status).encode()
        try:
            events = (
                h11.Response(status_code=status, headers=response.raw_headers, reason=reason),
                h11.Data(data=bytes(response.body)),
                h11.EndOfMessage(),
            )
            self.transport.write(b"".join(self.conn.send(each) or b"" for each in events))
        except h11.LocalProtocolError:  # in the middle of another answer
            self.transport.abort()
        else:
            self.transport.close()


class _Parser(h11.Connection):
    """The parser of one connection, which does not take bodies in crumbs."""

    _pieces = _bytes = 0

    def next_event(self) -> Any:
        """Give what the client sent next.

        Raises:
            RemoteProtocolError: if it is not HTTP, or a body of too many small chunks.
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._pieces = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._pieces += event.chunk_end
            self._bytes += len(event.data)
            if self._pieces > PIECES + self._bytes / PIECE_BYTES:
                raise h11.RemoteProtocolError("too many small chunks", 413)
        return event


class _Lingering:
    """A transport that reads on after it was closed, until the client has sent all.

    The system answers what comes for a connection that is shut with a reset, and the client that
    is still sending would never see why its request was refused.
    """

    def __init__(self, transport: asyncio.Transport, has_more: Callable[[], bool]) -> None:
        self._transport, self._has_more = transport, has_more
        self._closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Send what is written, tell the client, and close when it has heard."""
        if self._closed:
            return
        self._closed = True
        if self._has_more() and self._transport.can_write_eof():
            self._transport.resume_reading()
            self._transport.write_eof()
        else:
            self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing more is answered."""
        return self._closed or self._transport.is_closing()


def _send_at_once(transport: asyncio.Transport) -> None:
    """Send what is small at once, too.

    An answer is written in two pieces, and the system would keep the second until the client has
    acknowledged the first, which that may put off for 40 ms. asyncio sees to it only for sockets
    that say which protocol they are of, and most listening sockets do not.
    """
    if (connected := transport.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError):  # not of TCP
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def _too_many(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a client for whom there is no connection left."""
    headers = {**SECURITY, "Retry-After": "1", "Connection": "close"}
    refusal = RefusalError(503, "Too many connections. Try again in a second.", headers)
    await refusal.response(as_json=True)(scope, receive, send)
