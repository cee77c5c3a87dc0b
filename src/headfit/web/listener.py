"""Servers: in a thread beside other work, or in the main thread until they are asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Server
from uvicorn.protocols.http.flow_control import CLOSE_HEADER

from headfit.errors import HeadfitError, UsageError
from headfit.web.connection import BoundedConfig, Bounds, Connection

GRACE = 30.0
"""Seconds within which a server that is asked to stop answers what it has accepted."""
LINGER = 1.0
"""Seconds of these in which connections may still send what they were about to send."""
_STARTING = 30.0  # seconds for a thread to begin: plenty, on a busy machine


def listen(host: str, port: int) -> socket.socket:
    """Take a port; connections are refused until a server runs.

    Args:
        host: an address of this machine.
        port: 0 for any free one.

    Raises:
        UsageError: if the port is taken, or the host is not an address of this machine.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except (OSError, OverflowError) as error:
        sock.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise _cannot_listen(host, port, reason) from error
    return sock


@contextlib.contextmanager
def serving(app: ASGIApp, sock: socket.socket, bounds: Bounds) -> Iterator[None]:
    """Serve in a separate thread as long as the context lasts.

    Args:
        app: the application; told of neither start nor end.
        sock: from :func:`listen`; closed at the end.
        bounds: what clients may take.
    """
    server = _Server(BoundedConfig(app, bounds, lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=([sock],), name="headfit-web", daemon=True)
    thread.start()
    try:
        server.begun.wait(_STARTING)
        yield
    finally:
        server.should_exit = True
        thread.join()
        sock.close()


def run(
    app: ASGIApp,
    sock: socket.socket,
    bounds: Bounds | None = None,
    *,
    grace: float = GRACE,
    ready: Callable[[], object] = lambda: None,
    reload: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Serve in the main thread until Ctrl-C or a request to terminate.

    Then nothing new is accepted, what was accepted is answered, and the application stops.

    Args:
        app: the application; told of start and end.
        sock: from :func:`listen`; closed at the end.
        bounds: what clients may take.
        grace: seconds for the answers that are due at the end.
        ready: called once requests are answered.
        reload: called at a hang-up (SIGHUP).

    Raises:
        HeadfitError: if the application cannot start; what it raised.
    """
    remembered = _Remembering(app)
    settings: dict[str, Any] = {"lifespan": "on", "timeout_graceful_shutdown": grace}
    config = BoundedConfig(remembered, bounds or Bounds(), **settings)
    server = _Server(config, ready, reload, min(LINGER, grace))
    try:
        server.run([sock])
    except SystemExit as error:  # uvicorn's word for a failed start
        raise remembered.error or HeadfitError("The server could not start.") from error
    except OSError as error:
        host, port = sock.getsockname()[:2]
        raise _cannot_listen(host, port, error.strerror or str(error)) from error
    finally:
        sock.close()


def _cannot_listen(host: str, port: int, reason: str) -> UsageError:
    if port:
        text = f"Cannot listen on {host} at `port={port}`: {reason}. Choose another port."
    else:
        text = f"Cannot listen on `host={host}`: {reason}. Use an address of this machine."
    return UsageError(text)


class _Server(Server):
    """A server that checks its connections, and ends without a signal of its own."""

    config: BoundedConfig

    def __init__(
        self,
        config: BoundedConfig,
        ready: Callable[[], object] = lambda: None,
        reload: Callable[[], Awaitable[object]] | None = None,
        linger: float = 0.0,
    ) -> None:
        super().__init__(config)
        self._linger = linger
        self.begun = threading.Event()
        self._ready, self._reload = ready, reload
        self._reloads: set[asyncio.Future[object]] = set()
        # without any handler Python would print uvicorn's warnings on the terminal
        logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.begun.set()
        if not self.should_exit:
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Shut the connections whose time is over; called ten times a second."""
        self._check(time.monotonic())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, answer what was accepted, and end."""
        for server in self.servers:
            server.close()
        self._say_good_bye()
        ends = time.monotonic() + self._linger
        while self.server_state.connections and time.monotonic() < ends:
            await asyncio.sleep(0.05)
        watch = asyncio.create_task(self._watch())
        await super().shutdown(sockets)
        watch.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take requests to stop as an ordinary end, and hang-ups as requests to load again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers: dict[int, Any] = {signal.SIGTERM: self.handle_exit}
        # a job in the background of a script ignores Ctrl-C: it belongs to the foreground
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            handlers[signal.SIGINT] = self.handle_exit
        if self._reload is not None and hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = self._hang_up
        self._loop = asyncio.get_running_loop()
        former = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._load_again)

    def _load_again(self) -> None:
        if self._reload is not None and not self._reloads:
            task = asyncio.ensure_future(self._reload())
            self._reloads.add(task)
            task.add_done_callback(self._loaded)

    def _loaded(self, task: asyncio.Future[object]) -> None:
        self._reloads.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logging.getLogger("headfit.web").error("reload failed: %s", error)

    def _say_good_bye(self) -> None:
        """Tell each client, with its next answer, that its connection ends."""
        last = [*self.server_state.default_headers, CLOSE_HEADER]
        self.server_state.default_headers = last
        for connection in self._connections():
            if connection.cycle is not None and not connection.cycle.response_started:
                connection.cycle.default_headers = last

    def _check(self, now: float) -> None:
        for connection in self._connections():
            connection.check(now)

    def _connections(self) -> list[Connection]:
        return [each for each in self.server_state.connections if isinstance(each, Connection)]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            self._check(time.monotonic())


class _Remembering:
    """An application whose failure to start is remembered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.error: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if scope["type"] == "lifespan":
                self.error = error
            raise
